"""What a package holds, read from its end and its two XML files without reading the rest.

Layout: docs/wire/dmf-package-api.md#layout-of-a-package. A flat zip with one data file per entity,
``Manifest.xml`` and ``PackageHeader.xml``, both UTF-16 with a byte order mark and no declaration. Whatever else comes
is a damaged or foreign file and is refused before a byte of it is saved.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from talent_dmf.api.errors import PackageInvalidError
from talent_dmf.api.package.download_range import Source, read_range
from talent_dmf.api.package.manifest import (
    FETCH_AGAIN,
    MAX_XML_BYTES,
    PackageManifest,
    parse_header,
    parse_manifest,
)
from talent_dmf.api.package.zip_end import END_BYTES, MAX_DIRECTORY_BYTES, TAIL_BYTES
from talent_dmf.api.steps import Steps

MANIFEST = "Manifest.xml"
HEADER = "PackageHeader.xml"
# The methods by which exports are packed. Of others zipfile unpacks all that comes, whatever the directory promises.
STORED, DEFLATED = 0, 8
# In the place of the method of an entry that only a password opens.
ENCRYPTED = -2
_UTF8_FLAG, _ENCRYPTED_FLAG = 0x800, 0x1
_MAX_GAPS = 8
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
# A name that leads out of the folder that a package is unpacked in, or is none.
_LEADS_OUT = re.compile(r"^/|(^|/)\.\.(/|$)|(^|/)[A-Za-z]:|\x00|^\.?$")


@dataclass(frozen=True, slots=True)
class PackageEntry:
    """A file in the package.

    :param size_bytes: its length, unpacked.
    :param compressed_bytes: its length in the package.
    :param header_offset: where its local header begins.
    :param method: how it is packed: 0 stored, 8 deflated; -2 if it is encrypted.
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
    :param fields: names of its fields, as the manifest maps them.
    """

    name: str
    target_entity: str
    file_name: str
    source_format: str
    size_bytes: int
    fields: tuple[str, ...] = ()

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
    attachments: tuple[str, ...] = ()
    unclaimed: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """What two packages have in common that hold the same: names, lengths and checksums, and no times."""
        facts = sorted(f"{entry.name}\0{entry.size_bytes}\0{entry.crc32}" for entry in self.entries)
        return hashlib.sha256("\1".join(facts).encode("utf-8", "surrogatepass")).hexdigest()[:40]


def read_package(source: Source) -> Steps[PackageContents]:
    """Read what a package holds, and check that it is one.

    :param source: the blob.
    :raises PackageInvalidError: truncated, damaged, not flat, or without manifest or header.
    :raises PackageLinkExpiredError: the signature is not accepted any more; begin again with a new URL.
    """
    if source.size_bytes < END_BYTES:
        raise PackageInvalidError(f"The package has {source.size_bytes} bytes and is no zip file. {FETCH_AGAIN}")
    sparse = _SparseFile(source.size_bytes)
    if source.tail:
        sparse.add(source.size_bytes - len(source.tail), source.tail)
    else:
        yield from _fetch(source, sparse, max(0, source.size_bytes - TAIL_BYTES), TAIL_BYTES)
    manifest_bytes: dict[str, bytes] = {}
    for _ in range(_MAX_GAPS):
        try:
            sparse.most_bytes = MAX_DIRECTORY_BYTES
            with zipfile.ZipFile(sparse) as archive:
                sparse.most_bytes = MAX_DIRECTORY_BYTES + MAX_XML_BYTES
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
    data = bytearray(min(length, source.size_bytes - offset))
    yield from read_range(source, offset, memoryview(data))
    sparse.add(offset, bytes(data))


def entry_name(info: zipfile.ZipInfo) -> str:
    """The name of an entry in normal form, whatever way the zip spells it: ``/`` between folders, composed characters,
    and UTF-8 also where the zip does not say that it is.

    :param info: the entry.
    """
    name = info.orig_filename
    if not info.flag_bits & _UTF8_FLAG:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/")).casefold()


def _check_entries(infos: Sequence[zipfile.ZipInfo], directory_offset: int, size_bytes: int) -> None:
    free_from = 0
    for info in sorted(infos, key=lambda each: each.header_offset):
        name = entry_name(info)
        if _LEADS_OUT.search(name) or stat.S_ISLNK(info.external_attr >> 16):
            raise PackageInvalidError(
                f"The package holds a file named {name[:200]!r}, which could overwrite files elsewhere when somebody "
                "unpacks it. It is not saved: look at the execution in Data management."
            )
        end = info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size
        if info.header_offset < free_from or end > min(directory_offset, size_bytes):
            raise PackageInvalidError(
                f"The package is truncated or damaged: the file {name[:200]!r} does not lie where the zip directory "
                f"says. {FETCH_AGAIN}"
            )
        free_from = end


def _member(archive: zipfile.ZipFile, sparse: _SparseFile, infos: Sequence[zipfile.ZipInfo], wanted: str) -> bytes:
    found = [each for each in infos if _key(entry_name(each)) == _key(wanted)]
    if len(found) > 1:
        raise _twice(wanted)
    info = found[0] if found else None
    if info is None:
        raise PackageInvalidError(
            f"The package has no {wanted}, which Data management puts into every one. {FETCH_AGAIN}"
        )
    if info.file_size > MAX_XML_BYTES or info.compress_size > MAX_XML_BYTES:
        raise PackageInvalidError(
            f"The {wanted} of the package has more than {MAX_XML_BYTES // 1024**2} MiB, which no export has. It is not "
            "read: look at the execution in Data management."
        )
    if info.flag_bits & _ENCRYPTED_FLAG:
        raise PackageInvalidError(f"The {wanted} of the package is encrypted, which no export is. {FETCH_AGAIN}")
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


def _twice(name: str) -> PackageInvalidError:
    return PackageInvalidError(f"The package holds two files named {name[:200]!r}. {FETCH_AGAIN}")


def _entry(info: zipfile.ZipInfo) -> PackageEntry:
    method = ENCRYPTED if info.flag_bits & _ENCRYPTED_FLAG else info.compress_type
    return PackageEntry(entry_name(info), info.file_size, info.compress_size, info.header_offset, method, info.CRC)


def _contents(manifest: PackageManifest, infos: Sequence[zipfile.ZipInfo]) -> PackageContents:
    entries = tuple(_entry(info) for info in infos)
    by_key = {_key(entry.name): entry for entry in entries}
    counts = Counter(_key(entry.name) for entry in entries)
    entities, without_file = [], []
    claimed = {_key(MANIFEST), _key(HEADER)}
    for named in manifest.entities:
        if not named.file_name or _LEADS_OUT.search(named.file_name.replace("\\", "/")):
            raise PackageInvalidError(
                f"The manifest of the package names the file {named.file_name!r} for {named.name!r}, which is no name "
                f"of a file in it. {FETCH_AGAIN}"
            )
        entry = by_key.get(_key(named.file_name))
        if entry is None or entry.name.endswith("/"):
            without_file.append(named.name)
            continue
        # What belongs to no entity may well be there twice: it is neither read nor unpacked.
        if counts[_key(entry.name)] > 1:
            raise _twice(entry.name)
        claimed.add(_key(entry.name))
        entities.append(
            PackageEntity(
                named.name,
                named.target_entity,
                entry.name,
                named.source_format,
                size_bytes=entry.size_bytes,
                fields=named.fields,
            )
        )
    others = [each.name for each in entries if _key(each.name) not in claimed and not each.name.endswith("/")]
    return PackageContents(
        manifest.definition_group_id,
        tuple(entities),
        entries,
        tuple(without_file),
        attachments=tuple(name for name in others if "/" in name),
        unclaimed=tuple(name for name in others if "/" not in name),
    )


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

    # Most bytes of one read: a directory that claims to be larger is not asked for.
    most_bytes = MAX_DIRECTORY_BYTES

    def add(self, offset: int, data: bytes) -> None:
        self._known.append((offset, data))

    def need(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self._size - offset))
        if length > self.most_bytes:
            raise PackageInvalidError(
                f"The zip directory of the package has {length} bytes, and no export more than "
                f"{MAX_DIRECTORY_BYTES // 1024**2} MiB: it is damaged, or holds far too many files. {FETCH_AGAIN}"
            )
        for start, data in self._known:
            if start <= offset and offset + length <= start + len(data):
                return data[offset - start : offset - start + length]
        raise _GapError(offset, length)

    def seekable(self) -> bool:
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
