"""Whoever ends an upload of 500 MB in its middle: what OneDrive has is not sent again, and nothing blocks the name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from local_stack import LocalStack
from local_stack.emulator import digest_of
from local_stack.processes import wait_until
from local_stack.stack import DAG_ID, StackOptions

from .conftest import TASK_IDS, FinishedRun, RunningTask, alive, impatient_project

SIZE_BYTES = 500_000_000
CHUNK_BYTES = 10 * 1024 * 1024
SUCCESS = dict.fromkeys(TASK_IDS, "success")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    options = StackOptions(
        name="system-tests-kills-upload",
        export_seconds=1,
        package_size=f"{SIZE_BYTES}",
        # Five seconds for the file: slow enough for the middle to be hit, whatever else the machine does.
        emulator_arguments=["--pace", "sharepoint=100MB/s"],
        settings={
            "AIRFLOW__CORE__DAGS_FOLDER": str(impatient_project(tmp_path_factory.mktemp("project"))),
            # A worker asks so often whether its task is still wanted.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        },
    )
    try:
        with LocalStack(options) as running:
            running.wait_for_dag()
            running.airflow.unpause(DAG_ID)
            yield running
    finally:
        # Half a gigabyte for each run.
        shutil.rmtree(running.drive_directory, ignore_errors=True)


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
        return FinishedRun.read(self.stack, self.stack.airflow.wait_for_run(DAG_ID, self.run_id, timeout_seconds=90))

    def recorded(self, action: str) -> list[dict[str, Any]]:
        return self.stack.emulator.requests(action=action, since=str(self.before))


def assert_saved_whole(run: FinishedRun) -> None:
    saved = digest_of(run.saved_path)
    assert saved.size_bytes == SIZE_BYTES
    assert saved == run.stack.emulator.exported_package(run.execution_id)


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
    assert len(upload.recorded("createUploadSession")) == 1
    ranges = upload.recorded("uploadRange")
    assert 0 <= sum(each["received_bytes"] for each in ranges) - SIZE_BYTES <= CHUNK_BYTES
    accepted = [each["content_range"] for each in ranges if each["verdict"] == "ok"]
    assert len(accepted) == len(set(accepted)) == -(-SIZE_BYTES // CHUNK_BYTES)
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
    assert len(upload.recorded("createUploadSession")) == 1
    # It stops between two ranges, so that nothing at all is sent twice.
    assert sum(each["received_bytes"] for each in upload.recorded("uploadRange")) == SIZE_BYTES


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
