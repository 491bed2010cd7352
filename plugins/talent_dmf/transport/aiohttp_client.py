"""The asynchronous driver's HTTP client, on aiohttp.

A module of its own, imported by the first request: a worker, which makes none, must not pay for importing aiohttp.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from requests.utils import requote_uri
from yarl import URL

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.steps import Request, Response
from talent_dmf.transport.bodies import Body, answer_seconds, lower_names
from talent_dmf.transport.common import CONNECT_TIMEOUT_SECONDS, FailureKinds

_KINDS = FailureKinds(
    never_sent=(aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError),
    no_address=(aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError),
    proxy=(aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError),
    unreachable=(aiohttp.ConnectionTimeoutError,),
    silence=(aiohttp.ServerTimeoutError,),
    no_connection=(aiohttp.ClientConnectorError,),
)
# What http.client allows a header line; aiohttp's own 8 kB are less than some sign-in pages' policies.
_HEADER_LINE_BYTES = 65536


class AioClient:
    """Sends requests; for one event loop, in which it is made.

    :param context: certificates.
    :param proxy: its URL, or ``None``.
    :param max_connections: most connections open at a time.
    :raises ConfigurationError: the proxy is of a kind that aiohttp does not know.
    """

    failures = (aiohttp.ClientError, OSError)
    kinds = _KINDS

    def __init__(self, *, context: ssl.SSLContext, proxy: str | None, max_connections: int) -> None:
        if proxy is not None and not proxy.startswith(("http://", "https://")):
            raise ConfigurationError(
                "The triggerer can use http and https proxies only; correct the connection's extra `proxies`, or set "
                "deferrable=False to wait on the worker."
            )
        self._proxy = proxy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=max_connections, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Content-Type",),
            trust_env=False,
            max_line_size=_HEADER_LINE_BYTES,
            max_field_size=_HEADER_LINE_BYTES,
        )
        # It would send a GET a second time by itself; retrying is decided in one place (R5). There is no public switch:
        # test_aio_client.py tells when this one is gone.
        self._session._retry_connection = False

    async def send(
        self, request: Request, url: str, headers: Mapping[str, str], body: Any, silence_seconds: float
    ) -> Response:
        """Send one request and read its answer.

        :param request: what is asked for.
        :param url: its absolute address.
        :param headers: all headers.
        :param body: bytes-like, or ``None``.
        :param silence_seconds: how long the service may say nothing.
        """
        limits = aiohttp.ClientTimeout(
            total=silence_seconds + answer_seconds(request),
            connect=min(CONNECT_TIMEOUT_SECONDS, silence_seconds),
            sock_read=silence_seconds,
        )
        async with self._session.request(
            request.method,
            _address(url),
            data=bytes(body) if isinstance(body, bytearray | memoryview) else body,
            headers=headers,
            allow_redirects=False,
            proxy=self._proxy,
            auto_decompress=False,
            timeout=limits,
        ) as raw:
            return await _read(request, raw)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()


def _address(url: str) -> URL:
    # Quoted as requests does it; yarl on its own would also change what is quoted already, and break a signature.
    try:
        address = URL(requote_uri(url), encoded=True)
        # Read once, because yarl does not look at the port before.
        _ = address.explicit_port
    except ValueError as error:
        raise aiohttp.InvalidURL(url) from error
    return address


async def _read(request: Request, raw: aiohttp.ClientResponse) -> Response:
    headers, into = lower_names(raw.headers), request.into
    if into is None or not 200 <= raw.status < 300:
        body = Body(request.operation, raw.status, headers, answer_seconds(request))
        async for piece in raw.content.iter_any():
            if not body.feed(piece):
                break
        return Response(raw.status, headers, body.content, len(body.content))
    filled = 0
    async for piece in raw.content.iter_any():
        fitting = piece[: len(into) - filled]
        into[filled : filled + len(fitting)] = fitting
        filled += len(fitting)
        if len(fitting) < len(piece):
            return Response(raw.status, headers, b"", filled + 1)
    return Response(raw.status, headers, b"", filled)
