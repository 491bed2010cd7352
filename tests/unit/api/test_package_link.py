"""Entities of which a package holds no data file: empty, or lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from talent_dmf.api.dmf.package_link import told_of_empty
from talent_dmf.api.errors import PackageInvalidError
from talent_dmf.api.models import EntityOutcome, PackageReference

PACKAGE = PackageReference(
    "e-1", "b.example", "/p.zip", 7, "", "2026-03-01T06:00:00Z", without_file=("Workers", "Jobs")
)


def outcomes(**rows: int | None) -> list[EntityOutcome]:
    return [EntityOutcome(label, "Succeeded", "Succeeded", count) for label, count in rows.items()]


def test_entities_without_rows_are_taken_for_empty_by_name() -> None:
    told = told_of_empty(PACKAGE, outcomes(Workers=0, Positions=7))
    assert "of execution e-1 holds no data file of 'Workers' (no rows), 'Jobs' (rows unknown): it is taken for" in told
    assert told_of_empty(replace(PACKAGE, without_file=()), outcomes(Workers=7)) == ""


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (outcomes(Workers=0, Jobs=7), r"exported rows of 'Jobs' \(7 rows\), and"),
        (outcomes(WORKERS=1), r"exported rows of 'Workers' \(1 rows\), and"),
        (outcomes(Jobs=None) + outcomes(Jobs=2), r"exported rows of 'Jobs' \(some rows\), and"),
    ],
)
def test_rows_that_are_in_no_data_file_are_lost_and_not_empty(found: list[EntityOutcome], words: str) -> None:
    with pytest.raises(PackageInvalidError, match=words):
        told_of_empty(PACKAGE, found)
