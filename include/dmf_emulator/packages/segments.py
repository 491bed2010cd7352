"""Stretches of an archive that can be read from anywhere and know their CRC-32."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

from dmf_emulator.packages.crc import crc32_combine, crc32_repeat


class Segment(Protocol):
    """A stretch of bytes of known length."""

    @property
    def length(self) -> int:
        """In bytes."""

    @property
    def identity(self) -> bytes:
        """Bytes that differ when the content differs; much shorter than the content where that is long."""

    def crc32(self) -> int:
        """Of the whole stretch."""

    def views(self, offset: int, length: int) -> Iterator[memoryview]:
        """The given range, which lies within the stretch, without copying."""


class BytesSegment:
    """Bytes kept in memory."""

    def __init__(self, content: bytes) -> None:
        self.identity = content
        self.length = len(content)

    def crc32(self) -> int:
        return zlib.crc32(self.identity)

    def views(self, offset: int, length: int) -> Iterator[memoryview]:
        if length:
            yield memoryview(self.identity)[offset : offset + length]


class CyclicSegment:
    """A block repeated end to end, however often, that begins somewhere within the block.

    :param block: shared by all segments of it; never copied.
    :param phase: where in the block the stretch begins, in bytes.
    :param length: of the stretch, in bytes.
    """

    def __init__(self, block: bytes, phase: int, length: int) -> None:
        self._block = memoryview(block)
        self._phase = phase
        self.length = length

    @property
    def identity(self) -> bytes:
        return b"%d:%d:%d" % (len(self._block), self._phase, self.length)

    def crc32(self) -> int:
        size = len(self._block)
        head = self._block[self._phase : self._phase + self.length]
        times, rest = divmod(self.length - len(head), size)
        crc = zlib.crc32(head)
        crc = crc32_combine(crc, crc32_repeat(zlib.crc32(self._block), size, times), size * times)
        return crc32_combine(crc, zlib.crc32(self._block[:rest]), rest)

    def views(self, offset: int, length: int) -> Iterator[memoryview]:
        start = (self._phase + offset) % len(self._block)
        while length:
            view = self._block[start : start + length]
            yield view
            length -= len(view)
            start = 0


def crc32_of(segments: tuple[Segment, ...]) -> int:
    """CRC-32 of segments one after the other."""
    crc = 0
    for segment in segments:
        crc = crc32_combine(crc, segment.crc32(), segment.length)
    return crc
