"""What a wait makes of the list that it shares with others."""

from __future__ import annotations

import pytest

from talent_dmf.triggers.board import Follower

RUNNING = frozenset({("Workers", "Executing", "NotRun")})
OVER = frozenset({("Workers", "Finished", "Finished")})
MORE_OVER = frozenset({*OVER, ("Jobs", "Finished", "Finished")})


def asked(follower: Follower, shown, interval_seconds: float = 30.0) -> list[float]:
    """When the execution is asked for alone, if the list shows such rows at each interval."""
    moments = []
    for number, rows in enumerate(shown, 1):
        moment = number * interval_seconds
        follower.see(rows, moment, interval_seconds)
        if follower.news.is_set():
            moments.append(moment)
            follower.news.clear()
            follower.asked_at = moment
    return moments


def test_what_is_at_work_is_not_asked_for() -> None:
    assert asked(Follower("a", 60.0), [RUNNING] * 20) == []


def test_a_hint_is_looked_into_at_once() -> None:
    assert asked(Follower("a", 60.0), [RUNNING, RUNNING, OVER])[0] == 90.0
    assert asked(Follower("a", 60.0), [OVER]) == [30.0]


def test_a_hint_that_came_early_is_looked_into_ever_more_rarely() -> None:
    """Rows are done before the package is: the end is noticed late by as much as the hint was early."""
    assert asked(Follower("a", 60.0), [OVER] * 32) == [30.0, 60.0, 120.0, 240.0, 480.0, 960.0]


def test_another_hint_is_looked_into_at_once() -> None:
    assert asked(Follower("a", 60.0), [OVER] * 5 + [MORE_OVER] + [RUNNING] * 10 + [OVER]) == [
        30.0, 60.0, 120.0, 180.0, 510.0,
    ]  # fmt: skip


@pytest.mark.parametrize("shown", [[None] * 32, [RUNNING] + [None] * 31])
def test_what_is_not_listed_is_asked_for_alone(shown: list[object]) -> None:
    moments = asked(Follower("a", 60.0), shown)
    assert moments[0] <= 60.0
    assert 4 <= len(moments) <= 6
