"""How far a transfer is, in numbers and in words."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transfer is.

    :param done_bytes: bytes that the destination has accepted, those of earlier tries included.
    :param total_bytes: length of the file.
    :param bytes_per_second: speed of this try so far.
    :param eta_seconds: time left at this speed, or ``None`` while there is no speed.
    :param resumes: how often the transfer had to find its place again.
    """

    done_bytes: int
    total_bytes: int
    bytes_per_second: float
    eta_seconds: float | None
    resumes: int

    def __str__(self) -> str:
        share = 100 * self.done_bytes / self.total_bytes if self.total_bytes else 100.0
        left = "" if self.eta_seconds is None else f", {format_seconds(self.eta_seconds)} left"
        times = "once" if self.resumes == 1 else f"{self.resumes} times"
        resumed = f", resumed {times}" if self.resumes else ""
        return (
            f"{self.done_bytes / _MEGABYTE:.1f} of {self.total_bytes / _MEGABYTE:.1f} MB ({share:.0f} %), "
            f"{self.bytes_per_second / _MEGABYTE:.1f} MB/s{left}{resumed}"
        )


class LineLog(Protocol):
    """Whatever writes a line: a logger of :mod:`logging`, or Airflow's task logger."""

    def info(self, message: str, /, *args: Any) -> Any:
        """Write a line."""
        ...


class ProgressLog:
    """Writes a progress line when one is due.

    :param log: where to.
    :param every_seconds: time between two lines.
    :param clock: monotonic seconds.
    :param doing: how the line begins.
    """

    def __init__(
        self,
        log: LineLog,
        every_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        doing: str = "Saving in OneDrive",
    ) -> None:
        self._log, self._every, self._clock, self._doing = log, every_seconds, clock, doing
        self._last = clock()

    def __call__(self, progress: Progress) -> None:
        """Take note of a progress."""
        moment = self._clock()
        if moment - self._last >= self._every:
            self._last = moment
            self._log.info("%s: %s", self._doing, progress)


def format_seconds(seconds: float) -> str:
    """A duration for people: ``42 s``, ``3 min 05 s``, ``1 h 02 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
