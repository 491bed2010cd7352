"""A method that checks what it is given, before it does anything."""

from __future__ import annotations

from typing import Any

import pytest

from talent_dmf.api.arguments import checked_call, number, text
from talent_dmf.api.errors import ConfigurationError


class Machine:
    """Notes what reaches it."""

    def __init__(self) -> None:
        self.reached: list[Any] = []

    @checked_call(name=text(), count=number(1, 5, whole=True))
    def run(self, name: str, count: int = 3, *, note: object = None) -> int:
        """Run the machine."""
        self.reached.append((name, count, note))
        return count


@pytest.mark.parametrize(
    ("args", "kwargs", "reached"),
    [
        (("a",), {}, ("a", 3, None)),
        (("a", 5), {}, ("a", 5, None)),
        ((), {"count": 1, "name": "a", "note": object}, ("a", 1, object)),
    ],
)
def test_what_is_right_reaches_the_method(
    args: tuple[Any, ...], kwargs: dict[str, Any], reached: tuple[Any, ...]
) -> None:
    machine = Machine()
    assert machine.run(*args, **kwargs) == reached[1]
    assert machine.reached == [reached]


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((5,), {}, "Machine.run: argument `name` must be a text, not 5."),
        (("a", 6), {}, "Machine.run: argument `count` must be a whole number from 1 to 5, not 6."),
        (("a",), {"count": "3"}, "Machine.run: argument `count` must be a whole number from 1 to 5, not '3'."),
        (("x" * 5000,), {}, "argument `name` must not be longer than 4000 characters; it is 'xxx"),
    ],
)
def test_what_is_wrong_is_named_and_reaches_nothing(args: tuple[Any, ...], kwargs: dict[str, Any], words: str) -> None:
    machine = Machine()
    with pytest.raises(ConfigurationError) as caught:
        machine.run(*args, **kwargs)
    assert words in caught.value.message
    assert len(caught.value.message) < 200
    assert machine.reached == []


def test_a_checked_method_says_what_it_is_and_what_it_checks() -> None:
    assert (Machine.run.__name__, Machine.run.__doc__) == ("run", "Run the machine.")
    assert set(Machine.run.argument_rules) == {"name", "count"}  # type: ignore[attr-defined]


def test_a_parameter_that_the_method_does_not_have_is_a_type_error_as_ever() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        Machine().run("a", colour=1)  # type: ignore[call-arg]
