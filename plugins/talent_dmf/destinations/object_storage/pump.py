"""The pump into any object store: a file goes there while it is being read, in constant memory, and is read back.

The reading leg is that of the transfer to OneDrive: ranges pinned to one version, read ahead, with a fresh link when
one expires. The writing leg is the store's own library (:mod:`.writers`). No store tells a checksum of a whole object
that holds for all of them (the entity tag of a multipart object of S3 is none, and ``Content-MD5`` of an Azure block
blob is whatever the client says), so the stored object is read back and its SHA-256 compared.

A later try begins the file anew, because no library resumes. It sends nothing if an earlier one had completed it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import ConfigurationError, NameConflictError, TransferError, TransferMismatchError
from talent_dmf.api.naming.drive_names import MAX_NUMBERED_NAMES, no_name_left, numbered_names
from talent_dmf.api.words import counted
from talent_dmf.destinations.object_storage.errors import name_taken
from talent_dmf.destinations.object_storage.moving import Move, take_back
from talent_dmf.destinations.object_storage.store import ObjectFolder
from talent_dmf.destinations.object_storage.writers import Writer, begin_file, partial_name
from talent_dmf.destinations.progress import Progress
from talent_dmf.destinations.task_state import TaskState
from talent_dmf.package_source.reader import Digests
from talent_dmf.package_source.source import FileReading, PackageFile, PackageSource

log = logging.getLogger(__name__)

_MAX_CONFLICTS = 5
_LOG_FROM_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A file in a store, complete and verified.

    :param url: its URL, without credentials.
    :param name: its name.
    :param size_bytes: its length.
    :param sha256: SHA-256 of what was read from the package, in hexadecimal; equal to that of what is stored.
    :param quick_xor_hash: quickXorHash of it in base64.
    :param duration_seconds: time from the first request to the verified file.
    :param already_there: whether it had been stored before.
    :param found: whether nothing but its content tells that it had been stored by this task.
    """

    url: str
    name: str
    size_bytes: int
    sha256: str
    quick_xor_hash: str
    duration_seconds: float
    already_there: bool = False
    found: bool = False


class ObjectStoragePump:
    """Brings files of a package into a folder of a store.

    :param package: where they come from.
    :param folder: where they go.
    :param facts: what earlier tries left.
    :param progress: called after each chunk, in the caller's thread.
    :param clock: monotonic seconds.
    :raises ConfigurationError: the package comes in chunks of no length.
    """

    def __init__(
        self,
        package: PackageSource,
        folder: ObjectFolder,
        *,
        facts: TaskState,
        progress: Callable[[Progress], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not isinstance(package.chunk_bytes, int) or package.chunk_bytes < 1:
            raise ConfigurationError(
                f"`chunk_bytes` is {package.chunk_bytes!r}, but must be a whole number of bytes from 1 on, such as "
                "10485760."
            )
        self._package, self._folder, self._facts = package, folder, facts
        self._progress, self._clock = progress, clock

    def save(self, file: PackageFile, conflict_behavior: ConflictBehavior) -> StoredObject:
        """Store a file.

        :param file: which.
        :param conflict_behavior: what to do if its name is taken: ``fail``, ``replace`` or ``rename``. Where the store
            has no conditional write, another writer may win the moment between the look and the write.
        :raises NameConflictError: the name is taken and the policy says fail.
        :raises TransferMismatchError: what is stored is not what was sent. It was deleted.
        :raises TransferError: it cannot be done.
        """
        began = self._clock()
        ours = self._earlier_try(file)
        there = ours or self._same_content(file)
        if there is not None:
            name, digests = there
            log.info("%s is there already, with the same content: nothing is sent.", self._folder.url(name))
            stored = self._stored(file, name, digests, began)
            return replace(stored, already_there=True, found=ours is None)
        conflicts = 0
        while True:
            name = self._free_name(file.name, conflict_behavior)
            try:
                name, digests = self._send(file, name, conflict_behavior)
                return self._stored(file, name, digests, began)
            except NameConflictError:
                conflicts += 1
                if conflict_behavior != "rename":
                    raise
                if conflicts == _MAX_CONFLICTS:
                    raise NameConflictError(
                        f"The free names beside {self._folder.url(file.name)} were taken while the file was being "
                        f"sent, {conflicts} times. Let one task at a time save under this name, and clear the task."
                    ) from None
                log.warning("%s was taken meanwhile. Sending it under the next free name.", self._folder.url(name))

    def _stored(self, file: PackageFile, name: str, digests: Digests, began: float) -> StoredObject:
        return StoredObject(
            url=self._folder.url(name),
            name=name,
            size_bytes=file.size_bytes,
            sha256=digests.sha256 or "",
            quick_xor_hash=digests.quick_xor.base64(),
            duration_seconds=self._clock() - began,
        )

    def _earlier_try(self, file: PackageFile) -> tuple[str, Digests] | None:
        """What an earlier try of this task has stored, perhaps without living to tell; its remains are removed."""
        facts = self._facts.load(file.slot)
        if not isinstance(facts, dict) or facts.get("folder") != self._folder.url():
            return None
        self._remove_remains(facts)
        mine = facts.get("wished") == file.name and facts.get("version") == file.version
        if not mine or not file.version or not facts.get("name"):
            return None
        return self._if_same(file, str(facts["name"]))

    def _remove_remains(self, facts: dict[str, Any]) -> None:
        """Also of a try that wished for another name: a name with a time in it is another one in each export."""
        if self._folder.commits_on_close or not facts.get("partial"):
            return
        partial = str(facts["partial"])
        if "before" in facts:
            take_back(self._folder, Move(str(facts["name"]), partial, facts["before"], str(facts["sha256"])))
        else:
            self._folder.delete(partial)

    def _same_content(self, file: PackageFile) -> tuple[str, Digests] | None:
        """The same file under the name wished for: a try whose facts are lost, or a task that was cleared."""
        return self._if_same(file, file.name)

    def _if_same(self, file: PackageFile, name: str) -> tuple[str, Digests] | None:
        if self._folder.size(name) != file.size_bytes:
            return None
        digests = self._package.digests(file, sha256=True)
        same = digests.sha256 == self._folder.sha256(name, self._package.stop.check)
        return (name, digests) if same else None

    def _send(self, file: PackageFile, name: str, conflict_behavior: ConflictBehavior) -> tuple[str, Digests]:
        folder, replace = self._folder, conflict_behavior == "replace"
        partial = partial_name(file.name, folder.owner)
        facts = {"folder": folder.url(), "wished": file.name, "version": file.version, "partial": partial}
        self._facts.save(file.slot, facts)
        writer = begin_file(folder, name, partial, replace=replace, block_bytes=self._package.chunk_bytes)
        try:
            digests = self._write(file, writer)
            writer.complete()
            if writer.staged is not None:
                self._compare(writer.staged, file, digests)
            self._package.stop.check()
            name = self._publish(file, writer, name, conflict_behavior, facts, digests)
        except BaseException:
            writer.abandon()
            raise
        if not writer.renames:
            self._prove(writer, name, file, digests)
        return name, digests

    def _prove(self, writer: Writer, name: str, file: PackageFile, digests: Digests) -> None:
        mark = self._folder.mark(name)
        try:
            self._compare(name, file, digests)
        except TransferMismatchError:
            present = self._folder.mark(name)
            if present is not None and present != mark:
                # Theirs is the newer one, so the old content is of no more use.
                writer.settle()
                raise NameConflictError(
                    f"{self._folder.url(name)} was written by somebody else while it was being read back, and is left "
                    "as it is. Let one task at a time save under this name, and clear the task."
                ) from None
            writer.undo(name)
            raise
        writer.settle()

    def _write(self, file: PackageFile, writer: Writer) -> Digests:
        began = self._clock()
        with closing(FileReading(self._package, file, sha256=True)) as reading:
            for chunk in reading.chunks():
                writer.write(chunk.data)
                if self._progress is not None:
                    elapsed = self._clock() - began
                    speed = chunk.end / elapsed if elapsed > 0 else 0.0
                    left = (file.size_bytes - chunk.end) / speed if speed else None
                    self._progress(Progress(chunk.end, file.size_bytes, speed, left, reading.renewed_links))
        return reading.digests

    def _holds(self, name: str, file: PackageFile, digests: Digests) -> bool:
        stored_bytes = self._folder.size(name)
        return stored_bytes == file.size_bytes and self._folder.sha256(name) == digests.sha256

    def _compare(self, name: str, file: PackageFile, digests: Digests) -> None:
        size = self._folder.size(name)
        if size is None:
            raise TransferMismatchError(
                f"The store took {self._folder.url(name)} and does not show it: somebody or a rule removed it. A retry "
                "sends it again."
            )
        if size != file.size_bytes:
            raise TransferMismatchError(
                f"The store holds {counted(size, 'byte')} of {self._folder.url(name)}, "
                f"where {file.size_bytes} should be. It was deleted there; a retry sends it again."
            )
        if size >= _LOG_FROM_BYTES:
            # It takes about as long as the sending, and without a line the task would seem to hang.
            log.info("Reading %s back to compare it: %.0f MB.", self._folder.url(name), size / 1e6)
        stored = self._folder.sha256(name, self._package.stop.check)
        if stored != digests.sha256:
            raise TransferMismatchError(
                f"The SHA-256 of {self._folder.url(name)} in the store is {stored}, and that of the package "
                f"{digests.sha256}. It was deleted there; a retry sends it again."
            )

    def _publish(
        self,
        file: PackageFile,
        writer: Writer,
        name: str,
        conflict_behavior: ConflictBehavior,
        facts: dict[str, Any],
        digests: Digests,
    ) -> str:
        for _ in range(MAX_NUMBERED_NAMES):
            # From here on a try that dies may have stored it, so the next one has to know under which name.
            self._facts.save(file.slot, {**facts, "name": name, **writer.prepare(name, digests.sha256 or "")})
            try:
                writer.publish(name, replace=conflict_behavior == "replace")
            except NameConflictError:
                # Somebody took the name in the meantime: perhaps we ourselves, when the store's library repeated a
                # commit whose answer was lost. What is staged in an object store has only this one name.
                if writer.staged is None and self._holds(name, file, digests):
                    return name
                if conflict_behavior != "rename" or writer.staged is None:
                    raise
                name = self._free_name(file.name, conflict_behavior)
            else:
                return name
        raise TransferError(f"No name beside {self._folder.url(file.name)} stays free. Clean the folder up.")

    def _free_name(self, wished: str, conflict_behavior: ConflictBehavior) -> str:
        if self._folder.size(wished) is None or conflict_behavior == "replace":
            return wished
        if conflict_behavior == "fail":
            raise name_taken(self._folder.url(wished))
        for name in numbered_names(wished):
            if self._folder.size(name) is None:
                return name
        raise no_name_left(self._folder.url(wished))
