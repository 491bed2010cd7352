from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scripted import answer, play, rows

from talent_dmf.api.dmf.checking import check_companies, check_project
from talent_dmf.api.findings import Finding, summary, table

PROJECT = rows({"Name": "Export Workers", "OperationType": "Export", "GenerateDataPackage": "Yes"})


def entities(*refresh_types):
    return rows(*({"DefinitionGroupId": "Export Workers", "EntityName": f"Entity {number}", "DefaultRefreshType": each}
                  for number, each in enumerate(refresh_types)))  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "incremental", "result", "words"),
    [
        ([PROJECT, entities("FullPush")], False, "ok", "It is an export project with Entity 0."),
        ([PROJECT, entities("Incremental", "FullPush")], True, "ok", "Entity 0, Entity 1"),
        ([PROJECT, entities("Incremental", "FullPush")], False, "warning", "It exports only changes of Entity 0:"),
        ([PROJECT, entities("FullPush")], True, "warning", "remove `incremental: true`"),
        ([PROJECT, rows()], False, "warning", "without entities"),
        ([PROJECT, answer(403)], False, "ok", "its entities could not be read"),
        ([rows({"Name": "export workers "}), entities("FullPush")], False, "ok", "It is an export project"),
        ([rows({"Name": "Export Workers", "OperationType": "Import"})], False, "failed", "no export project"),
        ([rows({"Name": "Export Workers", "GenerateDataPackage": "No"})], False, "failed", "makes no package"),
        ([rows({"Name": "Export Worker"})], False, "failed", "Perhaps 'Export Worker' is meant."),
        ([rows()], False, "failed", "There is none of 0 with this name"),
        ([answer(403)], False, "warning", "does not list its data projects"),
        ([answer(200, body="<html>")], False, "warning", "does not list its data projects"),
    ],
)
def test_a_project_is_looked_at(answers, incremental, result, words):
    found = play(check_project("Export Workers", incremental=incremental), answers).result
    assert (found.check, found.result) == ("data project 'Export Workers'", result)
    assert words in found.words


@pytest.mark.parametrize(
    ("listed", "codes", "result", "words"),
    [
        (rows({"LegalEntityId": "USMF", "Name": "Contoso"}), ["usmf"], "ok", "Contoso"),
        (rows({"LegalEntityId": "usmf"}, {"LegalEntityId": "DEMF"}), ["USMF", "DEMF"], "ok", "Known among 2."),
        (
            rows({"LegalEntityId": "USMF", "Name": "Contoso"}, {"LegalEntityId": "DEMF", "Name": "Contoso DE"}),
            ["USMF", "DEMF"],
            "ok",
            "Known among 2.",
        ),
        (rows({"LegalEntityId": "USMF"}, {"LegalEntityId": "DEMF"}), ["USMF"], "ok", "Known among 2."),
        (rows({"LegalEntityId": "USMF"}), ["USMF", "ZZZZ", "YYYY"], "failed", "has no legal entity ZZZZ, YYYY"),
        (rows(*({"LegalEntityId": f"C{number:03}"} for number in range(300))), ["ZZZZ"], "failed", "C019 and 280 more"),
        (rows(), ["USMF"], "warning", "lists no legal entity"),
        (answer(404), ["USMF"], "warning", "does not list its legal entities"),
    ],
)
def test_companies_are_looked_for(listed, codes, result, words):
    found = play(check_companies(codes), [listed]).result
    assert found.result == result
    assert words in found.words


VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers())
ROWS = st.lists(st.dictionaries(
    st.sampled_from(["Name", "OperationType", "GenerateDataPackage", "LegalEntityId", "EntityName"]), VALUES
))  # fmt: skip


@given(ROWS, ROWS)
def test_no_answer_is_a_crash_and_none_makes_long_words(one, other):
    for steps in (check_project("Export Workers", incremental=False), check_companies(["USMF"])):
        found = play(steps, [answer(json={"value": one}), answer(json={"value": other})], all_used=False).result
        assert len(found.words) < 3000
        assert found.words.isprintable()


def test_findings_are_a_table_and_one_sentence():
    found = [Finding("a", "ok", "yes"), Finding("longer", "warning", "perhaps"), Finding("c", "not checked", "later")]
    assert table(found)[2:] == [
        "a       ok           yes",
        "longer  warning      perhaps",
        "c       not checked  later",
    ]
    assert summary(found) == "All 3 checks passed, with warnings about: longer."
    assert summary([*found, Finding("d", "failed", "no")]) == "1 of 4 checks failed: d."
    assert summary(found[:1]) == "All 1 checks passed."
