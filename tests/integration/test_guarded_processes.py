"""Whatever a guarded command starts ends with it, whoever is killed and however."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local_stack.processes import GuardedProcess, StackError, find_session, stop_session

PROJECT = Path(__file__).parents[2]
# Like Airflow's tasks: a grandchild in a process group of its own.
FAMILY = """
import subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_DFL); print('up', flush=True); time.sleep(600)"
process = subprocess.Popen([sys.executable, "-c", child], process_group=0, stdout=subprocess.PIPE)
process.stdout.readline()
print(process.pid, flush=True)
time.sleep(600)
"""
DEAF_FAMILY = FAMILY.replace("SIG_DFL", "SIG_IGN")


def eventually(condition: Callable[[], object], timeout_seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def grandchild_of(log: Path) -> int:
    assert eventually(lambda: log.exists() and log.read_text().endswith("\n"))
    return int(log.read_text())


def start(tmp_path: Path, code: str, *, detached: bool = False) -> GuardedProcess:
    return GuardedProcess(
        "the family",
        [sys.executable, "-c", code],
        environment=os.environ,
        directory=tmp_path,
        log_path=tmp_path / "log",
        detached=detached,
    )


@pytest.fixture
def family(tmp_path: Path) -> Iterator[GuardedProcess]:
    process = start(tmp_path, FAMILY)
    yield process
    process.stop()


@pytest.mark.parametrize("code", [FAMILY, DEAF_FAMILY], ids=["polite", "deaf to SIGTERM"])
def test_stop_ends_a_grandchild_in_another_group(tmp_path: Path, code: str) -> None:
    process = start(tmp_path, code)
    try:
        grandchild = grandchild_of(process.log_path)
        assert grandchild in [member.pid for member in process.members()]
    finally:
        process.stop()
    assert gone(grandchild)
    assert not process.running


def test_stop_after_the_guard_was_killed(family: GuardedProcess) -> None:
    grandchild = grandchild_of(family.log_path)
    os.kill(int(family.identity["pid"]), signal.SIGKILL)
    family.stop()
    assert gone(grandchild)


def test_the_end_of_the_command_is_the_end_of_its_children(tmp_path: Path) -> None:
    process = start(tmp_path, FAMILY.replace("time.sleep(600)\n", "raise SystemExit(7)\n"))
    grandchild = grandchild_of(process.log_path)
    assert eventually(lambda: gone(grandchild))
    assert eventually(lambda: not process.running)
    with pytest.raises(StackError, match="the family ended with exit status 7"):
        process.require_running()


def test_a_killed_starter_leaves_nothing(tmp_path: Path) -> None:
    starter_code = (
        "import os, sys, time; from pathlib import Path; from local_stack.processes import GuardedProcess;"
        f"GuardedProcess('x', [sys.executable, '-c', {FAMILY!r}], environment=os.environ,"
        f" directory=Path({str(tmp_path)!r}), log_path=Path({str(tmp_path / 'log')!r})); time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "include")}
    starter = subprocess.Popen([sys.executable, "-c", starter_code], env=environment)
    grandchild = grandchild_of(tmp_path / "log")
    starter.kill()
    starter.wait()
    assert eventually(lambda: gone(grandchild))


def test_a_detached_command_is_found_and_stopped_by_its_identity(tmp_path: Path) -> None:
    process = start(tmp_path, FAMILY, detached=True)
    try:
        grandchild = grandchild_of(process.log_path)
        identity = process.identity
        assert find_session({**identity, "started_at": identity["started_at"] - 60}) is None
        assert stop_session(identity)
        assert gone(grandchild)
        assert not stop_session(identity)
    finally:
        process.stop()


def test_what_a_command_printed_last_is_in_the_error(tmp_path: Path) -> None:
    process = start(tmp_path, "raise SystemExit('out of paper')")
    assert eventually(lambda: not process.running)
    with pytest.raises(StackError, match="out of paper"):
        process.require_running()
