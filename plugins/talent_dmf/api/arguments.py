"""The one check of what a DAG author gives to an operator, a sensor or a trigger.

A wrong type or word is reported when the DAG is read, in a sentence that names the argument, instead of as a traceback
in a task hours later, or never. What a template gives is checked again once it is rendered.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import ParamSpec, TypeAlias, TypeVar

from talent_dmf.api.durations import as_duration
from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.words import quoted

P = ParamSpec("P")
T = TypeVar("T")
# What is wrong with a value, in words that follow the argument's name; None for nothing.
Rule: TypeAlias = Callable[[object], str | None]
MAX_TEXT_CHARACTERS = 4_000
_MOST_SHOWN = 60
WEEK_SECONDS = 7 * 86_400.0


def text(*, empty: bool = False, most: int = MAX_TEXT_CHARACTERS) -> Rule:
    """A text of printable characters.

    :param empty: whether ``""`` is one.
    :param most: its greatest length.
    """

    def check(value: object) -> str | None:
        if not isinstance(value, str):
            return "must be a text"
        if not value.strip() and not empty:
            return "must not be empty"
        if len(value) > most:
            return f"must not be longer than {most} characters"
        # A line end or blank around a value is a slip that is passed over later; inside of it, it is another value.
        return None if value.strip().isprintable() else "must not hold line ends or other control characters"

    return check


def text_or_number(value: object) -> str | None:
    """A text, also an empty one, or the whole number that a template rendered to native objects makes of it."""
    return None if isinstance(value, int) and not isinstance(value, bool) else text(empty=True)(value)


def flag(value: object) -> str | None:
    """True or false, and nothing that only looks like it."""
    return None if isinstance(value, bool) else "must be True or False"


def flag_or_word(value: object) -> str | None:
    """True or false, also as the word that a template makes of it."""
    return None if isinstance(value, str) and value.lower() in {"true", "false", "none", ""} else flag(value)


def having(method: str, what: str) -> Rule:
    """An object that has a method.

    :param method: the method's name.
    :param what: what such an object is, in words.
    """
    return lambda value: None if callable(getattr(value, method, None)) else f"must be {what}"


def choice(*words: str) -> Rule:
    """One of some words."""

    def check(value: object) -> str | None:
        return None if isinstance(value, str) and value in words else f"must be one of {', '.join(words)}"

    return check


def number(least: float, most: float, *, whole: bool = False) -> Rule:
    """A number.

    :param least: its least value.
    :param most: its greatest.
    :param whole: whether it has no fraction.
    """

    def check(value: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or (whole and not isinstance(value, int)):
            fits = False
        else:
            fits = math.isfinite(value) and least <= value <= most
        return None if fits else f"must be a {'whole ' if whole else ''}number from {least:g} to {most:g}"

    return check


def duration(value: object) -> str | None:
    """A ``timedelta`` above zero, or a text such as ``30 min``."""
    if isinstance(value, timedelta | str):
        try:
            as_duration(value)
        except ConfigurationError:
            pass
        else:
            return None
    return "must be a timedelta above zero, or a number and a unit such as 30 min"


def moment(value: object) -> str | None:
    """A moment as ISO 8601 with its offset."""
    try:
        fits = isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        fits = False
    return None if fits else "must be a moment in ISO 8601 with its offset"


def optional(rule: Rule) -> Rule:
    """The same, or ``None``."""
    return lambda value: None if value is None else rule(value)


def holding(*attributes: str, what: str) -> Rule:
    """An object that has attributes.

    :param attributes: their names.
    :param what: what such an object is, in words.
    """
    return lambda value: None if all(hasattr(value, each) for each in attributes) else f"must be {what}"


def mapping(rule: Rule) -> Rule:
    """A mapping of texts to what fulfils a rule."""

    def check(value: object) -> str | None:
        if not isinstance(value, Mapping):
            return "must be a mapping"
        return next((words for each in value.values() if (words := rule(each))), None)

    return check


CONN_ID = text(most=200)
SECONDS = number(0, WEEK_SECONDS)


def checked_call(**rules: Rule) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A method that checks what it is given, before it does anything.

    :param rules: the rule of each of its parameters; of further keywords, that of the parameter that takes them.
    :raises ConfigurationError: when it is called, if an argument breaks its rule.
    """

    def decorate(method: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(method)

        @functools.wraps(method)
        def checking(*args: P.args, **kwargs: P.kwargs) -> T:
            given = signature.bind(*args, **kwargs)
            owner, words = next(iter(given.arguments.values())), method.__name__
            for name, rule in rules.items():
                if name in given.arguments and (broken := rule(given.arguments[name])):
                    raise wrong_argument(f"{type(owner).__name__}.{words}", name, broken, given.arguments[name])
            return method(*args, **kwargs)

        checking.argument_rules = rules  # type: ignore[attr-defined]
        return checking

    return decorate


def check_arguments(owner: object, rules: Mapping[str, Rule], *, templated: tuple[str, ...] = ()) -> None:
    """Check the attributes of an object that its author gave.

    :param owner: the operator, sensor or trigger.
    :param rules: the rule of each attribute.
    :param templated: attributes that are templates and not rendered yet: a text with a template in it, and what another
        task gives, are passed over.
    :raises ConfigurationError: one breaks its rule.
    """
    for name, rule in rules.items():
        value = getattr(owner, name)
        if name in templated and (hasattr(value, "resolve") or (isinstance(value, str) and _is_template(value))):
            continue
        if words := rule(value):
            raise wrong_argument(type(owner).__name__, name, words, value)


def wrong_argument(owner: str, name: str, words: str, value: object) -> ConfigurationError:
    """The error for an argument that breaks its rule.

    :param owner: what it was given to.
    :param name: its name.
    :param words: what is wrong with it.
    :param value: it.
    """
    link = "; it is" if words.startswith("must not") else ", not"
    return ConfigurationError(f"{owner}: argument `{name}` {words}{link} {quoted(value, _MOST_SHOWN)}")


def _is_template(value: str) -> bool:
    return "{{" in value or "{%" in value
