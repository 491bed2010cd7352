"""What may be shown of URLs, headers and texts: the only room for the rules on secrets.

A signed Blob URL and an upload URL are bearer secrets in their query string (docs/wire/dmf-package-api.md#package-link,
docs/wire/graph-onedrive.md#session-address); whoever holds one holds the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from urllib.parse import urlsplit

MASK = "***"

# User info runs to the last @ before the path: a password may hold one.
_URL = r"(?P<head>[a-z][a-z0-9+.-]{1,15}://)(?:[^\s/?#'\"<>\\]*@)?(?P<rest>[^\s?#'\"<>\\]*)(?P<query>[?#](?:='[^\s'\"<>]*'|[^\s'\"<>\\]|\\u[0-9a-f]{4})*)?"
_AUTHORIZATION = r"(?P<key>\bauthorization\\*[\"']?\s*[:=]\s*\\*[\"']?)[^\r\n,'\"\\}]+"
_SCHEME = (
    r"\b(?P<scheme>(?i:bearer)(?:\s+|%20|\+)|[Bb]asic\s+(?=[A-Za-z+/]*[A-Z0-9=])"
    r"|(?i:SharedKey(?:Lite)?)\s+[\w-]{1,80}:)[\w.~+/=%-]{8,}"
)
_JWT = r"\beyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)*"
_PRIVATE_KEY = r"-----BEGIN (?P<kind>[A-Z ]*)PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
# Names come in snake_case, camelCase, kebab-case and dotted, with words before them (aws_secret_access_key, sasToken);
# quoted, quoted within a JSON string, or percent-encoded; behind the & of a URL as it is, as %26, or as .NET's JSON
# writes it, as \u0026. A quote that is not closed is that of a text that was cut, so the secret runs to its end. What
# was once matched in a value is not tried again: a text of backslashes would take quadratic time.
_KEY_VALUE = (
    r"""(?P<key>(?:(?<![A-Za-z0-9_])|(?-i:(?<=[a-z0-9])(?=[A-Z]))|(?<=%[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4}))"""
    r"""(?:[a-z0-9]{1,30}+[_.-]){0,8}"""
    r"""(?:client[_-]?secret|client[_-]?assertion|password|passwd|pwd|refresh[_-]?token|access[_-]?token|id[_-]?token"""
    r"""|session[_-]?token|security[_-]?token|sas[_-]?token|assertion|private[_-]?key|sig|signature|tempauth|token|secret"""
    r"""|api[_-]?key|account[_-]?key|shared[_-]?access[_-]?(?:key|signature)|access[_-]?key"""
    r"""|secret[_.-]?(?:access[_.-]?)?key|upload[_-]?url|x-identity-header)\\*["']?(?:\s*[:=]\s*|%3A|%3D))"""
    r"""(?P<value>[bu]?(?:\\+"(?:[^\\]|\\++(?!"))*+(?:\\+"|\Z)|"(?:[^"\\]|\\.)*+(?:"|\\?\Z)"""
    r"""|'(?:[^'\\]|\\.)*+(?:'|\\?\Z))|(?:(?!\\u0026|%26)[^\s,;&}'"\\])+)"""
)
# What a link into Dynamics 365 navigates by; none of it opens anything.
_NAVIGATION = frozenset({"mi", "cmp", "prt", "lng", "executionid"})


def printable(text: str) -> str:
    """A text in one line that a terminal, a database and a person take as it looks: without control characters,
    characters of direction and halves of characters.

    :param text: any text, such as a service's answer.
    """
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def redact_url(url: str) -> str:
    """A URL without user info, query and fragment: what may be logged of it.

    :param url: absolute or relative URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    host = parts.netloc.rpartition("@")[2]
    shown = f"{parts.scheme}://{host}{parts.path}" if parts.scheme else parts.path
    return f"{shown}?{MASK}" if parts.query else shown


def redact(text: str) -> str:
    """A text without tokens, signatures, passwords, private keys and the queries of URLs.

    The query of a link that only navigates in Dynamics 365 is kept: it is there to be clicked.

    :param text: any text, such as a service's answer or an exception's message.
    """
    for pattern, shown in _rules():
        text = pattern.sub(shown, text)
    return text


@cache
def _rules() -> tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]:
    # Compiled when something is first redacted: a DAG file that is parsed redacts nothing, and these take longer than
    # the rest of the module.
    return (
        (re.compile(_PRIVATE_KEY, re.S), lambda match: f"-----BEGIN {match['kind']}PRIVATE KEY-----{MASK}"),
        (re.compile(_AUTHORIZATION, re.I), lambda match: f"{match['key']}{MASK}"),
        (re.compile(_URL, re.I), _shorten),
        (re.compile(_SCHEME), lambda match: f"{match['scheme']}{MASK}"),
        (re.compile(_JWT), lambda _: MASK),
        (re.compile(_KEY_VALUE, re.I | re.S), lambda match: f"{match['key']}{MASK}"),
    )


def _shorten(match: re.Match[str]) -> str:
    query = match["query"] or ""
    names = {pair.partition("=")[0].lower() for pair in query[1:].split("&")}
    if query.startswith("#"):
        query = ""
    elif query and not names <= _NAVIGATION:
        query = f"?{MASK}"
    return f"{match['head']}{match['rest']}{query}"


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
