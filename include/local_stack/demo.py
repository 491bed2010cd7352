"""`make demo`: one export in a real Airflow, shown while it happens, and proved afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .display import TaskInstance, display_for, meaning, task_name
from .emulator import Digest, EmulatorAdmin, digest_of
from .processes import StackError
from .stack import DAG_ID, LocalStack, StackOptions

TASK_IDS = ("trigger_export", "wait_for_export", "get_package_url", "save_to_onedrive")
RUN_TIMEOUT_SECONDS = 300.0
LOG_LINES = 25


@dataclass(frozen=True, slots=True)
class Outcome:
    """One exported package and the file that was made of it.

    :param saved: what `save_to_onedrive` returned.
    :param path: where the emulator keeps the file.
    :param exported: size and hash of the package, downloaded anew.
    :param found: size and hash of the file on disk.
    """

    execution_id: str
    saved: dict[str, Any]
    path: Path
    exported: Digest
    found: Digest

    @property
    def identical(self) -> bool:
        """Whether the file is the package, byte for byte."""
        return self.exported == self.found


def run_demo(options: StackOptions, console: Console | None = None) -> int:
    """Run the demo and return its exit status: 0 when the saved file is the exported package, byte for byte.

    :param options: of the stack.
    :param console: where to show it.
    """
    console = console or Console(soft_wrap=True)
    stack = LocalStack(options)
    with display_for(console) as display:
        try:
            stack.start(display.step)
            display.step("waiting until Airflow has read the DAG")
            stack.wait_for_dag()
            stack.airflow.unpause(DAG_ID)
            run_id = stack.airflow.trigger_run(DAG_ID)
            display.step(f"run {run_id} of {DAG_ID}")

            def show() -> None:
                stack.check(display.step)
                display.tasks(tasks_in_order(stack, run_id), emulator_view(stack.emulator))

            run = stack.airflow.wait_for_run(DAG_ID, run_id, timeout_seconds=RUN_TIMEOUT_SECONDS, on_poll=show)
            show()
            tasks = tasks_in_order(stack, run_id)
            failure = "" if run["state"] == "success" else failed_task_log(stack, run_id, tasks)
            outcomes = [] if failure else outcomes_of(stack, run_id, tasks)
        finally:
            display.step("stopping Airflow and the emulator")
            stack.stop()
    console.print(task_table(tasks))
    if failure:
        console.print(failure, markup=False, highlight=False)
        return 1
    for outcome in outcomes:
        console.print(outcome_text(outcome), markup=False, highlight=False)
    if not outcomes or not all(outcome.identical for outcome in outcomes):
        console.print("The saved file is NOT the exported package.", style="bold red")
        return 1
    console.print("The saved file is the exported package, byte for byte.", style="bold green")
    return 0


def tasks_in_order(stack: LocalStack, run_id: str) -> list[TaskInstance]:
    """Return the task instances of a run in the order in which they run.

    :param stack: where.
    :param run_id: of the run.
    """

    def position(task: TaskInstance) -> tuple[int, str, int]:
        task_id = str(task["task_id"])
        return (TASK_IDS.index(task_id) if task_id in TASK_IDS else len(TASK_IDS), task_id, task["map_index"])

    return sorted(stack.airflow.task_instances(DAG_ID, run_id), key=position)


def emulator_view(emulator: EmulatorAdmin) -> str:
    """Say in one line what the emulator does.

    :param emulator: a running one.
    """
    executions, requests = emulator.state()["executions"], emulator.requests(limit=1)
    if not requests:
        return "the emulator waits for its first request"
    last = f"{requests[-1]['sequence']} requests, last {requests[-1]['origin']} {requests[-1]['action']}"
    if not executions:
        return f"emulator: {last}"
    return f"emulator: export {executions[-1]['execution_id']} is {executions[-1]['status']}; {last}"


def failed_task_log(stack: LocalStack, run_id: str, tasks: Sequence[TaskInstance]) -> str:
    """Return the end of the log of the first task that failed, or of Airflow's output if none did.

    :param stack: where.
    :param run_id: of the run.
    :param tasks: its task instances in order.
    """
    for task in tasks:
        if task["state"] == "failed":
            log = stack.airflow.task_log(
                DAG_ID, run_id, task["task_id"], try_number=task["try_number"], map_index=task["map_index"]
            )
            end = "\n".join(log.splitlines()[-LOG_LINES:])
            return f"{task_name(task)} failed. The end of its log (all of it: {stack.site.logs_path}):\n{end}"
    return f"The run failed, though no task did. See {stack.airflow_logs['scheduler']}"


def outcomes_of(stack: LocalStack, run_id: str, tasks: Sequence[TaskInstance]) -> list[Outcome]:
    """Return what a successful run exported and saved.

    :param stack: where, still running.
    :param run_id: of the run.
    :param tasks: its task instances.
    """

    def results(task_id: str) -> dict[int, Any]:
        return {
            task["map_index"]: stack.airflow.xcoms(DAG_ID, run_id, task_id, map_index=task["map_index"])["return_value"]
            for task in tasks
            if task["task_id"] == task_id and task["state"] == "success"
        }

    execution_ids, saved_files = results(TASK_IDS[0]), results(TASK_IDS[-1])
    outcomes = []
    for map_index, saved in saved_files.items():
        path = stack.emulator.saved_path(saved["drive_item_id"])
        if not path.is_file():
            raise StackError(
                f"The run succeeded, but {path} is not in the emulator's drive. "
                "Please report it with the log of save_to_onedrive."
            )
        execution_id = str(execution_ids[map_index])
        exported = stack.emulator.exported_package(execution_id)
        outcomes.append(Outcome(execution_id, saved, path, exported, digest_of(path)))
    return outcomes


def task_table(tasks: Sequence[TaskInstance]) -> Table:
    """Return the table of tasks.

    :param tasks: in order.
    """
    table = Table("Task", "Outcome", "Tries", "Seconds")
    table.columns[2].justify = table.columns[3].justify = "right"
    for task in tasks:
        seconds = "" if task["duration"] is None else f"{task['duration']:.1f}"
        table.add_row(task_name(task), meaning({**task, "try_number": 0}), str(task["try_number"]), seconds)
    return table


def outcome_text(outcome: Outcome) -> str:
    """Return the facts of one export, a line each: a table would break the path that is to be copied.

    :param outcome: what to show.
    """
    facts = {
        "Execution id": outcome.execution_id,
        "Saved file": outcome.saved["name"],
        "Size": f"{outcome.found.size_bytes:,} bytes",
        "quickXorHash": outcome.saved["quick_xor_hash"],
        "SHA-256": outcome.found.sha256,
        "Open it": outcome.path,
    }
    return "\n".join(f"  {name:14}{value}" for name, value in facts.items())
