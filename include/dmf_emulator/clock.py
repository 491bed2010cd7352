"""A clock that can be moved, so that expiry and retention need no waiting."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

from dmf_emulator.settings import EmulatorError

# Dates of zip entries and of HTTP have room until then, whatever is added to them.
_LAST_SECONDS = datetime(2100, 1, 1, tzinfo=UTC).timestamp()


class VirtualClock:
    """UTC time that runs with the real one until it is moved or frozen.

    Token, SAS, upload session, execution and retention times all read this clock. Time only goes forward:
    the services it stands for never see it run back.

    :param start: the virtual time at which to begin; the real time when omitted.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._lock = threading.Lock()
        self._base_seconds = time.time() if start is None else _timestamp(start)
        self._base_monotonic_seconds = time.monotonic()
        self._frozen = False
        self.moves = 0

    def timestamp(self) -> float:
        """Return the virtual time in seconds since 1970-01-01 UTC."""
        with self._lock:
            return self._timestamp()

    def now(self) -> datetime:
        """Return the virtual time as an aware UTC datetime."""
        return datetime.fromtimestamp(self.timestamp(), UTC)

    def advance(self, seconds: float | timedelta) -> datetime:
        """Move the clock forward.

        :param seconds: how far, in seconds or as a timedelta; not negative.
        :raises EmulatorError: when asked to go back.
        """
        step_seconds = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
        if not 0 <= step_seconds < 1e10:
            raise EmulatorError(f"the clock moves forward only: {step_seconds:g} seconds is no step it can take")
        with self._lock:
            if self._timestamp() + step_seconds > _LAST_SECONDS:
                raise EmulatorError("the clock cannot move beyond the year 2099")
            self._base_seconds += step_seconds
            self.moves += 1
        return self.now()

    def freeze(self) -> None:
        """Stop the clock where it is; `advance` still moves it."""
        with self._lock:
            self._base_seconds = self._timestamp()
            self._frozen = True

    def run(self) -> None:
        """Let a frozen clock run on."""
        with self._lock:
            self._base_monotonic_seconds = time.monotonic()
            self._frozen = False

    @property
    def frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._frozen

    def _timestamp(self) -> float:
        if self._frozen:
            return self._base_seconds
        return self._base_seconds + time.monotonic() - self._base_monotonic_seconds


def _timestamp(moment: datetime) -> float:
    if moment.tzinfo is None:
        raise EmulatorError("the clock needs a time with a time zone, such as 2026-11-22T00:00:00Z")
    if not 1980 <= moment.year <= 2099:
        raise EmulatorError(f"the clock cannot start in {moment.year}: choose a year from 1980 to 2099")
    return moment.timestamp()


def iso_utc(timestamp_seconds: float, digits: int = 0) -> str:
    """Format seconds since 1970 as `2026-11-22T22:40:00Z`.

    :param timestamp_seconds: seconds since 1970-01-01 UTC.
    :param digits: decimal places of the seconds, 0 to 6.
    """
    moment = datetime.fromtimestamp(timestamp_seconds, UTC)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{moment.microsecond:06d}"[: len(text) + 1 + digits] + "Z" if digits else f"{text}Z"


def http_date(timestamp_seconds: float) -> str:
    """Format seconds since 1970 as HTTP does: `Sun, 22 Nov 2026 22:40:00 GMT`."""
    return formatdate(timestamp_seconds, usegmt=True)
