"""Starting and ending guarded processes, free ports, log tails."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from .guard import GRACE_SECONDS, end_session, session_members

_GUARD = Path(__file__).with_name("guard.py")


class StackError(Exception):
    """Something that was to run does not; the text says what and shows the end of its output."""


class GaveUp(StackError):
    """What was waited for did not come in time."""


def free_port(preferred: int = 0) -> int:
    """Return a port of the loopback interface that nobody listens on.

    :param preferred: port to take when it is free.
    """
    for port in (preferred, 0):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(listener.getsockname()[1])
    raise StackError("No port is free on 127.0.0.1: end a program that listens there, and try again.")


def tail(path: Path, lines: int = 30) -> str:
    """Return the last lines of a text file, or an empty text when there is none.

    :param path: the file.
    :param lines: how many lines.
    """
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 400 * lines))
        return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])


# What Python, Airflow's logs and PostgreSQL write before whatever goes wrong.
_TROUBLE = re.compile(
    r"Traceback \(most recent call last\)|\b(?:ERROR|CRITICAL|FATAL|PANIC)\b|\[(?:error|critical) *\]"
)
_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt|Exit)\b")


def first_error(path: Path, lines: int = 15) -> str:
    """Return the first error that a log shows: of a traceback its last lines, which name the exception; the end of the
    log when nothing in it looks like an error.

    :param path: the log.
    :param lines: how many lines at most.
    """
    return _logged_error(path, lines) or tail(path, lines)


def _logged_error(path: Path, lines: int = 15) -> str:
    """The first error of a log, or an empty text if nothing in it looks like one."""
    if not path.exists():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(4 * 1024 * 1024).splitlines()
    start = next((number for number, line in enumerate(text) if _TROUBLE.search(line)), None)
    if start is None:
        return ""
    found = text[start : start + 400]
    end = next((number for number, line in enumerate(found) if _EXCEPTION.match(line.strip())), None)
    return "\n".join(found[:lines] if end is None else found[max(0, end + 1 - lines) : end + 1])


def wait_until(
    condition: Callable[[], Any],
    what: str,
    *,
    timeout_seconds: float,
    poll_seconds: float = 0.1,
) -> Any:
    """Return the first true value of a condition.

    :param condition: called until its value is true.
    :param what: named in the error, as in "the API server answers".
    :param timeout_seconds: when to give up.
    :param poll_seconds: pause between two calls.
    :raises GaveUp: when the time is over.
    """
    deadline = time.monotonic() + timeout_seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise GaveUp(f"gave up after {timeout_seconds:.0f} s waiting until {what}")
        time.sleep(poll_seconds)
    return value


class GuardedProcess:
    """A command and all that comes of it, in a session of its own under `guard.py`.

    :param name: how messages call it.
    :param command: program and arguments.
    :param environment: the whole environment.
    :param directory: working directory.
    :param log_path: receives output and errors; what an earlier process left there is kept beside it, as `.1`.
    :param detached: let it outlive this process.
    :param restarts: how often it is started again when it ends by itself.
    :param user: name of the user to run it as, where this process is root; its own when omitted.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        log_path: Path,
        detached: bool = False,
        restarts: int = 0,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.log_path = log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        if log_path.exists():
            log_path.replace(log_path.with_name(log_path.name + ".1"))
        journal_path(log_path).unlink(missing_ok=True)
        options = [*(["--detached"] if detached else []), *(["--user", user] if user else [])]
        options += ["--restarts", str(restarts), "--journal", str(journal_path(log_path))]
        with ExitStack() as stack:
            # What a component prints may show more than it should: for the owner's eyes.
            log = stack.enter_context(open(os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab"))
            self._guard = subprocess.Popen(
                [sys.executable, "-P", str(_GUARD), *options, "--", *command],
                env=dict(environment),
                cwd=directory,
                stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def identity(self) -> dict[str, float]:
        """What `find_session` needs to recognise this process later: its id and start time (epoch seconds)."""
        return {"pid": self._guard.pid, "started_at": psutil.Process(self._guard.pid).create_time()}

    @property
    def running(self) -> bool:
        """Whether the command still runs."""
        return self._guard.poll() is None

    def require_running(self) -> None:
        """Raise when the command ended by itself.

        :raises StackError: with the end of its output.
        """
        if not self.running:
            raise StackError(f"{self.name} {why_it_ended(self.log_path)}")

    def members(self) -> list[psutil.Process]:
        """Return the command's processes, the guard excepted."""
        return session_members(self._guard.pid)

    def stop(self) -> None:
        """End the command and its descendants; at once when there is nothing left to end."""
        if self._guard.poll() is None:
            self._guard.send_signal(signal.SIGTERM)
            try:
                self._guard.wait(GRACE_SECONDS + 8)
            except subprocess.TimeoutExpired:
                self._guard.kill()
                self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        # For the case that somebody killed the guard.
        end_session(self._guard.pid)


def journal_path(log_path: Path) -> Path:
    """Return where a guard notes when its command ended.

    :param log_path: of the command.
    """
    return log_path.with_suffix(".ends")


def _ends(log_path: Path) -> list[dict[str, Any]]:
    """What a guard has noted, the last end last."""
    try:
        lines = journal_path(log_path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [dict(json.loads(line)) for line in lines]


def restarts_of(log_path: Path) -> int:
    """Return how often a guard has started its command again.

    :param log_path: of the command.
    """
    return sum(bool(end["restarted"]) for end in _ends(log_path))


def why_it_ended(log_path: Path) -> str:
    """Say how a command ended last, and show its first error: words that follow its name.

    :param log_path: of the command.
    """
    ends = _ends(log_path)
    status = ends[-1]["status"] if ends else None
    if status is None:
        how = "ended"
    elif status >= 0:
        how = f"ended with exit status {status}"
    elif -status == signal.SIGKILL:
        how = "was killed (SIGKILL): by hand, or by the system because memory ran out"
    else:
        how = f"was ended by {signal.Signals(-status).name}"
    error = _logged_error(log_path)
    if error:
        return f"{how}. Its first error, of {log_path}:\n{error}"
    return f"{how}. Its log, {log_path}, shows no error, and ends with:\n{tail(log_path, 5)}"


def find_session(identity: Mapping[str, float]) -> psutil.Process | None:
    """Return the guard that an identity names, or None when it is gone or the id is somebody else's by now.

    :param identity: as `GuardedProcess.identity` gave it.
    """
    try:
        process = psutil.Process(int(identity["pid"]))
        # Linux counts start times in hundredths of a second since boot: equal up to rounding, or another process.
        same = abs(process.create_time() - identity["started_at"]) < 0.5
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def stop_session(identity: Mapping[str, float]) -> bool:
    """End a detached command that another process started.

    :param identity: as `GuardedProcess.identity` gave it.
    :returns: whether it was running.
    """
    guard = find_session(identity)
    if guard is None:
        return False
    guard.send_signal(signal.SIGTERM)
    try:
        guard.wait(GRACE_SECONDS + 8)
    except psutil.TimeoutExpired:
        guard.kill()
        end_session(guard.pid)
    return True
