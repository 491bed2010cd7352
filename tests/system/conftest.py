"""One real Airflow beside one emulator for all system tests, and the runs they look at."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi
import psutil
import pytest
from tests.examples import WORKERS
from tests.otlp import Collector, collector

from local_stack import LocalStack
from local_stack.processes import wait_until
from local_stack.stack import DAG_ID, StackOptions

TASK_IDS = ["trigger_export", "wait_for_export", "get_package_url", "save_to_onedrive"]
PROJECT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)


@dataclass(frozen=True)
class FinishedRun:
    """A DAG run that is over, with what the API says about it."""

    stack: LocalStack
    run: dict[str, Any]
    tasks: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, stack: LocalStack, run: dict[str, Any]) -> FinishedRun:
        tasks = {task["task_id"]: task for task in stack.airflow.task_instances(DAG_ID, run["dag_run_id"])}
        return cls(stack, run, tasks)

    @property
    def states(self) -> dict[str, Any]:
        return {task_id: task["state"] for task_id, task in self.tasks.items()}

    def xcoms(self, task_id: str) -> dict[str, Any]:
        return self.stack.airflow.xcoms(DAG_ID, self.run["dag_run_id"], task_id)

    def log(self, task_id: str, try_number: int = 1) -> str:
        return self.stack.airflow.task_log(DAG_ID, self.run["dag_run_id"], task_id, try_number=try_number)

    @property
    def execution_id(self) -> str:
        return str(self.xcoms("trigger_export")["return_value"])

    @property
    def saved(self) -> dict[str, Any]:
        return dict(self.xcoms("save_to_onedrive")["return_value"])

    @property
    def saved_path(self) -> Path:
        return self.stack.emulator.saved_path(self.saved["drive_item_id"])


def run_by_hand(stack: LocalStack, conf: dict[str, Any] | None = None) -> FinishedRun:
    run_id = stack.airflow.trigger_run(DAG_ID, conf)
    return FinishedRun.read(stack, stack.airflow.wait_for_run(DAG_ID, run_id))


def impatient_project(folder: Path) -> Path:
    """Write the project's DAG with the tutorial's export beside it, impatient about retries and polls.

    :param folder: where to; an empty one.
    :returns: the DAGs folder.
    """
    dags, catalogue = folder / "dags", folder / "include" / "exports"
    dags.mkdir(parents=True)
    catalogue.mkdir(parents=True)
    shutil.copy(PROJECT / "dags" / "talent_exports.py", dags)
    hurry = "retry_delay: 1 s\nmax_retry_delay: 2 s\npoke_interval: 1 s\n"
    (catalogue / "workers.yaml").write_text(WORKERS + hurry, encoding="utf-8")
    return dags


def alive(process: psutil.Process) -> bool:
    """Whether a process runs: neither gone nor a zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class RunningTask:
    """A task of a run that is under way."""

    stack: LocalStack
    run_id: str
    task_id: str

    @property
    def state(self) -> str | None:
        return self._instance["state"]

    @property
    def _instance(self) -> dict[str, Any]:
        (instance,) = [
            task for task in self.stack.airflow.task_instances(DAG_ID, self.run_id) if task["task_id"] == self.task_id
        ]
        return instance

    def process(self) -> psutil.Process:
        """The process that executes the task, and nothing else of Airflow: its title ends in the id of this try."""
        (process,) = self.stack.airflow_processes(f"airflow worker -- {self._instance['id']}")
        return process

    def kill(self) -> None:
        """End the task's process as the kernel does when memory runs out."""
        process = self.process()
        process.kill()
        wait_until(lambda: not alive(process), f"the process of {self.task_id} is gone", timeout_seconds=10)

    def wait_for_state(self, state: str, timeout_seconds: float = 60) -> None:
        wait_until(lambda: self.state == state, f"{self.task_id} is {state}", timeout_seconds=timeout_seconds)


@pytest.fixture(scope="session")
def otel() -> Iterator[Collector]:
    """Where the Airflow of all these tests reports its metrics."""
    with collector() as running:
        yield running


@pytest.fixture(scope="session")
def stack(otel: Collector) -> Iterator[LocalStack]:
    # What many companies set for all programs; the connections' own `verify` has to win over it.
    bundle = {name: certifi.where() for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")}
    environment = {**bundle, **otel.environment}
    with LocalStack(StackOptions(name="system-tests", export_seconds=2, environment=environment)) as running:
        running.wait_for_dag()
        running.airflow.unpause(DAG_ID)
        yield running


@pytest.fixture(scope="session")
def run_with_params(stack: LocalStack) -> FinishedRun:
    return run_by_hand(
        stack,
        {
            "legal_entity": "DEMF",
            "folder": "Exports/By hand",
            "file_name": "{legal_entity} by hand.zip",
            "conflict_behavior": "fail",
        },
    )


@dataclass(frozen=True)
class DeferredRun:
    finished: FinishedRun
    states_seen: list[str]


@pytest.fixture(scope="session")
def deferred_run(stack: LocalStack) -> DeferredRun:
    """An export that waits in the batch queue for longer than the worker is willing to wait for it."""
    stack.emulator.add_fault("long-not-run", "queue", not_run_seconds=18)
    run_id = stack.airflow.trigger_run(DAG_ID)
    seen: list[str] = []

    def look() -> None:
        for task in stack.airflow.task_instances(DAG_ID, run_id):
            if task["task_id"] == "wait_for_export" and task["state"] and task["state"] not in seen[-1:]:
                seen.append(task["state"])

    run = stack.airflow.wait_for_run(DAG_ID, run_id, on_poll=look)
    return DeferredRun(FinishedRun.read(stack, run), seen)


@pytest.fixture(scope="session")
def backfilled_runs(stack: LocalStack) -> list[FinishedRun]:
    if stack.site.database_url.startswith("sqlite"):
        pytest.skip("SQLite refuses a backfill of several days while the scheduler writes: install PostgreSQL")
    done = stack.command(
        "backfill", "create", "--dag-id", DAG_ID, "--from-date", "2026-11-16", "--to-date", "2026-11-18"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    deadline = time.monotonic() + 180
    while True:
        runs = stack.airflow.runs(DAG_ID, run_type="backfill")
        if len(runs) == 3 and all(run["state"] in {"success", "failed"} for run in runs):
            return [FinishedRun.read(stack, run) for run in sorted(runs, key=lambda run: run["logical_date"])]
        assert time.monotonic() < deadline, runs
        time.sleep(0.3)
