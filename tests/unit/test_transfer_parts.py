"""The parts of the transfer that need no network: encryption, hashes while bytes pass, progress in words."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import threading
from typing import Any

import pytest
from tests.unit.loopback import Received, serve

from talent_dmf.api.errors import ConfigurationError, TransferStoppedError
from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.graph.upload.upload import UploadRecord
from talent_dmf.api.package.download_range import Source
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.steps import Response
from talent_dmf.auth.encryption import Encryption
from talent_dmf.destinations.onedrive.session_store import EncryptedSessionStore
from talent_dmf.destinations.progress import Progress, ProgressLog, format_seconds
from talent_dmf.destinations.task_state import TaskState
from talent_dmf.package_source.reader import Digests, PackageContent, Reader
from talent_dmf.transport.drivers import SyncDriver

RECORD = UploadRecord(
    "d", "A", "p.zip", "fail", '"E"', 10, upload_url="https://x/?tempauth=SECRET", hash_state=(3, "ab")
)


class Slot:
    """A place for one text."""

    def __init__(self) -> None:
        self.text: str | None = None

    def store(self, secret: str | bytes, context: str = "c") -> EncryptedSessionStore:
        self.state = TaskState(self, "x", logging.getLogger("t"))
        return EncryptedSessionStore(self.state, "", Encryption(secret, context))

    def save(self, secret: str, record: UploadRecord) -> None:
        self.store(secret).save(record)
        self.state.settle(20)

    def get(self, _: str) -> str | None:
        return self.text

    def set(self, _: str, text: str) -> None:
        self.text = text


def test_what_is_encrypted_opens_with_the_same_secret_only() -> None:
    slot = Slot()
    assert slot.store("s").load() is None
    slot.save("s", RECORD)
    assert slot.text is not None
    assert "SECRET" not in slot.text
    assert slot.store("s").load() == slot.store(b"s").load() == RECORD
    assert slot.store("t").load() is None
    assert slot.store("s", "other").load() is None
    slot.store("s").clear()
    assert slot.text == ""


class HeldStore:
    """Airflow's task state store behind an API server that is away until it is let in."""

    def __init__(self) -> None:
        self.let_in, self.kept = threading.Event(), []  # type: ignore[var-annotated]

    def get(self, _: str) -> None:
        return None

    def set(self, key: str, value: str) -> None:
        assert self.let_in.wait(20)
        self.kept.append((key, value))


class CountedStore(dict[str, str]):
    """A task state store that counts its questions, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.fails = 0, False

    def get(self, key: str) -> str | None:  # type: ignore[override]
        self.asked += 1
        return super().get(key)

    def set(self, key: str, value: str) -> None:
        if self.fails:
            raise OSError("away")
        self[key] = value


def test_the_store_is_asked_once_for_each_slot() -> None:
    store = CountedStore()
    state = TaskState(store, "x", logging.getLogger("t"))
    assert [state.load(""), state.load(""), state.load("other")] == [None, None, None]
    assert store.asked == 2
    state.save("", "1")
    assert state.load("") == "1"
    assert store.asked == 2


def test_what_could_not_be_kept_is_asked_for_again() -> None:
    store = CountedStore()
    state = TaskState(store, "x", logging.getLogger("t"))
    state.save("", "1")
    store.fails = True
    state.save("", "2")
    assert state.load("") == "1"
    assert store.asked == 1


def test_what_is_saved_beside_holds_nobody_up_and_ends_with_the_newest() -> None:
    store = HeldStore()
    state = TaskState(store, "x", logging.getLogger("t"))
    for value in ("1", "2", "3"):
        state.save_beside("", value)
    assert store.kept == []
    store.let_in.set()
    state.save_beside("other", "4")
    state.settle(20)
    assert store.kept[-1] == ("x", "3") or store.kept[-2:] == [("x", "3"), ("x_other", "4")]
    assert ("x_other", "4") in store.kept
    assert len(store.kept) <= 4


def test_what_has_to_be_kept_is_kept_last() -> None:
    store = HeldStore()
    state = TaskState(store, "x", logging.getLogger("t"))
    state.save_beside("", "begun")
    store.let_in.set()
    state.save("", "done")
    assert store.kept[-1] == ("x", "done")
    state.settle(0)


def test_a_place_in_the_middle_of_an_upload_is_saved_beside_and_its_end_is_not() -> None:
    store = HeldStore()
    encrypted = EncryptedSessionStore(TaskState(store, "x", logging.getLogger("t")), "", Encryption("s", "c"))
    encrypted.save(RECORD)
    assert store.kept == []
    store.let_in.set()
    encrypted.save(dataclasses.replace(RECORD, item_id="i"))
    assert Encryption("s", "c").decrypt(store.kept[-1][1]) is not None
    assert '"i"' in (Encryption("s", "c").decrypt(store.kept[-1][1]) or "")


@pytest.mark.parametrize("text", ["", "no token", "gAAAAABm", "ü"])
def test_whatever_else_lies_there_is_none(text: str) -> None:
    slot = Slot()
    slot.text = text
    assert slot.store("s").load() is None


@pytest.mark.parametrize("content", ["{}", "[]", "null", "no json", json.dumps({**RECORD.to_json(), "version": 99})])
def test_an_encryption_of_another_release_is_none(content: str) -> None:
    slot = Slot()
    slot.text = Encryption("s", "c").encrypt(content)
    assert slot.store("s").load() is None


@pytest.mark.parametrize("secret", ["", b""])
def test_no_secret_no_encryption(secret: str | bytes) -> None:
    with pytest.raises(ConfigurationError, match="secret of its own"):
        Encryption(secret, "c")


def test_the_same_text_is_encrypted_differently_each_time() -> None:
    encryption = Encryption("s", "c")
    assert encryption.encrypt("x") != encryption.encrypt("x")


DATA = bytes(range(256)) * 4


def test_bytes_that_are_read_twice_are_hashed_once() -> None:
    digests = Digests(sha256=True)
    for offset, end in ((0, 300), (100, 200), (0, 301), (250, 700), (700, len(DATA))):
        digests.fold(offset, memoryview(DATA)[offset:end])
    assert digests.folded_bytes == len(DATA)
    assert digests.quick_xor.base64() == QuickXor(DATA).base64()
    assert digests.sha256 == hashlib.sha256(DATA).hexdigest()


def test_bytes_in_between_cannot_be_missing() -> None:
    digests = Digests(QuickXor(DATA[:10]))
    with pytest.raises(ValueError, match="Bytes 10 to 11"):
        digests.fold(11, memoryview(DATA)[11:20])
    digests.fold(5, memoryview(DATA)[5:20])
    assert digests.quick_xor.base64() == QuickXor(DATA[:20]).base64()
    assert digests.sha256 is None


def test_sha256_begins_at_the_beginning() -> None:
    assert Digests(QuickXor(DATA), sha256=True).folded_bytes == 0


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress(0, 2_000_000, 0.0, None, 0), "0.0 of 2.0 MB (0 %), 0.0 MB/s"),
        (Progress(1_000_000, 2_000_000, 500_000, 2.0, 0), "1.0 of 2.0 MB (50 %), 0.5 MB/s, 2 s left"),
        (Progress(1_000_000, 2_000_000, 500_000, 2.0, 1), "1.0 of 2.0 MB (50 %), 0.5 MB/s, 2 s left, resumed once"),
        (Progress(2_000_000, 2_000_000, 1e6, 0.0, 3), "2.0 of 2.0 MB (100 %), 1.0 MB/s, 0 s left, resumed 3 times"),
        (Progress(0, 0, 0.0, None, 0), "0.0 of 0.0 MB (100 %), 0.0 MB/s"),
    ],
)
def test_progress_in_words(progress: Progress, words: str) -> None:
    assert str(progress) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 00 s"), (185, "3 min 05 s"), (3600, "1 h 00 min"), (7325, "2 h 02 min")],
)
def test_durations_for_people(seconds: float, words: str) -> None:
    assert format_seconds(seconds) == words


def test_a_line_when_it_is_due() -> None:
    lines: list[str] = []
    moment = [100.0]

    class Log:
        def info(self, message: str, /, *args: Any) -> None:
            lines.append(message % args)

    progress_log = ProgressLog(Log(), 5.0, lambda: moment[0])
    for second in (101, 104.9, 105, 106, 109.9, 120):
        moment[0] = second
        progress_log(Progress(int(second), 200, 1.0, None, 0))
    assert [line.rpartition("(")[2].partition(" ")[0] for line in lines] == ["52", "60"]


def test_what_cannot_be_decrypted_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    slot = Slot()
    slot.save("s", RECORD)
    with caplog.at_level(logging.INFO):
        assert slot.store("rotated").load() is None
    assert "was the secret rotated?" in caplog.text


def test_whoever_waits_for_the_storage_can_stop_it_and_it_reads_no_further() -> None:
    """The reader ends after the range that it is reading, whatever memory is free by then."""
    asked: list[str] = []
    second, go_on = threading.Event(), threading.Event()

    def storage(request: Received) -> Response:
        asked.append(request.headers["range"])
        if len(asked) == 2:
            second.set()
            go_on.wait(10)
        first, last = (int(number) for number in asked[-1].removeprefix("bytes=").split("-"))
        return Response(206, {"Content-Range": f"bytes {first}-{last}/40"}, bytes(10))

    def stop() -> None:
        raise TransferStoppedError("stopped")

    with serve(storage) as server, SyncDriver() as driver:
        source = Source(SecretUrl(server.url), 40, "")
        content = PackageContent(driver, source, request_bytes=10)
        reader = Reader(content, Digests(), piece_bytes=10, pieces=2, start=0, align=0)
        chunk = reader.next()
        assert second.wait(10)
        with pytest.raises(TransferStoppedError):
            reader.next(stop)
        assert all(thread.daemon for thread in threading.enumerate() if thread.name == "package-reader")
        reader.release(chunk)
        reader.stop(0.0)
        go_on.set()
        reader.stop()
        assert not [thread for thread in threading.enumerate() if thread.name == "package-reader"]
    assert asked == ["bytes=0-9", "bytes=10-19"]
