"""The package API of the DMF: its URLs, JSON keys and shapes of answers (docs/wire/dmf-package-api.md#calls)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from talent_dmf.api.addresses import PAGE_HOSTS, link_for_people, parse_address
from talent_dmf.api.dmf.models import EntityOutcome, ExecutionErrorRow, ExportRequest
from talent_dmf.api.dmf.odata import (
    execution_denied,
    refusal,
    same_name,
    value_of,
)
from talent_dmf.api.dmf.status import DmfExecutionStatus
from talent_dmf.api.errors import ProtocolError, TalentDmfError
from talent_dmf.api.paging import read_list
from talent_dmf.api.parsing import read_json, whole_number
from talent_dmf.api.redaction import SecretUrl, printable
from talent_dmf.api.steps import Request, Response, Steps, informing, send

_SET = "data/DataManagementDefinitionGroups"
# Bounds of what is said of a bad end; the first messages say as much as all.
_MAX_MESSAGES_CHARACTERS = 4 * 1024 * 1024
_MAX_MESSAGES = 20_000
_MAX_PIECE = 8_000
_MAX_LABEL = 2_000
ZERO_GUID = "00000000-0000-0000-0000-000000000000"
# ExportToPackage may block while the export runs for up to an hour
# (docs/wire/dmf-package-api.md#starting-may-take-long). We do not hang on it: after this silence the execution is
# looked for by its id.
EXPORT_TO_PACKAGE_SILENCE_SECONDS = 240.0


def _action(
    name: str, body: Mapping[str, Any], *, idempotent: bool = True, silence: float | None = None
) -> Steps[Response]:
    return send(
        Request(
            "POST",
            f"{_SET}/Microsoft.Dynamics.DataEntities.{name}",
            operation=name,
            json=dict(body),
            idempotent=idempotent,
            timeout_seconds=silence,
        )
    )


def _value(name: str, response: Response, subject: str) -> Any:
    if not response.ok:
        raise refusal(name, response, subject)
    return value_of(name, response)


def export_to_package(request: ExportRequest) -> Steps[str | None]:
    """Start an export.

    All five keys are always sent: a missing or null one is refused as "Model state is invalid"
    (docs/wire/dmf-package-api.md#all-five-parameters).

    :param request: what to export, under which id.
    :returns: the id under which the service runs it; ``None`` if it answered none (an all-zero GUID means that the
        request was not accepted, as Microsoft's own sample tests).
    :raises TransportError: with its fate unknown; look for the id before anything else.
    :raises RequestRefusedError: see :func:`talent_dmf.api.dmf.checking.why_refused`.
    """
    name = "ExportToPackage"
    body = {
        "definitionGroupId": request.definition_group_id,
        "packageName": request.package_name,
        "executionId": request.execution_id,
        "reExecute": request.re_execute,
        "legalEntityId": request.legal_entity_id,
    }
    response = yield from _action(name, body, idempotent=False, silence=EXPORT_TO_PACKAGE_SILENCE_SECONDS)
    value = _value(name, response, request.definition_group_id)
    if not isinstance(value, str) or not value.strip() or value.strip() == ZERO_GUID:
        return None
    return value.strip()


def execution_status(execution_id: str) -> Steps[DmfExecutionStatus | None]:
    """How an execution stands.

    :returns: its status; ``None`` if the service does not know the execution (yet): it may deny an id for seconds
        that it has just given, and now and then answers a bare 400 that means nothing
        (docs/wire/dmf-package-api.md#not-found-at-first).
    :raises ProtocolError: a status that the contract does not know.
    """
    return (yield from ask_execution(execution_id))[0]


def ask_execution(execution_id: str) -> Steps[tuple[DmfExecutionStatus | None, bool]]:
    """How an execution stands, and whether the service says in so many words that it does not know it.

    :returns: as :func:`execution_status`, and whether it was denied: a bare 400 denies nothing.
    :raises ProtocolError: a status that the contract does not know.
    """
    name = "GetExecutionSummaryStatus"
    response = yield from _action(name, {"executionId": execution_id})
    if execution_denied(response):
        return None, True
    if response.status == 400:
        return None, False
    value = _value(name, response, execution_id)
    status = DmfExecutionStatus.parse(value)
    if status is None:
        raise ProtocolError(
            f"{name} answered the status {str(value)[:100]!r} for execution {execution_id}, which this release does "
            "not know. Please report it with the request ids.",
            status_code=response.status,
            request_ids=response.request_ids,
        )
    return status, False


def exported_package_url(execution_id: str) -> Steps[SecretUrl | None]:
    """The signed URL of an execution's package; every call makes a new one.

    :returns: the URL; ``None`` while there is none: the service answers ``""`` for a while even after success, or
        400 while the export runs (docs/wire/dmf-package-api.md#package-link).
    """
    name = "GetExportedPackageUrl"
    response = yield from _action(name, {"executionId": execution_id})
    if response.status == 400:
        return None
    value = _value(name, response, execution_id)
    if not isinstance(value, str) or not value.strip():
        return None
    value = value.strip()
    if parse_address(value) is None:
        raise ProtocolError(
            f"{name} answered something that is not a URL for execution {execution_id}. Please report it.",
            request_ids=response.request_ids,
        )
    return SecretUrl(value)


def execution_errors(execution_id: str) -> Steps[list[ExecutionErrorRow]]:
    """The messages of an execution, row by row."""
    response = yield from _action("GetExecutionErrors", {"executionId": execution_id})
    value = _value("GetExecutionErrors", response, execution_id)
    return parse_error_rows(value if isinstance(value, str) else "")


def execution_page_url(execution_id: str) -> Steps[str | None]:
    """The address of the execution's page in Dynamics 365, for people; ``None`` if the service gives none, or one that
    does not lead to Dynamics 365. It only informs."""
    return (yield from informing(ask_page_url(execution_id), None, "The job page's address"))


def ask_page_url(execution_id: str) -> Steps[str | None]:
    """As :func:`execution_page_url`.

    :raises TalentDmfError: the service does not say.
    """
    name = "GetExecutionSummaryPageUrl"
    response = yield from _action(name, {"executionId": execution_id})
    return link_for_people(_value(name, response, execution_id), response.asked, PAGE_HOSTS)


def entity_outcomes(execution_id: str) -> Steps[list[EntityOutcome]]:
    """How each entity of an execution went; nothing where the service does not say. It only informs."""
    return (yield from informing(ask_entity_outcomes(execution_id), [], "The entities' outcomes"))


def ask_entity_outcomes(execution_id: str) -> Steps[list[EntityOutcome]]:
    """How each entity of an execution went.

    :raises TalentDmfError: the service does not say.
    """
    rows = yield from _job_details({"JobId": execution_id})
    return [
        EntityOutcome(
            entity_name=_text(row.get("EntityName")),
            staging_status=_text(row.get("StagingStatus")),
            target_status=_text(row.get("TargetStatus")),
            rows=_rows_of(row),
        )
        for row in rows
    ]


def execution_is_listed(execution_id: str) -> Steps[bool]:
    """Whether the job history lists an execution, even if the status call does not know it yet. Older platforms do not
    publish the history (AXI#33): then the status call is all there is to ask."""
    rows = yield from informing(_job_details({"JobId": execution_id}), [], "The job history", unless_refused=True)
    return bool(rows)


@dataclass(frozen=True, slots=True)
class ProjectExecutions:
    """What the job history lists of a data project.

    :param listed: ids of its executions, in lower case.
    :param look_running: ids of those whose details look unfinished.
    """

    listed: frozenset[str] = frozenset()
    look_running: tuple[str, ...] = ()


def look_at_project(definition_group_id: str, execution_id: str) -> Steps[ProjectExecutions]:
    """Which executions of a data project the job history lists, and whether it lists a certain one: by one request;
    nothing where the service does not publish them.

    What looks unfinished is only a hint: ask each one's status. An execution that broke off may keep such details for
    ever.

    :param definition_group_id: name of the data project.
    :param execution_id: the execution; it does not count as unfinished.
    """
    wanted = {"JobId": execution_id, "DefinitionGroupId": definition_group_id}
    rows = yield from informing(_job_details(wanted), [], "Whether other executions are running", unless_refused=True)
    listed, running = set[str](), dict[str, None]()
    for row in rows:
        job = _text(row.get("JobId"))
        listed.add(job.strip().casefold())
        words = [DmfExecutionStatus.parse(row.get(key)) for key in ("StagingStatus", "TargetStatus")]
        if job and not same_name(job, execution_id) and any(word is not None and word.is_running for word in words):
            running[job] = None
    return ProjectExecutions(frozenset(listed), tuple(running))


def data_projects() -> Steps[list[str]]:
    """Names of the data projects that can be read.

    :raises TalentDmfError: the service does not say.
    """
    rows = yield from entity_set_rows(f"{_SET}?$select=Name&cross-company=true", "DataManagementDefinitionGroups")
    return [name for row in rows if (name := _text(row.get("Name")))]


def _job_details(wanted: Mapping[str, str]) -> Steps[list[dict[str, Any]]]:
    """The rows that have one of some values."""
    operation = "DataManagementExecutionJobDetails"
    rows = yield from entity_set_rows(_rows_url(operation, wanted), operation)
    # A service that overlooks the filter, or a page of it, must not mix the rows of another execution into these.
    return [
        row for row in rows if any(key not in row or same_name(_text(row[key]), value) for key, value in wanted.items())
    ]


def entity_set_rows(url: str, operation: str) -> Steps[list[dict[str, Any]]]:
    """All rows of an entity set, to its last page.

    :param url: the set with its query, below the environment's address.
    :param operation: the request in words.
    :raises TalentDmfError: the environment refuses the set, or answers no list.
    """

    def refuse(response: Response) -> TalentDmfError:
        if not response.ok:
            return refusal(operation, response)
        value_of(operation, response)
        return ProtocolError(
            f"{operation}: the environment answered no list. Please report it.",
            status_code=response.status,
            request_ids=response.request_ids,
        )

    return (yield from read_list(url, operation, refuse))


def _text(raw: object) -> str:
    return "" if raw is None or isinstance(raw, dict | list) else printable(str(raw)[:_MAX_LABEL])


def _rows_url(entity_set: str, wanted: Mapping[str, str]) -> str:
    """A query for the rows of all companies with one of some values."""
    condition = "%20or%20".join(comparison(key, value) for key, value in wanted.items())
    return f"data/{entity_set}?$filter={condition}&cross-company=true"


def comparison(key: str, value: str) -> str:
    """The condition of an OData filter, percent-encoded. A quote inside a literal is doubled in OData.

    :param key: the property.
    :param value: what it must be.
    """
    literal = "'" + value.replace("'", "''") + "'"
    return quote(f"{key} eq {literal}", safe="")


def _rows_of(row: Mapping[str, Any]) -> int | None:
    counts = (row.get("TargetRecordsCreatedCount"), row.get("TargetRecordsUpdatedCount"))
    numbers = [number for count in counts if (number := whole_number(count)) is not None]
    return sum(numbers) if numbers else whole_number(row.get("StagingRecordsToBeProcessedCount"))


_RECORD = re.compile(
    r'"RecordId"\s*:\s*"(?P<record>.*?)"\s*,\s*"Field"\s*:\s*"(?P<field>.*?)"\s*,\s*"ErrorMessage"\s*:\s*"(?P<message>.*?)"\s*\}?\s*$',
    re.S,
)
_BETWEEN_RECORDS = re.compile(r'\}\s*,\s*\{(?=\s*"RecordId")')


def parse_error_rows(raw: str) -> list[ExecutionErrorRow]:
    """The rows in the answer of ``GetExecutionErrors``.

    It is a string that holds a JSON array which is not always valid: quotes and line ends inside messages are not
    escaped (docs/wire/dmf-package-api.md#execution-errors). Valid JSON is read as such; anything else is cut at
    the records' own keys; what cannot be cut is kept as one message, so that nothing is hidden.

    :param raw: the ``value`` of the answer.
    """
    text = raw[:_MAX_MESSAGES_CHARACTERS].strip()
    if not text or text == "[]":
        return []
    try:
        rows = read_json(text)
    except ValueError:
        rows = None
    if isinstance(rows, list):
        return [
            ExecutionErrorRow(*(_text(row.get(key)).strip() for key in ("RecordId", "Field", "ErrorMessage")))
            for row in rows[:_MAX_MESSAGES]
            if isinstance(row, dict)
        ]
    found = []
    for piece in _BETWEEN_RECORDS.split(text.strip("[] \r\n\t"), maxsplit=_MAX_MESSAGES)[:_MAX_MESSAGES]:
        piece = piece[:_MAX_PIECE]
        match = _RECORD.search(piece.strip().removeprefix("{"))
        if match:
            found.append(ExecutionErrorRow(match["record"].strip(), match["field"].strip(), match["message"].strip()))
        else:
            found.append(ExecutionErrorRow("", "", piece.strip("{} \r\n\t")))
    return found
