"""The address of an execution's page: passed on from task to task, and asked for where nobody passes it on."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from talent_dmf.links import (
    SavedFileLink,
    TalentDmfJobPageLink,
    find_job_page,
    keep_for_links,
    known_job_page,
)

PAGE = "https://env.example/?mi=DM_DataManagementWorkspaceMenuItem"
LOG = logging.getLogger("t")


class Hook:
    """What answers where the page is, and counts how often it is asked."""

    def __init__(self, *, has_room: bool = True) -> None:
        self.has_room, self.asked = has_room, 0

    def execution_page_url(self, execution_id: str) -> str:
        self.asked += 1
        return f"https://asked.example/{execution_id}"


class Xcoms:
    """The results of tasks, which can be pulled, and what is pushed."""

    def __init__(self, **results: Any) -> None:
        self.map_index, self.results, self.pulled, self.pushed = -1, results, [], {}  # type: ignore[var-annotated]

    def xcom_pull(self, *, task_ids: str, map_indexes: int) -> Any:
        self.pulled.append(task_ids)
        if isinstance(self.results.get(task_ids), Exception):
            raise self.results[task_ids]
        return self.results.get(task_ids)

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.pushed[key] = value


def context_of(xcoms: Xcoms, *before: str, **downstream: set[str]) -> Any:
    tasks = {name: SimpleNamespace(downstream_task_ids=downstream.get(name, set())) for name in before}
    task = SimpleNamespace(upstream_task_ids=set(before), dag=SimpleNamespace(task_dict=tasks))
    return {"ti": xcoms, "task": task}


def told(execution_id: str = "e-1", page: Any = PAGE) -> dict[str, Any]:
    return {"execution_id": execution_id, "job_page_url": page}


def test_what_is_at_hand_costs_no_question() -> None:
    xcoms, hook = Xcoms(), Hook()
    context = context_of(xcoms, "wait")
    assert find_job_page(context, hook, "e-1", LOG, told=(None, {}, told())) == PAGE
    assert (xcoms.pulled, xcoms.pushed, hook.asked) == ([], {}, 0)
    assert known_job_page(context["task"]) == PAGE
    assert TalentDmfJobPageLink().get_link(context["task"], ti_key=None) == PAGE  # type: ignore[arg-type]


def test_only_the_nearest_tasks_are_read() -> None:
    xcoms, hook = Xcoms(start="e-1", wait=told()), Hook()
    context = context_of(xcoms, "start", "wait", start={"wait"})
    assert find_job_page(context, hook, "e-1", LOG) == PAGE
    assert (xcoms.pulled, hook.asked) == (["wait"], 0)


@pytest.mark.parametrize(
    "result",
    [None, "e-1", told("e-2"), told(page=""), told(page=None), told(page="javascript:alert(1)"), ValueError("x")],
)
def test_it_is_asked_for_where_nobody_passes_it_on(result: Any) -> None:
    hook, xcoms = Hook(), Xcoms(wait=result)
    assert find_job_page(context_of(xcoms, "wait"), hook, "e-1", LOG) == "https://asked.example/e-1"
    assert hook.asked == 1
    assert xcoms.pushed == {"job_page_url": "https://asked.example/e-1"}


def test_nothing_is_read_where_no_task_before_can_know_it() -> None:
    hook, xcoms = Hook(), Xcoms(start="e-1")
    assert find_job_page(context_of(xcoms, "start"), hook, "e-1", LOG, told=()) == "https://asked.example/e-1"
    assert xcoms.pulled == []


def test_nothing_is_asked_for_where_requests_are_scarce() -> None:
    context, hook = context_of(Xcoms()), Hook(has_room=False)
    assert find_job_page(context, hook, "e-1", LOG) == known_job_page(context["task"]) == ""
    assert hook.asked == 0


def test_a_button_shows_what_the_process_knows() -> None:
    context = context_of(Xcoms())
    keep_for_links(context, return_value={"web_url": "https://drive.example/x"})
    keep_for_links(context, job_page_url="")
    assert SavedFileLink().get_link(context["task"], ti_key=None) == "https://drive.example/x"  # type: ignore[arg-type]
    assert TalentDmfJobPageLink().get_link(context["task"], ti_key=None) == ""  # type: ignore[arg-type]
    keep_for_links({}, job_page_url="x")  # type: ignore[typeddict-item]
