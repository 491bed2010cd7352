from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talent_dmf.api.dmf.execution_ids import (
    MAX_LENGTH,
    check_legal_entity,
    dated_prefix,
    new_execution_id,
    prefix_of,
    successor,
)
from talent_dmf.api.errors import ConfigurationError


def test_the_same_undertaking_has_the_same_id_and_no_other_one_has():
    first = new_execution_id("Export Workers", "USMF", "dag", "run-1", -1, 0)
    assert first == new_execution_id("Export Workers", "USMF", "dag", "run-1", -1, 0)
    others = [
        new_execution_id("Export Workers", "USMF", "dag", "run-1", -1, 1),
        new_execution_id("Export Workers", "USMF", "dag", "run-2", -1, 0),
        new_execution_id("Export Workers", "DEMF", "dag", "run-1", -1, 0),
        new_execution_id("Export-Workers", "USMF", "dag", "run-1", -1, 0),
        new_execution_id("Export Workers", "USMF", "dag", "run-", "1-1", 0),
    ]
    assert len({first, *others}) == 6
    assert first.startswith("airflow-Export-Workers-USMF-")


def test_the_exports_of_a_day_and_a_deployment_begin_alike():
    prefix = dated_prefix("https://airflow.example", date(2026, 11, 20))
    made = new_execution_id("Export Workers", "USMF", "dag", "run", prefix=prefix)
    assert made.startswith(f"{prefix}Export-Workers-USMF-")
    assert prefix_of(made) == prefix
    assert prefix.endswith("-20261120-")
    others = [dated_prefix("https://airflow.example", date(2026, 11, 21)), dated_prefix("", date(2026, 11, 20))]
    assert len({prefix, *others}) == 3


@pytest.mark.parametrize(
    "other", ["airflow-Export-Workers-USMF-0123", "", "airflow-0a1b2c-2026-", "x-0a1b2c-20261120-"]
)
def test_other_ids_have_no_dated_prefix(other):
    assert prefix_of(other) is None


@given(st.text(), st.text(max_size=30), st.lists(st.text()), st.booleans())
def test_ids_are_short_and_plain(project, company, facts, dated):
    prefix = {"prefix": dated_prefix("deployment", date(2026, 11, 20))} if dated else {}
    made = successor(new_execution_id(project, company, *facts, **prefix), 5)
    assert len(made) <= MAX_LENGTH
    assert re.fullmatch(r"[A-Za-z0-9-]+", made)


@pytest.mark.parametrize(("raw", "code"), [("usmf", "USMF"), (" dat ", "DAT"), ("1", "1")])
def test_company_codes_are_upper_case(raw, code):
    assert check_legal_entity(raw) == code


@pytest.mark.parametrize("raw", ["", "  ", "USMFX", "US MF", "US-1", "ÄÖ"])
def test_what_is_no_company_code_is_refused(raw):
    with pytest.raises(ConfigurationError, match="such as USMF"):
        check_legal_entity(raw)
