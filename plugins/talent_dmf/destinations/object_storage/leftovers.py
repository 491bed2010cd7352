"""What a worker that was killed has left in a folder: removed by later runs of the same export, which prove it theirs.

A file that is being written is called ``<name>.<owner>-<word>.partial``. The owner is a hash of the task, its
environment, data project and legal entity (:func:`owner_of`), so nobody else's file is called so. Whether somebody is
still writing it tells the lock that a writer holds on a disk; where a store knows no locks, only its age does.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from talent_dmf.api.errors import TalentDmfError
from talent_dmf.destinations.object_storage.errors import store_errors
from talent_dmf.destinations.object_storage.store import ObjectFolder

log = logging.getLogger(__name__)

# No transfer that is alive leaves its file untouched for so long, whatever the clock of the server says.
ABANDONED = timedelta(hours=12)
_OWNER_CHARACTERS = 12


def owner_of(*words: str) -> str:
    """The word in the names of unfinished files by which an export knows its own.

    :param words: what makes the export this one and no other.
    """
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:_OWNER_CHARACTERS]


def lock(file_descriptor: int) -> bool:
    """Hold a file of a disk for as long as it is open; whether that was possible.

    :raises BlockingIOError: somebody else holds it.
    """
    try:
        fcntl.flock(file_descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        # A file system without locks.
        return False
    return True


def remove_leftovers(folder: ObjectFolder) -> None:
    """Remove what killed runs of this export have left in a folder. Where that fails, a later run tries again.

    :param folder: the folder; without an owner nothing in it is ours.
    """
    if folder.commits_on_close or not folder.owner:
        return
    ours = re.compile(rf"\.{re.escape(folder.owner)}-[0-9a-f]{{8}}\.partial\Z")
    try:
        names = folder.names()
    except TalentDmfError as error:
        _say_kept(error)
        return
    for name in filter(ours.search, names):
        aside = f"{name.removesuffix('.partial')}.old"
        if aside in names:
            log.warning(
                "A run that was killed left %s, which is what a file was before it was replaced. Look whether that "
                "file is there and right; then delete both, or give the old one its name.",
                folder.url(aside),
            )
            continue
        # One that is no file, or another user's, keeps no other from being removed.
        try:
            if _is_abandoned(folder, name):
                folder.delete(name)
                log.info("Removed %r, which a run that was killed had left.", name)
        except TalentDmfError as error:
            _say_kept(error)


def _say_kept(error: TalentDmfError) -> None:
    log.warning("What killed runs may have left could not be removed; the next run tries again. %s", error)


def _is_abandoned(folder: ObjectFolder, name: str) -> bool:
    with store_errors("look at", folder.url(name)):
        if folder.is_local:
            try:
                descriptor = os.open(folder.locate(name), os.O_RDWR | os.O_NOFOLLOW)
            except FileNotFoundError:
                return False
            try:
                if lock(descriptor):
                    return True
            except BlockingIOError:
                return False
            finally:
                os.close(descriptor)
        try:
            info = folder.fs.info(folder.locate(name))
        except FileNotFoundError:
            return False
    changed = _moment(info.get("mtime") or info.get("modified") or info.get("created"))
    return changed is not None and datetime.now(UTC) - changed > ABANDONED


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    try:
        return datetime.fromtimestamp(float(value), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
