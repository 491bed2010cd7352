"""Effects and what is wrapped around protocols: what only informs, and the identifiers that support asks for."""

from __future__ import annotations

import pytest
from tests.unit.scripted import answer, play

from talent_dmf.api.errors import PermissionDeniedError, TalentDmfError, TransportError
from talent_dmf.api.steps import (
    BRIEF_SECONDS,
    Request,
    Response,
    Sleep,
    Steps,
    before_start,
    collecting_request_ids,
    hurried,
    informing,
    now,
    send,
)

GET = Request("GET", "x", operation="Get")
SILENT = TransportError("no answer came.")


def test_a_request_prints_without_what_opens_doors():
    request = Request("GET", "https://user:pw@blob.example/p.zip?sig=SECRET", operation="read range")
    assert repr(request) == "<Request GET https://blob.example/p.zip?*** (read range)>"


def test_an_answer_prints_without_the_address_that_gave_it():
    response = Response(200, asked="https://blob.example/p.zip?sig=SECRET")
    assert "SECRET" not in repr(response)
    assert response == Response(200)


def test_what_a_request_is_unless_it_says_so():
    assert (GET.authorize, GET.idempotent) == (True, True)
    assert not any((GET.refresh_token, GET.once, GET.informing, GET.hurried, GET.before_start))


@pytest.mark.parametrize(("status", "ok"), [(199, False), (200, True), (299, True), (302, False), (404, False)])
def test_only_2xx_is_ok(status, ok):
    assert Response(status).ok is ok


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b'{"a": 1}', {"a": 1}), (b"", None), (b"<html>", None), (b"\xff\xfe\x00", None), (b"null", None)],
)
def test_json_is_never_assumed(body, expected):
    assert Response(200, {}, body).json() == expected


def test_request_ids_are_bounded_and_printable():
    found = Response(500, {"x-ms-request-id": "a\udcff\x1b" + "b" * 9000}).request_ids["x-ms-request-id"]
    assert found.startswith("a  bbb")
    assert len(found) == 200


def test_request_ids_are_those_that_support_asks_for():
    response = Response(500, {"ms-dyn-aid": "a", "x-ms-request-id": "b", "server": "c"}, b"12345")
    assert response.request_ids == {"ms-dyn-aid": "a", "x-ms-request-id": "b"}
    assert repr(response) == "<Response 500 5 bytes {'ms-dyn-aid': 'a', 'x-ms-request-id': 'b'}>"
    assert "7 bytes" in repr(Response(200, {}, b"", 7))


def asked_twice() -> Steps[int]:
    """Return the sum of two statuses, with a pause between; a first request without an answer counts for nothing."""
    try:
        first = (yield from send(GET)).status
    except TalentDmfError:
        first = 0
    yield Sleep(1, "pause")
    return first + (yield from send(GET)).status


def refused() -> Steps[int]:
    """Return nothing: the service refuses."""
    yield from send(GET)
    raise PermissionDeniedError("Get: not for you.")


def test_the_first_request_before_a_start_waits_for_its_turn():
    played = play(before_start(asked_twice()), [answer(200), answer(201)])
    assert played.result == 401
    assert [request.before_start for request in played.requests] == [True, False]
    assert play(before_start(asked_twice()), [SILENT, answer(201)]).result == 201


def test_what_only_informs_is_asked_for_in_a_hurry():
    played = play(informing(asked_twice(), -1, "The sum"), [answer(200), answer(201)])
    assert played.result == 401
    assert [(request.informing, request.hurried) for request in played.requests] == [(True, True)] * 2
    assert [request.timeout_seconds for request in played.requests] == [BRIEF_SECONDS, BRIEF_SECONDS]
    assert play(informing(asked_twice(), -1, "The sum"), [SILENT, answer(201)]).result == 201


def paged(pages: int, seconds: float) -> Steps[int]:
    """Return how many pages there were; each comes after a while."""
    for _ in range(pages):
        yield from send(GET)
        yield Sleep(seconds, "a page comes slowly")
    return pages


@pytest.mark.parametrize(("pages", "seconds", "asked"), [(1000, 7, 5), (1000, 31, 1), (3, 31, 1)])
def test_what_only_informs_takes_no_longer_than_half_a_minute_however_many_requests_it_is(pages, seconds, asked):
    played = play(informing(paged(pages, seconds), -1, "The pages"), [answer(200)] * asked)
    assert (played.result, len(played.notes)) == (-1, 1)
    assert "left out, because what came before it took more than 30 seconds" in played.notes[0]
    slow = play(hurried(paged(pages, seconds)), [answer(200)] * asked)
    assert isinstance(slow.error, TransportError)
    assert [request.informing for request in slow.requests] == [False] * asked


def test_what_is_over_in_time_is_kept_however_long_its_last_pause_is():
    assert play(informing(paged(4, 10), -1, "The pages"), [answer(200)] * 4).result == 4
    assert play(hurried(paged(1, 500)), [answer(200)]).result == 1


@pytest.mark.parametrize(
    ("steps", "answers", "words"),
    [
        (asked_twice, [answer(200), SILENT], "no answer came."),
        (refused, [answer(403)], "Get: not for you."),
    ],
)
def test_what_only_informs_is_done_without_and_that_is_said_once(steps, answers, words):
    played = play(informing(steps(), -1, "The sum"), answers)
    assert (played.result, played.error) == (-1, None)
    assert played.notes == [f"The sum could not be read, and the job goes on without: {words}"]


def test_what_protects_something_is_done_without_only_where_it_is_refused():
    protecting = {"default": -1, "what": "The sum", "unless_refused": True}
    assert play(informing(refused(), **protecting), [answer(403)]).result == -1
    played = play(informing(asked_twice(), **protecting), [answer(200), SILENT])
    assert played.error is SILENT
    assert not any(request.informing for request in played.requests)


def test_whoever_can_do_without_the_answer_goes_on_after_it_took_too_long():
    def slow() -> Steps[str]:
        yield Sleep(3600, "The service is slow.")
        try:
            yield from send(GET)
        except TransportError as error:
            yield Sleep(1, error.message)
        return "done without"

    played = play(hurried(slow()), [])
    assert (played.result, played.requests) == ("done without", [])
    assert "left out, because what came before it took more than 30 seconds" in played.pauses[-1].reason


@pytest.mark.parametrize("wrapped", [lambda steps: informing(steps, 0, "x"), lambda s: collecting_request_ids(s, {})])
def test_a_wrapped_protocol_is_closed_with_its_wrapper(wrapped):
    closed = []

    def steps() -> Steps[None]:
        try:
            yield Sleep(1, "x")
        finally:
            closed.append(True)

    flow = wrapped(steps())
    next(flow)
    flow.close()
    assert closed == [True]


def test_the_identifiers_of_the_latest_answer_are_collected():
    def steps() -> Steps[object]:
        total = yield from asked_twice()
        return total, (yield from now())

    found: dict[str, str] = {"ms-dyn-aid": "of before"}
    answers = [answer(200, x_ms_request_id="1"), answer(201, x_ms_request_id="2", server="s")]
    played = play(collecting_request_ids(steps(), found), answers)
    assert played.result == (401, played.clock)
    assert found == {"ms-dyn-aid": "of before", "x-ms-request-id": "2"}
    assert play(collecting_request_ids(steps(), {}), [SILENT, answer(201)]).result[0] == 201
