"""What one list for many executions says, and how it is asked for."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talent_dmf.api.dmf.listing import MAX_COMPARISONS, ListedExecutions, list_executions, may_be_over
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
    assert listed.comparisons <= MAX_COMPARISONS


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
    again, sizes = run(list_executions(ids, listed.comparisons), 4)
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
