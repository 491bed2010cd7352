"""Every parser of the kernel ends in a value or in ValueError."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talent_dmf.api.parsing import MAX_DEPTH, http_date, read_json, whole_number


@pytest.mark.parametrize(("depth", "fine"), [(1, True), (MAX_DEPTH, True), (MAX_DEPTH + 1, False), (100_000, False)])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_bounded(depth, fine, opening, closing):
    text = opening * depth + "1" + closing * depth
    with contextlib.nullcontext() if fine else pytest.raises(ValueError, match="nested too deeply"):
        read_json(text)


@pytest.mark.parametrize("text", ["{", "", b"\xff\xfe\x00", "9" * 5000, b"\x80"])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r".+"):
        read_json(text)


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(), st.lists, max_leaves=20))
def test_values_are_kept(value):
    assert read_json(json.dumps(value)) == value


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_input_is_a_crash(data):
    with contextlib.suppress(ValueError):
        read_json(data)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'"a\ud800b"', "a\ufffdb"),
        (rb'"\uDFFF"', "\ufffd"),
        (rb'{"\ud800": ["\udc00", 1, null]}', {"\ufffd": ["\ufffd", 1, None]}),
        (rb'"\ud83d\ude00"', "😀"),
        (b'"\xed\xa0\x80"', "\ufffd"),
        ('"\udfff"', "\ufffd"),
        (rb'"\\ud800"', r"\ud800"),
        (r'"\udbff"'.encode("utf-16"), "\ufffd"),
        ('"'.encode("utf-16-le") + b"\x00\xd8" + '"'.encode("utf-16-le"), "\ufffd"),
    ],
)
def test_halves_of_characters_do_not_get_in(text, expected):
    """No log, no database and no file takes them; Python's JSON does."""
    assert read_json(text) == expected


@given(st.recursive(st.text(st.characters()), lambda each: st.lists(each) | st.dictionaries(st.text(), each)))
def test_what_is_read_can_be_written(value):
    str(read_json(json.dumps(value))).encode()


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        (0, 0),
        (5, 5),
        ("5", 5),
        (" 5 ", 5),
        ("007", 7),
        (5.0, 5),
        (10**18 - 1, 10**18 - 1),
        *[(raw, None) for raw in (-5, "-5", "--5", "²", "٥", "5.5", 5.5, "", None, True, [], {}, "1e3", "0x5", "5_0")],
        *[(raw, None) for raw in (10**18, "9" * 5000, float("nan"), float("inf"), "+5")],
    ],
)
def test_whole_numbers(raw, number):
    assert whole_number(raw) == number


@given(st.text() | st.floats() | st.integers())
def test_no_number_is_a_crash(raw):
    assert whole_number(raw) is None or whole_number(raw) >= 0


@pytest.mark.parametrize(
    ("raw", "moment"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sun, 06 Nov 1994 08:49:37 -0000", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sun, 06 Nov 1994 08:49:37 +0130", datetime(1994, 11, 6, 8, 49, 37, tzinfo=timezone(timedelta(minutes=90)))),
        *[(raw, None) for raw in ("", "soon", "2026-03-01T06:00:00Z", "Sun, 99 Nov 1994 08:49:37 GMT")],
        ("Sun, 06 Nov 1994 08:49:37 +9999999999", None),
        ("Sun, 06 Nov 99999999999 08:49:37 GMT", None),
    ],
)
def test_dates_of_headers_are_aware(raw, moment):
    found = http_date(raw)
    assert found == moment
    assert found is None or found.utcoffset() == moment.utcoffset()


@given(
    st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,20} [0-9:]{1,9} \S{1,12}")
)
def test_no_date_is_a_crash(raw):
    found = http_date(raw)
    assert found is None or found.utcoffset() is not None
