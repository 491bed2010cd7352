"""A scheduler that dies is shown at once, with what ended it, by each command that a user has; none waits for it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from local_stack.processes import wait_until

from .conftest import PROJECT, alive

UP = ("--name", "system-tests-up")
KILLED = "was killed (SIGKILL)"
SCHEDULER = "Airflow's scheduler"


def local_stack(*arguments: str) -> subprocess.Popen[str]:
    """What the make target of this name runs."""
    return subprocess.Popen(
        [sys.executable, "-m", "local_stack", *arguments],
        cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT / "include")},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def outcome(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


def kill_scheduler(guard: Callable[[], psutil.Process | None]) -> None:
    """Kill the scheduler as the kernel does when memory runs out, as soon as there is one."""

    def found() -> psutil.Process | None:
        # What has just ended may be listed still.
        with contextlib.suppress(psutil.NoSuchProcess):
            keeper = guard()
            return next(iter(keeper.children()), None) if keeper is not None else None
        return None

    scheduler = wait_until(found, "there is a scheduler", timeout_seconds=120, poll_seconds=0.05)
    os.kill(scheduler.pid, signal.SIGKILL)
    wait_until(lambda: not alive(scheduler), "it is gone", timeout_seconds=10)


@pytest.fixture
def demo() -> Iterator[subprocess.Popen[str]]:
    """A demo whose export never ends: what ends it is that somebody noticed."""
    running = local_stack("demo", "--export-seconds", "3600")
    yield running
    running.terminate()
    running.communicate(timeout=120)


def test_the_demo_ends_when_its_scheduler_is_dead_for_good(demo: subprocess.Popen[str]) -> None:
    def guard() -> psutil.Process | None:
        children = psutil.Process(demo.pid).children()
        return next((each for each in children if each.cmdline()[-1:] == ["scheduler"]), None)

    kill_scheduler(guard)
    kill_scheduler(guard)
    status, said = outcome(demo)
    assert status == 1
    assert f"demo: {SCHEDULER} {KILLED}" in said
    assert "gave up after" not in said


@pytest.fixture(scope="module")
def up() -> Iterator[Any]:
    assert outcome(local_stack("down", "--quiet", *UP))[0] == 0
    status, said = outcome(local_stack("up", *UP))
    assert status == 0, said
    yield None
    local_stack("down", *UP).communicate()


def guard_of_up() -> psutil.Process | None:
    state = json.loads((PROJECT / ".local" / UP[1] / "stack.json").read_text(encoding="utf-8"))
    (each,) = [each for each in state["processes"] if each["name"] == SCHEDULER]
    return psutil.Process(each["pid"])


def status_that_says(words: str) -> tuple[int, str]:
    """Exit status and text of the first `make status` that says this; a busy machine may be slow to get there."""

    def said_it() -> tuple[int, str] | None:
        status, said = outcome(local_stack("status", *UP))
        return (status, said) if words in said else None

    found: tuple[int, str] = wait_until(said_it, f"make status says {words!r}", timeout_seconds=240)
    return found


def test_status_says_what_died(up: None) -> None:
    status, said = status_that_says(" is healthy")
    assert (status, KILLED in said) == (0, False)

    kill_scheduler(guard_of_up)

    _, said = status_that_says(f"{SCHEDULER:24} runs, started again 1 time(s)")
    assert f"It {KILLED}" in said

    kill_scheduler(guard_of_up)

    status, said = status_that_says(f"{SCHEDULER:24} DEAD")
    assert (status, f"It {KILLED}" in said) == (4, True)


def test_status_fails_when_nothing_runs(up: None) -> None:
    assert outcome(local_stack("down", *UP)) == (0, "Stopped.\n")
    status, said = outcome(local_stack("status", *UP))
    assert (status, "Not running." in said) == (3, True)
