"""A try that ended early, and what the next one finds: the session, the state that was kept, the file."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import INSTANT
from tests.integration.exported_package import CHUNK_BYTES, ExportedPackage, MemoryStore, fail_at, sha256
from tests.integration.records import StateStore

from dmf_emulator import Emulator, Pace
from talent_dmf.api.errors import (
    PermissionDeniedError,
    TransferStoppedError,
    TransportError,
)
from talent_dmf.api.graph.drive import delete_item, put_small
from talent_dmf.api.graph.models import UploadTarget
from talent_dmf.auth.encryption import Encryption
from talent_dmf.destinations.onedrive.session_store import EncryptedSessionStore
from talent_dmf.destinations.progress import Progress
from talent_dmf.destinations.task_state import TaskState

PACKAGE_BYTES = 7 * CHUNK_BYTES + 12_345
SETTINGS = INSTANT.changed({"package_size_bytes": PACKAGE_BYTES, "range_form": "random"})


def test_the_second_try_goes_on_where_the_server_stands(exported: ExportedPackage) -> None:
    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt):
        exported.pump("resumed.zip", session_store=store, progress=fail_at(3, KeyboardInterrupt)).run()
    assert exported.saved("resumed.zip") is None
    first = exported.ranges_sent()
    exported.emulator.recorder.clear()
    result = exported.pump("resumed.zip", session_store=store).run()
    assert len(exported.emulator.recorder.requests(origin="blob")) == 2 + 5, "nothing is read again for the hash"
    assert exported.saved("resumed.zip") == exported.package()
    assert result.resumed_from_bytes == 3 * CHUNK_BYTES
    assert result.bytes_sent == PACKAGE_BYTES - 3 * CHUNK_BYTES
    assert first + exported.ranges_sent() == exported.ranges(PACKAGE_BYTES)


def test_the_state_kept_may_be_older_than_the_session(exported: ExportedPackage) -> None:
    """After kill -9 the store holds what was saved some seconds before: here, the very beginning."""
    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt):
        exported.pump("killed.zip", session_store=store, progress=fail_at(5, KeyboardInterrupt)).run()
    del store.kept[1:]
    assert store.kept[0].hash_state == (0, "0")
    result = exported.pump("killed.zip", session_store=store, sha256=True).run()
    assert exported.saved("killed.zip") == exported.package()
    assert result.bytes_sent == PACKAGE_BYTES - 5 * CHUNK_BYTES
    assert result.sha256 == sha256(exported.package())


def test_the_second_try_after_success_finds_it_done(exported: ExportedPackage) -> None:
    store = MemoryStore()
    first = exported.pump("done.zip", session_store=store).run()
    assert "tempauth" not in str(store.kept[-1].to_json())
    exported.emulator.recorder.clear()
    second = exported.pump("done.zip", session_store=store, sha256=True).run()
    assert second.already_there
    assert (second.item, second.quick_xor_hash, second.bytes_sent) == (first.item, first.quick_xor_hash, 0)
    assert second.sha256 == sha256(exported.package())
    assert exported.ranges_sent() == []


def test_a_completed_upload_whose_news_was_lost_is_found(exported: ExportedPackage) -> None:
    """Killed between the last range and the record of success: the session is gone, the file is there."""
    store = MemoryStore()
    first = exported.pump("lost.zip", session_store=store).run()
    del store.kept[1:]
    assert store.kept[0].upload_url
    exported.emulator.recorder.clear()
    second = exported.pump("lost.zip", session_store=store).run()
    assert second.already_there
    assert second.item.id == first.item.id
    assert exported.ranges_sent() == []


def test_a_session_for_another_package_is_cancelled(exported: ExportedPackage) -> None:
    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt):
        exported.pump("other.zip", session_store=store, progress=fail_at(2, KeyboardInterrupt)).run()
    exported.export(str(uuid.uuid4()), "DEMF")
    result = exported.pump("other.zip", session_store=store).run()
    assert (result.resumed_from_bytes, result.item.name) == (0, "other.zip")
    assert exported.saved("other.zip") == exported.package()
    assert exported.open_sessions() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, TransportError("the network is down")])
def test_without_a_store_a_session_is_cancelled(
    exported: ExportedPackage, error: type[BaseException] | BaseException
) -> None:
    with pytest.raises(type(error) if isinstance(error, BaseException) else error):
        exported.pump("given up.zip", progress=fail_at(2, error)).run()
    assert exported.open_sessions() == []
    assert exported.saved("given up.zip") is None


def test_a_permanent_error_cancels_the_session_and_forgets_it(exported: ExportedPackage) -> None:
    store = MemoryStore()
    with pytest.raises(PermissionDeniedError):
        exported.pump("refused.zip", session_store=store, progress=fail_at(2, PermissionDeniedError("no"))).run()
    assert exported.open_sessions() == []
    assert store.kept == []


def test_cancelled_from_outside_keeps_the_session(exported: ExportedPackage) -> None:
    store, told = MemoryStore(), []
    pump = exported.pump("stopped.zip", session_store=store, progress=told.append, cancelled=lambda: len(told) >= 2)
    with pytest.raises(TransferStoppedError) as caught:
        pump.run()
    assert caught.value.retryable
    assert len(exported.open_sessions()) == 1
    assert exported.pump("stopped.zip", session_store=store).run().resumed_from_bytes == 2 * CHUNK_BYTES


def test_a_session_that_follows_a_lost_one_is_kept_at_once(exported: ExportedPackage) -> None:
    """Who is killed right after it must not leave a session behind that blocks the name and that nobody knows."""
    store = MemoryStore()
    known: list[bool] = []

    def look(progress: Progress) -> None:
        (session,) = exported.emulator.state.uploads.all()
        known.append(session.session_id in store.kept[-1].upload_url)

    exported.emulator.faults.add("drive.F7", mode="forever", after=3)
    exported.pump("kept.zip", progress=look, session_store=store, clock=lambda: 0.0).run()
    assert exported.emulator.recorder.requests(fault="drive.F7")
    assert all(known)


def test_a_task_that_is_being_stopped_keeps_its_session_whatever_ends_it(exported: ExportedPackage) -> None:
    store, told = MemoryStore(), []

    def stop(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 2:
            raise PermissionDeniedError("no")

    with pytest.raises(PermissionDeniedError):
        exported.pump("stopping.zip", session_store=store, progress=stop, cancelled=lambda: len(told) == 2).run()
    assert exported.pump("stopping.zip", session_store=store).run().resumed_from_bytes == 2 * CHUNK_BYTES


def test_encrypted_state_survives_in_a_text(exported: ExportedPackage) -> None:
    writes: list[str] = []

    class Texts(dict[str, str]):
        def set(self, key: str, text: str) -> None:
            self[key] = text
            writes.append(text)

    state = TaskState(Texts(), "x", logging.getLogger("t"))

    def store(secret: str, context: str = "onedrive_default/save") -> EncryptedSessionStore:
        return EncryptedSessionStore(state, "", Encryption(secret, context))

    with pytest.raises(KeyboardInterrupt):
        exported.pump("sealed.zip", session_store=store("s3cret"), progress=fail_at(4, KeyboardInterrupt)).run()
    assert writes
    assert not any("tempauth" in text or "sealed.zip" in text or "http" in text for text in writes)
    assert store("another").load() is None
    assert store("s3cret", "another task").load() is None
    result = exported.pump("sealed.zip", session_store=store("s3cret")).run()
    assert result.resumed_from_bytes == 4 * CHUNK_BYTES
    assert exported.saved("sealed.zip") == exported.package()


def test_a_tampered_state_starts_anew(exported: ExportedPackage) -> None:
    state = TaskState(StateStore({"x": "gAAAAA" + "A" * 80}), "x", logging.getLogger("t"))
    store = EncryptedSessionStore(state, "", Encryption("s3cret", "x"))
    assert store.load() is None
    assert exported.pump("tampered.zip", session_store=store).run().resumed_from_bytes == 0


# A worker of its own: it goes on with what the file holds, and keeps its place there.
WORKER = """
import json, sys
from pathlib import Path
from talent_dmf.auth.encryption import Encryption
from talent_dmf.destinations.onedrive.session_store import EncryptedSessionStore
from talent_dmf.destinations.task_state import TaskState
from tests.integration.exported_package import ExportedPackage, StandIn

info, execution_id, state = json.loads(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
exported = ExportedPackage(StandIn(info))
exported.execution_id = execution_id

class Files:
    get = staticmethod(lambda key: state.read_text() if state.exists() else None)
    set = staticmethod(lambda key, text: state.write_text(text))

store = EncryptedSessionStore(TaskState(Files(), "x", None), "", Encryption("s3cret", "c"))
result = exported.pump("killed -9.zip", session_store=store).run()
print(json.dumps([result.resumed_from_bytes, result.bytes_sent]))
"""


def test_a_killed_worker_is_taken_over_where_it_stopped(tmp_path: Path) -> None:
    slow = {"sharepoint": Pace(bytes_per_second=2_000_000)}
    with Emulator(replace(SETTINGS, pacing=slow)) as running:
        exported = ExportedPackage(running)
        exported.export(str(uuid.uuid4()))
        command = [
            sys.executable,
            "-c",
            WORKER,
            json.dumps(exported.info),
            exported.execution_id,
            str(tmp_path / "state"),
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while len(exported.ranges_sent()) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        first.kill()
        first.communicate()
        assert first.returncode == -signal.SIGKILL
        assert exported.saved("killed -9.zip") is None
        sent = exported.ranges_sent()
        second = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=60)
        resumed_from, bytes_sent = json.loads(second.stdout.splitlines()[-1])
        assert exported.saved("killed -9.zip") == exported.package()
        assert resumed_from >= 3 * CHUNK_BYTES
        assert bytes_sent == PACKAGE_BYTES - resumed_from
        assert len(sent) <= 5
        exported.close()


@pytest.mark.parametrize(("step", "chunks"), [(0.0, [7]), (2.5, [3, 5, 7, 7]), (5.0, [2, 3, 4, 5, 6, 7, 7])])
def test_the_session_is_kept_every_few_seconds_not_for_every_range(
    exported: ExportedPackage, step: float, chunks: list[int]
) -> None:
    """Each time is a write to Airflow's database."""
    store, moment = MemoryStore(), [0.0]

    def advance(_: Progress) -> None:
        moment[0] += step

    name = f"{uuid.uuid4()}.zip"
    exported.pump(name, session_store=store, progress=advance, clock=lambda: moment[0]).run()
    began, *kept, finished = store.kept
    assert (began.hash_state[0], finished.upload_url) == (0, "")
    assert [record.hash_state[0] // CHUNK_BYTES for record in kept] == chunks


@pytest.mark.parametrize("theirs", [None, b"theirs"], ids=["deleted", "replaced"])
def test_a_file_that_is_not_there_any_more_is_saved_again(exported: ExportedPackage, theirs: bytes | None) -> None:
    name, store = f"{uuid.uuid4()}.zip", MemoryStore()
    first = exported.pump(name, "replace", session_store=store).run()
    if theirs is None:
        exported.graph.run(delete_item(exported.drive_id, first.item.id))
    else:
        exported.graph.run(put_small(exported.drive_id, UploadTarget("Exports", name, "replace"), theirs))
    second = exported.pump(name, "replace", session_store=store).run()
    assert not second.already_there
    assert exported.saved(name) == exported.package()


@pytest.mark.parametrize(("fault", "options"), [("drive.F3", {"times": None}), ("drive.F12", {})])
def test_a_session_that_cannot_be_cancelled_is_told_and_hides_nothing(
    exported: ExportedPackage, caplog: pytest.LogCaptureFixture, fault: str, options: dict[str, Any]
) -> None:
    exported.emulator.faults.add(fault, match={"action": "uploadCancel"}, **options)
    with pytest.raises(KeyboardInterrupt):
        exported.pump("stuck.zip", progress=fail_at(2, KeyboardInterrupt)).run()
    assert exported.emulator.recorder.requests(fault=fault), "the fault did not happen"
    assert "could not be cancelled; it expires by itself" in caplog.text


def test_a_stop_is_heeded_while_a_file_is_only_hashed(exported: ExportedPackage) -> None:
    store = MemoryStore()
    exported.pump("hashed.zip", session_store=store).run()
    with pytest.raises(TransferStoppedError):
        exported.pump("hashed.zip", session_store=store, sha256=True, cancelled=lambda: True).run()
    assert exported.pump("hashed.zip", session_store=store, sha256=True).run().already_there
