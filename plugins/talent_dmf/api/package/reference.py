"""The reference to a package that a run passes on: where it lies, without the signature that opens it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from talent_dmf.api.errors import ConfigurationError, PackageInvalidError
from talent_dmf.api.package.download_range import Source
from talent_dmf.api.package.manifest import FETCH_AGAIN
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.words import counted


@dataclass(frozen=True, slots=True)
class PackageReference:
    """Where a package lies, without the signature that opens it.

    :param execution_id: the execution that made it; a fresh signed URL is fetched by it.
    :param host: Blob host.
    :param path: Blob path, without the query.
    :param size_bytes: length of the package in bytes.
    :param etag: entity tag of the copy that was looked at.
    :param version: what tells the content from any other, whichever copy is read.
    :param extracted_at: ISO 8601 time at which the package was made.
    :param expires_at: ISO 8601 time at which the signed URL that was looked at expires, if it says so.
    :param entities: names of the data files in the package.
    :param without_file: labels of the entities of which it holds none.
    """

    execution_id: str
    host: str
    path: str
    size_bytes: int
    etag: str
    extracted_at: str
    expires_at: str | None = None
    version: str = ""
    entities: tuple[str, ...] = ()
    without_file: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The reference as plain JSON, for an XCom."""
        return {**asdict(self), "entities": list(self.entities), "without_file": list(self.without_file)}

    @classmethod
    def from_json(cls, raw: object) -> PackageReference:
        """Read a reference back.

        :param raw: what :meth:`to_json` gave.
        :raises ConfigurationError: it is none.
        """
        known = {name: raw[name] for name in cls.__dataclass_fields__ if name in raw} if isinstance(raw, dict) else {}
        try:
            reference = cls(**{**known, **{name: _names(known.get(name)) for name in ("entities", "without_file")}})
        except TypeError as error:
            raise _no_reference() from error
        wrong = reference._wrong()
        if wrong:
            raise _no_reference(f": its {', '.join(wrong)} cannot be right")
        return reference

    def _wrong(self) -> list[str]:
        right = {
            name: isinstance(getattr(self, name), str)
            for name in ("execution_id", "host", "path", "etag", "extracted_at", "version")
        }
        right["execution_id"] = right["execution_id"] and bool(self.execution_id)
        right["extracted_at"] = right["extracted_at"] and _is_moment(self.extracted_at)
        right["size_bytes"] = type(self.size_bytes) is int and self.size_bytes >= 0
        right["expires_at"] = isinstance(self.expires_at, str | None)
        right["entities"] = all(isinstance(name, str) for name in self.entities)
        right["without_file"] = all(isinstance(label, str) for label in self.without_file)
        return [f"`{name}`" for name, holds in right.items() if not holds]


def _names(value: Any) -> tuple[Any, ...]:
    # A text would become its letters.
    return (0,) if isinstance(value, str) else tuple(value or ())


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _no_reference(words: str = "") -> ConfigurationError:
    return ConfigurationError(
        f"`package` must be what TalentDmfExportedPackageUrlOperator returns (its XCom), and is something else{words}."
    )


def reference_to(
    execution_id: str,
    source: Source,
    extracted_at: datetime,
    entities: tuple[str, ...],
    without_file: tuple[str, ...] = (),
) -> PackageReference:
    """Where a package lies, without the signature that opens it.

    :param execution_id: the execution that made it.
    :param source: its signed URL, length and version.
    :param extracted_at: when the package was made.
    :param entities: names of its data files.
    :param without_file: labels of the entities of which it holds none.
    """
    parts = urlsplit(source.url.reveal())
    return PackageReference(
        execution_id=execution_id,
        host=parts.netloc,
        path=unquote(parts.path),
        size_bytes=source.size_bytes,
        etag=source.etag,
        extracted_at=extracted_at.isoformat(),
        expires_at=_expires_at(source.url),
        version=source.version,
        entities=entities,
        without_file=without_file,
    )


def _expires_at(url: SecretUrl) -> str | None:
    given = parse_qs(urlsplit(url.reveal()).query).get("se")
    return given[0] if given else None


def link_expiry(url: SecretUrl) -> datetime | None:
    """When a signed URL expires; ``None`` if it does not say.

    :param url: the URL.
    """
    try:
        moment = datetime.fromisoformat(_expires_at(url) or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def missing_files(reference: PackageReference, rows_of_entities: Sequence[tuple[str, int | None]]) -> str:
    """A sentence on the entities without a data file; ``""`` if there are none. To refuse the package for them
    would hold up the deltas of all other entities, which are consumed.

    :param reference: the package.
    :param rows_of_entities: label of each entity of the export, and how many rows of it were exported; ``None`` if the
        service does not say.
    :raises PackageInvalidError: one of them had rows, so they are not in the package.
    """
    empty: list[str] = []
    unknown: list[str] = []
    lost: list[str] = []
    for label in reference.without_file:
        counts = [count for name, count in rows_of_entities if name.strip().casefold() == label.strip().casefold()]
        rows = None if None in counts or not counts else sum(count for count in counts if count is not None)
        (unknown if rows is None else empty).append(repr(label))
        if any(counts):
            lost.append(f"{label!r} ({'some rows' if rows is None else counted(rows, 'row')})")
    if lost:
        raise PackageInvalidError(
            f"The package of execution {reference.execution_id} lacks data files: Dynamics 365 exported rows of "
            f"{', '.join(lost)}, and they are not in it. {FETCH_AGAIN}"
        )
    sentences = []
    if empty:
        sentences.append(f"no data file of {', '.join(empty)}, of which no rows were exported")
    if unknown:
        sentences.append(
            f"no data file of {', '.join(unknown)}, and whether rows of it were exported is unknown: look at the "
            "execution in Dynamics 365 before its package is deleted (7 days)"
        )
    if not sentences:
        return ""
    return f"The package of execution {reference.execution_id} holds {'; and '.join(sentences)}."
