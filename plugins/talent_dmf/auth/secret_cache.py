"""Secrets of short life that the tasks of one worker share: tokens, so that not every task signs in anew, and the link
to a package, so that whoever saves it need not have another copy made.

Each task is a process that starts from nothing, and signing in costs two requests. A secret is kept in a file that only
its user can read (0600, in a folder of 0700), encrypted under a key derived from the connection's secret, under a name
that belongs to one identity: who signs in, where, for what, with which secret. Whoever does not know the connection's
secret can neither read the file nor put another there. For an identity without a secret of its own (managed and
workload identity) nothing is kept, and neither is a person's password made into a key.

The cache is a convenience: whatever is wrong with it, the task signs in, or asks for a link.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from talent_dmf.api.parsing import read_json
from talent_dmf.auth.encryption import Encryption
from talent_dmf.auth.identity import Identity

log = logging.getLogger(__name__)
_MAX_FILE_BYTES = 256 * 1024
# Of secrets that were rotated and connections that were deleted.
_FORGOTTEN_AFTER_SECONDS = 86_400.0
_SUFFIX = ".token"


def shared_folder() -> Path | None:
    """The folder that the processes of this user on this machine share, or ``None`` if there is none that is safe: one
    that somebody else made or can read."""
    if not hasattr(os, "getuid"):
        return None
    folder = Path(tempfile.gettempdir()) / f"talent-dmf-{os.getuid()}"
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        log.debug("Folder %s is not this user's alone: nothing is shared between tasks.", folder)
        return None
    return folder


class SecretCache:
    """The token of one identity, or another secret of its, kept for the other processes of this user.

    :param folder: where; see :func:`shared_folder`.
    :param identity: whose.
    :param clock: seconds since the epoch.
    :param about: which other secret, such as the link to the package of an execution; ``""`` for the token.
    """

    def __init__(
        self, folder: Path, identity: Identity, clock: Callable[[], float] = time.time, *, about: str = ""
    ) -> None:
        name = hashlib.sha256(f"{identity.cache_key} {about}".encode()).hexdigest() if about else identity.cache_key
        self._path = folder / f"{name}{_SUFFIX}"
        self._encryption = Encryption(identity.encryption_secret, f"{identity.cache_key}{about}", "token cache")
        self._clock = clock

    @classmethod
    def of(cls, identity: Identity, folder: Path | None, *, about: str = "") -> SecretCache | None:
        """The cache of an identity, or ``None`` if it is not to be kept.

        :param identity: whose.
        :param folder: where; ``None`` for nowhere.
        :param about: as for the class.
        """
        if folder is None or identity.auth_type not in {"client_secret", "certificate"}:
            return None
        return cls(folder, identity, about=about)

    def load(self) -> tuple[str, float] | None:
        """The secret, and for how many seconds it is valid; ``None`` if there is none, or none any more."""
        try:
            with open(os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW), encoding="ascii") as file:
                encrypted = file.read(_MAX_FILE_BYTES)
        except (OSError, UnicodeError):
            return None
        text = self._encryption.decrypt(encrypted)
        try:
            kept = read_json(text or "")
            secret, left = kept["token"], float(kept["valid_until"]) - self._clock()
        except (ValueError, TypeError, KeyError):
            return None
        return (secret, left) if isinstance(secret, str) and left > 0 else None

    def take(self) -> tuple[str, float] | None:
        """As :meth:`load`, and nobody finds it again."""
        found = self.load()
        with contextlib.suppress(OSError):
            self._path.unlink()
        return found

    def save(self, secret: str, seconds: float) -> None:
        """Keep a secret.

        :param secret: it.
        :param seconds: for how long it is valid.
        """
        content = self._encryption.encrypt(json.dumps({"token": secret, "valid_until": self._clock() + seconds}))
        try:
            # Readable by its user alone from its first byte, and whole whenever anybody looks.
            handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=".", suffix=_SUFFIX)
            try:
                with open(handle, "w", encoding="ascii") as file:
                    file.write(content)
                os.replace(temporary, self._path)
            except OSError:
                os.unlink(temporary)
                raise
            self._forget_old_ones()
        except OSError as error:
            log.debug("What one task was given cannot be shared with others: %s", error)

    def _forget_old_ones(self) -> None:
        for path in self._path.parent.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                if self._clock() - path.stat().st_mtime > _FORGOTTEN_AFTER_SECONDS:
                    path.unlink()
