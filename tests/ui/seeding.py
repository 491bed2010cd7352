"""Fills the metadata database of an Airflow with exports and runs, as real ones leave them behind.

A program of its own, because Airflow binds itself to one database when it is imported:
``python -m tests.ui.seeding states PEOPLE`` or ``many EXPORTS RUNS``.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.ui.seeded_exports import NOW, SeededExport, SeededRun, every_state, many

STEPS = ("trigger_export", "wait_for_export", "get_package_url", "save_to_onedrive")


@dataclass
class Rows:
    """Rows to insert, by table; the order is that of the references between them."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, table: str, **values: Any) -> None:
        """Add one row."""
        self.tables.setdefault(table, []).append(values)


def rows_of(exports: Sequence[SeededExport]) -> Rows:
    """What the exports mean for the database.

    :param exports: the exports.
    """
    rows = Rows()
    run_number = 0
    for number, export in enumerate(exports, 1):
        _add_dag(rows, number, export)
        for run in export.runs:
            run_number += 1
            _add_run(rows, run_number, number, export, run)
    return rows


def _param(default: Any) -> dict[str, Any]:
    return {
        "__class": "airflow.sdk.definitions.param.Param",
        "default": default,
        "description": "What it means, in a sentence as long as those of the real form are, for its weight.",
        "schema": {"__var": {"type": "string", "title": "Title"}, "__type": "dict"},
        "source": None,
    }


def _add_dag(rows: Rows, number: int, export: SeededExport) -> None:
    version = uuid.uuid4()
    rows.add("dag", **_dag(export))
    for tag in [*(["talent-dmf"] if export.export else []), *export.tags]:
        rows.add("dag_tag", name=tag, dag_id=export.id)
    rows.add("dag_version", id=version, version_number=1, dag_id=export.id, bundle_name="dags-folder")
    rows.add(
        "serialized_dag",
        id=uuid.uuid4(),
        dag_id=export.id,
        data={"__version": 3, "dag": _serialized(export)},
        dag_hash=f"{number:032x}",
        dag_version_id=version,
    )
    uri = f"x-talent-dmf://{export.name}/package"
    rows.add("asset", id=number, name=f"talent_{export.name}_package", uri=uri, group="talent", extra={})
    task_id = "export.save_to_onedrive" if len(export.companies) > 1 else "save_to_onedrive"
    rows.add("task_outlet_asset_reference", asset_id=number, dag_id=export.id, task_id=task_id)


def _next(export: SeededExport) -> datetime:
    return NOW + timedelta(hours=export.next_hours or 0)


def _cron(export: SeededExport) -> str:
    return f"{_next(export).minute} {_next(export).hour} * * *"


def _dag(export: SeededExport) -> dict[str, Any]:
    return {
        "dag_id": export.id,
        "is_paused": export.paused,
        "is_stale": export.stale,
        "bundle_name": "dags-folder",
        "fileloc": "/dags/talent_exports.py",
        "relative_fileloc": "talent_exports.py",
        "description": f"Exports {export.project}.",
        "timetable_type": "CronTriggerTimetable",
        "timetable_summary": _cron(export),
        "timetable_description": f"At {_next(export):%H:%M}",
        "deadline": [{"interval": 7200.0}],
        "next_dagrun_create_after": None if export.next_hours is None else _next(export),
        "max_active_tasks": 16,
        "max_active_runs": 1,
        "max_consecutive_failed_dag_runs": 0,
        "has_task_concurrency_limits": False,
        "owners": "integration",
        "last_parsed_time": NOW,
    }


def _serialized(export: SeededExport) -> dict[str, Any]:
    companies = (
        ["legal_entity", _param(export.companies[0])]
        if len(export.companies) == 1
        else ["legal_entities", _param(list(export.companies))]
    )
    return {
        "dag_id": export.id,
        "params": [["data_project", _param(export.project)], companies, ["folder", _param(f"Exports/{export.name}")]],
        "timetable": {
            "__type": "airflow.timetables.trigger.CronTriggerTimetable",
            "__var": {"expression": _cron(export), "timezone": "UTC", "interval": 86400.0},
        },
        "doc_md": "x" * 12_000,  # as large as a real one
        "tasks": [],
    }


def _add_run(rows: Rows, run_number: int, asset_id: int, export: SeededExport, run: SeededRun) -> None:
    due = NOW - timedelta(hours=run.hours_ago)
    start, over = due + timedelta(seconds=20), run.state in {"success", "failed"}
    end = start + timedelta(seconds=run.seconds) if over else None
    run_id = f"{run.run_type}__{due.isoformat()}"
    queued = run.state == "queued"
    rows.add(
        "dag_run",
        id=run_number,
        dag_id=export.id,
        run_id=run_id,
        run_type=run.run_type,
        state=run.state,
        queued_at=due,
        logical_date=due,
        start_date=None if queued else start,
        end_date=end,
        run_after=due,
        data_interval_start=due - timedelta(days=1),
        data_interval_end=due,
        conf={"check_only": True} if run.check_only else {},
    )
    if run.note:
        rows.add("dag_run_note", dag_run_id=run_number, content=run.note)
    if run.deadline is not None:
        _add_deadline(rows, run_number, run.deadline)
    mapped = len(export.companies) > 1
    for index, count in enumerate(run.rows):
        map_index = index if mapped else -1
        prefix = "export." if mapped else ""
        last = index == len(run.rows) - 1
        if run.tasks and not queued:
            of_task = {"dag_id": export.id, "run_id": run_id, "map_index": map_index}
            _add_tasks(rows, run, start, prefix=prefix, failing=last, dag_run_id=run_number, **of_task)
        if count is not None and run.state != "running":
            at = start + timedelta(seconds=run.seconds - 30 + index)
            company = export.companies[index]
            rows.add(
                "asset_event",
                asset_id=asset_id,
                source_dag_id=export.id,
                source_run_id=run_id,
                source_task_id=f"{prefix}save_to_onedrive",
                source_map_index=map_index,
                timestamp=at,
                extra=run.extra if run.extra is not None else _extra(export, company, count, at),
            )


def _extra(export: SeededExport, company: str, count: int, at: datetime) -> dict[str, Any]:
    name = f"{export.project}_{company}_{at:%Y-%m-%d}.zip"
    return {
        "execution_id": f"airflow-{company}-{at:%Y%m%d}",
        "drive_item_id": "01ZEYJ4ZYLNGAJC4YNU6I6YUAMGZFW7A77",
        "name": name,
        "size": 2000 + 300 * count,
        "web_url": f"https://contoso-my.sharepoint.com/personal/export/Documents/Exports/{at:%Y-%m-%d}.zip",
        "quick_xor_hash": "BHYQsid2J9jnoaqP+H9hDlZUEQQ=",
        "rows": count,
        "entities": [
            {"entity": "Workers", "rows": count - count // 3, "status": "Ended"},
            {"entity": "Positions", "rows": count // 3, "status": "Ended"},
        ],
        "extracted_at": at.isoformat(),
    }


def _add_tasks(
    rows: Rows, run: SeededRun, start: datetime, *, prefix: str, failing: bool, dag_run_id: int, **of_task: Any
) -> None:
    at, step_seconds = start, run.seconds / len(STEPS)
    for step, state in _states(run, failing):
        task, task_id = uuid.uuid4(), f"{prefix}{step}"
        ended = state not in {"", "deferred"}
        rows.add(
            "task_instance",
            id=task,
            task_id=task_id,
            **of_task,
            state=state or None,
            start_date=at if state else None,
            end_date=at + timedelta(seconds=step_seconds) if ended else None,
            try_number=1,
            pool="default_pool",
            pool_slots=1,
            queue="default",
            priority_weight=1,
            operator="Operator",
        )
        if state == "failed" and run.task_note:
            rows.add("task_instance_note", ti_id=task, content=run.task_note)
        for key, value in _xcoms(run, step, state):
            rows.add("xcom", dag_run_id=dag_run_id, task_id=task_id, **of_task, key=key, value=value)
        at += timedelta(seconds=step_seconds)


def _states(run: SeededRun, failing: bool) -> Iterator[tuple[str, str]]:
    """Each step of one company, and its state."""
    broken = False
    for step in STEPS:
        state = "success"
        if run.state == "running":
            state = {"trigger_export": "success", "wait_for_export": "deferred"}.get(step, "")
        elif broken:
            state = "upstream_failed"
        elif failing and step == run.failed_step:
            state, broken = "failed", True
        elif run.skipped and step != "trigger_export":
            state = "skipped"
        yield step, state


def _xcoms(run: SeededRun, step: str, state: str) -> Iterator[tuple[str, Any]]:
    if step == "trigger_export" and state == "success":
        yield "job_page_url", run.job_url
        yield "return_value", "airflow-execution"
    if state == "failed" and run.notified is not None:
        yield "notified", run.notified


def _add_deadline(rows: Rows, run_number: int, hours: float) -> None:
    callback = uuid.uuid4()
    rows.add(
        "callback",
        id=callback,
        type="triggerer",
        fetch_method="import_path",
        data={},
        priority_weight=1,
        state="success" if hours < 0 else "scheduled",
    )
    rows.add(
        "deadline",
        id=uuid.uuid4(),
        dagrun_id=run_number,
        deadline_time=NOW + timedelta(hours=hours),
        missed=hours < 0,
        callback_id=callback,
    )


ORDER = (
    "dag_bundle", "dag", "dag_tag", "dag_version", "serialized_dag", "asset", "task_outlet_asset_reference", "dag_run",
    "dag_run_note", "callback", "deadline", "task_instance", "task_instance_note", "xcom", "asset_event",
)  # fmt: skip


def insert(rows: Rows) -> None:
    """Write the rows into the database of this process' Airflow.

    :param rows: the rows.
    """
    from airflow.models import import_all_models
    from airflow.models.base import Base
    from airflow.utils.session import create_session

    import_all_models()
    tables = Base.metadata.tables
    rows.add("dag_bundle", name="dags-folder", active=True)
    with create_session(scoped=False) as session:
        for name in ORDER:
            if rows.tables.get(name):
                session.execute(tables[name].insert(), rows.tables[name])


def add_fab_people(roles: Mapping[str, Sequence[tuple[str, str]]], people: Mapping[str, tuple[str, str]]) -> None:
    """Make roles and users of the FAB auth manager.

    :param roles: permissions of each new role: action and resource.
    :param people: password and role of each user.
    """
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        manager = builder.sm
        manager.sync_roles()
        for name, permissions in roles.items():
            role = manager.add_role(name)
            for action, resource in permissions:
                manager.add_permission_to_role(role, manager.create_permission(action, resource))
        for name, (password, role) in people.items():
            manager.add_user(name, name, name, f"{name}@example.com", manager.find_role(role), password=password)


def main(arguments: list[str]) -> None:
    """Make and fill the database of the Airflow that the environment names.

    :param arguments: ``states PEOPLE`` (JSON, with roles and people of the FAB auth manager) or ``many EXPORTS RUNS``.
    """
    from airflow.utils.db import initdb

    initdb()
    match arguments:
        case ["states", text]:
            insert(rows_of(every_state()))
            wanted = json.loads(text)
            add_fab_people(
                {name: [tuple(each) for each in permissions] for name, permissions in wanted["roles"].items()},
                {name: tuple(each) for name, each in wanted["people"].items()},
            )
        case ["many", exports, runs]:
            insert(rows_of(many(int(exports), int(runs))))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
