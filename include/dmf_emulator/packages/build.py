"""From specification to package."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from datetime import UTC
from typing import Final

from dmf_emulator.packages.archive import (
    MAX_SIZE_WITHOUT_ZIP64,
    Entry,
    corrupted_entry,
    lay_out,
    small_entry,
    stored_entry,
)
from dmf_emulator.packages.datafiles import data_file
from dmf_emulator.packages.manifest import ManifestEntity, header_xml, manifest_xml
from dmf_emulator.packages.package import EntryInfo, Package
from dmf_emulator.packages.padding import MIN_PADDING_BYTES, PADDING_ENTITY, padding_file
from dmf_emulator.packages.rows import fields_of
from dmf_emulator.packages.segments import BytesSegment, Segment
from dmf_emulator.packages.spec import HEADER_NAME, MANIFEST_NAME, EntitySpec, PackageSpec

# 1 PiB: far beyond any drive, far below what 64-bit records hold.
_MAX_TARGET_BYTES: Final = 1 << 50


def build_package(spec: PackageSpec) -> Package:
    """Lay out a package; the data files asked for are made now, padding rows only when they are read.

    A package of a target size gets one more data file, see :mod:`dmf_emulator.packages.padding`, unless it has that
    size by itself.

    :param spec: what the package holds.
    :raises ValueError: ``target_size_bytes`` cannot be met.
    """
    data_entries = _data_entries(spec)
    entries = _with_manifest(spec, data_entries, padding=None)
    target = spec.target_size_bytes
    if target is not None:
        natural_size = _size(spec, entries)
        if target != natural_size:
            entries = _padded(spec, data_entries, target, natural_size)
    segments, directory = lay_out(entries, spec.archived or spec.created)
    if spec.defect == "truncated":
        directory = directory[: len(directory) // 2]
    infos = [EntryInfo(entry.name, entry.size, entry.compressed_size, entry.crc32, entry.rows) for entry in entries]
    return Package(
        [*segments, BytesSegment(directory)], infos, (spec.archived or spec.created).astimezone(UTC).isoformat()
    )


def _data_entries(spec: PackageSpec) -> list[Entry]:
    if spec.delta == "missing-entry":
        return []
    entries = []
    for index, entity in enumerate(spec.entities):
        content, rows = (b"", 0) if spec.delta == "zero-byte" else data_file(entity, spec)
        make = corrupted_entry if spec.defect == "corrupt" and index == 0 else small_entry
        entries.append(make(_entry_name(spec, entity), content, rows))
    return [*entries, *_attachments(spec), *([small_entry(spec.stray_entry, b"?")] if spec.stray_entry else [])]


def _attachments(spec: PackageSpec) -> list[Entry]:
    """Files of entities with images or documents, below ``Resources/<entity>/{GUID}``.

    The layout is that of shashisadasivan/MyScripts, ``FileUpload_ExcelResourceCreator.ps1``, seen on the import side.
    """
    separator = spec.attachment_separator
    entries: list[Entry] = []
    for entity in spec.entities if spec.attachments else ():
        folder = f"Resources{separator}{entity.file_name.rpartition('.')[0]}{separator}"
        if spec.attachment_folders:
            entries.append(small_entry(folder, b""))
        for number in range(spec.attachments):
            source = random.Random(f"{spec.seed}|{folder}|{number}")
            name = f"{{{str(uuid.UUID(int=source.getrandbits(128), version=4)).upper()}}}"
            entries.append(small_entry(folder + name, b"\x89PNG\r\n\x1a\n" + source.randbytes(2000)))
    if spec.attachment_folders and entries:
        entries.insert(0, small_entry(f"Resources{separator}", b""))
    return entries


def _entry_name(spec: PackageSpec, entity: EntitySpec) -> str:
    slips = spec.defect == "zip-slip" and entity is spec.entities[0]
    return "../" + entity.file_name if slips else entity.file_name


def _with_manifest(spec: PackageSpec, data_entries: Sequence[Entry], padding: Entry | None) -> list[Entry]:
    """All entries in the order of the product's packages: data files, manifest, header."""
    entities, description = spec.entities, spec.definition_group
    entries = list(data_entries)
    if padding is not None:
        entries.append(padding)
        entities = (*entities, PADDING_ENTITY)
        description += f" (padded to {spec.target_size_bytes} bytes by the entity {PADDING_ENTITY.name})"
    if spec.defect != "missing-manifest":
        listed = [
            ManifestEntity(
                name=entity.name,
                target_entity=entity.target_entity,
                source_format=entity.source_format,
                input_file_path=_entry_name(spec, entity),
                sheet_name=entity.sheet_name,
                fields=fields_of(entity),
            )
            for entity in entities
        ]
        entries.append(small_entry(MANIFEST_NAME, manifest_xml(spec.definition_group, description, listed)))
    entries.append(small_entry(HEADER_NAME, header_xml(description)))
    return entries


def _padded(spec: PackageSpec, data_entries: Sequence[Entry], target: int, natural_size: int) -> list[Entry]:
    if PADDING_ENTITY.file_name.lower() in {entry.name.lower() for entry in data_entries}:
        raise ValueError(
            f"The file name {PADDING_ENTITY.file_name!r} is kept for the entity that brings a package to "
            "target_size_bytes: rename the entity or leave the size out."
        )
    zip64 = target > MAX_SIZE_WITHOUT_ZIP64

    def entries(padding: tuple[Segment, ...], rows: int) -> list[Entry]:
        entry = stored_entry(PADDING_ENTITY.file_name, padding, rows, zip64=zip64)
        return _with_manifest(spec, data_entries, entry)

    room = target - _size(spec, entries((), 0))
    if room < MIN_PADDING_BYTES or target > _MAX_TARGET_BYTES:
        raise ValueError(
            f"target_size_bytes cannot be {target}: this package has {natural_size} bytes without padding and "
            f"{target - room + MIN_PADDING_BYTES} to {_MAX_TARGET_BYTES} with it; change the size or the rows."
        )
    return entries(*padding_file(spec, room))


def _size(spec: PackageSpec, entries: Sequence[Entry]) -> int:
    segments, directory = lay_out(entries, spec.archived or spec.created)
    return sum(segment.length for segment in segments) + len(directory)
