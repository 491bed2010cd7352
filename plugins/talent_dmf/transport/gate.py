"""The gate that every request to an environment passes: it keeps the budget, and after a 429 it is shut for all.

All drivers of a process share one gate for an environment and application, and the processes of a machine tell each
other what they have spent, and what a 429 has taught (:mod:`.shared_notes`).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from talent_dmf.api.dmf.budget import (
    LONGEST_WAIT_TO_INFORM_SECONDS,
    OPERATIONS_REQUESTS,
    PAUSE_SECONDS,
    REQUESTS_OF_AN_EXPORT,
    WINDOW_SECONDS,
    Kind,
    Learned,
    Quota,
    Spent,
    gathered,
    kind_of,
    learn,
    pause_before,
    quota_now,
    still_counts,
)
from talent_dmf.api.errors import RequestRefusedError
from talent_dmf.api.retrying import retry_after_seconds
from talent_dmf.api.steps import Request, Response

log = logging.getLogger(__name__)
_REQUESTS, _PAUSED, _LEARNED, _POLLED = "requests", "paused_until", "learned", "polled"
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

    :param quota: what it takes; ``None`` if nobody says: then it is learned from the first 429.
    :param notes: where what was spent is told.
    :param clock: seconds since the epoch.
    """

    def __init__(self, quota: Quota | None, notes: Notes, clock: Callable[[], float] = time.time) -> None:
        self.quota, self._notes, self._clock = quota, notes, clock

    @property
    def quota_now(self) -> Quota | None:
        """What the callers keep to at present; ``None`` if nothing is known and nothing was learned."""
        return quota_now(self.quota, _learned(self._notes.read()), self._clock())

    @property
    def requests_per_window(self) -> int:
        """How many requests may be made in five minutes."""
        quota = self.quota_now
        return (
            OPERATIONS_REQUESTS
            if quota is None
            else max(1, int(quota.requests * WINDOW_SECONDS / quota.window_seconds))
        )

    @property
    def serves_one_export(self) -> bool:
        """Whether no more was asked in the window than one export costs: then there is room for what only informs."""
        spent = self._spent(self._notes.read(), self._clock())
        return sum(each.count for each in spent if each.kind is not Kind.LIST) <= REQUESTS_OF_AN_EXPORT

    def tell_polled(self, count: int) -> None:
        """Say how many executions are polled alone by this process, because the environment gives no list of them.

        :param count: how many.
        """
        mine = str(os.getpid())

        def change(told: dict[str, Any]) -> dict[str, Any]:
            moment = self._clock()
            return {**told, _POLLED: {**self._pollers(told, moment), mine: [count, round(moment, 3)]}}

        self._notes.change(change)

    def enter(self, request: Request, waited: float = 0.0) -> float:
        """Make a request, or learn how long to wait before asking again.

        :param request: the request.
        :param waited: how long it has waited already, in seconds: a refusal is waited for once.
        :returns: seconds; 0 if it may be made now, and then :meth:`leave` has to be called.
        :raises RequestRefusedError: it only informs, and has waited for long enough.
        """
        pause = self._pause_before(request, waited)
        if pause and request.informing and waited + pause > LONGEST_WAIT_TO_INFORM_SECONDS:
            raise RequestRefusedError(
                f"{request.operation}: the environment's quota has no room for requests that only inform. Look at the "
                "job history in Dynamics 365."
            )
        return pause

    def _pause_before(self, request: Request, waited: float) -> float:
        told, moment = self._notes.read(), self._clock()
        left = _paused(told, moment)
        if left > waited or quota_now(self.quota, _learned(told), moment) is None:
            return left if left > waited else 0.0
        kind, pause = kind_of(request), 0.0

        def change(told: dict[str, Any]) -> dict[str, Any]:
            nonlocal pause
            moment = self._clock()
            left = _paused(told, moment)
            quota = quota_now(self.quota, _learned(told), moment)
            if left > waited or quota is None:
                pause = left if left > waited else 0.0
                return told
            spent = self._spent(told, moment)
            pause = pause_before(kind, spent, quota, moment, self._polled(told, moment))
            if not pause:
                spent.append(Spent(moment, None, kind))
            return {**told, _REQUESTS: self._written(spent)}

        self._notes.change(change)
        return pause

    def leave(self, request: Request, seconds: float, response: Response | None) -> None:
        """A request was answered, or came to nothing.

        :param request: the request.
        :param seconds: how long that took.
        :param response: the answer.
        """
        kind, news = kind_of(request), ""

        def change(told: dict[str, Any]) -> dict[str, Any]:
            nonlocal news
            moment = self._clock()
            spent = _answered(self._spent(told, moment), Spent(moment - seconds, seconds, kind))
            if response is not None and response.status == 429:
                asked = _retry_after(response) or PAUSE_SECONDS
                until = moment + min(asked, _LONGEST_PAUSE_SECONDS)
                told = {**told, _PAUSED: max(until, moment + _paused(told, moment))}
                told, news = self._taught(told, spent, moment - seconds, moment)
            return {**told, _REQUESTS: self._written(spent)}

        self._notes.change(change)
        if news:
            log.warning("%s", news)

    def _taught(
        self, told: dict[str, Any], spent: list[Spent], begun_at: float, moment: float
    ) -> tuple[dict[str, Any], str]:
        """What is told after a 429, and what is said of it, once."""
        before = _learned(told)
        if before is not None and begun_at <= before.moment:
            # One of several that were refused together: they teach no more than the first.
            return told, ""
        is_known = before is not None and quota_now(self.quota, before, moment) is not self.quota
        found = learn(spent, self._window_seconds, before if is_known else None, moment)
        news = (
            "Dynamics 365 has asked to slow down (HTTP 429). The tasks and triggers of this machine keep to "
            f"{found.requests} requests in {self._window_seconds:.0f} seconds together, and to more again as time "
            "passes without such an answer. If you know the environment's quota, set the connection's extra `quota`."
        )
        return {**told, _LEARNED: [found.requests, found.moment]}, "" if is_known else news

    @property
    def _window_seconds(self) -> float:
        return WINDOW_SECONDS if self.quota is None else self.quota.window_seconds

    def _spent(self, told: dict[str, Any], moment: float) -> list[Spent]:
        found = told.get(_REQUESTS)
        read = [_read(each) for each in found] if isinstance(found, list) else []
        return [each for each in read if each is not None and still_counts(each, self._window_seconds, moment)]

    def _polled(self, told: dict[str, Any], moment: float) -> int:
        return sum(count for count, _ in self._pollers(told, moment).values())

    def _pollers(self, told: dict[str, Any], moment: float) -> dict[str, list[Any]]:
        """Who polls how many, as far as it was told within the window."""
        found = told.get(_POLLED)
        pairs = found.items() if isinstance(found, dict) else ()
        return {
            process: pair
            for process, pair in pairs
            if isinstance(pair, list)
            and [type(each) for each in pair] in ([int, int], [int, float])
            and abs(moment - pair[1]) < self._window_seconds
        }

    def _written(self, spent: list[Spent]) -> list[list[Any]]:
        return [
            [round(each.begun_at, 3), each.seconds if each.seconds is None else round(each.seconds, 3), each.kind.name]
            + ([each.count] if each.count > 1 else [])
            for each in gathered(spent, self._window_seconds)
        ]


def _answered(spent: list[Spent], done: Spent) -> list[Spent]:
    """The requests, with an answered one in the place of itself unanswered."""
    open_ones = [each for each in spent if each.seconds is None and each.kind is done.kind]
    mine = min(open_ones, key=lambda each: abs(each.begun_at - done.begun_at), default=None)
    return [
        *(each for each in spent if each is not mine),
        done if mine is None else Spent(mine.begun_at, done.seconds, done.kind),
    ]


def _paused(told: dict[str, Any], moment: float) -> float:
    until = told.get(_PAUSED)
    left = until - moment if isinstance(until, int | float) else 0.0
    return left if 0.0 < left <= _LONGEST_PAUSE_SECONDS else 0.0


def _learned(told: dict[str, Any]) -> Learned | None:
    try:
        requests, moment = told[_LEARNED]
        return Learned(int(requests), float(moment)) if 0 < requests < OPERATIONS_REQUESTS else None
    except (TypeError, ValueError, KeyError, OverflowError):
        return None


def _retry_after(response: Response) -> float | None:
    return retry_after_seconds(response.headers, datetime.now(UTC))


def _read(told: Any) -> Spent | None:
    try:
        begun_at, seconds, kind, *rest = told
        return Spent(
            float(begun_at), None if seconds is None else float(seconds), Kind[kind], *(int(each) for each in rest)
        )
    except (TypeError, ValueError, KeyError):
        return None
