"""Records of a zip archive (PKWARE APPNOTE.TXT 6.3, the section numbers below), written without the data."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from dmf_emulator.packages.segments import BytesSegment, Segment, crc32_of

_STORED: Final = 0
_DEFLATED: Final = 8
_UTF8_NAME: Final = 0x0800
_ZIP64_TAG: Final = 1
_VERSION: Final = 20
_VERSION_ZIP64: Final = 45
_IN_ZIP64_EXTRA_16: Final = 0xFFFF
_IN_ZIP64_EXTRA_32: Final = 0xFFFFFFFF

# No size or offset within an archive of this size or less needs the 64-bit records.
MAX_SIZE_WITHOUT_ZIP64: Final = 0xFFFFFFFF


@dataclass(frozen=True)
class Entry:
    """One entry of the archive.

    :param name: as it stands in the archive.
    :param body: what follows the local header.
    :param method: compression method, 0 or 8.
    :param size: of the content, uncompressed, in bytes.
    :param crc32: declared CRC-32 of the content.
    :param rows: records of a data file, None for any other entry.
    :param zip64: this entry and whatever follows it may lie beyond 4 GiB.
    """

    name: str
    body: tuple[Segment, ...]
    method: int
    size: int
    crc32: int
    rows: int | None
    zip64: bool = False

    @property
    def compressed_size(self) -> int:
        """In bytes."""
        return sum(segment.length for segment in self.body)


def small_entry(name: str, content: bytes, rows: int | None = None) -> Entry:
    """An entry kept in memory: deflated, or stored if there is nothing to deflate."""
    body, method = content, _STORED
    if content:
        # Without zlib's header and trailer, as the archive wants it.
        deflater = zlib.compressobj(level=6, wbits=-15)
        body, method = deflater.compress(content) + deflater.flush(), _DEFLATED
    return Entry(name, (BytesSegment(body),), method, len(content), zlib.crc32(content), rows)


def corrupted_entry(name: str, content: bytes, rows: int | None) -> Entry:
    """An entry whose middle byte differs from the one its CRC-32 was taken of."""
    damaged = bytearray(content)
    damaged[len(damaged) // 2] ^= 1
    return replace(small_entry(name, bytes(damaged), rows), crc32=zlib.crc32(content))


def stored_entry(name: str, body: tuple[Segment, ...], rows: int, *, zip64: bool) -> Entry:
    """An entry as large as its segments say."""
    size = sum(segment.length for segment in body)
    return Entry(name, body, _STORED, size, crc32_of(body), rows, zip64)


def lay_out(entries: Sequence[Entry], created: datetime) -> tuple[list[Segment], bytes]:
    """The archive up to its central directory as segments, and the central directory with its end records.

    The lengths of all records depend on the names and on ``zip64`` only, never on the sizes: a generator that
    fills up to a total size can lay out with an empty entry first.
    """
    segments: list[Segment] = []
    directory = bytearray()
    offset = 0
    zip64 = False
    for entry in entries:
        directory += _central_header(entry, offset, created, offset_in_extra=zip64)
        header = _local_header(entry, created)
        segments += (BytesSegment(header), *entry.body)
        offset += len(header) + entry.compressed_size
        zip64 = zip64 or entry.zip64
    return segments, bytes(directory) + _end_records(len(entries), len(directory), offset, zip64=zip64)


def _local_header(entry: Entry, created: datetime) -> bytes:
    """4.3.7."""
    name = entry.name.encode()
    extra = b""
    sizes = entry.compressed_size, entry.size
    if entry.zip64:
        extra = struct.pack("<HHQQ", _ZIP64_TAG, 16, entry.size, entry.compressed_size)
        sizes = _IN_ZIP64_EXTRA_32, _IN_ZIP64_EXTRA_32
    common = _common_fields(entry, created, _VERSION_ZIP64 if entry.zip64 else _VERSION)
    return b"PK\x03\x04" + common + struct.pack("<IIHH", *sizes, len(name), len(extra)) + name + extra


def _central_header(entry: Entry, offset: int, created: datetime, *, offset_in_extra: bool) -> bytes:
    """4.3.12."""
    name = entry.name.encode()
    values = b""
    sizes = entry.compressed_size, entry.size
    if entry.zip64:
        values += struct.pack("<QQ", entry.size, entry.compressed_size)
        sizes = _IN_ZIP64_EXTRA_32, _IN_ZIP64_EXTRA_32
    if offset_in_extra:
        values += struct.pack("<Q", offset)
        offset = _IN_ZIP64_EXTRA_32
    extra = struct.pack("<HH", _ZIP64_TAG, len(values)) + values if values else b""
    version = _VERSION_ZIP64 if values else _VERSION
    return (
        b"PK\x01\x02"
        + struct.pack("<H", version)
        + _common_fields(entry, created, version)
        + struct.pack("<IIHHHHHII", *sizes, len(name), len(extra), 0, 0, 0, 0, offset)
        + name
        + extra
    )


def _common_fields(entry: Entry, created: datetime, version: int) -> bytes:
    moment = created.astimezone(UTC)
    dos_time = moment.hour << 11 | moment.minute << 5 | moment.second // 2
    dos_date = (moment.year - 1980) << 9 | moment.month << 5 | moment.day
    flags = 0 if entry.name.isascii() else _UTF8_NAME
    return struct.pack("<HHHHHI", version, flags, entry.method, dos_time, dos_date, entry.crc32)


def _end_records(count: int, directory_length: int, directory_offset: int, *, zip64: bool) -> bytes:
    """4.3.14 and 4.3.15 for large archives, 4.3.16 for all."""
    if not zip64:
        return struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, directory_length, directory_offset, 0)
    end64_fields = (44, _VERSION_ZIP64, _VERSION_ZIP64, 0, 0, count, count, directory_length, directory_offset)
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", *end64_fields)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, directory_offset + directory_length, 1)
    deferred = (_IN_ZIP64_EXTRA_16, _IN_ZIP64_EXTRA_16, _IN_ZIP64_EXTRA_32, _IN_ZIP64_EXTRA_32)
    return end64 + locator + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, *deferred, 0)
