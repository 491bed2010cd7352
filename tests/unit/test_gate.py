"""The gate that the requests of all callers pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from talent_dmf.api.dmf.budget import Quota
from talent_dmf.api.errors import RequestRefusedError
from talent_dmf.api.steps import Request, Response
from talent_dmf.transport.gate import Gate, OwnNotes
from talent_dmf.transport.shared_notes import SharedNotes

PAGE = Request("POST", "x", "GetExecutionSummaryPageUrl")
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
    assert other.enter(PAGE) > 0
    assert other.enter(STATUS) == 0


def test_without_an_answer_a_request_is_over_as_well(gates):
    one, _ = gates(Quota(100, 60.0, 1, 100.0))
    assert one.enter(STATUS) == 0
    assert one.enter(STATUS) > 0
    one.leave(STATUS, 0.1, None)
    assert one.enter(STATUS) == 0


def test_what_informs_only_is_not_waited_for_long(gates):
    one, _ = gates(QUOTA)
    for _ in range(4):
        assert one.enter(STATUS) == 0
        answered(one)
    with pytest.raises(RequestRefusedError, match="no room for requests that only inform"):
        one.enter(replace(PAGE, informing=True))


def test_a_quota_is_learned_and_remembered_by_all(gates, clock, caplog):
    one, other = gates(None)
    assert one.quota_now is None
    for _ in range(119):
        assert one.enter(STATUS) == 0
        answered(one)
    assert one.requests_per_window == 6000
    answered(one, 429, retry_after="40")
    assert other.quota_now.requests == other.requests_per_window == 108
    clock.seconds += 40.0
    # They have been made, so others have to wait until they have left the window.
    assert other.enter(STATUS) == pytest.approx(260.0, abs=0.2)
    clock.seconds += 260.0
    for _ in range(100):
        assert other.enter(STATUS) == 0
        answered(other)
    # It has grown by a tenth meanwhile.
    assert other.quota_now.requests == 118
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "keep to 108 requests in 300 seconds" in caplog.text


def test_refusals_that_come_together_teach_once(gates, clock):
    one, other = gates(None)
    for _ in range(200):
        assert one.enter(STATUS) == 0
        answered(one)
    clock.seconds += 1.0
    answered(one, 429)
    clock.seconds += 0.05
    answered(other, 429)
    assert one.quota_now.requests == 180
    clock.seconds += 300.0
    for _ in range(140):
        assert other.enter(STATUS) == 0
        answered(other)
    clock.seconds += 0.5
    answered(other, 429)
    assert 126 <= one.quota_now.requests < 180


def test_an_export_alone_has_room_for_what_informs(gates):
    one, other = gates(QUOTA)
    for _ in range(6):
        assert one.enter(STATUS) == 0
        answered(one)
    lists = Request("GET", "x", "DataManagementExecutionJobDetails")
    assert one.enter(lists) == 0
    one.leave(lists, 0.1, Response(200))
    assert other.serves_one_export
    assert one.enter(STATUS) == 0
    assert not other.serves_one_export


def test_where_each_is_polled_alone_no_more_begin_than_the_polls_allow(gates, clock):
    one, other = gates(Quota(100, 300.0, 25, 300.0))
    look = Request("GET", "x", "DataManagementExecutionJobDetails", before_start=True)
    one.tell_polled(8)
    assert other.enter(look) > 0
    assert other.enter(STATUS) == 0
    one.tell_polled(7)
    assert other.enter(look) == 0
    one.tell_polled(8)
    clock.seconds += 301.0
    assert other.enter(look) == 0


@pytest.mark.parametrize(
    "told",
    [
        {"requests": 1, "paused_until": "x", "learned": 7},
        {"requests": [1, [1, 2], ["a", None, "LIST"], [1, 2, "LIST", "x"]], "learned": ["x", 1]},
        {"learned": [10**400, 1]},
        {"learned": [-1, 1]},
        {"polled": 5},
        {"polled": {"1": 5, "2": ["x", 1_000_000], "3": [5, None], "4": [True, 1_000_000.0]}},
    ],
)
def test_notes_that_say_nothing_are_overlooked(clock, told):
    notes = OwnNotes()
    notes.change(lambda _: told)
    assert Gate(QUOTA, notes, clock).enter(STATUS) == 0
