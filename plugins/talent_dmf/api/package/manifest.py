"""``Manifest.xml`` and ``PackageHeader.xml`` of a package.

They come from outside, so nothing in them is expanded: a document type declaration, and with it every entity, is
refused (no export has one).
"""

from __future__ import annotations

import codecs
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
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class ManifestEntity:
    """An entity in the manifest: its elements ``EntityName``, ``TargetEntity``, ``InputFilePath``, ``SourceFormat``."""

    name: str
    target_entity: str
    file_name: str
    source_format: str


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
            "The manifest of the package names no entity. Add entities to the data project and export again."
        )
    entities = tuple(
        ManifestEntity(
            name=found.get("EntityName", ""),
            target_entity=found.get("TargetEntity", ""),
            file_name=found.get("InputFilePath", ""),
            source_format=found.get("SourceFormat", ""),
        )
        for found in reader.entities
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

    def parse(self, data: bytes) -> None:
        # A mark decides against any declaration: the product writes UTF-16 and no declaration.
        marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        parser = expat.ParserCreate(encoding="UTF-16" if marked else None, namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._doctype
        try:
            parser.Parse(data, True)
        except expat.ExpatError as error:
            raise PackageInvalidError(
                f"The {self._file_name} of the package is damaged: {error}. {FETCH_AGAIN}"
            ) from error

    def _start(self, qualified: str, _attributes: dict[str, str]) -> None:
        name = qualified.rpartition(" ")[2]
        if not self._path and name != self._root:
            raise PackageInvalidError(
                f"The {self._file_name} of the package begins with <{name[:100]}>, not with <{self._root}>. "
                + FETCH_AGAIN
            )
        if len(self._path) >= _MAX_DEPTH:
            raise PackageInvalidError(f"The {self._file_name} of the package is nested deeper than any export.")
        self._path.append(name)
        if name == _ENTITY and len(self._path) == 3:
            self.entities.append({})
        is_field = len(self._path) == 2 or (len(self._path) == 4 and self._path[2] == _ENTITY)
        self._text = [] if is_field else None

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end(self, _qualified: str) -> None:
        name = self._path.pop()
        if self._text is not None:
            fields = self.top if len(self._path) == 1 else self.entities[-1]
            fields[name] = "".join(self._text).strip()
            self._text = None

    def _doctype(self, *_: object) -> NoReturn:
        raise PackageInvalidError(
            f"The {self._file_name} of the package declares a document type, which no export does. It is not read."
        )
