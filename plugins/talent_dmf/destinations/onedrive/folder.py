"""A folder in OneDrive or a SharePoint library as a :class:`~talent_dmf.destinations.base.DestinationFolder`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import DestinationError, TransferMismatchError
from talent_dmf.api.graph.drive import deepest_folder, delete_item, ensure_folder, list_children, read_content
from talent_dmf.api.graph.models import Drive, DriveItem, UploadTarget
from talent_dmf.api.graph.upload.session import create_session
from talent_dmf.api.graph.upload.upload import SeenBefore, candidates
from talent_dmf.api.naming.drive_names import check_path, folder_segments
from talent_dmf.api.retention.plan import StoredFile
from talent_dmf.api.retention.receipts import MAX_RECEIPT_BYTES, WrittenFile
from talent_dmf.destinations.base import SavedFile
from talent_dmf.destinations.onedrive.pump import PackagePump, cancel_quietly, check_seen
from talent_dmf.destinations.progress import Progress
from talent_dmf.package_source.source import PackageFile, PackageSource

if TYPE_CHECKING:
    from talent_dmf.destinations.onedrive.session_store import SessionStore
    from talent_dmf.hooks.onedrive import OneDriveHook

log = logging.getLogger(__name__)

# What libraries of sites and groups write their own properties into:
# docs/wire/graph-onedrive.md#libraries-that-change-files.
_REWRITTEN = (".docx", ".docm", ".html", ".htm", ".pdf", ".pptx", ".pptm", ".xlsx", ".xlsm")


class OneDriveFolder:
    """A folder.

    :param graph: the service.
    :param drive: the drive.
    :param folder: path of the folder below the drive's root.
    :param conflict_behavior: what to do if a name is taken.
    :param stores: keeps the session of a file for a later try of the task, by slot; or ``None``.
    :param sha256: whether that hash is wanted as well, for a receipt.
    :param progress: receives how far it is, after each range.
    :param last_try: whether no later try of the task will follow.
    """

    def __init__(
        self,
        graph: OneDriveHook,
        drive: Drive,
        folder: str,
        conflict_behavior: ConflictBehavior,
        *,
        stores: Callable[[str], SessionStore | None],
        sha256: bool,
        progress: Callable[[Progress], None],
        last_try: bool = False,
    ) -> None:
        self._graph, self._drive, self._folder, self._conflict = graph, drive, folder, conflict_behavior
        self._stores, self._sha256, self._progress, self._last_try = stores, sha256, progress, last_try

    def check(self, name: str) -> None:
        """Check a name before a byte moves."""
        check_path(self._folder, name)

    def check_writable(self, *, leaves_nothing: bool = False) -> str:
        """Make the folder, or open and cancel an upload in it: that asks for every right and leaves no file behind.

        :param leaves_nothing: whether no folder is made: where it is missing, the one above it is tried.
        """
        folder = self._folder
        if leaves_nothing:
            folder = self._graph.run(deepest_folder(self._drive.id, self._folder))
        elif self._graph.run(ensure_folder(self._drive.id, self._folder)):
            # Whoever may make a folder may make a file in it.
            return f"The folder {folder!r} was made in drive {self._drive.name or self._drive.id!r}."
        probe = UploadTarget(folder, f"check-{uuid4()}", "fail")
        session = self._graph.run(create_session(self._drive.id, probe, 1))
        cancel_quietly(self._graph.run, session.url)
        made = "" if folder_segments(folder) == folder_segments(self._folder) else ", where the folder will be made"
        return f"An upload can be begun in {folder or '/'!r} of drive {self._drive.name or self._drive.id!r}{made}."

    def has(self, name: str) -> bool:
        """Whether a file of that name is there."""
        return self._graph.get_item(self._drive.id, UploadTarget(self._folder, name).path) is not None

    def save(self, source: PackageSource, file: PackageFile) -> SavedFile:
        """Upload a file, unless it is there.

        :raises TransferError: it cannot be done.
        """
        target = UploadTarget(self._folder, file.name, "replace" if file.replaces else self._conflict)
        check_path(target.folder, target.name)
        store = self._stores(file.slot)
        record, seen = store.load() if store is not None else None, None
        if record is None or not record.fits(self._drive.id, target, file.version, file.size_bytes):
            present = self._graph.run(candidates(self._drive.id, target))
            found = self._same_content(source, file, present)
            if found is not None:
                return found
            hashed = any(item.size_bytes == file.size_bytes for item in present)
            if target.conflict_behavior != "rename" and not hashed:
                seen = SeenBefore(self._drive, next(iter(present), None))
        pump = PackagePump(
            source,
            file,
            self._graph.get_conn(),
            drive_id=self._drive.id,
            target=target,
            progress=self._progress,
            session_store=store,
            sha256=self._sha256,
            last_try=self._last_try,
            seen=seen,
        )
        try:
            result = pump.run()
        except TransferMismatchError as mismatch:
            if file.entity and self._drive.drive_type == "documentLibrary" and file.name.lower().endswith(_REWRITTEN):
                raise DestinationError(
                    f"SharePoint changed {file.name!r} while it was saved, as libraries do with Office files, so it "
                    f"cannot be verified. {mismatch.message} Save the package only, unpack into somebody's OneDrive, "
                    "or let the data project export CSV or XML."
                ) from mismatch
            raise
        speed = result.bytes_sent / 1e6 / max(result.duration_seconds, 1e-3)
        resumed = f", taken up at byte {result.resumed_from_bytes}" if result.resumed_from_bytes else ""
        how = f"{result.duration_seconds:.1f} s ({speed:.1f} MB/s), quickXorHash {result.quick_xor_hash} verified"
        if result.already_there:
            how = "saved by an earlier try"
        return _saved(result.item, file, result.quick_xor_hash, result.sha256 or "", how + resumed, result.size_bytes)

    def save_text(self, name: str, text: str) -> None:
        """Save a short text, in the place of one that has the name."""
        self._graph.save_text(self._drive.id, UploadTarget(self._folder, name, "replace"), text)

    def read_text(self, name: str) -> bytes | None:
        """The content of a short text, or ``None`` if nothing has the name."""
        item = self._graph.get_item(self._drive.id, UploadTarget(self._folder, name).path)
        if item is None:
            return None
        if item.is_folder or item.size_bytes > MAX_RECEIPT_BYTES:
            return b""
        return self._graph.run(read_content(self._drive.id, item.id, name))

    def describe(self) -> dict[str, Any]:
        """The folder itself, as an XCom describes a file."""
        item = self._graph.get_item(self._drive.id, self._folder)
        if item is None:
            # Nothing was saved in it: no entity of the package has a file.
            self._graph.run(ensure_folder(self._drive.id, self._folder))
            item = self._graph.get_item(self._drive.id, self._folder)
        if item is None:
            raise DestinationError(
                f"The folder {self._folder!r} is not there any more: it was renamed or deleted. Clear the task: it "
                "makes the folder again."
            )
        return item.to_json()

    def list_files(self) -> list[StoredFile]:
        """The files of the folder, with the hashes that the service gives."""
        items = self._graph.run(list_children(self._drive.id, self._folder))
        return [
            StoredFile(item.id, item.name, item.size_bytes, item.quick_xor_hash or "", etag=item.etag)
            for item in items
            if not item.is_folder
        ]

    def read_file(self, file: StoredFile) -> bytes | None:
        """The content of a short file, or ``None`` if it is gone."""
        return self._graph.run(read_content(self._drive.id, file.key, file.name))

    def describe_file(self, file: StoredFile) -> StoredFile | None:
        """The file as it was listed: the service gives version and hash at once."""
        return file

    def delete_file(self, file: StoredFile) -> str:
        """Delete a file in the version that was listed, to the recycle bin."""
        self._graph.run(delete_item(self._drive.id, file.key, etag=file.etag))
        return ""

    def _same_content(self, source: PackageSource, file: PackageFile, present: Sequence[DriveItem]) -> SavedFile | None:
        """The file, if it is there: a try of which nothing is known any more, or a task that was cleared."""
        alike = [item for item in present if item.size_bytes == file.size_bytes and not item.is_folder]
        if not alike:
            return None
        digests = source.digests(file, sha256=self._sha256)
        quick_xor_hash = digests.quick_xor.base64()
        for item in alike:
            if item.quick_xor_hash == quick_xor_hash or not file.size_bytes:
                item = check_seen(self._graph.run, self._drive.id, item, quick_xor_hash, self._folder)
                log.info("%r is there already, with the same content: nothing is sent.", item.name)
                how = f"there already, quickXorHash {quick_xor_hash} compared"
                return _saved(item, file, quick_xor_hash, digests.sha256 or "", how, file.size_bytes, found=True)
        return None


def _saved(
    item: DriveItem,
    file: PackageFile,
    quick_xor_hash: str,
    sha256: str,
    how: str,
    size_bytes: int,
    *,
    found: bool = False,
) -> SavedFile:
    written = WrittenFile(item.name, size_bytes, quick_xor_hash, sha256, file.entity, found)
    return SavedFile(written, item.to_json(), item.web_url, how)
