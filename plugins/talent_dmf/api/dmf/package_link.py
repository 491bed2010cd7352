"""Finding the package of a finished export."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qs, unquote, urlsplit

from talent_dmf.api.dmf.actions import execution_status, exported_package_url
from talent_dmf.api.errors import PackageInvalidError, PackageNotAvailableError
from talent_dmf.api.models import EntityOutcome, PackageReference
from talent_dmf.api.package.download_range import Source
from talent_dmf.api.package.manifest import FETCH_AGAIN
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.steps import Sleep, Steps, now

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 15.0


def wait_for_link(execution_id: str, timeout_seconds: float) -> Steps[SecretUrl]:
    """A signed URL of an execution's package, as soon as there is one.

    The service answers an empty string for a while even after success (Recurring-Integrations-Scheduler loops on it),
    and has been seen to report success without ever making a package (RIS#166): hence the limit.

    :param execution_id: which execution.
    :param timeout_seconds: longest wait.
    :raises PackageNotAvailableError: there is none within the time, or none to be expected.
    """
    deadline = (yield from now()) + timedelta(seconds=timeout_seconds)
    pause = _FIRST_PAUSE_SECONDS
    while True:
        url = yield from exported_package_url(execution_id)
        if url is not None:
            return url
        if (yield from now()) >= deadline:
            raise (yield from _absent(execution_id, timeout_seconds))
        yield Sleep(pause, f"Execution {execution_id} has no package yet.")
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _absent(execution_id: str, timeout_seconds: float) -> Steps[PackageNotAvailableError]:
    status = yield from execution_status(execution_id)
    if status is None:
        return PackageNotAvailableError(
            f"Dynamics 365 does not know execution {execution_id} (any more): the job history and its packages are "
            "kept for 7 days. Clear trigger_export to export anew."
        )
    if status.is_running:
        return PackageNotAvailableError(
            f"Execution {execution_id} is still {status.value}: there is no package before it is finished. Wait for "
            "it with TalentDmfExecutionStatusSensor first."
        )
    return PackageNotAvailableError(
        f"Execution {execution_id} is {status.value}, but Dynamics 365 gave no package for {timeout_seconds:.0f} "
        "seconds. Check that the data project has 'Generate data package' set to Yes, and look at the job under Data "
        "management > Job history."
    )


def reference_to(
    execution_id: str, source: Source, entities: tuple[str, ...], without_file: tuple[str, ...] = ()
) -> PackageReference:
    """Where a package lies, without the signature that opens it.

    :param execution_id: the execution that made it.
    :param source: its signed URL, length and version.
    :param entities: names of its data files.
    :param without_file: labels of the entities of which it holds none.
    """
    parts = urlsplit(source.url.reveal())
    expires = parse_qs(parts.query).get("se", [None])[0]
    return PackageReference(
        execution_id=execution_id,
        host=parts.netloc,
        path=unquote(parts.path),
        size_bytes=source.size_bytes,
        etag=source.etag,
        extracted_at=_moment(source.modified).isoformat(),
        expires_at=expires,
        version=source.version,
        entities=entities,
        without_file=without_file,
    )


def told_of_empty(reference: PackageReference, outcomes: Sequence[EntityOutcome]) -> str:
    """What is to be told of the entities without a data file; ``""`` if there are none. To refuse the package for them
    would hold up the deltas of all other entities, which are consumed.

    :param reference: the package.
    :param outcomes: how each entity of the export went.
    :raises PackageInvalidError: one of them had rows, so they are not in the package.
    """
    told, lost = [], []
    for label in reference.without_file:
        counts = [each.rows for each in outcomes if each.entity_name.strip().casefold() == label.strip().casefold()]
        rows = None if None in counts or not counts else sum(count for count in counts if count is not None)
        told.append(f"{label!r} ({'rows unknown' if rows is None else 'no rows'})")
        if any(counts):
            lost.append(f"{label!r} ({'some' if rows is None else rows} rows)")
    if lost:
        raise PackageInvalidError(
            f"The package of execution {reference.execution_id} lacks data files: Dynamics 365 exported rows of "
            f"{', '.join(lost)}, and they are not in it. {FETCH_AGAIN}"
        )
    if not told:
        return ""
    return (
        f"The package of execution {reference.execution_id} holds no data file of {', '.join(told)}: it is taken for "
        "empty. If an entity should have had rows, look at the execution before the package is deleted (7 days)."
    )


def _moment(http_date: str) -> datetime:
    moment = parsedate_to_datetime(http_date)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
