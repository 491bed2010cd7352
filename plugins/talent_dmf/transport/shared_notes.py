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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from talent_dmf.api.parsing import read_json

log = logging.getLogger(__name__)
_MAX_FILE_BYTES = 256 * 1024


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

        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            # Held for as long as it takes to write a few lines.
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)


def _object(text: str) -> dict[str, Any]:
    try:
        found = read_json(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
