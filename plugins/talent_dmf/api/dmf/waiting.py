"""The one decision on a poll, and the one loop that obeys it (R2).

The sensor on a worker and the trigger in the triggerer run the same :func:`watch`, on the synchronous and on the
asynchronous driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias
from zlib import crc32

from talent_dmf.api.dmf.actions import execution_status
from talent_dmf.api.dmf.models import WaitState
from talent_dmf.api.dmf.status import DmfExecutionStatus
from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.steps import Sleep, Steps, now


@dataclass(frozen=True, slots=True)
class WaitPolicy:
    """How an export is waited for.

    :param poke_interval_seconds: longest pause between two polls.
    :param first_interval_seconds: shortest pause between two polls.
    :param patience: pause as a share of the time waited so far, so that an export is noticed late by at most this
        share of its own duration.
    :param grace_seconds: how long "execution details were not found" and ``Unknown`` are tolerated without a break.
    """

    poke_interval_seconds: float = 60.0
    first_interval_seconds: float = 10.0
    patience: float = 0.1
    grace_seconds: float = 300.0

    def __post_init__(self) -> None:
        if self.poke_interval_seconds <= 0 or self.first_interval_seconds <= 0:
            raise ConfigurationError("The intervals between two polls must be positive, in seconds.")
        if self.grace_seconds < 0 or self.patience < 0:
            raise ConfigurationError("The grace period of a wait, and its `patience`, must be 0 or more.")


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet: ask again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The export has reached a status that never changes again."""

    status: DmfExecutionStatus


@dataclass(frozen=True, slots=True)
class Unsettled:
    """The service could not say how the export stands for longer than the grace period."""

    status: DmfExecutionStatus | None


@dataclass(frozen=True, slots=True)
class OutOfTime:
    """The given moment has come and the export is not finished.

    :param state: how far the wait has come, to go on from.
    """

    state: WaitState


# A wait is logged when the status changes, and now and then: not at each poll.
SAID_EVERY_MINUTES = 5

Decision: TypeAlias = Wait | Finished | Unsettled
WatchResult: TypeAlias = Finished | Unsettled | OutOfTime


def is_settled(status: DmfExecutionStatus | None) -> bool:
    """Whether the service knows how the export stands."""
    return status is not None and status is not DmfExecutionStatus.UNKNOWN


def decide(
    status: DmfExecutionStatus | None,
    *,
    waited_seconds: float,
    unsettled_seconds: float,
    policy: WaitPolicy,
    jitter: float = 1.0,
) -> Decision:
    """What one poll means.

    :param status: what was seen; ``None`` if the service does not know the execution.
    :param waited_seconds: time since the wait began.
    :param unsettled_seconds: time since the service last knew how the export stands.
    :param policy: how to wait.
    :param jitter: from 0 to 1; below 1 the pause is up to a tenth shorter.
    """
    if status is not None and status.is_terminal:
        return Finished(status)
    if not is_settled(status) and unsettled_seconds >= policy.grace_seconds:
        return Unsettled(status)
    pause = max(policy.first_interval_seconds, waited_seconds * policy.patience)
    return Wait(min(pause, policy.poke_interval_seconds) * (0.9 + 0.1 * jitter))


def observe(
    status: DmfExecutionStatus | None, state: WaitState, moment: datetime, policy: WaitPolicy, jitter: float = 1.0
) -> tuple[Decision, WaitState]:
    """Apply :func:`decide` to a wait.

    :param status: what was seen.
    :param state: how far the wait had come.
    :param moment: present time, aware.
    :param policy: how to wait.
    :param jitter: from 0 to 1, see :func:`decide`.
    :returns: the decision, and how far the wait has come now.
    """
    since = None if is_settled(status) else state.unsettled_since or moment
    state = replace(state, unsettled_since=since, polls=state.polls + 1)
    decision = decide(
        status,
        waited_seconds=(moment - state.started_at).total_seconds(),
        unsettled_seconds=(moment - since).total_seconds() if since else 0.0,
        policy=policy,
        jitter=jitter,
    )
    return decision, state


@dataclass(slots=True)
class Said:
    """What was last said of a wait: each change is, and that it still goes on every few minutes.

    :param words: what was said.
    :param moment: when.
    :param usual: how long such waits took before, in words; ``""`` where that is not known.
    """

    words: str = ""
    moment: datetime | None = None
    usual: str = ""

    def news(self, words: str, moment: datetime, started_at: datetime) -> str:
        """What is to be said now; nothing if it was said already.

        :param words: how the execution stands.
        :param moment: present time, aware.
        :param started_at: when the wait began.
        """
        if words == self.words and moment - (self.moment or started_at) < timedelta(minutes=SAID_EVERY_MINUTES):
            return ""
        minutes = (moment - started_at) // timedelta(minutes=1)
        compared = f"; {self.usual}" if self.usual else ""
        news = f"still {words}, {minutes} min{compared}" if words == self.words else words
        self.words, self.moment = words, moment
        return news


def usual_wait(durations_seconds: Sequence[float]) -> str:
    """How long earlier waits took, in words; ``""`` if there were none.

    :param durations_seconds: of each.
    """
    if not durations_seconds:
        return ""
    shortest, longest = (max(1, round(each / 60)) for each in (min(durations_seconds), max(durations_seconds)))
    took = f"{shortest} min" if shortest == longest else f"{shortest} to {longest} min"
    return (
        f"the last {len(durations_seconds)} runs took {took}"
        if len(durations_seconds) > 1
        else f"the last run took {took}"
    )


@dataclass(frozen=True, slots=True)
class Pending:
    """Not yet.

    :param state: how far the wait has come.
    :param sleep: the pause before the next look.
    :param left_seconds: time until the wait gives up; ``None`` if it does not.
    """

    state: WaitState
    sleep: Sleep
    left_seconds: float | None


def look(
    execution_id: str, policy: WaitPolicy, state: WaitState, said: Said, *, until: datetime | None = None
) -> Steps[WatchResult | Pending]:
    """Ask once how an execution stands; the parameters are those of :func:`watch`, and what was last said of it."""
    status = yield from execution_status(execution_id)
    moment = yield from now()
    decision, state = observe(status, state, moment, policy, _jitter(execution_id, state.polls))
    if not isinstance(decision, Wait):
        return decision
    if until is not None and moment >= until:
        return OutOfTime(state)
    left = None if until is None else max(0.0, (until - moment) / timedelta(seconds=1))
    pause = decision.seconds if left is None else min(decision.seconds, left)
    news = said.news(status.value if status else "not known yet", moment, state.started_at)
    return Pending(state, Sleep(pause, f"Execution {execution_id} is {news}." if news else ""), left)


def watch(
    execution_id: str, policy: WaitPolicy, state: WaitState, *, until: datetime | None = None
) -> Steps[WatchResult]:
    """Poll an execution until it is finished, or unsettled for too long, or a moment has come.

    The service is asked before the clock is: an export that finished in the last second counts.

    :param execution_id: which execution.
    :param policy: how to wait.
    :param state: how far the wait has come already.
    :param until: moment to give up at, aware; ``None`` for never.
    """
    said = Said()
    while True:
        seen = yield from look(execution_id, policy, state, said, until=until)
        if not isinstance(seen, Pending):
            return seen
        state = seen.state
        yield seen.sleep


def _jitter(execution_id: str, polls: int) -> float:
    """A number from 0 to 1 that differs between executions and polls, so that a thousand waits that a triggerer takes
    up at the same moment spread out. Computed, because the core knows no chance."""
    return crc32(f"{execution_id} {polls}".encode()) / 0xFFFFFFFF
