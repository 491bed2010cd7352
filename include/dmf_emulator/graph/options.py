"""Query options and conditional headers as the drive API reads them.

Sources: docs/wire/graph-onedrive.md#lists, docs/wire/graph-onedrive.md#addressing; RFC 9110, 13.1 (conditions).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from dmf_emulator.graph.answers import invalid_request, not_supported, operation_not_supported
from dmf_emulator.http.message import Refusal, Request

# A tag of an item has a comma of its own: "{GUID},3".
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def check_options(origin: str, request: Request, allowed: Collection[str]) -> None:
    """Refuse what would otherwise be silently ignored: an option that is not read here, or one that is there twice.

    :param allowed: the options that the answer respects.
    :raises Refusal: 400 `notSupported`, as Business answers options that a list does not know; 501 for `$expand`, which
        the real service reads in more places.
    """
    for name in request.parameters:
        if name == "$expand" and name not in allowed:
            raise Refusal(not_supported(origin, "$expand here"))
        if name.startswith("$") and name not in allowed:
            raise Refusal(operation_not_supported(origin))
    if twice := request.repeated_option:
        raise Refusal(invalid_request(origin, f"Query option '{twice}' was specified more than once."))


def selected(body: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """Return a resource with the properties that `$select` names; its context is an annotation and stays."""
    wanted = {name.strip() for name in request.parameters.get("$select", "").split(",") if name.strip()}
    whole = not wanted or "*" in wanted
    return {key: value for key, value in body.items() if whole or key in wanted or key == "@odata.context"}


def names_tag(header: str, *tags: str) -> bool:
    """Whether a condition names one of the tags, alone, in a list or by `*`."""
    given = header.strip()
    return given == "*" or given in tags or any(tag in tags for tag in _TAG.findall(given))
