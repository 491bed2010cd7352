"""What one list for many executions says, and how it is asked for."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talent_dmf.api.dmf.listing import MAX_COMPARISONS, ListedExecutions, ListForm, list_executions, may_be_over
from talent_dmf.api.errors import PermissionDeniedError, RequestRefusedError, TalentDmfError
from talent_dmf.api.steps import Request, Response, Steps


def asked_ids(request: Request) -> list[str]:
    condition = unquote(request.url.partition("$filter=")[2].partition("&")[0])
    return [each.removeprefix("JobId eq '").removesuffix("'") for each in condition.split(" or ")]


def run(steps: Steps[ListedExecutions], most: int, status: int = 400) -> tuple[ListedExecutions, list[int]]:
    """Answer as a service that refuses more than ``most`` comparisons; also how many ids each request named."""
    sizes = []
    try:
        effect = next(steps)
        while True:
            assert isinstance(effect, Request)
            ids = asked_ids(effect)
            sizes.append(len(ids))
            rows = [
                {"JobId": each.upper(), "EntityName": "E", "StagingStatus": "Finished", "TargetStatus": "Finished"}
                for each in ids
            ]
            body: Any = {"value": rows} if len(ids) <= most else {"error": {"code": "", "message": "no"}}
            effect = steps.send(Response(200 if len(ids) <= most else status, {}, json.dumps(body).encode()))
    except StopIteration as stop:
        return stop.value, sizes


@given(count=st.integers(0, 60), most=st.integers(1, 20), length=st.integers(1, 80))
def test_every_execution_is_asked_for_whatever_the_service_takes(count: int, most: int, length: int) -> None:
    ids = [f"{number:03d}{'x' * length}" for number in range(count)]
    listed, sizes = run(list_executions(ids), most)
    assert set(listed.rows) == set(ids)
    assert max(sizes, default=0) <= MAX_COMPARISONS
    assert listed.form.comparisons <= MAX_COMPARISONS


def test_executions_that_nobody_asked_for_are_passed_over() -> None:
    """A service that overlooks the filter lists all that it has."""
    steps = list_executions(["a"])
    next(steps)
    listed = [{"JobId": each, "EntityName": "E", "StagingStatus": "Finished"} for each in ("b", "A", None)]
    with pytest.raises(StopIteration) as stop:
        steps.send(Response(200, {}, json.dumps({"value": listed}).encode()))
    assert stop.value.value.rows == {"a": {("E", "Finished", "None")}}


def test_what_was_learned_of_the_filter_is_kept() -> None:
    ids = [f"execution-{number}" for number in range(30)]
    listed, _ = run(list_executions(ids), 4)
    again, sizes = run(list_executions(ids, listed.form), 4)
    assert max(sizes) <= 4
    assert set(again.rows) == set(ids)


def test_no_query_is_longer_than_a_server_takes() -> None:
    steps = list_executions(["e'" * 40 + str(number) for number in range(40)])
    effect = next(steps)
    assert isinstance(effect, Request)
    assert len(effect.url.partition("?")[2]) < 2048


@pytest.mark.parametrize(("status", "kind"), [(403, PermissionDeniedError), (400, RequestRefusedError)])
def test_a_list_that_is_refused_is_an_error(status: int, kind: type[TalentDmfError]) -> None:
    with pytest.raises(kind):
        run(list_executions(["a", "b"]), 0, status)


@pytest.mark.parametrize(
    ("rows", "over"),
    [
        ([], False),
        ([("E", "NotRun", "NotRun")], False),
        ([("E", "Executing", "NotRun")], False),
        ([("E", "Finished", "Executing")], False),
        ([("E", "Finished", "Finished")], True),
        ([("E", "NotRun", "Finished")], True),
        ([("E", "Error", "NotRun")], True),
        ([("E", "a word of next year", "NotRun")], True),
        ([("E", "Finished", "Finished"), ("F", "Executing", "NotRun")], False),
    ],
)
def test_what_may_be_over(rows: list[tuple[str, str, str]], over: bool) -> None:
    assert may_be_over(frozenset(rows)) is over


PREFIX = "airflow-0a1b2c-20261120-"
DATED = [f"{PREFIX}Project-USMF-{number:020x}" for number in range(40)]


def serve(steps: Steps[ListedExecutions], answers: Any) -> tuple[ListedExecutions, list[list[str]]]:
    """Answer as a service that knows some executions does; also what each request named."""
    asked = []
    try:
        effect = next(steps)
        while True:
            assert isinstance(effect, Request)
            asked.append(asked_ids(effect))
            effect = steps.send(answers(asked[-1]))
    except StopIteration as stop:
        return stop.value, asked


def listing(ids: list[str]) -> Response:
    rows = [{"JobId": each, "EntityName": "E", "StagingStatus": "Executing", "TargetStatus": "NotRun"} for each in ids]
    return Response(200, {}, json.dumps({"value": rows}).encode())


def with_wildcards(names: list[str]) -> Response:
    return listing([each for each in DATED if any(each.startswith(name.rstrip("*")) for name in names)])


def test_one_condition_names_all_that_begin_alike() -> None:
    old = ["airflow-Project-USMF-1", "somebody-elses"]
    yesterday = PREFIX.replace("20261120", "20261119")
    listed, asked = serve(list_executions([*DATED, *old, f"{yesterday}P-USMF-1"]), with_wildcards)
    assert asked == [[f"{PREFIX}*", f"{yesterday}*"], old]
    assert set(listed.rows) == set(DATED)
    assert listed.form == ListForm()


def test_a_wildcard_that_is_refused_is_not_sent_again() -> None:
    def refusing(names: list[str]) -> Response:
        body = {"error": {"code": "", "message": "no"}}
        return Response(400, {}, json.dumps(body).encode()) if "*" in str(names) else listing(names)

    listed, asked = serve(list_executions(DATED), refusing)
    assert asked[0] == [f"{PREFIX}*"]
    assert set(listed.rows) == set(DATED)
    assert not listed.form.wildcard
    _, again = serve(list_executions(DATED, listed.form), refusing)
    assert "*" not in str(again)
    assert len(again) == listed.form.requests(DATED) == 3


def test_a_wildcard_that_is_taken_for_a_letter_is_found_out() -> None:
    listed, asked = serve(list_executions(DATED), lambda names: listing([n for n in names if "*" not in n]))
    assert set(listed.rows) == set(DATED)
    assert not listed.form.wildcard
    assert [len(names) for names in asked] == [1, 15, 15, 15, 10]


def test_executions_that_are_not_listed_yet_do_not_cost_the_wildcard() -> None:
    listed, asked = serve(list_executions(DATED), lambda names: listing([]))
    assert (listed.rows, listed.form.wildcard, len(asked)) == ({}, True, 2)
    assert listed.form.requests(DATED) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_list_that_is_forbidden_is_not_tried_in_another_form(status: int) -> None:
    with pytest.raises(TalentDmfError):
        serve(list_executions(DATED), lambda names: Response(status))
