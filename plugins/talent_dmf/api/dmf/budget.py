"""How many requests an environment takes, and whose turn it is (docs/wire/dmf-package-api.md#quotas-per-user).

The quota belongs to an application: all its callers spend it together. Whatever ends a wait comes before lists, and
lists come before starts: an export that is done waits for nobody, and one that is not begun can wait. So each kind of
request may use the quota up to a share of its own only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a request is for, with the share of the quota that may be spent when it is made."""

    CONFIRM = 0.9
    LIST = 0.8
    START = 0.65
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
_REQUESTS_OF_AN_EXPORT = 6
# Of one that is being answered.
_ASSUMED_SECONDS = 1.0
# Of all callers, where the service does not say how long (docs/wire/dmf-package-api.md#throttling): whoever was refused
# waits longer by itself.
PAUSE_SECONDS = 5.0


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
    window_seconds: float = 300.0


# Of Human Resources' old service.
HUMAN_RESOURCES = Quota(500, 300.0, 25)


@dataclass(frozen=True, slots=True)
class Spent:
    """One request that was made.

    :param begun_at: when, in seconds.
    :param seconds: how long its answer took; ``None`` while there is none.
    :param kind: what it was for.
    """

    begun_at: float
    seconds: float | None
    kind: Kind


def kind_of(operation: str) -> Kind:
    """What a request is for.

    :param operation: its name.
    """
    return _KINDS.get(operation, Kind.LIST)


def still_counts(spent: Spent, quota: Quota, moment: float) -> bool:
    """Whether a request is in the window still, or being answered.

    :param spent: the request.
    :param quota: the quota.
    :param moment: present time, in the same seconds.
    """
    kept = quota.window_seconds if spent.seconds is not None else max(quota.window_seconds, _LOST_SECONDS)
    # A clock that was set back must not keep a request for ever.
    return -kept < moment - spent.begun_at < kept


def pause_before(kind: Kind, spent: Sequence[Spent], quota: Quota, moment: float) -> float:
    """How long a request has to wait, in seconds: 0 if it may be made now. Ask again afterwards.

    :param kind: what it is for.
    :param spent: the requests that count still, in any order.
    :param quota: the quota.
    :param moment: present time, in the same seconds.
    """
    running = [each for each in spent if each.seconds is None and moment - each.begun_at < _LOST_SECONDS]
    most_at_once = max(1, int(quota.concurrent * kind.value))
    short = min(1.0, quota.window_seconds / 100)
    if len(running) >= most_at_once:
        return short
    if kind is Kind.START:
        gap = _REQUESTS_OF_AN_EXPORT * quota.window_seconds / (Kind.LIST.value * quota.requests)
        starts = [each for each in spent if each.kind is Kind.START]
        if any(each.seconds is None for each in starts):
            return short
        last = max((each.begun_at for each in starts), default=moment - gap)
        if moment - last < gap:
            return gap - (moment - last)
    return max(
        _until_room([(each.begun_at, 1.0) for each in spent], quota.requests * kind.value - 1, quota, moment),
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
