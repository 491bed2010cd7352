"""What a migration finds: exports, and what could not be carried over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_DEPTH = 100


@dataclass
class FoundExport:
    """An export that another tool runs.

    :param project: name of the data project, or ``""`` if it is not known before the tool runs.
    :param companies: company codes.
    :param keys: further keys of the catalogue.
    :param notes: what a person must look at, one sentence each.
    """

    project: str
    companies: list[str]
    keys: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def objects(value: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Every JSON object in a document, from the outside to the inside.

    :param value: any JSON value.
    :param depth: how deep it lies; what lies deeper than 100 is passed over.
    """
    if depth > MAX_DEPTH:
        return
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from objects(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner, depth + 1)
