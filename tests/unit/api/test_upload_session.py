"""One upload session: every answer of docs/wire/graph-onedrive.md#answers-to-a-range and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.scripted import answer, play

from talent_dmf.api.errors import (
    ConfigurationError,
    DestinationBusyError,
    DestinationError,
    NameConflictError,
    ProtocolError,
    RequestRefusedError,
    TalentDmfError,
    ThrottledError,
    TransportError,
    UploadSessionLostError,
)
from talent_dmf.api.graph.models import UploadTarget
from talent_dmf.api.graph.upload.session import (
    DEFAULT_FRAGMENT_BYTES,
    FRAGMENT_UNIT_BYTES,
    MAX_FRAGMENT_BYTES,
    Accepted,
    Completed,
    UploadSession,
    check_fragment_bytes,
    create_session,
)
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.retrying import Patience, RetryPolicy
from talent_dmf.api.steps import Response

URL = "https://t-my.sharepoint.example/_api/v2.0/drives/d/items/i/uploadSession?guid='G'&tempauth=SECRET"
SIZE = 300
POLICY = RetryPolicy(max_attempts=4)
ITEM = {"id": "I1", "name": "a.zip", "size": SIZE, "webUrl": "https://x/a.zip"}
CUT = TransportError("Upload range: the connection broke")


def session(offset: int = 0) -> UploadSession:
    made = UploadSession(SecretUrl(URL), SIZE, Patience(POLICY), subject="A/a.zip")
    made.next_offset = offset
    return made


def says(*ranges: str, status: int = 200) -> Response:
    return answer(status, json={"expirationDateTime": "2026-03-01T06:15:00Z", "nextExpectedRanges": list(ranges)})


def refusal(status: int, code: str = "x", **headers: str) -> Response:
    return answer(status, json={"error": {"code": code, "message": f"about {code}"}}, **headers)


def test_a_session_begins_at_its_first_byte() -> None:
    assert UploadSession(SecretUrl(URL), SIZE, Patience(POLICY), subject="A/a.zip").next_offset == 0


def test_create_sends_exactly_what_business_accepts() -> None:
    body = {"uploadUrl": URL, "expirationDateTime": "2026-03-01T06:15:00Z", "nextExpectedRanges": ["0-"]}
    steps = create_session("b!1", UploadTarget("A b", "a.zip", "rename"), SIZE)
    played = play(steps, [answer(json=body)])
    request = played.requests[0]
    assert (request.method, request.url) == ("POST", "/drives/b!1/root:/A%20b/a.zip:/createUploadSession")
    assert request.json == {"item": {"@microsoft.graph.conflictBehavior": "rename"}}
    assert not request.idempotent, "a second one would meet the session that a lost answer had opened"
    assert played.result is not None
    assert played.result.url.reveal() == URL
    assert (played.result.next_offset, played.result.expires_at) == (0, "2026-03-01T06:15:00Z")


@pytest.mark.parametrize("ranges", [{}, {"nextExpectedRanges": []}, {"nextExpectedRanges": ["0-299"]}])
def test_create_in_all_its_forms(ranges: dict[str, Any]) -> None:
    steps = create_session("d", UploadTarget("", "a.zip"), SIZE)
    played = play(steps, [answer(json={"uploadUrl": URL, **ranges})])
    assert played.result is not None
    assert played.result.next_offset == 0


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (refusal(409, "nameAlreadyExists"), NameConflictError),
        (refusal(423, "resourceLocked"), DestinationBusyError),
        (refusal(507, "quotaLimitReached"), DestinationError),
        (refusal(412, "preconditionFailed"), DestinationBusyError),
        (refusal(400, "invalidRequest"), RequestRefusedError),
        (answer(200, json={"value": 1}), ProtocolError),
        (answer(200, body="<html>"), ProtocolError),
    ],
)
def test_create_refused(given: Response, kind: type[Exception]) -> None:
    steps = create_session("d", UploadTarget("", "a.zip"), SIZE)
    assert type(play(steps, [given]).error) is kind


def test_a_range_on_the_wire() -> None:
    data = memoryview(bytearray(100))
    played = play(session().put(100, data), [says("200-", status=202)])
    request = played.requests[0]
    assert (request.method, request.url) == ("PUT", URL)
    assert request.headers["Content-Range"] == "bytes 100-199/300"
    assert request.content is data, "the bytes are not copied"
    assert (request.authorize, request.idempotent) == (False, False)
    assert "SECRET" not in repr(request)


@pytest.mark.parametrize(
    ("answers", "expected", "seconds"),
    [
        pytest.param([says("200-", status=202)], Accepted(200), [], id="202 open range"),
        pytest.param([says("200-299", status=202)], Accepted(200), [], id="202 closed range"),
        pytest.param([says("250-259", "200-220", status=202)], Accepted(200), [], id="202 several ranges"),
        pytest.param([says("137-", status=202)], Accepted(137), [], id="202 partial, unaligned"),
        pytest.param([says("40-", status=202)], Accepted(40), [1.0], id="202 going back"),
        pytest.param([answer(202), says("200-")], Accepted(200), [], id="202 without body"),
        pytest.param([answer(202, json={}), says("200-")], Accepted(200), [], id="202 without ranges"),
        pytest.param([says(status=202), says("200-")], Accepted(200), [], id="202 empty ranges"),
        pytest.param([says(status=202), says(), says("200-")], Accepted(200), [5.0], id="202 empty ranges twice"),
        pytest.param([says("300-", status=202), says("200-")], Accepted(200), [], id="202 misses what is not there"),
        pytest.param([answer(202, body="<html>"), says("200-")], Accepted(200), [], id="202 HTML"),
        pytest.param([refusal(416, "invalidRange"), says("200-")], Accepted(200), [], id="416 has it already"),
        pytest.param([refusal(416, "invalidRange"), says("0-")], Accepted(0), [1.0], id="416 lacks what came before"),
        pytest.param([CUT, says("100-")], Accepted(100), [1.0], id="cut, nothing kept"),
        pytest.param([CUT, says("137-")], Accepted(137), [1.0], id="cut, a part kept"),
        pytest.param([CUT, says("200-")], Accepted(200), [1.0], id="cut, all kept"),
        pytest.param(
            [ThrottledError("slow", status_code=503, retry_after_seconds=30.0), says("200-")],
            Accepted(200),
            [30.0],
            id="503 with Retry-After may have worked",
        ),
        pytest.param(
            [ThrottledError("slow", status_code=429, retry_after_seconds=30.0)],
            Accepted(100),
            [30.0],
            id="429",
        ),
        pytest.param([TransportError("refused", sent=False)], Accepted(100), [1.0], id="never sent"),
        pytest.param([refusal(404, "itemNotFound"), says("100-")], Accepted(100), [5.0, 1.0], id="404, then found"),
        pytest.param([refusal(423, "resourceLocked"), says("100-")], Accepted(100), [1.0], id="423 for a moment"),
    ],
)
def test_answers_after_which_the_session_goes_on(answers: list[Any], expected: Accepted, seconds: list[float]) -> None:
    played = play(session().put(100, bytes(100)), answers)
    assert played.error is None
    assert played.result == expected
    assert played.seconds == seconds
    assert all(not request.authorize for request in played.requests)


@pytest.mark.parametrize(
    ("given", "has_item"),
    [
        (answer(201, json=ITEM), True),
        (answer(200, json=ITEM), True),
        (answer(201), False),
    ],
)
def test_completed(given: Response, has_item: bool) -> None:
    result = play(session().put(200, bytes(100)), [given]).result
    assert isinstance(result, Completed)
    assert (result.item is not None) == has_item
    assert result.item is None or result.item.id == "I1"
    assert result.is_new == (has_item and given.status == 201)


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize(
    ("offset", "body"), [(100, ""), (100, "<html>"), (100, '{"id": "I1"}'), (200, "<html>"), (200, '{"odd": 1}')]
)
def test_a_success_that_is_no_completion_is_asked_about(status: int, offset: int, body: str) -> None:
    """A proxy answers in the service's place, or the service says more than it should: the session knows."""
    played = play(session().put(offset, bytes(100)), [answer(status, body=body), says(f"{offset + 10}-")])
    assert played.result == Accepted(offset + 10)


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        pytest.param([refusal(401, "unauthenticated")], UploadSessionLostError, id="401 tempauth expired"),
        pytest.param([refusal(403, X_MSDAVEXT_Error="917656")], UploadSessionLostError, id="403 tempauth rejected"),
        pytest.param([answer(410)], UploadSessionLostError, id="410"),
        pytest.param([refusal(404), refusal(404)], UploadSessionLostError, id="404 for good"),
        pytest.param([refusal(416), refusal(404)], UploadSessionLostError, id="416, then gone"),
        pytest.param([CUT, refusal(404)], UploadSessionLostError, id="cut, then gone (perhaps complete)"),
        pytest.param([CUT, refusal(401)], UploadSessionLostError, id="cut, then expired"),
        pytest.param([CUT, *[says()] * 6], UploadSessionLostError, id="all received, not complete"),
        pytest.param([CUT, *[answer(json={})] * 3], UploadSessionLostError, id="says nothing again and again"),
        pytest.param([refusal(409, "nameAlreadyExists")], NameConflictError, id="409 name taken meanwhile"),
        pytest.param([refusal(507, "quotaLimitReached")], DestinationError, id="507"),
        pytest.param([refusal(413)], DestinationError, id="413"),
        pytest.param([refusal(400, "invalidRequest")], RequestRefusedError, id="400"),
        pytest.param([says("x-", status=202)], ProtocolError, id="202 nonsense"),
        pytest.param([CUT, TransportError("cut", status_code=503)], TransportError, id="status not to be had"),
    ],
)
def test_answers_that_end_the_range(answers: list[Any], kind: type[TalentDmfError]) -> None:
    played = play(session().put(100, bytes(100)), answers)
    assert type(played.error) is kind
    assert "SECRET" not in str(played.error)
    assert "SECRET" not in played.error.detail


@pytest.mark.parametrize(
    ("give", "kind"),
    [
        (lambda: [CUT, says("100-")], TransportError),
        (lambda: [ThrottledError("slow", status_code=429)], ThrottledError),
        (lambda: [refusal(416), says("100-")], TransportError),
        (lambda: [says("100-", status=202)], TransportError),
        (lambda: [refusal(423), says("100-")], DestinationBusyError),
        (lambda: [refusal(412), says("100-")], DestinationBusyError),
        (lambda: [refusal(404), says("100-")], TransportError),
    ],
    ids=["cut", "429", "416", "202 without progress", "423", "412", "404"],
)
def test_patience_ends_without_progress(give: Any, kind: type[TalentDmfError]) -> None:
    tried = session()
    for _ in range(POLICY.max_attempts - 1):
        assert play(tried.put(100, bytes(100)), give()).result == Accepted(100)
    assert type(play(tried.put(100, bytes(100)), give(), all_used=False).error) is kind


def test_patience_is_renewed_by_progress() -> None:
    tried = session()
    for offset in range(3 * POLICY.max_attempts):
        assert play(tried.put(offset, bytes(100)), [CUT, says(f"{offset + 1}-")]).result == Accepted(offset + 1)


def test_status_refused_otherwise() -> None:
    assert type(play(session().status(), [refusal(400)]).error) is RequestRefusedError


def test_expiry_moves_with_the_session() -> None:
    tried = session()
    play(tried.put(100, bytes(100)), [says("200-", status=202)])
    assert tried.expires_at == "2026-03-01T06:15:00Z"
    assert tried.next_offset == 200


@pytest.mark.parametrize(("given", "gone"), [(answer(204), True), (answer(404), True), (answer(400), False)])
def test_cancel(given: Response, gone: bool) -> None:
    played = play(session().cancel(), [given])
    assert played.result is gone
    request = played.requests[0]
    assert (request.method, request.authorize, request.idempotent) == ("DELETE", False, False)


@pytest.mark.parametrize(
    "trouble", [answer(503), answer(429, Retry_After="5"), TransportError("x", sent=False)], ids=str
)
def test_a_session_is_cancelled_once_or_left_to_expire(trouble: Response | TransportError) -> None:
    """A task that is killed has no time to wait."""
    played = play(session().cancel(), [trouble], policy=RetryPolicy())
    assert isinstance(played.error, TransportError)
    assert played.pauses == []
    assert played.requests[0].timeout_seconds == 20.0


@pytest.mark.parametrize("size", [FRAGMENT_UNIT_BYTES, 32 * FRAGMENT_UNIT_BYTES, MAX_FRAGMENT_BYTES])
def test_fragment_sizes(size: int) -> None:
    assert check_fragment_bytes(size) == size


def test_the_greatest_fragment_is_the_last_below_sixty_mebibytes() -> None:
    assert MAX_FRAGMENT_BYTES < 60 * 1024**2 <= MAX_FRAGMENT_BYTES + FRAGMENT_UNIT_BYTES
    assert DEFAULT_FRAGMENT_BYTES == 10 * 1024**2


@pytest.mark.parametrize("size", [0, -FRAGMENT_UNIT_BYTES, 1, 10_000_000, MAX_FRAGMENT_BYTES + FRAGMENT_UNIT_BYTES])
def test_impossible_fragment_sizes(size: int) -> None:
    with pytest.raises(ConfigurationError, match="multiples of 327680"):
        check_fragment_bytes(size)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_session_that_is_gone_counts_as_cancelled(status: int) -> None:
    assert play(session().cancel(), [answer(status)]).result is True


def test_the_expiry_that_a_status_tells_is_kept() -> None:
    asked = session()
    play(asked.status(), [says("100-")])
    assert asked.expires_at == "2026-03-01T06:15:00Z"
    play(asked.status(), [answer(json={"nextExpectedRanges": ["100-"]})])
    assert asked.expires_at == "2026-03-01T06:15:00Z"
