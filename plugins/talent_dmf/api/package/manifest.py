"""``Manifest.xml`` and ``PackageHeader.xml`` of a package.

They come from outside, so nothing in them is expanded: a document type declaration, and with it every entity, is
refused (no export has one).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import NoReturn
from xml.parsers import expat

from talent_dmf.api.errors import PackageInvalidError

# What to do about a package that is damaged. An incremental export is consumed when it runs, not when it is fetched
# (docs/wire/dmf-package-api.md#incremental-exports), and each link is to a new copy of the package: so exporting again
# comes last.
FETCH_AGAIN = (
    "Clear get_package_url to fetch it again; export again only if that does not help, because what an incremental "
    "export held is not in the next one."
)
_MANIFEST_ROOT = "DataManagementPackageManifest"
_HEADER_ROOT = "DataManagementPackageHeader"
_ENTITY = "DataManagementPackageEntityData"
_MAP = ["EntityMapList", "EntityMap", "EntityField"]
# Bounds that no export comes near: one of 92 entities has a manifest of 1 MB.
MAX_XML_BYTES = 8 * 1024 * 1024
MAX_ENTITIES = 5000
MAX_LABEL_CHARACTERS = 512
_MAX_DEPTH = 64
_MAX_ATTRIBUTES = 64
_MAX_TAG_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024
_LABELS = frozenset(
    {"DefinitionGroupName", "EntityName", "InputFilePath", "SourceFormat", "TargetEntity", "PackageVersion"}
)
# How the text begins decides against any declaration: the product writes UTF-16 and none.
_MARKS = (
    # Before those of UTF-16, with one of which it begins.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_CODECS = frozenset(
    {
        "utf-8",
        "utf-8-sig",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "us-ascii",
        "iso-8859-1",
        "iso-8859-15",
        "windows-1252",
    }
)
_DECLARATION = re.compile(rb"""\s*<\?xml[^>]{0,200}encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_ANY_DECLARATION = re.compile(r"<\?xml\s[^>]{0,500}\?>")


@dataclass(frozen=True, slots=True)
class ManifestEntity:
    """An entity in the manifest: its elements ``EntityName``, ``TargetEntity``, ``InputFilePath``, ``SourceFormat``,
    and the ``EntityField`` of each of its maps, in their order, which is not that of the columns.
    """

    name: str
    target_entity: str
    file_name: str
    source_format: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PackageManifest:
    """What the manifest says.

    :param definition_group_id: the data project.
    :param entities: its entities, in their order.
    """

    definition_group_id: str
    entities: tuple[ManifestEntity, ...]


def parse_manifest(data: bytes) -> PackageManifest:
    """Read a manifest.

    :param data: the file.
    :raises PackageInvalidError: it is no manifest, or names no entity.
    """
    reader = _Reader("Manifest.xml", _MANIFEST_ROOT)
    reader.parse(data)
    if not reader.entities:
        raise PackageInvalidError(
            "The manifest of the package names no entity. Add entities to the data project; then clear trigger_export."
        )
    entities = tuple(
        ManifestEntity(
            name=found.get("EntityName", ""),
            target_entity=found.get("TargetEntity", ""),
            file_name=found.get("InputFilePath", ""),
            source_format=found.get("SourceFormat", ""),
            fields=tuple(fields),
        )
        for found, fields in zip(reader.entities, reader.fields, strict=True)
    )
    return PackageManifest(reader.top.get("DefinitionGroupName", ""), entities)


def parse_header(data: bytes) -> str:
    """Read a package header.

    :param data: the file.
    :returns: the version of the package's layout.
    :raises PackageInvalidError: it is none.
    """
    reader = _Reader("PackageHeader.xml", _HEADER_ROOT)
    reader.parse(data)
    return reader.top.get("PackageVersion", "")


class _Reader:
    """Collects the texts of the elements below the root and below each entity."""

    def __init__(self, file_name: str, root: str) -> None:
        self._file_name, self._root = file_name, root
        self._path: list[str] = []
        self._text: list[str] | None = None
        self.top: dict[str, str] = {}
        self.entities: list[dict[str, str]] = []
        self.fields: list[list[str]] = []

    def parse(self, data: bytes) -> None:
        text = self._decoded(data)
        parser = expat.ParserCreate(encoding="UTF-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._doctype
        try:
            for start in range(0, len(text), _PIECE_BYTES):
                parser.Parse(text[start : start + _PIECE_BYTES], False)
                if start - max(parser.CurrentByteIndex, 0) > _MAX_TAG_BYTES:
                    raise self._unlike("has a tag of more than 1 MiB")
            parser.Parse(b"", True)
        except (expat.ExpatError, ValueError) as error:
            raise PackageInvalidError(
                f"The {self._file_name} of the package is damaged: {error}. {FETCH_AGAIN}"
            ) from error

    def _decoded(self, data: bytes) -> bytes:
        """The text in UTF-8, without its declaration: what it declares and how it is written are often two things
        (docs/wire/dmf-package-api.md#manifest).
        """
        if len(data) > MAX_XML_BYTES:
            raise self._unlike(f"has more than {MAX_XML_BYTES // 1024**2} MiB")
        codec = next((codec for start, codec in _MARKS if data.startswith(start)), "utf-8")
        declared = _DECLARATION.match(data)
        for each in (codec, declared[1].decode("ascii").lower() if declared else ""):
            if each in _CODECS:
                try:
                    text = data.decode(each)
                except UnicodeError:
                    continue
                return _ANY_DECLARATION.sub("", text.lstrip("\ufeff\r\n\t "), count=1).encode()
        raise PackageInvalidError(
            f"The {self._file_name} of the package is damaged: it is no text in UTF-16 or UTF-8. {FETCH_AGAIN}"
        )

    def _unlike(self, words: str) -> PackageInvalidError:
        return PackageInvalidError(
            f"The {self._file_name} of the package {words}, which no export has. It is not read: look at the execution "
            "in Data management."
        )

    def _start(self, qualified: str, attributes: dict[str, str]) -> None:
        name = qualified.rpartition(" ")[2]
        if len(attributes) > _MAX_ATTRIBUTES:
            raise self._unlike(f"has an element with {len(attributes)} attributes")
        if not self._path and name != self._root:
            raise PackageInvalidError(
                f"The {self._file_name} of the package begins with <{name[:100]}>, not with <{self._root}>. "
                + FETCH_AGAIN
            )
        if len(self._path) >= _MAX_DEPTH:
            raise self._unlike(f"is nested more than {_MAX_DEPTH} levels deep")
        self._path.append(name)
        if name == _ENTITY and len(self._path) == 3:
            if len(self.entities) == MAX_ENTITIES:
                raise self._unlike(f"names more than {MAX_ENTITIES} entities")
            self.entities.append({})
            self.fields.append([])
        below = self._path[2:3] == [_ENTITY]
        is_field = len(self._path) == 2 or (len(self._path) == 4 and below) or (below and self._path[3:] == _MAP)
        self._text = [] if is_field else None

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end(self, _qualified: str) -> None:
        name = self._path.pop()
        if self._text is not None:
            fields = self.top if len(self._path) == 1 else self.entities[-1]
            value = "".join(self._text).strip()
            if len(self._path) == 5:
                self.fields[-1] += [value] if 0 < len(value) <= MAX_LABEL_CHARACTERS else []
                self._text = None
                return
            if len(value) > MAX_LABEL_CHARACTERS and name in _LABELS:
                raise self._unlike(f"has a name of {len(value)} characters ({name})")
            fields[name] = value
            self._text = None

    def _doctype(self, *_: object) -> NoReturn:
        raise PackageInvalidError(
            f"The {self._file_name} of the package declares a document type, which no export does. It is not "
            "read: look at the execution in Data management."
        )
