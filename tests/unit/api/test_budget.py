"""Who may spend what of an environment's quota, and who waits for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talent_dmf.api.dmf.budget import (
    HUMAN_RESOURCES,
    OPERATIONS_REQUESTS,
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
from talent_dmf.api.steps import Request

QUOTA = Quota(100, 60.0, 10, 100.0)


def spent(count: int, *, at: float = 0.0, seconds: float | None = 0.1, kind: Kind = Kind.CONFIRM) -> list[Spent]:
    return [Spent(at, seconds, kind) for _ in range(count)]


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("GetExecutionSummaryStatus", Kind.CONFIRM),
        ("ExportToPackage", Kind.START),
        ("DataManagementExecutionJobDetails", Kind.LIST),
        ("GetExecutionSummaryPageUrl", Kind.INFORM),
    ],
)
def test_what_a_request_is_for(operation: str, kind: Kind) -> None:
    assert kind_of(Request("POST", "x", operation)) is kind


def test_an_export_waits_for_its_turn_before_it_looks_around() -> None:
    assert kind_of(Request("GET", "x", "DataManagementExecutionJobDetails", before_start=True)) is Kind.TURN


@pytest.mark.parametrize("kind", list(Kind))
def test_an_unspent_quota_is_everybodys(kind: Kind) -> None:
    assert pause_before(kind, [], QUOTA, 50.0) == 0


@pytest.mark.parametrize(
    ("count", "allowed"),
    [(39, set(Kind)), (40, set(Kind) - {Kind.INFORM}), (65, {Kind.CONFIRM, Kind.START, Kind.LIST}),
     (80, {Kind.CONFIRM, Kind.START}), (85, {Kind.CONFIRM}), (90, set())],
)  # fmt: skip
def test_ends_come_before_lists_and_lists_before_starts(count: int, allowed: set[Kind]) -> None:
    assert {kind for kind in Kind if not pause_before(kind, spent(count), QUOTA, 50.0)} == allowed


def test_who_has_to_wait_waits_until_enough_has_left_the_window() -> None:
    requests = [*spent(20, at=10.0), *spent(80, at=40.0)]
    assert pause_before(Kind.CONFIRM, requests, QUOTA, 50.0) == pytest.approx(60.0)
    assert pause_before(Kind.TURN, requests, QUOTA, 50.0) == pytest.approx(90.0)


def test_nobody_waits_for_more_room_than_is_needed() -> None:
    requests = [*spent(1, at=10.0), *spent(89, at=40.0)]
    assert pause_before(Kind.CONFIRM, requests, QUOTA, 50.0) == pytest.approx(60.0)


def test_time_is_spent_as_well() -> None:
    assert pause_before(Kind.CONFIRM, spent(1, seconds=60.0), QUOTA, 50.0) == pytest.approx(50.0)
    assert pause_before(Kind.CONFIRM, spent(1, seconds=50.0), QUOTA, 50.0) == 0


def test_not_too_many_at_once() -> None:
    assert pause_before(Kind.CONFIRM, spent(9, seconds=None), QUOTA, 1.0) == 1.0
    assert pause_before(Kind.CONFIRM, spent(8, seconds=None), QUOTA, 1.0) == 0
    # Whoever does not answer for minutes has been killed.
    assert pause_before(Kind.CONFIRM, spent(9, seconds=None), replace(QUOTA, window_seconds=900.0), 400.0) == 0


def test_starts_are_made_one_at_a_time_and_spread() -> None:
    assert pause_before(Kind.START, spent(1, seconds=None, kind=Kind.START), QUOTA, 30.0) == 1.0
    assert pause_before(Kind.TURN, spent(1, seconds=None, kind=Kind.START), QUOTA, 30.0) == 1.0
    assert pause_before(Kind.TURN, spent(1, seconds=None, kind=Kind.TURN), QUOTA, 30.0) == 1.0
    # 100 requests in 100 seconds, of which 80 may be spent, pay for an export every 7.5 seconds.
    assert pause_before(Kind.TURN, spent(1, kind=Kind.TURN), QUOTA, 5.0) == pytest.approx(2.5)
    assert pause_before(Kind.TURN, spent(1, kind=Kind.TURN), QUOTA, 7.5) == 0
    # Whose turn has come starts at once.
    assert pause_before(Kind.START, spent(1, kind=Kind.TURN), QUOTA, 0.1) == 0


def test_a_quota_that_is_too_small_for_any_request_is_asked_again() -> None:
    assert pause_before(Kind.CONFIRM, [], Quota(1, 1.0, 1, 100.0), 0.0) == 1.0


@pytest.mark.parametrize(
    ("request_", "counts"),
    [
        (Spent(0.0, 1.0, Kind.LIST), True),
        (Spent(-60.0, 1.0, Kind.LIST), False),
        (Spent(-60.0, None, Kind.LIST), True),
        (Spent(-300.0, None, Kind.LIST), False),
        (Spent(1000.0, 1.0, Kind.LIST), False),
    ],
)
def test_what_counts_still(request_: Spent, counts: bool) -> None:
    assert still_counts(request_, 100.0, 50.0) is counts


def test_requests_of_a_moment_are_told_together() -> None:
    requests = [*spent(3, at=1.0), *spent(2, at=1.5), *spent(1, at=2.5), *spent(1, at=1.2, kind=Kind.LIST)]
    requests += spent(2, at=1.0, seconds=None)
    assert gathered(requests, 100.0) == [
        Spent(1.5, pytest.approx(0.5), Kind.CONFIRM, 5),
        Spent(2.5, 0.1, Kind.CONFIRM),
        Spent(1.2, 0.1, Kind.LIST),
        *spent(2, at=1.0, seconds=None),
    ]
    assert pause_before(Kind.CONFIRM, gathered(spent(90), 100.0), QUOTA, 50.0) == pytest.approx(50.0)


def test_a_refusal_teaches_what_was_made_before_it() -> None:
    assert learn(spent(240), 300.0, None, 7.0) == Learned(216, 7.0)
    # Others may be at work as well: no more than was allowed.
    assert learn(spent(240), 300.0, Learned(150, 7.0), 7.0) == Learned(135, 7.0)
    assert learn(spent(120), 300.0, Learned(150, 7.0), 9.0) == Learned(108, 9.0)


def test_a_service_that_is_short_of_something_else_leaves_room_for_work() -> None:
    assert learn(spent(3), 300.0, None, 7.0) == Learned(100, 7.0)


def test_what_was_learned_is_kept_to_and_grows_slowly() -> None:
    learned = Learned(240, 0.0)
    allowed = [quota.requests if (quota := quota_now(None, learned, 300.0 * each)) else None for each in range(35)]
    assert allowed[:4] == [240, 264, 290, 319]
    assert allowed[33:] == [5574, None]
    assert quota_now(None, None, 0.0) is None
    # A clock that was set back.
    assert quota_now(None, learned, -1000.0) is None
    assert quota_now(None, Learned(240, -1e12), 0.0) is None


def test_what_is_known_is_kept_to_unless_less_was_learned() -> None:
    assert quota_now(HUMAN_RESOURCES, Learned(240, 0.0), 0.0) == replace(HUMAN_RESOURCES, requests=240)
    assert quota_now(HUMAN_RESOURCES, Learned(240, 0.0), 2400.0) is HUMAN_RESOURCES
    assert quota_now(HUMAN_RESOURCES, Learned(OPERATIONS_REQUESTS - 1, 0.0), 0.0) is HUMAN_RESOURCES


@given(
    st.lists(st.tuples(st.floats(0, 300), st.floats(0, 20), st.sampled_from(list(Kind))), max_size=600),
    st.sampled_from(list(Kind)),
)
def test_what_may_be_made_now_is_never_one_too_many(made: list[tuple[float, float, Kind]], kind: Kind) -> None:
    requests = [Spent(*each) for each in made]
    pause = pause_before(kind, requests, HUMAN_RESOURCES, 300.0)
    assert 0 <= pause <= 300
    if not pause:
        assert len(requests) < HUMAN_RESOURCES.requests
        assert sum(each.seconds or 0 for each in requests) < HUMAN_RESOURCES.execution_seconds
