"""All executions of one environment that the triggers of an event loop wait for, watched by one list.

A poll for each of a hundred executions spends a quota of 500 requests in five minutes within half a minute
(docs/wire/dmf-package-api.md#quotas-per-user). So when several wait, one list for all of them says which have moved,
and only those are asked for. Every execution is asked for at least each ten minutes, whatever the list shows.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from talent_dmf.api.dmf.listing import ListForm, Rows, list_executions, may_be_over
from talent_dmf.api.errors import TalentDmfError, TransportError
from talent_dmf.api.steps import Sleep, Steps
from talent_dmf.transport.drivers import AsyncDriver

log = logging.getLogger(__name__)

# Up to so many, single polls cost less than lists do, and notice an end earlier.
FEW_EXECUTIONS = 3
LONGEST_INTERVAL_SECONDS = 30.0
CONFIRM_SECONDS = 600.0
QUOTA_WINDOW_SECONDS = 300.0


@dataclass(eq=False)
class Follower:
    """One wait.

    :param execution_id: what is waited for.
    :param interval_seconds: how late an end may be noticed, as whoever waits has it.
    """

    execution_id: str
    interval_seconds: float
    news: asyncio.Event = field(default_factory=asyncio.Event)
    rows: Rows = frozenset()


class Board:
    """The list of one environment. For one event loop.

    :param driver: for the environment.
    :param lists_per_window: how many requests for lists may be made in five minutes.
    :param polls_per_window: how many single polls may be made in five minutes, by all waits together, where the
        environment refuses lists.
    """

    def __init__(self, driver: AsyncDriver, *, lists_per_window: int, polls_per_window: int) -> None:
        self._driver = driver
        self._lists_per_window, self._polls_per_window = lists_per_window, polls_per_window
        self._followers: set[Follower] = set()
        self._form = ListForm()
        self._task: asyncio.Task[None] | None = None
        self.is_refused = False

    @property
    def is_used(self) -> bool:
        """Whether so many executions are waited for that a list is asked for them."""
        return not self.is_refused and len(self._followers) > FEW_EXECUTIONS

    def stretched(self, pause_seconds: float) -> float:
        """The pause before the next single poll that all waits together can afford.

        :param pause_seconds: the pause that one wait alone would make.
        """
        if not self.is_refused:
            return pause_seconds
        return max(pause_seconds, len(self._followers) * QUOTA_WINDOW_SECONDS / self._polls_per_window)

    @contextmanager
    def following(self, execution_id: str, interval_seconds: float) -> Iterator[Follower]:
        """Wait for an execution together with the others.

        :param execution_id: which one.
        :param interval_seconds: how late its end may be noticed.
        """
        follower = Follower(execution_id, interval_seconds)
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
        follower.news.clear()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._ask_again_and_again())
        try:
            await asyncio.wait_for(follower.news.wait(), min(timeout_seconds, CONFIRM_SECONDS))
        except TimeoutError:
            return

    async def _ask_again_and_again(self) -> None:
        """Runs as long as the list is used: whoever waits starts it anew."""
        while self.is_used:
            await self._driver.run(_pause(self._interval_seconds()))
            try:
                await self._ask()
            except TransportError as error:
                log.debug("The list of executions could not be had this time: %s", error)
            except TalentDmfError as error:
                self.is_refused = True
                log.warning("The environment gives no list of executions, so each is asked for alone: %s", error)
        for follower in self._followers:
            follower.news.set()

    def _interval_seconds(self) -> float:
        wanted = min((each.interval_seconds for each in self._followers), default=LONGEST_INTERVAL_SECONDS)
        requests = self._form.requests([each.execution_id for each in self._followers])
        affordable = requests * QUOTA_WINDOW_SECONDS / self._lists_per_window
        return max(min(wanted, LONGEST_INTERVAL_SECONDS), affordable)

    async def _ask(self) -> None:
        listed = await self._driver.run(list_executions([each.execution_id for each in self._followers], self._form))
        if self._form.wildcard and not listed.form.wildcard:
            log.warning(
                "The environment takes no wildcard in a filter, so its list is asked for each execution by name."
            )
        self._form = listed.form
        for follower in self._followers:
            rows = listed.rows.get(follower.execution_id)
            # What the list does not show has to be asked for alone.
            if rows is None or (rows != follower.rows and may_be_over(rows)):
                follower.news.set()
            follower.rows = rows or frozenset()


def _pause(seconds: float) -> Steps[None]:
    yield Sleep(seconds, "The list of executions was read.")


_boards: weakref.WeakKeyDictionary[AsyncDriver, Board] = weakref.WeakKeyDictionary()


def board_of(driver: AsyncDriver, *, requests_per_window: int) -> Board:
    """The board of an environment, one for each driver, which is one for each event loop and identity.

    :param driver: the driver.
    :param requests_per_window: how many requests the environment takes in five minutes; a fifth goes into lists, two
        fifths into single polls where there are no lists.
    """
    if driver not in _boards:
        _boards[driver] = Board(
            driver,
            lists_per_window=max(1, requests_per_window // 5),
            polls_per_window=max(1, 2 * requests_per_window // 5),
        )
    return _boards[driver]
