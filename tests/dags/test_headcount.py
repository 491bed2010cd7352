"""The example that reads the saved package: from the export through the asset's event to the log."""

from __future__ import annotations

import io
import json
import re
import runpy
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from airflow.dag_processing.dagbag import DagBag
from tests.dags.conftest import REPOSITORY
from tests.dags.own_airflow import OwnAirflow

from dmf_emulator import Emulator, Settings

EXAMPLE = REPOSITORY / "dags" / "example_worker_headcount.py"
EXPORT = "data_project: Export Positions and Jobs\nlegal_entities: USMF\nfolder: Positions\n"
PLAN: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "export": ("talent_export_positions", "2026-11-20T00:00:00+00:00", {}),
    "headcount": ("example_worker_headcount", None, {}),
}


@pytest.fixture
def airflow(tmp_path: Path) -> Iterator[OwnAirflow]:
    quick = Settings(
        seed=3, rows=40, not_found_seconds=0.0, not_run_seconds=0.0, executing_seconds=0.0, url_delay_seconds=0.0
    )
    with Emulator(quick) as emulator:
        own = OwnAirflow(tmp_path, emulator, {"AIRFLOW__TALENT_DMF__HEADCOUNT_OF": "positions"})
        (own.exports / "positions.yaml").write_text(EXPORT)
        yield own


def departments(package: Path) -> Counter[str]:
    """How many people each department has, counted by other means."""
    with zipfile.ZipFile(package) as archive:
        sheet = openpyxl.load_workbook(io.BytesIO(archive.read("Positions.xlsx"))).worksheets[0]
    header, *rows = sheet.iter_rows(values_only=True)
    columns = {str(name): number for number, name in enumerate(header)}
    held = [row for row in rows if row[columns["WORKERPERSONNELNUMBER"]]]
    return Counter(str(row[columns["DEPARTMENTNAME"]]) for row in held)


def test_a_headcount_per_department_follows_the_export_and_tells_nothing_personal(airflow: OwnAirflow) -> None:
    runs = airflow.run(PLAN)
    assert [run["state"] for run in runs.values()] == ["success", "success"], airflow.output[-6000:]
    (package,) = (airflow.drive / "Positions").iterdir()
    expected = departments(package)
    assert min(expected.values()) < 5 <= max(expected.values()), expected
    told = {name: str(people) if people >= 5 else "fewer than 5" for name, people in expected.items()}
    counted = runs["headcount"]["xcoms"]["count[-1].return_value"]
    assert (json.loads(counted) if isinstance(counted, str) else counted) == told
    assert dict(re.findall(r"Department (.+?): (.+?) people", airflow.output)) == told
    # Not a row, and no sum from which a small group could be computed.
    said = airflow.output.rpartition("start task task_id=count")[2]
    assert str(sum(expected.values())) not in re.findall(r"(\d+) people", said)
    with zipfile.ZipFile(package) as archive:
        sheet = openpyxl.load_workbook(io.BytesIO(archive.read("Positions.xlsx"))).worksheets[0]
    values = {str(cell) for row in list(sheet.iter_rows(values_only=True))[1:] for cell in row[-1:] if cell}
    assert values
    assert not [value for value in values if value in said]


def test_it_is_off_unless_an_export_is_named() -> None:
    assert "example_worker_headcount" not in DagBag(str(REPOSITORY / "dags")).dags


def test_a_package_without_departments_is_told_in_a_sentence() -> None:
    headcount = runpy.run_path(str(EXAMPLE))["headcount"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("Workers.csv", "PERSONNELNUMBER,NAME\r\n1,A\r\n".encode("utf-16"))
        archive.writestr("Manifest.xml", "<x/>")
    with pytest.raises(ValueError, match=r"has a column DEPARTMENTNAME .*it has NAME, PERSONNELNUMBER"):
        headcount(packed.getvalue())


def test_csv_files_and_positions_that_nobody_has() -> None:
    headcount = runpy.run_path(str(EXAMPLE))["headcount"]
    rows = ["Department,WorkerPersonnelNumber", *(f"Sales,{number}" for number in range(7)), "Sales,", "Legal,8", ""]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("Positions.csv", "\r\n".join(rows).encode("utf-16"))
    assert headcount(packed.getvalue()) == {"Sales": 7, "Legal": 1}
