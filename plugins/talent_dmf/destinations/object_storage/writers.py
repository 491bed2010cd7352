"""How a file gets into a store all at once.

Stores differ in when a file that is being written becomes visible, and so there are three ways to write one:

* a disk (``file://``): under a temporary name beside it, synchronised, then renamed in one step of the file system;
* object stores (``abfs://``, ``s3://``, ``gs://``): blocks or parts are staged where nobody sees them, and the object
  appears, or changes from its old content to the new, with the commit that ``close`` sends;
* anything else: under a temporary name, then moved by whatever the store has for it
  (:mod:`talent_dmf.destinations.object_storage.moving`).

fsspec commits what was staged when a file object is closed, also by ``with`` and by the garbage collector, and even
while an exception is on its way: half a file would appear. A file that is given up is therefore marked, not closed.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import logging
import os
import uuid
from contextlib import suppress
from typing import Any, Protocol

from talent_dmf.api.errors import TransferMismatchError
from talent_dmf.destinations.object_storage.errors import store_errors
from talent_dmf.destinations.object_storage.leftovers import lock
from talent_dmf.destinations.object_storage.moving import MovingWriter
from talent_dmf.destinations.object_storage.store import ObjectFolder, set_mode

log = logging.getLogger(__name__)

# S3 takes no smaller part, but for the last one.
_SMALLEST_PART_BYTES = 5 * 1024 * 1024


def begin_file(folder: ObjectFolder, final: str, partial: str, *, replace: bool, block_bytes: int) -> Writer:
    """Begin a file.

    :param folder: where.
    :param final: its name.
    :param partial: its name while it is incomplete, where the store needs one.
    :param replace: whether it may take the place of one that has the name.
    :param block_bytes: length of the blocks that it is sent in.
    """
    folder.ensure()
    with store_errors("write", folder.url(final)):
        if folder.is_local:
            return _DiskWriter(folder, partial)
        if folder.commits_on_close:
            return _StagingWriter(folder, final, replace=replace, block_bytes=block_bytes)
        return MovingWriter(folder, partial, block_bytes=block_bytes)


def partial_name(name: str, owner: str = "") -> str:
    """A name for the time being, short enough for a disk, whose names have at most 255 bytes.

    :param name: the name that the file shall have in the end.
    :param owner: who writes it (:mod:`talent_dmf.destinations.object_storage.leftovers`).
    """
    word = f"{owner}-{uuid.uuid4().hex[:8]}" if owner else uuid.uuid4().hex[:8]
    return f"{name.encode()[:60].decode(errors='ignore')}.{word}.partial"


def save_text(folder: ObjectFolder, name: str, text: str) -> None:
    """Store a short text as a file, in UTF-8, in the place of one that has the name.

    :param folder: where.
    :param name: its name.
    :param text: a few kilobytes.
    :raises TransferMismatchError: what is stored is not what was sent.
    """
    content = text.encode()
    writer = begin_file(folder, name, partial_name(name, folder.owner), replace=True, block_bytes=len(content))
    try:
        writer.write(memoryview(content))
        writer.complete()
        writer.prepare(name, hashlib.sha256(content).hexdigest())
        writer.publish(name, replace=True)
    except BaseException:
        writer.abandon()
        raise
    writer.settle()
    if b"".join(folder.pieces(name)) != content:
        raise TransferMismatchError(f"The store does not hold {folder.url(name)} as it was sent. Try again.")


class Writer(Protocol):
    """A file that is being written.

    The order is ``write`` …, ``complete``, ``prepare``, ``publish``, and last ``settle`` or ``undo``; or ``abandon`` at
    any time before ``publish`` returns.
    """

    @property
    def renames(self) -> bool:
        """Whether what is published is the very file that was staged, so that comparing that one is enough."""
        ...

    @property
    def staged(self) -> str | None:
        """The name to read it back by once it is complete and before it is published, if there is one."""
        ...

    def write(self, data: memoryview) -> None:
        """Add bytes."""
        ...

    def complete(self) -> None:
        """All bytes are written."""
        ...

    def prepare(self, name: str, sha256: str) -> dict[str, Any]:
        """What the next try has to know if this one dies while it publishes; nothing of it is secret.

        :param name: the name that it shall have.
        :param sha256: of its content, in hexadecimal.
        """
        ...

    def publish(self, name: str, *, replace: bool) -> None:
        """Make it visible.

        :raises NameConflictError: the name is taken and must not be replaced.
        """
        ...

    def settle(self) -> None:
        """It was published and is good: what is left of the old one is deleted."""
        ...

    def undo(self, name: str) -> None:
        """It was published and is not what was sent: it is deleted, and the old one comes back if it is still there."""
        ...

    def abandon(self) -> None:
        """Leave nothing behind."""
        ...


class _DirectWriter:
    """What is published has its name in one step, so that there is nothing to prepare or to settle."""

    _folder: ObjectFolder

    def prepare(self, name: str, sha256: str) -> dict[str, Any]:
        return {}

    def settle(self) -> None:
        """Nothing is left of the old one."""

    def undo(self, name: str) -> None:
        self._folder.delete(name)


class _DiskWriter(_DirectWriter):
    renames = True

    def __init__(self, folder: ObjectFolder, partial: str) -> None:
        self._folder, self.staged = folder, partial
        self._path = folder.locate(partial)
        self._file = open(self._path, "xb", buffering=0, opener=self._open)  # noqa: SIM115 - closed by publish or abandon

    def _open(self, path: str, flags: int) -> int:
        descriptor = os.open(path, flags | os.O_NOFOLLOW, self._folder.modes.file)
        try:
            set_mode(descriptor, self._folder.modes.file)
            # Held until the file has its name: so another run knows that somebody is alive.
            lock(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def write(self, data: memoryview) -> None:
        with store_errors("write", self._folder.url(self.staged)):
            while data:
                data = data[self._file.write(data) :]

    def complete(self) -> None:
        with store_errors("write", self._folder.url(self.staged)):
            os.fsync(self._file.fileno())

    def publish(self, name: str, *, replace: bool) -> None:
        target = self._folder.locate(name)
        with store_errors("save", self._folder.url(name)):
            if replace:
                os.replace(self._path, target)
            else:
                self._link(target)
            self._file.close()
            directory = os.open(self._folder.path, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _link(self, target: str) -> None:
        """Give the file a name that must be free: a link, unlike a rename, never takes a taken one."""
        try:
            os.link(self._path, target)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}:
                raise
            # A file system without links: the look and the rename are two steps.
            if os.path.lexists(target):
                raise FileExistsError(target) from None
            os.rename(self._path, target)
        else:
            os.unlink(self._path)

    def abandon(self) -> None:
        self._file.close()
        with suppress(OSError):
            os.unlink(self._path)


class _StagingWriter(_DirectWriter):
    renames = False
    staged = None

    def __init__(self, folder: ObjectFolder, final: str, *, replace: bool, block_bytes: int) -> None:
        self._folder, self._name = folder, final
        if folder.protocol in {"s3", "s3a"}:
            block_bytes = max(block_bytes, _SMALLEST_PART_BYTES)
        open_ = functools.partial(folder.fs.open, folder.locate(final), block_size=block_bytes)
        try:
            # "xb" makes the commit conditional where the store can do that (adlfs, s3fs and gcsfs can).
            self._file = open_("wb" if replace else "xb")
        except (NotImplementedError, ValueError):
            self._file = open_("wb")

    def write(self, data: memoryview) -> None:
        with store_errors("write", self._folder.url(self._name)):
            self._file.write(data)

    def complete(self) -> None:
        """Nothing: what is complete is visible here."""

    def publish(self, name: str, *, replace: bool) -> None:
        try:
            with store_errors("save", self._folder.url(name), replace=replace):
                self._file.close()
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        _give_up(self._file)


def _give_up(file: Any) -> None:
    """Let go of a file of an object store without committing it; what was staged expires there by itself."""
    try:
        # S3 and Google can be asked to forget at once; for the others this does nothing.
        file.discard()
    except Exception as error:  # noqa: BLE001 - a store's library raises whatever it likes
        log.warning(
            "What was staged in the store could not be discarded (%s); a lifecycle rule of the bucket, or the store "
            "itself, removes it.",
            type(error).__name__,
        )
    # What `close` and the garbage collector look at before they commit.
    file.forced = True
    file.closed = True
