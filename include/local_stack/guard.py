"""Runs one command and takes everything that came of it down again: `python guard.py [--detached] COMMAND …`.

Airflow puts each task into a process group of its own, and a component that is killed leaves its children behind.
A group kill therefore leaves orphans. The guard leads a session that all descendants stay in, and ends the session.

It stops on SIGTERM and SIGINT, when the command ends, and when its standard input closes: whoever started it holds the
other end, so that even a `kill -9` of the starter leaves nothing running. With `--detached` it ignores its input.

Started as a script on purpose: it must not import the package, which is slow and not its business.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil

GRACE_SECONDS = 4.0
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    """Call Linux' prctl; elsewhere the session alone has to do.

    :param option: number of the option.
    :param value: its value.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def session_members(session_id: int) -> list[psutil.Process]:
    """Return the processes of a session, its leader excepted.

    :param session_id: process id of the session's leader, which may be gone.
    """
    members = []
    for pid in psutil.pids():
        try:
            if pid != session_id and os.getsid(pid) == session_id:
                members.append(psutil.Process(pid))
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
    return members


def end_session(session_id: int, grace_seconds: float = GRACE_SECONDS, reap: Callable[[], None] = lambda: None) -> None:
    """End the members of a session: politely first, by SIGKILL when the grace is over.

    :param session_id: process id of the session's leader.
    :param grace_seconds: time between the two.
    :param reap: collects the children that ended, when the caller is their parent.
    """

    def living() -> list[psutil.Process]:
        reap()
        return [member for member in session_members(session_id) if _alive(member)]

    for number, patience_seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + patience_seconds
        # A process may start another between the listing and the signal: list again until none is left.
        signalled: set[int] = set()
        while members := living():
            for member in members:
                if member.pid not in signalled:
                    signalled.add(member.pid)
                    _signal(member, number)
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def main(arguments: list[str]) -> int:
    """Run the command until it ends or is told to.

    :param arguments: `--detached` perhaps, and the command.
    :returns: the command's exit status, or 0 when it was stopped.
    """
    detached = arguments[0] == "--detached"
    command = arguments[1:] if detached else arguments
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)

    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    stop_signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for number in (*stop_signals, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)

    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGINT),
    )
    exit_status: int | None = None

    def reap() -> None:
        nonlocal exit_status
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == child.pid:
                exit_status = os.waitstatus_to_exitcode(status)

    watched = [wake_read] if detached else [wake_read, sys.stdin.fileno()]
    stopped = False
    while exit_status is None and not stopped:
        readable, _, _ = select.select(watched, [], [])
        if wake_read in readable:
            stopped = any(number in stop_signals for number in os.read(wake_read, 256))
        if not detached and sys.stdin.fileno() in readable:
            stopped = not os.read(sys.stdin.fileno(), 256) or stopped
        reap()
    end_session(os.getpid(), reap=reap)
    return 0 if stopped else exit_status or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
