"""Import once what the tasks of exports need, in the processes that fork theirs.

Airflow runs each task in a process of its own, forked from a worker that has imported Airflow and nothing of ours. What
the task imports is most of its CPU time then, and the same again for the next one. ``airflow_local_settings.py``, which
Airflow reads at the start of every process (docs/how-to/sizing.md#what-a-task-costs), calls :func:`preload`: the forks
find everything there, in memory that they share.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib import import_module

log = logging.getLogger(__name__)

# What a DAG file imports, and what Airflow imports for any DAG with a timetable.
_DAG_FILE = (
    "airflow.timetables.base",
    "cron_descriptor",
    "talent_dmf.dag_factory.exports",
    "talent_dmf.transfers.talent_dmf_to_onedrive",
)
# What the four tasks import when they run; of a destination of another kind, its own tasks import the rest.
_TASKS = (
    *_DAG_FILE,
    "msal_extensions",
    "talent_dmf.api.dmf.waiting",
    "talent_dmf.destinations.onedrive.folder",
    "talent_dmf.destinations.onedrive.session_store",
    "talent_dmf.destinations.receipts",
    "talent_dmf.destinations.saving",
    "talent_dmf.hooks.onedrive",
    "talent_dmf.hooks.talent_dmf",
    "talent_dmf.lineage",
)


def preload(arguments: Sequence[str] | None = None) -> list[str]:
    """Import what the forks of this process will need, if it is one that forks: a Celery worker, the scheduler of a
    LocalExecutor, the DAG processor. Others, such as the API server, are left alone.

    What cannot be imported is said once and left to the task, whose log is the place for it.

    :param arguments: of the ``airflow`` command; those of this process when omitted.
    :returns: the modules that are there now.
    """
    done = []
    for name in _needed(tuple(sys.argv[1:] if arguments is None else arguments)):
        try:
            import_module(name)
        except Exception as error:  # noqa: BLE001 - an error here would end every process of Airflow
            log.warning(
                "%s could not be imported ahead of the tasks (%s: %s). Each task imports it itself: see its log.",
                name,
                type(error).__name__,
                error,
            )
            continue
        done.append(name)
    return done


def _needed(arguments: tuple[str, ...]) -> Sequence[str]:
    match arguments:
        case ("celery", "worker", *_):
            return _TASKS
        case ("scheduler", *_) if _forks_tasks():
            return _TASKS
        case ("dag-processor", *_):
            return _DAG_FILE
    return ()


def _forks_tasks() -> bool:
    from airflow.sdk import conf

    return "LocalExecutor" in str(conf.get("core", "executor", fallback=""))
