"""Receipts: a small file beside a saved export says what it is, without Airflow, and is what retention goes by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

RECEIPT_SUFFIX = ".receipt.json"
WRITTEN_BY = "airflow-provider-talent-dmf"
# A receipt of 92 entities has 40 kB; what is larger is none.
MAX_RECEIPT_BYTES = 1024 * 1024
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Series:
    """The exports that are counted together: those that one task makes of one project and legal entity.

    :param environment: root of the environment's API: two environments may save into one folder.
    :param dag_id: the DAG.
    :param task_id: the task that saves: a DAG may save an export in several forms.
    :param definition_group_id: the data project.
    :param legal_entity_id: the company. The service does not tell upper from lower case in it.
    """

    environment: str
    dag_id: str
    task_id: str
    definition_group_id: str
    legal_entity_id: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "legal_entity_id", self.legal_entity_id.strip().upper())


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file as it was verified when it was saved.

    :param name: its name in the folder.
    :param size_bytes: its length.
    :param quick_xor_hash: quickXorHash in base64, or ``""``.
    :param sha256: SHA-256 in hexadecimal, or ``""``.
    :param entity: label of the entity, for a file of a package.
    :param found: whether it was there before, with the same content, and nothing shows that we had written it.
    """

    name: str
    size_bytes: int
    quick_xor_hash: str = ""
    sha256: str = ""
    entity: str = ""
    found: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt says.

    :param name: name of the receipt.
    :param series: the export that wrote it.
    :param execution_id: the execution.
    :param extracted_at: when the package was made, aware.
    :param saved_at: when it was saved, aware.
    :param files: what was saved with it.
    """

    name: str
    series: Series
    execution_id: str
    extracted_at: datetime
    saved_at: datetime
    files: tuple[WrittenFile, ...]


def write_receipt(
    package: WrittenFile | None,
    files: Sequence[WrittenFile],
    series: Series,
    facts: Mapping[str, Any],
    saved_at: datetime,
) -> str:
    """The text of a receipt.

    :param package: the package, unless only its files were saved.
    :param files: everything that was saved, the package included.
    :param series: the export.
    :param facts: what else is known, ``execution_id`` and ``extracted_at`` at least: where it came from, when and why.
    :param saved_at: when, aware.
    :raises TypeError: a fact is nothing that JSON knows.
    """
    whole = _described(package) if package is not None else dict.fromkeys(("size_bytes", "quick_xor_hash", "sha256"))
    content = {
        "written_by": WRITTEN_BY,
        "receipt_version": _VERSION,
        "file": whole.pop("name", None),
        **{name: whole[name] for name in ("size_bytes", "quick_xor_hash", "sha256")},
        "execution_id": facts["execution_id"],
        "definition_group_id": series.definition_group_id,
        "legal_entity_id": series.legal_entity_id,
        "environment": series.environment,
        "extracted_at": facts["extracted_at"],
        "dag_id": series.dag_id,
        "task_id": series.task_id,
        **facts,
        "files": [{**_described(file), "entity": file.entity or None, "found": file.found} for file in files],
        # Exports of one second are distinguished.
        "saved_at": saved_at.isoformat(timespec="milliseconds"),
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
        return Receipt(
            name=name,
            series=Series(
                _text(raw["environment"]),
                _text(raw["dag_id"]),
                _text(raw["task_id"]),
                _text(raw["definition_group_id"]),
                _text(raw["legal_entity_id"]),
            ),
            execution_id=_text(raw["execution_id"]),
            extracted_at=_moment(raw["extracted_at"]),
            saved_at=_moment(raw["saved_at"]),
            files=tuple(_file(file) for file in raw["files"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _file(raw: Mapping[str, Any]) -> WrittenFile:
    size, found = raw["size_bytes"], raw["found"]
    if isinstance(size, bool) or not isinstance(size, int) or size < 0 or not isinstance(found, bool):
        raise TypeError("no length")
    return WrittenFile(
        _text(raw["name"]),
        size,
        _text(raw["quick_xor_hash"] or ""),
        _text(raw["sha256"] or ""),
        _text(raw["entity"] or ""),
        found,
    )


def _moment(value: object) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value
