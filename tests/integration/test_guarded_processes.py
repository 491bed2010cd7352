"""Whatever a guarded command starts ends with it, whoever is killed and however."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local_stack.processes import GuardedProcess, StackError, find_session, restarts_of, stop_session

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


class TestACommandThatDies:
    # The second time it says something else, so that both ends can be told apart in the log.
    DYING = """
import pathlib
seen = pathlib.Path("seen")
if seen.exists():
    raise SystemExit("again")
seen.touch()
print("starting", flush=True)
raise RuntimeError("no key")
"""

    def dying(self, tmp_path: Path, restarts: int) -> GuardedProcess:
        return GuardedProcess(
            "the scheduler",
            [sys.executable, "-c", self.DYING],
            environment=os.environ,
            directory=tmp_path,
            log_path=tmp_path / "scheduler.log",
            restarts=restarts,
        )

    @pytest.mark.parametrize("restarts", [0, 1])
    def test_it_is_started_again_as_often_as_was_asked(self, tmp_path: Path, restarts: int) -> None:
        process = self.dying(tmp_path, restarts)
        try:
            assert eventually(lambda: not process.running)
            assert restarts_of(process.log_path) == restarts
            assert ("again" in process.log_path.read_text()) is (restarts == 1)
        finally:
            process.stop()

    def test_its_first_error_is_shown_and_not_its_last_lines(self, tmp_path: Path) -> None:
        process = self.dying(tmp_path, 1)
        try:
            assert eventually(lambda: not process.running)
            with pytest.raises(StackError, match="RuntimeError: no key") as caught:
                process.require_running()
            assert "again" not in str(caught.value)
        finally:
            process.stop()

    def test_one_that_is_stopped_is_not_started_again(self, tmp_path: Path) -> None:
        process = GuardedProcess(
            "the family", [sys.executable, "-c", FAMILY], environment=os.environ, directory=tmp_path,
            log_path=tmp_path / "log", restarts=3,
        )  # fmt: skip
        grandchild_of(process.log_path)
        process.stop()
        assert not process.running
        assert restarts_of(process.log_path) == 0

    def test_the_log_of_an_earlier_start_is_kept_beside(self, tmp_path: Path) -> None:
        for _ in range(2):
            process = start(tmp_path, "print('hello')")
            assert eventually(lambda: not process.running)  # noqa: B023 - called at once
            process.stop()
        assert [(tmp_path / name).read_text() for name in ("log", "log.1")] == ["hello\n", "hello\n"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_can_run_a_command_as_somebody_else(tmp_path: Path) -> None:
    process = GuardedProcess(
        "the server", ["id", "-u"], environment=os.environ,
        directory=Path("/"), log_path=tmp_path / "log", user="nobody",
    )  # fmt: skip
    try:
        assert eventually(lambda: not process.running)
        assert process.log_path.read_text() == f"{pwd.getpwnam('nobody').pw_uid}\n"
    finally:
        process.stop()
