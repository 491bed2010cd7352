"""The transfer against the emulator, over sockets and TLS: what is saved is compared byte by byte."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import pytest

from dmf_emulator import Emulator, Settings
from tests.integration.transfer_rig import CHUNK_BYTES, Rig, sha256

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
