"""The actions of `DataManagementDefinitionGroups`.

Source: docs/wire/dmf-package-api.md#export-actions; more is named where it is imitated.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dmf_emulator.dmf import answers as dmf_answers
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Refusal, Response
from dmf_emulator.state.executions import (
    FAILED,
    FOREVER,
    PARTIALLY_SUCCEEDED,
    SUCCEEDED,
    UNKNOWN,
    ZERO_ID,
    Execution,
    ExecutionPlan,
    odata_time,
)
from dmf_emulator.state.projects import Project
from dmf_emulator.state.world import World

Action = Callable[[World, Exchange, str], Response]


def _parameters(exchange: Exchange, **types: type) -> list[Any]:
    """Return the named parameters; null, missing and wrong-typed ones end in error D.

    Source: docs/wire/dmf-package-api.md#error-bodies.
    """
    values = []
    for name, wanted in types.items():
        value = exchange.payload.get(name)
        # A JSON true is an int to Python.
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise Refusal(dmf_answers.model_state_invalid())
        values.append(value)
    return values


def _execution(world: World, exchange: Exchange) -> Execution:
    (execution_id,) = _parameters(exchange, executionId=str)
    execution = world.executions.find(execution_id)
    if execution is None or execution.status(world.clock.timestamp()) is None:
        raise Refusal(dmf_answers.execution_not_found(exchange.action, execution_id))
    return execution


def export_to_package(world: World, exchange: Exchange, base_url: str) -> Response:
    """Begin an export and answer its execution id.

    The id may be the client's own free text or empty (docs/wire/dmf-package-api.md#execution-ids). `entityList` and the
    preview's row count are accepted under both reported names and ignored.
    """
    group, package_name, execution_id, re_execute, company = _parameters(
        exchange, definitionGroupId=str, packageName=str, executionId=str, reExecute=bool, legalEntityId=str
    )
    if "Preview" in exchange.action and not any(
        isinstance(exchange.payload.get(name), int) for name in ("count", "exportPreviewCount")
    ):
        return dmf_answers.model_state_invalid()
    project = world.projects.find(group)
    if project is None:
        return dmf_answers.project_missing(exchange.action, group)
    known_companies = {each.upper() for each in world.settings.companies}
    company = company.upper() or world.settings.default_company
    if project.operation_type != "Export" or company not in known_companies:
        reason = "unknown-company" if company not in known_companies else "no-export-project"
        return dmf_answers.export_failed(group, package_name, execution_id, re_execute, reason)
    if _is_reused(world, execution_id, re_execute):
        return dmf_answers.export_failed(group, package_name, execution_id, re_execute, "reused-execution-id")
    plan = _planned(world, exchange, project)
    if isinstance(plan, Response):
        return plan
    exchange.execution_id = execution_id or world.executions.new_id(project.name)
    _begin(world, exchange.execution_id, project, package_name, company, plan)
    return dmf_answers.action_value(base_url, exchange.execution_id)


def _is_reused(world: World, execution_id: str, re_execute: bool) -> bool:
    """An id that is known needs `reExecute`.

    Source: docs/wire/dmf-package-api.md#ids-that-are-in-use, assumed: hence a setting.
    """
    return (
        bool(execution_id)
        and not re_execute
        and world.settings.reject_reused_execution_id
        and world.executions.find(execution_id) is not None
    )


def _planned(world: World, exchange: Exchange, project: Project) -> ExecutionPlan | Response:
    plan = world.faults.plan(exchange, world.executions.plan())
    if not all(entity.auto_generate_mapping for entity in project.entities):
        plan = replace(plan, executing_seconds=FOREVER, staged_rows=False)
    if world.executions.running(project):
        concurrent = world.faults.probe(exchange, "dmf.F23")
        if concurrent is not None and concurrent["mode"] == "error":
            payload = exchange.payload
            return dmf_answers.export_failed(
                project.name, payload["packageName"], payload["executionId"], payload["reExecute"], "concurrent-run"
            )
        if concurrent is not None:
            plan = replace(plan, outcome=FAILED, error_rows=max(1, plan.error_rows))
    return plan


def _begin(
    world: World, execution_id: str, project: Project, package_name: str, company: str, plan: ExecutionPlan
) -> None:
    delta = world.projects.take_delta(project, company)
    rows = {
        entity.name: 0
        if not plan.staged_rows
        else delta.rows
        if delta.rows is not None
        else world.executions.rows_of(entity, company)
        for entity in project.entities
    }
    if delta.rows == 0 and plan.delta is None:
        plan = replace(plan, delta="header-only")
    if plan.delta is not None:
        rows = dict.fromkeys(rows, 0)
    world.executions.add(
        Execution(
            execution_id=execution_id,
            project=project,
            package_name=package_name,
            company=company,
            created_seconds=world.clock.timestamp(),
            plan=plan,
            blob_id=world.executions.new_guid(),
            rows=rows,
        )
    )


def get_execution_summary_status(world: World, exchange: Exchange, base_url: str) -> Response:
    """Answer one word of `DMFExecutionSummaryStatus`, or 400 while the execution is not to be found."""
    (execution_id,) = _parameters(exchange, executionId=str)
    execution = world.executions.find(execution_id)
    status = None if execution is None else execution.poll_status(world.clock.timestamp())
    if status is None:
        return dmf_answers.execution_not_found(exchange.action, execution_id)
    edm_type = "Microsoft.Dynamics.DataEntities.DMFExecutionSummaryStatus"
    return dmf_answers.action_value(base_url, status, edm_type)


def get_exported_package_url(world: World, exchange: Exchange, base_url: str) -> Response:
    """Answer a fresh signed link, or an empty string while there is none.

    Source: docs/wire/dmf-package-api.md#package-link.
    """
    execution = _execution(world, exchange)
    now = world.clock.timestamp()
    if now < execution.finished_at and execution.plan.url_error_while_running:
        return dmf_answers.action_error(
            exchange.action, f"Execution {execution.execution_id} is not completed.", "still-running"
        )
    if not execution.poll_package(now):
        return dmf_answers.action_value(base_url, "")
    # A download request in the user interface makes a copy with a new GUID
    # (docs/wire/dmf-package-api.md#copies-of-a-package).
    if world.settings.new_copy_per_link:
        world.executions.copy_blob(execution)
    blob_id = execution.link_blob_id or execution.blob_id
    return dmf_answers.action_value(base_url, world.blobs.signed_url(world.urls["blob"], execution, blob_id))


def get_execution_errors(world: World, exchange: Exchange, base_url: str) -> Response:
    """Answer a string that holds a JSON array, `[]` without errors (docs/wire/dmf-package-api.md#execution-errors)."""
    execution = _execution(world, exchange)
    rows = execution.errors(world.clock.timestamp())
    text = json.dumps(rows, separators=(",", ":"))
    if execution.plan.broken_errors:
        # Unescaped quotes and newlines inside a message, as observed (docs/wire/dmf-package-api.md#execution-errors).
        text = text.replace("'", '"').replace("could not", "could\nnot")
    return dmf_answers.action_value(base_url, text)


def get_entity_execution_summary_status_list(world: World, exchange: Exchange, base_url: str) -> Response:
    """Answer one object per entity; the shape of an item is assumed (docs/wire/dmf-package-api.md#export-actions)."""
    execution = _execution(world, exchange)
    now = world.clock.timestamp()
    status = execution.status(now)
    ended = now >= execution.finished_at
    items = [
        {
            "EntityName": entity.name,
            "Status": status,
            "TotalRecords": execution.rows[entity.name] if ended else 0,
            "SuccessRecords": max(0, execution.rows[entity.name] - execution.plan.error_rows) if ended else 0,
            "ErrorRecords": execution.plan.error_rows if ended else 0,
            "ExecutionStartDateTime": odata_time(execution.executing_from, now),
            "ExecutionEndDateTime": odata_time(execution.finished_at, now),
        }
        for entity in execution.project.entities
    ]
    return dmf_answers.action_value(base_url, items, "Collection(Edm.String)")


def get_execution_summary_page_url(world: World, exchange: Exchange, base_url: str) -> Response:
    """Answer the address of the job's page in the user interface (RIS)."""
    execution = _execution(world, exchange)
    return dmf_answers.action_value(
        base_url, f"{base_url}/?cmp={execution.company}&mi=DMFExecutionHistoryWorkspace&JobId={execution.blob_id}"
    )


def delete_execution_history_job(world: World, exchange: Exchange, base_url: str) -> Response:
    """Forget an execution; the answer is not documented, so it is 204 without a body."""
    execution = _execution(world, exchange)
    world.executions.delete(execution.execution_id)
    return Response(204, dmf_answers.odata_headers())


def get_message_status(world: World, exchange: Exchange, base_url: str) -> Response:
    """Answer the status of a message, whose id is an execution's here (docs/wire/dmf-package-api.md#export-actions)."""
    (message_id,) = _parameters(exchange, messageId=str)
    execution = world.executions.find(message_id)
    status = None if execution is None else execution.status(world.clock.timestamp())
    words = {None: "Enqueued", "NotRun": "Dequeued", "Executing": "Processing", UNKNOWN: "Processing",
             SUCCEEDED: "Processed", PARTIALLY_SUCCEEDED: "ProcessedWithErrors"}  # fmt: skip
    edm_type = "Microsoft.Dynamics.DataEntities.DMFMessageStatus"
    return dmf_answers.action_value(base_url, words.get(status, "ProcessedWithErrors"), edm_type)


def get_execution_id_by_message_id(world: World, exchange: Exchange, base_url: str) -> Response:
    """Answer the execution of a message, zeroes while it is not scheduled; note the parameter's underscore."""
    (message_id,) = _parameters(exchange, _messageId=str)
    execution = world.executions.find(message_id)
    return dmf_answers.action_value(base_url, execution.execution_id if execution else ZERO_ID)


def reset_version_token(world: World, exchange: Exchange, base_url: str) -> Response:
    """Make the next incremental export full (docs/wire/dmf-package-api.md#export-actions)."""
    group, _, _ = _parameters(exchange, definitionGroupId=str, entityName=str, sourceName=str)
    project = world.projects.find(group)
    if project is None:
        return dmf_answers.project_missing(exchange.action, group)
    world.projects.reset_version_token(group)
    return dmf_answers.action_value(base_url, value=True, edm_type="Edm.Boolean")


def initialize_data_management(world: World, exchange: Exchange, base_url: str) -> Response:
    """Refresh the entity list: nothing to do, 204 (docs/wire/dmf-package-api.md#export-actions)."""
    return Response(204, dmf_answers.odata_headers())


ACTIONS: dict[str, Action] = {
    "ExportToPackage": export_to_package,
    "ExportToPackageAsync": export_to_package,
    "ExportToPackagePreview": export_to_package,
    "ExportToPackagePreviewAsync": export_to_package,
    "GetExecutionSummaryStatus": get_execution_summary_status,
    "GetExportedPackageUrl": get_exported_package_url,
    "GetExecutionErrors": get_execution_errors,
    "GetEntityExecutionSummaryStatusList": get_entity_execution_summary_status_list,
    "GetExecutionSummaryPageUrl": get_execution_summary_page_url,
    "DeleteExecutionHistoryJob": delete_execution_history_job,
    "GetMessageStatus": get_message_status,
    "GetExecutionIdByMessageId": get_execution_id_by_message_id,
    "ResetVersionToken": reset_version_token,
    "InitializeDataManagement": initialize_data_management,
    "InitializeDataManagementAsync": initialize_data_management,
}

# Actions that environments have and the emulator has not (docs/wire/dmf-package-api.md#export-actions).
NOT_IMITATED = frozenset({
    "ExportFromPackage", "ExportToPackageDelta", "GenerateImportTargetErrorKeysFile", "GetAzureWriteUrl",
    "GetEntitySequence", "GetImportStagingErrorFileUrl", "GetImportTargetErrorKeysFileUrl", "ImportFromPackage",
    "ImportFromPackageAsync",
})  # fmt: skip
