"""Runs one command and takes everything that came of it down again: `python guard.py [OPTION…] -- COMMAND …`.

Airflow puts each task into a process group of its own, and a component that is killed leaves its children behind.
A group kill therefore leaves orphans. The guard leads a session that all descendants stay in, and ends the session.

It stops on SIGTERM and SIGINT, when the command ends, and when its standard input closes: whoever started it holds the
other end, so that even a `kill -9` of the starter leaves nothing running. With `--detached` it ignores its input. With
`--restarts N` a command that ends by itself is started again, N times in all; `--journal FILE` gets a line of JSON for
each end. With `--user NAME`, which takes root, the command runs as that user.

Started as a script on purpose: it must not import the package, which is slow and not its business.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import pwd
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

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


def as_user(name: str) -> dict[str, Any]:
    """Return the arguments with which `subprocess` runs a command as a user.

    :param name: of the user.
    """
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


class Guard:
    """The command, the signals and the end.

    :param options: the parsed options.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._child: subprocess.Popen[bytes] | None = None
        self._exit_status: int | None = None
        self._wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        self._stop_signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        for number in (*self._stop_signals, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)

    def run(self) -> int:
        """Run the command until it ends for good or is asked to.

        :returns: the command's exit status, or 0 when it was stopped.
        """
        for restarts_left in range(self._options.restarts, -1, -1):
            stopped = self._run_once()
            end_session(os.getpid(), reap=self._reap)
            if stopped:
                return 0
            self._note(restarts_left > 0)
        return self._exit_status or 0

    def _run_once(self) -> bool:
        self._exit_status = None
        identity = as_user(self._options.user) if self._options.user else {}
        self._child = subprocess.Popen(
            self._options.command,
            stdin=subprocess.DEVNULL,
            preexec_fn=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGINT),
            **identity,
        )
        watched = [self._wake_read] if self._options.detached else [self._wake_read, sys.stdin.fileno()]
        stopped = False
        while self._exit_status is None and not stopped:
            readable, _, _ = select.select(watched, [], [])
            if self._wake_read in readable:
                stopped = any(number in self._stop_signals for number in os.read(self._wake_read, 256))
            if not self._options.detached and sys.stdin.fileno() in readable:
                stopped = not os.read(sys.stdin.fileno(), 256) or stopped
            self._reap()
        return stopped

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._child is not None and pid == self._child.pid:
                self._exit_status = os.waitstatus_to_exitcode(status)

    def _note(self, restarted: bool) -> None:
        if self._options.journal:
            line = json.dumps({"ended_at": time.time(), "status": self._exit_status, "restarted": restarted})
            with open(self._options.journal, "a", encoding="utf-8") as journal:
                journal.write(line + "\n")


def main(arguments: list[str]) -> int:
    """Run the command of a command line.

    :param arguments: options, `--` and the command.
    :returns: the command's exit status, or 0 when it was stopped.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--detached", action="store_true")
    parser.add_argument("--restarts", type=int, default=0)
    parser.add_argument("--journal")
    parser.add_argument("--user")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    return Guard(options).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
