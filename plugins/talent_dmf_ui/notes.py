"""The reason of a failure as note of the run and of its task, where the grid shows it without a click.

A task cannot write notes: Airflow gives it no way to (docs/adr/0013-notes.md). It leaves its reason as an XCom, and the
process that decides that the run has failed copies it, in the transaction in which it decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.models.dagrun import DagRun, DagRunNote
from airflow.models.taskinstance import TaskInstance, TaskInstanceNote
from airflow.models.xcom import XComModel
from sqlalchemy import Text, and_, cast, delete, insert, select, update
from sqlalchemy.orm import object_session

from talent_dmf.airflow_errors import FAILURE_XCOM_KEY
from talent_dmf_ui import records
from talent_dmf_ui.queries import TAG

if TYPE_CHECKING:
    from sqlalchemy import Connection

# In place of the person who wrote a note: what is marked with it may be replaced and removed.
AUTHOR = "talent_dmf"
# The columns are as long as that.
LONGEST_NOTE = 1000
_MOST_TASKS = 200

_ti, _xcom = TaskInstance.__table__.c, XComModel.__table__.c
_NO_REASON = "The task failed without giving a reason; its log says what happened."


class Failure(NamedTuple):
    """A task that failed.

    :param id: of the task instance.
    :param label: what a mapped task is called; empty for one that is not mapped.
    :param reason: its own words, if there are any.
    """

    id: Any
    label: str
    reason: str | None


def write(dag_run: DagRun, *, by_tasks: bool) -> None:
    """Say in notes why a run has failed. A note that a person has written stays.

    :param dag_run: the run, in the session of whoever has decided that it failed.
    :param by_tasks: whether it failed because of its tasks, and not because a person said so.
    """
    session = object_session(dag_run)
    if session is None:
        return
    # A note that a person gives together with the state may not be in the database yet.
    session.flush()
    connection = session.connection()
    # A savepoint of the connection: one of the session is a commit to the scheduler, which forbids it. Without any, a
    # statement that PostgreSQL refuses would take the scheduler's transaction with it.
    with connection.begin_nested():
        failures = _failures(connection, dag_run)
        if not any(failure.reason for failure in failures) and not (by_tasks and _is_export(dag_run)):
            return
        for failure in failures:
            _put(connection, TaskInstanceNote, TaskInstanceNote.ti_id, failure.id, failure.reason or _NO_REASON)
        if failures:
            _put(connection, DagRunNote, DagRunNote.dag_run_id, dag_run.id, sentence(failures))


def remove(dag_run: DagRun) -> None:
    """Remove the notes that :func:`write` has left.

    :param dag_run: the run.
    """
    session = object_session(dag_run)
    if session is None:
        return
    session.flush()
    connection = session.connection()
    of_run = and_(DagRunNote.dag_run_id == dag_run.id, DagRunNote.user_id == AUTHOR)
    with connection.begin_nested():
        if connection.execute(select(DagRunNote.dag_run_id).where(of_run)).first() is None:
            return
        connection.execute(delete(DagRunNote).where(of_run))
        tasks = select(_ti.id).where(_ti.dag_id == dag_run.dag_id, _ti.run_id == dag_run.run_id)
        connection.execute(
            delete(TaskInstanceNote).where(TaskInstanceNote.ti_id.in_(tasks), TaskInstanceNote.user_id == AUTHOR)
        )


def sentence(failures: Sequence[Failure]) -> str:
    """The note of a run: the reason of the task that failed first, and who else failed.

    :param failures: the tasks that failed, the first one first.
    """
    first, *others = failures
    also = ", ".join(dict.fromkeys(each.label for each in others if each.label and each.label != first.label))
    end = f" Also failed: {also}." if also else ""
    if len(end) > LONGEST_NOTE // 2:
        end = f" {len(others)} more failed."
    words = f"{first.label}: {first.reason or _NO_REASON}" if first.label else first.reason or _NO_REASON
    return _cut(words, LONGEST_NOTE - len(end)) + end


def _failures(connection: Connection, dag_run: DagRun) -> list[Failure]:
    rows = connection.execute(
        select(_ti.id, _ti.map_index, _ti.rendered_map_index, cast(_xcom.value, Text))
        .select_from(TaskInstance)
        .outerjoin(
            XComModel,
            and_(
                _xcom.dag_run_id == dag_run.id,
                _xcom.task_id == _ti.task_id,
                _xcom.map_index == _ti.map_index,
                _xcom.key == FAILURE_XCOM_KEY,
            ),
        )
        .where(_ti.dag_id == dag_run.dag_id, _ti.run_id == dag_run.run_id, _ti.state == "failed")
        .order_by(_ti.end_date, _ti.map_index)
        .limit(_MOST_TASKS)
    ).all()
    return [
        Failure(task, (records.text_of(label) or str(index)) if index >= 0 else "", _reason(text))
        for task, index, label, text in rows
    ]


def _reason(text: object) -> str | None:
    # A backend of XComs that keeps them elsewhere leaves an address, which is no sentence.
    found = records.text_of(records.parse(text), longest=LONGEST_NOTE)
    return found if found and " " in found.strip() else None


def _is_export(dag_run: DagRun) -> bool:
    return TAG in (getattr(getattr(dag_run, "dag", None), "tags", None) or ())


def _put(connection: Connection, table: Any, key: Any, value: Any, text: str) -> None:
    known = connection.execute(select(table.user_id).where(key == value)).first()
    if known is None:
        connection.execute(insert(table).values({key: value, table.content: text, table.user_id: AUTHOR}))
    elif known[0] == AUTHOR:
        connection.execute(update(table).where(key == value).values({table.content: text}))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
