"""Somebody who has only read the tutorial: `requests` for the API, `zipfile` and openpyxl for what comes back."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ElementTree
import zipfile
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pytest
import requests
from tests.emulator.wire import Start, Wire

from dmf_emulator import Settings

NAMESPACE = "{http://schemas.microsoft.com/dynamics/2015/01/DataManagement}"
ACTIONS = "data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."


def follow_the_tutorial(wire: Wire, root: str, resource: str, project: str, company: str) -> bytes:
    """Export a project by the calls of the tutorial and return the package.

    The status is asked until it is `Succeeded`, and the link until it is there.

    :param root: address of the environment.
    :param resource: audience of its tokens.
    """
    info, trust = wire.info, str(wire.emulator.ca_file)
    with requests.Session() as session:
        session.trust_env = False
        token = session.post(
            f"{info['authority']}/oauth2/token",
            data={
                "grant_type": "client_credentials",
                "client_id": info["client_id"],
                "client_secret": info["client_secret"],
                "resource": resource,
            },
            verify=trust,
        ).json()["access_token"]

        def call(action: str, body: dict[str, Any]) -> str:
            headers = {"Authorization": f"Bearer {token}"}
            answer = session.post(f"{root}/{ACTIONS}{action}", json=body, headers=headers, verify=trust)
            assert answer.status_code == 200, answer.text
            return str(answer.json()["value"])

        execution = {
            "executionId": call(
                "ExportToPackage",
                {
                    "definitionGroupId": project,
                    "packageName": "talent_package.zip",
                    "executionId": "",
                    "reExecute": False,
                    "legalEntityId": company,
                },
            )
        }
        statuses: list[str] = []
        while not statuses or statuses[-1] not in {"Succeeded", "Failed"}:
            statuses.append(call("GetExecutionSummaryStatus", execution))
            wire.emulator.clock.advance(1)
        assert list(dict.fromkeys(statuses)) == ["NotRun", "Executing", "Succeeded"]
        while not (url := call("GetExportedPackageUrl", execution)):
            wire.emulator.clock.advance(1)
        return session.get(url, verify=trust).content


@pytest.fixture
def wire(start: Start) -> Wire:
    """An emulator whose exports take their time; only its own clock moves."""
    return start(Settings(not_found_seconds=0.0, not_run_seconds=3.0, executing_seconds=5.0, rows=40))


def parse_xml(data: bytes) -> ElementTree.Element:
    """Parse a file of the package."""
    return ElementTree.fromstring(data)  # noqa: S314 - made by the emulator, read by its test


def entities_of(archive: zipfile.ZipFile) -> list[dict[str, str]]:
    """Return what the manifest says of each entity."""
    manifest = parse_xml(archive.read("Manifest.xml"))
    return [
        {field.tag.removeprefix(NAMESPACE): field.text or "" for field in entity if len(field) == 0}
        for entity in manifest.iter(f"{NAMESPACE}DataManagementPackageEntityData")
    ]


@pytest.mark.parametrize(
    ("root", "resource"),
    [("dmf_url", "dmf_resource"), ("talent_url", "talent_resource"), ("on_premises_url", "dmf_resource")],
)
def test_the_workers_arrive_as_a_spreadsheet(wire: Wire, root: str, resource: str) -> None:
    data = follow_the_tutorial(wire, wire.info[root], wire.info[resource], "Export Workers", "USMF")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {entry.filename for entry in archive.infolist()} == {
            "Workers.xlsx", "Manifest.xml", "PackageHeader.xml",
        }  # fmt: skip
        header = parse_xml(archive.read("PackageHeader.xml"))
        (entity,) = entities_of(archive)
        book = openpyxl.load_workbook(io.BytesIO(archive.read("Workers.xlsx")), read_only=True)
    assert header.findtext(f"{NAMESPACE}PackageType") == "DefinitionGroup"
    assert (entity["EntityName"], entity["TargetEntity"]) == ("Workers", "HcmWorkerEntity")
    assert (entity["InputFilePath"], entity["SourceFormat"]) == ("Workers.xlsx", "EXCEL")

    sheet = book[entity["ExcelSheetName"].rstrip("$")]
    names, *rows = sheet.iter_rows(values_only=True)
    assert len(rows) == 40
    workers = [dict(zip(names, row, strict=True)) for row in rows]
    assert len({worker["PERSONNELNUMBER"] for worker in workers}) == 40
    assert all(name == str(name).upper() for name in names)


def test_each_format_is_what_its_name_says(wire: Wire) -> None:
    data = follow_the_tutorial(
        wire, wire.info["dmf_url"], wire.info["dmf_resource"], "Export Positions and Jobs", "USMF"
    )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        formats = {entity["SourceFormat"]: archive.read(entity["InputFilePath"]) for entity in entities_of(archive)}
    assert formats.keys() == {"EXCEL", "CSV-Unicode", "XML-Element"}
    sheet = openpyxl.load_workbook(io.BytesIO(formats["EXCEL"])).worksheets[0]
    assert sheet.max_row == 41
    # Python's "utf-16" takes the byte order from the mark and fails to drop one that is not there.
    assert formats["CSV-Unicode"].startswith(b"\xff\xfe")
    lines = list(csv.DictReader(io.StringIO(formats["CSV-Unicode"].decode("utf-16"), newline="")))
    assert lines
    assert all(None not in line and None not in line.values() for line in lines)
    document = parse_xml(formats["XML-Element"])
    assert document.tag == "Document"
    assert len(document) > 0


@pytest.mark.parametrize(("company", "rows"), [("USMF", 40), ("DEMF", 20), ("DAT", 0)])
def test_each_legal_entity_has_its_own_rows(wire: Wire, company: str, rows: int) -> None:
    data = follow_the_tutorial(wire, wire.info["dmf_url"], wire.info["dmf_resource"], "Export Workers", company)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheet = openpyxl.load_workbook(io.BytesIO(archive.read("Workers.xlsx"))).worksheets[0]
    assert sheet.max_row == rows + 1
