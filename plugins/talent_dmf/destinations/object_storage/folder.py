"""A folder in an object store as a :class:`~talent_dmf.destinations.base.Place`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import DestinationError, TalentDmfError, TransportError
from talent_dmf.api.naming.drive_names import check_name
from talent_dmf.api.retention.plan import Retention, RetentionReport, StoredFile, outdated_receipts, plan_retention
from talent_dmf.api.retention.receipts import (
    MAX_RECEIPT_BYTES,
    RECEIPT_SUFFIX,
    Receipt,
    Series,
    WrittenFile,
    parse_receipt,
)
from talent_dmf.destinations.base import SavedFile
from talent_dmf.destinations.object_storage.pump import FactStore, ObjectStoragePump
from talent_dmf.destinations.object_storage.store import ObjectFolder
from talent_dmf.destinations.object_storage.writers import save_text
from talent_dmf.destinations.progress import Progress
from talent_dmf.package_source.source import PackageFile, PackageSource
from talent_dmf.transport.drivers import utcnow

# What the file systems of Linux take.
_MAX_DISK_NAME_BYTES = 255


class ObjectStorageFolder:
    """A folder.

    :param folder: where.
    :param conflict_behavior: what to do if a name is taken.
    :param facts: keeps what is known of a file for a later try of the task.
    :param progress: is told after each chunk.
    """

    def __init__(
        self,
        folder: ObjectFolder,
        conflict_behavior: ConflictBehavior,
        *,
        facts: FactStore,
        progress: Callable[[Progress], None],
    ) -> None:
        self._folder, self._conflict, self._facts, self._progress = folder, conflict_behavior, facts, progress

    def check(self, name: str) -> None:
        """Check a name before a byte moves: by OneDrive's rules, so that one catalogue serves both, and the disk's."""
        check_name(name)
        if self._folder.is_local and len(name.encode()) > _MAX_DISK_NAME_BYTES:
            raise DestinationError(
                f"The file name {name!r} has {len(name.encode())} bytes, and a disk takes {_MAX_DISK_NAME_BYTES}. "
                "Choose a shorter name."
            )

    def save(self, source: PackageSource, file: PackageFile) -> SavedFile:
        """Store a file, unless it is there, and read it back.

        :raises TransferError: it cannot be done.
        """
        pump = ObjectStoragePump(source, self._folder, facts=self._facts, progress=self._progress)
        stored = pump.save(file, self._conflict)
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
        )

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

    def apply_retention(self, series: Series, retention: Retention, current: str, report: RetentionReport) -> None:
        """Delete outdated exports.

        The store knows no hash that can be trusted, so what may go is read before. That takes its time, so each file
        is marked before it is read, and goes only if nobody has written it since.
        """
        sizes = self._folder.names()
        receipts = []
        for name, size in sizes.items():
            if name.endswith(RECEIPT_SUFFIX) and 0 < size <= MAX_RECEIPT_BYTES:
                receipt = self._read_receipt(name)
                if receipt is not None:
                    receipts.append(receipt)
        moment = utcnow()
        gone = outdated_receipts(receipts, series, retention, moment, current)
        written = {file.name: file.size_bytes for receipt in gone for file in receipt.files}
        outdated = {receipt.name: receipt for receipt in gone}
        stored = []
        for name, size in sizes.items():
            hashed, mark = "", ""
            if name in outdated or written.get(name) == size:
                mark = self._folder.mark(name) or ""
                if not mark or (name in outdated and self._read_receipt(name) != outdated[name]):
                    # Gone meanwhile, or written by another task, which has its own mind about it.
                    continue
                if name not in outdated:
                    hashed = self._folder.sha256(name)
            stored.append(StoredFile(name, name, size, sha256=hashed, etag=mark))
        accounted = {file.name for receipt in receipts for file in receipt.files} | {
            receipt.name for receipt in receipts
        }
        report.unproven = len(sizes.keys() - accounted)
        for each in plan_retention(receipts, stored, series, retention, moment, current):
            report.kept += each.kept
            whole = not each.kept
            for file in each.files:
                whole = self._delete(file, report) and whole
            if whole:
                # Last, because it is the proof for the others.
                self._delete(each.receipt, report)

    def _read_receipt(self, name: str) -> Receipt | None:
        try:
            return parse_receipt(name, b"".join(self._folder.pieces(name)))
        except DestinationError:
            # It was listed, so another task has deleted it since.
            return None

    def _delete(self, file: StoredFile, report: RetentionReport) -> bool:
        try:
            present = self._folder.mark(file.name)
            if present is not None and present != file.etag:
                report.kept.append((file.name, "it was changed a moment ago"))
                return False
            self._folder.delete(file.name)
        except TransportError:
            raise
        except TalentDmfError as error:
            report.kept.append((file.name, f"it could not be deleted: {error}"))
            return False
        report.deleted.append(file.name)
        return True
