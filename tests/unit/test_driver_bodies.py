"""Bodies that the drivers send and receive: as they are, into a buffer, and never half of one."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest
from tests.unit.driving import GET
from tests.unit.loopback import Mishap, serve
from tests.unit.scripted import answer

from talent_dmf.api.errors import TransportError
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import Request, Steps, receive, send
from talent_dmf.transport.drivers import SyncDriver


@pytest.mark.parametrize("content", [b"12345", bytearray(b"12345"), memoryview(b"0123456")[1:6]], ids=type)
def test_bytes_are_sent_as_they_are(runner, content):
    request = Request("PUT", "p", operation="Put", content=content, headers={"Content-Range": "bytes 0-4/5"})
    with serve([answer(202)]) as server:
        runner.run(send(request), server.url)
    (got,) = server.received
    assert (got.body, got.headers["content-length"]) == (b"12345", "5")
    assert got.headers["content-range"] == "bytes 0-4/5"
    assert "transfer-encoding" not in got.headers


@pytest.mark.parametrize(
    ("body", "filled", "received"),
    [(b"12345", b"12345", 5), (b"123", b"123\0\0", 3), (b"1234567", b"12345", 6), (b"", b"\0\0\0\0\0", 0)],
    ids=["exact", "short", "surplus", "empty"],
)
def test_a_body_goes_into_a_buffer(runner, body, filled, received):
    buffer = bytearray(5)
    request = Request("GET", "p", operation="read", into=memoryview(buffer))
    with serve([answer(206, body=body)]) as server:
        response = runner.run(send(request), server.url)
    assert (bytes(buffer), response.received_bytes, response.body) == (filled, received, b"")
    assert server.received[0].headers["accept-encoding"] == "identity"


def test_a_connection_is_used_on_after_a_body_went_into_a_buffer(runner):
    buffer = memoryview(bytearray(5))

    def steps() -> Steps[list[int]]:
        first = yield from send(Request("GET", "p", operation="read", into=buffer))
        second = yield from send(Request("GET", "p", operation="read", into=buffer))
        return [first.received_bytes, second.received_bytes]

    with serve([answer(206, body=b"12345"), answer(206, body=b"123")]) as server:
        assert runner.run(steps(), server.url) == [5, 3]
    assert len({request.client_port for request in server.received}) == 1


def test_a_body_goes_into_a_buffer_as_it_came(runner):
    """Its length must be the one that the storage says, so what is stored as compressed stays so."""
    packed = gzip.compress(b"rows")
    buffer = bytearray(len(packed))
    request = Request("GET", "p", operation="read", into=memoryview(buffer))
    with serve([answer(206, body=packed, content_encoding="gzip")]) as server:
        assert runner.run(send(request), server.url).received_bytes == len(packed)
    assert buffer == packed


def test_the_body_of_a_refusal_goes_beside_the_buffer(runner):
    buffer = bytearray(5)
    request = Request("GET", "p", operation="read", into=memoryview(buffer))
    with serve([answer(403, body="<Code>AuthenticationFailed</Code>")]) as server:
        response = runner.run(send(request), server.url)
    assert (response.body, bytes(buffer)) == (b"<Code>AuthenticationFailed</Code>", bytes(5))


@pytest.mark.parametrize("into", [None, memoryview(bytearray(10))], ids=["body", "buffer"])
def test_half_a_body_is_no_answer(runner, into):
    request = Request("GET", "p", operation="read", into=into)
    with serve([Mishap.TRUNCATED, answer(200, body=b"1234567890")]) as server:
        assert runner.run(send(request), server.url).received_bytes == 10
    assert runner.slept == [1]


def test_a_compressed_answer_is_unpacked(runner):
    with serve([answer(200, body=gzip.compress(b'{"value": 1}'), content_encoding="gzip")]) as server:
        assert runner.run(send(GET), server.url).json() == {"value": 1}


def test_a_body_that_makes_no_sense_is_tried_again(runner):
    """Chunks whose lengths are no numbers: http.client says so in an error of its own."""
    garbled = answer(206, body="zz\r\nno chunk\r\n", transfer_encoding="chunked")
    request = Request("GET", "p", operation="read", into=memoryview(bytearray(10)))
    with serve([garbled, answer(206, body=b"1234567890")]) as server:
        assert runner.run(send(request), server.url).received_bytes == 10
    assert runner.slept == [1]


STREAM = Request("GET", "p", operation="Read on", stream=True)


def received(sizes: list[int]) -> Steps[list[bytes]]:
    """What comes into buffers of these lengths."""
    response = yield from send(STREAM)
    assert response.stream is not None
    out = []
    for size in sizes:
        into = bytearray(size)
        count = yield from receive(response.stream, memoryview(into))
        out.append(bytes(into[:count]))
    response.stream.close()
    return out


@pytest.fixture
def worker():
    with SyncDriver(policy=RetryPolicy(max_attempts=2), sleep=lambda _: None) as driver:
        yield driver


def on_worker(driver, url, steps):
    driver._wire.base_url = url
    return driver.run(steps)


def test_an_answer_is_received_piece_by_piece_and_its_connection_is_used_on(worker):
    def twice() -> Steps[list[list[bytes]]]:
        first = yield from received([3, 4, 9, 1])
        return [first, (yield from received([10]))]

    with serve([answer(206, body=b"1234567890"), answer(206, body=b"abc")]) as server:
        assert on_worker(worker, server.url, twice()) == [[b"123", b"4567", b"890", b""], [b"abc"]]
    assert server.received[0].headers["accept-encoding"] == "identity"
    assert len({request.client_port for request in server.received}) == 1


def test_what_is_given_up_closes_its_connection(worker):
    def twice() -> Steps[list[list[bytes]]]:
        first = yield from received([3])
        return [first, (yield from received([10]))]

    with serve([answer(206, body=bytes(10_000_000)), answer(206, body=b"abc")]) as server:
        assert on_worker(worker, server.url, twice()) == [[bytes(3)], [b"abc"]]
    assert len({request.client_port for request in server.received}) == 2


def test_what_came_before_a_break_counts_and_the_break_comes_next(worker):
    def protocol() -> Steps[tuple[int, TransportError]]:
        response = yield from send(STREAM)
        assert response.stream is not None
        count = yield from receive(response.stream, memoryview(bytearray(100)))
        for _ in range(2):
            try:
                yield from receive(response.stream, memoryview(bytearray(100)))
            except TransportError as broken:
                failure = broken
        return count, failure

    with serve([Mishap.TRUNCATED]) as server:
        count, failure = on_worker(worker, server.url, protocol())
    assert count > 0
    assert failure.message.startswith("Read on: ")
    assert failure.request_ids


def test_a_refusal_of_a_stream_is_read_as_ever(worker):
    with serve([answer(503), answer(403, body="<Code>AuthenticationFailed</Code>")]) as server:
        response = on_worker(worker, server.url, send(STREAM))
    assert (response.status, response.stream, response.body) == (403, None, b"<Code>AuthenticationFailed</Code>")


class Pieces:
    """A body that is made while it is sent."""

    def __init__(self, *pieces: bytes, error: BaseException | None = None) -> None:
        self.pieces, self.error = pieces, error

    def __len__(self) -> int:
        return sum(map(len, self.pieces)) + (1 if self.error else 0)

    def __iter__(self) -> Iterator[memoryview]:
        yield from map(memoryview, self.pieces)
        if self.error is not None:
            raise self.error


def put(content: Pieces) -> Request:
    return Request("PUT", "p", operation="Put", content=content, once=True, idempotent=False)


def test_pieces_are_sent_as_one_body_of_their_length(worker):
    with serve([answer(202)]) as server:
        on_worker(worker, server.url, send(put(Pieces(b"12", b"345", b"6"))))
    (got,) = server.received
    assert (got.body, got.headers["content-length"]) == (b"123456", "6")
    assert "transfer-encoding" not in got.headers


@pytest.mark.parametrize("error", [ValueError("ours"), KeyboardInterrupt()], ids=type)
def test_what_pieces_raise_is_no_failure_of_the_request_and_sends_no_whole_body(worker, error):
    with serve(lambda _: answer(200)) as server:
        with pytest.raises(type(error)) as caught:
            on_worker(worker, server.url, send(put(Pieces(b"12", error=error))))
        assert caught.value is error
        assert on_worker(worker, server.url, send(GET)).status == 200
    assert all(len(request.body) < 3 for request in server.received)
