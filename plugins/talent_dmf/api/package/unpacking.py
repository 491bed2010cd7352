"""The files inside of a package: which are unpacked, under which names, and how their bytes come out of the zip.

Nothing of the zip decides where a file goes: a name is made from our template, every part of it is made harmless, and
the result is checked. Sizes and checksums are those of the zip's central directory, which ``api/package.py`` checked.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass

from talent_dmf.api.errors import ConfigurationError, PackageInvalidError
from talent_dmf.api.naming.file_names import FileNameFacts, check_unpack_name, fill_template, part_of_name
from talent_dmf.api.package.directory import DEFLATED, ENCRYPTED, STORED, PackageContents, PackageEntry
from talent_dmf.api.package.download_range import Source, read_range
from talent_dmf.api.package.manifest import FETCH_AGAIN
from talent_dmf.api.steps import Steps

_LOCAL_HEADER = struct.Struct("<4s22xHH")
# What comes out of one call of zlib: bounds its memory, whatever the file claims.
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class EntityFile:
    """A data file that is to be unpacked.

    :param entity: label of its entity.
    :param name: name that it gets.
    :param entry: where it lies in the package.
    """

    entity: str
    name: str
    entry: PackageEntry


def plan_unpacking(
    contents: PackageContents, template: str, facts: FileNameFacts, taken: Collection[str] = ()
) -> tuple[EntityFile, ...]:
    """Which files of a package are unpacked: the data files that its manifest names, each once.

    :param contents: what the package holds.
    :param template: names them.
    :param facts: what the placeholders stand for.
    :param taken: names that they must not have.
    :raises ConfigurationError: two files would have one name, or one would have a name that is taken.
    :raises PackageInvalidError: a file is packed in a way that no export is.
    """
    check_unpack_name(template)
    entries = {entry.name: entry for entry in contents.entries}
    owners = {name.casefold(): f"the file {name!r}" for name in taken}
    planned: list[EntityFile] = []
    seen: set[str] = set()
    for entity in contents.entities:
        key = entity.file_name
        if key in seen:
            continue
        seen.add(key)
        entry = _checked(entries[key])
        stem, dot, suffix = entry.name.rpartition("/")[2].rpartition(".")
        values = {
            **facts.values(),
            "entity": part_of_name(entity.name),
            "stem": part_of_name(stem if stem else entry.name.rpartition("/")[2]),
            "suffix": f".{part_of_name(suffix)}" if stem and dot and suffix else "",
        }
        name = fill_template(template, values)
        # By its place in the manifest and not by its label: two entities may have one label.
        other = owners.get(name.casefold())
        if other is not None:
            raise ConfigurationError(
                f"The entity {entity.name!r} would be unpacked as {name!r}, and so is {other}. Put {{entity}} and "
                "{stem} into the name template."
            )
        owners[name.casefold()] = f"the entity {entity.name!r}"
        planned.append(EntityFile(entity.name, name, entry))
    return tuple(planned)


def _checked(entry: PackageEntry) -> PackageEntry:
    if entry.method == ENCRYPTED:
        raise PackageInvalidError(
            f"The file {entry.name[:200]!r} in the package is encrypted, which no export is. Save the package as it is."
        )
    if entry.method not in {STORED, DEFLATED}:
        raise PackageInvalidError(
            f"The file {entry.name!r} in the package is packed by method {entry.method}; exports are stored or "
            "deflated. Save the package as it is."
        )
    if entry.method == STORED and entry.compressed_bytes != entry.size_bytes:
        raise _damaged(entry, "its two lengths differ although it is not compressed")
    if entry.size_bytes == 0 and entry.crc32 != 0:
        raise _damaged(entry, "its checksum is wrong")
    return entry


def find_data(source: Source, entry: PackageEntry) -> Steps[int]:
    """The position of a file's first packed byte. Only its local header says it: the extra field there may be longer
    than that of the directory.

    :param source: the package.
    :param entry: the file.
    :raises PackageInvalidError: there is no such file at that place.
    """
    header = bytearray(_LOCAL_HEADER.size)
    if entry.header_offset < 0 or entry.header_offset + len(header) > source.size_bytes:
        raise _damaged(entry, "it does not lie where the zip directory says")
    yield from read_range(source, entry.header_offset, memoryview(header))
    signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    start: int = entry.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
    if signature != b"PK\x03\x04" or start + entry.compressed_bytes > source.size_bytes:
        raise _damaged(entry, "it does not lie where the zip directory says")
    return start


class EntryDecoder:
    """Unpacks one file in order, and checks its length and checksum before its last byte is given out.

    :param entry: the file.
    """

    def __init__(self, entry: PackageEntry) -> None:
        self._entry = entry
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == DEFLATED else None
        self._rest = memoryview(b"")
        self._crc32 = 0
        self.position = 0

    def fill(self, into: memoryview, more: Callable[[], memoryview]) -> None:
        """Unpack the next bytes.

        :param into: buffer to fill; not longer than what is left of the file.
        :param more: gives the next packed bytes, and nothing at their end.
        :raises PackageInvalidError: the file is damaged, or not as long as the directory says.
        """
        filled = 0
        try:
            while filled < len(into):
                piece = self._piece(min(len(into) - filled, _PIECE_BYTES), more)
                if not piece:
                    raise _damaged(self._entry, "it is shorter than the zip directory says")
                into[filled : filled + len(piece)] = piece
                filled += len(piece)
            self._crc32 = zlib.crc32(into, self._crc32)
            self.position += len(into)
            if self.position == self._entry.size_bytes:
                self._check_end(more)
        except zlib.error as error:
            raise _damaged(self._entry, "it cannot be decompressed") from error

    def _piece(self, limit: int, more: Callable[[], memoryview]) -> bytes | memoryview:
        if self._inflate is None:
            if not self._rest:
                self._rest = more()
            piece, self._rest = self._rest[:limit], self._rest[limit:]
            return piece
        while not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or more()
            unpacked = self._inflate.decompress(packed, limit)
            if unpacked or not packed:
                return unpacked
        return b""

    def _check_end(self, more: Callable[[], memoryview]) -> None:
        if self._piece(1, more):
            raise _damaged(self._entry, "it is longer than the zip directory says")
        if self._inflate is not None and not self._inflate.eof:
            raise _damaged(self._entry, "it is cut short")
        if self._crc32 != self._entry.crc32:
            raise _damaged(self._entry, "its checksum is wrong")


def _damaged(entry: PackageEntry, words: str) -> PackageInvalidError:
    return PackageInvalidError(f"The file {entry.name!r} in the package is damaged: {words}. {FETCH_AGAIN}")
