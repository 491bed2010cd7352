"""Ranged reads: what counts as the bytes asked for, and what every other answer means."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

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
from talent_dmf.api.package.download_range import PackageReading, Source, pin, probe, read_range
from talent_dmf.api.package.reference import link_expiry
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import ReadPolicy, Receive, Request, Response, Sleep, Steps

T = TypeVar("T")
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


class Body:
    """The rest of an answer, which breaks off or ends after so many bytes."""

    def __init__(self, data: bytes, error: TransportError | None = None) -> None:
        self.left, self.error, self.is_closed = data, error, False

    def readinto(self, into: memoryview, /) -> int:
        assert not self.is_closed
        taken, self.left = self.left[: len(into)], self.left[len(into) :]
        into[: len(taken)] = taken
        if not taken and self.error is not None:
            raise self.error
        return len(taken)

    def close(self) -> None:
        self.is_closed = True


def streamed(given: Response, sent: int | None = None, error: TransportError | None = None) -> Response:
    """The same answer, of which so many bytes come before it ends or breaks off."""
    return Response(given.status, given.headers, stream=Body(given.body[:sent], error))


def drive(flow: Steps[T], answers: Iterable[Response]) -> Played[T]:
    """Run a protocol; the bodies of the answers go into the buffers that the requests offer, as a driver does it."""
    table = list(answers)
    played: Played[T] = Played()
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
            if isinstance(effect, Receive):
                try:
                    count = effect.stream.readinto(effect.into)
                except TransportError as broken:
                    effect = flow.throw(broken)
                else:
                    effect = flow.send(count)
                continue
            assert isinstance(effect, Request)
            played.requests.append(effect)
            given = table.pop(0)
            if given.ok and effect.into is not None:
                fitting = given.body[: len(effect.into)]
                effect.into[: len(fitting)] = fitting
                given = Response(given.status, given.headers, b"", min(len(given.body), len(effect.into) + 1))
            effect = flow.send(given)
    except StopIteration as stop:
        played.returned = stop.value
    except Exception as error:  # noqa: BLE001 - handed to the test, which looks at it
        played.error = error
    assert not table
    return played


def read(start: int, stop: int, answers: Iterable[Response]) -> tuple[Played[None], bytearray]:
    """Read a range."""
    buffer = bytearray(b"\xff" * (stop - start))
    return drive(read_range(SOURCE, start, memoryview(buffer)), answers), buffer


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


def test_a_pinned_source_of_no_bytes_is_not_read() -> None:
    played = drive(pin(URL), [refusal(416, "InvalidRange"), answer(200, content_length="0")])
    assert played.result is not None
    assert played.result.version == f"0-{hashlib.sha256().hexdigest()[:40]}"
    assert SOURCE.version == '"E1"'


def test_a_package_that_is_gone_for_good_is_named() -> None:
    played, _ = read(10, 30, [answer(410)])
    assert type(played.error) is PackageNotAvailableError


def test_a_short_package_is_pinned_by_one_request() -> None:
    played = drive(pin(URL), [part(0, 100)])
    assert [request.method for request in played.requests] == ["GET"]
    assert played.result is not None
    assert (played.result.size_bytes, played.result.etag, played.result.tail) == (100, '"E1"', DATA)


def test_a_long_package_is_pinned_by_its_end() -> None:
    content = bytes(200_000) + DATA
    beginning = answer(206, body=content[:131_072], content_range="bytes 0-131071/200100", etag='"E1"')
    end = answer(206, body=content[-131_072:], content_range="bytes 69028-200099/200100", etag='"E1"')
    played = drive(pin(URL), [beginning, end])
    assert [request.headers["Range"] for request in played.requests] == ["bytes=0-131071", "bytes=69028-200099"]
    assert played.result is not None
    assert played.result.tail == content[-131_072:]
    # What tells the content does not depend on how much of it was read.
    head = answer(200, content_length="200100", etag='"E1"')
    assert drive(pin(URL), [answer(200, body=content), head, end]).result == played.result


class Storage:
    """The ranges of a blob."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def pin(self) -> Played[Source]:
        """Pin the blob, as a driver does it."""
        played: Played[Source] = Played()
        flow = pin(URL)
        try:
            effect = next(flow)
            while True:
                if not isinstance(effect, Request):
                    effect = flow.send(POLICY)
                    continue
                played.requests.append(effect)
                first, _, last = effect.headers["Range"].removeprefix("bytes=").partition("-")
                body = self.content[int(first) : int(last) + 1]
                assert effect.into is not None
                effect.into[: len(body)] = body
                shown = f"bytes {first}-{int(first) + len(body) - 1}/{len(self.content)}"
                effect = flow.send(Response(206, {"content-range": shown, "etag": '"E"'}, b"", len(body)))
        except StopIteration as stop:
            played.returned = stop.value
        return played


def zipped(entries: int, first: bytes, *, at: int = 0, zip64: bool = False) -> bytes:
    """A package of many stored files, one of which is given."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(entries):
            content = first if number == at else b"x" * len(first)
            archive.writestr(zipfile.ZipInfo(f"Resources/attachment {number:06}.png", (2026, 1, 1, 0, 0, 0)), content)
    if not zip64:
        return packed.getvalue()
    plain = packed.getvalue()
    end = plain.rfind(b"PK\5\6")
    length, offset = (int.from_bytes(plain[end + each : end + each + 4], "little") for each in (12, 16))
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, length, offset)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    return (
        plain[:end] + record + locator + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, *(0xFFFF,) * 2, *(2**32 - 1,) * 2, 0)
    )


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize(("entries", "requests"), [(10, 1), (600, 1), (1200, 2), (2000, 3), (9000, 3)])
def test_packages_that_differ_in_the_checksum_of_any_file_are_never_taken_for_one(
    entries: int, requests: int, zip64: bool
) -> None:
    """Names and lengths are the same, and so is the end of a long directory."""
    pinned = Storage(zipped(entries, b"a" * 64, zip64=zip64)).pin()
    assert pinned.result is not None
    assert len(pinned.requests) <= requests
    assert Storage(zipped(entries, b"a" * 64, zip64=zip64)).pin().result == pinned.result
    for at in (0, entries // 2, entries - 1):
        other = Storage(zipped(entries, b"b" * 64, at=at, zip64=zip64)).pin().result
        assert other is not None
        assert (other.size_bytes, other.version == pinned.result.version) == (pinned.result.size_bytes, False)


@pytest.mark.parametrize("offset", [0, 1, 299_000, 300_001, 2**32 - 1])
def test_an_end_that_lies_about_its_directory_is_no_trouble(offset: int) -> None:
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, 46, offset, 0)
    content = bytes(300_000 - len(end)) + end
    pinned = Storage(content).pin()
    assert pinned.result is not None
    assert pinned.result.tail == content[-len(pinned.result.tail) :]
    far = Storage(bytes(6_000_000) + end).pin()
    assert len(far.requests) == 2, "a directory that no package has is not read"


@pytest.mark.parametrize(
    "beginning",
    [
        refusal(416, "InvalidRange"),
        answer(200, body=DATA, etag='"E1"'),
        answer(206, body=DATA, etag='"E1"'),
        part(0, 40),
        part(0, 100, shown="bytes 1-99/100"),
    ],
    ids=["of no byte", "whole", "unsaid", "short", "another"],
)
def test_a_storage_that_answers_otherwise_is_asked_for_length_and_end(beginning: Response) -> None:
    short = beginning.status == 206 and len(beginning.body) < 100
    head = [] if short else [answer(200, content_length="100", etag='"E1"')]
    played = drive(pin(URL), [beginning, *head, part(0, 100)])
    assert played.result is not None
    assert played.result.fingerprint == drive(pin(URL), [part(0, 100)]).result.fingerprint  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("status", "kind"), [(403, PackageLinkExpiredError), (404, PackageNotAvailableError), (400, TransferError)]
)
def test_a_link_that_opens_nothing_is_told_at_the_first_request(status: int, kind: type[Exception]) -> None:
    played = drive(pin(URL), [refusal(status, "Code")])
    assert type(played.error) is kind
    assert len(played.requests) == 1


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        ("&se=2026-03-01T06%3A00%3A00Z", datetime(2026, 3, 1, 6, tzinfo=UTC)),
        ("&se=2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("&se=tomorrow", None),
        ("", None),
    ],
)
def test_a_link_says_when_it_expires(said: str, moment: datetime | None) -> None:
    assert link_expiry(SecretUrl(f"{URL.reveal()}{said}")) == moment


def read_on(
    answers: list[Response], *, step: int = 20, start: int = 0, end: int = 100, request_bytes: int = 1000
) -> tuple[Played[bytes], PackageReading]:
    """Read some bytes at a time, as the reader does."""
    reading = PackageReading(SOURCE, end, request_bytes)

    def protocol() -> Steps[bytes]:
        out = bytearray()
        for offset in range(start, end, step):
            into = bytearray(min(step, end - offset))
            yield from reading.read(offset, memoryview(into))
            out += into
        return bytes(out)

    return drive(protocol(), answers), reading


def asked_for(played: Played[bytes]) -> list[str]:
    return [request.headers["Range"].removeprefix("bytes=") for request in played.requests]


BROKEN = TransportError("Download range: the connection broke; try again later.")


def test_one_answer_serves_many_reads() -> None:
    played, reading = read_on([streamed(part(0, 100))])
    assert played.result == DATA
    (request,) = played.requests
    assert request.stream
    assert request.headers == {"Range": "bytes=0-99", "If-Match": '"E1"'}
    assert (request.authorize, request.idempotent, request.once) == (False, True, False)
    reading.close()
    reading.close()


def test_a_request_asks_for_no_more_than_it_may() -> None:
    answers = [streamed(part(start, min(start + 30, 95))) for start in (5, 35, 65)]
    played, _ = read_on(answers, start=5, end=95, request_bytes=30)
    assert played.result == DATA[5:95]
    assert asked_for(played) == ["5-34", "35-64", "65-94"]
    assert played.pauses == []
    assert all(given.stream.is_closed for given in answers[:-1])  # type: ignore[union-attr]


@pytest.mark.parametrize("sent", range(100))
@pytest.mark.parametrize(("error", "pauses"), [(None, 0), (BROKEN, 1)], ids=["ends", "breaks"])
def test_an_answer_that_stops_at_any_byte_is_followed_by_another(
    sent: int, error: TransportError | None, pauses: int
) -> None:
    first = streamed(part(0, 100), sent, error)
    played, _ = read_on([first, streamed(part(sent, 100))])
    assert played.result == DATA
    assert asked_for(played) == ["0-99", f"{sent}-99"]
    assert first.stream.is_closed  # type: ignore[union-attr]
    # An answer that gave nothing is one that stalls, however it ends.
    assert len(played.pauses) == (pauses or (1 if sent == 0 else 0))


def test_what_declares_less_than_was_asked_for_is_read_as_far_as_that() -> None:
    surplus = answer(206, body=DATA[:60], content_range="bytes 0-49/100", etag='"E1"')
    first = streamed(surplus)
    played, _ = read_on([first, streamed(part(50, 100))])
    assert played.result == DATA
    assert asked_for(played) == ["0-99", "50-99"]
    assert first.stream.is_closed  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "useless",
    [
        streamed(part(1, 100)),
        streamed(answer(206, body=DATA, content_range="bytes 0-100/100", etag='"E1"')),
        streamed(answer(206, body=DATA, content_range="bytes 9-3/100", etag='"E1"')),
        Response(206, part(0, 100).headers),
    ],
    ids=["other range", "more than asked for", "no range", "no body"],
)
def test_an_answer_of_other_bytes_is_not_read(useless: Response) -> None:
    useless_body = useless.stream.left if isinstance(useless.stream, Body) else b""
    played, _ = read_on([useless, streamed(part(0, 100))])
    assert played.result == DATA
    assert played.seconds == [1.0]
    if isinstance(useless.stream, Body):
        assert useless.stream.is_closed
        assert useless.stream.left == useless_body


def test_all_at_once_is_read_from_the_beginning_only() -> None:
    whole = answer(200, body=DATA, etag='"E1"')
    played, _ = read_on([streamed(whole)])
    assert played.result == DATA
    played, _ = read_on([streamed(whole), streamed(part(20, 100))], start=20)
    assert played.result == DATA[20:]
    assert played.seconds == [1.0]


def test_a_storage_that_breaks_every_answer_off_at_once_is_given_up() -> None:
    played, _ = read_on([streamed(part(0, 100), 0, BROKEN) for _ in range(POLICY.max_attempts)])
    assert played.error is BROKEN


def test_patience_is_for_what_does_not_move_on() -> None:
    each_gives_some = [streamed(part(start, 100), 5, BROKEN) for start in range(0, 100, 5)]
    played, _ = read_on(each_gives_some)
    assert played.result == DATA
    assert len(played.pauses) == 19


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (refusal(403, "AuthenticationFailed"), PackageLinkExpiredError),
        (refusal(412, "ConditionNotMet"), SourceChangedError),
        (streamed(part(40, 100, etag='"E2"')), SourceChangedError),
        (streamed(part(40, 100, total=101)), SourceChangedError),
        (streamed(part(40, 100, shown="bytes */100")), ProtocolError),
    ],
)
def test_what_the_next_answer_says_counts_before_its_bytes(given: Response, kind: type[Exception]) -> None:
    played, reading = read_on([streamed(part(0, 100), 40), given])
    assert type(played.error) is kind
    reading.close()
    assert given.stream is None or (given.stream.is_closed and len(given.stream.left) == 60)  # type: ignore[attr-defined]


def test_another_place_is_another_request() -> None:
    reading = PackageReading(SOURCE, 100)
    first, into = streamed(part(0, 100)), bytearray(10)
    assert drive(reading.read(0, memoryview(into)), [first]).error is None
    assert drive(reading.read(50, memoryview(into)), [streamed(part(50, 100))]).error is None
    assert bytes(into) == DATA[50:60]
    assert first.stream.is_closed  # type: ignore[union-attr]
