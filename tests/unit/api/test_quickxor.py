"""quickXorHash against published vectors and against the definition, byte by byte."""

from __future__ import annotations

import base64
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talent_dmf.api.graph.quickxor import QuickXor


@cache
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


@given(pieces=st.lists(st.binary(max_size=400), max_size=6))
def test_any_division_gives_the_same_hash(pieces: list[bytes]) -> None:
    running = QuickXor()
    for piece in pieces:
        running.update(memoryview(piece))
    data = b"".join(pieces)
    assert running.length_bytes == len(data)
    assert running.base64() == by_definition(data)


@pytest.mark.parametrize("cuts", [[1], [40_959, 81_919], [161, 82_241], [7, 50_007, 50_008]])
def test_large_pieces_that_begin_anywhere(cuts: list[int]) -> None:
    data = patterned(130_001)
    running = QuickXor()
    for start, end in pairwise([0, *cuts, len(data)]):
        running.update(bytearray(data[start:end]))
    assert running.base64() == by_definition(data)


@given(begun=st.binary(max_size=500), rest=st.binary(max_size=500))
def test_state_continues_elsewhere(begun: bytes, rest: bytes) -> None:
    first = QuickXor(begun)
    second = QuickXor.from_state(first.state())
    second.update(rest)
    assert second.base64() == by_definition(begun + rest)
    assert first.base64() == by_definition(begun)


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
