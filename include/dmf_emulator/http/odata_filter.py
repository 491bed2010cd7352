"""`$filter` of OData, as far as the services read it.

Comparisons of a property with a value, `and`, `or`, `not` and grouping; `in` and `has` are refused; in finance and
operations `Field eq '*text*'` means "contains". What has a meaning in OData but none here is told apart from what a
service refuses: neither is ever answered with rows that do not fit.
Sources: docs/wire/dmf-package-api.md#odata-options, docs/wire/graph-onedrive.md#lists; OData 4.0, URL conventions,
5.1.1 (operators and their precedence; their names are case-sensitive).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

Row = Mapping[str, Any]
Predicate = Callable[[Row], bool]
# The type of a property that can only be there or not, such as a facet of a drive item.
FACET = "facet"

_TOKEN = re.compile(
    r"\s*(?:(?P<paren>[(),])"
    r"|(?P<enum>[A-Za-z_]\w*(?:\.\w+)+)?'(?P<text>(?:[^']|'')*)'"
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
_EQUALITY = frozenset({"eq", "ne"})
_ARITHMETIC = frozenset({"add", "sub", "mul", "div", "divby", "mod"})
_FUNCTIONS = frozenset({
    "cast", "ceiling", "concat", "contains", "date", "day", "endswith", "floor", "fractionalseconds", "hour", "indexof",
    "isof", "length", "maxdatetime", "mindatetime", "minute", "month", "now", "round", "second", "startswith",
    "substring", "substringof", "time", "tolower", "totaloffsetminutes", "totalseconds", "toupper", "trim", "year",
})  # fmt: skip
_NUMBER = re.compile(r"-?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(?::\d\d(?:\.\d{1,12})?)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
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
    enum: str = ""

    @property
    def is_literal(self) -> bool:
        """Whether it can only be a value."""
        return self.kind == "text" or (
            self.kind == "word"
            and bool(
                self.value in {"null", "true", "false"}
                or any(pattern.fullmatch(self.value) for pattern in (_NUMBER, _TIME, _DATE))
            )
        )


def parse_filter(
    text: str,
    fields: Mapping[str, str],
    *,
    labels: Mapping[str, Sequence[str]] | None = None,
    wildcards: bool = True,
) -> Predicate:
    """Turn a filter into a test of a row.

    `and` binds stronger than `or`, `not` stronger than all comparisons, and parentheses group (OData 4.0, URL
    conventions).

    :param text: the value of `$filter`; an empty one fits every row.
    :param fields: type of each property by name: of EDM, of an enum, or `FACET`.
    :param labels: labels of each enum by its qualified name.
    :param wildcards: whether `*` in a text stands for any characters.
    :raises BadFilter: for what the service refuses.
    :raises NotImitated: for functions, arithmetic and comparisons that have no property on their left.
    """
    tokens = _tokens(text)
    if not tokens:
        return lambda row: True
    parser = _Parser(text, tokens, _Comparing(fields, labels or {}, wildcards))
    predicate = parser.disjunction(0)
    parser.expect_end()
    return predicate


def count_comparisons(text: str) -> int:
    """Return how many comparisons a filter has, for limits on its size; 0 when it cannot be read."""
    try:
        return sum(1 for token in _tokens(text) if token.kind == "word" and token.value in _COMPARISONS)
    except BadFilter:
        return 0


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise BadFilter(f"Syntax error at position {position} in '{text}'.")
        kind = "paren" if match["paren"] else "text" if match["text"] is not None else "word"
        value = match["paren"] or match["word"] or (match["text"] or "").replace("''", "'")
        tokens.append(_Token(kind, value, position, match["enum"] or ""))
        position = match.end()
    return tokens


class _Comparing:
    """Makes the test of one comparison from a property, an operator and a value of the property's type."""

    def __init__(self, fields: Mapping[str, str], labels: Mapping[str, Sequence[str]], wildcards: bool) -> None:
        self.fields = fields
        self._labels = labels
        self._wildcards = wildcards

    def test(self, field: str, operator: str, literal: _Token) -> Predicate:
        if field not in self.fields:
            raise BadFilter(f"Could not find a property named '{field}'.")
        if literal.kind == "word" and literal.value in self.fields:
            raise NotImitated("comparing two properties in $filter")
        if literal.kind == "word" and not literal.is_literal:
            raise BadFilter(f"Could not find a property named '{literal.value}'.")
        kind = self.fields[field]
        if literal.kind == "word" and literal.value == "null":
            if kind == FACET and operator not in _EQUALITY:
                raise self._incompatible(operator, kind)
            # Every property has a value here; nothing is less or greater than none.
            return lambda row: operator in _EQUALITY and (row.get(field) is None) is (operator == "eq")
        if kind in self._labels:
            return self._enum(field, operator, literal, kind)
        if kind == "Edm.String" and literal.kind == "text" and not literal.enum:
            return self._text(field, operator, literal.value)
        compare = _COMPARISONS[operator]
        if kind == "Edm.Int32" and literal.kind == "word" and _NUMBER.fullmatch(literal.value):
            number = Decimal(literal.value)
            return lambda row: compare(row[field], number)
        if kind == "Edm.DateTimeOffset" and literal.kind == "word" and _DATE.fullmatch(literal.value):
            raise NotImitated("comparing a time with a date in $filter")
        moment = _moment(literal) if kind == "Edm.DateTimeOffset" else None
        if moment is None:
            raise self._incompatible(operator, kind)
        return lambda row: compare(datetime.fromisoformat(row[field]), moment)

    def _text(self, field: str, operator: str, value: str) -> Predicate:
        wanted = value.casefold()
        if self._wildcards and "*" in wanted and operator in _EQUALITY:
            parts = wanted.split("*")
            return lambda row: _fits_parts(parts, str(row[field]).casefold()) is (operator == "eq")
        compare = _COMPARISONS[operator]
        return lambda row: compare(str(row[field]).casefold(), wanted)

    def _enum(self, field: str, operator: str, literal: _Token, kind: str) -> Predicate:
        if operator not in _EQUALITY or literal.kind != "text" or literal.enum not in {"", kind}:
            raise self._incompatible(operator, kind)
        known = {label.casefold() for label in self._labels[kind]}
        wanted = literal.value.casefold()
        if wanted not in known:
            raise BadFilter(f"The string '{literal.value}' is not a valid enumeration type constant.")
        compare = _COMPARISONS[operator]
        return lambda row: compare(str(row[field]).casefold(), wanted)

    def _incompatible(self, operator: str, kind: str) -> BadFilter:
        return BadFilter(f"A binary operator '{operator}' with incompatible types was detected: {kind}.")


def _moment(literal: _Token) -> datetime | None:
    if literal.kind != "word" or not _TIME.fullmatch(literal.value):
        return None
    try:
        return datetime.fromisoformat(literal.value.upper())
    except ValueError as error:
        raise BadFilter(f"Unrecognized 'Edm.DateTimeOffset' literal '{literal.value}'.") from error


def _fits_parts(parts: Sequence[str], value: str) -> bool:
    """Whether a text consists of these parts with anything between them; one pass, whatever the parts are."""
    first, *middle, last = parts
    if not value.startswith(first) or not value.endswith(last) or len(value) < len(first) + len(last):
        return False
    position, end = len(first), len(value) - len(last)
    for part in middle:
        found = value.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True


class _Parser:
    def __init__(self, text: str, tokens: list[_Token], comparing: _Comparing) -> None:
        self._text = text
        self._tokens = tokens
        self._comparing = comparing
        self._index = 0

    def disjunction(self, depth: int) -> Predicate:
        parts = [self._conjunction(depth)]
        while self._take("word", "or"):
            parts.append(self._conjunction(depth))
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

    def _conjunction(self, depth: int) -> Predicate:
        parts = [self._negation(depth)]
        while self._take("word", "and"):
            parts.append(self._negation(depth))
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)

    def _negation(self, depth: int) -> Predicate:
        if depth > _MAX_DEPTH:
            raise BadFilter(f"The depth limit for '{self._text[:40]}' has been exceeded.")
        if self._take("word", "not"):
            self._check_negated()
            inner = self._negation(depth + 1)
            return lambda row: not inner(row)
        if self._take("paren", "("):
            grouped = self.disjunction(depth + 1)
            if not self._take("paren", ")"):
                raise self._error()
            return grouped
        return self._comparison()

    def _check_negated(self) -> None:
        # `not` binds stronger than `eq`: `not A eq 1` negates A, which is no Boolean.
        is_function = self._index + 1 < len(self._tokens) and self._tokens[self._index + 1].value == "("
        if self._index < len(self._tokens) and not (
            is_function or self._peek("paren", "(") or self._peek("word", "not")
        ):
            raise BadFilter("A unary operator 'not' with an incompatible type was detected: write not (…).")

    def _comparison(self) -> Predicate:
        if self._index < len(self._tokens) and self._tokens[self._index].is_literal:
            raise NotImitated("a value on the left side of a comparison in $filter")
        field = self._next("word")
        if self._peek("paren", "("):
            if field.value not in _FUNCTIONS:
                raise BadFilter(f"An unknown function with name '{field.value}' was found.")
            raise NotImitated(f"the function {field.value} in $filter")
        operator = self._next("word").value
        if operator in {"in", "has"}:
            raise BadFilter(f"The query operator '{operator}' is not supported.")
        if operator in _ARITHMETIC:
            raise NotImitated(f"arithmetic in $filter ({operator})")
        if operator not in _COMPARISONS:
            raise self._error(back=1)
        literal = self._tokens[self._index] if self._index < len(self._tokens) else None
        if literal is None or literal.kind == "paren":
            raise self._error()
        self._index += 1
        if self._peek("paren", "(") and literal.value in _FUNCTIONS:
            raise NotImitated(f"the function {literal.value} in $filter")
        return self._comparing.test(field.value, operator, literal)

    def expect_end(self) -> None:
        if self._index < len(self._tokens):
            if self._tokens[self._index].value in _COMPARISONS:
                raise NotImitated("comparing a comparison in $filter")
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
        return token.kind == kind and token.value == value

    def _take(self, kind: str, value: str) -> bool:
        found = self._peek(kind, value)
        self._index += found
        return found

    def _error(self, back: int = 0) -> BadFilter:
        index = self._index - back
        position = self._tokens[index].position if index < len(self._tokens) else len(self._text)
        return BadFilter(f"Syntax error at position {position} in '{self._text}'.")
