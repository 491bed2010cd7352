from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scripted import START, answer, play

from talent_dmf.api.errors import (
    AuthenticationError,
    ConfigurationError,
    TalentDmfError,
    ThrottledError,
    TransportError,
)
from talent_dmf.api.retrying import (
    TRANSIENT_STATUS,
    Patience,
    RetryPolicy,
    patience,
    retry_after_seconds,
    with_retries,
)
from talent_dmf.api.steps import READ_CLOCK, Request, Sleep, Steps, send

POLICY = RetryPolicy(base_seconds=1, cap_seconds=8, budget_seconds=100, max_attempts=5)
GET = Request("GET", "/x", operation="Get")
POST = Request("POST", "/x", operation="Post", json={}, idempotent=False)
RESET = TransportError("reset")
NEVER_SENT = TransportError("refused", sent=False)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "60"}, 60.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "Sun, 01 Mar 2026 06:00:30 GMT"}, 30.0),
        ({"retry-after": "Sunday, 01-Mar-26 06:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun Mar  1 06:00:30 2026"}, 30.0),
        ({"retry-after": "Sun, 01 Mar 2026 08:00:30 +0200"}, 30.0),
        ({"retry-after": "Sun, 01 Mar 2026 05:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "Sun, 01 Mar 99999 06:00:30 GMT"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"x-ms-retry-after-ms": "1500", "retry-after": "60"}, 1.5),
        ({"x-ms-retry-after-ms": "soon", "retry-after": "60"}, 60.0),
    ],
)
def test_forms_of_retry_after(headers, seconds):
    assert retry_after_seconds(headers, START) == seconds


@given(st.dictionaries(st.sampled_from(["retry-after", "x-ms-retry-after-ms"]), st.text(max_size=40)))
def test_no_header_stops_a_protocol(headers):
    seconds = retry_after_seconds(headers, START)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 1), (3, 4), (9, 8)])
def test_backoff(attempt, seconds):
    assert POLICY.backoff_seconds(attempt) == seconds


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Get: no answer came in time (a.example); try again later.", "Get: no answer came in time (a.example)."),
        ("Get: the service asks us to slow down. Try again later.", "Get: the service asks us to slow down."),
        ("The name 'a.zip' is blocked. Try again.", "Get: The name 'a.zip' is blocked."),
        ("Get: the proxy does not work; check it.", "Get: the proxy does not work; check it."),
    ],
)
def test_a_pause_is_announced_once_and_advises_nobody(message, reason):
    pause = Patience(POLICY).pause_after(TransportError(message), "Get")
    assert pause.reason == reason


@pytest.mark.parametrize(("random_number", "seconds"), [(1, 4), (0, 2), (0.5, 3)])
def test_our_own_pauses_are_spread_and_those_that_were_asked_for_are_not(random_number, seconds):
    ours = play(send(GET), [answer(503), answer(503), answer(503), answer(200)], policy=POLICY).pauses[-1]
    theirs = play(send(GET), [answer(503, Retry_After="4"), answer(200)], policy=POLICY).pauses[-1]
    assert ours.length_seconds(random_number) == seconds
    assert theirs.length_seconds(random_number) == 4


def test_a_protocol_is_as_patient_as_who_runs_it():
    def asks() -> Steps[RetryPolicy]:
        return (yield from patience()).policy

    assert play(asks(), [], policy=POLICY).result is POLICY


@pytest.mark.parametrize("status", sorted(TRANSIENT_STATUS))
def test_passing_trouble_is_tried_again(status):
    played = play(send(GET), [answer(status), answer(200)], policy=POLICY)
    assert (played.result.status, played.seconds) == (200, [1])


@pytest.mark.parametrize("status", [200, 204, 302, 400, 403, 404, 409, 412, 416, 501, 505])
def test_anything_else_is_an_answer(status):
    played = play(send(GET), [answer(status)], policy=POLICY)
    assert (played.result.status, played.seconds) == (status, [])


def test_pauses_grow_and_the_last_error_is_told():
    played = play(send(GET), [answer(503), answer(502), RESET, answer(500), answer(504)], policy=POLICY)
    assert played.seconds == [1, 2, 4, 8]
    assert (type(played.error), played.error.status_code) == (TransportError, 504)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "20"}, 20),
        ({"Retry_After": "Sun, 01 Mar 2026 06:00:12 GMT"}, 12),
        ({"x_ms_retry_after_ms": "250"}, 0.25),
        ({"Retry_After": "0"}, 1),
        ({"Retry_After": "nonsense"}, 1),
        ({}, 1),
    ],
)
def test_the_service_says_how_long(headers, seconds):
    played = play(send(GET), [answer(429, **headers), answer(200)], policy=POLICY)
    assert played.seconds == [seconds]


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [(429, {}, ThrottledError), (503, {"Retry_After": "5"}, ThrottledError), (503, {}, TransportError)],
)
def test_throttling_is_told_from_trouble(status, headers, kind):
    played = play(send(GET), [answer(status, **headers, ms_dyn_aid="a")] * 5, policy=POLICY)
    assert type(played.error) is kind
    assert played.error.request_ids == {"ms-dyn-aid": "a"}


def test_a_wish_beyond_the_budget_is_not_waited_for():
    played = play(send(GET), [answer(429, Retry_After="101")], policy=POLICY)
    assert isinstance(played.error, ThrottledError)
    assert (played.seconds, played.error.retry_after_seconds) == ([], 101)


def test_the_budget_is_for_all_pauses_of_a_request():
    played = play(send(GET), [answer(429, Retry_After="40")] * 3, policy=POLICY)
    assert played.seconds == [40, 40]
    assert isinstance(played.error, ThrottledError)


@pytest.mark.parametrize("first", [answer(429), answer(408), answer(425), NEVER_SENT], ids=str)
def test_what_cannot_have_worked_is_sent_again_even_if_it_must_not_happen_twice(first):
    assert play(send(POST), [first, answer(200)], policy=POLICY).result.status == 200


@pytest.mark.parametrize("first", [answer(500), answer(502), answer(503, Retry_After="1"), answer(504), RESET], ids=str)
def test_what_may_have_worked_is_not_sent_again(first):
    played = play(send(POST), [first], policy=POLICY)
    assert isinstance(played.error, TransportError)
    assert played.error.sent


def test_a_refused_token_is_renewed_once():
    played = play(send(GET), [answer(401), answer(200)], policy=POLICY)
    assert [request.refresh_token for request in played.requests] == [False, True]
    assert played.seconds == []


def test_a_second_refusal_is_an_answer():
    assert play(send(GET), [answer(401), answer(401)], policy=POLICY).result.status == 401


def test_a_refusal_of_a_signed_url_is_an_answer():
    request = Request("GET", "https://b/x?sig=1", operation="read", authorize=False)
    assert play(send(request), [answer(401)], policy=POLICY).result.status == 401


def test_renewal_and_trouble_mix():
    played = play(send(GET), [answer(503), answer(401), answer(503), answer(200)], policy=POLICY)
    assert (played.result.status, played.seconds) == (200, [1, 2])


@pytest.mark.parametrize("error", [AuthenticationError("no token"), ConfigurationError("no trust"), RESET], ids=str)
def test_the_protocol_hears_of_every_failure(error):
    def steps() -> Steps[str]:
        try:
            yield from send(POST)
        except TalentDmfError as heard:
            yield Sleep(1, "after")
            return f"heard {heard.message}"
        return "deaf"

    assert play(steps(), [error], policy=POLICY).result == f"heard {error.message}"


def test_what_the_protocol_yields_otherwise_passes_through():
    def steps() -> Steps[object]:
        yield Sleep(3, "x")
        moment = yield READ_CLOCK
        return moment

    assert play(steps(), [], policy=POLICY).result == START + timedelta(seconds=3)


def test_an_abandoned_protocol_is_closed():
    closed = []

    def steps() -> Steps[None]:
        try:
            yield Sleep(1, "x")
        finally:
            closed.append(True)

    flow = with_retries(steps(), POLICY)
    next(flow)
    flow.close()
    assert closed == [True]


@pytest.mark.parametrize(("unsent", "tries"), [(2, 2), (9, 5)])
def test_a_host_that_cannot_be_reached_is_told_sooner(unsent, tries):
    policy = RetryPolicy(max_attempts=5, max_unsent_attempts=unsent)
    assert len(play(send(GET), [NEVER_SENT] * tries, policy=policy).requests) == tries


def test_a_request_that_only_informs_is_soon_given_up():
    asked = replace(GET, hurried=True)
    assert len(play(send(asked), [answer(503)] * 3, policy=RetryPolicy(max_attempts=12)).requests) == 3
    assert len(play(send(asked), [NEVER_SENT] * 2, policy=RetryPolicy(max_attempts=12)).requests) == 2
    # Half a minute of pauses at most, whatever the service asks for.
    assert play(send(asked), [answer(503, Retry_After="31")], policy=RetryPolicy()).pauses == []
    assert play(send(asked), [answer(503, Retry_After="30"), answer(200)], policy=RetryPolicy()).seconds == [30]


def test_the_silence_before_a_failure_counts_for_whoever_is_in_a_hurry():
    flow = with_retries(send(replace(GET, hurried=True)), RetryPolicy())
    assert next(flow) is READ_CLOCK
    assert isinstance(flow.send(START), Request)
    assert flow.throw(TransportError("no answer came in time.")) is READ_CLOCK
    with pytest.raises(TransportError, match="no answer came in time"):
        flow.send(START + timedelta(seconds=31))


def test_the_default_policy_is_a_minute_at_once_and_ten_in_all():
    assert RetryPolicy() == RetryPolicy(1.0, 60.0, 600.0, 12, 5)


def test_a_policy_is_never_more_patient_in_a_hurry():
    policy = RetryPolicy(budget_seconds=5, max_attempts=2, max_unsent_attempts=1)
    assert policy.hurried() == policy


def test_progress_renews_patience():
    left = Patience(POLICY)
    for _ in range(4):
        left.pause_after(RESET, "x")
    left.renew()
    assert left.pause_after(RESET, "x") == Sleep(1, "x: reset.", spread=True)


@given(
    st.lists(
        st.one_of(
            st.sampled_from([answer(s) for s in (429, 500, 503)]),
            st.integers(0, 50).map(lambda s: answer(429, Retry_After=str(s))),
            st.just(RESET),
        ),
        max_size=10,
    )
)
def test_retries_always_end_within_budget_and_number(faults):
    table = [*faults, answer(200)]
    played = play(send(GET), table, policy=POLICY, all_used=False)
    tries = len(played.requests)
    assert tries <= POLICY.max_attempts
    assert sum(played.seconds) <= POLICY.budget_seconds
    assert all(seconds > 0 for seconds in played.seconds)
    if played.error is None:
        assert tries == len(table)
    else:
        last = table[tries - 1]
        assert played.error is last or played.error.status_code == last.status
