"""What msal sends its requests with: a token service's answers are untrusted, and a secret goes to nobody else.

msal follows what its HTTP client follows, posts to the endpoint that a discovery document names, and hands the numbers
in an answer to ``int()``. So the client checks every address, follows no redirect, bounds every answer, and passes on
only what msal can read.
"""

from __future__ import annotations

import io
import json
import re
import time
from typing import Any, TypeAlias

import requests

from talent_dmf.api.addresses import AddressRules, parse_address
from talent_dmf.api.errors import TransportError
from talent_dmf.api.parsing import read_json, whole_number
from talent_dmf.api.retrying import TRANSIENT_STATUS
from talent_dmf.api.steps import Request
from talent_dmf.transport.bodies import ACCEPTED_CODINGS, read_answer
from talent_dmf.transport.tls import TlsSession, TlsSettings

TOKEN_TIMEOUT_SECONDS = 30.0
# Assumed of a token whose answer does not say how long it lives, as Entra ID's live; refused earlier, it is renewed.
DEFAULT_LIFETIME_SECONDS = 3600
# The longest that Entra ID gives, to managed identities.
MAX_LIFETIME_SECONDS = 86_400
# What a token service says of itself is the same for everybody: two applications of one tenant, that of the environment
# and that of the drive, ask for it once. Address and expected certificates, when it is asked for again, and the answer.
_Discovery: TypeAlias = tuple[str, str, tuple[tuple[str, str], ...]]
_DISCOVERY_SECONDS, _MOST_DISCOVERIES = 3600.0, 100
_discoveries: dict[_Discovery | None, tuple[float, bytes]] = {}
_LIFETIMES = ("expires_in", "ext_expires_in", "refresh_in")
# What a header line may carry.
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")


class TokenServiceSession(TlsSession):
    """A session for msal.

    :param settings: certificates and proxies.
    :param rules: where the token service's addresses may lead; ``None`` for the endpoint of a managed identity, which
        the machine itself names.
    :param host: the token service, for messages.
    """

    def __init__(self, settings: TlsSettings, rules: AddressRules | None, host: str) -> None:
        # The endpoint of a managed identity belongs to the machine: a proxy cannot reach it.
        super().__init__(settings, direct=rules is None)
        self._rules, self._host = rules, host
        self._discovered: tuple[_Discovery, bytes] | None = None

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request, and read its answer within bounds.

        :raises UntrustedAddressError: the address is not the token service's.
        :raises TransportError: the service is not able to answer at the moment, or redirects.
        """
        if self._rules is not None:
            self._rules.check(str(url), "Signing in")
        key = self._discovery_key(str(method), str(url))
        known = _discoveries.get(key)
        if known is not None and time.monotonic() < known[0]:
            answered = requests.Response()
            answered.status_code = 200
            return _as_msal_reads(answered, known[1])
        headers = {**(kwargs.pop("headers", None) or {}), "Accept-Encoding": ACCEPTED_CODINGS}
        options: dict[str, Any] = {"timeout": TOKEN_TIMEOUT_SECONDS, **kwargs, "headers": headers, "stream": True}
        with super().request(method, url, *args, **options) as raw:
            answer = read_answer(Request(str(method), "", operation="Signing in"), raw)
        if 300 <= answer.status < 400:
            target = parse_address(answer.headers.get("location", ""))
            raise TransportError(
                f"The token service {self._host} redirects (to {target.host if target else 'no plain address'}) "
                "instead of answering; nothing was sent there. Check the connection's extra `authority`, and whether a "
                "proxy stands in between.",
                sent=False,
                status_code=answer.status,
            )
        if answer.status in TRANSIENT_STATUS:
            raise TransportError(
                f"The token service {self._host} is not able to answer at the moment. Try again later.",
                sent=False,
                status_code=answer.status,
                detail=answer.body[:2000].decode("utf-8", "replace"),
            )
        if answer.status == 200:
            self._keep_discovery(key, answer.body)
        return _as_msal_reads(raw, answer.body)

    def _keep_discovery(self, key: _Discovery | None, body: bytes) -> None:
        if key is not None:
            self._discovered = key, body
        elif self._discovered is not None:
            if len(_discoveries) >= _MOST_DISCOVERIES:
                forget_discoveries()
            # Not before somebody has signed in with it: a proxy's page in its place would be kept for an hour.
            _discoveries[self._discovered[0]] = (time.monotonic() + _DISCOVERY_SECONDS, self._discovered[1])
            self._discovered = None

    def _discovery_key(self, method: str, url: str) -> _Discovery | None:
        if method.upper() != "GET" or not url.endswith("/.well-known/openid-configuration"):
            return None
        return url, str(self._settings.verify), tuple(sorted(self._settings.proxies.items()))


def forget_discoveries() -> None:
    """Ask every token service anew what it says of itself, as a process does that has just begun."""
    _discoveries.clear()


def _as_msal_reads(answer: requests.Response, body: bytes) -> requests.Response:
    """An answer that is read once more, by msal, from memory."""
    answer.raw, answer.encoding = io.BytesIO(_readable(body)), "utf-8"
    answer.headers.pop("Content-Encoding", None)
    return answer


def _readable(body: bytes) -> bytes:
    """A token answer with numbers where msal expects numbers, or the body as it is."""
    try:
        answer = read_json(body)
    except ValueError:
        # Nested without end it would not leave the parser as a JSON error.
        return body if body.count(b"[") + body.count(b"{") < 1000 else b"nested too deeply"
    if not isinstance(answer, dict):
        return b"no object"
    if "access_token" in answer:
        for name in _LIFETIMES:
            if name in answer:
                seconds = whole_number(answer[name])
                answer[name] = DEFAULT_LIFETIME_SECONDS if seconds is None else min(seconds, MAX_LIFETIME_SECONDS)
        for name in ("id_token", "refresh_token", "client_info", "scope", "token_type", "foci"):
            if name in answer and not isinstance(answer[name], str):
                del answer[name]
    return json.dumps(answer).encode()


def usable_token(answer: dict[str, Any]) -> str | None:
    """The token in an answer, if it is one that a header can carry.

    :param answer: what msal returned.
    """
    token = answer.get("access_token")
    return token if isinstance(token, str) and _TOKEN.fullmatch(token) else None
