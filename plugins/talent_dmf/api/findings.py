"""What a check found: one row for each thing that was looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

# `warning` fails nothing: it works, and a person should know; or it could not be found out.
Result: TypeAlias = Literal["ok", "warning", "failed", "not checked"]

_HEADINGS = ("Check", "Result", "What was found, and what to do")
# A column is as wide as its longest entry up to this many characters; longer entries stand out of it.
_MAX_WIDTH = 48


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    :param check: what was looked at.
    :param result: how it is.
    :param words: what was found and, unless all is well, what to do.
    """

    check: str
    result: Result
    words: str

    def to_json(self) -> dict[str, str]:
        """The same as JSON values."""
        return {"check": self.check, "result": self.result, "words": self.words}


def table(findings: Sequence[Finding]) -> list[str]:
    """The findings as lines of a table, for a log.

    :param findings: the rows.
    """
    rows = [_HEADINGS, *((each.check, each.result, each.words) for each in findings)]
    widths = [min(_MAX_WIDTH, max(len(row[column]) for row in rows)) for column in (0, 1)]
    lines = [f"{check:<{widths[0]}}  {result:<{widths[1]}}  {words}" for check, result, words in rows]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def summary(findings: Sequence[Finding]) -> str:
    """One sentence on all of them, which names those that failed.

    :param findings: the rows.
    """
    failed = [each.check for each in findings if each.result == "failed"]
    warnings = [each.check for each in findings if each.result == "warning"]
    if failed:
        return f"{len(failed)} of {len(findings)} checks failed: {', '.join(failed)}."
    if warnings:
        return f"All {len(findings)} checks passed, with warnings about: {', '.join(warnings)}."
    return f"All {len(findings)} checks passed."
