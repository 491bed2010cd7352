"""The two drivers: they send what a protocol asks for, sleep, and tell the time. They decide nothing (R4)."""

from __future__ import annotations

import asyncio
import json as jsonlib
import logging
import random
import ssl
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx
import requests
import urllib3

from talent_dmf import __version__
from talent_dmf.api.errors import AuthenticationError, ConfigurationError, TransportError
from talent_dmf.api.redaction import redact, redact_url
from talent_dmf.api.retrying import RetryPolicy, with_retries
from talent_dmf.api.steps import Effect, Request, Response, Sleep, Steps
from talent_dmf.tls import TlsSession, TlsSettings

T = TypeVar("T")
log = logging.getLogger(__name__)

# SharePoint asks for decorated traffic: learn.microsoft.com "Avoid getting throttled or blocked in SharePoint Online".
USER_AGENT = f"NONISV|TalentDmf|airflow-provider-talent-dmf/{__version__}"
CONNECT_TIMEOUT_SECONDS = 20.0
# httpx logs the URL of every request at INFO: a line for each poll of each waiting export, with its query.
logging.getLogger("httpx").setLevel(logging.WARNING)


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


class _Wire:
    """What both drivers do alike: address a request, dress it, log it, name a failure."""

    def __init__(self, base_url: str, policy: RetryPolicy, timeout_seconds: float, user_agent: str) -> None:
        self.base_url = base_url.rstrip("/")
        self.policy = policy
        self.timeout_seconds = timeout_seconds
        self.user_agent = user_agent

    def url(self, request: Request) -> str:
        if request.url.startswith(("https://", "http://")):
            return request.url
        return f"{self.base_url}/{request.url.lstrip('/')}"

    def headers(self, request: Request, token: str | None, call_id: str) -> dict[str, str]:
        headers = {
            "User-Agent": self.user_agent,
            "Accept": "application/json",
            "x-ms-client-request-id": call_id,
            "client-request-id": call_id,
            **request.headers,
        }
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if request.json is not None:
            headers["Content-Type"] = "application/json"
        return headers

    @staticmethod
    def body(request: Request) -> Any:
        return jsonlib.dumps(request.json).encode() if request.json is not None else request.content

    @staticmethod
    def answered(request: Request, response: Response, url: str, began: float) -> Response:
        elapsed_ms = (time.monotonic() - began) * 1000
        log.debug(
            "%s %s -> %s in %.0f ms %s",
            request.method,
            redact_url(url),
            response.status,
            elapsed_ms,
            response.request_ids,
        )
        if response.status >= 400:
            log.debug("%s answered: %s", request.operation, redact(response.body[:2000].decode("utf-8", "replace")))
        return response

    @staticmethod
    def failure(request: Request, url: str, error: Exception, call_id: str) -> Exception:
        host = urlsplit(url).netloc
        reasons = list(_causes(error))
        certificate = next((reason for reason in reasons if isinstance(reason, ssl.SSLCertVerificationError)), None)
        if certificate is not None:
            return ConfigurationError(
                f"The certificate of {host} is not trusted ({certificate.verify_message}). Set the connection's extra "
                "`verify` to the CA bundle that signed it."
            )
        sent = not any(isinstance(reason, _NEVER_SENT) for reason in reasons)
        words = next((text for kinds, text in _WORDS if any(isinstance(reason, kinds) for reason in reasons)), None)
        return TransportError(
            f"{request.operation}: {words or 'the connection broke'} ({host}).",
            sent=sent,
            request_ids={"x-ms-client-request-id": call_id},
            detail="; ".join(f"{type(reason).__name__}: {reason}" for reason in reasons),
        )


_NEVER_SENT = (
    requests.exceptions.ConnectTimeout,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.NameResolutionError,
    urllib3.exceptions.ProxyError,
    ConnectionRefusedError,
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
)
_WORDS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((urllib3.exceptions.NameResolutionError,), "the host name is not known; check the connection's host"),
    ((ConnectionRefusedError,), "the host refuses connections; check the connection's host and port"),
    ((requests.exceptions.ProxyError, urllib3.exceptions.ProxyError, httpx.ProxyError), "the proxy does not work"),
    ((requests.exceptions.ConnectTimeout, httpx.ConnectTimeout), "the host cannot be reached"),
    ((requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, httpx.TimeoutException), "no answer came in time"),
    ((urllib3.exceptions.NewConnectionError, httpx.ConnectError), "no connection could be made; check the host"),
)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, what it wraps, and what led to it, each once."""
    seen: set[int] = set()
    queue = [error]
    while queue:
        current = queue.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        queue += [argument for argument in current.args if isinstance(argument, BaseException)]
        queue += (
            [getattr(current, "reason", None)] if isinstance(getattr(current, "reason", None), BaseException) else []
        )
        queue += [current.__cause__, current.__context__]


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
        self._wire = _Wire(base_url, policy or RetryPolicy(), timeout_seconds, user_agent)
        self._token = token
        self._session = TlsSession(tls or TlsSettings())
        self._sleep, self._clock, self._jitter = sleep, clock, jitter
        self._last_token: str | None = None

    def run(self, steps: Steps[T]) -> T:
        """Run a protocol to its end and return its result.

        :raises TalentDmfError: whatever the protocol raises.
        """
        flow = with_retries(steps, self._wire.policy, self._jitter)
        try:
            effect: Effect = next(flow)
            while True:
                try:
                    outcome = self._perform(effect)
                except (TransportError, AuthenticationError) as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(outcome)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()

    def _perform(self, effect: Effect) -> Response | datetime | None:
        if isinstance(effect, Request):
            return self._send(effect)
        if isinstance(effect, Sleep):
            log.info("%s Next try in %.1f s.", effect.reason, effect.seconds)
            self._sleep(effect.seconds)
            return None
        return self._clock()

    def _send(self, request: Request) -> Response:
        token = None
        if request.authorize and self._token is not None:
            token = self._token.token(refused=self._last_token if request.refresh_token else None)
            self._last_token = token
        url, call_id, began = self._wire.url(request), str(uuid.uuid4()), time.monotonic()
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
            raise self._wire.failure(request, url, error, call_id) from None
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
        self._wire = _Wire(base_url, policy or RetryPolicy(), timeout_seconds, user_agent)
        self._token = token
        tls = tls or TlsSettings()
        proxies = tls.proxies_for(base_url)
        proxy = proxies.get(urlsplit(base_url).scheme) or proxies.get("all")
        # A wait for a free connection is no failure: with many exports it only means that the pool is busy.
        timeout = httpx.Timeout(timeout_seconds, connect=min(CONNECT_TIMEOUT_SECONDS, timeout_seconds), pool=None)
        self._client = httpx.AsyncClient(
            verify=tls.ssl_context(),
            proxy=proxy,
            trust_env=False,
            timeout=timeout,
            limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
            follow_redirects=False,
        )
        # httpcore walks its whole queue at every change: with thousands of exports asking at once, the queue must be ours.
        self._slots = asyncio.Semaphore(max_connections)
        self._sleep, self._clock, self._jitter = sleep, clock, jitter
        self._last_token: str | None = None

    async def run(self, steps: Steps[T]) -> T:
        """Run a protocol to its end and return its result.

        :raises TalentDmfError: whatever the protocol raises.
        """
        flow = with_retries(steps, self._wire.policy, self._jitter)
        try:
            effect: Effect = next(flow)
            while True:
                try:
                    outcome = await self._perform(effect)
                except (TransportError, AuthenticationError) as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(outcome)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()

    async def _perform(self, effect: Effect) -> Response | datetime | None:
        if isinstance(effect, Request):
            return await self._send(effect)
        if isinstance(effect, Sleep):
            log.debug("%s Next try in %.1f s.", effect.reason, effect.seconds)
            await self._sleep(effect.seconds)
            return None
        return self._clock()

    async def _bearer(self, request: Request) -> str | None:
        if not request.authorize or self._token is None:
            return None
        token = None if request.refresh_token else self._token.cached_token()
        if token is None:
            refused = self._last_token if request.refresh_token else None
            token = await asyncio.to_thread(self._token.token, refused)
        self._last_token = token
        return token

    async def _send(self, request: Request) -> Response:
        token = await self._bearer(request)
        url, call_id, began = self._wire.url(request), str(uuid.uuid4()), time.monotonic()
        timeout: Any = httpx.USE_CLIENT_DEFAULT
        if request.timeout_seconds is not None:
            timeout = httpx.Timeout(request.timeout_seconds, pool=None)
        try:
            async with self._slots:
                raw = await self._client.request(
                    request.method,
                    url,
                    content=self._wire.body(request),
                    headers=self._wire.headers(request, token, call_id),
                    timeout=timeout,
                )
        except (httpx.HTTPError, OSError) as error:
            raise self._wire.failure(request, url, error, call_id) from None
        headers = {name.lower(): value for name, value in raw.headers.items()}
        response = Response(raw.status_code, headers, raw.content, len(raw.content))
        return self._wire.answered(request, response, url, began)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> AsyncDriver:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()
