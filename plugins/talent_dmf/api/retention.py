"""Which saved files may go: those beyond the newest ones, and of them only what provably was written by us.

The proof is the receipt beside a file. It names the export that wrote it, and the size and hash that were verified
then; a file that is not, byte for byte, what its receipt says is somebody else's by now and stays. The receipts also
say when a file was saved, so that neither the clock nor the sorting of the store matters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from talent_dmf.api.errors import ConfigurationError

RECEIPT_SUFFIX = ".receipt.json"
WRITTEN_BY = "airflow-provider-talent-dmf"
# A receipt of 92 entities has 40 kB; what is larger is none.
MAX_RECEIPT_BYTES = 1024 * 1024
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Retention:
    """How many saved exports are kept.

    :param keep_last: the newest so many; ``None`` for no such rule.
    :param keep_days: those not older than so many days; ``None`` for no such rule. With both, an export goes only if
        neither keeps it.
    :raises ConfigurationError: a number is less than 1.
    """

    keep_last: int | None = None
    keep_days: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("keep_last", self.keep_last), ("keep_days", self.keep_days)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigurationError(f"`{name}` is {value!r}, but must be a whole number from 1 on.")

    def __bool__(self) -> bool:
        return self.keep_last is not None or self.keep_days is not None


@dataclass(frozen=True, slots=True)
class Series:
    """The exports that are counted together: of one DAG, data project and legal entity."""

    dag_id: str
    definition_group_id: str
    legal_entity_id: str


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file as it was verified when it was saved.

    :param name: its name in the folder.
    :param size_bytes: its length.
    :param quick_xor_hash: quickXorHash in base64, or ``""``.
    :param sha256: SHA-256 in hexadecimal, or ``""``.
    :param entity: label of the entity, for a file of a package.
    """

    name: str
    size_bytes: int
    quick_xor_hash: str = ""
    sha256: str = ""
    entity: str = ""


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
class Receipt:
    """What a receipt says.

    :param name: name of the receipt.
    :param series: the export that wrote it.
    :param saved_at: when, aware.
    :param files: what was saved with it.
    """

    name: str
    series: Series
    saved_at: datetime
    files: tuple[WrittenFile, ...]


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


def write_receipt(
    package: WrittenFile | None, files: Sequence[WrittenFile], facts: Mapping[str, Any], saved_at: datetime
) -> str:
    """The text of a receipt. It explains a saved export without Airflow, and is the proof that retention goes by.

    :param package: the package, unless only its files were saved.
    :param files: everything that was saved, the package included.
    :param facts: what else is known: where it came from, when and why.
    :param saved_at: when, aware.
    """
    whole = _described(package) if package is not None else dict.fromkeys(("size_bytes", "quick_xor_hash", "sha256"))
    content = {
        "written_by": WRITTEN_BY,
        "receipt_version": _VERSION,
        "file": whole.pop("name", None),
        **{name: whole[name] for name in ("size_bytes", "quick_xor_hash", "sha256")},
        **facts,
        "files": [{**_described(file), "entity": file.entity or None} for file in files],
        "saved_at": saved_at.isoformat(timespec="seconds"),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _described(file: WrittenFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "size_bytes": file.size_bytes,
        "quick_xor_hash": file.quick_xor_hash or None,
        "sha256": file.sha256 or None,
    }


def parse_receipt(name: str, text: str | bytes) -> Receipt | None:
    """Read a receipt; ``None`` if it is not one of ours, or of another release.

    :param name: its name in the folder.
    :param text: its content.
    """
    try:
        raw = json.loads(text)
        if raw["written_by"] != WRITTEN_BY or raw["receipt_version"] != _VERSION:
            return None
        saved_at = datetime.fromisoformat(raw["saved_at"])
        files = tuple(
            WrittenFile(
                _text(file["name"]),
                int(file["size_bytes"]),
                _text(file["quick_xor_hash"] or ""),
                _text(file["sha256"] or ""),
                _text(file.get("entity") or ""),
            )
            for file in raw["files"]
        )
        series = Series(_text(raw["dag_id"]), _text(raw["definition_group_id"]), _text(raw["legal_entity_id"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return Receipt(name, series, saved_at, files) if saved_at.tzinfo is not None else None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


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
    # The one that was just written counts as the newest, whatever the clocks of the workers say.
    mine.sort(key=lambda receipt: (receipt.name == current, receipt.saved_at, receipt.name), reverse=True)
    gone: list[Receipt] = []
    for rank, receipt in enumerate(mine):
        among_last = retention.keep_last is not None and rank < retention.keep_last
        young = retention.keep_days is not None and now - receipt.saved_at <= timedelta(days=retention.keep_days)
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
            # Gone already, or written anew by an export that is kept: then it is that one's.
            if present is None or written.name in claimed:
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
    if not known:
        return "there is no hash to compare it by"
    if any(ours != theirs for ours, theirs in known):
        return "its content was changed since"
    return ""
