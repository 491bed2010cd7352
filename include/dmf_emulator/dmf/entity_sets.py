"""The entity sets around an export, with the OData options that clients use.

Source: docs/wire/dmf-package-api.md#entity-sets.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from dmf_emulator.dmf import answers as dmf_answers
from dmf_emulator.dmf.entity_types import ALSO_IN_KEYS, FIELDS, KEYS, LABELS, NUMBER
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Refusal, Response, is_whole_number, json_object
from dmf_emulator.http.odata_filter import BadFilter, NotImitated, parse_filter
from dmf_emulator.state.executions import Execution, odata_time
from dmf_emulator.state.projects import SOURCE_FORMATS, Project, ProjectEntity
from dmf_emulator.state.world import World

Row = dict[str, Any]
_OPTIONS = frozenset({"$filter", "$select", "$orderby", "$top", "$skip", "$count"})
_KEY = re.compile(r"(?:(\w+)\s*=\s*)?(?:Microsoft\.Dynamics\.DataEntities\.\w+)?'((?:[^']|'')*)'\s*(?:,|\Z)\s*")


@dataclass(frozen=True, slots=True)
class EntityRequest:
    """What is asked of an entity set.

    :param key: the text between the parentheses of a key, None for the whole set.
    :param counts_only: whether only the number of rows is wanted (`/$count`).
    """

    set_name: str
    key: str | None
    base_url: str
    counts_only: bool = False


def query(world: World, exchange: Exchange, wanted: EntityRequest) -> Response:
    """Answer a GET with rows or a POST with the created row.

    :raises Refusal: with the OData error for what cannot be parsed.
    """
    if exchange.request.method == "POST":
        return _create(world, exchange, wanted)
    options = exchange.request.parameters
    _check_options(exchange, wanted)
    selected = _selected_names(options, wanted.set_name)
    rows = ENTITY_SETS[wanted.set_name](world, options.get("cross-company", "").lower() == "true")
    context = f"{wanted.base_url}/data/$metadata#{wanted.set_name}"
    if wanted.key is not None:
        row = _by_key(rows, wanted)
        return dmf_answers.odata_response(200, {"@odata.context": f"{context}/$entity", **_selected(row, selected)})
    rows = _filtered(rows, world, options.get("$filter", ""), wanted.set_name)
    if wanted.counts_only:
        return Response(200, {"Content-Type": "text/plain", **dmf_answers.odata_headers()}, str(len(rows)).encode())
    for clause in reversed([each for each in options.get("$orderby", "").split(",") if each.strip()]):
        field, _, direction = clause.strip().partition(" ")
        _check_field(field, wanted.set_name)
        if direction.strip().lower() not in {"", "asc", "desc"}:
            raise Refusal(_bad_query(f"Syntax error in '{clause}'.", wanted.set_name))
        rows.sort(key=lambda row: _sortable(row.get(field)), reverse=direction.strip().lower() == "desc")
    body: Row = {"@odata.context": context}
    if options.get("$count") == "true":
        body["@odata.count"] = len(rows)
    skip, top = _whole(options, "$skip", 0), _whole(options, "$top", len(rows))
    size = world.settings.odata_page_size
    body["value"] = [_selected(row, selected) for row in rows[skip : skip + min(top, size)]]
    if min(top, len(rows) - skip) > size:
        body["@odata.nextLink"] = _next_link(world, exchange, skip + size, top - size)
    return dmf_answers.odata_response(200, body)


def _check_options(exchange: Exchange, wanted: EntityRequest) -> None:
    options = exchange.request.parameters
    for name in options:
        if name.startswith("$") and name not in _OPTIONS:
            raise Refusal(dmf_answers.not_supported(f"the query option {name}"))
        if name.startswith("$") and name != "$select" and wanted.key is not None:
            raise Refusal(_bad_query(f"The query option {name} can only be applied to collections.", wanted.set_name))
    if twice := exchange.request.repeated_option:
        raise Refusal(_bad_query(f"Query option '{twice}' was specified more than once.", wanted.set_name))
    if options.get("$count", "true") not in {"true", "false"}:
        raise Refusal(_bad_query(f"Invalid value '{options['$count']}' for $count query option found.", "$count"))


def _next_link(world: World, exchange: Exchange, skip: int, top: int) -> str:
    """Return the address of the next page: the same query, further on (ASP.NET's OData library makes it so)."""
    options = {name: value for name, value in exchange.request.parameters.items() if name not in {"$skip", "$top"}}
    if "$top" in exchange.request.parameters:
        options["$top"] = str(top)
    options["$skip"] = str(skip)
    return f"{world.urls['dmf']}{exchange.request.path}?{urlencode(options, safe='$', quote_via=quote)}"


def _sortable(value: object) -> tuple[int, object]:
    return (0, value) if isinstance(value, int) else (1, str(value).casefold())


def _project_rows(world: World, cross_company: bool) -> list[Row]:
    return [
        {
            "@odata.etag": _etag(project.name, project.operation_type),
            "Name": project.name,
            "ProjectCategory": "Project",
            "OperationType": project.operation_type,
            "GenerateDataPackage": _yes(project.generate_package),
            "Description": project.description,
            "TruncateEntityData": "No",
        }
        for project in world.projects.all()
    ]


def _detail_rows(world: World, cross_company: bool) -> list[Row]:
    return [
        {
            "@odata.etag": _etag(project.name, entity.name),
            "DefinitionGroupId": project.name,
            "EntityName": entity.name,
            "SourceFormat": entity.source_format,
            "DefaultRefreshType": entity.refresh_type,
            "SkipStaging": "Yes",
            "ValidationStatus": _yes(entity.auto_generate_mapping),
            "AutoGenerateMapping": _yes(entity.auto_generate_mapping),
            "ExecutionUnit": 1,
            "LevelInExecutionUnit": 1,
            "SequenceInLevel": number,
            "Disable": "No",
        }
        for project in world.projects.all()
        for number, entity in enumerate(project.entities, start=1)
    ]


def _visible(world: World, now: float) -> list[Execution]:
    """Return the executions that have appeared in the job history."""
    return [each for each in world.executions.all() if each.status(now) is not None]


def _job_rows(world: World, cross_company: bool) -> list[Row]:
    return [
        {"@odata.etag": _etag(each.execution_id), "JobId": each.execution_id, "Description": each.project.description}
        for each in _visible(world, world.clock.timestamp())
    ]


# `DMFBatchJobStatus` in the two families that public clients have seen; no list of its labels was found
# (docs/wire/dmf-package-api.md#job-details).
_ENDED_AS = {
    "finished": {"Succeeded": "Finished", "PartiallySucceeded": "Error", "Failed": "Error", "Canceled": "Aborted"},
    "succeeded": {},
}


def _job_detail_rows(world: World, cross_company: bool) -> list[Row]:
    """One row per execution and entity; the set knows no company, unless a setting says so.

    Source: docs/wire/dmf-package-api.md#job-details.
    """
    now, settings = world.clock.timestamp(), world.settings
    rows: list[Row] = []
    for each in _visible(world, now):
        if each.status(now - each.plan.details_delay_seconds) is None:
            continue
        if settings.job_details_by_company and not cross_company and each.company != settings.default_company:
            continue
        ended = now >= each.finished_at
        ended_as = _ENDED_AS[settings.job_details_statuses].get(each.plan.outcome, each.plan.outcome)
        status = ended_as if ended else each.status(now)
        for number, entity in enumerate(each.project.entities, start=1):
            count = each.rows[entity.name] if ended else 0
            rows.append({
                "@odata.etag": _etag(each.execution_id, entity.name, str(status)),
                "JobId": each.execution_id,
                "DefinitionGroupId": each.project.name,
                "EntityName": entity.name,
                "StagingStatus": status,
                "TargetStatus": status,
                "StagingRecordsToBeProcessedCount": count,
                "StagingRecordsCreatedCount": count,
                "TargetRecordsCreatedCount": max(0, count - each.plan.error_rows),
                "TargetRecordsUpdatedCount": 0,
                "StagingStartDateTime": odata_time(each.executing_from, now),
                "StagingEndDateTime": odata_time(each.finished_at, now),
                "TargetStartDateTime": odata_time(each.executing_from, now),
                "TargetEndDateTime": odata_time(each.finished_at, now),
                "SourceFormat": entity.source_format,
                "ExecutionUnit": 1,
                "LevelInExecutionUnit": 1,
                "SequenceInLevel": number,
            })  # fmt: skip
    return rows


def _legal_entity_rows(world: World, cross_company: bool) -> list[Row]:
    """Return the companies. The set is one of finance and operations' own data entities, for all companies."""
    return [
        {"@odata.etag": _etag(code), "LegalEntityId": code, "Name": f"Contoso {code}"}
        for code in world.settings.companies
    ]


ENTITY_SETS: dict[str, Callable[[World, bool], list[Row]]] = {
    "DataManagementDefinitionGroups": _project_rows,
    "DataManagementDefinitionGroupDetails": _detail_rows,
    "DataManagementExecutionJobs": _job_rows,
    "DataManagementExecutionJobDetails": _job_detail_rows,
    "LegalEntities": _legal_entity_rows,
}


def _by_key(rows: list[Row], wanted: EntityRequest) -> Row:
    """Find one row by `('name')` or `(Name='…',OperationType=…)`: by its whole key. A missing one is 404.

    Source: docs/wire/dmf-package-api.md#data-projects, where 400 is reported as well.
    """
    text, own = wanted.key or "", KEYS[wanted.set_name]
    parts = list(_KEY.finditer(text))
    if not parts or sum(len(part[0]) for part in parts) != len(text) or text.rstrip().endswith(","):
        raise Refusal(_bad_query(f"The key '{text}' could not be parsed.", wanted.set_name))
    unnamed = len(parts) == 1 and len(own) == 1
    values = {part[1] or (own[0] if unnamed else ""): part[2].replace("''", "'").casefold() for part in parts}
    allowed = {*own, *ALSO_IN_KEYS.get(wanted.set_name, ())}
    if len(values) < len(parts) or not set(own) <= set(values) <= allowed:
        raise Refusal(
            _bad_query(f"The key '{text}' does not match the properties of the key: {', '.join(own)}.", wanted.set_name)
        )
    for row in rows:
        if all(str(row[name]).casefold() == value for name, value in values.items()):
            return row
    raise Refusal(dmf_answers.not_found(f"/data/{wanted.set_name}({quote(text)})"))


def _filtered(rows: list[Row], world: World, expression: str, set_name: str) -> list[Row]:
    try:
        fits = parse_filter(expression, FIELDS[set_name], labels=LABELS, wildcards=world.settings.wildcard_filters)
    except BadFilter as bad:
        raise Refusal(_bad_query(str(bad), set_name)) from bad
    except NotImitated as missing:
        raise Refusal(dmf_answers.not_supported(str(missing))) from missing
    return [row for row in rows if fits(row)]


def _selected_names(options: dict[str, str], set_name: str) -> set[str]:
    names = {name.strip() for name in options.get("$select", "").split(",") if name.strip()}
    for name in names - {"*"}:
        _check_field(name, set_name)
    return set() if "*" in names else names


def _selected(row: Row, names: set[str]) -> Row:
    return {name: value for name, value in row.items() if not names or name in names or name == "@odata.etag"}


def _check_field(field: str, set_name: str) -> None:
    if field not in FIELDS[set_name]:
        raise Refusal(
            _bad_query(
                f"Could not find a property named '{field}' on type "
                f"'Microsoft.Dynamics.DataEntities.{set_name.removesuffix('s')}'.",
                set_name,
            )
        )


def _whole(options: dict[str, str], name: str, default: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    if not is_whole_number(text):
        raise Refusal(_bad_query(f"Invalid value '{text}' for {name} query option found.", name))
    return int(text)


def _bad_query(message: str, where: str) -> Response:
    text = f"The query specified in the URI is not valid. {message}"
    return dmf_answers.odata_error(400, text, "Microsoft.OData.ODataException", "bad-query")


def _create(world: World, exchange: Exchange, wanted: EntityRequest) -> Response:
    """Create a project or add an entity to one, as scripts do.

    Source: docs/wire/dmf-package-api.md#an-export-that-never-ends.
    """
    row = json_object(exchange.request.content())
    if row is None or wanted.key is not None:
        raise Refusal(dmf_answers.model_state_invalid())
    row = {name: value for name, value in row.items() if "@" not in name}
    for field, value in row.items():
        _check_field(field, wanted.set_name)
        _check_value(FIELDS[wanted.set_name][field], value)
    if wanted.set_name == "DataManagementDefinitionGroups" and isinstance(row.get("Name"), str) and row["Name"]:
        if world.projects.find(row["Name"]) is not None:
            raise Refusal(
                dmf_answers.odata_error(
                    400, "Write failed for table row of type 'DMFDefinitionGroupEntity'. The record already exists.",
                    "System.InvalidOperationException", "record-exists",
                )
            )  # fmt: skip
        world.projects.put(
            Project(
                row["Name"],
                operation_type=str(row.get("OperationType", "Export")),
                generate_package=row.get("GenerateDataPackage", "Yes") == "Yes",
                description=str(row.get("Description", "")),
            )
        )
    elif wanted.set_name == "DataManagementDefinitionGroupDetails" and isinstance(row.get("EntityName"), str):
        project = world.projects.find(str(row.get("DefinitionGroupId", "")))
        if project is None or row.get("SourceFormat", "EXCEL") not in SOURCE_FORMATS:
            raise Refusal(dmf_answers.model_state_invalid())
        world.projects.put(replace(project, entities=(*project.entities, _entity(row))))
    else:
        raise Refusal(dmf_answers.model_state_invalid())
    context = f"{wanted.base_url}/data/$metadata#{wanted.set_name}/$entity"
    body = json.loads(json.dumps(row))
    return dmf_answers.odata_response(201, {"@odata.context": context, **body})


def _check_value(kind: str, value: object) -> None:
    # A JSON true is an int to Python.
    fits = (
        isinstance(value, int) and not isinstance(value, bool)
        if kind == NUMBER
        else isinstance(value, str) and value in LABELS.get(kind, (value,))
    )
    if not fits:
        raise Refusal(dmf_answers.model_state_invalid())


def _entity(row: Row) -> ProjectEntity:
    name = row["EntityName"]
    return ProjectEntity(
        name=name,
        target_entity=re.sub(r"\W", "", name) + "Entity",
        source_format=str(row.get("SourceFormat", "EXCEL")),
        refresh_type=str(row.get("DefaultRefreshType", "FullPush")),
        auto_generate_mapping=row.get("AutoGenerateMapping", "No") == "Yes",
    )


def _etag(*parts: str) -> str:
    return f'W/"{hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]}"'


def _yes(value: bool) -> str:
    return "Yes" if value else "No"
