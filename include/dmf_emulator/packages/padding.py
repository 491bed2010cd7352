"""The additional entity whose rows bring a package to its target size.

The label is ``Package padding``, the target entity ``EmulatorPackagePaddingEntity``, the format XML-Element in UTF-8
(one byte per character, so every size can be met; CSV-Unicode has two). Manifest and archive both list it, and the
description in the manifest says what it is for. Its data file is an ordinary one: well-formed, one element per row, a
last row as long as it takes. Unlike the other data files it is stored, not deflated: only so is its size known in
advance and every byte of it found without producing those before.

The rows repeat after 2,063 of 509 bytes each, 1,050,067 bytes. Both factors are prime, so the block has no common
period with the chunk sizes transfers use (multiples of 320 KiB, 1 MiB, ...): chunks swapped or sent twice change the
file. Seed, legal entity and project decide with which row a package begins.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Final

from dmf_emulator.packages.datafiles import XML_ELEMENT_CLOSE, XML_ELEMENT_OPEN
from dmf_emulator.packages.segments import BytesSegment, CyclicSegment, Segment
from dmf_emulator.packages.spec import EntitySpec, PackageSpec

ROW_BYTES: Final = 509
BLOCK_ROWS: Final = 2063

PADDING_ENTITY: Final = EntitySpec(
    name="Package padding",
    target_entity="EmulatorPackagePaddingEntity",
    source_format="XML-Element",
    rows=0,
    fields=("BLOCKLINE", "PADDING"),
)

_ELEMENT: Final = PADDING_ENTITY.target_entity.upper()


def _row(block_line: int, filler: str) -> bytes:
    return (f"<{_ELEMENT}><BLOCKLINE>{block_line:04d}</BLOCKLINE><PADDING>{filler}</PADDING></{_ELEMENT}>\n").encode()


_EMPTY_ROW_BYTES: Final = len(_row(0, ""))
_FRAME_BYTES: Final = len(XML_ELEMENT_OPEN) + len(XML_ELEMENT_CLOSE)
MIN_PADDING_BYTES: Final = _FRAME_BYTES + _EMPTY_ROW_BYTES


@functools.cache
def padding_block() -> bytes:
    """The rows that repeat: made once per process, shared by all packages."""
    filler_length = ROW_BYTES - _EMPTY_ROW_BYTES
    return b"".join(
        _row(line, hashlib.shake_128(b"%d" % line).hexdigest(filler_length // 2 + 1)[:filler_length])
        for line in range(BLOCK_ROWS)
    )


def padding_file(package: PackageSpec, length: int) -> tuple[tuple[Segment, ...], int]:
    """The padding entity's data file, of exactly ``length`` bytes, and the number of its rows.

    :param length: at least :data:`MIN_PADDING_BYTES`.
    """
    full_rows, extra = divmod(length - MIN_PADDING_BYTES, ROW_BYTES)
    key = f"{package.seed}\0{package.legal_entity.upper()}\0{package.definition_group}".encode()
    first_row = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest()) % BLOCK_ROWS
    last_row = _row((first_row + full_rows) % BLOCK_ROWS, "0" * extra)
    segments = (
        BytesSegment(XML_ELEMENT_OPEN.encode()),
        CyclicSegment(padding_block(), first_row * ROW_BYTES, full_rows * ROW_BYTES),
        BytesSegment(last_row + XML_ELEMENT_CLOSE.encode()),
    )
    return segments, full_rows + 1
