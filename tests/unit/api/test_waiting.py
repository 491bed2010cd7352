from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scripted import START, answer, not_found, play, value

from talent_dmf.api.dmf.models import WaitState
from talent_dmf.api.dmf.status import DmfExecutionStatus as Status
from talent_dmf.api.dmf.waiting import (
    Finished,
    OutOfTime,
    Said,
    Unsettled,
    Wait,
    WaitPolicy,
    decide,
    observe,
    usual_wait,
    watch,
)
from talent_dmf.api.errors import ConfigurationError

POLICY = WaitPolicy(poke_interval_seconds=60, first_interval_seconds=1, patience=0.1, grace_seconds=300)
STATUSES = st.one_of(st.none(), st.sampled_from(list(Status)))
SECONDS = st.floats(-1e6, 1e7)


@pytest.mark.parametrize(
    ("status", "waited", "unsettled", "decision"),
    [
        (Status.SUCCEEDED, 0, 0, Finished(Status.SUCCEEDED)),
        (Status.FAILED, 1e6, 1e6, Finished(Status.FAILED)),
        (Status.CANCELED, 0, 0, Finished(Status.CANCELED)),
        (Status.PARTIALLY_SUCCEEDED, 0, 0, Finished(Status.PARTIALLY_SUCCEEDED)),
        (Status.NOT_RUN, 0, 0, Wait(1)),
        (Status.NOT_RUN, -50, 0, Wait(1)),
        (Status.EXECUTING, 100, 0, Wait(10)),
        (Status.EXECUTING, 1e6, 0, Wait(60)),
        (Status.EXECUTING, 1e6, 1e6, Wait(60)),
        (Status.UNKNOWN, 100, 299, Wait(10)),
        (Status.UNKNOWN, 100, 300, Unsettled(Status.UNKNOWN)),
        (None, 100, 299, Wait(10)),
        (None, 100, 300, Unsettled(None)),
    ],
)
def test_one_poll(status, waited, unsettled, decision):
    assert decide(status, waited_seconds=waited, unsettled_seconds=unsettled, policy=POLICY) == decision


@given(STATUSES, SECONDS, SECONDS, st.floats(0, 1))
def test_a_decision_keeps_its_promises(status, waited, unsettled, jitter):
    decision = decide(status, waited_seconds=waited, unsettled_seconds=unsettled, policy=POLICY, jitter=jitter)
    assert isinstance(decision, Finished) is (status is not None and status.is_terminal)
    if isinstance(decision, Unsettled):
        assert status in {None, Status.UNKNOWN}
        assert unsettled >= POLICY.grace_seconds
    if isinstance(decision, Wait):
        assert 0.9 * POLICY.first_interval_seconds <= decision.seconds <= POLICY.poke_interval_seconds


@pytest.mark.parametrize(
    "wrong",
    [
        {"poke_interval_seconds": 0},
        {"poke_interval_seconds": -1},
        {"first_interval_seconds": -1},
        {"first_interval_seconds": 0},
        {"grace_seconds": -1},
        {"patience": -0.1},
    ],
)
def test_a_policy_that_cannot_work_is_refused(wrong):
    with pytest.raises(ConfigurationError):
        WaitPolicy(**wrong)


def test_a_policy_without_grace_and_without_patience_can_work():
    policy = WaitPolicy(grace_seconds=0, patience=0, first_interval_seconds=2)
    assert decide(None, waited_seconds=0, unsettled_seconds=0, policy=policy) == Unsettled(None)
    assert decide(Status.EXECUTING, waited_seconds=9000, unsettled_seconds=0, policy=policy) == Wait(2)


def test_the_default_policy_is_what_the_documents_promise():
    """Asked after ten seconds; late by a tenth of the duration, by a minute at most; "not found" for five minutes."""
    assert WaitPolicy() == WaitPolicy(60.0, 10.0, 0.1, 300.0)


def test_a_poke_interval_below_the_first_one_holds():
    policy = WaitPolicy(poke_interval_seconds=0.5)
    assert decide(Status.EXECUTING, waited_seconds=9, unsettled_seconds=0, policy=policy) == Wait(0.5)


def test_the_grace_period_begins_anew_after_every_answer():
    state = WaitState(START)
    for seconds, status, since in [(0, None, 0), (10, None, 0), (20, Status.EXECUTING, None), (30, Status.UNKNOWN, 30)]:
        _, state = observe(status, state, START + timedelta(seconds=seconds), POLICY)
        assert state.unsettled_since == (None if since is None else START + timedelta(seconds=since))
    assert state.polls == 4


def test_a_wait_ends_with_the_final_status():
    table = [not_found(), value("NotRun"), value("Executing"), answer(400), value("Unknown"), value("Succeeded")]
    played = play(watch("e-1", POLICY, WaitState(START)), table)
    assert played.result == Finished(Status.SUCCEEDED)
    assert len(played.pauses) == 5


def test_the_service_is_asked_once_more_at_the_deadline():
    until = START + timedelta(seconds=5)
    patient = WaitPolicy(first_interval_seconds=30)
    played = play(watch("e-1", patient, WaitState(START), until=until), [value("Executing"), value("Succeeded")])
    assert (played.result, played.seconds) == (Finished(Status.SUCCEEDED), [5])


def test_a_deadline_ends_the_wait_where_it_stands():
    until = START + timedelta(seconds=5)
    patient = WaitPolicy(first_interval_seconds=30)
    state = WaitState(START - timedelta(seconds=60), polls=7)
    played = play(watch("e-1", patient, state, until=until), [value("Executing"), not_found()])
    assert played.result == OutOfTime(WaitState(state.started_at, unsettled_since=until, polls=9))


def test_a_deadline_in_the_past_still_allows_one_look():
    played = play(watch("e-1", POLICY, WaitState(START), until=START - timedelta(1)), [value("Failed")])
    assert played.result == Finished(Status.FAILED)


def test_a_wait_taken_up_by_another_process_keeps_its_grace():
    state = WaitState(START - timedelta(seconds=400), unsettled_since=START - timedelta(seconds=300))
    assert play(watch("e-1", POLICY, state), [not_found()]).result == Unsettled(None)


def test_waits_taken_up_at_the_same_moment_spread_out():
    state = WaitState(START - timedelta(hours=1))
    pauses = {
        play(watch(f"e-{number}", POLICY, state), [value("Executing"), value("Failed")]).seconds[0]
        for number in range(50)
    }
    assert len(pauses) == 50
    assert all(54 <= pause <= 60 for pause in pauses)


@pytest.mark.parametrize(
    ("durations", "words"),
    [
        ([], ""),
        ([840.0], "the last run took 14 min"),
        ([3.0, 20.0], "the last 2 runs took 1 min"),
        ([540.0, 840.0, 1260.0], "the last 3 runs took 9 to 21 min"),
    ],
)
def test_earlier_waits_are_told_in_minutes(durations, words):
    assert usual_wait(durations) == words


def test_a_wait_is_told_by_change_and_every_five_minutes_with_what_is_usual():
    said = Said(usual=usual_wait([840.0] * 5))
    told = {}
    for minute in range(13):
        words = "NotRun" if minute < 2 else "Executing"
        if news := said.news(words, START + timedelta(minutes=minute), START):
            told[minute] = news
    assert told == {
        0: "NotRun",
        2: "Executing",
        7: "still Executing, 7 min; the last 5 runs took 14 min",
        12: "still Executing, 12 min; the last 5 runs took 14 min",
    }


FAULTS = st.lists(
    st.sampled_from(
        [not_found(), answer(400), *(value(status.value) for status in Status), value("Executing", nested=True)]
    ),
    max_size=40,
)


@given(FAULTS, st.integers(0, 3600), st.sampled_from([0.0, 5.0, 60.0, 300.0]))
def test_a_wait_never_invents_an_end_and_always_finds_one(faults, limit, grace):
    policy = WaitPolicy(grace_seconds=grace)
    until = START + timedelta(seconds=limit)
    table = [*faults, *[value("Executing")] * 200]
    played = play(watch("e-1", policy, WaitState(START), until=until), table, all_used=False)
    seen = table[: len(played.requests)]
    last = seen[-1].json() or {}
    final = Status.parse(last["value"]["value"] if isinstance(last.get("value"), dict) else last.get("value"))
    assert played.error is None
    assert played.clock <= until
    assert all(0.9 <= seconds <= 60 for seconds in played.seconds[:-1])
    if isinstance(played.result, Finished):
        assert played.result.status is final
        assert final.is_terminal
    elif isinstance(played.result, Unsettled):
        assert final in {None, Status.UNKNOWN}
    else:
        assert isinstance(played.result, OutOfTime)
        assert played.clock == until
        assert final is None or not final.is_terminal
