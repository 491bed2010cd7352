"""What the faults of finance and operations and its storage do; `dmf_catalogue` names them."""

from __future__ import annotations

import json
from dataclasses import replace

from dmf_emulator.blob.service import authentication_failed, blob_missing, expired
from dmf_emulator.clock import iso_utc
from dmf_emulator.dmf import answers as dmf_answers
from dmf_emulator.faults.definitions import Parameters
from dmf_emulator.faults.effects import changed_json, odd_address, retry_after
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Response, json_response
from dmf_emulator.http.odata_filter import count_comparisons
from dmf_emulator.state.executions import SUCCEEDED, ZERO_ID, ExecutionPlan
from dmf_emulator.state.world import World


def nested(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """Nest the value as the documentation shows it."""
    body = json.loads(response.body)
    response.body = json.dumps({**body, "value": {"value": body["value"]}}).encode()
    return response


def zero_id(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer an id of zeroes."""
    response = dmf_answers.action_value(world.urls["dmf"], ZERO_ID)
    response.reason = "not-accepted"
    return response


def not_found(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer as if the execution were unknown."""
    return dmf_answers.execution_not_found(exchange.action, exchange.execution_id)


def invalid_model(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer error D."""
    return dmf_answers.model_state_invalid()


def project_missing(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer error C."""
    return dmf_answers.project_missing(exchange.action, exchange.definition_group_id)


def export_failed(reason: str, world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer error B."""
    payload = exchange.payload
    return dmf_answers.export_failed(
        exchange.definition_group_id,
        str(payload.get("packageName", "")),
        exchange.execution_id,
        payload.get("reExecute") is True,
        reason,
    )


def changed(plan: ExecutionPlan, parameters: Parameters) -> ExecutionPlan:
    """Put the parameters into the plan under their own names."""
    return replace(plan, **parameters)


def with_outcome(plan: ExecutionPlan, parameters: Parameters) -> ExecutionPlan:
    """Let the execution end as wanted; without success there is no package."""
    has_package = parameters["outcome"] in {SUCCEEDED, "PartiallySucceeded"}
    return replace(plan, **parameters, package_exists=plan.package_exists and has_package)


def with_broken_errors(plan: ExecutionPlan, parameters: Parameters) -> ExecutionPlan:
    """Let the list of errors be no JSON."""
    return replace(plan, broken_errors=True, error_rows=max(plan.error_rows, int(parameters["error_rows"])))


def delta(plan: ExecutionPlan, parameters: Parameters) -> ExecutionPlan:
    """Let the delta be empty."""
    return replace(plan, delta=str(parameters["delta"]))


def with_attachments(plan: ExecutionPlan, parameters: Parameters) -> ExecutionPlan:
    """Let the package hold files below `Resources/`."""
    return replace(
        plan,
        attachments=int(parameters["attachments"]),
        attachment_separator=str(parameters["separator"]),
        attachment_folders=bool(parameters["folders"]),
    )


def defect(plan: ExecutionPlan, parameters: Parameters) -> ExecutionPlan:
    """Let the package be broken."""
    return replace(plan, package_defect=str(parameters["defect"]))


def sas_rejected(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Refuse a good link."""
    query = exchange.request.parameters
    if parameters["because"] == "signature":
        return authentication_failed(world, "Signature did not match.", "sas-invalid")
    return expired(world, query.get("st", ""), iso_utc(world.clock.timestamp() - 1))


def blob_gone(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer as after the retention time."""
    return blob_missing(world)


def throttled(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 429."""
    return dmf_answers.throttled(retry_after(world, parameters))


def unauthorized(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer the opaque 401."""
    authority = f"{world.urls['entra']}/{world.settings.tenant_id}/oauth2/authorize"
    return dmf_answers.authentication_failed("app-not-mapped", authority)


def forbidden(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 403."""
    return dmf_answers.forbidden("forbidden")


def details_unavailable(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer as a platform that does not publish the job details, or to a user who may not read them."""
    status = int(parameters["status"])
    if status == 400:
        return dmf_answers.odata_error(
            400,
            "The query specified in the URI is not valid. Could not find a property named 'JobId' on type "
            "'Microsoft.Dynamics.DataEntities.DataManagementExecutionJobDetail'.",
            "Microsoft.OData.ODataException",
            "no-job-details",
        )
    messages = {
        404: f"No HTTP resource was found that matches the request URI '{world.urls['dmf']}{exchange.request.path}'.",
        403: "Access denied",
    }
    body = {"Message": messages[status]} if status in messages else {}
    return json_response(status, body, dmf_answers.odata_headers(), reason="no-job-details")


def too_many_clauses(world: World, exchange: Exchange, parameters: Parameters) -> bool:
    """Whether a filter has more nodes than ASP.NET's OData library reads by default."""
    comparisons = count_comparisons(exchange.request.parameters.get("$filter", ""))
    return comparisons * int(parameters["nodes_per_comparison"]) + 1 > int(parameters["nodes"])


def node_limit(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 400 in the library's words."""
    message = (
        f"The query specified in the URI is not valid. The node count limit of '{parameters['nodes']}' has been "
        "exceeded. To increase the limit, set the 'MaxNodeCount' property on EnableQueryAttribute or "
        "ODataValidationSettings."
    )
    return dmf_answers.odata_error(400, message, "Microsoft.OData.ODataException", "too-many-nodes")


def query_too_long(world: World, exchange: Exchange, parameters: Parameters) -> bool:
    """Whether a query is longer than IIS lets through by default."""
    return len(exchange.request.query) > int(parameters["characters"])


def length_limit(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 404.15 as IIS does: the page does not say so."""
    answer = dmf_answers.gateway_error(404, "Not Found")
    answer.reason = "query-too-long"
    return answer


def package_remade(other_content: bool, world: World, exchange: Exchange, parameters: Parameters) -> Response | None:
    """Let the next link name a package that was made anew, then let the service answer."""
    execution = world.executions.find(exchange.execution_id)
    if execution is not None:
        blob_id = world.executions.copy_blob(execution)
        world.executions.remake_package(execution, blob_id, other_content=other_content)
    return None


def has_given_links(world: World, exchange: Exchange, parameters: Parameters) -> bool:
    """Whether a link to the execution's package was given out before."""
    execution = world.executions.find(exchange.execution_id)
    return execution is not None and execution.url_polls > execution.plan.empty_url_polls


def blob_rewritten(other_content: bool, world: World, exchange: Exchange, parameters: Parameters) -> Response | None:
    """Write the blob anew under the same name, then let the service answer."""
    execution = world.executions.find(exchange.execution_id)
    segments = exchange.request.segments
    if execution is not None and len(segments) > 1:
        world.executions.remake_package(execution, segments[1].strip("{}").upper(), other_content=other_content)
    return None


def odd_link(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """Name another address than the package's."""
    value = json.loads(response.body)["value"]
    return changed_json(response, value=odd_address(value, parameters["form"])) if value else response
