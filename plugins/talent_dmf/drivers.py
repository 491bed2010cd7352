"""The two drivers: they send what a protocol asks for, sleep, and tell the time. They decide nothing (R4)."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http.cookiejar import CookieJar
from typing import Any, Protocol, TypeVar

import httpx
import requests
import urllib3

from talent_dmf.api.errors import TalentDmfError
from talent_dmf.api.retrying import RetryPolicy, with_retries
from talent_dmf.api.steps import Effect, Request, Response, Sleep, Steps
from talent_dmf.tls import NO_COOKIES, TlsSession, TlsSettings
from talent_dmf.wire import USER_AGENT, Grant, Wire

T = TypeVar("T")
log = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECONDS = 20.0


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


class SyncDriver:
    """Runs protocols on requests. For one thread at a time.

    :param base_url: address that relative URLs are joined to.
    :param token: where bearer tokens come from; without it only unauthorised requests can be sent.
    :param tls: certificates and proxies.
    :param policy: how patient with one request.
    :param timeout_seconds: how long the service may stay silent, unless a request says otherwise.
    :param user_agent: how we introduce ourselves.
    :param sleep: pauses for a number of seconds.
    :param clock: tells the time, aware.
    :param jitter: random numbers from 0 to 1.
    """

    def __init__(
        self,
        *,
        base_url: str = "",
        token: TokenSource | None = None,
        tls: TlsSettings | None = None,
        policy: RetryPolicy | None = None,
        timeout_seconds: float = 100.0,
        user_agent: str = USER_AGENT,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], datetime] = utcnow,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._wire = Wire(base_url, policy or RetryPolicy(), timeout_seconds, user_agent)
        self._token = token
        self._session = TlsSession(tls or TlsSettings())
        self._sleep, self._clock, self._jitter = sleep, clock, jitter

    def run(self, steps: Steps[T]) -> T:
        """Run a protocol to its end and return its result.

        :raises TalentDmfError: whatever the protocol raises.
        """
        flow, grant = with_retries(steps, self._wire.policy, self._jitter), Grant()
        try:
            effect: Effect = next(flow)
            while True:
                try:
                    outcome = self._perform(effect, grant)
                except TalentDmfError as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(outcome)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()

    def _perform(self, effect: Effect, grant: Grant) -> Response | datetime | None:
        if isinstance(effect, Request):
            return self._send(effect, grant)
        if isinstance(effect, Sleep):
            log.info("%s Next try in %.1f s.", effect.reason, effect.seconds)
            self._sleep(effect.seconds)
            return None
        return self._clock()

    def _send(self, request: Request, grant: Grant) -> Response:
        token = None
        if self._token is not None and self._wire.authorizes(request):
            token = self._token.token(refused=grant.refused if request.refresh_token else None)
        url, call_id, began = self._wire.url(request), str(uuid.uuid4()), time.monotonic()
        before = sys.exc_info()[1]
        silence = request.timeout_seconds or self._wire.timeout_seconds
        try:
            with self._session.request(
                request.method,
                url,
                data=self._wire.body(request),
                headers=self._wire.headers(request, token, call_id),
                timeout=(min(CONNECT_TIMEOUT_SECONDS, silence), silence),
                allow_redirects=False,
                stream=True,
            ) as raw:
                response = _read(raw, request.into)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._wire.failure(request, url, error, call_id, before) from None
        if response.status == 401:
            grant.refused = token
        return self._wire.answered(request, response, url, began)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> SyncDriver:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _read(raw: requests.Response, into: memoryview | None) -> Response:
    headers = {name.lower(): value for name, value in raw.headers.items()}
    if into is None or not 200 <= raw.status_code < 300:
        body = raw.content
        return Response(raw.status_code, headers, body, len(body))
    filled = 0
    while filled < len(into):
        count = raw.raw.readinto(into[filled:])
        if not count:
            break
        filled += count
    surplus = raw.raw.read(1) if filled == len(into) else b""
    return Response(raw.status_code, headers, b"", filled + len(surplus))


class AsyncDriver:
    """Runs protocols on httpx, for the triggerer. For one event loop.

    :param base_url: address that relative URLs are joined to.
    :param token: where bearer tokens come from; asked in a thread, because msal blocks.
    :param tls: certificates and proxies.
    :param policy: how patient with one request.
    :param timeout_seconds: how long the service may stay silent, unless a request says otherwise.
    :param max_connections: most connections open at a time, however many protocols run.
    :param user_agent: how we introduce ourselves.
    :param sleep: pauses for a number of seconds.
    :param clock: tells the time, aware.
    :param jitter: random numbers from 0 to 1.
    """

    def __init__(
        self,
        *,
        base_url: str = "",
        token: TokenSource | None = None,
        tls: TlsSettings | None = None,
        policy: RetryPolicy | None = None,
        timeout_seconds: float = 100.0,
        max_connections: int = 16,
        user_agent: str = USER_AGENT,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], datetime] = utcnow,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._wire = Wire(base_url, policy or RetryPolicy(), timeout_seconds, user_agent)
        self._token = token
        tls = tls or TlsSettings()
        proxies = tls.proxies_for(base_url)
        scheme = base_url.partition(":")[0]
        proxy = proxies.get(scheme) or proxies.get("all")
        self._client = httpx.AsyncClient(
            verify=tls.ssl_context(),
            proxy=proxy,
            trust_env=False,
            timeout=_timeout(timeout_seconds),
            cookies=CookieJar(NO_COOKIES),
            limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
            follow_redirects=False,
        )
        # httpcore walks its whole queue at every change: with thousands of exports at once, the queue must be ours.
        self._slots = asyncio.Semaphore(max_connections)
        self._sleep, self._clock, self._jitter = sleep, clock, jitter

    async def run(self, steps: Steps[T]) -> T:
        """Run a protocol to its end and return its result.

        :raises TalentDmfError: whatever the protocol raises.
        """
        flow, grant = with_retries(steps, self._wire.policy, self._jitter), Grant()
        try:
            effect: Effect = next(flow)
            while True:
                try:
                    outcome = await self._perform(effect, grant)
                except TalentDmfError as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(outcome)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()

    async def _perform(self, effect: Effect, grant: Grant) -> Response | datetime | None:
        if isinstance(effect, Request):
            return await self._send(effect, grant)
        if isinstance(effect, Sleep):
            log.debug("%s Next try in %.1f s.", effect.reason, effect.seconds)
            await self._sleep(effect.seconds)
            return None
        return self._clock()

    async def _bearer(self, request: Request, grant: Grant) -> str | None:
        if self._token is None or not self._wire.authorizes(request):
            return None
        token = None if request.refresh_token else self._token.cached_token()
        if token is None:
            token = await asyncio.to_thread(self._token.token, grant.refused if request.refresh_token else None)
        return token

    async def _send(self, request: Request, grant: Grant) -> Response:
        token = await self._bearer(request, grant)
        url, call_id, began = self._wire.url(request), str(uuid.uuid4()), time.monotonic()
        timeout = self._client.timeout
        if request.timeout_seconds is not None:
            timeout = _timeout(request.timeout_seconds)
        before = sys.exc_info()[1]
        try:
            async with self._slots:
                raw = await self._client.send(
                    self._client.build_request(
                        request.method,
                        url,
                        content=_as_bytes(self._wire.body(request)),
                        headers=self._wire.headers(request, token, call_id),
                        timeout=timeout,
                    ),
                    stream=request.into is not None,
                )
                response = await _aread(raw, request.into)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise self._wire.failure(request, url, error, call_id, before) from None
        if response.status == 401:
            grant.refused = token
        return self._wire.answered(request, response, url, began)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> AsyncDriver:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def _timeout(silence_seconds: float) -> httpx.Timeout:
    # A wait for a free connection is no failure: with many exports it only means that the pool is busy.
    return httpx.Timeout(silence_seconds, connect=min(CONNECT_TIMEOUT_SECONDS, silence_seconds), pool=None)


def _as_bytes(content: Any) -> bytes | None:
    return bytes(content) if isinstance(content, bytearray | memoryview) else content


async def _aread(raw: httpx.Response, into: memoryview | None) -> Response:
    headers = {name.lower(): value for name, value in raw.headers.items()}
    if into is None or not raw.is_success:
        body = await raw.aread()
        return Response(raw.status_code, headers, body, len(body))
    filled = 0
    try:
        async for piece in raw.aiter_raw():
            fitting = piece[: len(into) - filled]
            into[filled : filled + len(fitting)] = fitting
            filled += len(fitting)
            if len(fitting) < len(piece):
                return Response(raw.status_code, headers, b"", filled + 1)
    finally:
        await raw.aclose()
    return Response(raw.status_code, headers, b"", filled)
