"""Secrets at rest, encrypted so that only the connection's own secret opens them.

Encrypted and authenticated (Fernet: AES-128-CBC, HMAC-SHA256) under a key derived from the connection's secret
(HKDF-SHA256, RFC 5869). Whoever rotates that secret loses what was encrypted, and nothing else.
"""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from talent_dmf.api.errors import ConfigurationError


class Encryption:
    """Encrypts texts under a key derived from a secret.

    :param secret: the connection's secret: client secret, private key or password.
    :param context: what it is for, e.g. connection and task; nothing is decrypted under another.
    :param purpose: what kind of thing is encrypted.
    :raises ConfigurationError: the secret is empty.
    """

    def __init__(self, secret: str | bytes, context: str, purpose: str = "upload session") -> None:
        material = secret.encode() if isinstance(secret, str) else secret
        if not material:
            raise ConfigurationError(
                "An upload can be resumed by a later try only if the connection has a secret of its own to encrypt the "
                "session with. Give it a client secret or a certificate."
            )
        info = f"talent_dmf {purpose} 1\0{context}".encode()
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=info)
        self._fernet = Fernet(base64.urlsafe_b64encode(derived.derive(material)))

    def encrypt(self, text: str) -> str:
        """The text, unreadable."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def decrypt(self, encrypted: str) -> str | None:
        """The text again, or ``None`` if it was encrypted with another secret, for another context, or tampered."""
        try:
            return self._fernet.decrypt(encrypted.encode()).decode()
        except (InvalidToken, UnicodeError):
            return None
