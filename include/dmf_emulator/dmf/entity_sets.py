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
from urllib.parse import quote

from dmf_emulator.dmf import answers as dmf_answers
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Refusal, Response, is_whole_number, json_object
from dmf_emulator.state.executions import Execution, odata_time
from dmf_emulator.state.projects import SOURCE_FORMATS, Project, ProjectEntity
from dmf_emulator.state.world import World

Row = dict[str, Any]
_CLAUSE = re.compile(
    r"\s*(?P<field>\w+)\s+(?P<operator>eq|ne|gt|ge|lt|le)\s+"
    r"(?:(?P<enum>Microsoft\.Dynamics\.DataEntities\.\w+)?'(?P<text>(?:[^']|'')*)'|(?P<bare>[\w.:+-]+))\s*",
    re.IGNORECASE,
)
_KEY = re.compile(r"(?:(\w+)\s*=\s*)?(?:Microsoft\.Dynamics\.DataEntities\.\w+)?'((?:[^']|'')*)'\s*(?:,|\Z)\s*")


@dataclass(frozen=True, slots=True)
class EntityRequest:
    """What is asked of an entity set.

    :param key: the text between the parentheses of a key, None for the whole set.
    """

    set_name: str
    key: str | None
    base_url: str


def query(world: World, exchange: Exchange, wanted: EntityRequest) -> Response:
    """Answer a GET with rows or a POST with the created row.

    :raises Refusal: with the OData error for what cannot be parsed.
    """
    if exchange.request.method == "POST":
        return _create(world, exchange, wanted)
    options = exchange.request.parameters
    rows = ENTITY_SETS[wanted.set_name](world, options.get("cross-company", "").lower() == "true")
    context = f"{wanted.base_url}/data/$metadata#{wanted.set_name}"
    if wanted.key is not None:
        row = _by_key(rows, wanted)
        return dmf_answers.odata_response(200, {"@odata.context": f"{context}/$entity", **_selected(row, options)})
    rows = [row for row in rows if _matches(row, options.get("$filter", ""), wanted.set_name)]
    if "$orderby" in options:
        field, _, direction = options["$orderby"].strip().partition(" ")
        _check_field(field, rows, wanted.set_name)
        rows.sort(key=lambda row: str(row.get(field, "")), reverse=direction.strip().lower() == "desc")
    body: Row = {"@odata.context": context}
    if options.get("$count", "").lower() == "true":
        body["@odata.count"] = len(rows)
    skip, top = _whole(options, "$skip", 0), _whole(options, "$top", len(rows))
    body["value"] = [_selected(row, options) for row in rows[skip : skip + top]]
    return dmf_answers.odata_response(200, body)


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


def _visible(world: World, cross_company: bool) -> list[Execution]:
    """Return the executions that have appeared; other companies' only on request, as OData entities do [I]."""
    now = world.clock.timestamp()
    return [
        each
        for each in world.executions.all()
        if each.status(now) is not None and (cross_company or each.company == world.settings.default_company)
    ]


def _job_rows(world: World, cross_company: bool) -> list[Row]:
    return [
        {"JobId": each.execution_id, "Description": each.project.description}
        for each in _visible(world, cross_company=True)
    ]


def _job_detail_rows(world: World, cross_company: bool) -> list[Row]:
    now = world.clock.timestamp()
    rows: list[Row] = []
    for each in _visible(world, cross_company):
        ended = now >= each.finished_at
        status = {"Succeeded": "Ended", "PartiallySucceeded": "Ended", "Failed": "Error"}.get(
            each.plan.outcome, each.plan.outcome
        )
        for entity in each.project.entities:
            count = each.rows[entity.name] if ended else 0
            rows.append({
                "JobId": each.execution_id,
                "DefinitionGroupId": each.project.name,
                "EntityName": entity.name,
                "StagingStatus": status if ended else each.status(now),
                "TargetStatus": status if ended else each.status(now),
                "StagingRecordsToBeProcessedCount": count,
                "TargetRecordsCreatedCount": max(0, count - each.plan.error_rows),
                "TargetRecordsUpdatedCount": 0,
                "StagingStartDateTime": odata_time(each.executing_from, now),
                "StagingEndDateTime": odata_time(each.finished_at, now),
                "TargetStartDateTime": odata_time(each.executing_from, now),
                "TargetEndDateTime": odata_time(each.finished_at, now),
            })  # fmt: skip
    return rows


ENTITY_SETS: dict[str, Callable[[World, bool], list[Row]]] = {
    "DataManagementDefinitionGroups": _project_rows,
    "DataManagementDefinitionGroupDetails": _detail_rows,
    "DataManagementExecutionJobs": _job_rows,
    "DataManagementExecutionJobDetails": _job_detail_rows,
}
FIELDS = {
    "DataManagementDefinitionGroups": {
        "Name", "ProjectCategory", "OperationType", "GenerateDataPackage", "Description", "TruncateEntityData",
    },
    "DataManagementDefinitionGroupDetails": {
        "DefinitionGroupId", "EntityName", "SourceFormat", "DefaultRefreshType", "SkipStaging", "ValidationStatus",
        "AutoGenerateMapping", "ExecutionUnit", "LevelInExecutionUnit", "SequenceInLevel", "Disable",
    },
    "DataManagementExecutionJobs": {"JobId", "Description"},
    "DataManagementExecutionJobDetails": {
        "JobId", "DefinitionGroupId", "EntityName", "StagingStatus", "TargetStatus",
        "StagingRecordsToBeProcessedCount", "TargetRecordsCreatedCount", "TargetRecordsUpdatedCount",
        "StagingStartDateTime", "StagingEndDateTime", "TargetStartDateTime", "TargetEndDateTime",
    },
}  # fmt: skip


def _by_key(rows: list[Row], wanted: EntityRequest) -> Row:
    """Find one row by `('name')` or `(Name='…',OperationType=…)`; a missing one is 404.

    Source: docs/wire/dmf-package-api.md#data-projects, where 400 is reported as well.
    """
    text = wanted.key or ""
    parts = list(_KEY.finditer(text))
    if not parts or sum(len(part[0]) for part in parts) != len(text):
        raise Refusal(_bad_query(f"The key '{text}' could not be parsed.", wanted.set_name))
    first = {"DataManagementDefinitionGroups": "Name", "DataManagementDefinitionGroupDetails": "DefinitionGroupId"}
    for row in rows:
        if all(
            str(row.get(part[1] or first.get(wanted.set_name, "JobId"), "")).casefold()
            == part[2].replace("''", "'").casefold()
            for part in parts
        ):
            return row
    raise Refusal(dmf_answers.not_found(f"/data/{wanted.set_name}({quote(text)})"))


def _matches(row: Row, expression: str, set_name: str) -> bool:
    if not expression.strip():
        return True
    verdict, position, joiner = True, 0, "and"
    while True:
        clause = _CLAUSE.match(expression, position)
        if clause is None:
            raise Refusal(_bad_query(f"Syntax error at position {position} in '{expression}'.", set_name))
        _check_field(clause["field"], [], set_name)
        outcome = _compare(row.get(clause["field"]), clause)
        verdict = (verdict and outcome) if joiner == "and" else (verdict or outcome)
        position = clause.end()
        if position == len(expression):
            return verdict
        joint = re.compile(r"(and|or)\b", re.IGNORECASE).match(expression, position)
        if joint is None:
            raise Refusal(_bad_query(f"Syntax error at position {position} in '{expression}'.", set_name))
        joiner, position = joint[1].lower(), joint.end()


def _compare(value: object, clause: re.Match[str]) -> bool:
    wanted: Any = clause["bare"] if clause["text"] is None else clause["text"].replace("''", "'")
    actual: Any = value
    if isinstance(value, int):
        try:
            wanted = int(wanted)
        except ValueError:
            return False
    else:
        actual, wanted = str(value).casefold(), str(wanted).casefold()
    operator = clause["operator"].lower()
    outcomes = {"eq": actual == wanted, "ne": actual != wanted, "gt": actual > wanted,
                "ge": actual >= wanted, "lt": actual < wanted, "le": actual <= wanted}  # fmt: skip
    return bool(outcomes[operator])


def _selected(row: Row, options: dict[str, str]) -> Row:
    wanted = {name.strip() for name in options.get("$select", "").split(",") if name.strip()}
    return {name: value for name, value in row.items() if not wanted or name in wanted or name == "@odata.etag"}


def _check_field(field: str, rows: list[Row], set_name: str) -> None:
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
    for field in row:
        _check_field(field, [], wanted.set_name)
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
