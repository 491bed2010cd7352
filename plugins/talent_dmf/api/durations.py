"""Durations as people write them: a number and a unit."""

from __future__ import annotations

import re
from datetime import timedelta

from talent_dmf.api.errors import ConfigurationError

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,6})\s*(s|min|h|d)", re.I)


def parse_duration(text: str) -> timedelta:
    """A duration such as ``45 s``, ``30 min``, ``2 h`` or ``1 d``.

    :param text: a positive whole number and a unit.
    :raises ConfigurationError: something else.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise ConfigurationError(f"{text!r} must be a number and a unit, such as 45 s, 30 min, 2 h or 1 d.")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2].lower()])


def as_duration(value: object) -> timedelta:
    """A duration that was given as such or as text.

    :param value: a positive ``timedelta``, or text as in :func:`parse_duration`.
    :raises ConfigurationError: something else.
    """
    if isinstance(value, timedelta) and value > timedelta(0):
        return value
    return parse_duration(str(value))


def in_words(duration: timedelta) -> str:
    """A duration in the largest unit that fits.

    :param duration: above zero; fractions of a second are rounded.
    """
    seconds = max(1, round(duration.total_seconds()))
    unit = next(unit for unit in ("d", "h", "min", "s") if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]} {unit}"
