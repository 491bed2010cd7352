"""How long the ranges of an upload become, by what was seen of the ones before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talent_dmf.api.graph.upload.ranges import FRAGMENT_UNIT_BYTES, MAX_FRAGMENT_BYTES, RANGE_SECONDS, RangeLengths
from talent_dmf.package_source.reader import PIECE_BYTES

MIB = 1024 * 1024


def lengths(longest_bytes: int = MAX_FRAGMENT_BYTES) -> RangeLengths:
    return RangeLengths(PIECE_BYTES, longest_bytes)


def test_begins_with_what_microsoft_calls_optimal() -> None:
    assert lengths().next_bytes() == 10 * MIB


@pytest.mark.parametrize(
    ("bytes_per_second", "expected"),
    [
        (10_000, PIECE_BYTES),
        (1_048_576, 10 * MIB),
        (3 * MIB, 30 * MIB),
        (50_000_000, MAX_FRAGMENT_BYTES - MAX_FRAGMENT_BYTES % PIECE_BYTES),
    ],
)
def test_as_long_as_what_passes_in_ten_seconds(bytes_per_second: int, expected: int) -> None:
    chosen = lengths()
    chosen.passed(bytes_per_second * 4, 4.0)
    assert chosen.next_bytes() == expected


def test_no_longer_than_it_may_be() -> None:
    chosen = lengths(3 * PIECE_BYTES + FRAGMENT_UNIT_BYTES)
    assert chosen.next_bytes() == 3 * PIECE_BYTES
    chosen.passed(3 * PIECE_BYTES, 0.0)
    assert chosen.next_bytes() == 3 * PIECE_BYTES


def test_shorter_after_a_break_and_longer_again_step_by_step() -> None:
    chosen = lengths()
    chosen.passed(50 * MIB, 1.0)
    seen = []
    for broke in (True, True, False, False, False, False):
        length = chosen.next_bytes()
        seen.append(length // PIECE_BYTES)
        if broke:
            chosen.broke(length)
        else:
            chosen.passed(length, 0.1)
    assert seen == [47, 23, 11, 23, 46, 47]


def test_what_is_there_goes_next_after_a_stall() -> None:
    chosen = lengths()
    chosen.stalled()
    assert chosen.next_bytes() == PIECE_BYTES
    chosen.passed(PIECE_BYTES, 60.0)
    assert chosen.next_bytes() == PIECE_BYTES
    chosen.passed(PIECE_BYTES, 0.1)
    assert chosen.next_bytes() > PIECE_BYTES


@given(st.lists(st.tuples(st.sampled_from(["passed", "broke", "stalled"]), st.floats(0.0, 1e6))), st.integers(1, 47))
def test_every_length_is_one_that_the_service_takes(story: list[tuple[str, float]], longest: int) -> None:
    chosen = lengths(longest * PIECE_BYTES)
    for what, seconds in story:
        length = chosen.next_bytes()
        assert 0 < length <= longest * PIECE_BYTES
        assert length % FRAGMENT_UNIT_BYTES == 0
        if what == "passed":
            chosen.passed(length, seconds)
        elif what == "broke":
            chosen.broke(length)
        else:
            chosen.stalled()
    chosen.passed(PIECE_BYTES, RANGE_SECONDS)
    assert chosen.next_bytes() == PIECE_BYTES
