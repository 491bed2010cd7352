"""Retention in an object store while other people and tasks write in the same folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.integration.exported_package import sha256
from tests.integration.object_saving import Facts

from talent_dmf.api.retention.plan import Retention, RetentionReport
from talent_dmf.api.retention.receipts import Series, WrittenFile, write_receipt
from talent_dmf.destinations.object_storage.folder import ObjectStorageFolder
from talent_dmf.destinations.object_storage.store import ObjectFolder, open_folder
from talent_dmf.destinations.retention import apply_retention

SERIES = Series("https://a.example", "talent_export_workers", "save", "Workers", "USMF")


@pytest.fixture
def folder(tmp_path: Path) -> ObjectFolder:
    """Three exports of two files each, of which the last one was just saved."""
    opened = open_folder(f"file://{tmp_path}", None)
    for day in (1, 2, 3):
        files = [WrittenFile(name, 5, sha256=sha256(b"saved")) for name in (f"{day}.zip", f"{day} Jobs.csv")]
        for file in files:
            (tmp_path / file.name).write_bytes(b"saved")
        made = datetime(2026, 11, day, tzinfo=UTC)
        facts = {"execution_id": f"id {day}", "extracted_at": made.isoformat()}
        receipt = write_receipt(files[0], files, SERIES, facts, made + timedelta(hours=1))
        (tmp_path / f"{day}.zip.receipt.json").write_text(receipt)
    return opened


def retain(folder: ObjectFolder) -> RetentionReport:
    place = ObjectStorageFolder(folder, "fail", facts=Facts(), progress=lambda _: None)
    report = RetentionReport()
    apply_retention(place, SERIES, Retention(keep_last=1), "3.zip.receipt.json", report)
    return report


def export(day: int) -> set[str]:
    """The names of an export."""
    return {f"{day}.zip", f"{day} Jobs.csv", f"{day}.zip.receipt.json"}


def test_what_is_outdated_goes(folder: ObjectFolder) -> None:
    report = retain(folder)
    assert folder.names().keys() == export(3)
    assert set(report.deleted) == export(1) | export(2)
    assert not report.kept


@pytest.mark.parametrize("content", [b"edits", b"edited by hand"], ids=["same length", "longer"])
def test_a_file_that_is_edited_after_it_was_hashed_stays(
    folder: ObjectFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    sha = folder.sha256

    def hash_and_edit(name: str) -> str:
        value = sha(name)
        if name == "1.zip":
            (tmp_path / name).write_bytes(content)
        return value

    monkeypatch.setattr(folder, "sha256", hash_and_edit)
    report = retain(folder)
    assert (tmp_path / "1.zip").read_bytes() == content
    assert report.kept == [("1.zip", "it was changed a moment ago")]
    # The receipt stays with it, as the proof for the next run.
    assert folder.names().keys() == export(3) | {"1.zip", "1.zip.receipt.json"}


@pytest.mark.parametrize("moment", ["before its files go", "after its files went"])
def test_a_receipt_that_another_task_writes_anew_meanwhile_stays(
    folder: ObjectFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moment: str
) -> None:
    receipt = tmp_path / "1.zip.receipt.json"
    first = moment == "before its files go"
    act = folder.mark if first else folder.delete

    def act_and_meddle(name: str) -> str | None:
        done = act(name)
        if name == (receipt.name if first else "1 Jobs.csv") and b"by hand" not in receipt.read_bytes():
            receipt.write_bytes(receipt.read_bytes() + b"by hand")
        return done

    monkeypatch.setattr(folder, "mark" if first else "delete", act_and_meddle)
    report = retain(folder)
    assert report.kept == ([] if first else [(receipt.name, "it was changed a moment ago")])
    assert folder.names().keys() == export(3) | (export(1) if first else {receipt.name})


@pytest.mark.parametrize("gone", ["1.zip", "2 Jobs.csv", "2.zip.receipt.json", "3.zip.receipt.json"])
def test_what_another_task_deletes_meanwhile_is_no_trouble(
    folder: ObjectFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gone: str
) -> None:
    list_names = folder.names

    def list_and_delete() -> dict[str, int]:
        listed = list_names()
        (tmp_path / gone).unlink(missing_ok=True)
        return listed

    monkeypatch.setattr(folder, "names", list_and_delete)
    report = retain(folder)
    assert export(1).isdisjoint(folder.names())
    assert not report.kept
