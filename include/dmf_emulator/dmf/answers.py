"""Answers of the finance and operations OData endpoint, success and failure.

Sources: docs/wire/dmf-package-api.md#shape-of-an-answer, docs/wire/dmf-package-api.md#error-bodies; the letters are
the latter's.
"""

from __future__ import annotations

import uuid

from dmf_emulator.http.message import Response, json_response

ODATA_CONTENT_TYPE = "application/json; odata.metadata=minimal; odata.streaming=true"
_STACK = "   at Microsoft.Dynamics.Platform.Integration.Services.OData.Action.ActionInvokable.Invoke()"
GATEWAY_HTML = "<html><head><title>{status} {reason}</title></head><body><h1>{status} {reason}</h1></body></html>"


def odata_headers() -> dict[str, str]:
    """Return the headers of every OData answer; `ms-dyn-aid` is the activity id to quote to support."""
    return {"OData-Version": "4.0", "ms-dyn-aid": str(uuid.uuid4())}


def odata_response(status: int, value: object, reason: str = "") -> Response:
    """Return an OData answer."""
    return json_response(status, value, odata_headers(), content_type=ODATA_CONTENT_TYPE, reason=reason)


def action_value(base_url: str, value: object, edm_type: str = "Edm.String") -> Response:
    """Return the success answer of an action: 200 with a flat `value`.

    The documentation shows a nested `value` for two actions; clients that ran against real environments all
    read a flat one (docs/wire/dmf-package-api.md#shape-of-an-answer). Fault dmf.F1 nests it.

    :param base_url: address of the service root, for `@odata.context`.
    """
    return odata_response(200, {"@odata.context": f"{base_url}/data/$metadata#{edm_type}", "value": value})


def action_error(action: str, message: str, reason: str, status: int = 400) -> Response:
    """Return error A: an action that failed.

    :param message: what follows "Exception occurred while executing action …".
    """
    text = f"Exception occurred while executing action {action} on Entity DataManagementDefinitionGroup: {message}"
    return odata_error(status, text, "System.InvalidOperationException", reason)


def odata_error(status: int, inner_message: str, inner_type: str, reason: str) -> Response:
    """Return an OData error; the useful text is always `error.innererror.message`."""
    inner = {"message": inner_message, "type": inner_type, "stacktrace": _STACK}
    error = {"code": "", "message": "An error has occurred.", "innererror": inner}
    return odata_response(status, {"error": error}, reason)


def execution_not_found(action: str, execution_id: str) -> Response:
    """Return the 400 that also follows a successful call for some seconds.

    Source: docs/wire/dmf-package-api.md#not-found-at-first.
    """
    return action_error(
        action, f"Execution details were not found for execution id: {execution_id}", "execution-not-found"
    )


def project_missing(action: str, name: str) -> Response:
    """Return error C: `Data project <name> does not exist.` (docs/wire/dmf-package-api.md#error-bodies)."""
    return action_error(action, f"Data project {name} does not exist.", "project-missing")


def export_failed(group: str, package: str, execution_id: str, re_execute: bool, reason: str) -> Response:
    """Return error B. "legal entity: true" is the server's own slip, as reported.

    Source: docs/wire/dmf-package-api.md#error-bodies.
    """
    message = (
        f"Export to package failed for definition group: {group}, package name: {package}, "
        f"execution id: {execution_id}, reExecute: {str(re_execute).lower()}, legal entity: true"
    )
    return action_error("ExportToPackage", message, reason)


def model_state_invalid() -> Response:
    """Return error D: a null, missing or wrong-typed parameter (docs/wire/dmf-package-api.md#error-bodies)."""
    return odata_error(
        400,
        "InvokeAction - Model state is invalid.",
        "Microsoft.Dynamics.Platform.Integration.Services.OData.ODataArgumentException",
        "model-state-invalid",
    )


def authentication_failed(reason: str, authorization_uri: str) -> Response:
    """Return error E. Every cause ends in the same opaque answer; the recorder knows the real one.

    Source: docs/wire/dmf-package-api.md#refused-by-the-environment.

    :param reason: the real cause.
    :param authorization_uri: where a token can be had.
    """
    body = {
        "Message": "Authentication failed.",
        "StackTrace": None,
        "ExceptionType": "System.InvalidOperationException",
    }
    headers = {
        "WWW-Authenticate": f'Bearer authorization_uri="{authorization_uri}"',
        "P3P": 'CP="No P3P policy defined. Read the Microsoft privacy statement."',
        "ms-dyn-aid": str(uuid.uuid4()),
    }
    return json_response(401, body, headers, content_type="application/json; charset=utf-8", reason=reason)


def forbidden(reason: str) -> Response:
    """Return 403 for a user without rights; the body is inferred, nobody has published one."""
    return odata_error(
        403,
        "Access denied. The user is not authorized to access this data project.",
        "System.UnauthorizedAccessException",
        reason,
    )


def throttled(retry_after: str | None) -> Response:
    """Return 429 with or without Retry-After; the envelope is inferred, the message is documented.

    Source: docs/wire/dmf-package-api.md#throttling.

    :param retry_after: value of the header; None leaves it out, as resource-based throttling often does.
    """
    error = {
        "code": "429",
        "message": "This request could not be processed at this time due to system experiencing high resource "
        "utilization.",
    }
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return json_response(429, {"error": error}, {**odata_headers(), **headers}, reason="throttled")


def gateway_error(status: int, reason: str) -> Response:
    """Return a gateway's own error page, HTML rather than JSON (docs/wire/dmf-package-api.md#error-bodies)."""
    body = GATEWAY_HTML.format(status=status, reason=reason).encode()
    return Response(status, {"Content-Type": "text/html"}, body, reason=f"gateway-{status}")


def not_found(path: str) -> Response:
    """Return 404 for a path that names no action or entity set."""
    return odata_error(
        404, f"No HTTP resource was found that matches the request URI '{path}'.", "", "no-such-resource"
    )


def not_supported(what: str) -> Response:
    """Return 501 for what the real service may answer and the emulator does not imitate.

    :param what: the part of the request, in words.
    """
    error = {"code": "notSupported", "message": f"The emulator does not imitate {what}."}
    return odata_response(501, {"error": error}, "not-supported")
