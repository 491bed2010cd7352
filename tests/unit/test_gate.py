"""The gate that the requests of all callers pass."""

from __future__ import annotations

import pytest

from talent_dmf.api.dmf.budget import Quota
from talent_dmf.api.steps import Request, Response
from talent_dmf.transport.gate import Gate, OwnNotes
from talent_dmf.transport.shared_notes import SharedNotes

STATUS = Request("POST", "x", "GetExecutionSummaryStatus")
QUOTA = Quota(10, 60.0, 10, 100.0)


@pytest.fixture(params=["a process", "a machine"])
def gates(request, tmp_path, clock):
    """Gates of two callers; those of a machine know each other by a file only."""

    def make(quota):
        own = OwnNotes()
        notes = [own, own] if request.param == "a process" else [SharedNotes(tmp_path, "e"), SharedNotes(tmp_path, "e")]
        return [Gate(quota, each, clock) for each in notes]

    return make


def answered(gate, status=200, **headers):
    gate.leave(STATUS, 0.1, Response(status, {name.replace("_", "-"): text for name, text in headers.items()}))


def test_callers_spend_one_quota_together(gates, clock):
    one, other = gates(QUOTA)
    for _ in range(9):
        assert one.enter(STATUS) == 0
        answered(one)
    assert other.enter(STATUS) == pytest.approx(100.0)
    clock.seconds += 100.0
    assert other.enter(STATUS) == 0


@pytest.mark.parametrize("quota", [None, QUOTA], ids=["no quota", "quota"])
@pytest.mark.parametrize(("headers", "seconds"), [({"retry_after": "40"}, 40.0), ({}, 5.0)])
def test_a_refusal_stops_all_callers(gates, clock, quota, headers, seconds):
    one, other = gates(quota)
    assert one.enter(STATUS) == 0
    answered(one, 429, **headers)
    assert other.enter(STATUS) == pytest.approx(seconds)
    assert one.enter(STATUS) == pytest.approx(seconds)
    clock.seconds += seconds
    assert other.enter(STATUS) == 0


def test_a_shorter_refusal_does_not_shorten_a_longer_one(gates):
    one, other = gates(None)
    answered(one, 429, retry_after="40")
    answered(other, 429, retry_after="1")
    assert one.enter(STATUS) == pytest.approx(40.0)


def test_no_refusal_stops_anybody_for_longer_than_minutes(gates):
    one, other = gates(None)
    answered(one, 429, retry_after="99999999")
    assert other.enter(STATUS) == pytest.approx(600.0)


def test_what_informs_only_waits_first(gates):
    one, other = gates(QUOTA)
    for _ in range(4):
        assert one.enter(STATUS) == 0
        answered(one)
    assert other.enter(Request("GET", "x", "Page", informing=True)) > 0
    assert other.enter(STATUS) == 0


def test_without_an_answer_a_request_is_over_as_well(gates):
    one, _ = gates(Quota(100, 60.0, 1, 100.0))
    assert one.enter(STATUS) == 0
    assert one.enter(STATUS) > 0
    one.leave(STATUS, 0.1, None)
    assert one.enter(STATUS) == 0


@pytest.mark.parametrize("told", [{"requests": 1, "paused_until": "x"}, {"requests": [1, [1, 2], ["a", None, "LIST"]]}])
def test_notes_that_say_nothing_are_overlooked(clock, told):
    notes = OwnNotes()
    notes.change(lambda _: told)
    assert Gate(QUOTA, notes, clock).enter(STATUS) == 0
