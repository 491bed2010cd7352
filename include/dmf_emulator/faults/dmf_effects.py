"""What the faults of finance and operations and its storage do; `dmf_catalogue` names them."""

from __future__ import annotations

import json
from dataclasses import replace

from dmf_emulator.blob.service import authentication_failed, blob_missing, expired
from dmf_emulator.clock import iso_utc
from dmf_emulator.dmf import answers as dmf_answers
from dmf_emulator.faults.definitions import Parameters
from dmf_emulator.faults.effects import retry_after
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Response
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
    response.verdict = "not-accepted"
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


def export_failed(verdict: str, world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer error B."""
    payload = exchange.payload
    return dmf_answers.export_failed(
        exchange.definition_group_id,
        str(payload.get("packageName", "")),
        exchange.execution_id,
        payload.get("reExecute") is True,
        verdict,
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


def redirect(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Send the client to a sign-in page."""
    location = f"{world.urls['entra']}/{world.settings.tenant_id}/oauth2/authorize?client_id=signin"
    return Response(
        302, {"Location": location, "Content-Type": "text/html"}, b"<html>Object moved</html>", verdict="redirected"
    )
