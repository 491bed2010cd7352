"""Mistakes in the catalogue, in words: what a validator finds becomes a sentence with file and line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from pydantic import ValidationError

from talent_dmf.api.errors import TalentDmfError
from talent_dmf.api.words import quoted

# The keys that are known where one was found: its path in the file is given.
Keys: TypeAlias = Callable[[tuple[str | int, ...]], Iterable[str]]


class MistakeError(ValueError):
    """What a validator finds; pydantic lets only a ``ValueError`` pass as a finding.

    :param words: what is wrong; begins with the key's name only if it is ``whole``.
    :param key: key to tell it at, where it concerns several.
    :param whole: whether the words are a sentence of their own.
    """

    def __init__(self, words: str, *, key: str | None = None, whole: bool = False) -> None:
        super().__init__(words)
        self.key = key
        self.whole = whole


def checked(check: Callable[[str], Any], value: str) -> str:
    """A value as it is, if a check of the core lets it pass.

    :param check: raises :class:`TalentDmfError`, whose message is a sentence of its own.
    :param value: what to check.
    """
    try:
        check(value)
    except TalentDmfError as error:
        raise MistakeError(error.message.removesuffix("."), whole=True) from error
    return value


class Mistake(NamedTuple):
    """A finding, in words for the person who wrote the file.

    :param at: keys and indexes that lead to the value concerned.
    :param words: what is wrong, without the full stop.
    :param between: whether it is about several keys together.
    :param unknown: whether the key is none.
    """

    at: tuple[str | int, ...]
    words: str
    between: bool
    unknown: bool


def mistakes(error: ValidationError, keys: Keys) -> Iterator[Mistake]:
    """Pydantic's findings.

    :param error: the findings.
    :param keys: tells the keys that are known beside an unknown one.
    """
    found = error.errors(include_url=False)
    for finding in found:
        at = tuple(finding["loc"])
        # A list whose entries were all refused is not said to be empty as well.
        if finding["type"] == "too_short" and any(
            each["loc"][: len(at)] == at and each is not finding for each in found
        ):
            continue
        between = not at
        cause = finding.get("ctx", {}).get("error")
        if isinstance(cause, MistakeError) and cause.key is not None:
            at = (*at, cause.key)
        unknown = len(at) == 1 and finding["type"] == "extra_forbidden"
        yield Mistake(at, _words(at, finding, cause, keys), between, unknown)


def _words(at: tuple[str | int, ...], finding: Mapping[str, Any], cause: object, keys: Keys) -> str:
    key = ".".join(str(part) for part in at if isinstance(part, str))
    kind, context = finding["type"], finding.get("ctx", {})
    if kind == "missing":
        return f"`{key}` is missing; {_MEANING.get(key, 'set it')}"
    if kind == "extra_forbidden":
        known = sorted(keys(at))
        from difflib import get_close_matches

        close = get_close_matches(str(at[-1]), known, n=1)
        hint = f"use `{close[0]}` if that is meant" if close else f"known keys are {', '.join(known)}"
        return f"`{key}` is not a known key; {hint}"
    if kind == "literal_error":
        return f"`{key}` is {quoted(finding['input'])}, but must be {context['expected']}"
    if isinstance(cause, MistakeError) and cause.whole:
        return f"`{key}`: {cause}"
    if isinstance(cause, ValueError):
        return f"`{key}` {cause}"
    if finding["input"] in (None, "", []):
        return f"`{key}` is empty; {_MEANING.get(key, 'give a value or remove the line')}"
    return f"`{key}` is {quoted(finding['input'])}, but {_must(key, kind, context, finding)}"


def _must(key: str, kind: str, context: Mapping[str, Any], finding: Mapping[str, Any]) -> str:
    if kind == "string_pattern_mismatch" and key in _PATTERNS:
        return f"must be {_PATTERNS[key]}"
    if kind in {"too_short", "too_long"} and isinstance(finding["input"], str):
        kind = f"string_{kind}"
    # Of a date pydantic gives the limit as text.
    if isinstance(context.get("ge", context.get("le")), str):
        kind += "_of_dates"
    if kind in _KINDS:
        return f"must be {_KINDS[kind].format(**context)}"
    message = str(finding["msg"])
    return f"{message[:1].lower()}{message[1:]}"


# Pydantic's kinds of findings that a person can meet here, in words for people.
_KINDS = {
    "int_parsing": "a whole number",
    "greater_than_equal": "{ge} or more",
    "less_than_equal": "{le} or less",
    "greater_than_equal_of_dates": "{ge} or later",
    "less_than_equal_of_dates": "{le} or earlier",
    "bool_parsing": "true or false",
    "date_from_datetime_parsing": "a date, such as 2026-01-31",
    "date_parsing": "a date, such as 2026-01-31",
    "tuple_type": "a list, such as [a, b]",
    "string_type": "a text",
    "too_long": "a list of at most {max_length} entries",
    "int_parsing_size": "a smaller number",
    "string_too_long": "a text of at most {max_length} characters",
    "string_too_short": "a text that is not empty",
    "model_type": "a mapping, such as {{key: value}}",
}
# What the patterns of the catalogue mean.
_PATTERNS = {
    "notify.mail.to": "the address of a mailbox, such as hr-it@contoso.com",
    "notify.mail.from": "one line, such as Exports <exports@contoso.com>",
    "notify.notifier": "the path of a class, such as airflow.providers.smtp.notifications.smtp.SmtpNotifier",
}
_MEANING = {
    "data_project": "give the name of the data project in Dynamics 365, such as Export Workers",
    "legal_entities": "give one company code or a list of them, such as USMF",
}
