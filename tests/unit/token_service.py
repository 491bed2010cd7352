"""A token service in the shape of Entra ID, and who signs in there.

Discovery and token endpoint of version 2, answers from a table.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.unit.loopback import Answer, Received
from tests.unit.scripted import answer

from talent_dmf.api.steps import Response
from talent_dmf.auth.tokens import EntraTokens, Identity
from talent_dmf.transport.tls import TlsSettings

SCOPE = "https://env.operations.dynamics.com/.default"
SECRET = "S3cr3tS3cr3t"
TENANT = "11111111-2222-3333-4444-555555555555"


def refused(code: int, error: str = "invalid_client", status: int = 401) -> Response:
    """The answer of Entra ID to a sign-in that it does not allow."""
    return answer(
        status,
        json={
            "error": error,
            "error_description": f"AADSTS{code}: Something is wrong. Trace ID: t\r\nCorrelation ID: c",
            "error_codes": [code],
            "correlation_id": "c-1",
        },
    )


class TokenService:
    """Answers discovery by itself, and token requests from the table; when it is used up, with a new token each time.

    :param lifetime_seconds: of the tokens.
    """

    def __init__(self, *table: Answer, lifetime_seconds: int = 3600, discovery: Answer | None = None) -> None:
        self.url = ""
        self.table = list(table)
        self.lifetime_seconds = lifetime_seconds
        self.discovery = discovery
        self.forms: list[dict[str, str]] = []
        self.given = 0
        self._lock = threading.Lock()

    def __call__(self, request: Received) -> Answer:
        if request.path.endswith("/.well-known/openid-configuration"):
            if self.discovery is not None:
                return self.discovery
            base = self.url + request.path.removesuffix("/.well-known/openid-configuration").removesuffix("/v2.0")
            version = "" if base.endswith("/adfs") else "/v2.0"
            return answer(
                json={
                    "issuer": f"{base}{version}",
                    "authorization_endpoint": f"{base}/oauth2{version}/authorize",
                    "token_endpoint": f"{base}/oauth2{version}/token",
                }
            )
        with self._lock:
            self.forms.append({name: values[0] for name, values in parse_qs(request.body.decode()).items()})
            return self.table.pop(0) if self.table else self.token()

    def token(self, **more: Any) -> Response:
        """A successful answer with the next token."""
        self.given += 1
        body = {"token_type": "Bearer", "expires_in": self.lifetime_seconds, "access_token": f"token-{self.given}"}
        return answer(json={**body, **more})


@dataclass
class Clock:
    """Monotonic seconds that move by hand."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class SignIn:
    """A token service and an identity that signs in there."""

    authority: str
    bundle: str
    clock: Clock = field(default_factory=Clock)

    def identity(self, **facts: Any) -> Identity:
        given = {
            "scope": SCOPE,
            "tenant_id": TENANT,
            "client_id": "app-1",
            "client_secret": SECRET,
            "authority": self.authority,
            "tls": TlsSettings(verify=self.bundle),
        }
        return Identity(**{**given, **facts})

    def tokens(self, **facts: Any) -> EntraTokens:
        return EntraTokens(self.identity(**facts), clock=self.clock)
