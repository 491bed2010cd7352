"""What may come after an export: a headcount per department, from the package that was saved in OneDrive.

Off unless ``[talent_dmf] headcount_of`` names an export whose package has a column for the department, such as one of
positions. Nothing personal is logged: no row, no total from which a small group could be computed, and of groups below
five only that they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Asset, conf, dag, task

EXPORT = conf.get("talent_dmf", "headcount_of", fallback="")
PACKAGE = Asset(name=f"talent_{EXPORT}_package", uri=f"x-talent-dmf://{EXPORT}/package", group="talent")
DEPARTMENT = ("DEPARTMENTNAME", "DEPARTMENTNUMBER", "DEPARTMENT")
# Where the rows are positions: only those that somebody has count.
WORKER = "WORKERPERSONNELNUMBER"
SMALL_GROUP, MOST_BYTES = 5, 100 * 1024 * 1024


def rows_of(content: bytes) -> Iterator[Iterator[list[str]]]:
    """The rows of each data file of a package that can be read here: Excel, and CSV as Dynamics 365 writes it."""
    import csv
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(content)) as package:
        for entry in package.infolist():
            suffix = entry.filename.rpartition(".")[2].lower()
            if suffix not in {"csv", "xlsx"} or entry.file_size > MOST_BYTES:
                continue
            data = package.read(entry)
            if suffix == "csv":
                yield iter(csv.reader(io.StringIO(data.decode("utf-16"))))
            else:
                # An optional library: `pip install openpyxl`.
                import openpyxl

                sheet = openpyxl.load_workbook(io.BytesIO(data), read_only=True).worksheets[0]
                yield ([str(cell or "") for cell in row] for row in sheet.iter_rows(values_only=True))


def headcount(content: bytes) -> Counter[str]:
    """How many people each department has.

    :raises ValueError: no file of the package tells a department.
    """
    found: set[str] = set()
    for rows in rows_of(content):
        columns = {name.strip().upper(): number for number, name in enumerate(next(rows, []))}
        found |= columns.keys()
        department = next((columns[name] for name in DEPARTMENT if name in columns), None)
        if department is not None:
            worker = columns.get(WORKER)
            return Counter(
                row[department] for row in rows if len(row) > department and (worker is None or row[worker].strip())
            )
    raise ValueError(
        f"No file of the package has a column {' or '.join(DEPARTMENT)}; it has {', '.join(sorted(found)) or 'none'}. "
        "Name an export of positions in [talent_dmf] headcount_of."
    )


def in_words(people: int) -> str:
    """A number of people that tells nothing about one of them."""
    return str(people) if people >= SMALL_GROUP else f"fewer than {SMALL_GROUP}"


@dag(schedule=[PACKAGE], start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, tags=["example"], doc_md=__doc__)
def example_worker_headcount() -> None:
    """Count after each export."""

    @task(inlets=[PACKAGE])
    def count(**context: Any) -> dict[str, str]:
        import logging

        from talent_dmf.hooks.onedrive import OneDriveHook

        saved = context["inlet_events"][PACKAGE][-1].extra
        drive = OneDriveHook()
        content = drive.read_file(saved["drive_item_id"], quick_xor_hash=saved["quick_xor_hash"], max_bytes=MOST_BYTES)
        counted = {name or "without one": in_words(people) for name, people in sorted(headcount(content).items())}
        for name, people in counted.items():
            logging.getLogger(__name__).info("Department %s: %s people", name, people)
        return counted

    count()


if EXPORT:
    example_worker_headcount()
