"""Runs DAGs with ``dag.test()``, one after the other, in a process of its own: its environment says which Airflow.

Reads a JSON list of ``{"dag_id", "logical_date", "conf"}`` from standard input; prints its results as the last line.
With ``--forgetful``, each task begins without what the process knows of tokens, as tasks of their own processes do.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from typing import Any

from airflow.configuration import conf
from airflow.dag_processing.dagbag import DagBag
from airflow.models.xcom import XComModel
from airflow.sdk.definitions import dag as dag_module
from airflow.settings import Session
from sqlalchemy import select

MARK = "RESULTS "


def run(bag: DagBag, dag_id: str, logical_date: str | None, conf: dict[str, Any]) -> dict[str, Any]:
    """One run, and what it left in the metadata database."""
    date = datetime.fromisoformat(logical_date) if logical_date else None
    dag = bag.dags[dag_id]
    dag_run = dag.test(logical_date=date, run_conf=conf)
    session = Session()
    instances = dag_run.get_task_instances(session=session)
    xcoms = session.scalars(select(XComModel).where(XComModel.dag_id == dag_id, XComModel.run_id == dag_run.run_id))
    return {
        "state": dag_run.state,
        "tasks": {f"{ti.task_id}[{ti.map_index}]": ti.state for ti in instances},
        "names": {f"{ti.task_id}[{ti.map_index}]": ti.rendered_map_index for ti in instances},
        "tries": {f"{ti.task_id}[{ti.map_index}]": ti.try_number for ti in instances},
        "xcoms": {f"{row.task_id}[{row.map_index}].{row.key}": row.value for row in xcoms},
    }


def initialize_metrics() -> None:
    """What the task runner and the triggerer do when they begin: ``dag.test()`` leaves it out."""
    core = import_module("airflow.observability.stats"), import_module("airflow.observability.metrics.stats_utils")
    sdk = (
        import_module("airflow.sdk.observability.stats"),
        import_module("airflow.sdk.observability.metrics.stats_utils"),
    )
    for stats, utilities in (core, sdk):
        if hasattr(stats, "initialize"):
            stats.initialize(factory=utilities.get_stats_factory(), export_legacy_names=True)
        else:
            # Airflow 3.2.
            stats.Stats.initialize(factory=utilities.get_stats_factory(stats.Stats))


def forgetting(run_task: Callable[..., Any]) -> Callable[..., Any]:
    """What runs a task, after the process has forgotten its tokens and what token services say of themselves."""
    from talent_dmf.auth import token_service, tokens

    def run_anew(**arguments: Any) -> Any:
        tokens._sources.clear()
        token_service.forget_discoveries()
        return run_task(**arguments)

    return run_anew


if __name__ == "__main__":
    if conf.getboolean("metrics", "statsd_on"):
        initialize_metrics()
    if "--forgetful" in sys.argv:
        dag_module._run_task = forgetting(dag_module._run_task)
    dags = DagBag(conf.get("core", "dags_folder"))
    results = [run(dags, **each) for each in json.load(sys.stdin)]
    sys.stdout.write(f"\n{MARK}{json.dumps(results)}\n")
