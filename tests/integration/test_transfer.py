"""The transfer against the emulator, over sockets and TLS: what is saved is compared byte by byte."""

from __future__ import annotations

import io
import threading
import uuid
import zipfile
from collections.abc import Iterator

import pytest
from tests.integration.transfer_rig import CHUNK_BYTES, QUICK_POLICY, Rig, sha256

from dmf_emulator import Emulator, Settings
from talent_dmf.api.download_range import probe
from talent_dmf.api.package import PackageContents, read_package
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.steps import Steps
from talent_dmf.transfer import run_with_link

PACKAGE_BYTES = 7 * CHUNK_BYTES + 12_345
SETTINGS = Settings(
    seed=11,
    not_found_seconds=0.0,
    not_run_seconds=0.0,
    executing_seconds=0.0,
    url_delay_seconds=0.0,
    package_size_bytes=PACKAGE_BYTES,
    range_form="random",
)


@pytest.fixture(scope="module")
def big_emulator() -> Iterator[Emulator]:
    with Emulator(SETTINGS) as running:
        yield running


@pytest.fixture
def rig(big_emulator: Emulator) -> Iterator[Rig]:
    big_emulator.faults.clear()
    big_emulator.recorder.clear()
    made = Rig(big_emulator)
    made.export(str(uuid.uuid4()))
    yield made
    made.close()
    big_emulator.faults.clear()
    assert not [thread for thread in threading.enumerate() if thread.name == "package-reader"]


def test_saves_the_package(rig: Rig) -> None:
    expected = rig.package()
    told = []
    result = rig.pump("happy.zip", progress=told.append, sha256=True).run()
    assert len(expected) == PACKAGE_BYTES
    assert rig.saved("happy.zip") == expected
    assert result.item.name == "happy.zip"
    assert result.item.size_bytes == result.size_bytes == result.bytes_sent == PACKAGE_BYTES
    assert result.item.quick_xor_hash == result.quick_xor_hash
    assert result.sha256 == sha256(expected)
    assert (result.resumes, result.resumed_from_bytes, result.already_there) == (0, 0, False)
    assert [progress.done_bytes for progress in told] == [CHUNK_BYTES * count for count in range(1, 8)]
    assert rig.links == 1


def test_reads_what_the_package_holds_by_ranges(rig: Rig) -> None:
    def protocol(url: SecretUrl) -> Steps[PackageContents]:
        source = yield from probe(url)
        return (yield from read_package(source, QUICK_POLICY, lambda: 0.5))

    contents = run_with_link(rig.blob, rig.mint, protocol)
    with zipfile.ZipFile(io.BytesIO(rig.package())) as archive:
        assert [entry.name for entry in contents.entries] == archive.namelist()
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    assert contents.entities[0].file_name == "Workers.xlsx"
    assert {entity.file_name: entity.size_bytes for entity in contents.entities}.items() <= sizes.items()
    assert contents.definition_group_id == "Export Workers"
    ranges = [record.range for record in rig.emulator.recorder.requests(origin="blob") if record.method == "GET"]
    assert 1 <= len([asked for asked in ranges if asked]) <= 4
