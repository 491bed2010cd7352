"""Bearer tokens of Entra ID through msal: one cache per process and identity, renewed early, refreshed once on 401."""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import requests
from msal.exceptions import MsalError
from urllib3.exceptions import HTTPError

from talent_dmf.api.errors import AuthenticationError, ConfigurationError, TalentDmfError, TransportError
from talent_dmf.api.parsing import whole_number
from talent_dmf.auth.entra_errors import explain_refusal
from talent_dmf.auth.identity import AUTH_TYPES, DEFAULT_AUTHORITY, AuthType, Identity
from talent_dmf.auth.msal_flows import TokenRequest, token_request
from talent_dmf.auth.secret_cache import SecretCache
from talent_dmf.auth.token_service import DEFAULT_LIFETIME_SECONDS, MAX_LIFETIME_SECONDS, usable_token
from talent_dmf.transport.common import causes

__all__ = ["AUTH_TYPES", "DEFAULT_AUTHORITY", "AuthType", "EntraTokens", "Identity", "tokens_for"]

log = logging.getLogger(__name__)
# Exports outlive tokens (about an hour): renewed this long before they expire, as measured clients do
# (docs/wire/dmf-package-api.md#life-of-a-token).
RENEW_BEFORE_EXPIRY_SECONDS = 300.0
# A refusal is repeated to everybody for so long: an expired secret must not become a token request of each of a
# thousand waiting exports, for which Entra ID locks applications and users out.
REFUSAL_HOLDS_SECONDS = 30.0
# How long an old token, still valid, is used on before the token service is asked again that did not answer.
RENEWAL_PAUSE_SECONDS = 30.0


class EntraTokens:
    """A token source for one identity; shared by every hook and trigger of the process that uses this identity.

    :param identity: who signs in.
    :param clock: monotonic seconds.
    :param cache: where tokens are kept for other processes, if they are.
    """

    def __init__(
        self, identity: Identity, clock: Callable[[], float] = time.monotonic, cache: SecretCache | None = None
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._cache = cache
        self._lock = threading.Lock()
        self._request: TokenRequest | None = None
        self._token: str | None = None
        self._good_until = 0.0
        self._valid_until = 0.0
        self._refusal: Mapping[str, Any] | None = None
        self._refusal_until = 0.0
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
            if self._refusal is not None and self._clock() < self._refusal_until:
                raise self._explained(self._refusal)
            try:
                return self._renew(refused)
            except TransportError as error:
                # Renewal begins minutes before the end: a token service that is away for a moment stops nothing.
                if self._token is None or self._token == refused or self._clock() >= self._valid_until:
                    raise
                log.warning("%s The token at hand is used on.", error)
                self._good_until = min(self._valid_until, self._clock() + RENEWAL_PAUSE_SECONDS)
                return self._token

    def _renew(self, refused: str | None) -> str:
        kept = self._cache.load() if self._cache else None
        if kept is not None and kept[0] != refused and kept[1] > RENEW_BEFORE_EXPIRY_SECONDS:
            return self._keep(*kept)
        answer = self._ask()
        token = usable_token(answer)
        if token is None:
            self._refuse(answer)
        seconds = whole_number(answer.get("expires_in"))
        lifetime = float(DEFAULT_LIFETIME_SECONDS if seconds is None else min(seconds, MAX_LIFETIME_SECONDS))
        if self._cache:
            self._cache.save(token, lifetime)
        return self._keep(token, lifetime)

    def _keep(self, token: str, lifetime: float) -> str:
        self._token, self._refusal = token, None
        self._valid_until = self._clock() + lifetime
        self._good_until = self._valid_until - min(RENEW_BEFORE_EXPIRY_SECONDS, lifetime / 4)
        return token

    def _explained(self, answer: Mapping[str, Any]) -> TalentDmfError:
        identity = self._identity
        if "access_token" in answer or not answer:
            return TransportError(
                f"The token service {identity.authority_host} answered without a usable token; check the extra "
                "`authority` and the network.",
                sent=False,
            )
        return explain_refusal(answer, tenant_id=identity.tenant_id, client_id=identity.client_id, scope=identity.scope)

    def _refuse(self, answer: Mapping[str, Any]) -> NoReturn:
        error = self._explained(answer)
        if isinstance(error, AuthenticationError):
            # Built anew next time: a certificate or token file may have been renewed meanwhile.
            self._request = None
            self._refusal, self._refusal_until = answer, self._clock() + REFUSAL_HOLDS_SECONDS
        raise error

    def _ask(self) -> dict[str, Any]:
        host = self._identity.authority_host
        try:
            if self._request is None:
                self._request = token_request(self._identity)
            self.requests_made += 1
            return self._request()
        except TalentDmfError:
            raise
        except requests.exceptions.SSLError as error:
            raise ConfigurationError(
                f"The certificate of the token service {host} is not trusted ({_tls_reason(error)}). Set the "
                "connection's extra `verify` to a file with the certificate of the authority that issued it.",
                detail=str(error),
            ) from None
        except (requests.RequestException, HTTPError, OSError, MsalError) as error:
            raise self._silent(f"{type(error).__name__}: {error}") from None
        except Exception as error:  # noqa: BLE001 - every one becomes an error of ours, with its words
            # msal says by a ValueError that the authority does not know the tenant, and breaks in its own ways on an
            # answer that it did not expect.
            said = f"{error} {error.__context__ or ''}"
            if "AADSTS" in said:
                self._refuse({"error_description": said[said.index("AADSTS") :]})
            if isinstance(error, json.JSONDecodeError) or isinstance(error.__context__, json.JSONDecodeError):
                raise self._silent(said) from None
            raise AuthenticationError(
                f"Signing in at {self._identity.authority_url} is not possible; check the extras `tenant_id` and "
                "`authority` (an https address).",
                detail=f"{type(error).__name__}: {said}",
            ) from None

    def _silent(self, detail: str) -> TransportError:
        return TransportError(
            f"The token service {self._identity.authority_host} does not answer as one; check the extra `authority` "
            "and the network.",
            sent=False,
            detail=detail,
        )


def _tls_reason(error: requests.exceptions.SSLError) -> str:
    for reason in causes(error):
        if isinstance(reason, ssl.SSLCertVerificationError):
            return reason.verify_message
        if isinstance(reason, ssl.SSLError) and reason.reason:
            return reason.reason.replace("_", " ").lower()
    return "no secure connection"


_sources: dict[str, EntraTokens] = {}
_sources_lock = threading.Lock()


def tokens_for(identity: Identity, folder: Path | None = None) -> EntraTokens:
    """The process's one token source for an identity.

    :param identity: who signs in.
    :param folder: where tokens are kept for the user's other processes on this machine; ``None`` for nowhere.
    """
    with _sources_lock:
        if identity.cache_key not in _sources:
            _sources[identity.cache_key] = EntraTokens(identity, cache=SecretCache.of(identity, folder))
        return _sources[identity.cache_key]
