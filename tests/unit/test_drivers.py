"""Both drivers against a real server: whatever one does, the other does."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.authority import Authority
from tests.unit.loopback import Mishap, free_port, serve
from tests.unit.scripted import START, answer

from talent_dmf.api.addresses import AddressRules, host_pattern
from talent_dmf.api.errors import (
    AuthenticationError,
    ConfigurationError,
    ProtocolError,
    TalentDmfError,
    ThrottledError,
    TransportError,
    UntrustedAddressError,
)
from talent_dmf.api.graph.drive import DriveTarget, list_children, resolve_drive
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import READ_CLOCK, Request, Response, Sleep, Steps, send
from talent_dmf.transport.drivers import USER_AGENT, AsyncDriver, SyncDriver, utcnow
from talent_dmf.transport.tls import TlsSettings

pytestmark = pytest.mark.usefixtures("clean_environment")
POLICY = RetryPolicy(base_seconds=1, cap_seconds=8, budget_seconds=100, max_attempts=3)
GET = Request("GET", "data/x", operation="Get")
POST = Request("POST", "data/x", operation="Post", json={"a": "ü"}, idempotent=False)


@dataclass
class Tokens:
    """A token source that counts; it knows which token was refused."""

    current: str = "token-1"
    refused: list[str | None] = field(default_factory=list)
    error: TalentDmfError | None = None
    lock: Any = field(default_factory=threading.Lock)

    def token(self, refused: str | None = None) -> str:
        with self.lock:
            self.refused.append(refused)
            if self.error is not None:
                raise self.error
            if refused == self.current:
                self.current = f"token-{int(self.current[-1]) + 1}"
            return self.current

    def cached_token(self) -> str | None:
        return None if self.error else self.current


@dataclass
class Runner:
    """Runs protocols by one of the drivers, with a clock that moves only by sleeping."""

    is_async: bool
    tls: TlsSettings
    slept: list[float] = field(default_factory=list)

    def run(self, steps: Steps[Any], base_url: str = "", **options: Any) -> Any:
        given = {"base_url": base_url, "policy": POLICY, "tls": self.tls, "jitter": lambda: 1.0, "clock": self._clock}
        options = {**given, **options}
        if not self.is_async:
            with SyncDriver(sleep=self.slept.append, **options) as driver:
                return driver.run(steps)

        async def pause(seconds: float) -> None:
            self.slept.append(seconds)

        async def main() -> Any:
            async with AsyncDriver(sleep=pause, **options) as driver:
                return await driver.run(steps)

        return asyncio.run(main())

    def _clock(self) -> Any:
        return START + timedelta(seconds=sum(self.slept))


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def runner(request: pytest.FixtureRequest, authority: Authority) -> Runner:
    # A bundle of one certificate: to load the public ones takes longer than most of these tests.
    return Runner(request.param, TlsSettings(verify=str(authority.bundle)))


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


@pytest.mark.parametrize("content", [b"12345", bytearray(b"12345"), memoryview(b"0123456")[1:6]], ids=type)
def test_bytes_are_sent_as_they_are(runner, content):
    request = Request("PUT", "p", operation="Put", content=content, headers={"Content-Range": "bytes 0-4/5"})
    with serve([answer(202)]) as server:
        runner.run(send(request), server.url)
    (got,) = server.received
    assert (got.body, got.headers["content-length"]) == (b"12345", "5")
    assert got.headers["content-range"] == "bytes 0-4/5"
    assert "transfer-encoding" not in got.headers


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


@pytest.mark.parametrize("base_url", ["", "ftp://host", "http://", "http://host:port"])
def test_an_address_that_cannot_be_called_is_a_mistake_in_the_connection(runner, base_url):
    with pytest.raises(ConfigurationError, match="not an address that can be called"):
        runner.run(send(GET), base_url)
    assert runner.slept == []


def test_a_signed_url_that_is_none_is_named_without_its_query(runner):
    with pytest.raises(UntrustedAddressError, match="no plain https address") as caught:
        runner.run(send(Request("GET", "https://[broken/p.zip?sig=S3cr3t", operation="read", authorize=False)))
    assert "S3cr3t" not in f"{caught.value} {caught.value.detail}"


def test_a_redirect_is_an_answer(runner):
    with serve([answer(302, location="/elsewhere")]) as server:
        response = runner.run(send(GET), server.url, token=Tokens())
    assert (response.status, response.headers["location"]) == (302, "/elsewhere")
    assert len(server.received) == 1


def test_a_signed_url_gets_no_token(runner):
    tokens = Tokens()
    with serve([answer(200)]) as server:
        request = Request("GET", server.url + "/p.zip?sig=1", operation="read", authorize=False)
        runner.run(send(request), "http://127.0.0.1:1", token=tokens)
    assert "authorization" not in server.received[0].headers
    assert tokens.refused == []


def test_a_token_is_not_given_to_another_host(runner):
    with serve([]) as server, pytest.raises(UntrustedAddressError, match="must not be given the token"):
        runner.run(send(Request("GET", server.url + "/next", operation="Get")), "https://dmf.example", token=Tokens())
    assert server.received == []


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_link_to_this_machine_is_not_followed_if_the_service_is_elsewhere(runner, method):
    with serve([]) as server:
        request = Request(method, server.url + "/up?tempauth=S3cr3t", operation="upload range", authorize=False)
        with pytest.raises(UntrustedAddressError, match="nothing was sent there"):
            runner.run(send(request), "https://graph.microsoft.com/v1.0", token=Tokens())
    assert server.received == []


def test_a_host_of_the_connection_is_called(runner, server_tls):
    with serve([answer(200)], server_tls) as server:
        rules = AddressRules("https://dmf.example", (host_pattern(server.url),))
        url = f"{server.url}/p.zip?sig=1"
        runner.run(send(Request("GET", url, operation="read", authorize=False)), addresses=rules)
    assert [request.path for request in server.received] == ["/p.zip?sig=1"]


@pytest.mark.parametrize(
    "steps",
    [
        lambda: list_children("b!1", "Exports"),
        lambda: resolve_drive(DriveTarget(site="contoso.sharepoint.com,1,2", library="HR")),
    ],
    ids=["children", "libraries"],
)
def test_the_next_page_of_a_list_on_another_host_gets_no_token(runner, steps):
    """Of SharePoint itself, for which the token is not made: microsoftgraph/msgraph-sdk-dotnet#2316."""
    with serve([]) as elsewhere:
        following = f"{elsewhere.url}/_api/v2.0/drives/b!1/items/1/children?$skiptoken=x"
        page = {"value": [{"id": "1", "name": "Documents"}], "@odata.nextLink": following}
        with serve([answer(json=page)]) as graph, pytest.raises(ProtocolError, match=r"does not belong|another list"):
            runner.run(steps(), f"{graph.url}/v1.0", token=Tokens())
    assert elsewhere.received == []


def test_a_token_goes_along_to_an_absolute_address_of_the_same_host(runner):
    with serve([answer(200)]) as server:
        runner.run(send(Request("GET", server.url + "/next", operation="Get")), server.url, token=Tokens())
    assert "authorization" in server.received[0].headers


def test_no_cookie_is_kept(runner):
    def steps() -> Steps[None]:
        yield from send(GET)
        yield from send(GET)

    with serve([answer(200, set_cookie="session=1; Path=/"), answer(200)]) as server:
        runner.run(steps(), server.url)
    assert "cookie" not in server.received[1].headers


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


def test_a_proxy_of_the_connection_is_used(runner):
    with serve([answer(200, json={"value": 1})]) as proxy:
        response = runner.run(send(GET), "http://dmf.example", tls=TlsSettings(proxies={"http": proxy.url}))
    assert response.json() == {"value": 1}
    assert proxy.received[0].path == "http://dmf.example/data/x"


def test_a_proxy_may_be_named_without_a_scheme(runner):
    with serve([answer(200)]) as proxy:
        settings = TlsSettings(proxies={"http": proxy.url.removeprefix("http://")})
        assert runner.run(send(GET), "http://dmf.example", tls=settings).status == 200


def test_a_proxy_of_the_environment_is_used(runner, clean_environment):
    with serve([answer(200)]) as proxy:
        clean_environment.setenv("HTTP_PROXY", proxy.url)
        assert runner.run(send(GET), "http://dmf.example").status == 200
    assert len(proxy.received) == 1


def test_the_connection_wins_over_the_environment(runner, clean_environment):
    clean_environment.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with serve([answer(200)]) as proxy:
        settings = TlsSettings(proxies={"http": proxy.url})
        assert runner.run(send(GET), "http://dmf.example", tls=settings).status == 200


def test_no_proxy_is_obeyed(runner, clean_environment):
    clean_environment.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    clean_environment.setenv("NO_PROXY", "127.0.0.1")
    with serve([answer(200)]) as server:
        assert runner.run(send(GET), server.url).status == 200


def test_a_dead_proxy_means_that_nothing_was_sent(runner):
    settings = TlsSettings(proxies={"http": f"http://user:pa55word@127.0.0.1:{free_port()}"})
    with pytest.raises(TransportError) as caught:
        runner.run(send(POST), "http://dmf.example", tls=settings)
    assert not caught.value.sent
    assert "pa55word" not in f"{caught.value} {caught.value.detail} {settings!r}"


def test_a_proxy_that_refuses_the_tunnel_means_that_nothing_was_sent(runner, authority):
    with serve(lambda _: answer(407)) as proxy:
        settings = TlsSettings(verify=str(authority.bundle), proxies={"https": proxy.url})
        with pytest.raises(TransportError, match="the proxy does not work") as caught:
            runner.run(send(POST), "https://dmf.example", tls=settings)
    assert not caught.value.sent


def test_a_body_that_makes_no_sense_is_tried_again(runner):
    """Chunks whose lengths are no numbers: http.client says so in an error of its own."""
    garbled = answer(206, body="zz\r\nno chunk\r\n", transfer_encoding="chunked")
    request = Request("GET", "p", operation="read", into=memoryview(bytearray(10)))
    with serve([garbled, answer(206, body=b"1234567890")]) as server:
        assert runner.run(send(request), server.url).received_bytes == 10
    assert runner.slept == [1]
