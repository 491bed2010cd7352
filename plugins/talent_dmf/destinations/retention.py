"""Retention over a folder, whatever the destination: reads the receipts there and deletes what may go.

A folder is listed, receipts are read, and what a receipt proves is deleted: a file in the version that was looked at,
and last the receipt itself, because it is the proof for the others.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from talent_dmf.api.errors import TalentDmfError, TransportError
from talent_dmf.api.retention.plan import Retention, RetentionReport, StoredFile, outdated_receipts, plan_retention
from talent_dmf.api.retention.receipts import MAX_RECEIPT_BYTES, RECEIPT_SUFFIX, Receipt, Series, parse_receipt


class ListedFolder(Protocol):
    """What retention needs of a folder."""

    def list_files(self) -> list[StoredFile]:
        """The files of the folder, as far as a listing describes them."""
        ...

    def read_file(self, file: StoredFile) -> bytes | None:
        """The content of a short file, or ``None`` if it is gone: other tasks clean up the same folder."""
        ...

    def describe_file(self, file: StoredFile) -> StoredFile | None:
        """A file with its version and with a hash of its content, or ``None`` if it is gone.

        Asked only about what may be outdated: a store that knows no hash has to read the file for it.
        """
        ...

    def delete_file(self, file: StoredFile) -> str:
        """Delete a file in the version that was looked at; why not, if it was changed since.

        :raises TalentDmfError: it cannot be deleted.
        """
        ...


def apply_retention(
    folder: ListedFolder, series: Series, retention: Retention, current: str, report: RetentionReport
) -> None:
    """Delete the outdated exports of a series from a folder.

    :param folder: the folder.
    :param series: which exports are counted.
    :param retention: what is kept.
    :param current: name of the receipt of the export that was just saved.
    :param report: takes note of what becomes of it, as it happens.
    :raises TalentDmfError: the folder or a receipt cannot be read, or the service is out of reach. A file that cannot
        be deleted is reported instead.
    """
    files = folder.list_files()
    receipts = [receipt for file in files if (receipt := _read_receipt(folder, file)) is not None]
    accounted = {file.name for receipt in receipts for file in receipt.files} | {receipt.name for receipt in receipts}
    report.unproven = sum(file.name not in accounted for file in files)
    moment = datetime.now(UTC)
    gone = {receipt.name: receipt for receipt in outdated_receipts(receipts, series, retention, moment, current)}
    stored = _described(folder, files, gone)
    for outdated in plan_retention(receipts, stored, series, retention, moment, current):
        report.kept += outdated.kept
        whole = not outdated.kept
        for file in outdated.files:
            whole = _delete(folder, file, report) and whole
        if whole:
            _delete(folder, outdated.receipt, report)


def _read_receipt(folder: ListedFolder, file: StoredFile) -> Receipt | None:
    if not file.name.endswith(RECEIPT_SUFFIX) or not 0 < file.size_bytes <= MAX_RECEIPT_BYTES:
        return None
    content = folder.read_file(file)
    return None if content is None else parse_receipt(file.name, content)


def _described(folder: ListedFolder, files: list[StoredFile], gone: dict[str, Receipt]) -> list[StoredFile]:
    """The files, and of those that may go their versions and hashes."""
    written = {file.name: file.size_bytes for receipt in gone.values() for file in receipt.files}
    stored = []
    for file in files:
        known: StoredFile | None = file
        if file.name in gone or written.get(file.name) == file.size_bytes:
            known = folder.describe_file(file)
            if known is not None and file.name in gone and _read_receipt(folder, known) != gone[file.name]:
                # Written meanwhile by another task, which has its own mind about it.
                continue
        if known is not None:
            stored.append(known)
    return stored


def _delete(folder: ListedFolder, file: StoredFile, report: RetentionReport) -> bool:
    try:
        changed = folder.delete_file(file)
    except TransportError:
        raise
    except TalentDmfError as error:
        changed = f"it could not be deleted: {error}"
    if changed:
        report.kept.append((file.name, changed))
        return False
    report.deleted.append(file.name)
    return True
