"""A package that was checked before it is transferred: a copy of it serves as well."""

from __future__ import annotations

from tests.integration.conftest import INSTANT
from tests.integration.exported_package import CHUNK_BYTES, ExportedPackage

PACKAGE_BYTES = 5 * CHUNK_BYTES + 777
SETTINGS = INSTANT.changed({"package_size_bytes": PACKAGE_BYTES, "new_copy_per_link": True})


def test_another_copy_of_the_same_package_serves(exported: ExportedPackage) -> None:
    source = exported.source()
    assert source.version.size_bytes == PACKAGE_BYTES
    exported.emulator.faults.add("dmf.F15", mode="rejected", because="time", after=3, times=1)
    exported.emulator.faults.add("drive.F20", mode="retagged", after=4, times=1)
    assert exported.pump("copied.zip", package=source).run().size_bytes == PACKAGE_BYTES
    assert exported.saved("copied.zip") == exported.package()
