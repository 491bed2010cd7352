"""What a service says about a failure, in its own words and language: for people, never to decide by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from talent_dmf.api.redaction import printable
from talent_dmf.api.steps import Response

_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]+>", re.S | re.I)
# The service's own prefix in front of every action's message; what follows is the message.
_ACTION_PREFIX = re.compile(r"^Exception occurred while executing action \S+ on Entity \w+:\s*", re.I)
_INNER = ("innererror", "innerError", "internalexception")
_MAX_DEPTH = 8
# Of a refusal: enough for its words, and for whoever reads the error's details.
_KEPT_BYTES = 4000


def error_text(response: Response) -> str:
    """The most telling sentence of a refusal, in the service's own words and language: for people, never to decide by.

    :param response: any answer.
    """
    body = response.json()
    if isinstance(body, dict):
        text = _said(body)
    elif body is None:
        text = _TAG.sub(" ", response.body[:_KEPT_BYTES].decode("utf-8", "replace"))
    else:
        text = body if isinstance(body, str) else ""
    return _ACTION_PREFIX.sub("", " ".join(printable(text[:4000]).split()))[:1000]


def saying(said: str) -> str:
    """What a service says, as it follows what happened; nothing where it says nothing.

    :param said: its words.
    """
    words = said.rstrip(". ")
    return f": {words}" if words else ""


def facts_of(response: Response) -> dict[str, Any]:
    """What an error keeps of the answer behind it: status, request ids and the beginning of its body.

    :param response: the answer.
    """
    return {
        "status_code": response.status,
        "request_ids": response.request_ids,
        "detail": response.body[:_KEPT_BYTES].decode("utf-8", "replace"),
    }


def error_of(body: Mapping[str, Any]) -> Any:
    """The error object of an answer, or nothing.

    :param body: an answer's JSON object.
    """
    return body.get("error") or body.get("odata.error")


def _said(body: Mapping[str, Any]) -> str:
    error = error_of(body)
    if isinstance(error, str):
        return error
    if not isinstance(error, dict):
        return _message(body, "ExceptionMessage", "Message", "message")
    found, node = "", error
    for _ in range(_MAX_DEPTH):
        found = _message(node, "message") or found
        inner = next((node[name] for name in _INNER if isinstance(node.get(name), dict)), None)
        if inner is None:
            break
        node = inner
    return found or _message(error, "code")


def _message(node: Mapping[str, Any], *names: str) -> str:
    for name in names:
        said = node.get(name)
        # OData of version 3 gives the language with the text.
        text = said.get("value") if isinstance(said, dict) else said
        if isinstance(text, str) and text.strip():
            return text
    return ""
