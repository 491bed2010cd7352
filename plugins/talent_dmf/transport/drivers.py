"""The two drivers: they send what a protocol asks for, sleep, and tell the time. They decide nothing (R4)."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

import requests
import urllib3

from talent_dmf.api.addresses import AddressRules
from talent_dmf.api.errors import TalentDmfError
from talent_dmf.api.retrying import RetryPolicy, with_retries
from talent_dmf.api.steps import Effect, Note, Outcome, Receive, Request, Response, Sleep, Steps
from talent_dmf.metrics import Metrics
from talent_dmf.transport.bodies import OpenBody, lower_names, read_answer
from talent_dmf.transport.common import CONNECT_TIMEOUT_SECONDS, USER_AGENT, BearerState, Wire
from talent_dmf.transport.gate import Gate
from talent_dmf.transport.tls import TlsSession, TlsSettings

if TYPE_CHECKING:
    from talent_dmf.transport.aiohttp_client import AioClient

T = TypeVar("T")
log = logging.getLogger(__name__)


class TokenSource(Protocol):
    """Where bearer tokens come from."""

    def token(self, refused: str | None = None) -> str:
        """A valid token; a new one if the service refused the given one.

        :param refused: the token that the service just answered 401 to.
        :raises AuthenticationError: there is none to be had.
        :raises TransportError: the token service did not answer.
        """
        ...

    def cached_token(self) -> str | None:
        """The token at hand, if it is still good for minutes: never blocks."""
        ...


def utcnow() -> datetime:
    """Present time, aware, in UTC."""
    return datetime.now(UTC)


_FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


class _Rest:
    """The rest of an answer, and what its failure is named by."""

    def __init__(self, body: OpenBody, request: Request, url: str, call_id: str) -> None:
        self.readinto, self.close = body.readinto, body.close
        self.request, self.url, self.call_id = request, url, call_id


class SyncDriver:
    """Runs protocols on requests. For one thread at a time.

    :param base_url: address that relative URLs are joined to.
    :param token: where bearer tokens come from; without it only unauthorised requests can be sent.
    :param tls: certificates and proxies.
    :param addresses: where the addresses that the service gives may lead; to itself only, if not given, and without a
        base URL to this machine only.
    :param gate: what requests with a token pass, so that all callers of an environment keep to its quota together.
    :param policy: how patient with one request.
    :param timeout_seconds: how long the service may stay silent, unless a request says otherwise.
    :param user_agent: how we introduce ourselves.
    :param sleep: pauses for a number of seconds.
    :param clock: tells the time, aware.
    :param jitter: random numbers from 0 to 1, by which pauses are spread.
    """

    def __init__(
        self,
        *,
        base_url: str = "",
        token: TokenSource | None = None,
        tls: TlsSettings | None = None,
        addresses: AddressRules | None = None,
        gate: Gate | None = None,
        policy: RetryPolicy | None = None,
        timeout_seconds: float = 100.0,
        user_agent: str = USER_AGENT,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], datetime] = utcnow,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._wire = Wire(base_url, policy or RetryPolicy(), timeout_seconds, user_agent, addresses)
        self._token, self._gate = token, gate
        self._session = TlsSession(tls or TlsSettings())
        self._sleep, self._clock, self._jitter = sleep, clock, jitter

    def run(self, steps: Steps[T]) -> T:
        """Run a protocol to its end and return its result.

        :raises TalentDmfError: whatever the protocol raises.
        """
        flow, bearer = with_retries(steps, self._wire.policy), BearerState()
        try:
            effect: Effect = next(flow)
            while True:
                try:
                    outcome = self._perform(effect, bearer)
                except TalentDmfError as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(outcome)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()

    def _perform(self, effect: Effect, bearer: BearerState) -> Outcome:
        if isinstance(effect, Request):
            return self._send(effect, bearer)
        if isinstance(effect, Receive):
            return self._receive(effect)
        if isinstance(effect, Note):
            self._wire.say_once(effect.text)
            return None
        if isinstance(effect, Sleep):
            seconds = effect.length_seconds(self._jitter())
            if effect.reason:
                log.info("%s Next try in %.1f s.", effect.reason, seconds)
            if effect.cause:
                Metrics().count(f"requests.{effect.cause}")
            self._sleep(seconds)
            return None
        return self._clock()

    def _send(self, request: Request, bearer: BearerState) -> Response:
        gate = self._gate if request.authorize else None
        if gate is None:
            return self._send_now(request, bearer)
        waited = 0.0
        while pause := gate.enter(request, waited):
            self._sleep(pause)
            waited += pause
        bearer.sent_at, response = time.monotonic(), None
        try:
            response = self._send_now(request, bearer)
            return response
        finally:
            gate.leave(request, time.monotonic() - bearer.sent_at, response)

    def _send_now(self, request: Request, bearer: BearerState) -> Response:
        url, call_id = self._wire.url(request), str(uuid.uuid4())
        token = None
        if self._token is not None and request.authorize:
            token = self._token.token(refused=bearer.refused if request.refresh_token else None)
        # Signing in occupies nobody but Entra ID.
        began = bearer.sent_at = time.monotonic()
        before = sys.exc_info()[1]
        silence = request.timeout_seconds or self._wire.timeout_seconds
        try:
            raw = self._session.request(
                request.method,
                url,
                data=self._wire.body(request),
                headers=self._wire.headers(request, token, call_id),
                timeout=(min(CONNECT_TIMEOUT_SECONDS, silence), silence),
                allow_redirects=False,
                stream=True,
            )
            if request.stream and 200 <= raw.status_code < 300:
                rest = _Rest(OpenBody(raw, request.operation), request, url, call_id)
                response = Response(raw.status_code, lower_names(raw.headers), stream=rest)
            else:
                with raw:
                    response = read_answer(request, raw)
        except _FAILURES as error:
            raise self._wire.failure(request, url, error, call_id, before) from None
        if response.status == 401:
            bearer.refused = token
        return self._wire.answered(request, response, url, began)

    def _receive(self, wish: Receive) -> int:
        before = sys.exc_info()[1]
        try:
            return wish.stream.readinto(wish.into)
        except _FAILURES as error:
            assert isinstance(wish.stream, _Rest)
            raise self._wire.failure(wish.stream.request, wish.stream.url, error, wish.stream.call_id, before) from None

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> SyncDriver:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncDriver:
    """Runs protocols on aiohttp, for the triggerer. For one event loop.

    :param base_url: address that relative URLs are joined to.
    :param token: where bearer tokens come from; asked in a thread, because msal blocks.
    :param tls: certificates and proxies.
    :param addresses: where the addresses that the service gives may lead; to itself only, if not given, and without a
        base URL to this machine only.
    :param gate: what requests with a token pass, so that all callers of an environment keep to its quota together.
    :param policy: how patient with one request.
    :param timeout_seconds: how long the service may stay silent, unless a request says otherwise.
    :param max_connections: most connections open at a time, however many protocols run.
    :param user_agent: how we introduce ourselves.
    :param sleep: pauses for a number of seconds.
    :param clock: tells the time, aware.
    :param jitter: random numbers from 0 to 1, by which pauses are spread.
    """

    def __init__(
        self,
        *,
        base_url: str = "",
        token: TokenSource | None = None,
        tls: TlsSettings | None = None,
        addresses: AddressRules | None = None,
        gate: Gate | None = None,
        policy: RetryPolicy | None = None,
        timeout_seconds: float = 100.0,
        max_connections: int = 16,
        user_agent: str = USER_AGENT,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], datetime] = utcnow,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._wire = Wire(base_url, policy or RetryPolicy(), timeout_seconds, user_agent, addresses)
        self._token, self._gate = token, gate
        tls = tls or TlsSettings()
        proxies = tls.proxies_for(base_url)
        self._proxy = proxies.get(base_url.partition(":")[0]) or proxies.get("all")
        self._context = tls.ssl_context()
        self._max_connections = max_connections
        self._client: AioClient | None = None
        self._open: AsyncGenerator[None, None] | None = None
        # The queue is ours: time in it must not count as the service's silence.
        self._slots = asyncio.Semaphore(max_connections)
        self._sleep, self._clock, self._jitter = sleep, clock, jitter

    async def run(self, steps: Steps[T]) -> T:
        """Run a protocol to its end and return its result.

        :raises TalentDmfError: whatever the protocol raises.
        """
        flow, bearer = with_retries(steps, self._wire.policy), BearerState()
        try:
            effect: Effect = next(flow)
            while True:
                try:
                    outcome = await self._perform(effect, bearer)
                except TalentDmfError as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(outcome)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()

    async def _perform(self, effect: Effect, bearer: BearerState) -> Outcome:
        # No protocol that a triggerer runs moves a package.
        assert not isinstance(effect, Receive)
        if isinstance(effect, Request):
            return await self._send(effect, bearer)
        if isinstance(effect, Note):
            self._wire.say_once(effect.text)
            return None
        if isinstance(effect, Sleep):
            seconds = effect.length_seconds(self._jitter())
            log.debug("%s Next try in %.1f s.", effect.reason, seconds)
            if effect.cause:
                Metrics(in_triggerer=True).count(f"requests.{effect.cause}")
            await self._sleep(seconds)
            return None
        return self._clock()

    async def _token_for(self, request: Request, bearer: BearerState) -> str | None:
        if self._token is None or not request.authorize:
            return None
        token = None if request.refresh_token else self._token.cached_token()
        if token is None:
            token = await asyncio.to_thread(self._token.token, bearer.refused if request.refresh_token else None)
        return token

    async def _send(self, request: Request, bearer: BearerState) -> Response:
        gate = self._gate if request.authorize else None
        if gate is None:
            return await self._send_now(request, bearer)
        waited = 0.0
        while pause := gate.enter(request, waited):
            await self._sleep(pause)
            waited += pause
        bearer.sent_at, response = time.monotonic(), None
        try:
            response = await self._send_now(request, bearer)
            return response
        finally:
            gate.leave(request, time.monotonic() - bearer.sent_at, response)

    async def _send_now(self, request: Request, bearer: BearerState) -> Response:
        url, call_id = self._wire.url(request), str(uuid.uuid4())
        token = await self._token_for(request, bearer)
        began = time.monotonic()
        before = sys.exc_info()[1]
        silence = request.timeout_seconds or self._wire.timeout_seconds
        client = self._client or await self._connect()
        try:
            async with self._slots:
                bearer.sent_at = time.monotonic()
                response = await client.send(
                    request, url, self._wire.headers(request, token, call_id), self._wire.body(request), silence
                )
        except client.failures as error:
            raise self._wire.failure(request, url, error, call_id, before, client.kinds) from None
        if response.status == 401:
            bearer.refused = token
        return self._wire.answered(request, response, url, began)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._open is not None:
            await self._open.aclose()

    async def _connect(self) -> AioClient:
        # Imported where it runs: a worker, which makes no asynchronous request, must not pay a tenth of a second.
        from talent_dmf.transport.aiohttp_client import AioClient

        client = self._client = AioClient(
            context=self._context, proxy=self._proxy, max_connections=self._max_connections
        )
        self._open = self._while_open(client)
        await anext(self._open)
        return client

    async def _while_open(self, client: AioClient) -> AsyncGenerator[None, None]:
        # Nobody owns the driver that all triggers of an event loop share. A loop that ends closes its generators,
        # and this one closes the connections.
        try:
            yield
        finally:
            self._client = self._open = None
            await client.aclose()

    async def __aenter__(self) -> AsyncDriver:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()
