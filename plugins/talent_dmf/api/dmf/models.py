"""The values of an export: plain, immutable, and plain JSON where they cross a process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

from talent_dmf.api.arguments import moment, optional
from talent_dmf.api.dmf.status import DmfExecutionStatus
from talent_dmf.api.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What ``ExportToPackage`` is asked.

    :param definition_group_id: the data project's *name*, whatever the API calls it
        (docs/wire/dmf-package-api.md#the-data-project-is-named).
    :param package_name: file name that the service gives the package.
    :param legal_entity_id: company code such as ``USMF``; one export is of one company.
    :param execution_id: id made by us before the call, so that a lost answer loses nothing.
    :param re_execute: the API's ``reExecute``.
    """

    definition_group_id: str
    package_name: str
    legal_entity_id: str
    execution_id: str
    re_execute: bool = False


@dataclass(frozen=True, slots=True)
class StartedExport:
    """An export that is known to exist.

    :param execution_id: the id under which the service knows it.
    :param adopted: whether it had been started before, by a try whose answer was lost.
    """

    execution_id: str
    adopted: bool


@dataclass(frozen=True, slots=True)
class EntityOutcome:
    """How one entity of an export went, from ``DataManagementExecutionJobDetails``.

    :param entity_name: the entity's label.
    :param staging_status: word of the service for the staging step.
    :param target_status: word of the service for the target step.
    :param rows: rows exported, or ``None`` if the service does not say.
    """

    entity_name: str
    staging_status: str
    target_status: str
    rows: int | None


@dataclass(frozen=True, slots=True)
class ExecutionErrorRow:
    """One row of ``GetExecutionErrors``."""

    record_id: str
    field: str
    message: str


EVENT_VERSION = 1


EventKind: TypeAlias = Literal["finished", "unsettled", "sla_missed", "timed_out", "error"]


@dataclass(frozen=True, slots=True)
class ExecutionEvent:
    """What the trigger tells the sensor: versioned, because worker and triggerer may run different releases.

    It carries the times that the wait goes on with, because ``dag.test()`` of Airflow 3.3.2 drops the keyword arguments
    of ``defer`` (docs/wire/airflow.md#deferral).

    :param execution_id: the execution that was watched.
    :param kind: ``finished`` (terminal status), ``unsettled`` (not found or Unknown beyond the grace period),
        ``sla_missed``, ``timed_out`` or ``error`` (the watch itself could not go on).
    :param started_at: when the wait began, ISO 8601.
    :param status: DMF status, for ``finished`` and ``unsettled``.
    :param deadline: when the wait gives up, ISO 8601, if it does.
    :param unsettled_since: since when the service has not known how the export stands, ISO 8601.
    :param message: one sentence, for ``error``.
    :param retryable: for ``error``: whether a later try may succeed.
    """

    execution_id: str
    kind: EventKind
    started_at: str
    status: str | None = None
    deadline: str | None = None
    unsettled_since: str | None = None
    message: str = ""
    retryable: bool = False
    version: int = field(default=EVENT_VERSION)

    def to_json(self) -> dict[str, Any]:
        """The event as plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: object, execution_id: str) -> ExecutionEvent:
        """Read an event, and refuse whatever is not one for this execution: a resume without proof of success
        must not succeed (R6).

        :param raw: the event's payload as Airflow hands it over.
        :param execution_id: the execution that the sensor waits for.
        :raises ProtocolError: missing, foreign, incomplete or newer than this release.
        """
        if not isinstance(raw, dict) or raw.get("kind") not in get_args(EventKind) or not _has_times(raw):
            raise ProtocolError(
                f"The wait for execution {execution_id} was resumed without a readable event; "
                "nothing is known about the export. Retry the task: it asks the service again."
            )
        if raw.get("version") != EVENT_VERSION:
            raise ProtocolError(
                f"The wait for execution {execution_id} was resumed with an event of version {raw.get('version')!r}, "
                f"this release reads version {EVENT_VERSION}. Run the same release on workers and triggerer, "
                "then retry the task."
            )
        if raw.get("execution_id") != execution_id:
            raise ProtocolError(
                f"The wait for execution {execution_id} was resumed with an event of another execution "
                f"({raw.get('execution_id')!r}). Retry the task."
            )
        status = DmfExecutionStatus.parse(raw.get("status"))
        if raw["kind"] == "finished" and not (status is not None and status.is_terminal):
            raise ProtocolError(
                f"The wait for execution {execution_id} was resumed as finished, with the status "
                f"{raw.get('status')!r}, which is not final. Retry the task: it asks the service again."
            )
        known = {name: raw[name] for name in cls.__dataclass_fields__ if name in raw}
        return cls(**known)


def _has_times(raw: Mapping[str, Any]) -> bool:
    """Whether the times of an event are those that a wait can go on with."""
    optional_moment = optional(moment)
    return moment(raw.get("started_at")) is None and not any(
        optional_moment(raw.get(name)) for name in ("deadline", "unsettled_since")
    )


@dataclass(frozen=True, slots=True)
class WaitState:
    """How far a wait has come; absolute times, so that it survives a restart of the triggerer.

    :param started_at: when the wait began.
    :param unsettled_since: since when the service has not known the execution or answered ``Unknown``.
    :param polls: number of status calls made so far.
    """

    started_at: datetime
    unsettled_since: datetime | None = None
    polls: int = 0
