"""Numbers and values in sentences."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """A number with its noun: ``1 row``, ``2 rows``.

    :param count: the number.
    :param noun: the noun in the singular; its plural is regular.
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def quoted(value: object, most_characters: int = 100) -> str:
    """A value as it was given, a text in quotes; what is longer is cut.

    :param value: the value.
    :param most_characters: how much of it is shown.
    """
    if isinstance(value, str):
        return repr(value) if len(value) <= most_characters else f"{value[:most_characters]!r}…"
    words = repr(value)
    return words if len(words) <= most_characters else f"{words[:most_characters]}…"
