"""Who may use the admin API: whoever has the token, from a page of the emulator itself.

A page of another site must not drive the emulator of somebody who looks at it: names that only seem to be this machine
(DNS rebinding) and requests of other origins are refused.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from dmf_emulator.http.message import Request


class Guard:
    """What a request to the admin address must show.

    :param token: asked for unless empty.
    :param host_names: names under which the emulator is reached.
    """

    def __init__(self, token: str, host_names: set[str]) -> None:
        self._token = token
        self._host_names = {name.lower() for name in host_names}

    def problem(self, request: Request) -> str | None:
        """Say why a request is refused, or None."""
        host = request.headers.get("host", "")
        if _host_of(f"//{host}") not in self._host_names:
            return f"the host {host!r} is none of the emulator's names"
        origin = request.headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            return f"a page of {origin} may not use the emulator"
        if not self._token or request.path == "/":
            # The page itself holds nothing; it sends the token of its address with what it asks for.
            return None
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        given = given.strip() if scheme.lower() == "bearer" else request.parameters.get("token", "")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return "the admin API needs its token: send `Authorization: Bearer <token>`, or open the page with ?token="
        return None


def _host_of(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""
