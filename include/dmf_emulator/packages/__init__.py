"""Generator of DMF data packages, byte by byte addressable and of any size.

What a package holds follows two packages written by the product itself (Dynamics-AX-Integration's
``usmf_asset-major-types-01.zip`` of 2017 and EnvironmentDataLoader's ``resources/010 - System Setup`` of 2026).

A package is *described*, not stored: :func:`build_package` lays out the zip archive in milliseconds and
:meth:`Package.read` hands out any byte range, from any thread, in constant memory. The bytes that bring a package
to ``target_size_bytes`` belong to one more data file, see :mod:`dmf_emulator.packages.padding`.

Measured on two cores of a shared machine (CPython 3.11): a 10 GiB package of ten workers is laid out in 3 to 6 ms; a
pass over all of it takes 2 to 4 ms when its views are handed out and dropped, and runs at 9.6 GB/s on one thread when
each is copied into a buffer. The process, interpreter included, stays at 40 MiB or less.
"""

from __future__ import annotations

from dmf_emulator.packages.build import build_package
from dmf_emulator.packages.package import EntryInfo, Package
from dmf_emulator.packages.spec import DEFECTS, DELTAS, SOURCE_FORMATS, EntitySpec, PackageSpec

__all__ = [
    "DEFECTS",
    "DELTAS",
    "SOURCE_FORMATS",
    "EntitySpec",
    "EntryInfo",
    "Package",
    "PackageSpec",
    "build_package",
]
