"""What is known of an upload, kept between two tries of a task.

The state of a task lies in Airflow's metadata database, where every operator of the site can read it. An upload URL
there would open the file to them, so it is encrypted (see :mod:`talent_dmf.auth.encryption`). Whoever rotates the
connection's secret loses nothing but the resume: the upload then begins anew.
"""

from __future__ import annotations

import json
import logging
from typing import Protocol

from talent_dmf.api.graph.upload.upload import UploadRecord
from talent_dmf.api.parsing import read_json
from talent_dmf.auth.encryption import Encryption
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


class EncryptedSessionStore:
    """A :class:`SessionStore` in the state of a task, for one of its files.

    :param state: keeps texts.
    :param slot: which file.
    :param encryption: encrypts it.
    """

    def __init__(self, state: TaskState, slot: str, encryption: Encryption) -> None:
        self._state, self._slot, self._encryption = state, slot, encryption

    def load(self) -> UploadRecord | None:
        """What an earlier try left, or ``None`` if nothing is there or it cannot be opened."""
        encrypted = self._state.load(self._slot)
        if not isinstance(encrypted, str) or not encrypted:
            return None
        text = self._encryption.decrypt(encrypted)
        if text is None:
            log.info(
                "What an earlier try left of its upload cannot be opened (was the secret rotated?): starting anew."
            )
            return None
        try:
            return UploadRecord.from_json(read_json(text))
        except ValueError:
            return None

    def save(self, record: UploadRecord) -> None:
        """Keep this for the next try; while bytes are still to be moved, without holding them up."""
        encrypted = self._encryption.encrypt(json.dumps(record.to_json(), separators=(",", ":")))
        if record.item_id or record.unverified_id:
            self._state.save(self._slot, encrypted)
        else:
            self._state.save_beside(self._slot, encrypted)

    def clear(self) -> None:
        """Forget it."""
        self._state.save(self._slot, "")
