"""All executions of one environment that the triggers of an event loop wait for, watched by one list.

A poll for each of a hundred executions spends a quota of 500 requests in five minutes within half a minute
(docs/wire/dmf-package-api.md#quotas-per-user). So when several wait, one list for all of them says which have moved,
and only those are asked for. Every execution is asked for at least each ten minutes, whatever the list shows.

An environment that takes no wildcard is asked for a list by the ids, and one that gives no list is asked for each
execution alone, as often as its quota allows. Either is found out once, said once, and remembered as long as the
process lives.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from talent_dmf.api.dmf.budget import WINDOW_SECONDS
from talent_dmf.api.dmf.listing import ListForm, Rows, list_executions, may_be_over
from talent_dmf.api.errors import TalentDmfError, TransportError
from talent_dmf.api.steps import Sleep, Steps
from talent_dmf.transport.drivers import AsyncDriver
from talent_dmf.transport.gate import Gate

log = logging.getLogger(__name__)

# Up to so many, single polls cost less than lists do, and notice an end earlier. Where requests are scarce, a list
# costs as much as one poll and replaces it.
FEW_EXECUTIONS = 3
LONGEST_INTERVAL_SECONDS = 30.0
# All waits that a triggerer takes over are there by then.
FIRST_LIST_SECONDS = 5.0
CONFIRM_SECONDS = 600.0
# What may be spent on lists, and on single polls where there are no lists.
_LISTS_SHARE, _POLLS_SHARE = 0.2, 0.5
# A list that shows nothing of what the service knows is of no use; rows may be a minute late.
_BLIND_LISTS = 4


@dataclass(eq=False)
class Follower:
    """One wait.

    :param execution_id: what is waited for.
    :param interval_seconds: how late an end may be noticed, as whoever waits has it.
    :param news: set when it should be asked for alone.
    :param rows: what the list showed last; ``None`` while it shows nothing.
    :param is_known: whether the service knew the execution when it was asked for alone.
    :param asked_at: when that was, or the wait began, by the event loop's clock.
    :param doubt_seconds: how long after that it is asked for again while the list may be wrong.
    """

    execution_id: str
    interval_seconds: float
    news: asyncio.Event = field(default_factory=asyncio.Event)
    rows: Rows | None = None
    is_known: bool = False
    asked_at: float = 0.0
    doubt_seconds: float = 0.0

    def see(self, rows: Rows | None, moment: float, interval_seconds: float) -> None:
        """Compare what the list shows now with what it showed before.

        :param rows: of this execution; ``None`` if there are none.
        :param moment: present time, by the event loop's clock.
        :param interval_seconds: time between two lists.
        """
        before, self.rows = self.rows, rows
        is_hint = rows is not None and may_be_over(rows)
        if is_hint and rows != before:
            self.doubt_seconds = interval_seconds
            self.news.set()
        elif is_hint or rows is None:
            # Rows may be done before the package is, and words may be wrong: then an end is noticed late by as much as
            # the hint was early. What is not listed is asked for alone, ever more rarely.
            self.doubt_seconds = max(self.doubt_seconds, interval_seconds)
            if moment - self.asked_at >= self.doubt_seconds:
                self.doubt_seconds *= 2
                self.news.set()
        else:
            self.doubt_seconds = 0.0


class Board:
    """The list of one environment. For one event loop.

    :param driver: for the environment.
    :param gate: which knows how many requests may be made in five minutes.
    """

    def __init__(self, driver: AsyncDriver, gate: Gate) -> None:
        self._driver, self._gate = driver, gate
        self._followers: set[Follower] = set()
        self._form = ListForm()
        self._task: asyncio.Task[None] | None = None
        self._blind = 0
        self.is_refused = False

    @property
    def is_used(self) -> bool:
        """Whether the list is asked for: of many executions, and wherever requests are scarce."""
        if self.is_refused or not self._followers:
            return False
        return len(self._followers) > FEW_EXECUTIONS or self._gate.quota_now is not None

    def stretched(self, pause_seconds: float) -> float:
        """The pause before the next single poll that all waits together can afford.

        :param pause_seconds: the pause that one wait alone would make.
        """
        if not self.is_refused:
            return pause_seconds
        self._gate.tell_polled(len(self._followers))
        return max(pause_seconds, self._affordable_seconds(len(self._followers), _POLLS_SHARE))

    @contextmanager
    def following(self, execution_id: str, interval_seconds: float) -> Iterator[Follower]:
        """Wait for an execution together with the others.

        :param execution_id: which one.
        :param interval_seconds: how late its end may be noticed.
        """
        follower = Follower(execution_id, interval_seconds, asked_at=asyncio.get_running_loop().time())
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    async def news_of(self, follower: Follower, timeout_seconds: float) -> None:
        """Wait until the list shows that an execution may be over, or does not show it, or time is up.

        :param follower: the wait.
        :param timeout_seconds: longest time.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._ask_again_and_again())
        try:
            await asyncio.wait_for(follower.news.wait(), min(timeout_seconds, CONFIRM_SECONDS))
        except TimeoutError:
            return
        finally:
            # What comes while the execution is asked for is news again.
            follower.news.clear()
            follower.asked_at = asyncio.get_running_loop().time()

    async def _ask_again_and_again(self) -> None:
        """Runs as long as the list is used: whoever waits starts it anew."""
        pause = min(FIRST_LIST_SECONDS, self._interval_seconds())
        while self.is_used:
            await self._driver.run(_pause(pause))
            try:
                await self._ask()
            except TransportError as error:
                log.debug("The list of executions could not be had this time: %s", error)
            except TalentDmfError as error:
                self._give_up(f"The environment gives no list of executions, so each is asked for alone: {error}")
            pause = self._interval_seconds()
        for follower in self._followers:
            follower.news.set()

    def _interval_seconds(self) -> float:
        wanted = min((each.interval_seconds for each in self._followers), default=LONGEST_INTERVAL_SECONDS)
        requests = self._form.requests([each.execution_id for each in self._followers])
        return max(min(wanted, LONGEST_INTERVAL_SECONDS), self._affordable_seconds(requests, _LISTS_SHARE))

    def _affordable_seconds(self, requests: int, share: float) -> float:
        """The time over which so many requests are spread that they take no more than a share of the quota."""
        return requests * WINDOW_SECONDS / max(1.0, share * self._gate.requests_per_window)

    async def _ask(self) -> None:
        listed = await self._driver.run(list_executions([each.execution_id for each in self._followers], self._form))
        if self._form.wildcard and not listed.form.wildcard:
            log.warning(
                "The environment takes no wildcard in a filter, so its list is asked for each execution by name."
            )
        self._form = listed.form
        moment, interval = asyncio.get_running_loop().time(), self._interval_seconds()
        for follower in self._followers:
            follower.see(listed.rows.get(follower.execution_id), moment, interval)
        is_blind = not listed.rows and any(each.is_known for each in self._followers)
        self._blind = self._blind + 1 if is_blind else 0
        if self._blind >= _BLIND_LISTS:
            self._give_up(
                "The environment's list shows none of the executions that it knows, so each is asked for alone."
            )

    def _give_up(self, why: str) -> None:
        self.is_refused = True
        log.warning("%s", why)


def _pause(seconds: float) -> Steps[None]:
    yield Sleep(seconds, "The list of executions was read.")


_boards: weakref.WeakKeyDictionary[AsyncDriver, Board] = weakref.WeakKeyDictionary()


def board_of(driver: AsyncDriver, gate: Gate) -> Board:
    """The board of an environment, one for each driver, which is one for each event loop and identity.

    :param driver: the driver.
    :param gate: the environment's gate.
    """
    if driver not in _boards:
        _boards[driver] = Board(driver, gate)
    return _boards[driver]
