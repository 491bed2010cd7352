"""Receipts: what is written is read again, and what is no receipt of ours proves nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from talent_dmf.api.retention.receipts import Receipt, Series, WrittenFile, parse_receipt, write_receipt

NOW, MADE = datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)
MINE = Series("https://a.example", "talent_export_workers", "save", "Export Workers", "USMF")
FACTS = {"execution_id": "id", "extracted_at": MADE.isoformat()}
FILE = {"name": "a", "size_bytes": 1, "quick_xor_hash": None, "sha256": None, "entity": None, "found": False}
PACKAGE, DATA = WrittenFile("a.zip", 3, "q", "s"), WrittenFile("a.csv", 0, entity="A")


def text_of(**changes: Any) -> str:
    facts = json.loads(write_receipt(PACKAGE, [PACKAGE, DATA], MINE, FACTS, NOW))
    return json.dumps({name: value for name, value in (facts | changes).items() if value is not ...})


def test_a_receipt_is_read_as_it_was_written() -> None:
    expected = Receipt("r", MINE, "id", MADE, NOW, (PACKAGE, DATA))
    assert parse_receipt("r", text_of()) == expected
    assert parse_receipt("r", text_of().encode()) == expected


def test_a_file_that_is_read_back_is_like_the_one_in_the_table() -> None:
    (read,) = parse_receipt("r", text_of(files=[FILE])).files  # type: ignore[union-attr]
    assert read == WrittenFile("a", 1)


@pytest.mark.parametrize(("package", "file"), [(PACKAGE, "a.zip"), (None, None)])
def test_a_receipt_names_the_package_only_if_it_was_saved(package: WrittenFile | None, file: str | None) -> None:
    facts = json.loads(write_receipt(package, [DATA], MINE, FACTS, NOW))
    assert (facts["file"], facts["dag_id"]) == (file, MINE.dag_id)
    assert facts["files"] == [
        {"name": "a.csv", "size_bytes": 0, "quick_xor_hash": None, "sha256": None, "entity": "A", "found": False}
    ]
    assert facts["sha256"] == ("s" if package else None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        "\xff",
        b"\xff\xfe\x00",
        "[" * 100_000,
        text_of(written_by="somebody else"),
        text_of(receipt_version=2),
        text_of(files=...),
        text_of(files=["a.zip"]),
        text_of(files=[FILE | {"size_bytes": "x"}]),
        text_of(files=[FILE | {"size_bytes": -1}]),
        text_of(files=[FILE | {"size_bytes": True}]),
        text_of(files=[FILE | {"size_bytes": float("inf")}]),
        text_of(files=[FILE | {"found": None}]),
        text_of(files=[FILE | {"name": None}]),
        text_of(extracted_at="2026-11-23T00:00:00"),
        text_of(extracted_at=...),
        text_of(environment=...),
        text_of(task_id=...),
        text_of(saved_at="yesterday"),
        text_of(saved_at="2026-11-23T00:00:00"),
        text_of(dag_id=7),
    ],
)
def test_what_is_no_receipt_of_ours_proves_nothing(text: str | bytes) -> None:
    assert parse_receipt("r", text) is None
