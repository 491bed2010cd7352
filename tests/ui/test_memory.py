"""The API server remembers what it has read of an export; an answer is as right as one that was read anew."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.ui.servers import Server

from talent_dmf_ui.memory import Memory

WORKERS = "talent_export_workers"

Shown = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """Something that another process writes, and what the page shows of it.

    :param right: compares what was shown before with what is shown now.
    :param statements: with the names ``:dag``, ``:now``, and ``:newest`` and ``:oldest`` for runs that the page shows.
    """

    right: Callable[[Shown, Shown], bool]
    statements: Sequence[str]


CHANGES = {
    "a run that fails": Change(
        lambda before, now: now["state"] == "failed" and now["runs"][-1][0] == "failed",
        ["update dag_run set state = 'failed', updated_at = :now where id = :newest"],
    ),
    "a change that another transaction has overtaken": Change(
        lambda before, now: now["state"] == "failed",
        ["update dag_run set state = 'failed' where id = :newest"],
    ),
    "a run that is cleared": Change(
        lambda before, now: now["state"] == "queued",
        ["update dag_run set state = 'queued', end_date = null, updated_at = :now where id = :newest"],
    ),
    "an old run that is cleared": Change(
        lambda before, now: now["state"] == "running" and now["runs"][0][0] == "running",
        ["update dag_run set state = 'running', end_date = null, updated_at = :now where id = :oldest"],
    ),
    "a run that took longer": Change(
        lambda before, now: now["last_seconds"] == before["last_seconds"] + 3600,
        ["update dag_run set end_date = datetime(end_date, '+1 hour'), updated_at = :now where id = :newest"],
    ),
    "a run that is deleted": Change(
        lambda before, now: now["last_run_id"] != before["last_run_id"] and now["runs"][-1] == before["runs"][-2],
        ["delete from dag_run where id = :newest"],
    ),
    "a run that is new": Change(
        lambda before, now: now["state"] == "running" and now["last_run_id"] == "manual__new",
        [
            """insert into dag_run (id, dag_id, run_id, run_type, state, queued_at, start_date, run_after, logical_date,
                clear_number, conf, updated_at)
            select 100000, dag_id, 'manual__new', 'manual', 'running', :now, :now, :now, :now, 0, conf, :now
            from dag_run where id = :newest"""
        ],
    ),
    "a package that is saved again": Change(
        lambda before, now: now["arrived"]["rows"] == 7,
        [
            """insert into asset_event (id, asset_id, source_dag_id, source_run_id, source_task_id, source_map_index,
                timestamp, extra)
            select 100000, asset_id, source_dag_id, source_run_id, source_task_id, source_map_index, :now,
                json_set(extra, '$.rows', 7)
            from asset_event where source_dag_id = :dag
            and source_run_id = (select run_id from dag_run where id = :newest)"""
        ],
    ),
    "a package that is forgotten": Change(
        lambda before, now: now["state"] == "unknown" and now["arrived"]["run_id"] != before["arrived"]["run_id"],
        [
            """delete from asset_event where source_dag_id = :dag
            and source_run_id = (select run_id from dag_run where id = :newest)"""
        ],
    ),
    "another tag": Change(
        lambda before, now: now["tags"] == [*before["tags"], "new"],
        ["insert into dag_tag (dag_id, name) values (:dag, 'new')"],
    ),
    "another description and time": Change(
        lambda before, now: now["description"] == "New." and now["next_run"] != before["next_run"],
        ["update dag set description = 'New.', next_dagrun_create_after = :now where dag_id = :dag"],
    ),
    "paused": Change(
        lambda before, now: now["state"] == "paused",
        ["update dag set is_paused = 1 where dag_id = :dag"],
    ),
    "another catalogue file": Change(
        lambda before, now: now["project"] == "Export People",
        [
            """update serialized_dag set dag_hash = 'new', data = replace(data, 'Export Workers', 'Export People')
            where dag_id = :dag"""
        ],
    ),
    "a note of a run that failed": Change(
        lambda before, now: now["run"]["sentence"] == "Why.",
        [
            "update dag_run set state = 'failed', updated_at = :now where id = :newest",
            """insert into dag_run_note (dag_run_id, content, created_at, updated_at)
            values (:newest, 'Why.', :now, :now)""",
        ],
    ),
}  # fmt: skip


def test_a_value_is_made_once_and_again_when_its_source_has_changed() -> None:
    made: list[str] = []

    def make(names: list[str]) -> dict[str, str]:
        made.extend(names)
        return {name: f"{name} {len(made)}" for name in names if name != "none"}

    memory: Memory[str, str] = Memory(10)
    assert memory.recall({"a": 1, "b": 1}, make) == {"a": "a 2", "b": "b 2"}
    assert memory.recall({"a": 1, "b": 2}, make) == {"a": "a 2", "b": "b 3"}
    assert memory.recall({"a": 1}, make) == {"a": "a 2"}
    assert memory.recall({"b": 1, "none": 1}, make) == {"b": "b 5"}
    assert made == ["a", "b", "b", "b", "none"]


def test_no_more_is_kept_than_is_allowed_or_asked_for() -> None:
    memory: Memory[int, int] = Memory(3)
    made: list[int] = []

    def make(names: list[int]) -> dict[int, int]:
        made.extend(names)
        return {name: name for name in names}

    for names in ([1, 2, 3], [4], [1], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]):
        assert memory.recall(dict.fromkeys(names), make) == {name: name for name in names}
    assert made == [1, 2, 3, 4, 1, 2, 3, 5]


TABLES = ("dag", "dag_tag", "dag_run", "dag_run_note", "asset_event", "serialized_dag", "task_instance")


@pytest.fixture
def database(simple: Server) -> Iterator[sqlite3.Connection]:
    """Airflow's database, as another process writes it; everything is as before when the test ends."""
    with closing(sqlite3.connect(simple.site.home / "airflow.db", timeout=60, isolation_level=None)) as opened:
        for table in TABLES:
            opened.execute(f"create temp table kept_{table} as select * from {table}")  # noqa: S608 - a constant
        try:
            yield opened
        finally:
            for table in reversed(TABLES):
                opened.execute(f"delete from {table}")  # noqa: S608
                opened.execute(f"insert into {table} select * from temp.kept_{table}")  # noqa: S608


def shown_workers(server: Server) -> Shown:
    answer = server.get("/talent-exports/api/exports", "viewer")
    assert answer.status_code == 200, answer.text
    shown: Shown = {export["dag_id"]: export for export in answer.json()["exports"]}[WORKERS]
    return shown


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_is_seen_at_the_next_look(name: str, simple: Server, database: sqlite3.Connection) -> None:
    before = shown_workers(simple)
    assert (before["state"], before["arrived"]["rows"]) == ("arrived", 41208)
    runs = database.execute("select id from dag_run where dag_id = ? order by run_after desc limit 14", [WORKERS])
    newest, *_, oldest = (number for (number,) in runs)
    values = {
        "dag": WORKERS, "now": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}", "newest": newest, "oldest": oldest,
    }  # fmt: skip
    for statement in CHANGES[name].statements:
        assert database.execute(statement, values).rowcount == 1
    now = shown_workers(simple)
    assert CHANGES[name].right(before, now), json.dumps(now, indent=1)


def test_two_people_who_look_in_turn_see_each_their_own(fab: Server) -> None:
    for _ in range(2):
        assert len(fab.get("/talent-exports/api/exports", "viewer").json()["exports"]) == 17
        assert [each["name"] for each in fab.get("/talent-exports/api/exports", "one").json()["exports"]] == ["workers"]
        (hidden,) = fab.get("/talent-exports/api/exports", "dag").json()["exports"]
        assert (hidden["state"], hidden["run"], hidden["arrived"]) == ("hidden", None, None)
        (runs,) = fab.get("/talent-exports/api/exports", "runs").json()["exports"]
        assert (runs["state"], runs["arrived"]) == ("failed", None)
