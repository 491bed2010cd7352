"""Retention: what may be deleted, by table; and that nothing else ever is, by property."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.retention.plan import (
    Retention,
    RetentionReport,
    StoredFile,
    doubt_about,
    outdated_receipts,
    plan_retention,
)
from talent_dmf.api.retention.receipts import RECEIPT_SUFFIX, Receipt, Series, WrittenFile

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MINE = Series("https://a.example", "talent_export_workers", "save", "Export Workers", "USMF")
OTHERS = [
    replace(MINE, environment="https://b.example"),
    replace(MINE, task_id="save_files"),
    replace(MINE, dag_id="talent_export_jobs"),
    replace(MINE, definition_group_id="Export Jobs"),
    replace(MINE, legal_entity_id="DEMF"),
]


def receipt(days_ago: float, name: str = "", series: Series = MINE, *, files: tuple[str, ...] = ()) -> Receipt:
    stem = name or f"{days_ago:g}.zip"
    written = tuple(WrittenFile(file, 100, f"hash of {file}") for file in files or (stem,))
    return Receipt(stem + RECEIPT_SUFFIX, series, f"id {stem}", NOW - timedelta(days=days_ago), NOW, written)


def stored(*receipts: Receipt) -> list[StoredFile]:
    files = [
        StoredFile(f"id of {file.name}", file.name, file.size_bytes, file.quick_xor_hash)
        for each in receipts
        for file in each.files
    ]
    return files + [StoredFile(f"id of {each.name}", each.name, 500) for each in receipts]


def deleted(receipts: list[Receipt], files: list[StoredFile], retention: Retention, current: str = "0.zip") -> set[str]:
    plan = plan_retention(receipts, files, MINE, retention, NOW, current + RECEIPT_SUFFIX)
    return {file.name for each in plan for file in each.files}


@pytest.mark.parametrize(
    ("retention", "ages", "gone"),
    [
        (Retention(), [0, 1, 400], set()),
        (Retention(keep_last=1), [0, 1, 2], {1, 2}),
        (Retention(keep_last=2), [0, 1, 2, 3], {2, 3}),
        (Retention(keep_last=5), [0, 1, 2], set()),
        (Retention(keep_days=2), [0, 1, 2, 3], {3}),
        (Retention(keep_days=1), [0], set()),
        (Retention(keep_days=30), [0, 29.9, 30, 30.1], {30.1}),
        (Retention(keep_last=3, keep_days=2), [0, 1, 2, 3, 4], {3, 4}),
        (Retention(keep_last=2, keep_days=3), [0, 1, 2, 3, 4], {4}),
        # An old export that is saved once more stays, and pushes no newer one out.
        (Retention(keep_last=1), [0, -1, -2], {-1}),
        (Retention(keep_last=2), [0, -1, -2], set()),
    ],
)
def test_what_is_beyond_the_rule_goes(retention: Retention, ages: list[float], gone: set[float]) -> None:
    receipts = [receipt(age) for age in ages]
    assert deleted(receipts, stored(*receipts), retention) == {f"{age:g}.zip" for age in gone}


def test_the_oldest_goes_first() -> None:
    receipts = [receipt(age) for age in (2, 5, 0, 9)]
    gone = outdated_receipts(receipts, MINE, Retention(keep_last=1), NOW, "0.zip" + RECEIPT_SUFFIX)
    assert [each.name for each in gone] == [f"{age}.zip{RECEIPT_SUFFIX}" for age in (9, 5, 2)]


@pytest.mark.parametrize("series", OTHERS)
def test_exports_of_others_are_neither_counted_nor_deleted(series: Series) -> None:
    receipts = [receipt(0), *(receipt(age, f"theirs {age}", series) for age in range(1, 5)), receipt(9)]
    assert deleted(receipts, stored(*receipts), Retention(keep_last=2)) == set()


@pytest.mark.parametrize(
    ("written", "present", "words"),
    [
        ({}, {}, ""),
        ({"sha256": "s"}, {"sha256": "s"}, ""),
        ({}, {"size_bytes": 99}, "has 99 bytes"),
        ({}, {"quick_xor_hash": "other"}, "changed"),
        ({}, {"quick_xor_hash": ""}, "no hash"),
        ({"size_bytes": 0}, {"size_bytes": 0, "quick_xor_hash": ""}, ""),
        ({"quick_xor_hash": ""}, {}, "no hash"),
        ({"quick_xor_hash": "", "sha256": "s"}, {}, "no hash"),
        ({"sha256": "s"}, {"sha256": "t"}, "changed"),
        ({"name": "a" + RECEIPT_SUFFIX}, {"name": "a" + RECEIPT_SUFFIX}, "receipt"),
    ],
)
def test_a_file_goes_only_with_proof(written: dict[str, Any], present: dict[str, Any], words: str) -> None:
    ours = replace(WrittenFile("a", 100, "q"), **written)
    theirs = replace(StoredFile("id", "a", 100, "q"), **present)
    doubt = doubt_about(ours, theirs)
    assert words in doubt
    assert bool(doubt) == bool(words)


def test_a_file_that_was_changed_stays_and_its_receipt_with_it() -> None:
    receipts = [receipt(0), receipt(5, "old.zip", files=("old.zip", "old.csv"))]
    files = [replace(file, quick_xor_hash="edited") if file.name == "old.csv" else file for file in stored(*receipts)]
    (outdated,) = plan_retention(receipts, files, MINE, Retention(keep_last=1), NOW, receipts[0].name)
    assert [file.name for file in outdated.files] == ["old.zip"]
    assert outdated.kept == (("old.csv", "its content was changed since"),)


def test_a_file_that_a_newer_export_replaced_is_the_newer_ones() -> None:
    receipts = [receipt(0, files=("0.zip", "Workers.csv")), receipt(5, "5.zip", files=("5.zip", "Workers.csv"))]
    assert deleted(receipts, stored(*receipts), Retention(keep_last=1)) == {"5.zip"}


def test_a_file_that_was_there_before_its_export_stays() -> None:
    old = receipt(5, "old.zip", files=("old.zip", "theirs.csv"))
    old = replace(old, files=(old.files[0], replace(old.files[1], found=True)))
    receipts = [receipt(0), old]
    (outdated,) = plan_retention(receipts, stored(*receipts), MINE, Retention(keep_last=1), NOW, receipts[0].name)
    assert ([file.name for file in outdated.files], outdated.kept) == (["old.zip"], ())


def test_a_legal_entity_is_the_same_in_upper_and_lower_case() -> None:
    receipts = [receipt(0), receipt(5, series=replace(MINE, legal_entity_id=" usmf"))]
    assert deleted(receipts, stored(*receipts), Retention(keep_last=1)) == {"5.zip"}


def test_a_receipt_that_is_gone_itself_leaves_its_files_alone() -> None:
    """Without it in the folder there is no proof that they are ours."""
    receipts = [receipt(0), receipt(5)]
    files = [file for file in stored(*receipts) if file.name != receipts[1].name]
    assert plan_retention(receipts, files, MINE, Retention(keep_last=1), NOW, receipts[0].name) == []


def test_a_receipt_whose_files_are_gone_goes_alone() -> None:
    receipts = [receipt(0), receipt(5)]
    files = [file for file in stored(*receipts) if file.name != "5.zip"]
    (outdated,) = plan_retention(receipts, files, MINE, Retention(keep_last=1), NOW, receipts[0].name)
    assert (outdated.receipt.name, outdated.files, outdated.kept) == ("5.zip" + RECEIPT_SUFFIX, (), ())


SOME_NAMES = st.sampled_from(["a", "b", "c", "d", "e", "f.receipt.json"])
RECEIPTS = st.lists(
    st.builds(
        Receipt,
        st.sampled_from([f"{stem}{RECEIPT_SUFFIX}" for stem in "abcdefgh"]),
        st.sampled_from([MINE, *OTHERS]),
        st.just("id"),
        st.integers(-2, 40).map(lambda days: NOW - timedelta(days=days)),
        st.integers(-2, 40).map(lambda days: NOW - timedelta(days=days)),
        st.lists(
            st.builds(
                WrittenFile,
                SOME_NAMES,
                st.integers(0, 2),
                st.sampled_from(["", "q", "r"]),
                found=st.sampled_from([False, False, True]),
            ),
            max_size=3,
        ).map(tuple),
    ),
    max_size=8,
    unique_by=lambda each: each.name,
)
FILES = st.lists(
    st.builds(StoredFile, st.uuids().map(str), SOME_NAMES, st.integers(0, 2), st.sampled_from(["", "q", "r"])),
    max_size=6,
    unique_by=lambda each: each.name,
)
RETENTIONS = st.builds(Retention, st.none() | st.integers(1, 5), st.none() | st.integers(1, 30))


@given(receipts=RECEIPTS, files=FILES, retention=RETENTIONS)
def test_nothing_without_proof_and_nothing_that_is_kept_is_ever_deleted(
    receipts: list[Receipt], files: list[StoredFile], retention: Retention
) -> None:
    current = "a" + RECEIPT_SUFFIX
    there = [*files, *(StoredFile(f"id {each.name}", each.name, 500) for each in receipts)]
    plan = plan_retention(receipts, there, MINE, retention, NOW, current)
    gone = {outdated.receipt.name for outdated in plan}
    staying = [each for each in receipts if each.name not in gone]
    mine = [each for each in receipts if each.series == MINE]
    assert gone <= {each.name for each in mine} - {current}
    if not retention:
        assert not plan
    if retention.keep_last is not None:
        assert len(mine) - len(gone) >= min(retention.keep_last, len(mine))
    if retention.keep_days is not None:
        assert all(NOW - each.extracted_at > timedelta(days=retention.keep_days) for each in mine if each.name in gone)
    for outdated in plan:
        (proof,) = [each for each in receipts if each.name == outdated.receipt.name]
        for file in outdated.files:
            assert file in there
            claims = [written for written in proof.files if written.name == file.name and not written.found]
            assert any(
                claim.size_bytes == file.size_bytes
                and (claim.quick_xor_hash == file.quick_xor_hash or not file.size_bytes)
                for claim in claims
            )
            assert file.quick_xor_hash or not file.size_bytes
            assert all(file.name not in {written.name for written in each.files} for each in staying)


@pytest.mark.parametrize("value", [0, -1, True, "3", 1.5])
def test_a_number_that_keeps_nothing_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="`keep_last` is"):
        Retention(keep_last=value)
    with pytest.raises(ConfigurationError, match="`keep_days` is"):
        Retention(keep_days=value)


def test_days_beyond_the_calendar_are_refused() -> None:
    assert Retention(keep_days=36_500)
    with pytest.raises(ConfigurationError, match="36500 at most"):
        Retention(keep_days=36_501)


def test_a_report_begins_with_nothing() -> None:
    assert RetentionReport() == RetentionReport([], [], 0)
