"""How finance and operations answers: the flat and the nested ``value``, and five shapes of error.

Shapes: docs/wire/dmf-package-api.md#shape-of-an-answer (flat or nested ``value``) and
docs/wire/dmf-package-api.md#error-bodies.
"""

from __future__ import annotations

import re
from typing import Any

from talent_dmf.api.errors import (
    AuthenticationError,
    ConfigurationError,
    DataProjectNotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RequestRefusedError,
    TalentDmfError,
)
from talent_dmf.api.steps import Response

_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]+>", re.S | re.I)
_PROJECT_MISSING = re.compile(
    r"data project\b.*\bdoes not exist|definition group\b.*\b(not exist|not found)", re.I | re.S
)
_ACTION_PREFIX = re.compile(r"^Exception occurred while executing action \S+ on Entity \w+:\s*", re.I)


def value_of(operation: str, response: Response) -> Any:
    """The ``value`` of a successful answer, whether flat or nested.

    :param operation: the action, for the message.
    :param response: a 2xx answer.
    :raises ProtocolError: the answer is no OData answer.
    """
    if not response.body.strip():
        return None
    body = response.json()
    if not isinstance(body, dict):
        raise ProtocolError(
            f"{operation}: the environment answered something that is not JSON (a sign-in or error page?); check that "
            "the connection's host is the environment's own address.",
            status_code=response.status,
            request_ids=response.request_ids,
            detail=response.body[:2000].decode("utf-8", "replace"),
        )
    value = body.get("value")
    while isinstance(value, dict) and "value" in value:
        value = value["value"]
    return value


def error_text(response: Response) -> str:
    """The most telling sentence of a refusal, in the service's own words.

    :param response: any answer.
    """
    body = response.json()
    if isinstance(body, dict):
        error = body.get("error")
        if isinstance(error, dict):
            inner = error.get("innererror") or error.get("innerError") or {}
            nested = inner.get("internalexception") if isinstance(inner, dict) else None
            found = [source.get("message") for source in (nested, inner, error) if isinstance(source, dict)]
            text = next((str(message) for message in found if message), str(error.get("code") or ""))
        else:
            text = str(body.get("Message") or body.get("message") or error or "")
    else:
        text = _TAG.sub(" ", response.body[:4000].decode("utf-8", "replace"))
    return _ACTION_PREFIX.sub("", " ".join(text.split()))[:1000]


def execution_not_found(response: Response) -> bool:
    """Whether an answer says that the execution is not known (yet): docs/wire/dmf-package-api.md#not-found-at-first."""
    return response.status in {400, 404} and "details were not found" in error_text(response).lower()


def parameters_refused(response: Response) -> bool:
    """Whether an answer says that the request's own parameters are wrong
    (docs/wire/dmf-package-api.md#all-five-parameters): our fault, which no patience mends."""
    return response.status == 400 and "model state is invalid" in error_text(response).lower()


def refusal(operation: str, response: Response, subject: str = "") -> TalentDmfError:
    """The error for an answer that is no success.

    :param operation: the action, for the message.
    :param response: the answer.
    :param subject: what it was about, such as the data project's name.
    """
    said = error_text(response)
    facts: dict[str, Any] = {
        "status_code": response.status,
        "request_ids": response.request_ids,
        "detail": response.body[:4000].decode("utf-8", "replace"),
    }
    if 300 <= response.status < 400:
        return ProtocolError(
            f"{operation}: the environment redirects instead of answering, usually to a sign-in page; check that the "
            "connection's host is the environment's own address, with /namespaces/<guid> for Talent.",
            **facts,
        )
    if response.status == 401:
        return AuthenticationError(
            f"{operation}: Dynamics 365 refused the token. Register the application under System administration > "
            "Setup > Microsoft Entra ID applications with a user, and check that the connection's resource is the "
            "environment's URL, lower case, without a slash at the end. The connection test tells which it is.",
            **facts,
        )
    if response.status == 403:
        return PermissionDeniedError(
            f"{operation}: the application's user in Dynamics 365 may not do this. Give it the Data management roles, "
            f"and access to the data project and the legal entity. Dynamics 365 says: {said or 'nothing more'}",
            **facts,
        )
    if _PROJECT_MISSING.search(said):
        return DataProjectNotFoundError(
            f"The data project {subject!r} does not exist in this environment. Create it as an export project under "
            "Data management, or correct the name; a template is no project.",
            **facts,
        )
    if response.status == 404:
        return ConfigurationError(
            f"{operation}: the address is not known to this host. Check the connection's host: the environment's URL, "
            "for Talent with /namespaces/<guid>, on-premises with /namespaces/AXSF.",
            **facts,
        )
    return RequestRefusedError(
        f"{operation} was refused{f' for {subject!r}' if subject else ''}: {said or 'Dynamics 365 gives no reason'}",
        **facts,
    )
