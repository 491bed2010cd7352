"""Entities of which a package holds no data file: empty, or lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from talent_dmf.api.errors import PackageInvalidError
from talent_dmf.api.package.reference import PackageReference, missing_files

PACKAGE = PackageReference(
    "e-1", "b.example", "/p.zip", 7, "", "2026-03-01T06:00:00Z", without_file=("Workers", "Jobs")
)


def outcomes(**rows: int | None) -> list[tuple[str, int | None]]:
    return list(rows.items())


def test_only_what_certainly_had_no_rows_is_called_empty() -> None:
    said = missing_files(PACKAGE, outcomes(Workers=0, Positions=7))
    assert "of execution e-1 holds no data file of 'Workers', of which no rows were exported; and no data file" in said
    assert "of 'Jobs', and whether rows of it were exported is unknown" in said
    assert "'Workers', 'Jobs', of which no rows were exported." in missing_files(PACKAGE, outcomes(Workers=0, Jobs=0))
    for unknown in ([], outcomes(Workers=None, Jobs=None), outcomes(Positions=0)):
        said = missing_files(PACKAGE, unknown)
        assert "of 'Workers', 'Jobs', and whether rows of it were exported is unknown" in said
        assert "empty" not in said
    assert missing_files(replace(PACKAGE, without_file=()), outcomes(Workers=7)) == ""


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (outcomes(Workers=0, Jobs=7), r"exported rows of 'Jobs' \(7 rows\), and"),
        (outcomes(WORKERS=1), r"exported rows of 'Workers' \(1 row\), and"),
        (outcomes(Jobs=None) + outcomes(Jobs=2), r"exported rows of 'Jobs' \(some rows\), and"),
    ],
)
def test_rows_that_are_in_no_data_file_are_lost_and_not_empty(found: list[tuple[str, int | None]], words: str) -> None:
    with pytest.raises(PackageInvalidError, match=words):
        missing_files(PACKAGE, found)
