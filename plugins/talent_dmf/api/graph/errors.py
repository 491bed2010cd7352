"""What Microsoft Graph and SharePoint mean by a refusal (docs/wire/graph-onedrive.md#errors).

The outer code is general and the innermost one specific. Graph spells ``innerError`` and SharePoint ``innererror``;
a gateway in front of either answers HTML. Codes decide, messages are only quoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from talent_dmf.api.answers import facts_of
from talent_dmf.api.errors import (
    AuthenticationError,
    DestinationBusyError,
    DestinationError,
    NameConflictError,
    PermissionDeniedError,
    ProtocolError,
    RequestRefusedError,
    TalentDmfError,
    ThrottledError,
)
from talent_dmf.api.redaction import printable
from talent_dmf.api.steps import Response

_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]+>", re.S | re.I)
_MAX_DEPTH = 8


class Refusal(Enum):
    """What a refusal means, whatever its status and words."""

    FULL = "the storage is full. Free space or raise the quota"
    TOO_LARGE = "the file is larger than the service accepts (250 GB). Let the data project export less at a time"
    LOCKED = "the file is locked: somebody has it open, or it is checked out or retained. Close it, or try again later"
    THROTTLED = "the service asks us to slow down. Try again later"
    CHANGED = "it was changed by somebody else at the same moment. Try again"
    OTHER_VERSION = "somebody has changed it since. Look at it"
    TAKEN = "the name is taken. Remove or rename the file there, or set the conflict behaviour to replace or rename"
    BAD_PATH = "the service does not accept this name or path. Shorten or change the folder or the name"
    MISSING = "it does not exist, or the application cannot see it. Correct the name, or give the application access"
    NO_DRIVE = (
        "no OneDrive is there (it is made when the user signs in to it for the first time, and needs a licence), the "
        "user does not exist, or the application cannot see the drive. Check the name, the licence and the permission"
    )
    NO_SITE = (
        "there is no such site, or the application cannot see it. Write it as contoso.sharepoint.com:/sites/name, with "
        "the host of your own tenant, and give the application access"
    )
    NOT_ALLOWED = (
        "the application has no permission for that. Grant it the application permission Files.ReadWrite.All, or "
        "Sites.Selected with the role write on this site, with admin consent"
    )
    NOT_SIGNED_IN = (
        "Microsoft Graph refused the token. Check tenant, client id and secret of the connection, and that its extra "
        "`scopes`, if it has one, is its host, the address of Microsoft Graph, followed by /.default"
    )
    MALWARE = "the service found malware in it. Look at the file with your security team before anybody opens it"
    NOT_GRAPH = (
        "the answer is none of Microsoft Graph's. Check that the connection's base URL is that of Graph and that no "
        "proxy answers in its place"
    )
    WRONG = "the request was refused. Correct what the service says, or report it"


_KINDS: dict[Refusal, type[TalentDmfError]] = {
    Refusal.LOCKED: DestinationBusyError,
    Refusal.CHANGED: DestinationBusyError,
    Refusal.THROTTLED: ThrottledError,
    Refusal.TAKEN: NameConflictError,
    Refusal.NOT_ALLOWED: PermissionDeniedError,
    Refusal.NOT_SIGNED_IN: AuthenticationError,
    Refusal.NOT_GRAPH: ProtocolError,
    Refusal.WRONG: RequestRefusedError,
}

# (code in lower case, status, words of the operation) → meaning; None stands for any. Codes come first, from the
# innermost to the outermost; where a code is known with a status, that row stands before the one without. Codes:
# learn.microsoft.com "Microsoft Graph error responses and resource types" and docs/wire/graph-onedrive.md#errors.
_ANY_OF_FIND = "find the drive of"
_FIND_SITE = "find the site"
_BY_CODE: tuple[tuple[str, int | None, str | None, Refusal], ...] = (
    *((code, None, None, Refusal.LOCKED) for code in ("resourcelocked", "lockmismatch", "lockownermismatch")),
    ("accessdenied", 423, None, Refusal.LOCKED),
    ("notallowed", 423, None, Refusal.LOCKED),
    # A gateway gives them with other statuses than 429 and 503 as well.
    *(
        (code, None, None, Refusal.THROTTLED)
        for code in ("activitylimitreached", "throttledrequest", "toomanyrequests", "servicenotavailable", "serverbusy")
    ),
    *((code, None, "delete", Refusal.OTHER_VERSION) for code in ("resourcemodified", "entitytagdoesnotmatch")),
    *((code, None, None, Refusal.CHANGED) for code in ("resourcemodified", "entitytagdoesnotmatch")),
    *(
        (code, None, None, Refusal.FULL)
        for code in (
            "quotalimitreached",
            "insufficientstorage",
            "maxdocumentcountexceeded",
            "maxfoldercountexceeded",
            "maxitemcountexceeded",
            "childitemcountexceeded",
        )
    ),
    *(
        (code, None, None, Refusal.TOO_LARGE)
        for code in ("maxfilesizeexceeded", "maxstreamsizeexceeded", "filetoolarge")
    ),
    ("namealreadyexists", None, None, Refusal.TAKEN),
    *(
        (code, None, None, Refusal.BAD_PATH)
        for code in (
            "invalidpath",
            "pathistoolong",
            "pathistoodeep",
            "pathtoodeep",
            "nameinvalid",
            "namecontainsinvalidcharacters",
            "parameteristoolong",
        )
    ),
    *((code, None, None, Refusal.MALWARE) for code in ("malwaredetected", "virussuspicious")),
    *(
        (code, status, _ANY_OF_FIND, Refusal.NO_DRIVE)
        for code, status in (
            ("resourcenotfound", None),
            ("itemnotfound", None),
            ("badrequest", 400),
            ("unknownerror", None),
        )
    ),
    *((code, None, _FIND_SITE, Refusal.NO_SITE) for code in ("itemnotfound", "resourcenotfound", "invalidrequest")),
    *((code, None, None, Refusal.MISSING) for code in ("itemnotfound", "resourcenotfound")),
    *(
        (code, None, None, Refusal.NOT_ALLOWED)
        for code in ("accessdenied", "accessrestricted", "authorization_requestdenied")
    ),
    *(
        (code, None, None, Refusal.NOT_SIGNED_IN)
        for code in (
            "unauthenticated",
            "invalidauthenticationtoken",
            "compacttokenparsingfailed",
            "authenticationerror",
        )
    ),
)
_BY_STATUS: dict[int, Refusal] = {
    401: Refusal.NOT_SIGNED_IN,
    403: Refusal.NOT_ALLOWED,
    404: Refusal.MISSING,
    409: Refusal.TAKEN,
    412: Refusal.CHANGED,
    413: Refusal.TOO_LARGE,
    423: Refusal.LOCKED,
    429: Refusal.THROTTLED,
    507: Refusal.FULL,
}


@dataclass(frozen=True, slots=True)
class GraphFault:
    """The error object of an answer.

    :param codes: codes from the outermost to the innermost, lower case.
    :param message: the service's most specific words.
    """

    codes: tuple[str, ...] = ()
    message: str = ""


def read_fault(response: Response) -> GraphFault:
    """The error that an answer carries, whatever its form.

    :param response: any answer.
    """
    body = response.json()
    error: Any = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        text = _TAG.sub(" ", response.body[:4000].decode("utf-8", "replace")) if body is None else str(error or "")
        return GraphFault(message=_in_one_line(text))
    codes: list[str] = []
    message = ""
    for _ in range(_MAX_DEPTH):
        if not isinstance(error, dict):
            break
        if isinstance(error.get("code"), str):
            codes.append(error["code"].lower())
        said = error.get("message")
        words = said.get("value") if isinstance(said, dict) else said
        message = words if isinstance(words, str) and words else message
        error = error.get("innerError") or error.get("innererror")
    return GraphFault(tuple(codes), _in_one_line(message))


def _in_one_line(text: str) -> str:
    return " ".join(printable(text[:4000]).split())[:500]


def meaning(operation: str, response: Response) -> Refusal:
    """What an answer that is no success means: by its code where it has one that is known, by its status after that.

    :param operation: what was tried, in words that follow "could not".
    :param response: the answer.
    """
    if response.ok or 300 <= response.status < 400:
        return Refusal.NOT_GRAPH
    for code in reversed(read_fault(response).codes):
        for known, status, words, refusal in _BY_CODE:
            if known == code and status in {None, response.status} and words in {None, operation}:
                return refusal
    if operation == _ANY_OF_FIND and response.status == 404:
        return Refusal.NO_DRIVE
    if operation == _FIND_SITE and response.status in {400, 404}:
        return Refusal.NO_SITE
    if operation == "delete" and response.status in {409, 412}:
        return Refusal.OTHER_VERSION
    return _BY_STATUS.get(response.status, Refusal.WRONG)


def graph_error(operation: str, response: Response, subject: str) -> TalentDmfError:
    """The error for an answer that is no success.

    :param operation: what was tried, in words that follow "could not".
    :param response: the answer.
    :param subject: what it was about: a path, a drive, a user.
    """
    refusal = meaning(operation, response)
    message = read_fault(response).message
    says = f"; Microsoft Graph says: {message.rstrip('. ')}" if message and refusal is not Refusal.NOT_GRAPH else ""
    why, _, action = refusal.value.partition(". ")
    return _KINDS.get(refusal, DestinationError)(
        f"Could not {operation} {subject!r} in OneDrive: {why}{says}. {action}.",
        **facts_of(response),
    )
