"""What a package holds, read from its end and its two XML files without reading the rest.

Layout: docs/wire/dmf-package-api.md#layout-of-a-package. A flat zip with one data file per entity,
``Manifest.xml`` and ``PackageHeader.xml``, both UTF-16 with a byte order mark and no declaration. Whatever else comes
is a damaged or foreign file and is refused before a byte of it is saved.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from talent_dmf.api.errors import PackageInvalidError
from talent_dmf.api.package.download_range import Source, read_range
from talent_dmf.api.package.manifest import FETCH_AGAIN, PackageManifest, parse_header, parse_manifest
from talent_dmf.api.steps import Steps

MANIFEST = "Manifest.xml"
HEADER = "PackageHeader.xml"
# The methods by which exports are packed. Of others zipfile unpacks all that comes, whatever the directory promises.
STORED, DEFLATED = 0, 8
# Holds the end records with the longest comment, and the directory of a few hundred files.
_TAIL_BYTES = 128 * 1024
_MAX_DIRECTORY_BYTES = 16 * 1024 * 1024
# A manifest of 92 entities has 1 MB.
_MAX_XML_BYTES = 64 * 1024 * 1024
_MAX_GAPS = 8
_SMALLEST_ZIP_BYTES = 22
_LOCAL_HEADER_BYTES = 30
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeError,
    OverflowError,
    ValueError,
)
_NOT_FLAT = re.compile(r"[/\\:\x00-\x1f]|^\.{1,2}$|^$")


@dataclass(frozen=True, slots=True)
class PackageEntry:
    """A file in the package.

    :param size_bytes: its length, unpacked.
    :param compressed_bytes: its length in the package.
    :param header_offset: where its local header begins.
    :param method: how it is packed: 0 stored, 8 deflated.
    :param crc32: its checksum, unpacked.
    """

    name: str
    size_bytes: int
    compressed_bytes: int
    header_offset: int = -1
    method: int = -1
    crc32: int = 0


@dataclass(frozen=True, slots=True)
class PackageEntity:
    """An entity that the manifest names.

    :param name: its label.
    :param target_entity: its name in the application; ``""`` in packages of version 1.
    :param file_name: its data file.
    :param source_format: ``EXCEL``, ``CSV-Unicode``, ``XML-Element``, …
    :param size_bytes: length of its data file, unpacked.
    """

    name: str
    target_entity: str
    file_name: str
    source_format: str
    size_bytes: int

    @property
    def is_empty(self) -> bool:
        """Whether the data file has no bytes at all; one with a header only is not empty in this sense."""
        return self.size_bytes == 0


@dataclass(frozen=True, slots=True)
class PackageContents:
    """What a package holds.

    :param definition_group_id: data project that it says to come from.
    :param entities: what the manifest names, in its order, if it has a data file.
    :param entries: all files, in the order of the directory.
    :param without_file: labels of the entities that the manifest names and the package holds no data file of: one of
        the forms of an empty delta (docs/wire/dmf-package-api.md#empty-packages). Whether they were empty, only the
        execution tells.
    """

    definition_group_id: str
    entities: tuple[PackageEntity, ...]
    entries: tuple[PackageEntry, ...]
    without_file: tuple[str, ...] = ()


def read_package(source: Source) -> Steps[PackageContents]:
    """Read what a package holds, and check that it is one.

    :param source: the blob.
    :raises PackageInvalidError: truncated, damaged, not flat, or without manifest or header.
    :raises PackageLinkExpiredError: the signature is not accepted any more; begin again with a new URL.
    """
    if source.size_bytes < _SMALLEST_ZIP_BYTES:
        raise PackageInvalidError(f"The package has {source.size_bytes} bytes and is no zip file. {FETCH_AGAIN}")
    sparse = _SparseFile(source.size_bytes)
    yield from _fetch(source, sparse, max(0, source.size_bytes - _TAIL_BYTES), _TAIL_BYTES)
    manifest_bytes: dict[str, bytes] = {}
    for _ in range(_MAX_GAPS):
        try:
            with zipfile.ZipFile(sparse) as archive:
                infos = archive.infolist()
                _check_entries(infos, archive.start_dir, source.size_bytes)
                for wanted in (MANIFEST, HEADER):
                    if wanted not in manifest_bytes:
                        manifest_bytes[wanted] = _member(archive, sparse, infos, wanted)
        except _GapError as gap:
            yield from _fetch(source, sparse, gap.offset, gap.length)
        except _DAMAGED as error:
            raise PackageInvalidError(
                f"The package is truncated or damaged: its zip directory cannot be read. {FETCH_AGAIN}",
                detail=f"{type(error).__name__}: {error}",
            ) from error
        else:
            parse_header(manifest_bytes[HEADER])
            return _contents(parse_manifest(manifest_bytes[MANIFEST]), infos)
    raise PackageInvalidError(f"The package is damaged: its zip directory leads nowhere. {FETCH_AGAIN}")


def _fetch(
    source: Source,
    sparse: _SparseFile,
    offset: int,
    length: int,
) -> Steps[None]:
    length = min(length, source.size_bytes - offset)
    if length > _MAX_DIRECTORY_BYTES + _MAX_XML_BYTES:
        raise PackageInvalidError("The package is damaged: its zip directory would be larger than 80 MiB.")
    data = bytearray(length)
    yield from read_range(source, offset, memoryview(data))
    sparse.add(offset, bytes(data))


def _check_entries(infos: Sequence[zipfile.ZipInfo], directory_offset: int, size_bytes: int) -> None:
    seen: set[str] = set()
    free_from = 0
    for info in sorted(infos, key=lambda each: each.header_offset):
        name = info.orig_filename
        if _NOT_FLAT.search(name):
            raise PackageInvalidError(
                f"The package holds a file named {name!r}; a package has plain file names only, and one with a path "
                "could overwrite files elsewhere. It is not unpacked or saved."
            )
        if name.casefold() in seen:
            raise PackageInvalidError(f"The package holds two files named {name!r}. {FETCH_AGAIN}")
        seen.add(name.casefold())
        if info.flag_bits & 0x1:
            raise PackageInvalidError(f"The file {name!r} in the package is encrypted, which no export is.")
        end = info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size
        if info.header_offset < free_from or end > min(directory_offset, size_bytes):
            raise PackageInvalidError(
                f"The package is truncated or damaged: the file {name!r} does not lie where the zip directory says. "
                + FETCH_AGAIN
            )
        free_from = end


def _member(archive: zipfile.ZipFile, sparse: _SparseFile, infos: Sequence[zipfile.ZipInfo], wanted: str) -> bytes:
    info = next((each for each in infos if each.filename.casefold() == wanted.casefold()), None)
    if info is None:
        raise PackageInvalidError(f"The package has no {wanted}, so it is none of Data management. {FETCH_AGAIN}")
    if info.file_size > _MAX_XML_BYTES or info.compress_size > _MAX_XML_BYTES:
        raise PackageInvalidError(f"The {wanted} of the package is larger than 64 MiB, which no export is.")
    if info.compress_type not in {STORED, DEFLATED}:
        raise PackageInvalidError(
            f"The {wanted} of the package is packed by method {info.compress_type}; exports are stored or deflated. "
            "It is not read: look at the execution in Data management."
        )
    # In one request rather than in zipfile's pieces; the extra field's length is not known yet.
    sparse.need(info.header_offset, _LOCAL_HEADER_BYTES + len(info.filename) * 4 + 1024 + info.compress_size)
    with archive.open(info) as file:
        # One byte more than promised: whoever lies about the size does not fill our memory.
        return file.read(info.file_size + 1)


def _contents(manifest: PackageManifest, infos: Sequence[zipfile.ZipInfo]) -> PackageContents:
    sizes = {info.filename.casefold(): info.file_size for info in infos}
    entities, without_file = [], []
    for named in manifest.entities:
        if _NOT_FLAT.search(named.file_name):
            raise PackageInvalidError(
                f"The manifest of the package names the file {named.file_name!r} for {named.name!r}, which is no plain "
                f"file name. {FETCH_AGAIN}"
            )
        size = sizes.get(named.file_name.casefold())
        if size is None:
            without_file.append(named.name)
            continue
        entities.append(
            PackageEntity(named.name, named.target_entity, named.file_name, named.source_format, size_bytes=size)
        )
    entries = tuple(
        PackageEntry(
            info.filename, info.file_size, info.compress_size, info.header_offset, info.compress_type, info.CRC
        )
        for info in infos
    )
    return PackageContents(manifest.definition_group_id, tuple(entities), entries, tuple(without_file))


class _GapError(Exception):
    """A read met bytes that were not fetched yet."""

    def __init__(self, offset: int, length: int) -> None:
        super().__init__(offset, length)
        self.offset, self.length = offset, length


class _SparseFile(io.RawIOBase):
    """A file of which only some ranges are known; a read of others says which."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__()
        self._size, self._position = size_bytes, 0
        self._known: list[tuple[int, bytes]] = []

    def add(self, offset: int, data: bytes) -> None:
        self._known.append((offset, data))

    def need(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self._size - offset))
        for start, data in self._known:
            if start <= offset and offset + length <= start + len(data):
                return data[offset - start : offset - start + length]
        raise _GapError(offset, length)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("before the beginning")
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        data = self.need(self._position, self._size - self._position if size is None or size < 0 else size)
        self._position += len(data)
        return data
