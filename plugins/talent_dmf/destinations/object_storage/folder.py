"""A folder in an object store as a :class:`~talent_dmf.destinations.base.DestinationFolder`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import DestinationError, TalentDmfError
from talent_dmf.api.naming.drive_names import check_name
from talent_dmf.api.retention.plan import StoredFile
from talent_dmf.api.retention.receipts import MAX_RECEIPT_BYTES, RECEIPT_SUFFIX, WrittenFile
from talent_dmf.destinations.base import SavedFile
from talent_dmf.destinations.object_storage.leftovers import remove_leftovers
from talent_dmf.destinations.object_storage.pump import ObjectStoragePump, StoredObject
from talent_dmf.destinations.object_storage.store import ObjectFolder
from talent_dmf.destinations.object_storage.writers import partial_name, save_text
from talent_dmf.destinations.progress import Progress
from talent_dmf.destinations.task_state import TaskState
from talent_dmf.package_source.source import PackageFile, PackageSource

log = logging.getLogger(__name__)

# What the file systems of Linux take.
_MAX_DISK_NAME_BYTES = 255


class ObjectStorageFolder:
    """A folder.

    :param folder: where.
    :param conflict_behavior: what to do if a name is taken.
    :param facts: keeps what is known of a file for a later try of the task.
    :param progress: receives how far it is, after each chunk.
    """

    def __init__(
        self,
        folder: ObjectFolder,
        conflict_behavior: ConflictBehavior,
        *,
        facts: TaskState,
        progress: Callable[[Progress], None],
    ) -> None:
        self._folder, self._conflict, self._facts, self._progress = folder, conflict_behavior, facts, progress
        self._looked_for_leftovers = False

    def check(self, name: str) -> None:
        """Check a name before a byte moves: by OneDrive's rules, so that one catalogue serves both, and the disk's."""
        check_name(name)
        if self._folder.is_local and len(name.encode()) > _MAX_DISK_NAME_BYTES:
            raise DestinationError(
                f"The file name {name!r} has {len(name.encode())} bytes, and a disk takes {_MAX_DISK_NAME_BYTES}. "
                "Choose a shorter name."
            )

    def check_writable(self, *, leaves_nothing: bool = False) -> str:
        """Make the folder, and store and delete an empty file in it.

        :param leaves_nothing: whether no folder is made: where it is missing, the one above it is tried.
        """
        folder = self._folder.deepest() if leaves_nothing else self._folder
        if not leaves_nothing:
            folder.ensure()
            remove_leftovers(folder)
        probe = partial_name(".check", folder.owner)
        save_text(folder, probe, "")
        try:
            folder.delete(probe)
        except TalentDmfError as error:
            # A store that nobody may delete in takes packages all the same.
            log.warning("The empty file of the check stays in the store: %s", error.message)
        made = "" if folder.path == self._folder.path else ", where the folder will be made"
        return f"A file can be made in {folder.url()}{made}."

    def has(self, name: str) -> bool:
        """Whether a file of that name is there."""
        return self._folder.size(name) is not None

    def save(self, source: PackageSource, file: PackageFile) -> SavedFile:
        """Store a file, unless it is there, and read it back.

        :raises TransferError: it cannot be done.
        """
        if not self._looked_for_leftovers:
            self._looked_for_leftovers = True
            remove_leftovers(self._folder)
        pump = ObjectStoragePump(source, self._folder, facts=self._facts, progress=self._progress)
        had_the_name = self._folder.size(file.name) is not None
        stored = pump.save(file, "replace" if file.replaces else self._conflict)
        speed = stored.size_bytes / 1e6 / max(stored.duration_seconds, 1e-3)
        how = f"{stored.duration_seconds:.1f} s ({speed:.1f} MB/s), read back, SHA-256 {stored.sha256} verified"
        if stored.already_there:
            how = f"there already, SHA-256 {stored.sha256} compared"
        return SavedFile(
            WrittenFile(
                stored.name, stored.size_bytes, stored.quick_xor_hash, stored.sha256, file.entity, stored.found
            ),
            {"url": stored.url, "name": stored.name, "size": stored.size_bytes, "sha256": stored.sha256},
            stored.url,
            how,
            # What was replaced is gone; the name keeps at least what replaced it.
            None if stored.already_there or (had_the_name and stored.name == file.name) else self._taking_back(stored),
        )

    def _taking_back(self, stored: StoredObject) -> Callable[[], None]:
        file = StoredFile(stored.name, stored.name, stored.size_bytes, etag=self._folder.mark(stored.name) or "")
        return lambda: None if self.delete_file(file) else log.info("Deleted %r again.", stored.name)

    def save_text(self, name: str, text: str) -> None:
        """Store a short text, in the place of one that has the name."""
        save_text(self._folder, name, text)

    def read_text(self, name: str) -> bytes | None:
        """The content of a short text, or ``None`` if nothing has the name."""
        size = self._folder.size(name)
        if size is None:
            return None
        return b"".join(self._folder.pieces(name)) if size <= MAX_RECEIPT_BYTES else b""

    def describe(self) -> dict[str, Any]:
        """The folder itself, as an XCom describes a file."""
        return {"url": self._folder.url(), "name": self._folder.path.rpartition("/")[2], "size": None, "sha256": None}

    def list_files(self) -> list[StoredFile]:
        """The files of the folder with their lengths."""
        return [StoredFile(name, name, size) for name, size in self._folder.names().items()]

    def read_file(self, file: StoredFile) -> bytes | None:
        """The content of a short file, or ``None`` if it is gone."""
        try:
            return b"".join(self._folder.pieces(file.name))
        except DestinationError:
            # It was listed, so another task has deleted it since.
            return None

    def describe_file(self, file: StoredFile) -> StoredFile | None:
        """A file with its version and its SHA-256.

        The store knows no hash that can be trusted, so it is read. That takes its time, so it is marked before, and
        deleted only if nobody has written it since.
        """
        mark = self._folder.mark(file.name)
        if mark is None:
            return None
        hashed = "" if file.name.endswith(RECEIPT_SUFFIX) else self._folder.sha256(file.name)
        return replace(file, sha256=hashed, etag=mark)

    def delete_file(self, file: StoredFile) -> str:
        """Delete a file in the version that was looked at; why not, if it was changed since."""
        present = self._folder.mark(file.name)
        if present is not None and present != file.etag:
            return "it was changed a moment ago"
        self._folder.delete(file.name)
        return ""
