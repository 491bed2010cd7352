"""The transfer against the emulator, over sockets and TLS: what is saved is compared byte by byte."""

from __future__ import annotations

import io
import logging
import uuid
import zipfile
from dataclasses import replace
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from tests.integration.conftest import INSTANT
from tests.integration.exported_package import CHUNK_BYTES, QUICK_POLICY, ExportedPackage, MemoryStore, fail_at, sha256

from dmf_emulator import Emulator
from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import (
    DestinationError,
    NameConflictError,
    TransferMismatchError,
    TransportError,
)
from talent_dmf.api.package.directory import PackageContents, read_package
from talent_dmf.api.package.download_range import probe
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.steps import Steps
from talent_dmf.destinations.progress import ProgressLog
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


def test_a_policy_that_is_given_is_kept_to(exported: ExportedPackage) -> None:
    exported.emulator.faults.add("drive.F20", mode="ignores-range", times=None)
    with pytest.raises(TransportError):
        exported.pump("policy.zip", source=exported.driver("", policy=replace(QUICK_POLICY, max_attempts=2))).run()
    # The look at the package, which makes do without ranges, and two tries of the first range.
    assert len(exported.emulator.recorder.requests(fault="drive.F20")) == 3


def test_a_file_that_arrives_wrong_is_sent_once_more_only(
    exported: ExportedPackage, caplog: pytest.LogCaptureFixture
) -> None:
    exported.emulator.faults.add("drive.F17", mode="wrong-hash", times=None)
    with pytest.raises(TransferMismatchError):
        exported.pump("wrong.zip").run()
    assert len(exported.emulator.recorder.requests(action="createUploadSession")) == 2
    assert caplog.text.count("Sending it once more.") == 1
