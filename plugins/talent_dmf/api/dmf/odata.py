"""How finance and operations answers: the flat and the nested ``value``, and five shapes of error.

Shapes: docs/wire/dmf-package-api.md#shape-of-an-answer (flat or nested ``value``) and
docs/wire/dmf-package-api.md#error-bodies.
"""

from __future__ import annotations

from typing import Any

from talent_dmf.api.answers import error_of, error_text, facts_of, saying
from talent_dmf.api.errors import (
    AuthenticationError,
    ConfigurationError,
    PermissionDeniedError,
    ProtocolError,
    RequestRefusedError,
    TalentDmfError,
)
from talent_dmf.api.steps import Response


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
            **facts_of(response),
        )
    if body.get("value") is None and error_of(body) is not None:
        # An error in the clothes of a success (OData writes it where the answer had begun already).
        raise ProtocolError(
            f"{operation}: Dynamics 365 answered with an error{saying(error_text(response))}. Try again later.",
            **facts_of(response),
        )
    value = body.get("value")
    while isinstance(value, dict) and "value" in value:
        value = value["value"]
    return value


def same_name(one: str, other: str) -> bool:
    """Whether Dynamics 365 takes two names for one: SQL Server compares without case and without blanks at the end.

    :param one: a name.
    :param other: another.
    """
    return one.strip().casefold() == other.strip().casefold()


def execution_denied(response: Response) -> bool:
    """Whether the service itself says that it has no such execution (yet): a refusal in the envelope of an action. What
    its words are depends on the language of the application's user; a bare 400 or a gateway's page denies nothing
    (docs/wire/dmf-package-api.md#error-bodies, A).

    :param response: the answer to a status call.
    """
    body = response.json()
    return response.status in {400, 404} and isinstance(body, dict) and isinstance(body.get("error"), dict)


def refusal(operation: str, response: Response, subject: str = "") -> TalentDmfError:
    """The error for an answer that is no success.

    :param operation: the action, for the message.
    :param response: the answer.
    :param subject: what it was about, such as the data project's name.
    """
    said = error_text(response)
    facts = facts_of(response)
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
            "environment's URL, lower case, without a slash at the end. The connection's Test button says which of "
            "the two is wrong.",
            **facts,
        )
    if response.status == 403:
        return PermissionDeniedError(
            f"{operation}: the application's user in Dynamics 365 has no right to that{saying(said)}. Give it the "
            "Data management roles, and access to the data project and the legal entity.",
            **facts,
        )
    if response.status == 404:
        return ConfigurationError(
            f"{operation}: the address is not known to this host. Check the connection's host: the environment's URL, "
            "for Talent with /namespaces/<guid>, on-premises with /namespaces/AXSF.",
            **facts,
        )
    return RequestRefusedError(
        f"{operation} was refused{f' for {subject!r}' if subject else ''}{saying(said)}. "
        f"{'Correct that' if said else 'Dynamics 365 gives no reason'}; look at the project under Data management.",
        **facts,
    )
