"""Errors of Graph and of the SharePoint origin behind it.

Sources: docs/wire/graph-onedrive.md#answers-to-a-range, docs/wire/graph-onedrive.md#errors.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping

from dmf_emulator.clock import iso_utc
from dmf_emulator.http.message import Request, Response, json_response


def drive_error(
    origin: str,
    status: int,
    code: str,
    message: str,
    *,
    inner: str | tuple[str, ...] = (),
    headers: Mapping[str, str] | None = None,
    reason: str = "",
) -> Response:
    """Return an error in the shape of its origin.

    :param origin: `graph` spells `innerError`, `sharepoint` spells `innererror` and adds `SPRequestGuid`.
    :param inner: specific codes, from the outer to the innermost; clients branch on these.
    """
    request_id = str(uuid.uuid4())
    inner_key = "innerError" if origin == "graph" else "innererror"
    innermost: dict[str, object] = {
        "date": iso_utc(time.time()).rstrip("Z"),
        "request-id": request_id,
        "client-request-id": request_id,
    }
    for inner_code in reversed((inner,) if isinstance(inner, str) else inner):
        innermost = {"code": inner_code, inner_key: innermost}
    body = {"error": {"code": code, "message": message, inner_key: innermost}}
    return json_response(
        status, body, {**request_headers(origin, request_id), **(headers or {})}, reason=reason or code
    )


def request_headers(origin: str, request_id: str | None = None) -> dict[str, str]:
    """Return the ids that Microsoft's support asks for."""
    request_id = request_id or str(uuid.uuid4())
    if origin == "graph":
        return {"request-id": request_id, "client-request-id": request_id}
    return {"SPRequestGuid": request_id, "request-id": request_id}


def add_request_ids(origin: str, request: Request, response: Response) -> None:
    """Give an answer its request ids, and the client's own id back, in its headers and in an error's body.

    Source: docs/wire/graph-onedrive.md#errors.
    """
    for name, value in request_headers(origin).items():
        response.headers.setdefault(name, value)
    own = request.headers.get("client-request-id", "")
    if not own or len(own) > 200:
        return
    if "client-request-id" in response.headers:
        response.headers["client-request-id"] = own
    if response.status >= 400 and response.body:
        before = response.headers["request-id"]
        response.body = response.body.replace(
            f'"client-request-id":"{before}"'.encode(), f'"client-request-id":{json.dumps(own)}'.encode()
        )


def item_not_found(origin: str) -> Response:
    """Return 404 for a drive, folder or file that is not there."""
    return drive_error(origin, 404, "itemNotFound", "The resource could not be found.")


def session_not_found(reason: str = "session-not-found") -> Response:
    """Return 404 for an upload session that is gone or already completed."""
    return drive_error(
        "sharepoint", 404, "itemNotFound", "The upload session was not found",
        inner="uploadSessionNotFound", reason=reason,
    )  # fmt: skip


def name_exists(origin: str, message: str = "The specified item name already exists.") -> Response:
    """Return 409 for a name taken by a file or a session (docs/wire/graph-onedrive.md#one-session-for-each-file)."""
    return drive_error(origin, 409, "nameAlreadyExists", message)


def invalid_request(origin: str, message: str, *, inner: str = "", reason: str = "invalid-request") -> Response:
    """Return 400 for a request that cannot be understood."""
    return drive_error(origin, 400, "invalidRequest", message, inner=inner or (), reason=reason)


def throttled(origin: str, retry_after: str | None) -> Response:
    """Return 429 with nested codes as captured in learn Q&A 648796.

    :param retry_after: value of the header; None leaves it out.
    """
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return drive_error(
        origin, 429, "activityLimitReached", "The request has been throttled",
        inner=("throttledRequest", "quota"), headers=headers, reason="throttled",
    )  # fmt: skip


def quota_exceeded(origin: str) -> Response:
    """Return 507: the drive is full."""
    return drive_error(origin, 507, "quotaLimitReached", "The user's storage quota has been exceeded.")


def operation_not_supported(origin: str) -> Response:
    """Return 400 `notSupported`, the service's own answer to options that a list does not know (odad#1873)."""
    return drive_error(origin, 400, "notSupported", "Operation not supported")


def not_supported(origin: str, what: str) -> Response:
    """Return 501 for what the real service answers and the emulator does not imitate.

    :param what: the part of the request, in words.
    """
    return drive_error(origin, 501, "notSupported", f"The emulator does not imitate {what}.", reason="not-supported")
