"""What Airflow calls when a DAG run changes its state. Every component imports this file: it must stay light.

The scheduler calls it for the runs of all DAGs, and the API server where a person sets a run's state. Nothing that goes
wrong here may reach them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

log = logging.getLogger(__name__)


@hookimpl
def on_dag_run_failed(dag_run: DagRun, msg: str) -> None:
    """Put the reason into the notes of the run and of its failed tasks."""
    try:
        from talent_dmf_ui import notes

        notes.write_reasons(dag_run, by_tasks=msg == "task_failure")
    except Exception as error:  # noqa: BLE001 - a note only informs
        _say(dag_run, error)


@hookimpl
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:
    """Take away the reason why the run failed before it was cleared."""
    if getattr(dag_run, "clear_number", 1):
        _write_notices(dag_run, ended=False)


@hookimpl
def on_dag_run_success(dag_run: DagRun, msg: str) -> None:
    """Take away the reason why the run failed before, and put into its note what its tasks found remarkable."""
    _write_notices(dag_run, ended=True)


def _write_notices(dag_run: DagRun, *, ended: bool) -> None:
    try:
        from talent_dmf_ui import notes

        notes.write_notices(dag_run, ended=ended)
    except Exception as error:  # noqa: BLE001 - see above
        _say(dag_run, error)


def _say(dag_run: DagRun, error: Exception) -> None:
    run = getattr(dag_run, "run_id", "?")
    log.warning("The note of run %s was not written; the run is not affected: %s: %s", run, type(error).__name__, error)
