"""File names: they tell runs apart, and OneDrive takes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talent_dmf.api.errors import ConfigurationError, DestinationError, TalentDmfError
from talent_dmf.api.naming.drive_names import check_name
from talent_dmf.api.naming.file_names import (
    DEFAULT_FILE_NAME,
    PLACEHOLDERS,
    FileNameFacts,
    check_file_name_template,
    check_package_name,
    render_file_name,
)

FACTS = FileNameFacts(
    project="Export Workers",
    legal_entity="USMF",
    execution_id="airflow-Export-Workers-USMF-0123",
    run="scheduled__2026-11-22T00:00:00+00:00",
    interval_start=datetime(2026, 11, 21, tzinfo=UTC),
    extracted_at=datetime(2026, 11, 22, 0, 4, 12, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (DEFAULT_FILE_NAME, "Export Workers_USMF_2026-11-21_20261122T000412Z.zip"),
        ("{execution_id}.zip", "airflow-Export-Workers-USMF-0123.zip"),
        ("{run}.zip", "scheduled__2026-11-22T00_00_00+00_00.zip"),
        ("talent_package.zip", "talent_package.zip"),
        ("{legal_entity}-{legal_entity}.zip", "USMF-USMF.zip"),
    ],
)
def test_placeholders_are_filled(template: str, name: str) -> None:
    assert render_file_name(template, FACTS) == name


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (datetime(2026, 11, 21, tzinfo=UTC), "2026-11-21"),
        (datetime(2026, 11, 21, 6, 30, tzinfo=UTC), "2026-11-21T0630Z"),
        (datetime(2026, 11, 21, 1, 0, tzinfo=timezone(timedelta(hours=1))), "2026-11-21"),
        (None, "manual"),
    ],
)
def test_the_interval_is_its_start_in_utc(start: datetime | None, words: str) -> None:
    assert render_file_name("{interval}.zip", replace(FACTS, interval_start=start)) == f"{words}.zip"


def test_backfills_and_re_runs_do_not_share_a_name() -> None:
    days = [replace(FACTS, interval_start=datetime(2026, 11, day, tzinfo=UTC)) for day in (1, 2, 3)]
    again = replace(FACTS, extracted_at=FACTS.extracted_at + timedelta(seconds=1))
    other = replace(FACTS, legal_entity="DEMF")
    names = [render_file_name(DEFAULT_FILE_NAME, facts) for facts in (FACTS, *days, again, other)]
    assert len(set(names)) == len(names)


def test_a_retry_of_the_same_package_makes_the_same_name() -> None:
    assert render_file_name(DEFAULT_FILE_NAME, FACTS) == render_file_name(DEFAULT_FILE_NAME, replace(FACTS))


@pytest.mark.parametrize(
    ("template", "error", "words"),
    [
        ("{date}.zip", ConfigurationError, "unknown placeholder {date}"),
        ("{}.zip", ConfigurationError, "unknown placeholder {}"),
        ("{project!r}.zip", ConfigurationError, "unknown placeholder {project!r}"),
        ("{project:>9}.zip", ConfigurationError, "unknown placeholder {project:>9}"),
        ("{project.x}.zip", ConfigurationError, "unknown placeholder {project.x}"),
        ("a{.zip", ConfigurationError, "unbalanced braces"),
        ("a}.zip", ConfigurationError, "unbalanced braces"),
        ("{{ ds }}.zip", ConfigurationError, "contains Jinja"),
        ("{% if x %}.zip", ConfigurationError, "contains Jinja"),
        ("a" * 256, ConfigurationError, "has 256 characters, and OneDrive accepts 255"),
        ("a/b.zip", DestinationError, "'/'"),
        ("", DestinationError, "it is empty"),
        ("~x.zip", DestinationError, "begins with '~'"),
    ],
)
def test_a_template_that_cannot_name_a_file_is_refused(template: str, error: type[TalentDmfError], words: str) -> None:
    with pytest.raises(error) as caught:
        check_file_name_template(template)
    assert words in caught.value.message


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_the_facts_are_onedrive_takes_the_name(project: str, run: str) -> None:
    name = render_file_name("{project}_{run}.zip", replace(FACTS, project=project, run=run))
    check_name(name)


@given(st.text(max_size=30))
def test_a_template_that_passes_the_check_can_be_rendered(template: str) -> None:
    try:
        check_file_name_template(template)
    except TalentDmfError:
        return
    render_file_name(template, FACTS)


def test_every_placeholder_has_a_value() -> None:
    assert set(FACTS.values()) == set(PLACEHOLDERS)


@pytest.mark.parametrize("name", ["workers.zip", "Workers.ZIP", "a b.zip"])
def test_a_package_may_have_the_name_of_an_archive(name: str) -> None:
    assert check_package_name(name) == name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("workers", ConfigurationError),
        (".zip", ConfigurationError),
        (".ZIP", ConfigurationError),
        ("../../a.zip", DestinationError),
        ("a\\b.zip", DestinationError),
        ("a\n.zip", DestinationError),
    ],
)
def test_a_package_may_have_no_other_name(name: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        check_package_name(name)
