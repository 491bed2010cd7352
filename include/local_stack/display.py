"""What the demo shows while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

TaskInstance = Mapping[str, Any]

_STYLES = {"success": "green", "failed": "bold red", "up_for_retry": "yellow", "deferred": "magenta", "running": "cyan"}
_MEANINGS = {
    None: "not yet",
    "scheduled": "scheduled",
    "queued": "queued",
    "running": "running on a worker",
    "deferred": "deferred: the triggerer waits, no worker is held",
    "up_for_retry": "waiting for its next try",
    "up_for_reschedule": "waiting for its next look",
    "success": "done",
    "failed": "failed",
    "upstream_failed": "not run: a task before it failed",
}


def task_name(task: TaskInstance) -> str:
    """Return a task's id, with its index when it is one of several.

    :param task: a task instance as the API gives it.
    """
    return f"{task['task_id']}[{task['map_index']}]" if task["map_index"] >= 0 else str(task["task_id"])


def meaning(task: TaskInstance) -> str:
    """Say in words what a task does at the moment.

    :param task: a task instance as the API gives it.
    """
    text = _MEANINGS.get(task["state"], str(task["state"]))
    return f"{text} (try {task['try_number']})" if task["try_number"] > 1 else text


class Display(Protocol):
    """Where progress goes. A context manager."""

    def step(self, what: str) -> None:
        """Tell what is being done now.

        :param what: without a full stop.
        """

    def tasks(self, tasks: Sequence[TaskInstance], emulator: str) -> None:
        """Show the tasks of a run.

        :param tasks: in order of execution.
        :param emulator: what the emulator saw last.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PlainDisplay:
    """One line per change, for logs of builds.

    :param console: where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._shown: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def step(self, what: str) -> None:
        """Print a line."""
        self._console.print(f"{time.monotonic() - self._started:6.1f} s  {what}", highlight=False)

    def tasks(self, tasks: Sequence[TaskInstance], emulator: str) -> None:
        """Print a line for each task whose state changed."""
        for task in tasks:
            name, text = task_name(task), meaning(task)
            if task["state"] is not None and self._shown.get(name) != text:
                self._shown[name] = text
                self.step(f"{name:18} {text}")


class LiveDisplay:
    """A table that is drawn anew several times a second.

    :param console: a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._started = time.monotonic()
        self._spinner = Spinner("dots")
        self._tasks: Sequence[TaskInstance] = ()
        self._emulator = ""
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def step(self, what: str) -> None:
        """Change the line beside the spinner."""
        self._spinner.update(text=Text(what))

    def tasks(self, tasks: Sequence[TaskInstance], emulator: str) -> None:
        """Change the table."""
        self._tasks, self._emulator = tasks, emulator

    def _render(self) -> Group:
        header = Table.grid(expand=False, padding=(0, 2))
        header.add_row(self._spinner, Text(f"{time.monotonic() - self._started:.0f} s", style="dim"))
        if not self._tasks:
            return Group(header)
        table = Table.grid(padding=(0, 2))
        for task in self._tasks:
            table.add_row("", task_name(task), Text(meaning(task), style=_STYLES.get(task["state"] or "", "dim")))
        return Group(header, table, Text(f"  {self._emulator}", style="dim"))


def display_for(console: Console) -> Display:
    """Return the display that suits where the output goes.

    :param console: where to.
    """
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)
