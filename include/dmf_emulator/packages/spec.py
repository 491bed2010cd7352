"""What a data package shall hold: the input of the generator, checked as soon as it is written down."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

# Extension of the data file by source format; the names are those of Manifest.xml's SourceFormat.
SOURCE_FORMATS: Final = {"EXCEL": ".xlsx", "CSV-Unicode": ".csv", "XML-Element": ".xml"}
DELTAS: Final = ("header-only", "zero-byte", "missing-entry", "some")
DEFECTS: Final = ("truncated", "corrupt", "zip-slip", "missing-manifest")

# A sheet has 1,048,576 rows and the header takes one. Larger packages are a matter of target_size_bytes.
MAX_ROWS: Final = 1_048_575
MAX_ENTITIES: Final = 1000
MAX_LABEL_LENGTH: Final = 200

MANIFEST_NAME: Final = "Manifest.xml"
HEADER_NAME: Final = "PackageHeader.xml"

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
_ILLEGAL_IN_FILE_NAMES = re.compile(r'[\\/:*?"<>|]')
# A package always is of some moment; a fixed one keeps a specification that does not care reproducible.
_DEFAULT_CREATED: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class EntitySpec:
    """One entity of a data project.

    :param name: label, such as ``Country/regions``; it names the data file and, for Excel, the sheet.
    :param target_entity: AOT name, such as ``HcmWorkerEntity``.
    :param source_format: ``EXCEL``, ``CSV-Unicode`` or ``XML-Element``.
    :param rows: number of records of a full export, 0 to 1,048,575.
    :param fields: field names in the order of the columns; without them those of a worker, a position, a job or
        of a plain entity, chosen by ``target_entity``.
    :raises ValueError: a value from which no data file can be made.
    """

    name: str
    target_entity: str
    source_format: str
    rows: int
    fields: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _check_label("entity name", self.name)
        if not _IDENTIFIER.fullmatch(self.target_entity):
            raise ValueError(
                f"Entity {self.name!r} has the target entity {self.target_entity!r}: "
                "use an AOT name of letters, digits and underscores, such as HcmWorkerEntity."
            )
        if self.source_format not in SOURCE_FORMATS:
            raise ValueError(
                f"Entity {self.name!r} has the unknown source format {self.source_format!r}: "
                f"use one of {', '.join(SOURCE_FORMATS)}."
            )
        if not 0 <= self.rows <= MAX_ROWS:
            raise ValueError(
                f"Entity {self.name!r} asks for {self.rows} rows: use 0 to {MAX_ROWS}, "
                "and target_size_bytes for larger packages."
            )
        if self.fields is not None:
            self._check_fields(self.fields)
        if self.file_name == SOURCE_FORMATS[self.source_format]:
            raise ValueError(f"Entity {self.name!r} has no character that is legal in a file name: rename it.")

    def _check_fields(self, fields: tuple[str, ...]) -> None:
        if not fields:
            raise ValueError(f"Entity {self.name!r} has no fields: name at least one, or leave fields out.")
        for field in fields:
            if not _IDENTIFIER.fullmatch(field):
                raise ValueError(
                    f"Entity {self.name!r} has the field {field!r}: use letters, digits and underscores only."
                )
        if len({field.upper() for field in fields}) < len(fields):
            raise ValueError(f"Entity {self.name!r} names a field twice: field names are compared in upper case.")

    @property
    def file_name(self) -> str:
        """Name of the data file: the label without characters illegal in file names, and the extension."""
        stem = _ILLEGAL_IN_FILE_NAMES.sub("", self.name).strip(" .")
        return stem + SOURCE_FORMATS[self.source_format]

    @property
    def sheet_name(self) -> str:
        """Name of the Excel sheet: the label with spaces as underscores.

        Cut at 30 characters, not at Excel's 31: EnvironmentDataLoader's manifest keeps ``ExcelSheetName``, which
        ends in ``$``, within 31 (``Workflow_work_item_queue_assig$``).
        """
        return re.sub(r"[\[\]']", "", self.file_name.rpartition(".")[0]).replace(" ", "_")[:30] or "Sheet1"


@dataclass(frozen=True)
class PackageSpec:
    """One data package, as an export of a data project for one legal entity leaves it behind.

    :param definition_group: name of the data project.
    :param legal_entity: company code, such as ``USMF``; people and other values depend on it.
    :param entities: the entities of the project, one data file each.
    :param target_size_bytes: exact size of the package; reached by the rows of an additional entity, see
        :mod:`dmf_emulator.packages.padding`. For ``defect="truncated"`` the size before the cut.
    :param seed: other seeds give other people.
    :param created: moment of the export, aware; becomes the date of the data files and of the zip entries.
    :param archived: moment at which the same data files were put into an archive again; that of the export when None.
    :param defect: what is wrong with the archive, none by default. ``truncated``: ends in the middle of its central
        directory. ``corrupt``: one byte of the first data file is not the one its CRC-32 was taken of. ``zip-slip``:
        the first data file is called ``../<name>``. ``missing-manifest``: no ``Manifest.xml``.
    :param delta: an incremental export instead of a full one. ``header-only``: no rows. ``zero-byte``: data files
        of no bytes. ``missing-entry``: the manifest names data files that are not there. ``some``: about one row
        in ten, and at least one, of those of the full export.
    :param attachments: files of each entity below ``Resources/<entity>/``, as packages of entities with images or
        documents carry them; the manifest does not name them.
    :param attachment_separator: ``/``, or ``\\`` as some writers of Windows put it.
    :param attachment_folders: whether the folders have entries of their own.
    :param stray_entry: name of a further entry that belongs to no entity; none when empty.
    :raises ValueError: a value, or a combination of values, of which no package can be made.
    """

    definition_group: str
    legal_entity: str
    entities: tuple[EntitySpec, ...]
    target_size_bytes: int | None = None
    seed: int = 0
    created: datetime = _DEFAULT_CREATED
    defect: str | None = None
    delta: str | None = None
    archived: datetime | None = None
    attachments: int = 0
    attachment_separator: str = "/"
    attachment_folders: bool = False
    stray_entry: str = ""

    def __post_init__(self) -> None:
        _check_label("definition group", self.definition_group)
        _check_label("legal entity", self.legal_entity)
        self._check_entities()
        self._check_created()
        if self.delta is not None and self.delta not in DELTAS:
            raise ValueError(f"Unknown delta {self.delta!r}: use one of {', '.join(DELTAS)}, or none.")
        if self.defect is not None and self.defect not in DEFECTS:
            raise ValueError(f"Unknown defect {self.defect!r}: use one of {', '.join(DEFECTS)}, or none.")
        if (self.defect, self.delta) in {
            ("corrupt", "zero-byte"),
            ("corrupt", "missing-entry"),
            ("zip-slip", "missing-entry"),
        }:
            raise ValueError(
                f"The defect {self.defect!r} needs a data file, which the delta {self.delta!r} does not leave."
            )
        if self.target_size_bytes is not None and self.delta not in {None, "some"}:
            raise ValueError(
                f"target_size_bytes cannot be reached by the empty delta {self.delta!r}: leave one of the two out."
            )

    def _check_entities(self) -> None:
        if not 1 <= len(self.entities) <= MAX_ENTITIES:
            raise ValueError(f"A package needs 1 to {MAX_ENTITIES} entities, not {len(self.entities)}.")
        taken = {MANIFEST_NAME.lower(), HEADER_NAME.lower()}
        for entity in self.entities:
            if entity.file_name.lower() in taken:
                raise ValueError(
                    f"Entity {entity.name!r} needs the file name {entity.file_name!r}, which is taken: rename it."
                )
            taken.add(entity.file_name.lower())

    def _check_created(self) -> None:
        if self.created.tzinfo is None:
            raise ValueError(f"created is {self.created.isoformat()}, without a time zone: give an aware time in UTC.")
        if not 1980 <= self.created.astimezone(UTC).year <= 2107:
            raise ValueError(f"created is {self.created.isoformat()}: zip archives know the years 1980 to 2107 only.")


def _check_label(what: str, text: str) -> None:
    if not text.strip() or len(text) > MAX_LABEL_LENGTH:
        raise ValueError(
            f"The {what} {text[:40]!r} has {len(text)} characters: use 1 to {MAX_LABEL_LENGTH}, not all of them blank."
        )
    # The manifest is XML, which has no way to write these down.
    if any(unicodedata.category(character) in {"Cc", "Cs"} or character in "\ufffe\uffff" for character in text):
        raise ValueError(f"The {what} {text!r} holds a character that XML cannot: remove it.")
