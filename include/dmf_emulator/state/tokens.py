"""Access tokens: issued by the Entra stand-in, checked by the others."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import uuid
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from dmf_emulator.clock import VirtualClock
from dmf_emulator.settings import Settings

# Entra back-dates tokens by five minutes against clocks that run behind.
_BACKDATE_SECONDS = 300
_DOWNLOAD_SECONDS = 3600


@cache
def token_signing_key() -> rsa.RSAPrivateKey:
    """Return this process's key for signing tokens; made once, because RSA keys take a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class TokenRefused(Exception):
    """A bearer token that a resource does not accept.

    :param reason: a word for the recorder, never the token.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a token stands for.

    :param app_id: the client id.
    :param object_id: of the service principal or user; empty leaves the claim out.
    :param user_principal_name: empty for an app acting as itself.
    """

    app_id: str
    object_id: str
    user_principal_name: str = ""


class TokenIssuer:
    """Signs and reads RS256 tokens with the claims that the resources check.

    :param issuer: the `iss` claim.
    """

    def __init__(self, settings: Settings, clock: VirtualClock, issuer: str) -> None:
        self._settings = settings
        self._clock = clock
        self.issuer = issuer
        self._key = token_signing_key()
        self._seal_key = secrets.token_bytes(32)
        public = self._key.public_key().public_numbers()
        modulus = public.n.to_bytes(256, "big")
        self.key_id = base64.urlsafe_b64encode(hashlib.sha256(modulus).digest()[:20]).decode().rstrip("=")

    def issue(self, audience: str, principal: Principal, roles: tuple[str, ...] = ()) -> str:
        """Return a signed token.

        :param audience: the `aud` claim, exactly as it was asked for.
        :param roles: application permissions.
        """
        settings, now = self._settings, int(self._clock.timestamp())
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": self.issuer,
            "iat": now - _BACKDATE_SECONDS,
            "nbf": now - _BACKDATE_SECONDS,
            "exp": now + int(settings.token_lifetime_seconds),
            "appid": principal.app_id,
            "appidacr": "1",
            "tid": settings.tenant_id,
            "sub": principal.object_id,
            "uti": uuid.uuid4().hex,
            "ver": "1.0",
        }
        if principal.object_id:
            claims["oid"] = principal.object_id
        if principal.user_principal_name:
            claims |= {"upn": principal.user_principal_name, "scp": "user_impersonation Files.ReadWrite.All"}
        elif roles:
            claims["roles"] = list(roles)
        return self.sign(claims)

    def issue_id_token(self, principal: Principal) -> str:
        """Return a signed token that tells the client, not a resource, which user signed in."""
        settings, now = self._settings, int(self._clock.timestamp())
        return self.sign({
            "aud": principal.app_id,
            "iss": f"{self.issuer}v2.0",
            "iat": now - _BACKDATE_SECONDS,
            "nbf": now - _BACKDATE_SECONDS,
            "exp": now + int(settings.token_lifetime_seconds),
            "name": principal.user_principal_name.partition("@")[0],
            "oid": principal.object_id,
            "preferred_username": principal.user_principal_name,
            "sub": principal.object_id,
            "tid": settings.tenant_id,
            "ver": "2.0",
        })  # fmt: skip

    def sign(self, claims: dict[str, Any]) -> str:
        """Return a token with exactly these claims, for tests of what a resource refuses.

        :param claims: the payload.
        """
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self.key_id})

    def read(self, authorization: str | None) -> dict[str, Any]:
        """Return the claims of a bearer token that is genuine, of this tenant and not expired.

        :param authorization: the Authorization header.
        :raises TokenRefused: otherwise.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise TokenRefused("no-bearer-token")
        try:
            signed, _, signature = token.strip().rpartition(".")
            self._key.public_key().verify(
                base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)),
                signed.encode(),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
            payload = signed.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except Exception as error:
            raise TokenRefused("bad-signature") from error
        now = self._clock.timestamp()
        if now >= claims.get("exp", 0) or now < claims.get("nbf", 0):
            raise TokenRefused("token-expired")
        if claims.get("tid") != self._settings.tenant_id:
            raise TokenRefused("wrong-tenant")
        return dict(claims)

    def download_token(self, item_id: str) -> str:
        """Return the `tempauth` of a download address, valid for an hour.

        It is opaque to clients; an RSA signature per listed item would make listings slow.
        """
        expiry = f"{self._clock.timestamp() + _DOWNLOAD_SECONDS:.0f}"
        return f"v1.{item_id}.{expiry}.{self._seal(f'{item_id}.{expiry}')}"

    def read_download_token(self, token: str) -> str:
        """Return the item id of a download address.

        :raises TokenRefused: when the token is not genuine or has expired.
        """
        _, _, content = token.partition(".")
        content, _, seal = content.rpartition(".")
        item_id, _, expiry = content.rpartition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(content).encode()):
            raise TokenRefused("bad-signature")
        if self._clock.timestamp() >= float(expiry):
            raise TokenRefused("token-expired")
        return item_id

    def _seal(self, content: str) -> str:
        return hmac.new(self._seal_key, content.encode(), hashlib.sha256).hexdigest()

    def public_key_set(self) -> dict[str, Any]:
        """Return the JSON Web Key Set for the discovery document."""
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**key, "use": "sig", "kid": self.key_id, "x5t": self.key_id, "issuer": self.issuer}]}
