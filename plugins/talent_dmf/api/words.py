"""Numbers in sentences."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """A number with its noun: ``1 row``, ``2 rows``.

    :param count: the number.
    :param noun: the noun in the singular; its plural is regular.
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"
