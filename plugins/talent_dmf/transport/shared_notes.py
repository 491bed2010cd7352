"""What the processes of one user on one machine tell each other about an environment: a small file.

Workers and triggerers are processes of their own, and the service counts their requests together. What is told only
helps: whatever is wrong with the file, nothing is told, and the job goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from talent_dmf.api.parsing import read_json

log = logging.getLogger(__name__)
_MAX_FILE_BYTES = 256 * 1024
# What is told holds for ten minutes at most. A file that was not written to for a day is of an environment, or of an
# application, that is not used any more.
_FORGOTTEN_AFTER_SECONDS = 86_400.0
_NAME = re.compile(r"[0-9a-f]{40}\.notes")


class SharedNotes:
    """Facts about one environment, as JSON.

    :param folder: a folder that only this user can read and write.
    :param about: which environment, and whose requests.
    """

    def __init__(self, folder: Path, about: str) -> None:
        self._path = folder / f"{hashlib.sha256(about.encode()).hexdigest()[:40]}.notes"

    def read(self) -> dict[str, Any]:
        """What was told; nothing if nothing was, or nothing that can be read."""
        try:
            with open(os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8") as file:
                return _object(file.read(_MAX_FILE_BYTES))
        except (OSError, UnicodeError):
            return {}

    def change(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        """Tell something, while nobody else does.

        :param change: makes what is told now of what was told before.
        :returns: what is told now.
        """
        try:
            with self._locked() as handle:
                told = change(_object(os.pread(handle, _MAX_FILE_BYTES, 0).decode("utf-8", "replace")))
                content = json.dumps(told).encode()
                if len(content) <= _MAX_FILE_BYTES:
                    os.pwrite(handle, content, 0)
                    os.ftruncate(handle, len(content))
                return told
        except (OSError, UnicodeError) as error:
            log.debug("Other processes cannot be told of an environment: %s", error)
            return change({})

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        import fcntl

        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                # Held for as long as it takes to write a few lines.
                fcntl.flock(handle, fcntl.LOCK_EX)
                # Whoever forgets old files may have removed this one meanwhile: what is told in it, nobody hears.
                if os.fstat(handle).st_nlink:
                    yield handle
                    break
            finally:
                os.close(handle)
        if _last_look.is_long_ago():
            _forget_old_ones(self._path.parent)


class _LastLook:
    """When this process has looked for old files: its first time, and then once an hour."""

    def __init__(self) -> None:
        self._next = 0.0

    def is_long_ago(self) -> bool:
        moment = time.monotonic()
        if moment < self._next:
            return False
        self._next = moment + 3600.0
        return True


_last_look = _LastLook()


def _forget_old_ones(folder: Path) -> None:
    """Remove the files that were not written to for long: a regular file of this user's, named as these are.

    :param folder: where.
    """
    import fcntl

    for path in folder.glob("*.notes"):
        if not _NAME.fullmatch(path.name):
            continue
        with contextlib.suppress(OSError), open(os.open(path, os.O_RDWR | os.O_NOFOLLOW)) as file:
            # Whoever holds it is about to write to it.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(file.fileno())
            is_ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid()
            if is_ours and time.time() - found.st_mtime > _FORGOTTEN_AFTER_SECONDS:
                path.unlink()


def _object(text: str) -> dict[str, Any]:
    try:
        found = read_json(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
