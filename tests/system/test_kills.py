"""Whoever dies while an export runs: Dynamics 365 exports once, what OneDrive has is not sent again, the run succeeds.

The processes are those of a real Airflow, the signals those of the kernel and of a machine that goes away.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from local_stack import LocalStack
from local_stack.emulator import digest_of
from local_stack.processes import GuardedProcess, wait_until
from local_stack.stack import DAG_ID, StackOptions

from .conftest import PROJECT, TASK_IDS, FinishedRun, RunningTask, alive, impatient_project

SIZE_BYTES = 500_000_000
# Microsoft wants ranges below 60 MiB.
LONGEST_RANGE_BYTES = 60 * 1024 * 1024
QUEUED_SECONDS = 600.0
SUCCESS = dict.fromkeys(TASK_IDS, "success")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    options = StackOptions(
        name="system-tests-kills",
        export_seconds=1,
        package_size=f"{SIZE_BYTES}",
        # Five seconds for the file: slow enough for the middle to be hit, whatever else the machine does.
        emulator_arguments=["--pace", "sharepoint=100MB/s"],
        settings={
            "AIRFLOW__CORE__DAGS_FOLDER": str(impatient_project(tmp_path_factory.mktemp("project"))),
            # A worker asks so often whether its task is still wanted.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            # After so long without a sign of life, another triggerer takes its waits over.
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        },
    )
    local = LocalStack(options)
    try:
        with local as running:
            running.wait_for_dag()
            running.airflow.unpause(DAG_ID)
            yield running
    finally:
        # Half a gigabyte for each run.
        shutil.rmtree(local.drive_directory, ignore_errors=True)


@pytest.fixture
def executions_before(stack: LocalStack) -> set[str]:
    return {each["execution_id"] for each in stack.emulator.state()["executions"]}


def executions_of(stack: LocalStack, before: set[str]) -> list[str]:
    return [each["execution_id"] for each in stack.emulator.state()["executions"] if each["execution_id"] not in before]


def finish(stack: LocalStack, run_id: str) -> FinishedRun:
    return FinishedRun.read(stack, stack.airflow.wait_for_run(DAG_ID, run_id, timeout_seconds=90))


def assert_saved_whole(run: FinishedRun) -> None:
    saved = digest_of(run.saved_path)
    assert saved.size_bytes == SIZE_BYTES
    assert saved == run.stack.emulator.exported_package(run.execution_id)


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
    assert "was found, started before," in run.log("trigger_export", try_number=2)
    assert_saved_whole(run)


class Upload:
    """A run that is saving its package, with what the emulator records of it.

    :param stack: where it runs.
    :param file_name: what it is saved as; another one for each run.
    """

    def __init__(self, stack: LocalStack, file_name: str) -> None:
        self.stack, self.file_name = stack, file_name
        self.before = max((int(each["sequence"]) for each in stack.emulator.requests(limit=1)), default=0)
        self.run_id = stack.airflow.trigger_run(DAG_ID, {"file_name": file_name})
        self.task = RunningTask(stack, self.run_id, "save_to_onedrive")

    def wait_for_middle(self) -> None:
        """Return when a quarter of the file has arrived."""

        def in_the_middle() -> bool:
            return any(received > SIZE_BYTES / 4 for received in self.received())

        wait_until(in_the_middle, "a quarter of the file has arrived", timeout_seconds=90, poll_seconds=0.05)
        assert any(received < SIZE_BYTES * 3 / 4 for received in self.received()), (
            "too fast to be stopped in its middle"
        )

    def received(self) -> list[int]:
        """What has arrived in each open session of the file."""
        return [each["received"] for each in self.stack.emulator.state()["sessions"] if each["name"] == self.file_name]

    def finish(self) -> FinishedRun:
        return finish(self.stack, self.run_id)

    def recorded(self, action: str) -> list[dict[str, Any]]:
        return self.stack.emulator.requests(action=action, since=str(self.before))


def assert_sent_once_but_for_one_range(upload: Upload) -> None:
    """What was sent of the range that broke off is sent again, and nothing else; each byte is accepted once."""
    ranges = upload.recorded("uploadRange")
    assert 0 <= sum(each["received_bytes"] for each in ranges) - SIZE_BYTES <= LONGEST_RANGE_BYTES
    accepted = [each["content_range"] for each in ranges if each["reason"] == "ok"]
    bounds = sorted([int(end) for end in re.findall(r"\d+", content_range)[:2]] for content_range in accepted)
    position = 0
    for first, last in bounds:
        assert first == position
        position = last + 1
    assert position == SIZE_BYTES


def test_a_killed_upload_is_continued_by_the_retry(stack: LocalStack) -> None:
    upload = Upload(stack, "killed.zip")
    upload.wait_for_middle()

    upload.task.kill()

    run = upload.finish()
    assert run.states == SUCCESS
    assert {task_id: task["try_number"] for task_id, task in run.tasks.items()} == {
        **dict.fromkeys(TASK_IDS, 1),
        "save_to_onedrive": 2,
    }
    assert_saved_whole(run)
    # The other one tried, before the export, whether the drive can be written.
    assert len(upload.recorded("createUploadSession")) == 2
    assert_sent_once_but_for_one_range(upload)
    assert "where an earlier try stopped" in run.log("save_to_onedrive", try_number=2)
    assert upload.received() == []


def test_an_upload_whose_worker_is_told_to_stop_is_continued_by_the_retry(stack: LocalStack) -> None:
    upload = Upload(stack, "stopped.zip")
    upload.wait_for_middle()

    # What Airflow passes on to the task when the worker's machine is to go away.
    upload.task.process().terminate()

    run = upload.finish()
    assert run.states == SUCCESS
    assert run.tasks["save_to_onedrive"]["try_number"] == 2
    assert_saved_whole(run)
    # The other one tried, before the export, whether the drive can be written.
    assert len(upload.recorded("createUploadSession")) == 2
    # It stops at once, in the middle of a range.
    assert_sent_once_but_for_one_range(upload)


def test_an_upload_that_was_marked_as_failed_can_be_cleared(stack: LocalStack) -> None:
    upload = Upload(stack, "cleared.zip")
    upload.wait_for_middle()
    worker = upload.task.process()

    stack.airflow.mark_task(DAG_ID, upload.run_id, "save_to_onedrive", "failed")

    wait_until(lambda: not alive(worker), "the worker has stopped", timeout_seconds=30)
    assert upload.finish().run["state"] == "failed"
    assert not [path for path in stack.emulator.saved_files() if path.name == "cleared.zip"]

    stack.airflow.clear(DAG_ID, upload.run_id, ["save_to_onedrive"])

    run = upload.finish()
    assert run.states == SUCCESS
    assert run.saved["name"] == "cleared.zip"
    assert_saved_whole(run)
    assert upload.received() == []


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
    assert_saved_whole(run)


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
