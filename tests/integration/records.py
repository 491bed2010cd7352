"""What the operators read of a run, and what they write, without a scheduler."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass
class TaskInstanceRecord:
    """The facts of a task instance that the operators read, and what they push."""

    dag_id: str = "talent_export_workers"
    run_id: str = "manual__2026-11-23T00:00:00+00:00"
    task_id: str = "trigger_export"
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 3
    pushed: dict[str, Any] = field(default_factory=dict)
    mapped_beside: list[TaskInstanceRecord] = field(default_factory=list)

    def xcom_push(self, key: str, value: Any) -> None:
        json.dumps(value)
        self.pushed[key] = value

    def xcom_pull(self, *, task_ids: str, key: str) -> Any:
        """As Airflow: what all instances of a mapped task have pushed, and a single one by itself."""
        assert task_ids == self.task_id
        found = [each.pushed[key] for each in (self, *self.mapped_beside) if key in each.pushed]
        return found[0] if len(found) == 1 else found


@dataclass
class DagRunRecord:
    """The facts of a DAG run that the operators read."""

    start_date: datetime = datetime(2026, 11, 23, tzinfo=UTC)
    run_after: datetime = datetime(2026, 11, 23, tzinfo=UTC)
    run_id: str = "manual__2026-11-23T00:00:00+00:00"
    run_type: str = "manual"


class StateStore(dict[str, Any]):
    """Airflow's task state store, as far as it is used."""

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        assert value is not None
        self[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        self.pop(key, None)
