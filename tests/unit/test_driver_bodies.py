"""Bodies that the drivers send and receive: as they are, into a buffer, and never half of one."""

from __future__ import annotations

import gzip

import pytest
from tests.unit.driving import GET
from tests.unit.loopback import Mishap, serve
from tests.unit.scripted import answer

from talent_dmf.api.steps import Request, Steps, send


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
