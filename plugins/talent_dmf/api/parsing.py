"""Reading what others wrote: every parser of an answer ends in a value or in ``ValueError``, within bounds (R15)."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

# The services' own answers nest by ten at most; beyond this a text is no answer but an attack or an accident.
MAX_DEPTH = 64
# What a page of a list or the messages of an export may weigh, unpacked.
MAX_ANSWER_BYTES = 16 * 1024 * 1024
# A refusal is read for its code and its sentence.
MAX_REFUSAL_BYTES = 256 * 1024
MAX_DIGITS = 18
# As an escape, whatever the encoding, or as itself.
_HALF = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
_HALF_IN_BYTES = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")


def read_json(text: str | bytes | bytearray) -> Any:
    """A JSON text as plain values, nested by 64 at most.

    :param text: the text; bytes in UTF-8, UTF-16 or UTF-32, with or without a mark.
    :raises ValueError: it is none, or nested deeper.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
    if level:
        raise ValueError("nested too deeply")
    return _whole(value) if _may_hold_halves(text) else value


def _may_hold_halves(text: str | bytes | bytearray) -> bool:
    """Whether a text may spell halves of characters, such as ``"\\ud800"``: JSON lets them pass alone, and no log takes
    them.
    """
    if isinstance(text, str):
        return _HALF.search(text) is not None
    # In UTF-16 and UTF-32 they look like anything.
    return b"\0" in text[:4] or _HALF_IN_BYTES.search(text) is not None


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_whole(key): _whole(each) for key, each in value.items()}
    return [_whole(each) for each in value] if isinstance(value, list) else value


def whole_number(raw: object) -> int | None:
    """A number from 0 of at most 18 digits, as JSON or as text; ``None`` for anything else: ``"²"``, ``"--5"``, true,
    5.5, null.

    :param raw: a value of an answer, or a header.
    """
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int):
        return raw if 0 <= raw < 10**MAX_DIGITS else None
    if isinstance(raw, float):
        return int(raw) if raw.is_integer() and 0 <= raw < 10**MAX_DIGITS else None
    if isinstance(raw, str):
        digits = raw.strip()
        # isdigit alone is true of superscripts, which int() refuses.
        return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS else None
    return None


def http_date(raw: str) -> datetime | None:
    """A date of a header, aware; ``None`` for what is none.

    :param raw: such as ``Sun, 06 Nov 1994 08:49:37 GMT``.
    """
    try:
        moment = parsedate_to_datetime(raw)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
