"""Why an export did not succeed, in words: entity by entity, message by message (no peer says it)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from talent_dmf.api.choices import PartialSuccess
from talent_dmf.api.dmf.actions import ask_entity_outcomes, ask_page_url, execution_errors
from talent_dmf.api.dmf.models import EntityOutcome, ExecutionErrorRow
from talent_dmf.api.dmf.status import DmfExecutionStatus
from talent_dmf.api.errors import (
    EXPORT_ANEW,
    ConfigurationError,
    ExportCanceledError,
    ExportError,
    ExportFailedError,
    ExportPartiallySucceededError,
    ExportUnknownError,
    PermissionDeniedError,
    ProtocolError,
    RequestRefusedError,
    TalentDmfError,
)
from talent_dmf.api.redaction import redact
from talent_dmf.api.steps import Steps, collecting_request_ids, hurried
from talent_dmf.api.words import counted

# An apostrophe inside a word quotes nothing.
_QUOTED = re.compile(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"")
_NUMBER = re.compile(r"\b\d+\b")
MAX_MESSAGES = 10
# The service is there and will not say; it may say something else.
_REFUSALS = (ProtocolError, ConfigurationError, PermissionDeniedError, RequestRefusedError)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What the service says about an execution.

    :param entities: outcome of each entity.
    :param errors: messages, row by row.
    :param page_url: the execution's page in Dynamics 365, for people.
    :param gaps: what could not be asked, in words.
    :param request_ids: identifiers to quote to Microsoft support, by header name.
    """

    entities: tuple[EntityOutcome, ...] = ()
    errors: tuple[ExecutionErrorRow, ...] = ()
    page_url: str | None = None
    gaps: tuple[str, ...] = ()
    request_ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int | None:
        """Rows exported over all entities, or ``None`` if the service does not say for every one."""
        counts = [entity.rows for entity in self.entities]
        return sum(count for count in counts if count is not None) if counts and None not in counts else None

    def lines(self) -> list[str]:
        """The report for a task log, a line each. Values are masked: they may be data of real people."""
        lines = [
            f"Entity {entity.entity_name}: staging {entity.staging_status or 'unknown'}, "
            f"target {entity.target_status or 'unknown'}, rows {entity.rows if entity.rows is not None else 'unknown'}"
            for entity in self.entities
        ]
        groups = grouped_messages(self.errors)
        lines += [f"{count} x {message}" for message, count in groups[:MAX_MESSAGES]]
        if len(groups) > MAX_MESSAGES:
            lines.append(f"... and {len(groups) - MAX_MESSAGES} more kinds of message.")
        if self.page_url:
            lines.append(f"Job page in Dynamics 365: {redact(self.page_url)}")
        return lines + list(self.gaps)


def grouped_messages(errors: Sequence[ExecutionErrorRow]) -> list[tuple[str, int]]:
    """Messages with their number of rows, most frequent first. Quoted values and numbers are masked: they make one
    message of many, and they may be names and personnel numbers of real people."""
    masked = (_QUOTED.sub("'…'", " ".join(row.message.split())) for row in errors if row.message)
    return Counter(_NUMBER.sub("#", redact(message)) for message in masked).most_common()


def export_report(execution_id: str) -> Steps[ExportReport]:
    """Ask everything that explains an execution. What cannot be asked becomes a gap, never an error: the end
    must not be lost because its explanation could not be had. Nor is it held up: no question is waited for long, and
    after one to which the service was silent no other one is asked.

    :param execution_id: which execution.
    """
    gaps: list[str] = []
    request_ids: dict[str, str] = {}
    entities: list[EntityOutcome] = []
    errors: list[ExecutionErrorRow] = []
    page_url: str | None = None
    subject = "The entities' outcomes"
    try:
        try:
            entities = yield from collecting_request_ids(hurried(ask_entity_outcomes(execution_id)), request_ids)
        except _REFUSALS as error:
            gaps.append(f"{subject} could not be read: {error.message}")
        subject = "The error messages"
        try:
            errors = yield from collecting_request_ids(hurried(execution_errors(execution_id)), request_ids)
        except _REFUSALS as error:
            gaps.append(f"{subject} could not be read: {error.message}")
        subject = "The job page's address"
        page_url = yield from hurried(ask_page_url(execution_id))
    except TalentDmfError as error:
        gaps.append(f"{subject} could not be read: {error.message}")
    return ExportReport(tuple(entities), tuple(errors), page_url, tuple(gaps), request_ids)


def export_error(
    execution_id: str, status: DmfExecutionStatus | None, report: ExportReport, partial_success: PartialSuccess
) -> ExportError | None:
    """The error that a final status means, or ``None`` if the export counts as a success. It carries the report's lines
    as notes, and the identifiers that Microsoft support asks for.

    :param execution_id: which execution.
    :param status: its final status; ``None`` if the service does not know it.
    :param report: what the service says about it.
    :param partial_success: whether ``PartiallySucceeded`` counts.
    """
    if status is DmfExecutionStatus.SUCCEEDED:
        return None
    if status is DmfExecutionStatus.PARTIALLY_SUCCEEDED and partial_success == "accept":
        return None
    kind, words = _kind_and_sentence(execution_id, status, report)
    error = kind(
        words, execution_id=execution_id, status=status.value if status else None, request_ids=report.request_ids
    )
    for line in report.lines():
        error.add_note(line)
    return error


def _kind_and_sentence(
    execution_id: str, status: DmfExecutionStatus | None, report: ExportReport
) -> tuple[type[ExportError], str]:
    groups = grouped_messages(report.errors)
    reason = (
        f" The most frequent error, of {counted(groups[0][1], 'row')}: {groups[0][0].rstrip('. ')}." if groups else ""
    )
    page = f" See {redact(report.page_url)}." if report.page_url else " See Data management > Job history."
    if status is DmfExecutionStatus.PARTIALLY_SUCCEEDED:
        return ExportPartiallySucceededError, (
            f"Export {execution_id} succeeded only in part.{reason}{page} To save what was exported, set "
            f"`partial_success: accept` and clear this task; to have all of it, correct the rows. {EXPORT_ANEW}"
        )
    if status is DmfExecutionStatus.FAILED:
        return ExportFailedError, (f"Export {execution_id} failed in Dynamics 365.{reason}{page} {EXPORT_ANEW}")
    if status is DmfExecutionStatus.CANCELED:
        return ExportCanceledError, (
            f"Export {execution_id} was canceled in Dynamics 365 by somebody.{page} {EXPORT_ANEW}"
        )
    seen = "does not know" if status is None else f"answers only {status.value!r} for"
    return ExportUnknownError, (
        f"Dynamics 365 {seen} execution {execution_id}, for longer than the grace period.{page} Its job "
        "history may have been cleaned up (7 days), or the batch service is stuck: ask whoever runs the environment. "
        f"{EXPORT_ANEW}"
    )
