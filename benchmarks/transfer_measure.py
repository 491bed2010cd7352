"""Measuring the processes of `transfer.py`, one after the other, each by what the kernel says that it used."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SAMPLE_SECONDS = 0.02
TIMEOUT_SECONDS = 600.0


class ContenderError(Exception):
    """A contender failed; the text says how."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one or more processes used.

    :param wall_seconds: from their start to their end.
    :param cpu_seconds: of user and system.
    :param peak_mib: resident memory at its peak, of the largest of them.
    :param output: what they wrote.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float
    output: str


def measure(commands: Sequence[Sequence[str | Path]], environment: Mapping[str, str], given: str = "") -> Usage:
    """Run commands in order and return what they used together.

    :param commands: program and arguments of each.
    :param environment: their whole environment.
    :param given: what the first one reads from its standard input.
    :raises ContenderError: one of them failed.
    """
    used = [_run(command, environment, given) for command in commands]
    return Usage(
        sum(each.wall_seconds for each in used),
        sum(each.cpu_seconds for each in used),
        max(each.peak_mib for each in used),
        "".join(each.output for each in used),
    )


def _run(command: Sequence[str | Path], environment: Mapping[str, str], given: str) -> Usage:
    began = time.monotonic()
    process = subprocess.Popen(
        [str(word) for word in command],
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    peak = _Peak(process.pid)
    guard = threading.Timer(TIMEOUT_SECONDS, process.kill)
    guard.start()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(given)
        process.stdin.close()
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        guard.cancel()
        peak.stop()
    wall_seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        raise ContenderError(f"{Path(command[0]).name} ended with exit status {process.returncode}: {output[-2000:]}")
    return Usage(wall_seconds, usage.ru_utime + usage.ru_stime, peak.mib, output)


class _Peak:
    """The peak of a process's resident memory, looked at until it ends.

    The kernel's `ru_maxrss` is no use: it begins with the memory of the process that started this one.
    """

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._stop = threading.Event()
        self._kib = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @property
    def mib(self) -> float:
        """The peak so far."""
        return self._kib / 1024

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            try:
                lines = self._status.read_text(encoding="ascii").splitlines()
            except (FileNotFoundError, ProcessLookupError):
                return
            # A process that has ended and was not waited for has no memory any more.
            values = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
            self._kib = max([self._kib, *values])
