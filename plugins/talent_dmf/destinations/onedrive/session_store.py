"""Secrets at rest between two tries of a task: sealed so that only the connection's own secret opens them.

The state of a task lies in Airflow's metadata database, where every operator of the site can read it. An upload URL
there would open the file to them, so it is encrypted and authenticated (Fernet: AES-128-CBC, HMAC-SHA256) under a
key derived from the connection's secret (HKDF-SHA256, RFC 5869). Whoever rotates that secret loses nothing but the
resume: the upload then begins anew.
"""

from __future__ import annotations

import base64
import json
import logging
from typing import Protocol

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.graph.upload.upload import UploadRecord
from talent_dmf.destinations.task_state import TaskState

log = logging.getLogger(__name__)


class SessionStore(Protocol):
    """Keeps what is known of an upload for the next try of the same task.

    A failure to keep it must not be raised: a transfer that works is worth more than its resume.
    """

    def load(self) -> UploadRecord | None:
        """What an earlier try left, or ``None``."""
        ...

    def save(self, record: UploadRecord) -> None:
        """Keep this for the next try, in the place of what was kept before."""
        ...

    def clear(self) -> None:
        """Forget it."""
        ...


class Sealer:
    """Seals texts under a key derived from a secret.

    :param secret: the connection's secret: client secret, private key or password.
    :param context: what the seal is for, e.g. connection and task; a seal does not open under another.
    :raises ConfigurationError: the secret is empty.
    """

    def __init__(self, secret: str | bytes, context: str) -> None:
        material = secret.encode() if isinstance(secret, str) else secret
        if not material:
            raise ConfigurationError(
                "An upload can be resumed by a later try only if the connection has a secret of its own to seal the "
                "session with; this one has none."
            )
        derived = HKDF(
            algorithm=SHA256(), length=32, salt=None, info=b"talent_dmf upload session 1\0" + context.encode()
        )
        self._fernet = Fernet(base64.urlsafe_b64encode(derived.derive(material)))

    def seal(self, text: str) -> str:
        """The text, unreadable."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str | None:
        """The text again, or ``None`` if the seal was made with another secret, for another context, or tampered."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except (InvalidToken, UnicodeError):
            return None


class SealedSessionStore:
    """A :class:`SessionStore` in the state of a task, for one of its files.

    :param state: keeps texts.
    :param slot: which file.
    :param sealer: seals it.
    """

    def __init__(self, state: TaskState, slot: str, sealer: Sealer) -> None:
        self._state, self._slot, self._sealer = state, slot, sealer

    def load(self) -> UploadRecord | None:
        """What an earlier try left, or ``None`` if nothing is there or it cannot be opened."""
        sealed = self._state.load(self._slot)
        if not isinstance(sealed, str) or not sealed:
            return None
        text = self._sealer.open(sealed)
        if text is None:
            log.info(
                "What an earlier try left of its upload cannot be opened (was the secret rotated?): starting anew."
            )
            return None
        try:
            return UploadRecord.from_json(json.loads(text))
        except (ValueError, RecursionError):
            return None

    def save(self, record: UploadRecord) -> None:
        """Keep this for the next try."""
        self._state.save(self._slot, self._sealer.seal(json.dumps(record.to_json(), separators=(",", ":"))))

    def clear(self) -> None:
        """Forget it."""
        self._state.save(self._slot, "")
