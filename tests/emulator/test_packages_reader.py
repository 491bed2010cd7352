"""Random access: any range, any thread, constant memory."""

from __future__ import annotations

import hashlib
import io
import math
import tracemalloc
import xml.etree.ElementTree as ET
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.properties import more_examples

from dmf_emulator.packages import EntitySpec, Package, PackageSpec, build_package
from dmf_emulator.packages.crc import crc32_combine, crc32_repeat
from dmf_emulator.packages.padding import padding_block

WORKERS = EntitySpec("Workers", "HcmWorkerEntity", "EXCEL", 10)
BLOCK_BYTES = 1_050_067
SIZE = 3_333_333
GIB = 1 << 30


class PackageFile(io.RawIOBase):
    """A package as a seekable file, so that zipfile can open it however large it is."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._position = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._package.size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        filled = 0
        for view in self._package.read(self._position, len(buffer)):
            buffer[filled : filled + len(view)] = view
            filled += len(view)
        self._position += filled
        return filled


def parsed(document: bytes) -> ET.Element:
    """The root of an XML document."""
    return ET.fromstring(document)  # noqa: S314 - made by the generator a moment ago


def padded(size: int, **changes: object) -> Package:
    return build_package(PackageSpec("Export Workers", "USMF", (WORKERS,), target_size_bytes=size, **changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def package() -> Package:
    return padded(SIZE)


@pytest.fixture(scope="module")
def whole(package: Package) -> bytes:
    return b"".join(package.read(0, package.size))


@more_examples(5)
@given(offset=st.integers(0, SIZE + 10), length=st.integers(0, SIZE + 10))
def test_any_range_is_the_slice_of_the_whole(package: Package, whole: bytes, offset: int, length: int) -> None:
    assert b"".join(package.read(offset, length)) == whole[offset : offset + length]


@pytest.mark.parametrize("at", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, SIZE - 1, SIZE, SIZE + 1])
def test_single_bytes_at_the_edges(package: Package, whole: bytes, at: int) -> None:
    assert b"".join(package.read(at, 1)) == whole[at : at + 1]


@pytest.mark.parametrize(("offset", "length"), [(-1, 5), (0, -1)])
def test_negative_ranges_are_refused(package: Package, offset: int, length: int) -> None:
    with pytest.raises(ValueError, match="neither may be negative"):
        package.read(offset, length)


def test_large_ranges_come_in_pieces_of_a_mebibyte_or_more_that_share_memory() -> None:
    pieces = list(padded(20_000_000).read(3_000_000, 10_000_000))
    assert all(isinstance(piece, memoryview) and piece.readonly for piece in pieces)
    assert all(len(piece) >= 1 << 20 for piece in pieces[1:-1])
    assert len(pieces) > 5
    assert len({id(piece.obj) for piece in pieces}) == 1


def test_threads_share_a_package(package: Package, whole: bytes) -> None:
    def in_steps(step: int) -> str:
        digest = hashlib.sha256()
        for offset in range(0, SIZE, step):
            for view in package.read(offset, step):
                digest.update(view)
        return digest.hexdigest()

    with ThreadPoolExecutor(4) as pool:
        digests = set(pool.map(in_steps, [1_000, 7_777, 327_680, SIZE]))
    assert digests == {hashlib.sha256(whole).hexdigest()}


def test_digests_are_those_of_the_bytes(package: Package, whole: bytes) -> None:
    assert package.crc32 == zlib.crc32(whole)
    assert package.md5() == hashlib.md5(whole, usedforsecurity=False).digest()


def test_a_huge_package_takes_no_memory() -> None:
    padded(SIZE)  # the block all packages share
    tracemalloc.start()
    try:
        package = padded(100 * GIB)
        for offset in range(0, package.size, 10 * GIB):
            assert sum(len(view) for view in package.read(offset, 64 << 20)) == min(64 << 20, package.size - offset)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert package.size == 100 * GIB
    assert peak < 2 << 20


@pytest.mark.parametrize("chunk", [320 << 10, 1 << 20, 10 << 20], ids=["320 KiB", "1 MiB", "10 MiB"])
def test_no_two_chunks_of_a_transfer_are_alike(chunk: int) -> None:
    assert math.gcd(chunk, len(padding_block())) == 1
    package = padded(128 << 20)
    crcs = []
    for offset in range(0, package.size, chunk):
        crc = 0
        for view in package.read(offset, chunk):
            crc = zlib.crc32(view, crc)
        crcs.append(crc)
    assert len(set(crcs)) == len(crcs)


def test_same_specification_same_bytes_other_specification_other_bytes() -> None:
    size = 2_000_000
    packages = [padded(size), padded(size), padded(size, seed=1)]
    contents = [b"".join(package.read(0, size)) for package in packages]
    assert contents[0] == contents[1] != contents[2]
    assert packages[0].etag == packages[1].etag != packages[2].etag


@pytest.mark.parametrize("change", [{"seed": 1}, {"legal_entity": "DEMF"}, {"definition_group": "Export Wonders"}])
def test_padding_alone_tells_packages_apart(change: dict[str, object]) -> None:
    nobody = EntitySpec("Workers", "HcmWorkerEntity", "CSV-Unicode", 0)
    spec = PackageSpec("Export Workers", "USMF", (nobody,), target_size_bytes=2_000_000)
    package, other = build_package(spec), build_package(replace(spec, **change))  # type: ignore[arg-type]
    assert package.entries[0] == other.entries[0]
    assert b"".join(package.read(1_000_000, 10_000)) != b"".join(other.read(1_000_000, 10_000))
    assert package.etag != other.etag


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_crc_of_joined_data(first: bytes, second: bytes) -> None:
    assert crc32_combine(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)


@given(st.binary(max_size=50), st.integers(0, 70))
def test_crc_of_repeated_data(piece: bytes, times: int) -> None:
    assert crc32_repeat(zlib.crc32(piece), len(piece), times) == zlib.crc32(piece * times)
