"""What both drivers do alike: address a request, dress it, log it, and name a failure."""

from __future__ import annotations

import json as jsonlib
import logging
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import requests
import urllib3

from talent_dmf import __version__
from talent_dmf.api.addresses import AddressRules
from talent_dmf.api.errors import ConfigurationError, TalentDmfError, TransportError
from talent_dmf.api.redaction import MASK, redact, redact_url
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import Request, Response
from talent_dmf.transport.bodies import ACCEPTED_CODINGS

log = logging.getLogger("talent_dmf.transport.drivers")

# SharePoint asks for decorated traffic: learn.microsoft.com "Avoid getting throttled or blocked in SharePoint Online".
USER_AGENT = f"NONISV|TalentDmf|airflow-provider-talent-dmf/{__version__}"
CONNECT_TIMEOUT_SECONDS = 20.0


def _without_secrets(record: logging.LogRecord) -> bool:
    record.msg, record.args = redact(record.getMessage()), ()
    return True


# At DEBUG it writes whole URLs, signatures included.
logging.getLogger("urllib3.connectionpool").addFilter(_without_secrets)

_ABSOLUTE = re.compile(r"\s*[a-z][a-z0-9+.-]*:", re.I)
_MOST_NOTES = 100
ErrorTypes: TypeAlias = tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True)
class FailureKinds:
    """How an HTTP library names what can go wrong.

    :param never_sent: before any byte of the request left.
    :param no_address: the URL cannot be called.
    :param proxy: the proxy does not work.
    :param unreachable: no connection in time.
    :param silence: no answer in time.
    :param no_connection: any other failure to connect.
    """

    never_sent: ErrorTypes
    no_address: ErrorTypes
    proxy: ErrorTypes
    unreachable: ErrorTypes
    silence: ErrorTypes
    no_connection: ErrorTypes

    @property
    def words(self) -> tuple[tuple[ErrorTypes, str], ...]:
        """What to say of each; the first that fits counts."""
        return (
            (self.proxy, "the proxy on the way does not work; check the connection's extra `proxies`"),
            (
                (urllib3.exceptions.NameResolutionError, socket.gaierror),
                "the host name is not known; check the connection's host",
            ),
            ((ConnectionRefusedError,), "the host refuses connections; check the connection's host and port"),
            (
                (ssl.SSLError,),
                "no secure connection could be made; check that the host speaks https at this port",
            ),
            (self.unreachable, "the host cannot be reached; check the network, and try again later"),
            (self.silence, "no answer came in time; try again later"),
            (self.no_connection, "no connection could be made; check the host"),
        )


REQUESTS_KINDS = FailureKinds(
    never_sent=(
        requests.exceptions.ConnectTimeout,
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.NameResolutionError,
        urllib3.exceptions.ProxyError,
        ConnectionRefusedError,
    ),
    no_address=(
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.MissingSchema,
        urllib3.exceptions.LocationValueError,
    ),
    proxy=(requests.exceptions.ProxyError, urllib3.exceptions.ProxyError),
    unreachable=(requests.exceptions.ConnectTimeout,),
    silence=(requests.exceptions.Timeout, urllib3.exceptions.TimeoutError),
    no_connection=(urllib3.exceptions.NewConnectionError,),
)


class BearerState:
    """The bearer tokens of one run: the last one that the service answered 401 to; and when its last request left.

    Kept for each run, not for each driver: the runs that share a driver are refused one after the other, and the later
    ones must not throw away the token that the first one has just fetched.
    """

    __slots__ = ("refused", "sent_at")

    def __init__(self) -> None:
        self.refused: str | None = None
        self.sent_at = 0.0


class Wire:
    """What both drivers do alike: address a request, dress it, log it, name a failure."""

    def __init__(
        self,
        base_url: str,
        policy: RetryPolicy,
        timeout_seconds: float,
        user_agent: str,
        addresses: AddressRules | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.policy = policy
        self.timeout_seconds = timeout_seconds
        self.user_agent = user_agent
        self.addresses = addresses or AddressRules(self.base_url)
        self._said: set[str] = set()

    def say_once(self, text: str) -> None:
        """Log a note, unless this driver has logged the same."""
        if text not in self._said and len(self._said) < _MOST_NOTES:
            self._said.add(text)
            log.warning("%s", text)

    def url(self, request: Request) -> str:
        """The address to call. One that a service gave, an absolute one, is checked before anything goes there.

        :raises UntrustedAddressError: it may not be called.
        """
        if not _ABSOLUTE.match(request.url):
            return f"{self.base_url}/{request.url.lstrip('/')}"
        if request.authorize:
            self.addresses.check_own(request.url, request.operation)
        else:
            self.addresses.check(request.url, request.operation)
        return request.url.strip(" ")

    def headers(self, request: Request, token: str | None, call_id: str) -> dict[str, str]:
        headers = {
            "User-Agent": self.user_agent,
            "Accept": "application/json",
            "x-ms-client-request-id": call_id,
            "client-request-id": call_id,
        }
        headers["Accept-Encoding"] = "identity" if request.stream or request.into is not None else ACCEPTED_CODINGS
        headers.update(request.headers)
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
        response = replace(response, asked=url)
        # A thousand waiting exports poll here: what nobody will read is not prepared either.
        if not log.isEnabledFor(logging.DEBUG):
            return response
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
    def failure(
        request: Request,
        url: str,
        error: Exception,
        call_id: str,
        before: BaseException | None,
        kinds: FailureKinds = REQUESTS_KINDS,
    ) -> TalentDmfError:
        host = _host(url)
        reasons = list(causes(error, before))
        if not host or any(isinstance(reason, kinds.no_address) for reason in reasons):
            shown = redact_url(url)
            which = "the address is none" if shown == MASK else f"{shown!r} is not an address"
            return ConfigurationError(
                f"{request.operation}: {which} that can be called; check the connection's host.",
                detail=str(error),
            )
        # The innermost is Python's own; one around it, of a library, does not know why.
        certificate = next((each for each in reversed(reasons) if isinstance(each, ssl.SSLCertVerificationError)), None)
        if certificate is not None:
            return ConfigurationError(
                f"The certificate of {host} is not trusted ({certificate.verify_message}). Set the connection's extra "
                "`verify` to a file with the certificate of the authority that issued it."
            )
        sent = not any(isinstance(reason, kinds.never_sent) or _is_handshake(reason) for reason in reasons)
        words = next(
            (text for types, text in kinds.words if any(isinstance(reason, types) for reason in reasons)), None
        )
        what, _, action = (words or "the connection broke; try again later").partition("; ")
        return TransportError(
            f"{request.operation}: {what} ({host}); {action}.",
            sent=sent,
            request_ids={"x-ms-client-request-id": call_id},
            detail="; ".join(f"{type(reason).__name__}: {reason}" for reason in reasons),
        )


# Only the beginning of a TLS connection ends like this, before any byte of the request; others may come later.
_HANDSHAKE = frozenset(
    {
        "NO_PROTOCOLS_AVAILABLE",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "TLSV1_UNRECOGNIZED_NAME",
        "UNSUPPORTED_PROTOCOL",
        "WRONG_VERSION_NUMBER",
    }
)


def _host(url: str) -> str:
    """Host and port of a URL, without user info; nothing if it has none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def _is_handshake(reason: BaseException) -> bool:
    return isinstance(reason, ssl.SSLError) and getattr(reason, "reason", None) in _HANDSHAKE


def causes(error: BaseException, before: BaseException | None = None) -> Iterator[BaseException]:
    """An exception, what it wraps, and what led to it, each once.

    :param error: the exception.
    :param before: what was being handled when the request began: it tells nothing about the request, yet Python
        puts it at the end of the chain.
    """
    seen = {id(before)}
    queue: list[object] = [error]
    while queue:
        current = queue.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        queue += [*current.args, getattr(current, "reason", None), current.__cause__, current.__context__]
