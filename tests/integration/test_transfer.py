"""The transfer against the emulator, over sockets and TLS: what is saved is compared byte by byte."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
import uuid
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from tests.integration.conftest import INSTANT
from tests.integration.exported_package import CHUNK_BYTES, QUICK_POLICY, ExportedPackage, MemoryStore, fail_at, sha256
from tests.integration.records import StateStore

from dmf_emulator import Emulator, Pace
from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import (
    DestinationError,
    NameConflictError,
    PackageLinkExpiredError,
    PermissionDeniedError,
    SourceChangedError,
    TransferMismatchError,
    TransferStoppedError,
    TransportError,
)
from talent_dmf.api.graph.drive import delete_item, put_small
from talent_dmf.api.graph.models import UploadTarget
from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.package.directory import PackageContents, read_package
from talent_dmf.api.package.download_range import probe
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.steps import Steps
from talent_dmf.auth.encryption import Encryption
from talent_dmf.destinations.onedrive.pump import PackagePump
from talent_dmf.destinations.onedrive.session_store import EncryptedSessionStore
from talent_dmf.destinations.progress import Progress, ProgressLog
from talent_dmf.destinations.saving import save_files
from talent_dmf.destinations.task_state import TaskState
from talent_dmf.package_source.links import run_with_link
from talent_dmf.package_source.source import PackageFile

PACKAGE_BYTES = 7 * CHUNK_BYTES + 12_345
SETTINGS = INSTANT.changed({"package_size_bytes": PACKAGE_BYTES, "range_form": "random"})


def test_saves_the_package(exported: ExportedPackage) -> None:
    expected = exported.package()
    told = []
    result = exported.pump("happy.zip", progress=told.append, sha256=True).run()
    assert len(expected) == PACKAGE_BYTES
    assert exported.saved("happy.zip") == expected
    assert result.item.name == "happy.zip"
    assert result.item.size_bytes == result.size_bytes == result.bytes_sent == PACKAGE_BYTES
    assert result.item.quick_xor_hash == result.quick_xor_hash
    assert result.sha256 == sha256(expected)
    assert (result.resumes, result.resumed_from_bytes, result.already_there) == (0, 0, False)
    assert [progress.done_bytes for progress in told] == [CHUNK_BYTES * count for count in range(1, 8)]
    assert exported.links == 1


def test_reads_what_the_package_holds_by_ranges(exported: ExportedPackage) -> None:
    def protocol(url: SecretUrl) -> Steps[PackageContents]:
        source = yield from probe(url)
        return (yield from read_package(source))

    contents = run_with_link(exported.blob, exported.fresh_link, protocol)
    with zipfile.ZipFile(io.BytesIO(exported.package())) as archive:
        assert [entry.name for entry in contents.entries] == archive.namelist()
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    assert contents.entities[0].file_name == "Workers.xlsx"
    assert {entity.file_name: entity.size_bytes for entity in contents.entities}.items() <= sizes.items()
    assert contents.definition_group_id == "Export Workers"
    ranges = [record.range for record in exported.emulator.recorder.requests(origin="blob") if record.method == "GET"]
    assert 1 <= len([asked for asked in ranges if asked]) <= 4


def test_the_upload_url_sees_no_bearer_and_no_range_twice(exported: ExportedPackage) -> None:
    exported.pump("wire.zip").run()
    sent = exported.emulator.recorder.requests(action="uploadRange")
    assert not any(record.has_header("authorization") for record in sent)
    assert [record.content_range for record in sent] == exported.ranges(PACKAGE_BYTES)
    begin, fingerprint, *read = exported.emulator.recorder.requests(origin="blob", action="GetBlob")
    assert begin.range == "bytes=0-131071"
    assert fingerprint.range == f"bytes={PACKAGE_BYTES - 131072}-{PACKAGE_BYTES - 1}"
    assert [record.range for record in read] == [
        f"bytes={each.removeprefix('bytes ').partition('/')[0]}" for each in exported.ranges(PACKAGE_BYTES)
    ]


@pytest.mark.parametrize("chunk_bytes", [2 * CHUNK_BYTES, 32 * CHUNK_BYTES])
def test_any_size_of_ranges(exported: ExportedPackage, chunk_bytes: int) -> None:
    name = f"chunks {chunk_bytes}.zip"
    result = exported.pump(name, chunk_bytes=chunk_bytes).run()
    assert exported.saved(name) == exported.package()
    assert len(exported.ranges_sent()) == -(-PACKAGE_BYTES // chunk_bytes)
    assert result.item.quick_xor_hash == result.quick_xor_hash


def test_folders_are_made(exported: ExportedPackage) -> None:
    exported.pump("a.zip", folder="Deep/er #1/100%").run()
    assert exported.saved("a.zip", "Deep/er #1/100%") == exported.package()


@pytest.mark.parametrize("policy", ["replace", "rename"])
def test_a_taken_name_by_policy(exported: ExportedPackage, policy: ConflictBehavior) -> None:
    name = f"taken {policy}.zip"
    first = exported.pump(name).run()
    exported.export(str(uuid.uuid4()), "DEMF")
    second = exported.pump(name, policy).run()
    assert (second.item.id == first.item.id) == (policy == "replace")
    assert second.item.name == {"replace": name, "rename": f"taken {policy} 1.zip"}[policy]
    assert exported.saved(second.item.name) == exported.package()


def test_a_taken_name_fails_before_a_byte_moves(exported: ExportedPackage) -> None:
    exported.pump("once.zip").run()
    before = exported.saved("once.zip")
    exported.emulator.recorder.clear()
    with pytest.raises(NameConflictError, match="exists in OneDrive already"):
        exported.pump("once.zip").run()
    assert exported.ranges_sent() == []
    assert exported.saved("once.zip") == before


@pytest.mark.parametrize(("folder", "name"), [("Exports", "a:b.zip"), ("a/../b", "a.zip"), ("Exports", "CON")])
def test_an_impossible_name_fails_before_any_request(exported: ExportedPackage, folder: str, name: str) -> None:
    exported.emulator.recorder.clear()
    with pytest.raises(DestinationError, match="does not accept"):
        exported.pump(name, folder=folder)
    assert exported.emulator.recorder.requests() == []


def test_a_drive_that_does_not_exist(exported: ExportedPackage) -> None:
    with pytest.raises(DestinationError, match="does not exist"):
        exported.pump("a.zip", drive_id="b!nowhere").run()


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


def test_an_expired_link_is_renewed_in_the_middle() -> None:
    # Graph's token and the upload session live by the same clock: the session goes on, the token is renewed.
    with Emulator(SETTINGS.changed({"session_idle_seconds": 1e6})) as slow:
        patient = ExportedPackage(slow)
        patient.export(str(uuid.uuid4()))

        def expire_there(progress: Progress) -> None:
            if progress.done_bytes == 3 * CHUNK_BYTES:
                slow.clock.advance(SETTINGS.sas_lifetime_seconds + 1)

        result = patient.pump("renewed.zip", progress=expire_there).run()
        assert patient.saved("renewed.zip") == patient.package()
        assert patient.links == 2
        assert result.resumes == 1
        assert result.bytes_sent == PACKAGE_BYTES
        patient.close()


def test_a_fresh_link_may_lead_to_another_copy_of_the_same_package() -> None:
    """Each link names a copy (docs/wire/dmf-package-api.md#copies-of-a-package); their content is common."""
    with Emulator(SETTINGS.changed({"session_idle_seconds": 1e6, "new_copy_per_link": True})) as copying:
        patient = ExportedPackage(copying)
        patient.export(str(uuid.uuid4()))
        store = MemoryStore()
        with pytest.raises(KeyboardInterrupt):
            patient.pump("copied.zip", session_store=store, progress=fail_at(3, KeyboardInterrupt)).run()

        def expire_there(progress: Progress) -> None:
            if progress.done_bytes == 5 * CHUNK_BYTES:
                copying.clock.advance(SETTINGS.sas_lifetime_seconds + 1)

        result = patient.pump("copied.zip", session_store=store, progress=expire_there).run()
        paths = {record.path for record in copying.recorder.requests(origin="blob")}
        assert len(paths) == 3
        assert patient.saved("copied.zip") == patient.package()
        assert result.resumed_from_bytes == 3 * CHUNK_BYTES
        assert result.bytes_sent == PACKAGE_BYTES - 3 * CHUNK_BYTES
        patient.close()


def test_a_link_that_is_never_accepted_ends(exported: ExportedPackage) -> None:
    store = MemoryStore()
    exported.emulator.faults.add("drive.F20", mode="expired", times=None, after=3, match={"action": "GetBlob"})
    with pytest.raises(PackageLinkExpiredError) as caught:
        exported.pump("never.zip", session_store=store).run()
    assert "sig=" not in str(caught.value)
    assert len(exported.open_sessions()) == 1
    assert store.kept[-1].upload_url, "a retry may get a link that is accepted"
    exported.emulator.faults.clear()
    exported.emulator.faults.add("drive.F20", mode="expired", times=None, after=3, match={"action": "GetBlob"})
    with pytest.raises(PackageLinkExpiredError):
        exported.pump("again.zip").run()
    assert exported.open_sessions() == ["never.zip"], "without a store nobody will go on, so it is cancelled"


def test_links_that_expire_again_and_again_are_renewed_as_often(exported: ExportedPackage) -> None:
    """Only refusals in a row are a matter of something else than age."""

    expired: list[int] = []

    def expire(progress: Progress) -> None:
        if len(exported.emulator.recorder.requests(fault="drive.F20")) == len(expired):
            exported.emulator.faults.add("drive.F20", mode="expired", times=1, match={"action": "GetBlob"})
            expired.append(progress.done_bytes)

    result = exported.pump("aging.zip", progress=expire).run()
    exported.emulator.faults.clear()
    assert exported.saved("aging.zip") == exported.package()
    assert result.bytes_sent == PACKAGE_BYTES
    assert exported.links >= 4


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


def test_a_fresh_link_to_another_package_never_makes_a_mixture() -> None:
    """The session outlives the link here, so nothing but the comparison keeps the two apart."""
    with Emulator(SETTINGS.changed({"session_idle_seconds": 1e6})) as slow:
        patient, first, second = ExportedPackage(slow), str(uuid.uuid4()), str(uuid.uuid4())
        patient.export(first)
        patient.export(second, "DEMF")
        links: list[str] = []

        def fresh_link() -> SecretUrl:
            patient.execution_id = second if links else first
            links.append(patient.execution_id)
            return patient.fresh_link()

        def expire(progress: Progress) -> None:
            if progress.done_bytes == 3 * CHUNK_BYTES and links == [first]:
                slow.clock.advance(SETTINGS.sas_lifetime_seconds + 1)

        patient.pump("mixed.zip", progress=expire, fresh_url=fresh_link).run()
        assert patient.execution_id == second
        assert patient.saved("mixed.zip") == patient.package()
        patient.close()


def test_a_package_that_changes_in_the_middle(exported: ExportedPackage) -> None:
    """The link that is fetched when the first one expires leads to another package."""
    first, second = exported.execution_id, str(uuid.uuid4())
    exported.export(second, "DEMF")
    links: list[str] = []

    def fresh_link() -> SecretUrl:
        exported.execution_id = first if len(links) < 1 else second
        links.append(exported.execution_id)
        return exported.fresh_link()

    def spoil(progress: Progress) -> None:
        if progress.done_bytes == 3 * CHUNK_BYTES and links == [first]:
            exported.emulator.clock.advance(SETTINGS.sas_lifetime_seconds + 1)

    result = exported.pump("swapped.zip", progress=spoil, fresh_url=fresh_link).run()
    assert exported.execution_id == second
    assert exported.saved("swapped.zip") == exported.package()
    assert result.quick_xor_hash == QuickXor(exported.package()).base64()
    assert exported.open_sessions() == []


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


def test_no_bytes_at_all() -> None:
    """An upload session cannot carry a file of no bytes."""
    with Emulator(SETTINGS) as running:
        exported = ExportedPackage(running)
        exported.export(str(uuid.uuid4()))
        result = exported.pump("empty.bin", file=PackageFile("empty.bin", 0, "x"), sha256=True).run()
        assert exported.saved("empty.bin") == b""
        assert (result.item.size_bytes, result.quick_xor_hash) == (0, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        assert result.sha256 == sha256(b"")
        exported.close()


def test_what_is_logged_holds_no_secret(exported: ExportedPackage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt):
        exported.pump("quiet.zip", session_store=store, progress=fail_at(2, KeyboardInterrupt)).run()
    exported.pump("quiet.zip", session_store=store, progress=ProgressLog(logging.getLogger("t"), 0.0)).run()
    assert "Saving in OneDrive: " in caplog.text
    queries = [urlsplit(url).query for url in (exported.fresh_link().reveal(), store.kept[0].upload_url)]
    signature, token = parse_qs(queries[0])["sig"][0], parse_qs(queries[1])["tempauth"][0]
    assert not [secret for secret in (signature, quote(signature), token, "eyJ") if secret in caplog.text]


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


def test_a_policy_that_is_given_is_kept_to(exported: ExportedPackage) -> None:
    exported.emulator.faults.add("drive.F20", mode="ignores-range", times=None)
    with pytest.raises(TransportError):
        exported.pump("policy.zip", source=exported.driver("", policy=replace(QUICK_POLICY, max_attempts=2))).run()
    # The look at the package, which makes do without ranges, and two tries of the first range.
    assert len(exported.emulator.recorder.requests(fault="drive.F20")) == 3


def test_links_are_refused_three_times_in_a_row_only(exported: ExportedPackage) -> None:
    """Each fresh link is looked at first, by two requests that are accepted; the range after them is refused."""
    refused = {"mode": "expired", "times": None, "match": {"action": "GetBlob"}}
    rule = exported.emulator.faults.add("drive.F20", request_index=[2, 5, 9, 12], **refused)
    assert exported.pump("in between.zip").run().resumes == 4
    assert exported.saved("in between.zip") == exported.package()
    exported.emulator.faults.remove(rule)
    links = exported.links
    exported.emulator.faults.add("drive.F20", request_index=[2, 5, 8], **refused)
    with pytest.raises(PackageLinkExpiredError):
        exported.pump("in a row.zip").run()
    assert exported.links - links == 3


def test_a_package_that_changes_again_and_again_ends(
    exported: ExportedPackage, caplog: pytest.LogCaptureFixture
) -> None:
    """Each look shows a version that is not there any more when it is read."""
    changes = {"times": None, "match": {"action": "GetBlob"}, "request_index": [2, 5, 8]}
    exported.emulator.faults.add("drive.F20", mode="changed", **changes)
    with pytest.raises(SourceChangedError):
        exported.pump("restless.zip").run()
    assert len(exported.emulator.recorder.requests(fault="drive.F20")) == 3
    assert caplog.text.count("starting over with its present version") == 2
    assert exported.saved("restless.zip") is None
    assert exported.open_sessions() == []


def test_a_file_of_a_package_that_changes_is_looked_for_again(exported: ExportedPackage) -> None:
    """Its place in another package may be another one."""
    source, planned = exported.source(), list[PackageFile]()

    def plan() -> list[PackageFile]:
        entry = max(source.contents().entries, key=lambda each: each.size_bytes)
        planned.append(PackageFile("part.bin", entry.size_bytes, "v", entry=entry))
        return planned[-1:]

    exported.emulator.faults.add("drive.F20", mode="changed", times=1, after=6)
    target = UploadTarget("Exports", "part.bin")
    result = save_files(
        source,
        plan,
        lambda file: PackagePump(source, file, exported.graph, drive_id=exported.drive_id, target=target).run(),
    )
    assert exported.emulator.recorder.requests(fault="drive.F20")
    assert len(planned) == 2
    with zipfile.ZipFile(io.BytesIO(exported.package())) as archive:
        assert planned[-1].entry is not None
        assert exported.saved("part.bin") == archive.read(planned[-1].entry.name)
    assert result[0].size_bytes == planned[-1].size_bytes
    assert exported.open_sessions() == []


def test_a_file_that_arrives_wrong_is_sent_once_more_only(
    exported: ExportedPackage, caplog: pytest.LogCaptureFixture
) -> None:
    exported.emulator.faults.add("drive.F17", mode="wrong-hash", times=None)
    with pytest.raises(TransferMismatchError):
        exported.pump("wrong.zip").run()
    assert len(exported.emulator.recorder.requests(action="createUploadSession")) == 2
    assert caplog.text.count("Sending it once more.") == 1


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


def test_another_package_under_a_fresh_link_is_never_appended_to_the_first() -> None:
    """The session outlives the link, and what it holds is of the first package."""
    with Emulator(SETTINGS.changed({"session_idle_seconds": 1e6})) as running:
        exported = ExportedPackage(running)
        executions = [str(uuid.uuid4()), str(uuid.uuid4())]
        exported.export(executions[1], "DEMF")
        exported.export(executions[0])

        def spoil(progress: Progress) -> None:
            if progress.done_bytes == 3 * CHUNK_BYTES and exported.execution_id == executions[0]:
                exported.execution_id = executions[1]
                running.clock.advance(SETTINGS.sas_lifetime_seconds + 1)

        exported.pump("appended.zip", progress=spoil).run()
        assert exported.saved("appended.zip") == exported.package()
        assert exported.bytes_received() >= PACKAGE_BYTES + 3 * CHUNK_BYTES
        assert exported.open_sessions() == []
        exported.close()


def test_a_stop_is_heeded_while_a_file_is_only_hashed(exported: ExportedPackage) -> None:
    store = MemoryStore()
    exported.pump("hashed.zip", session_store=store).run()
    with pytest.raises(TransferStoppedError):
        exported.pump("hashed.zip", session_store=store, sha256=True, cancelled=lambda: True).run()
    assert exported.pump("hashed.zip", session_store=store, sha256=True).run().already_there
