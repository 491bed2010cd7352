"""Which saved files may go: those beyond the newest ones, and of them only what provably was written by us.

The proof is the receipt beside a file. It names the export that wrote it, and the size and hash that were verified
then; a file that is not, byte for byte, what its receipt says is somebody else's by now and stays. The receipts also
say when the package was made, by the clock of the service, so that neither the clocks of workers nor the sorting of the
store matter, and an old export that is saved once more is still an old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from talent_dmf.api.choices import MAX_KEEP_DAYS
from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.retention.receipts import RECEIPT_SUFFIX, Receipt, Series, WrittenFile


@dataclass(frozen=True, slots=True)
class Retention:
    """How many saved exports are kept.

    :param keep_last: the newest so many; ``None`` for no such rule.
    :param keep_days: those made not more than so many days ago, up to 36,500; ``None`` for no such rule. With both, an
        export goes only if neither keeps it.
    :raises ConfigurationError: a number is less than 1 or too large.
    """

    keep_last: int | None = None
    keep_days: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("keep_last", self.keep_last), ("keep_days", self.keep_days)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigurationError(f"`{name}` is {value!r}, but must be a whole number from 1 on.")
        if self.keep_days is not None and self.keep_days > MAX_KEEP_DAYS:
            raise ConfigurationError(f"`keep_days` is {self.keep_days}, but must be {MAX_KEEP_DAYS} at most.")

    def __bool__(self) -> bool:
        return self.keep_last is not None or self.keep_days is not None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as it is in the folder now.

    :param key: how the store names it.
    :param etag: its version, if the store tells one.
    """

    key: str
    name: str
    size_bytes: int
    quick_xor_hash: str = ""
    sha256: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Outdated:
    """A saved export that may go.

    :param receipt: its receipt as it is stored.
    :param files: its files that may be deleted.
    :param kept: its files that stay, and why. If there are any, the receipt stays with them.
    """

    receipt: StoredFile
    files: tuple[StoredFile, ...]
    kept: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class RetentionReport:
    """What became of it.

    :param deleted: names of what was deleted.
    :param kept: names of outdated files that stay, and why.
    :param unproven: how many files of the folder have no receipt of ours, and were not looked at.
    """

    deleted: list[str] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    unproven: int = 0


def outdated_receipts(
    receipts: Sequence[Receipt], series: Series, retention: Retention, now: datetime, current: str
) -> list[Receipt]:
    """The exports of a series beyond those to keep, oldest first.

    :param receipts: all receipts of the folder.
    :param series: which exports are counted.
    :param retention: what is kept.
    :param now: present time, aware.
    :param current: name of the receipt of this very export, which stays in any case.
    """
    if not retention:
        return []
    mine = [receipt for receipt in receipts if receipt.series == series]
    mine.sort(key=lambda receipt: (receipt.extracted_at, receipt.saved_at, receipt.name), reverse=True)
    gone: list[Receipt] = []
    for rank, receipt in enumerate(mine):
        among_last = retention.keep_last is not None and rank < retention.keep_last
        young = retention.keep_days is not None and now - receipt.extracted_at <= timedelta(days=retention.keep_days)
        if not among_last and not young and receipt.name != current:
            gone.append(receipt)
    return gone[::-1]


def plan_retention(
    receipts: Sequence[Receipt],
    stored: Sequence[StoredFile],
    series: Series,
    retention: Retention,
    now: datetime,
    current: str,
) -> list[Outdated]:
    """What may be deleted, oldest first: each file with the proof that it is ours and unchanged.

    :param receipts: all receipts of the folder.
    :param stored: all files of the folder, with the hashes that the store or a reading gave.
    :param series: which exports are counted.
    :param retention: what is kept.
    :param now: present time, aware.
    :param current: name of the receipt of this very export.
    """
    by_name = {file.name: file for file in stored}
    gone = outdated_receipts(receipts, series, retention, now, current)
    staying = {receipt.name for receipt in receipts} - {receipt.name for receipt in gone}
    claimed = {file.name for receipt in receipts if receipt.name in staying for file in receipt.files}
    plan: list[Outdated] = []
    for receipt in gone:
        files: list[StoredFile] = []
        kept: list[tuple[str, str]] = []
        for written in receipt.files:
            present = by_name.get(written.name)
            # Gone already; or never ours; or written anew by an export that is kept: then it is that one's.
            if present is None or written.found or written.name in claimed:
                continue
            doubt = doubt_about(written, present)
            if doubt:
                kept.append((written.name, doubt))
            else:
                files.append(present)
        if receipt.name in by_name:
            plan.append(Outdated(by_name[receipt.name], tuple(files), tuple(kept)))
    return plan


def doubt_about(written: WrittenFile, stored: StoredFile) -> str:
    """Why a file may not be what was written; ``""`` if it provably is.

    :param written: what the receipt says.
    :param stored: what is there.
    """
    if stored.name.endswith(RECEIPT_SUFFIX):
        return "a receipt is no file that a receipt can stand for"
    if written.size_bytes != stored.size_bytes:
        return f"it has {stored.size_bytes} bytes, and {written.size_bytes} were saved"
    pairs = [
        (written.quick_xor_hash, stored.quick_xor_hash),
        (written.sha256, stored.sha256),
    ]
    known = [(ours, theirs) for ours, theirs in pairs if ours and theirs]
    # OneDrive gives no hash for a file of no bytes (docs/wire/graph-onedrive.md#hashes), and there is nothing in it to
    # change.
    if not known and stored.size_bytes:
        return "there is no hash to compare it by"
    if any(ours != theirs for ours, theirs in known):
        return "its content was changed since"
    return ""
