"""Links that expire while a package is saved, and fresh ones that lead to another copy, or to another package."""

from __future__ import annotations

import io
import uuid
import zipfile

import pytest
from tests.integration.conftest import INSTANT
from tests.integration.exported_package import CHUNK_BYTES, ExportedPackage, MemoryStore, fail_at

from dmf_emulator import Emulator
from talent_dmf.api.errors import (
    PackageLinkExpiredError,
    SourceChangedError,
)
from talent_dmf.api.graph.models import UploadTarget
from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.destinations.onedrive.pump import PackagePump
from talent_dmf.destinations.progress import Progress
from talent_dmf.destinations.saving import save_files
from talent_dmf.package_source.reader import PIECES
from talent_dmf.package_source.source import PackageFile

# Longer than what is read ahead: what happens in the middle befalls bytes that are still to be read.
PACKAGE_BYTES = (PIECES + 7) * CHUNK_BYTES + 12_345
SETTINGS = INSTANT.changed({"package_size_bytes": PACKAGE_BYTES, "range_form": "random"})


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
