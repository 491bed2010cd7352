"""The end of a zip file: how much of it is looked at, and where it says that the directory begins."""

from __future__ import annotations

# Holds the end records with the longest comment, and the directory of a few hundred files; and most small packages.
TAIL_BYTES = 128 * 1024
# At least 46 bytes an entry: so many entries are read in a few seconds.
MAX_DIRECTORY_BYTES = 4 * 1024 * 1024
# The record at the end, without its comment; a file without entries is nothing else.
END_BYTES = 22


def directory_offset(tail: bytes | bytearray, size_bytes: int) -> int:
    """Where the directory of a zip file begins, as far as its end tells (APPNOTE.TXT 4.3.14 and 4.3.16); its end
    otherwise, and for a directory that no package has.

    :param tail: its last bytes.
    :param size_bytes: its length.
    """
    end = tail.rfind(b"PK\5\6")
    if end < 0 or len(tail) - end < END_BYTES:
        return size_bytes
    offset = int.from_bytes(tail[end + 16 : end + 20], "little")
    larger = tail.rfind(b"PK\6\6", 0, end)
    if offset == 0xFFFFFFFF and larger >= 0:
        offset = int.from_bytes(tail[larger + 48 : larger + 56], "little")
    return offset if 0 < size_bytes - offset <= MAX_DIRECTORY_BYTES + TAIL_BYTES else size_bytes
