"""Why a run failed, as note of the run and of its tasks, in the schema of a real Airflow."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dagrun import DagRun, DagRunNote
from airflow.models.taskinstance import TaskInstance, TaskInstanceNote
from airflow.utils.sqlalchemy import prohibit_commit
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session
from tests.ui.seeded_exports import SeededExport, SeededRun
from tests.ui.seeding import ORDER, rows_of

from talent_dmf_ui import listener, notes
from talent_dmf_ui.notes import Failure, sentence

WHY = "The data project “Wrokers” does not exist in this environment. Choose one of its 40 projects."
EXPORT = SimpleNamespace(tags={"talent-dmf", "human-resources"})


@pytest.fixture
def session() -> Iterator[Session]:
    import_all_models()
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    failed = SeededRun(3, "failed", rows=(None,), failed_step="trigger_export")
    companies = SeededRun(2, "failed", rows=(10, 10, None), failed_step="wait_for_export")
    rows = rows_of(
        [
            SeededExport("one", runs=[failed]),
            SeededExport("three", companies=("USMF", "DEMF", "FRRT"), runs=[companies]),
        ]
    )
    with Session(engine, autoflush=False, expire_on_commit=False) as opened:
        for name in ORDER:
            if rows.tables.get(name):
                opened.execute(Base.metadata.tables[name].insert(), rows.tables[name])
        opened.commit()
        yield opened
    engine.dispose()


def run_of(session: Session, name: str) -> DagRun:
    run = session.scalar(select(DagRun).where(DagRun.dag_id == f"talent_export_{name}"))
    assert run is not None
    run.dag = EXPORT
    return run


def leave_reason(
    session: Session,
    run: DagRun,
    value: Any,
    task_id: str = "trigger_export",
    index: int = -1,
    key: str = "talent_dmf_failure",
) -> None:
    session.execute(
        Base.metadata.tables["xcom"].insert(),
        {
            "dag_run_id": run.id, "task_id": task_id, "map_index": index, "key": key,
            "dag_id": run.dag_id, "run_id": run.run_id, "value": value,
        },
    )  # fmt: skip
    session.commit()


def fail(session: Session, run: DagRun, msg: str = "task_failure") -> None:
    """What the scheduler does: nobody but it may commit."""
    with prohibit_commit(session) as guard:
        listener.on_dag_run_failed(run, msg)
        guard.commit()


def note_of(session: Session, run: DagRun) -> str | None:
    return session.scalar(select(DagRunNote.content).where(DagRunNote.dag_run_id == run.id))


def notes_of_tasks(session: Session, run: DagRun) -> dict[tuple[str, int], str | None]:
    of_run = (TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
    rows = session.execute(
        select(TaskInstance.task_id, TaskInstance.map_index, TaskInstanceNote.content)
        .join(TaskInstanceNote, TaskInstanceNote.ti_id == TaskInstance.id)
        .where(*of_run)
    )
    return {(task_id, index): content for task_id, index, content in rows}


def test_the_reason_is_a_note_of_the_run_and_of_the_task_that_failed(session: Session) -> None:
    run = run_of(session, "one")
    leave_reason(session, run, WHY)
    fail(session, run)
    assert note_of(session, run) == WHY
    assert notes_of_tasks(session, run) == {("trigger_export", -1): WHY}


def test_of_several_companies_the_note_says_which(session: Session) -> None:
    run = run_of(session, "three")
    session.execute(text("update task_instance set rendered_map_index = 'FRRT' where map_index = 2"))
    leave_reason(session, run, WHY, "export.wait_for_export", 2)
    leave_reason(session, run, "Of a task that has succeeded.", "export.wait_for_export", 1)
    fail(session, run)
    assert note_of(session, run) == f"FRRT: {WHY}"
    assert notes_of_tasks(session, run) == {("export.wait_for_export", 2): WHY}


@pytest.mark.parametrize("value", [None, ["no", "text"], 7, "", " ", "s3://bucket/xcom/1", {"why": "?"}])
def test_what_is_no_reason_is_none(session: Session, value: Any) -> None:
    run = run_of(session, "one")
    leave_reason(session, run, value)
    fail(session, run)
    assert note_of(session, run) == "The task failed without giving a reason; its log says what happened."


def test_another_dag_without_a_reason_gets_no_note(session: Session) -> None:
    run = run_of(session, "one")
    run.dag = SimpleNamespace(tags=set())
    fail(session, run)
    assert note_of(session, run) is None
    leave_reason(session, run, WHY)
    fail(session, run)
    assert note_of(session, run) == WHY


def test_a_run_that_a_person_has_failed_gets_only_a_reason_that_there_is(session: Session) -> None:
    run = run_of(session, "one")
    fail(session, run, "Dag Run's state was manually set to `failed`.")
    assert note_of(session, run) is None


def test_what_a_person_has_written_stays(session: Session) -> None:
    run = run_of(session, "one")
    leave_reason(session, run, WHY)
    run.note = ("Jo looks into it.", "jo")  # not yet in the database
    fail(session, run)
    assert note_of(session, run) == "Jo looks into it."
    with prohibit_commit(session) as guard:
        listener.on_dag_run_success(run, "success")
        guard.commit()
    assert note_of(session, run) == "Jo looks into it."


def test_a_run_that_succeeds_after_all_loses_the_reason(session: Session) -> None:
    run, other = run_of(session, "one"), run_of(session, "three")
    leave_reason(session, run, WHY)
    for each in (run, other):
        fail(session, each)
    with prohibit_commit(session) as guard:
        run.clear_number = 0
        listener.on_dag_run_running(run, "")
        assert note_of(session, run) == WHY
        run.clear_number = 1
        listener.on_dag_run_running(run, "")
        guard.commit()
    assert (note_of(session, run), notes_of_tasks(session, run)) == (None, {})
    assert note_of(session, other) is not None


def test_what_is_remarkable_about_a_run_that_succeeds_is_its_note(session: Session) -> None:
    run = run_of(session, "three")
    fail(session, run)
    for index, notice in enumerate(["It is a backfill.", "It is a backfill.", 7]):
        leave_reason(session, run, notice, "export.trigger_export", index, "talent_dmf_notice")
    leave_reason(session, run, "It checked only.", "check", -1, "talent_dmf_notice")
    with prohibit_commit(session) as guard:
        listener.on_dag_run_success(run, "success")
        guard.commit()
    assert note_of(session, run) == "It checked only. It is a backfill."
    assert notes_of_tasks(session, run) == {}


def test_a_second_failure_replaces_the_reason_of_the_first(session: Session) -> None:
    run = run_of(session, "one")
    fail(session, run)
    leave_reason(session, run, WHY)
    fail(session, run)
    assert note_of(session, run) == WHY


def test_a_database_that_refuses_the_note_harms_nothing(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    run = run_of(session, "one")
    leave_reason(session, run, WHY)
    session.execute(text("drop table dag_run_note"))
    with prohibit_commit(session) as guard:
        run.state = "running"
        listener.on_dag_run_failed(run, "task_failure")
        guard.commit()
    assert session.execute(text("select state from dag_run where id = :id"), {"id": run.id}).scalar() == "running"
    assert notes_of_tasks(session, run) == {}
    assert f"The note of run {run.run_id} was not written; the run is not affected" in caplog.text


def test_whatever_airflow_hands_over_nothing_is_raised(caplog: pytest.LogCaptureFixture) -> None:
    for run in (None, SimpleNamespace(run_id="r"), DagRun(dag_id="d", run_id="r")):
        for hook in (listener.on_dag_run_failed, listener.on_dag_run_running, listener.on_dag_run_success):
            hook(run, "task_failure")


@pytest.mark.parametrize("others", [0, 3, 150])
def test_a_note_is_no_longer_than_its_column(others: int) -> None:
    failures = [Failure(uuid.uuid4(), f"C{index:03}", "why " * 400) for index in range(others + 1)]
    said = sentence(failures)
    assert len(said) <= notes.LONGEST_NOTE
    assert said.startswith("C000: why why")
    ends = {0: "…", 3: "… Also failed: C001, C002, C003.", 150: "… 150 more failed."}
    assert said.endswith(ends[others])
