"""Bearer tokens of Entra ID through msal: one cache per process and identity, renewed early, refreshed once on 401."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import msal
import requests
from msal.authority import WELL_KNOWN_AUTHORITY_HOSTS

from talent_dmf.api.errors import AuthenticationError, ConfigurationError, TransportError
from talent_dmf.api.redaction import redact
from talent_dmf.api.sign_in import explain_refusal
from talent_dmf.tls import TlsSession, TlsSettings

log = logging.getLogger(__name__)

AuthType: TypeAlias = Literal[
    "client_secret", "certificate", "managed_identity", "workload_identity", "username_password"
]
AUTH_TYPES: tuple[str, ...] = (
    "client_secret",
    "certificate",
    "managed_identity",
    "workload_identity",
    "username_password",
)
DEFAULT_AUTHORITY = "https://login.microsoftonline.com"
# Exports outlive tokens (about an hour): renewed this long before they expire, as measured clients do
# (dmf-package-api.md §4 "token life").
RENEW_BEFORE_EXPIRY_SECONDS = 300.0
TOKEN_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Identity:
    """Who signs in, where, and for what.

    :param scope: ``<resource>/.default``.
    :param tenant_id: Entra tenant, GUID or domain.
    :param client_id: application id; for a user-assigned managed identity its client id.
    :param auth_type: how the application proves who it is.
    :param client_secret: secret of the application.
    :param certificate_path: PEM file with private key and certificate.
    :param certificate_data: the same as text.
    :param username: for ``username_password``.
    :param password: for ``username_password``.
    :param authority: address of the token service, without the tenant; AD FS ends in ``/adfs``.
    :param tls: certificates and proxies.
    """

    scope: str
    tenant_id: str = ""
    client_id: str = ""
    auth_type: AuthType = "client_secret"
    client_secret: str = field(default="", repr=False)
    certificate_path: str = ""
    certificate_data: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    authority: str = DEFAULT_AUTHORITY
    tls: TlsSettings = field(default_factory=TlsSettings)

    def __post_init__(self) -> None:
        needs: dict[str, list[tuple[str, str]]] = {
            "client_secret": [
                ("tenant_id", "extra `tenant_id`"),
                ("client_id", "login (client id)"),
                ("client_secret", "password (client secret)"),
            ],
            "certificate": [("tenant_id", "extra `tenant_id`"), ("client_id", "login (client id)")],
            "managed_identity": [],
            "workload_identity": [("tenant_id", "extra `tenant_id`"), ("client_id", "login (client id)")],
            "username_password": [
                ("tenant_id", "extra `tenant_id`"),
                ("client_id", "extra `client_id`"),
                ("username", "login (user name)"),
                ("password", "password"),
            ],
        }
        if self.auth_type not in needs:
            raise ConfigurationError(
                f"The connection's auth_type {self.auth_type!r} is not known; use one of {', '.join(AUTH_TYPES)}."
            )
        missing = [words for name, words in needs[self.auth_type] if not getattr(self, name)]
        if self.auth_type == "certificate" and not (self.certificate_path or self.certificate_data):
            missing.append("extra `certificate_path` or `certificate_data`")
        if missing:
            raise ConfigurationError(
                f"The connection cannot sign in with {self.auth_type}: {' and '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing."
            )

    @property
    def cache_key(self) -> str:
        """What tells this identity from every other, without revealing a secret."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "tls"}
        facts["tls"] = [self.tls.verify, dict(self.tls.proxies)]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def authority_url(self) -> str:
        """The token service of the tenant."""
        base = self.authority.rstrip("/")
        if not self.tenant_id or base.endswith(("/adfs", f"/{self.tenant_id}")):
            return base
        return f"{base}/{self.tenant_id}"


class EntraTokens:
    """A token source for one identity; shared by every hook and trigger of the process that uses this identity.

    :param identity: who signs in.
    :param clock: monotonic seconds.
    """

    def __init__(self, identity: Identity, clock: Callable[[], float] = time.monotonic) -> None:
        self._identity = identity
        self._clock = clock
        self._lock = threading.Lock()
        self._acquire: Callable[[bool], dict[str, Any]] | None = None
        self._token: str | None = None
        self._good_until = 0.0
        self.requests_made = 0

    def cached_token(self) -> str | None:
        """The token at hand, if it is still good for minutes."""
        token = self._token
        return token if token is not None and self._clock() < self._good_until else None

    def token(self, refused: str | None = None) -> str:
        """A valid token.

        :param refused: a token that the service answered 401 to. Whoever comes second gets what the first one
            fetched: a thousand waiting exports make one token request.
        :raises AuthenticationError: Entra ID refused.
        :raises TransportError: Entra ID did not answer.
        """
        with self._lock:
            cached = self.cached_token()
            if cached is not None and cached != refused:
                return cached
            answer = self._ask(refresh=refused is not None)
            token = answer.get("access_token")
            if not isinstance(token, str):
                raise explain_refusal(
                    answer,
                    tenant_id=self._identity.tenant_id,
                    client_id=self._identity.client_id,
                    scope=self._identity.scope,
                )
            lifetime = float(answer.get("expires_in", 3600))
            early = min(RENEW_BEFORE_EXPIRY_SECONDS, lifetime / 4)
            self._token, self._good_until = token, self._clock() + lifetime - early
            return token

    def _ask(self, *, refresh: bool) -> dict[str, Any]:
        host = urlsplit(self._identity.authority).netloc
        try:
            if self._acquire is None:
                self._acquire = _acquirer(self._identity)
            self.requests_made += 1
            answer = self._acquire(refresh)
        except requests.exceptions.SSLError as error:
            raise ConfigurationError(
                f"The certificate of the token service {host} is not trusted. Set the connection's extra `verify` to "
                "the CA bundle that signed it."
            ) from error
        except (requests.RequestException, OSError) as error:
            raise TransportError(
                f"The token service {host} does not answer; check the extra `authority` and the network.",
                sent=False,
                detail=redact(str(error)),
            ) from None
        except ValueError as error:
            # msal raises ValueError for a tenant that the authority does not know and for unusable keys.
            raise AuthenticationError(
                f"Signing in at {host} is not possible for tenant {self._identity.tenant_id!r}; check the extras "
                "`tenant_id` and `authority`, and the certificate if one is used.",
                detail=redact(str(error)),
            ) from None
        return answer


_sources: dict[str, EntraTokens] = {}
_sources_lock = threading.Lock()


def tokens_for(identity: Identity) -> EntraTokens:
    """The process's one token source for an identity."""
    with _sources_lock:
        return _sources.setdefault(identity.cache_key, EntraTokens(identity))


def _acquirer(identity: Identity) -> Callable[[bool], dict[str, Any]]:
    session = TlsSession(identity.tls)
    session.request = partial(session.request, timeout=TOKEN_TIMEOUT_SECONDS)  # type: ignore[method-assign]
    if identity.auth_type == "managed_identity":
        return _managed_identity(identity, session)
    if identity.auth_type == "username_password":
        return _username_password(identity, session)
    app = msal.ConfidentialClientApplication(
        identity.client_id, client_credential=_credential(identity), **_application_options(identity, session)
    )

    def acquire(refresh: bool) -> dict[str, Any]:
        if refresh:
            app.remove_tokens_for_client()
        answer: dict[str, Any] = app.acquire_token_for_client(scopes=[identity.scope])
        return answer

    return acquire


def _application_options(identity: Identity, session: TlsSession) -> dict[str, Any]:
    # An authority that Microsoft does not list would be looked up at login.microsoftonline.com first.
    known = urlsplit(identity.authority).hostname in WELL_KNOWN_AUTHORITY_HOSTS
    return {
        "authority": identity.authority_url,
        "instance_discovery": None if known else False,
        "http_client": session,
    }


def _credential(identity: Identity) -> Any:
    if identity.auth_type == "client_secret":
        return identity.client_secret
    if identity.auth_type == "workload_identity":
        return {"client_assertion": _federated_token}
    text = identity.certificate_data
    if not text:
        try:
            text = Path(identity.certificate_path).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"The certificate file {identity.certificate_path!r} cannot be read ({error.strerror}); give the "
                "path of a PEM file with private key and certificate that every worker and triggerer can read."
            ) from error
    return _certificate_credential(text)


def _certificate_credential(pem: str) -> dict[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise ConfigurationError(
            "The connection's certificate is not a PEM text with a CERTIFICATE and a PRIVATE KEY block."
        ) from error
    # Entra ID finds the registered certificate by its SHA-1 thumbprint (x5t header of the assertion).
    thumbprint = certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303
    start = pem.index("-----BEGIN CERTIFICATE-----")
    return {"private_key": pem, "thumbprint": thumbprint, "public_certificate": pem[start:]}


def _federated_token() -> str:
    path = os.environ.get("AZURE_FEDERATED_TOKEN_FILE", "")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            "Workload identity needs the environment variable AZURE_FEDERATED_TOKEN_FILE to name a readable token "
            "file; the Azure workload identity webhook sets it on the pod."
        ) from error


def _managed_identity(identity: Identity, session: TlsSession) -> Callable[[bool], dict[str, Any]]:
    who = (
        msal.UserAssignedManagedIdentity(client_id=identity.client_id)
        if identity.client_id
        else msal.SystemAssignedManagedIdentity()
    )
    client = msal.ManagedIdentityClient(who, http_client=session)
    resource = identity.scope.removesuffix("/.default")

    def acquire(refresh: bool) -> dict[str, Any]:
        nonlocal client
        if refresh:
            client = msal.ManagedIdentityClient(who, http_client=session)
        answer: dict[str, Any] = client.acquire_token_for_client(resource=resource)
        return answer

    return acquire


def _username_password(identity: Identity, session: TlsSession) -> Callable[[bool], dict[str, Any]]:
    options = _application_options(identity, session)
    app: Any
    if identity.client_secret:
        app = msal.ConfidentialClientApplication(
            identity.client_id, client_credential=identity.client_secret, **options
        )
    else:
        app = msal.PublicClientApplication(identity.client_id, **options)

    def acquire(refresh: bool) -> dict[str, Any]:
        accounts = app.get_accounts(username=identity.username)
        if accounts:
            silent: dict[str, Any] | None = app.acquire_token_silent(
                [identity.scope], account=accounts[0], force_refresh=refresh
            )
            if silent:
                return silent
        answer: dict[str, Any] = app.acquire_token_by_username_password(
            identity.username, identity.password, scopes=[identity.scope]
        )
        return answer

    return acquire
