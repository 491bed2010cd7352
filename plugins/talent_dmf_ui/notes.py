"""What tasks have left for people to read (:mod:`talent_dmf.notes`), as notes of the run and of its tasks.

The process that decides how a run ends copies it, in the transaction in which it decides (docs/adr/0013-notes.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.models.dagrun import DagRun, DagRunNote
from airflow.models.taskinstance import TaskInstance, TaskInstanceNote
from airflow.models.xcom import XComModel
from sqlalchemy import Text, and_, cast, delete, insert, select, update
from sqlalchemy.orm import object_session

from talent_dmf.notes import FAILURE_XCOM_KEY, NOTICE_XCOM_KEY
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


def write_reasons(dag_run: DagRun, *, by_tasks: bool) -> None:
    """Say in notes why a run has failed. A note that a person has written stays.

    :param dag_run: the run, in the session of whoever has decided that it failed.
    :param by_tasks: whether it failed because of its tasks, and not because a person said so.
    """
    with _connection(dag_run) as connection:
        failures = _failures(connection, dag_run) if connection is not None else []
        if connection is None or not failures:
            return
        if not any(failure.reason for failure in failures) and not (by_tasks and _is_export(dag_run)):
            return
        for failure in failures:
            _put(connection, TaskInstanceNote, TaskInstanceNote.ti_id, failure.id, failure.reason or _NO_REASON)
        _put(connection, DagRunNote, DagRunNote.dag_run_id, dag_run.id, sentence(failures))


def write_notices(dag_run: DagRun, *, ended: bool) -> None:
    """Take away why a run has failed before, and say what is remarkable about it.

    :param dag_run: the run, in the session of whoever has decided about its state.
    :param ended: whether it has succeeded, and has not just begun again.
    """
    with _connection(dag_run) as connection:
        if connection is None:
            return
        of_run = and_(DagRunNote.dag_run_id == dag_run.id, DagRunNote.user_id == AUTHOR)
        if connection.execute(select(DagRunNote.dag_run_id).where(of_run)).first() is not None:
            connection.execute(delete(DagRunNote).where(of_run))
            tasks = select(_ti.id).where(_ti.dag_id == dag_run.dag_id, _ti.run_id == dag_run.run_id)
            of_tasks = and_(TaskInstanceNote.ti_id.in_(tasks), TaskInstanceNote.user_id == AUTHOR)
            connection.execute(delete(TaskInstanceNote).where(of_tasks))
        notices = _notices(connection, dag_run) if ended else []
        if notices:
            _put(connection, DagRunNote, DagRunNote.dag_run_id, dag_run.id, _cut(" ".join(notices), LONGEST_NOTE))


@contextmanager
def _connection(dag_run: DagRun) -> Iterator[Connection | None]:
    """The connection of the transaction that decides about a run, within a savepoint; ``None`` if there is none."""
    session = object_session(dag_run)
    if session is None:
        yield None
        return
    # A note that a person gives together with the state may not be in the database yet.
    session.flush()
    connection = session.connection()
    # A savepoint of the connection: one of the session is a commit to the scheduler, which forbids it. Without any, a
    # statement that PostgreSQL refuses would take the scheduler's transaction with it.
    with connection.begin_nested():
        yield connection


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
        Failure(task, (records.text_of(label) or str(index)) if index >= 0 else "", _sentence(text))
        for task, index, label, text in rows
    ]


def _notices(connection: Connection, dag_run: DagRun) -> list[str]:
    rows = connection.execute(
        select(cast(_xcom.value, Text))
        .where(_xcom.dag_run_id == dag_run.id, _xcom.key == NOTICE_XCOM_KEY)
        .order_by(_xcom.task_id, _xcom.map_index)
        .limit(_MOST_TASKS)
    )
    return list(dict.fromkeys(notice for (text,) in rows if (notice := _sentence(text))))


def _sentence(text: object) -> str | None:
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
