"""What `make fuzz` tries: its inputs to begin with, a few others, and all that were ever found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.targets import TARGETS

# Inputs that broke a parser once: (target, input).
FOUND: list[tuple[str, bytes]] = [("addresses", b"https://[:https://[:::1]/1]/")]
BY_NAME = {target.__name__: target for target in TARGETS}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_no_input_breaks_a_parser(target: Callable[[bytes], None]) -> None:
    for data in TARGETS[target]:
        target(data)

    @given(st.sampled_from(TARGETS[target]), st.integers(0, 2000), st.binary(max_size=40), st.booleans())
    def changed(seed: bytes, at: int, noise: bytes, inserted: bool) -> None:
        at %= len(seed) + 1
        target(seed[:at] + noise + seed[at if inserted else at + len(noise) :])

    changed()


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_broke_a_parser_once_breaks_it_no_more(name: str, data: bytes) -> None:
    BY_NAME[name](data)
