"""What may be shown of URLs, headers and texts: the only room for the rules on secrets.

A signed Blob URL and an upload URL are bearer secrets in their query string (dmf-package-api.md §2.6,
onedrive-graph.md §1.3); whoever holds one holds the file.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

MASK = "***"

_URL_WITH_SECRET = re.compile(
    r"(?P<head>https?://)(?:[^\s/@'\"<>]+@)?(?P<rest>[^\s?#'\"<>]*)(?:[?#][^\s'\"<>]*)?", re.I
)
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.I)
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?")
_KEY_VALUE = re.compile(
    r"""(?P<key>["']?\b(?:client_secret|client_assertion|password|passwd|refresh_token|access_token|id_token|assertion"""
    r"""|private_key|sig|tempauth|token|secret|api_key|uploadurl)\b["']?\s*[:=]\s*)(?P<value>"[^"]*"|'[^']*'|[^\s,&}'"]+)""",
    re.I,
)


def redact_url(url: str) -> str:
    """A URL without user info, query and fragment: what may be logged of it.

    :param url: absolute or relative URL.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    shown = f"{parts.scheme}://{host}{parts.path}" if parts.scheme else parts.path
    return f"{shown}?{MASK}" if parts.query else shown


def redact(text: str) -> str:
    """A text without tokens, signatures, passwords and the queries of URLs.

    :param text: any text, such as a service's answer or an exception's message.
    """

    def shorten(match: re.Match[str]) -> str:
        whole = match.group(0)
        query = "?" + MASK if "?" in whole else ""
        return f"{match['head']}{match['rest']}{query}"

    text = _URL_WITH_SECRET.sub(shorten, text)
    text = _BEARER.sub(lambda match: f"{match[1]} {MASK}", text)
    text = _JWT.sub(MASK, text)
    return _KEY_VALUE.sub(lambda match: f"{match['key']}{MASK}", text)


class SecretUrl:
    """A URL whose query is a secret: it prints without it, and gives it only to who asks for it.

    :param value: the whole URL.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The whole URL, for the request that needs it."""
        return self._value

    def __str__(self) -> str:
        return redact_url(self._value)

    def __repr__(self) -> str:
        return f"<SecretUrl {self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretUrl) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("A SecretUrl is not serialised: fetch a new one from the execution id.")
