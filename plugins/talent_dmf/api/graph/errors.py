"""What Microsoft Graph and SharePoint mean by a refusal (docs/wire/graph-onedrive.md#errors).

The outer code is general and the innermost one specific. Graph spells ``innerError`` and SharePoint ``innererror``;
a gateway in front of either answers HTML. Codes decide, messages are only quoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from talent_dmf.api.errors import (
    AuthenticationError,
    DestinationError,
    NameConflictError,
    PermissionDeniedError,
    ProtocolError,
    RequestRefusedError,
    TalentDmfError,
)
from talent_dmf.api.steps import Response

_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]+>", re.S | re.I)
_MAX_DEPTH = 8
# Codes that refuse the name or the path itself.
_PATH_CODES = frozenset({"invalidpath", "pathistoolong", "nameinvalid"})


@dataclass(frozen=True, slots=True)
class GraphFault:
    """The error object of an answer.

    :param codes: codes from the outermost to the innermost, lower case.
    :param message: the service's most specific words.
    """

    codes: tuple[str, ...] = ()
    message: str = ""

    def has(self, *codes: str) -> bool:
        """Whether one of the codes occurs at any depth."""
        return any(code.lower() in self.codes for code in codes)


def read_fault(response: Response) -> GraphFault:
    """The error that an answer carries, whatever its form.

    :param response: any answer.
    """
    body = response.json()
    error: Any = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        text = _TAG.sub(" ", response.body[:4000].decode("utf-8", "replace")) if body is None else str(error or "")
        return GraphFault(message=" ".join(text.split())[:500])
    codes: list[str] = []
    message = ""
    for _ in range(_MAX_DEPTH):
        if not isinstance(error, dict):
            break
        if isinstance(error.get("code"), str):
            codes.append(error["code"].lower())
        said = error.get("message")
        message = (said.get("value") if isinstance(said, dict) else said) or message
        error = error.get("innerError") or error.get("innererror")
    return GraphFault(tuple(codes), " ".join(str(message).split())[:500])


def graph_error(operation: str, response: Response, subject: str) -> TalentDmfError:
    """The error for an answer that is no success.

    :param operation: what was tried, in words that follow "could not".
    :param response: the answer.
    :param subject: what it was about: a path, a drive, a user.
    """
    fault = read_fault(response)
    facts: dict[str, Any] = {
        "status_code": response.status,
        "request_ids": response.request_ids,
        "detail": response.body[:4000].decode("utf-8", "replace"),
    }
    head = f"Could not {operation} {subject!r} in OneDrive"
    says = f" Microsoft Graph says: {fault.message}" if fault.message else ""
    if response.ok or 300 <= response.status < 400:
        return ProtocolError(
            f"{head}: the answer is none of Microsoft Graph's; check that the connection's base URL is that of Graph "
            "and that no proxy answers in its place.",
            **facts,
        )
    if response.status == 401:
        return AuthenticationError(
            f"{head}: Microsoft Graph refused the token. Check tenant, client id and secret of the connection, and "
            f"that its scope is https://graph.microsoft.com/.default.{says}",
            **facts,
        )
    if response.status == 403:
        return PermissionDeniedError(
            f"{head}: the application may not. Grant it the application permission Files.ReadWrite.All, or "
            f"Sites.Selected with the role write on this site, with admin consent.{says}",
            **facts,
        )
    return _refusal_of_the_drive(head, says, response.status, fault, facts)


def _refusal_of_the_drive(
    head: str, says: str, status: int, fault: GraphFault, facts: dict[str, Any]
) -> TalentDmfError:
    if status == 507 or fault.has("quotaLimitReached", "insufficientStorage"):
        return DestinationError(f"{head}: the storage is full. Free space or raise the quota.{says}", **facts)
    if status == 413:
        return DestinationError(f"{head}: the file is larger than the service accepts (250 GB).{says}", **facts)
    if status == 423 or fault.has("resourceLocked", "notAllowed"):
        return DestinationError(
            f"{head}: the file is locked, because somebody has it open or it is checked out or retained. "
            f"Close it, or choose another name.{says}",
            **facts,
        )
    if status == 412:
        return DestinationError(f"{head}: it was changed by somebody else meanwhile. Try again.{says}", **facts)
    if status == 409:
        return NameConflictError(
            f"{head}: the name is taken. Remove or rename the file there, or set the conflict behaviour to replace "
            f"or rename.{says}",
            **facts,
        )
    if status == 404:
        return DestinationError(f"{head}: it does not exist, or the application cannot see it.{says}", **facts)
    if fault.has(*_PATH_CODES):
        return DestinationError(f"{head}: the service does not accept this name or path.{says}", **facts)
    return RequestRefusedError(f"{head}: the request was refused.{says}", **facts)
