"""How many requests an environment takes, and whose turn it is (docs/wire/dmf-package-api.md#quotas-per-user).

The quota belongs to an application: all its callers spend it together. Whatever ends a wait comes before lists, and
lists come before starts: an export that is done waits for nobody, and one that is not begun can wait. So each kind of
request may use the quota up to a share of its own only.

Of most environments nobody knows what they take. There a 429 is what there is to learn from: the callers keep to what
they had made until then, and dare more again as time passes without another one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from talent_dmf.api.steps import Request


class Kind(Enum):
    """What a request is for, with the share of the quota that may be spent when it is made."""

    CONFIRM = 0.9
    # Of an export whose turn has come already.
    START = 0.85
    LIST = 0.8
    # The look before a start, which follows at once: here an export waits for its turn, so that what it sees is of now.
    TURN = 0.65
    INFORM = 0.4


_KINDS = {
    "GetExecutionSummaryStatus": Kind.CONFIRM,
    "GetExportedPackageUrl": Kind.CONFIRM,
    "ExportToPackage": Kind.START,
    "GetExecutionSummaryPageUrl": Kind.INFORM,
}
# An answer that has not come after so long will not: whoever asked has been killed.
_LOST_SECONDS = 300.0
# What an export costs beside lists, so that starts are spread over the time in which the quota pays for them.
REQUESTS_OF_AN_EXPORT = 6
# Of one that is being answered.
_ASSUMED_SECONDS = 1.0
# Answered requests of so short a time are told together, so that what is told stays small.
_SLICES = 50
# Of all callers, where the service does not say how long (docs/wire/dmf-package-api.md#throttling): whoever was refused
# waits longer by itself.
PAUSE_SECONDS = 5.0
# What only informs is not waited for longer than its request may take with all its repetitions.
LONGEST_WAIT_TO_INFORM_SECONDS = 30.0
WINDOW_SECONDS = 300.0
# A service may be short of something else for a moment: fifteen exports in five minutes are never too many.
_LEAST_LEARNED = 100
_LESS, _GROWTH = 0.9, 1.1
# Where each execution is asked for alone, so many of them that half of the quota pays for a poll of each within 48 s.
_MOST_POLLED = 0.08
# Of finance and operations (docs/wire/dmf-package-api.md#quotas-per-user): where that is reached, nothing is left to
# keep to.
OPERATIONS_REQUESTS, _OPERATIONS_CONCURRENT = 6000, 52


@dataclass(frozen=True, slots=True)
class Quota:
    """What an environment takes in a window of time.

    :param requests: how many requests.
    :param execution_seconds: for how long they may occupy it, together.
    :param concurrent: how many at once.
    :param window_seconds: length of the window.
    """

    requests: int
    execution_seconds: float
    concurrent: int
    window_seconds: float = WINDOW_SECONDS


# Of Human Resources' old service.
HUMAN_RESOURCES = Quota(500, 300.0, 25)


@dataclass(frozen=True, slots=True)
class Learned:
    """What a 429 has taught.

    :param requests: how many requests had been made in the window before it.
    :param moment: when it came, in seconds.
    """

    requests: int
    moment: float


@dataclass(frozen=True, slots=True)
class Spent:
    """One request that was made, or several of one kind.

    :param begun_at: when, in seconds; of several the latest.
    :param seconds: how long its answer took, or theirs together; ``None`` while there is none.
    :param kind: what it was for.
    :param count: how many.
    """

    begun_at: float
    seconds: float | None
    kind: Kind
    count: int = 1


def kind_of(request: Request) -> Kind:
    """What a request is for.

    :param request: the request.
    """
    return Kind.TURN if request.before_start else _KINDS.get(request.operation, Kind.LIST)


def still_counts(spent: Spent, window_seconds: float, moment: float) -> bool:
    """Whether a request is in the window still, or being answered.

    :param spent: the request.
    :param window_seconds: length of the window.
    :param moment: present time, in the same seconds.
    """
    kept = window_seconds if spent.seconds is not None else max(window_seconds, _LOST_SECONDS)
    # A clock that was set back must not keep a request for ever.
    return -kept < moment - spent.begun_at < kept


def gathered(spent: Sequence[Spent], window_seconds: float) -> list[Spent]:
    """The same requests in fewer entries: answered ones of a kind that were begun within a fiftieth of the window count
    as begun with the latest of them.

    :param spent: the requests.
    :param window_seconds: length of the window.
    """
    slices: dict[tuple[int, Kind], Spent] = {}
    unanswered = []
    for each in spent:
        if each.seconds is None:
            unanswered.append(each)
            continue
        key = (int(each.begun_at // (window_seconds / _SLICES)), each.kind)
        other = slices.get(key)
        slices[key] = each if other is None else _together(each, other)
    return [*slices.values(), *unanswered]


def _together(one: Spent, other: Spent) -> Spent:
    seconds = (one.seconds or 0.0) + (other.seconds or 0.0)
    return Spent(max(one.begun_at, other.begun_at), seconds, one.kind, one.count + other.count)


def learn(spent: Sequence[Spent], window_seconds: float, known: Learned | None, moment: float) -> Learned:
    """What a 429 teaches: a tenth less than was made in the window before it, or than was allowed until then.

    :param spent: the requests that count still.
    :param window_seconds: length of the window.
    :param known: what was learned before.
    :param moment: present time, in the same seconds.
    """
    seen = sum(each.count for each in spent)
    allowed = seen if known is None else min(seen, _grown(known, window_seconds, moment))
    return Learned(max(_LEAST_LEARNED, int(_LESS * allowed)), moment)


def quota_now(quota: Quota | None, learned: Learned | None, moment: float) -> Quota | None:
    """What the callers keep to: what is known, and no more than was learned. It grows by a tenth in each window.

    :param quota: what is known; ``None`` if nobody says.
    :param learned: what a 429 has taught; ``None`` if there was none.
    :param moment: present time, in the same seconds.
    :returns: ``None`` if there is nothing to keep to.
    """
    # A clock that was set back must not keep anything for ever.
    if learned is None or learned.moment - moment > WINDOW_SECONDS:
        return quota
    known = quota or Quota(OPERATIONS_REQUESTS, math.inf, _OPERATIONS_CONCURRENT)
    allowed = _grown(learned, known.window_seconds, moment)
    return replace(known, requests=int(allowed)) if allowed < known.requests else quota


def _grown(learned: Learned, window_seconds: float, moment: float) -> float:
    windows = min(50.0, max(0.0, moment - learned.moment) / window_seconds)
    return float(learned.requests * _GROWTH**windows)


def pause_before(kind: Kind, spent: Sequence[Spent], quota: Quota, moment: float, polled: int = 0) -> float:
    """How long a request has to wait, in seconds: 0 if it may be made now. Ask again afterwards.

    :param kind: what it is for.
    :param spent: the requests that count still, in any order.
    :param quota: the quota.
    :param moment: present time, in the same seconds.
    :param polled: how many executions are polled alone, because the environment gives no list of them.
    """
    running = [each for each in spent if each.seconds is None and moment - each.begun_at < _LOST_SECONDS]
    most_at_once = max(1, int(quota.concurrent * kind.value))
    short = min(1.0, quota.window_seconds / 100)
    if len(running) >= most_at_once:
        return short
    one_at_a_time = {Kind.TURN: {Kind.TURN, Kind.START}, Kind.START: {Kind.START}}.get(kind, set())
    if any(each.kind in one_at_a_time for each in running):
        return short
    if kind is Kind.TURN:
        if polled and polled >= quota.requests * _MOST_POLLED:
            return short
        gap = REQUESTS_OF_AN_EXPORT * quota.window_seconds / (Kind.LIST.value * quota.requests)
        last = max((each.begun_at for each in spent if each.kind is Kind.TURN), default=moment - gap)
        if moment - last < gap:
            return gap - (moment - last)
    return max(
        _until_room([(each.begun_at, each.count) for each in spent], quota.requests * kind.value - 1, quota, moment),
        _until_room(
            [(each.begun_at, _ASSUMED_SECONDS if each.seconds is None else each.seconds) for each in spent],
            quota.execution_seconds * kind.value,
            quota,
            moment,
        ),
    )


def _until_room(costs: Sequence[tuple[float, float]], allowed: float, quota: Quota, moment: float) -> float:
    """Seconds until so much of what was spent has left the window that the rest is allowed."""
    excess = sum(cost for _, cost in costs) - allowed
    if excess <= 0:
        return 0.0
    for begun_at, cost in sorted(costs):
        excess -= cost
        if excess <= 0:
            return max(0.01, begun_at + quota.window_seconds - moment)
    return quota.window_seconds / 100
