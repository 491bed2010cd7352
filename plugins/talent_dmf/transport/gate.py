"""The gate that every request to an environment passes: it keeps the budget, and after a 429 it is shut for all.

All drivers of a process share one gate for an environment and application, and the processes of a machine tell each
other what they have spent (:mod:`.shared_notes`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from talent_dmf.api.dmf.budget import PAUSE_SECONDS, Kind, Quota, Spent, kind_of, pause_before, still_counts
from talent_dmf.api.retrying import retry_after_seconds
from talent_dmf.api.steps import Request, Response

_REQUESTS, _PAUSED = "requests", "paused_until"
_LONGEST_PAUSE_SECONDS = 600.0


class Notes(Protocol):
    """Where what was spent is told."""

    def read(self) -> dict[str, Any]:
        """What was told."""
        ...

    def change(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        """Tell something, while nobody else does."""
        ...


class OwnNotes:
    """Of a process that tells nobody."""

    def __init__(self) -> None:
        self._lock, self._told = threading.Lock(), dict[str, Any]()

    def read(self) -> dict[str, Any]:
        """What was told."""
        return self._told

    def change(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        """Tell something, while nobody else does."""
        with self._lock:
            self._told = change(self._told)
            return self._told


class Gate:
    """The gate of one environment and application.

    :param quota: what it takes; ``None`` if nobody says: then only a 429 shuts the gate.
    :param notes: where what was spent is told.
    :param clock: seconds since the epoch.
    """

    def __init__(self, quota: Quota | None, notes: Notes, clock: Callable[[], float] = time.time) -> None:
        self.quota, self._notes, self._clock = quota, notes, clock

    def enter(self, request: Request, waited: float = 0.0) -> float:
        """Make a request, or learn how long to wait before asking again.

        :param request: the request.
        :param waited: how long it has waited already, in seconds: a refusal is waited for once.
        :returns: seconds; 0 if it may be made now, and then :meth:`leave` has to be called.
        """
        quota, pause = self.quota, 0.0
        if quota is None:
            left = _paused(self._notes.read(), self._clock())
            return left if left > waited else 0.0
        kind = Kind.INFORM if request.informing else kind_of(request.operation)

        def change(told: dict[str, Any]) -> dict[str, Any]:
            nonlocal pause
            moment = self._clock()
            left = _paused(told, moment)
            if left > waited:
                pause = left
                return told
            spent = self._spent(told, moment)
            pause = pause_before(kind, spent, quota, moment)
            if not pause:
                spent.append(Spent(moment, None, kind))
            return {**told, _REQUESTS: [[each.begun_at, each.seconds, each.kind.name] for each in spent]}

        self._notes.change(change)
        return pause

    def leave(self, request: Request, seconds: float, response: Response | None) -> None:
        """A request was answered, or came to nothing.

        :param request: the request.
        :param seconds: how long that took.
        :param response: the answer.
        """
        throttled = response is not None and response.status == 429
        if self.quota is None and not throttled:
            return
        kind = Kind.INFORM if request.informing else kind_of(request.operation)

        def change(told: dict[str, Any]) -> dict[str, Any]:
            moment = self._clock()
            if throttled and response is not None:
                asked = _retry_after(response) or PAUSE_SECONDS
                until = moment + min(asked, _LONGEST_PAUSE_SECONDS)
                told = {**told, _PAUSED: max(until, moment + _paused(told, moment))}
            if self.quota is None:
                return told
            spent = self._spent(told, moment)
            open_ones = [number for number, each in enumerate(spent) if each.seconds is None and each.kind is kind]
            if open_ones:
                mine = min(open_ones, key=lambda number: abs(spent[number].begun_at - (moment - seconds)))
                spent[mine] = Spent(spent[mine].begun_at, seconds, kind)
            return {**told, _REQUESTS: [[each.begun_at, each.seconds, each.kind.name] for each in spent]}

        self._notes.change(change)

    def _spent(self, told: dict[str, Any], moment: float) -> list[Spent]:
        assert self.quota is not None
        found = told.get(_REQUESTS)
        read = [_read(each) for each in found] if isinstance(found, list) else []
        return [each for each in read if each is not None and still_counts(each, self.quota, moment)]


def _paused(told: dict[str, Any], moment: float) -> float:
    until = told.get(_PAUSED)
    left = until - moment if isinstance(until, int | float) else 0.0
    return left if 0.0 < left <= _LONGEST_PAUSE_SECONDS else 0.0


def _retry_after(response: Response) -> float | None:
    return retry_after_seconds(response.headers, datetime.now(UTC))


def _read(told: Any) -> Spent | None:
    try:
        begun_at, seconds, kind = told
        return Spent(float(begun_at), None if seconds is None else float(seconds), Kind[kind])
    except (TypeError, ValueError, KeyError):
        return None
