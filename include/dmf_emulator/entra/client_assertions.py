"""Client assertions: an app proves itself by a certificate instead of a secret.

Source: "Microsoft identity platform application authentication certificate credentials".
"""

from __future__ import annotations

import base64
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from dmf_emulator.settings import EmulatorError

_CLOCK_SKEW_SECONDS = 300


@dataclass(frozen=True, slots=True)
class AssertionProblem:
    """Why an assertion is refused: AADSTS number and text."""

    number: int
    description: str


class ClientCertificates:
    """The certificates registered for the app.

    :param pem_certificates: each in PEM form.
    :raises EmulatorError: when a certificate cannot be read or holds no RSA key.
    """

    def __init__(self, pem_certificates: tuple[bytes, ...]) -> None:
        self._keys: dict[str, rsa.RSAPublicKey] = {}
        for pem in pem_certificates:
            try:
                certificate = x509.load_pem_x509_certificate(pem)
            except ValueError as error:
                raise EmulatorError("a client certificate cannot be read: give it in PEM form") from error
            key = certificate.public_key()
            if not isinstance(key, rsa.RSAPublicKey):
                raise EmulatorError("a client certificate has no RSA key: Entra ID accepts RSA only")
            sha1 = certificate.fingerprint(hashes.SHA1())  # noqa: S303 - `x5t` is SHA-1 by definition
            for digest in (sha1, certificate.fingerprint(hashes.SHA256())):
                self._keys[base64.urlsafe_b64encode(digest).decode().rstrip("=")] = key

    def problem(self, assertion: str, audiences: Collection[str], client_id: str) -> AssertionProblem | None:
        """Check certificate by thumbprint, signature, audience, subject and time; None when all is well.

        :param assertion: the JWT.
        :param audiences: addresses of the token endpoint that may be meant.
        """
        try:
            header = jwt.get_unverified_header(assertion)
            claims = jwt.decode(assertion, options={"verify_signature": False})
        except jwt.PyJWTError:
            return AssertionProblem(50027, "JWT token is invalid or malformed.")
        thumbprint = str(header.get("x5t#S256") or header.get("x5t") or "").rstrip("=")
        key = self._keys.get(thumbprint)
        if key is None or not _is_signed(assertion, key):
            return AssertionProblem(
                700027,
                "The certificate with identifier used to sign the client assertion is not registered on application. "
                "[Reason - The key was not found., Thumbprint of key used by client: "
                f"'{_hex_thumbprint(thumbprint)}']",
            )
        return _claims_problem(claims, audiences, client_id)


def _is_signed(assertion: str, key: rsa.RSAPublicKey) -> bool:
    # Only the signature: what the claims say is checked apart, with Entra's own numbers.
    unchecked = {f"verify_{claim}": False for claim in ("exp", "aud", "nbf", "iat", "iss", "sub", "jti")}
    try:
        jwt.decode(assertion, key, algorithms=["RS256", "PS256"], options=unchecked)  # type: ignore[arg-type]
    except jwt.PyJWTError:
        return False
    return True


def _claims_problem(claims: dict[str, Any], audiences: Collection[str], client_id: str) -> AssertionProblem | None:
    subjects = [claims.get("iss"), claims.get("sub")]
    if claims.get("aud") not in list(audiences) or client_id not in subjects:
        return AssertionProblem(700023, "Client assertion audience claim does not match Realm issuer.")
    begins, ends = claims.get("nbf", 0), claims.get("exp")
    # The client signs by its own clock, which nobody has moved.
    now = time.time()
    if isinstance(ends, int | float) and isinstance(begins, int | float):
        in_time = begins - _CLOCK_SKEW_SECONDS <= now < ends
    else:
        in_time = False
    return None if in_time else AssertionProblem(700024, "Client assertion is not within its valid time range.")


def _hex_thumbprint(encoded: str) -> str:
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).hex().upper()
    except ValueError:
        return ""
