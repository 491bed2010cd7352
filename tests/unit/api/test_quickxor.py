"""quickXorHash against published vectors and against the definition, byte by byte."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talent_dmf.api.quickxor import QuickXor


def by_definition(data: bytes) -> str:
    """The algorithm as Microsoft words it: one byte after the other into a register of 160 bits."""
    bits = [0] * 160
    for index, value in enumerate(data):
        for bit in range(8):
            bits[(11 * index + bit) % 160] ^= value >> bit & 1
    for bit in range(64):
        bits[96 + bit] ^= len(data) >> bit & 1
    register = sum(bit << position for position, bit in enumerate(bits))
    return base64.b64encode(register.to_bytes(20, "little")).decode()


def patterned(length: int) -> bytes:
    return bytes((index * 131 + index // 251) % 256 for index in range(length))


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="), (b"hello world", "aCgDG9jwBhDc4Q1yawMZAAAAAAA=")],
)
def test_published_vectors(data: bytes, expected: str) -> None:
    assert QuickXor(data).base64() == expected


@pytest.mark.parametrize("length", [1, 14, 15, 159, 160, 161, 320, 1760, 40_959, 40_960, 40_961, 81_920 + 7])
def test_definition(length: int) -> None:
    data = patterned(length)
    assert QuickXor(data).base64() == by_definition(data)


@given(data=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 2000), max_size=6))
def test_any_division_gives_the_same_hash(data: bytes, cuts: list[int]) -> None:
    running = QuickXor()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        running.update(memoryview(data)[start:end])
    assert running.length_bytes == len(data)
    assert running.base64() == by_definition(data)


@given(data=st.binary(max_size=1000), cut=st.integers(0, 1000))
def test_state_continues_elsewhere(data: bytes, cut: int) -> None:
    first = QuickXor(data[:cut])
    second = QuickXor.from_state(first.state())
    second.update(data[cut:])
    assert second.base64() == by_definition(data)
    assert first.base64() == by_definition(data[:cut])


def test_a_copy_is_independent() -> None:
    first = QuickXor(b"abc")
    copy = first.copy()
    copy.update(b"d")
    assert first.base64() == by_definition(b"abc")
    assert copy.base64() == by_definition(b"abcd")


@pytest.mark.parametrize("state", [(-1, "0"), (3, "-1"), (3, "f" * 321), (3, "no hex")])
def test_foreign_state_is_refused(state: tuple[int, str]) -> None:
    with pytest.raises(ValueError, match=r"state|base 16"):
        QuickXor.from_state(state)
