"""The checksums of everything in a package, checked while its bytes pass.

A package that is saved as it is would otherwise be saved with whatever damage it has: size and hash prove only that
what was read has arrived. Lengths and CRC-32 of all entries stand in the zip's directory, which was read before.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from types import ModuleType

from talent_dmf.api.errors import PackageInvalidError
from talent_dmf.api.package.directory import DEFLATED, STORED, PackageEntry
from talent_dmf.api.package.manifest import FETCH_AGAIN

_LOCAL_HEADER = struct.Struct("<4s22xHH")
# What goes into one call of zlib, which copies what it has not consumed yet, and what comes out of it: that bounds its
# memory, whatever the file claims.
_PACKED_BYTES, _PIECE_BYTES = 256 * 1024, 1024 * 1024


class PackageCheck:
    """The check of one package, over its bytes in order; those that pass again are passed over.

    :param entries: what the directory says. Entries of another method than stored and deflated are not checked.
    :param start: position before which everything was checked already; the beginning of an entry, or 0.
    :param library: inflates and computes checksums, with the interface of :mod:`zlib`.
    """

    def __init__(self, entries: Iterable[PackageEntry], start: int = 0, *, library: ModuleType = zlib) -> None:
        self._library = library
        self._entries = sorted((each for each in entries if each.header_offset >= start), key=lambda e: e.header_offset)
        self._entries.reverse()
        self._header = bytearray()
        self._entry: _EntryCheck | None = None
        self.position = start
        self.checked_bytes = start

    def feed(self, offset: int, data: memoryview) -> None:
        """Check a range.

        :param offset: position of the range; not beyond what has passed.
        :param data: its bytes.
        :raises PackageInvalidError: an entry is damaged.
        :raises ValueError: bytes in between are missing.
        """
        known = self.position - offset
        if known < 0:
            raise ValueError(f"Bytes {self.position} to {offset} of the package were not checked.")
        data = data[known:]
        while data:
            taken = self._take(data)
            self.position += taken
            data = data[taken:]

    def finish(self) -> None:
        """The package has passed to its end.

        :raises PackageInvalidError: it ended within an entry.
        """
        if self._entry is not None or self._entries:
            left = self._entry.entry if self._entry is not None else self._entries[-1]
            raise _damaged(left, "it is cut short")

    def _take(self, data: memoryview) -> int:
        if self._entry is not None:
            return self._pass_on(self._entry, data)
        if not self._entries:
            return len(data)
        entry = self._entries[-1]
        if self.position < entry.header_offset:
            return min(len(data), entry.header_offset - self.position)
        return self._read_header(entry, data)

    def _read_header(self, entry: PackageEntry, data: memoryview) -> int:
        taken = bytes(data[: _LOCAL_HEADER.size - len(self._header)])
        self._header += taken
        if len(self._header) == _LOCAL_HEADER.size:
            signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(self._header)
            if signature != b"PK\x03\x04":
                raise _damaged(entry, "it does not lie where the zip directory says")
            self._header.clear()
            self._entries.pop()
            self._entry = _EntryCheck(entry, name_bytes + extra_bytes, self._library)
        return len(taken)

    def _pass_on(self, check: _EntryCheck, data: memoryview) -> int:
        taken = check.feed(data)
        if check.is_over:
            check.finish()
            self._entry = None
            self.checked_bytes = self.position + taken
        return taken


class _EntryCheck:
    """The check of one entry.

    :param entry: what the directory says.
    :param skip_bytes: length of its name and extra field, which come first.
    :param library: as for :class:`PackageCheck`.
    """

    def __init__(self, entry: PackageEntry, skip_bytes: int, library: ModuleType) -> None:
        self.entry, self._library = entry, library
        self._skip_bytes, self._left_bytes = skip_bytes, entry.compressed_bytes
        self._inflate = library.decompressobj(-zlib.MAX_WBITS) if entry.method == DEFLATED else None
        self._crc32, self._unpacked_bytes = 0, 0

    @property
    def is_over(self) -> bool:
        return not self._skip_bytes and not self._left_bytes

    def feed(self, data: memoryview) -> int:
        if self._skip_bytes:
            taken = min(len(data), self._skip_bytes)
            self._skip_bytes -= taken
            return taken
        data = data[: min(self._left_bytes, _PACKED_BYTES)]
        self._left_bytes -= len(data)
        if self._inflate is not None:
            self._unpack(data)
        elif self.entry.method == STORED:
            self._count(data)
        return len(data)

    def _unpack(self, data: memoryview | bytes) -> None:
        inflate = self._inflate
        assert inflate is not None
        try:
            while data and not inflate.eof:
                self._count(inflate.decompress(data, _PIECE_BYTES))
                data = inflate.unconsumed_tail
        except self._library.error:
            raise _damaged(self.entry, "it cannot be decompressed") from None

    def _count(self, unpacked: memoryview | bytes) -> None:
        self._crc32 = self._library.crc32(unpacked, self._crc32)
        self._unpacked_bytes += len(unpacked)
        if self._unpacked_bytes > self.entry.size_bytes:
            raise _damaged(self.entry, "it is longer than the zip directory says")

    def finish(self) -> None:
        if self.entry.method not in {STORED, DEFLATED}:
            return
        if self._inflate is not None:
            self._unpack_rest()
        if self._unpacked_bytes < self.entry.size_bytes:
            raise _damaged(self.entry, "it is shorter than the zip directory says")
        if self._crc32 != self.entry.crc32:
            raise _damaged(self.entry, "its checksum is wrong")

    def _unpack_rest(self) -> None:
        inflate = self._inflate
        assert inflate is not None
        while not inflate.eof:
            unpacked = inflate.decompress(inflate.unconsumed_tail, _PIECE_BYTES)
            if not unpacked:
                break
            self._count(unpacked)
        if not inflate.eof and self.entry.size_bytes:
            raise _damaged(self.entry, "it is cut short")


def _damaged(entry: PackageEntry, words: str) -> PackageInvalidError:
    return PackageInvalidError(f"The file {entry.name[:200]!r} in the package is damaged: {words}. {FETCH_AGAIN}")
