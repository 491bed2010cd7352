"""Excel data files in the style of the product's own exports.

One sheet, inline strings (no ``sharedStrings.xml``), a defined name over the header row, a thumbnail, parts dated
1980-01-01: read in the packages named in :mod:`dmf_emulator.packages`. ECMA-376 says what the parts must hold.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final
from xml.sax.saxutils import escape, quoteattr

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_OPC: Final = "http://schemas.openxmlformats.org/package/2006"
_SPREADSHEET: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"

# The smallest metafile there is: the header and the end-of-file record (MS-WMF 2.3.2.2 and 2.3.2.1).
_THUMBNAIL: Final = struct.pack("<HHHIHIH", 1, 9, 0x0300, 12, 0, 3, 0) + struct.pack("<IH", 3, 0)

_CONTENT_TYPES: Final = (
    f'{_DECLARATION}<Types xmlns="{_OPC}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Default Extension="wmf" ContentType="image/x-wmf"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_SPREADSHEET}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_SPREADSHEET}.worksheet+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_SPREADSHEET}.styles+xml"/>'
    '<Override PartName="/docProps/core.xml"'
    ' ContentType="application/vnd.openxmlformats-package.core-properties+xml"/>'
    "</Types>"
)
_PACKAGE_RELATIONSHIPS: Final = (
    f'{_DECLARATION}<Relationships xmlns="{_OPC}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    f'<Relationship Id="rId2" Type="{_OPC}/relationships/metadata/thumbnail" Target="docProps/thumbnail.wmf"/>'
    f'<Relationship Id="rId3" Type="{_OPC}/relationships/metadata/core-properties" Target="docProps/core.xml"/>'
    "</Relationships>"
)
_WORKBOOK_RELATIONSHIPS: Final = (
    f'{_DECLARATION}<Relationships xmlns="{_OPC}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/>'
    "</Relationships>"
)
_STYLES: Final = (
    f'{_DECLARATION}<styleSheet xmlns="{_MAIN}">'
    '<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
    "</styleSheet>"
)


def workbook(sheet_name: str, header: Sequence[str], rows: Iterable[Sequence[str]], created: datetime) -> bytes:
    """A workbook of one sheet of text cells.

    :param sheet_name: valid as a sheet name; made valid for the defined name over the header.
    :param header: texts of row 1.
    :param rows: texts of the rows below.
    :param created: moment written into the core properties, UTC.
    """
    columns = [column_name(index) for index in range(len(header))]
    lines = list(_sheet_rows(columns, [header, *rows]))
    sheet = (
        f'{_DECLARATION}<worksheet xmlns="{_MAIN}"><dimension ref="A1:{columns[-1]}{len(lines)}"/>'
        f'<sheetFormatPr defaultRowHeight="15"/><sheetData>{"".join(lines)}</sheetData></worksheet>'
    )
    reference = f"'{sheet_name}'!$A$1:${columns[-1]}$1"
    book = (
        f'{_DECLARATION}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
        f'<sheets><sheet name={quoteattr(sheet_name)} sheetId="1" r:id="rId1"/></sheets>'
        f"<definedNames><definedName name={quoteattr(defined_name(sheet_name))}>{escape(reference)}</definedName>"
        "</definedNames></workbook>"
    )
    core = (
        f'{_DECLARATION}<cp:coreProperties xmlns:cp="{_OPC}/metadata/core-properties"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><dc:creator>dmf_emulator</dc:creator>'
        f'<dcterms:created xsi:type="dcterms:W3CDTF">{created:%Y-%m-%dT%H:%M:%SZ}</dcterms:created>'
        "</cp:coreProperties>"
    )
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": _CONTENT_TYPES,
        "_rels/.rels": _PACKAGE_RELATIONSHIPS,
        "xl/_rels/workbook.xml.rels": _WORKBOOK_RELATIONSHIPS,
        "xl/styles.xml": _STYLES,
        "docProps/thumbnail.wmf": _THUMBNAIL,
        "docProps/core.xml": core,
        "xl/workbook.xml": book,
        "xl/worksheets/sheet1.xml": sheet,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts.items():
            part = zipfile.ZipInfo(name)  # dated 1980-01-01 unless told otherwise
            archive.writestr(part, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def column_name(index: int) -> str:
    """``A`` for 0, ``Z`` for 25, ``AA`` for 26."""
    name = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def defined_name(sheet_name: str) -> str:
    """The sheet's name as a defined name; Excel refuses a workbook where one looks like a cell (``Job1``, ``R1C1``)."""
    name = re.sub(r"[^\w.]", "_", sheet_name)
    if not re.match(r"[^\W\d]", name) or re.fullmatch(r"[A-Za-z]{1,3}\d+|[Rr]\d*([Cc]\d*)?|[Cc]\d*", name):
        name = "_" + name
    return name


def _sheet_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for number, values in enumerate(rows, start=1):
        cells = "".join(
            f'<c r="{column}{number}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
            for column, value in zip(columns, values, strict=True)
        )
        yield f'<row r="{number}">{cells}</row>'
