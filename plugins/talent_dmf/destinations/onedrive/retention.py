"""Retention in a drive: reads the receipts of a folder and deletes what may go, to the recycle bin."""

from __future__ import annotations

from urllib.parse import quote

from talent_dmf.api.errors import ProtocolError, TalentDmfError, TransportError
from talent_dmf.api.graph.drive import delete_item, list_children
from talent_dmf.api.graph.models import DriveItem
from talent_dmf.api.retention.plan import Retention, RetentionReport, StoredFile, plan_retention
from talent_dmf.api.retention.receipts import MAX_RECEIPT_BYTES, RECEIPT_SUFFIX, Series, parse_receipt
from talent_dmf.api.steps import Request, Steps, now, send


def apply_retention(
    drive_id: str, folder: str, series: Series, retention: Retention, current: str, report: RetentionReport
) -> Steps[None]:
    """Delete the outdated exports of a series from a folder.

    :param drive_id: the drive.
    :param folder: path of the folder below the root.
    :param series: which exports are counted.
    :param retention: what is kept.
    :param current: name of the receipt of the export that was just saved.
    :param report: is told what becomes of it, as it happens.
    :raises TalentDmfError: the folder or a receipt cannot be read, or the service is out of reach. A file that cannot
        be deleted is reported instead.
    """
    items = [item for item in (yield from list_children(drive_id, folder)) if not item.is_folder]
    stored = [
        StoredFile(item.id, item.name, item.size_bytes, item.quick_xor_hash or "", etag=item.etag) for item in items
    ]
    receipts = []
    for item in items:
        if item.name.endswith(RECEIPT_SUFFIX) and 0 < item.size_bytes <= MAX_RECEIPT_BYTES:
            content = yield from read_small(drive_id, item)
            receipt = parse_receipt(item.name, content) if content is not None else None
            if receipt is not None:
                receipts.append(receipt)
    accounted = {file.name for receipt in receipts for file in receipt.files} | {receipt.name for receipt in receipts}
    report.unproven = sum(file.name not in accounted for file in stored)
    moment = yield from now()
    for outdated in plan_retention(receipts, stored, series, retention, moment, current):
        report.kept += outdated.kept
        whole = not outdated.kept
        for file in outdated.files:
            whole = (yield from _delete(drive_id, file, report)) and whole
        if whole:
            # Last, because it is the proof for the others.
            yield from _delete(drive_id, outdated.receipt, report)


def _delete(drive_id: str, file: StoredFile, report: RetentionReport) -> Steps[bool]:
    try:
        yield from delete_item(drive_id, file.key, etag=file.etag)
    except TransportError:
        raise
    except TalentDmfError as error:
        report.kept.append((file.name, f"it could not be deleted: {error}"))
        return False
    report.deleted.append(file.name)
    return True


def read_small(drive_id: str, item: DriveItem) -> Steps[bytes | None]:
    """The content of a small file, or ``None`` if it is gone: other tasks clean up the same folder.

    The service answers with the address of it (learn.microsoft.com ``driveItem: download``), which takes no bearer
    token.

    :param drive_id: the drive.
    :param item: the file.
    :raises ProtocolError: the service does not give it.
    """
    url = f"/drives/{quote(drive_id, safe='!')}/items/{quote(item.id, safe='!')}/content"
    response = yield from send(Request("GET", url, operation="read receipt"))
    location = response.headers.get("location", "")
    if response.status in {301, 302, 303, 307, 308} and location:
        response = yield from send(Request("GET", location, operation="read receipt", authorize=False))
    if response.status == 404:
        return None
    if response.status != 200:
        raise ProtocolError(
            f"OneDrive does not give the content of {item.name!r}. Look at the file there.",
            status_code=response.status,
            request_ids=response.request_ids,
        )
    return response.body
