"""`$filter` of OData, as far as the services read it.

Comparisons, `and`, `or`, `not` and grouping; `in` and `has` are refused; in finance and
operations `Field eq '*text*'` means "contains".
Sources: docs/wire/dmf-package-api.md#odata-options, docs/wire/graph-onedrive.md#lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
Predicate = Callable[[Row], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<paren>[(),])"
    r"|(?P<enum>Microsoft\.Dynamics\.DataEntities\.\w+)?'(?P<text>(?:[^']|'')*)'"
    r"|(?P<word>[\w.:+-]+))"
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: left == right,
    "ne": lambda left, right: left != right,
    "gt": lambda left, right: left > right,
    "ge": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "le": lambda left, right: left <= right,
}
_ARITHMETIC = frozenset({"add", "sub", "mul", "div", "divby", "mod"})
# Deeper than any client writes; ASP.NET's own default for the depth of a tree is 100.
_MAX_DEPTH = 100


class BadFilter(Exception):
    """A filter that the service refuses with 400; the message says why."""


class NotImitated(Exception):
    """A filter that the service may understand and the emulator does not; the message says which part."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    value: str
    position: int


def parse_filter(text: str, fields: Collection[str], *, wildcards: bool = True) -> Predicate:
    """Turn a filter into a test of a row.

    `and` binds stronger than `or`, `not` stronger than both, and parentheses group (OData 4.0, URL conventions).

    :param text: the value of `$filter`; an empty one fits every row.
    :param fields: names of the entity's properties.
    :param wildcards: whether `*` in a text stands for any characters.
    :raises BadFilter: for what the service refuses.
    :raises NotImitated: for functions and arithmetic.
    """
    tokens = _tokens(text)
    if not tokens:
        return lambda row: True
    parser = _Parser(text, tokens, fields, wildcards)
    predicate = parser.disjunction(0)
    parser.expect_end()
    return predicate


def count_comparisons(text: str) -> int:
    """Return how many comparisons a filter has, for limits on its size; 0 when it cannot be read."""
    try:
        return sum(1 for token in _tokens(text) if token.kind == "word" and token.value.lower() in _COMPARISONS)
    except BadFilter:
        return 0


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise BadFilter(f"Syntax error at position {position} in '{text}'.")
        kind = "paren" if match["paren"] else "text" if match["text"] is not None else "word"
        value = match["paren"] or match["word"] or (match["text"] or "").replace("''", "'")
        tokens.append(_Token(kind, value, position))
        position = match.end()
    return tokens


class _Parser:
    def __init__(self, text: str, tokens: list[_Token], fields: Collection[str], wildcards: bool) -> None:
        self._text = text
        self._tokens = tokens
        self._fields = fields
        self._wildcards = wildcards
        self._index = 0

    def disjunction(self, depth: int) -> Predicate:
        parts = [self._conjunction(depth)]
        while self._take_word("or"):
            parts.append(self._conjunction(depth))
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

    def _conjunction(self, depth: int) -> Predicate:
        parts = [self._negation(depth)]
        while self._take_word("and"):
            parts.append(self._negation(depth))
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)

    def _negation(self, depth: int) -> Predicate:
        if depth > _MAX_DEPTH:
            raise BadFilter(f"The depth limit for '{self._text[:40]}' has been exceeded.")
        if self._take_word("not"):
            inner = self._negation(depth + 1)
            return lambda row: not inner(row)
        if self._take("paren", "("):
            grouped = self.disjunction(depth + 1)
            if not self._take("paren", ")"):
                raise self._error()
            return grouped
        return self._comparison()

    def _comparison(self) -> Predicate:
        field = self._next("word")
        if self._peek("paren", "("):
            raise NotImitated(f"the function {field.value} in $filter")
        operator = self._next("word").value.lower()
        if operator in {"in", "has"}:
            raise BadFilter(f"The query operator '{operator}' is not supported.")
        if operator in _ARITHMETIC:
            raise NotImitated(f"arithmetic in $filter ({operator})")
        if operator not in _COMPARISONS:
            raise self._error(back=1)
        if field.value not in self._fields:
            raise BadFilter(f"Could not find a property named '{field.value}'.")
        literal = self._tokens[self._index] if self._index < len(self._tokens) else None
        if literal is None or literal.kind == "paren":
            raise self._error()
        self._index += 1
        return self._compared(field.value, operator, literal)

    def _compared(self, field: str, operator: str, literal: _Token) -> Predicate:
        wanted = literal.value.casefold()
        if self._wildcards and literal.kind == "text" and "*" in wanted and operator in {"eq", "ne"}:
            pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("*")), re.DOTALL)
            return lambda row: bool(pattern.fullmatch(str(row.get(field)).casefold())) is (operator == "eq")
        compare = _COMPARISONS[operator]

        def fits(row: Row) -> bool:
            value = row.get(field)
            if not isinstance(value, int):
                return compare(str(value).casefold(), wanted)
            return wanted.lstrip("-").isdecimal() and compare(value, int(wanted))

        return fits

    def expect_end(self) -> None:
        if self._index < len(self._tokens):
            raise self._error()

    def _next(self, kind: str) -> _Token:
        if self._index >= len(self._tokens) or self._tokens[self._index].kind != kind:
            raise self._error()
        self._index += 1
        return self._tokens[self._index - 1]

    def _peek(self, kind: str, value: str) -> bool:
        if self._index >= len(self._tokens):
            return False
        token = self._tokens[self._index]
        return token.kind == kind and token.value.lower() == value

    def _take(self, kind: str, value: str) -> bool:
        found = self._peek(kind, value)
        self._index += found
        return found

    def _take_word(self, value: str) -> bool:
        return self._take("word", value)

    def _error(self, back: int = 0) -> BadFilter:
        index = self._index - back
        position = self._tokens[index].position if index < len(self._tokens) else len(self._text)
        return BadFilter(f"Syntax error at position {position} in '{self._text}'.")
