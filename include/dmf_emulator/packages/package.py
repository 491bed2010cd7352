"""A finished package: readable from anywhere, by any thread."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from dmf_emulator.packages.segments import Segment, crc32_of


@dataclass(frozen=True)
class EntryInfo:
    """What the central directory says of an entry, and what only the generator knows.

    :param name: name in the archive.
    :param size: of the content, in bytes.
    :param compressed_size: in the archive, in bytes.
    :param crc32: as declared; the defect ``corrupt`` makes the content differ from it.
    :param rows: records of a data file, None for ``Manifest.xml`` and ``PackageHeader.xml``.
    """

    name: str
    size: int
    compressed_size: int
    crc32: int
    rows: int | None


class Package:
    """Bytes of a data package. Immutable, so any number of threads and readers may share one.

    :param segments: the archive from its first to its last byte.
    :param entries: its entries, in their order in the archive.
    :param version: what sets apart exports that happen to have the same content, such as their time.
    """

    def __init__(self, segments: Sequence[Segment], entries: Sequence[EntryInfo], version: str) -> None:
        self._segments = tuple(segment for segment in segments if segment.length)
        ends = list(accumulate(segment.length for segment in self._segments))
        self._starts = [0, *ends[:-1]]
        self.size = ends[-1]
        self.entries = tuple(entries)
        identity = hashlib.sha256(version.encode())
        for segment in self._segments:
            identity.update(b"%d:" % segment.length)
            identity.update(segment.identity)
        #: In the form of Azure Blob storage, with the quotes that belong to an entity tag.
        self.etag = f'"0x8D{identity.hexdigest()[:13].upper()}"'

    def __repr__(self) -> str:
        return f"<Package of {self.size} bytes, {len(self.entries)} entries, etag {self.etag}>"

    def read(self, offset: int, length: int) -> Iterator[memoryview]:
        """A range of the package, in pieces and without copying.

        Like reading a file, it ends where the package ends. Where rows repeat, a piece is as large as the rest of
        their block (1,050,067 bytes), otherwise as large as what lies in memory.

        :param offset: first byte, from 0.
        :param length: number of bytes.
        :raises ValueError: a negative offset or length.
        """
        if offset < 0 or length < 0:
            raise ValueError(f"Cannot read {length} bytes at offset {offset}: neither may be negative.")
        return self._views(offset, min(length, self.size - offset))

    def _views(self, offset: int, length: int) -> Iterator[memoryview]:
        index = bisect.bisect_right(self._starts, offset) - 1
        while length > 0:
            within = offset - self._starts[index]
            step = min(length, self._segments[index].length - within)
            yield from self._segments[index].views(within, step)
            offset, length, index = offset + step, length - step, index + 1

    @cached_property
    def crc32(self) -> int:
        """CRC-32 of the whole package; takes no reading, however large it is."""
        return crc32_of(self._segments)

    def md5(self) -> bytes:
        """MD5 digest of the whole package (``Content-MD5`` is its Base64 form). Reads all of it, once."""
        return self._md5

    @cached_property
    def _md5(self) -> bytes:
        digest = hashlib.md5(usedforsecurity=False)
        for view in self.read(0, self.size):
            digest.update(view)
        return digest.digest()
