"""A package that was checked before it is transferred: no other one is taken in its place."""

from __future__ import annotations

import uuid

import pytest
from tests.integration.conftest import INSTANT
from tests.integration.transfer_rig import CHUNK_BYTES, MemoryStore, Rig

from talent_dmf.api.errors import PackageReplacedError
from talent_dmf.api.package.download_range import Source, pin

PACKAGE_BYTES = 5 * CHUNK_BYTES + 777
SETTINGS = INSTANT.changed({"package_size_bytes": PACKAGE_BYTES, "new_copy_per_link": True})


def checked(rig: Rig) -> Source:
    return rig.blob.run(pin(rig.mint()))


@pytest.mark.parametrize("after", [0, 2, 4])
def test_another_package_behind_a_fresh_link_is_not_taken(rig: Rig, after: int) -> None:
    """Nobody has looked into it: it may be damaged, or of another company."""
    version, store = checked(rig), MemoryStore()
    rig.export(str(uuid.uuid4()), "DEMF")
    rig.emulator.faults.add("dmf.F15", mode="rejected", because="time", after=after, times=1)
    with pytest.raises(PackageReplacedError, match="Clear get_package_url to check it again") as caught:
        rig.pump("checked.zip", version=version, session_store=store).run()
    assert not caught.value.retryable
    assert rig.saved("checked.zip") is None
    assert rig.open_sessions() == []
    assert store.kept == []


def test_another_copy_of_the_same_package_is(rig: Rig) -> None:
    version = checked(rig)
    rig.emulator.faults.add("dmf.F15", mode="rejected", because="time", after=3, times=1)
    rig.emulator.faults.add("drive.F20", mode="retagged", after=4, times=1)
    assert rig.pump("copied.zip", version=version).run().size_bytes == PACKAGE_BYTES
    assert rig.saved("copied.zip") == rig.package()
