"""Ranged reads: what counts as the bytes asked for, and what every other answer means."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from tests.unit.scripted import Played, answer, play

from talent_dmf.api.errors import (
    PackageLinkExpiredError,
    PackageNotAvailableError,
    ProtocolError,
    SourceChangedError,
    TransferError,
    TransportError,
)
from talent_dmf.api.package.download_range import Source, pin, probe, read_range
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import ReadPolicy, Request, Response, Sleep

DATA = bytes(range(100))
URL = SecretUrl("https://a.blob.example/c/p.zip?sig=SECRET")
SOURCE = Source(URL, len(DATA), '"E1"')
POLICY = RetryPolicy(max_attempts=4)


def part(start: int, stop: int, *, total: int = 100, etag: str = '"E1"', shown: str | None = None) -> Response:
    """The answer of the storage to a range, with its body."""
    content_range = shown or f"bytes {start}-{stop - 1}/{total}"
    return answer(206, body=DATA[start:stop], content_range=content_range, etag=etag)


def refusal(status: int, code: str) -> Response:
    return answer(status, body=f"\ufeff<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>")


def read(start: int, stop: int, answers: Iterable[Response]) -> tuple[Played[None], bytearray]:
    """Read a range; the bodies of the answers go into the buffers that the requests offer, as a driver does it."""
    buffer = bytearray(b"\xff" * (stop - start))
    table = list(answers)
    played: Played[None] = Played()
    flow = read_range(SOURCE, start, memoryview(buffer))
    try:
        effect = next(flow)
        while True:
            if isinstance(effect, Sleep):
                played.pauses.append(effect)
                effect = flow.send(None)
                continue
            if isinstance(effect, ReadPolicy):
                effect = flow.send(POLICY)
                continue
            assert isinstance(effect, Request)
            assert effect.into is not None
            played.requests.append(effect)
            given = table.pop(0)
            if given.ok:
                fitting = given.body[: len(effect.into)]
                effect.into[: len(fitting)] = fitting
                given = Response(given.status, given.headers, b"", min(len(given.body), len(effect.into) + 1))
            effect = flow.send(given)
    except StopIteration:
        pass
    except Exception as error:  # noqa: BLE001 - handed to the test, which looks at it
        played.error = error
    assert not table
    return played, buffer


def test_reads_a_range_pinned_to_its_version() -> None:
    played, buffer = read(10, 30, [part(10, 30)])
    assert played.error is None
    assert bytes(buffer) == DATA[10:30]
    request = played.requests[0]
    assert request.headers == {"Range": "bytes=10-29", "If-Match": '"E1"'}
    assert (request.authorize, request.idempotent) == (False, True)
    assert "SECRET" not in repr(request)


def test_a_short_body_is_completed() -> None:
    played, buffer = read(10, 30, [part(10, 17), part(17, 30)])
    assert [request.headers["Range"] for request in played.requests] == ["bytes=10-29", "bytes=17-29"]
    assert bytes(buffer) == DATA[10:30]


def test_bytes_beyond_what_the_answer_declares_do_not_count() -> None:
    declared_less = answer(206, body=DATA[10:20], content_range="bytes 10-14/100", etag='"E1"')
    played, buffer = read(10, 30, [declared_less, part(15, 30)])
    assert played.requests[1].headers["Range"] == "bytes=15-29"
    assert bytes(buffer) == DATA[10:30]


def test_all_at_once_serves_a_read_from_the_beginning() -> None:
    whole = answer(200, body=DATA, etag='"E1"')
    played, buffer = read(0, 40, [whole])
    assert played.error is None
    assert bytes(buffer) == DATA[:40]


@pytest.mark.parametrize(
    "useless",
    [
        answer(200, body=DATA, etag='"E1"'),
        part(11, 30),
        answer(206, body=DATA[10:40], content_range="bytes 10-39/100", etag='"E1"'),
        answer(206, body=b"", content_range="bytes 10-29/100", etag='"E1"'),
    ],
    ids=["range ignored", "other range", "more than asked for", "nothing"],
)
def test_useless_answers_are_asked_again_with_pauses_and_not_forever(useless: Response) -> None:
    played, buffer = read(10, 30, [useless, part(10, 30)])
    assert played.error is None
    assert bytes(buffer) == DATA[10:30]
    assert played.seconds == [1.0]
    played, _ = read(10, 30, [useless] * POLICY.max_attempts)
    assert isinstance(played.error, TransportError)
    assert "SECRET" not in str(played.error)


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        (refusal(403, "AuthenticationFailed"), PackageLinkExpiredError, "AuthenticationFailed"),
        (answer(401), PackageLinkExpiredError, "expired"),
        (refusal(404, "BlobNotFound"), PackageNotAvailableError, "7 days"),
        (answer(404, x_ms_error_code="ContainerNotFound"), PackageNotAvailableError, "ContainerNotFound"),
        (refusal(412, "ConditionNotMet"), SourceChangedError, "changed"),
        (refusal(416, "InvalidRange"), SourceChangedError, "changed"),
        (part(10, 30, etag='"E2"'), SourceChangedError, "changed"),
        (part(10, 30, total=101), SourceChangedError, "changed"),
        (part(10, 30, shown="bytes */100"), ProtocolError, "without saying which"),
        (refusal(409, "BlobArchived"), TransferError, "BlobArchived"),
        (answer(302), TransferError, "does not give"),
    ],
)
def test_every_other_answer_is_named(given: Response, kind: type[Exception], words: str) -> None:
    played, _ = read(10, 30, [given])
    assert type(played.error) is kind
    assert words in str(played.error)
    assert "SECRET" not in str(played.error)


def test_a_storage_that_gives_no_entity_tag_is_not_asked_for_one() -> None:
    played = play(read_range(Source(URL, 0, ""), 0, memoryview(bytearray(1))), [answer(416)])
    assert played.requests[0].headers == {"Range": "bytes=0-0"}


def test_probe() -> None:
    played = play(probe(URL), [answer(200, content_length="100", etag='"E1"')])
    assert played.result == SOURCE
    assert (played.requests[0].method, played.requests[0].authorize) == ("HEAD", False)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (answer(403, x_ms_error_code="AuthenticationFailed"), PackageLinkExpiredError),
        (answer(404), PackageNotAvailableError),
        (answer(200), TransferError),
    ],
)
def test_probe_refused(given: Response, kind: type[Exception]) -> None:
    assert type(play(probe(URL), [given]).error) is kind


@pytest.mark.parametrize(
    ("said", "modified"),
    [("Sun, 06 Nov 1994 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)), ("yesterday", None)],
)
def test_a_storage_may_say_when_the_package_was_made(said: str, modified: datetime | None) -> None:
    played = play(probe(URL), [answer(200, content_length="100", last_modified=said)])
    assert played.result is not None
    assert played.result.modified == modified


def test_a_pinned_source_is_known_by_its_end_and_not_by_its_entity_tag() -> None:
    end = hashlib.sha256(bytes(100)).hexdigest()[:40]
    head = answer(200, content_length="100", etag='"E1"')
    played = play(pin(URL), [head, answer(206, body=bytes(100), content_range="bytes 0-99/100")])
    assert played.result is not None
    assert (played.result.version, played.result.etag) == (f"100-{end}", '"E1"')
    assert played.requests[1].headers["Range"] == "bytes=0-99"


def test_a_pinned_source_of_many_bytes_is_read_at_its_end_only() -> None:
    head = answer(200, content_length=str(10**6))
    played = play(pin(URL), [head, answer(206, body=bytes(65536), content_range="bytes 934464-999999/1000000")])
    assert played.requests[1].headers["Range"] == "bytes=934464-999999"
    assert SOURCE.version == '"E1"'


def test_a_pinned_source_of_no_bytes_is_not_read() -> None:
    played = play(pin(URL), [answer(200, content_length="0")])
    assert played.result is not None
    assert played.result.version == f"0-{hashlib.sha256().hexdigest()[:40]}"


def test_a_package_that_is_gone_for_good_is_named() -> None:
    played, _ = read(10, 30, [answer(410)])
    assert type(played.error) is PackageNotAvailableError
