"""Data files of the three source formats."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Final
from xml.sax.saxutils import escape

from dmf_emulator.packages.rows import fields_of, rows_of
from dmf_emulator.packages.spec import EntitySpec, PackageSpec
from dmf_emulator.packages.xlsx import workbook

XML_ELEMENT_OPEN: Final = '<?xml version="1.0" encoding="utf-8"?>\n<Document>\n'
XML_ELEMENT_CLOSE: Final = "</Document>"


def data_file(entity: EntitySpec, package: PackageSpec) -> tuple[bytes, int]:
    """Content of an entity's data file, and how many records it holds.

    The deltas ``zero-byte`` and ``missing-entry`` are a matter of the archive; here they are empty like
    ``header-only``.
    """
    fields = fields_of(entity)
    rows = list(rows_of(entity, package))
    if entity.source_format == "EXCEL":
        return workbook(entity.sheet_name, fields, rows, package.created.astimezone(UTC)), len(rows)
    if entity.source_format == "CSV-Unicode":
        return _csv_unicode(fields, rows), len(rows)
    return _xml_element(entity.target_entity.upper(), fields, rows), len(rows)


def _csv_unicode(fields: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """UTF-16 LE with byte order mark, CRLF, quotes where a value needs them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(fields)
    writer.writerows(rows)
    return codecs.BOM_UTF16_LE + text.getvalue().encode("utf-16-le")


def _xml_element(element: str, fields: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """One element per record below ``<Document>``, on a line each.

    No sample of the encoding was found; UTF-8 with a declaration is the default of .NET's XML writers.
    """
    lines = [XML_ELEMENT_OPEN]
    for values in rows:
        cells = "".join(f"<{field}>{escape(value)}</{field}>" for field, value in zip(fields, values, strict=True))
        lines.append(f"<{element}>{cells}</{element}>\n")
    lines.append(XML_ELEMENT_CLOSE)
    return "".join(lines).encode()
