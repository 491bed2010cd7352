"""Both drivers against a real server: whatever one does, the other does."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.driving import GET, POST, Tokens
from tests.unit.loopback import Mishap, free_port, serve
from tests.unit.scripted import START, answer

from talent_dmf.api.errors import (
    AuthenticationError,
    ConfigurationError,
    TalentDmfError,
    ThrottledError,
    TransportError,
)
from talent_dmf.api.steps import READ_CLOCK, Request, Response, Sleep, Steps, send
from talent_dmf.transport.drivers import USER_AGENT, AsyncDriver, SyncDriver, utcnow


def test_a_request_is_addressed_and_dressed(runner):
    with serve([answer(json={"value": 1}, ms_dyn_aid="a-1")]) as server:
        response = runner.run(send(POST), server.url + "/namespaces/n/", token=Tokens())
    (got,) = server.received
    assert (got.method, got.path, got.body) == ("POST", "/namespaces/n/data/x", b'{"a": "\\u00fc"}')
    assert got.headers["authorization"] == "Bearer token-1"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["accept"] == "application/json"
    assert got.headers["user-agent"] == USER_AGENT
    assert got.headers["x-ms-client-request-id"] == got.headers["client-request-id"]
    assert (response.status, response.json(), response.received_bytes) == (200, {"value": 1}, len(response.body))
    assert response.request_ids == {"ms-dyn-aid": "a-1"}


def test_every_call_has_an_id_of_its_own_and_headers_can_be_set(runner):
    def steps() -> Steps[None]:
        yield from send(GET)
        yield from send(Request("GET", "/data/y", operation="Get", headers={"Accept": "text/plain", "If-Match": "e"}))

    with serve([answer(), answer()]) as server:
        runner.run(steps(), server.url)
    first, second = server.received
    assert first.headers["client-request-id"] != second.headers["client-request-id"]
    assert (second.path, second.headers["accept"], second.headers["if-match"]) == ("/data/y", "text/plain", "e")
    assert "authorization" not in first.headers


def test_trouble_is_tried_again(runner):
    with serve([answer(503), Mishap.RESET, answer(200)]) as server:
        assert runner.run(send(GET), server.url).status == 200
    assert runner.slept == [1, 2]
    assert len(server.received) == 3


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "7"}, 7),
        ({"Retry_After": "Sun, 01 Mar 2026 06:00:09 GMT"}, 9),
        ({"x_ms_retry_after_ms": "2500"}, 2.5),
    ],
)
def test_the_service_says_how_long(runner, headers, seconds):
    with serve([answer(429, **headers), answer(200)]) as server:
        assert runner.run(send(GET), server.url).status == 200
    assert runner.slept == [seconds]


def test_patience_ends(runner):
    with serve([answer(429)] * 3) as server, pytest.raises(ThrottledError) as caught:
        runner.run(send(GET), server.url)
    assert caught.value.status_code == 429
    assert len(server.received) == 3


def test_a_refused_token_is_renewed_once(runner):
    tokens = Tokens()
    with serve([answer(401), answer(200)]) as server:
        assert runner.run(send(GET), server.url, token=tokens).status == 200
    assert [got.headers["authorization"] for got in server.received] == ["Bearer token-1", "Bearer token-2"]
    assert [refused for refused in tokens.refused if refused] == ["token-1"]


def test_a_second_refusal_is_an_answer(runner):
    with serve([answer(401), answer(401)]) as server:
        assert runner.run(send(GET), server.url, token=Tokens()).status == 401
    assert len(server.received) == 2


def test_trouble_after_a_renewal_does_not_throw_the_new_token_away(runner):
    tokens = Tokens()
    with serve([answer(401), answer(503), answer(200)]) as server:
        assert runner.run(send(GET), server.url, token=tokens).status == 200
    assert [got.headers["authorization"][-7:] for got in server.received] == ["token-1", "token-2", "token-2"]


@pytest.mark.parametrize("error", [AuthenticationError("no secret"), ConfigurationError("no bundle")], ids=str)
def test_the_protocol_hears_that_there_is_no_token(runner, error):
    def steps() -> Steps[str]:
        try:
            yield from send(GET)
        except TalentDmfError as heard:
            return heard.message
        return "sent"

    with serve([]) as server:
        assert runner.run(steps(), server.url, token=Tokens(error=error)) == error.message
    assert server.received == []


def test_a_lost_answer_to_what_must_not_happen_twice_is_told_and_not_repeated(runner):
    with serve([Mishap.RESET, answer(200)]) as server, pytest.raises(TransportError) as caught:
        runner.run(send(POST), server.url)
    assert caught.value.sent
    assert caught.value.request_ids["x-ms-client-request-id"] == server.received[0].headers["client-request-id"]
    assert (len(server.received), runner.slept) == (1, [])


def test_silence_is_a_lost_answer(runner):
    request = Request("POST", "x", operation="Post", json={}, idempotent=False, timeout_seconds=0.05)
    with serve([Mishap.SILENCE]) as server:
        with pytest.raises(TransportError, match="no answer came in time") as caught:
            runner.run(send(request), server.url)
        server.over.set()
    assert caught.value.sent


def test_a_refused_connection_was_never_sent_and_is_tried_again(runner):
    port = free_port()
    with pytest.raises(TransportError, match=rf"refuses connections.*127\.0\.0\.1:{port}") as caught:
        runner.run(send(POST), f"http://user:pa55word@127.0.0.1:{port}")
    assert not caught.value.sent
    assert runner.slept == [1, 2]
    assert "pa55word" not in f"{caught.value} {caught.value.detail}"


def test_an_unknown_host_name_was_never_sent(runner, monkeypatch):
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(TransportError, match=r"host name is not known.*dmf\.example") as caught:
        runner.run(send(POST), "http://dmf.example")
    assert not caught.value.sent


def test_what_went_wrong_before_says_nothing_about_this_request(runner):
    with serve([Mishap.RESET]) as server:
        try:
            raise ConnectionRefusedError("another connection, long ago")
        except ConnectionRefusedError:
            with pytest.raises(TransportError) as caught:
                runner.run(send(POST), server.url)
    assert caught.value.sent
    assert len(server.received) == 1


def test_sleep_and_clock_are_injected(runner):
    def steps() -> Steps[Any]:
        nothing = yield Sleep(30, "a rest")
        moment = yield READ_CLOCK
        return nothing, moment

    assert runner.run(steps()) == (None, START + timedelta(seconds=30))
    assert runner.slept == [30]
    assert utcnow().tzinfo is not None


def test_no_log_line_holds_a_secret(runner, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "S3cr3tS3cr3t"
    refusal = answer(403, json={"uploadUrl": f"https://h/u?tempauth={secret}"}, location=f"https://h/?sig={secret}")
    with serve([refusal, Mishap.RESET]) as server:
        signed = Request("GET", f"{server.url}/p.zip?sv=1&sig={secret}", operation="read", authorize=False)
        runner.run(send(signed), server.url)
        with pytest.raises(TransportError) as caught:
            runner.run(send(Request("PUT", signed.url, operation="put", authorize=False, idempotent=False)))
    assert "read answered" in caplog.text
    assert secret not in caplog.text
    assert secret not in f"{caught.value!r} {caught.value} {caught.value.detail}"


def test_a_protocol_that_is_left_is_closed(runner):
    closed = []

    def steps() -> Steps[None]:
        try:
            yield Sleep(1, "x")
        finally:
            closed.append(True)

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SyncDriver(sleep=interrupted).run(steps())
    assert closed == [True]


def test_many_runs_of_one_driver_renew_a_refused_token_once():
    tokens, refused_once = Tokens(), threading.Barrier(10, timeout=5)

    def give(request: Any) -> Response:
        if request.headers["authorization"] == "Bearer token-1":
            refused_once.wait()
            return answer(401)
        return answer(200)

    async def main(url: str) -> list[Response]:
        async with AsyncDriver(base_url=url, token=tokens, max_connections=10) as driver:
            return await asyncio.gather(*(driver.run(send(GET)) for _ in range(10)))

    with serve(give) as server:
        responses = asyncio.run(main(server.url))
    assert {response.status for response in responses} == {200}
    assert tokens.current == "token-2"
    assert len(server.received) == 20


def test_the_asynchronous_driver_keeps_to_its_number_of_connections():
    now, most, lock = 0, 0, threading.Lock()

    def give(request: Any) -> Response:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        try:
            return answer(200)
        finally:
            with lock:
                now -= 1

    async def main(url: str) -> None:
        async with AsyncDriver(base_url=url, max_connections=3) as driver:
            await asyncio.gather(*(driver.run(send(GET)) for _ in range(30)))

    with serve(give) as server:
        asyncio.run(main(server.url))
    assert len(server.received) == 30
    assert most <= 3
