"""Whoever dies while an export runs: Dynamics 365 exports once, and the run goes on with that execution."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from local_stack import LocalStack
from local_stack.emulator import digest_of
from local_stack.processes import GuardedProcess, wait_until
from local_stack.stack import DAG_ID, StackOptions

from .conftest import PROJECT, TASK_IDS, FinishedRun, RunningTask, alive, impatient_project

SUCCESS = dict.fromkeys(TASK_IDS, "success")
QUEUED_SECONDS = 600.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    options = StackOptions(
        name="system-tests-kills-export",
        export_seconds=1,
        settings={
            "AIRFLOW__CORE__DAGS_FOLDER": str(impatient_project(tmp_path_factory.mktemp("project"))),
            # After so long without a sign of life, another triggerer takes its waits over.
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        },
    )
    with LocalStack(options) as running:
        running.wait_for_dag()
        running.airflow.unpause(DAG_ID)
        yield running


@pytest.fixture
def executions_before(stack: LocalStack) -> set[str]:
    return {each["execution_id"] for each in stack.emulator.state()["executions"]}


def executions_of(stack: LocalStack, before: set[str]) -> list[str]:
    return [each["execution_id"] for each in stack.emulator.state()["executions"] if each["execution_id"] not in before]


def finish(stack: LocalStack, run_id: str) -> FinishedRun:
    return FinishedRun.read(stack, stack.airflow.wait_for_run(DAG_ID, run_id, timeout_seconds=90))


def test_a_worker_killed_before_it_could_tell_the_execution_id_does_not_export_twice(
    stack: LocalStack, executions_before: set[str]
) -> None:
    # The answer never comes, so the process is inside of the call when it is killed.
    stack.emulator.add_fault("answer-withheld", "withheld")
    run_id = stack.airflow.trigger_run(DAG_ID)
    task = RunningTask(stack, run_id, "trigger_export")
    wait_until(lambda: executions_of(stack, executions_before), "the export has begun", timeout_seconds=60)

    task.kill()

    run = finish(stack, run_id)
    assert run.states == SUCCESS
    assert {task_id: each["try_number"] for task_id, each in run.tasks.items()} == {
        **dict.fromkeys(TASK_IDS, 1),
        "trigger_export": 2,
    }
    assert executions_of(stack, executions_before) == [run.execution_id]
    assert run.execution_id not in run.log("trigger_export", try_number=1)
    assert "was found running, started by an earlier try," in run.log("trigger_export", try_number=2)
    assert digest_of(run.saved_path) == stack.emulator.exported_package(run.execution_id)


def test_a_wait_whose_triggerer_is_killed_goes_on_in_the_next_one(
    stack: LocalStack, executions_before: set[str]
) -> None:
    stack.emulator.add_fault("long-not-run", "queue", not_run_seconds=QUEUED_SECONDS)
    run_id = stack.airflow.trigger_run(DAG_ID)
    RunningTask(stack, run_id, "wait_for_export").wait_for_state("deferred")
    (execution_id,) = executions_of(stack, executions_before)
    wait_for_next_poll(stack, execution_id)

    kill_triggerer(stack)

    with new_triggerer(stack) as triggerer:
        wait_for_next_poll(stack, execution_id, triggerer)
        stack.emulator.advance_clock(QUEUED_SECONDS)
        run = finish(stack, run_id)
    assert run.states == SUCCESS
    assert {task["try_number"] for task in run.tasks.values()} == {1}
    assert executions_of(stack, executions_before) == [run.execution_id] == [execution_id]
    calls = [each["action"] for each in stack.emulator.requests(execution_id=execution_id)]
    assert calls.count("ExportToPackage") == 1
    assert digest_of(run.saved_path) == stack.emulator.exported_package(execution_id)


def last_poll(stack: LocalStack, execution_id: str) -> int:
    polls = stack.emulator.requests(action="GetExecutionSummaryStatus", execution_id=execution_id)
    return max((int(each["sequence"]) for each in polls), default=0)


def wait_for_next_poll(stack: LocalStack, execution_id: str, triggerer: GuardedProcess | None = None) -> None:
    before = last_poll(stack, execution_id)

    def polled() -> bool:
        if triggerer is not None:
            triggerer.require_running()
        return last_poll(stack, execution_id) > before

    wait_until(polled, f"execution {execution_id} is asked for", timeout_seconds=60)


def kill_triggerer(stack: LocalStack) -> None:
    """Kill it with all it has started, as the loss of its machine does."""
    roots = stack.airflow_processes("airflow triggerer")
    assert roots
    family: list[psutil.Process] = []
    for root in roots:
        family += [root, *root.children(recursive=True)]
    for process in set(family):
        process.kill()
    wait_until(lambda: not any(map(alive, family)), "the triggerer is gone", timeout_seconds=10)


@contextmanager
def new_triggerer(stack: LocalStack) -> Iterator[GuardedProcess]:
    process = GuardedProcess(
        "the new triggerer",
        [sys.executable, "-m", "airflow", "triggerer"],
        environment=stack.environment,
        directory=PROJECT,
        log_path=stack.directory / "new-triggerer.log",
    )
    try:
        yield process
    finally:
        process.stop()
