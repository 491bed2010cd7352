"""Times of the catalogue as people write them: schedules and durations."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator, model_validator

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d{1,6})\s*(s|min|h|d)", re.I)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_CRON_PART = re.compile(r"(?:(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?")


def parse_duration(value: Any) -> Any:
    """A duration such as ``45 s``, ``30 min``, ``2 h`` or ``1 d``.

    :param value: the text; a ``timedelta`` is returned as it is.
    :raises ValueError: not a positive number with a unit.
    """
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError(f"is {value!r}, but must be a number and a unit, such as 45 s, 30 min, 2 h or 1 d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2].lower()])


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


def in_words(duration: timedelta) -> str:
    """A duration as the catalogue writes it, in the largest unit that fits.

    :param duration: whole seconds.
    """
    seconds = int(duration.total_seconds())
    unit = next(unit for unit in ("d", "h", "min", "s") if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]} {unit}"


def check_cron(expression: str) -> str:
    """A cron expression of five fields, as it is.

    Airflow finds a bad one only when it stores the DAGs of a file, and then gives up all of them; and its own parser
    costs more time to import than the whole rest of the DAG file.

    :param expression: minute, hour, day of month, month, day of week.
    :raises ValueError: not five fields, or one of them impossible.
    """
    fields = expression.split()
    if len(fields) != len(_CRON_FIELDS):
        raise ValueError(
            f"is {expression!r}, but must have five fields: minute, hour, day of month, month, day of week, such as "
            "'0 0 * * *' for every midnight"
        )
    for field, (name, low, high, words) in zip(fields, _CRON_FIELDS, strict=True):
        if not all(_cron_part_is_good(part, low, high, words) for part in field.split(",")):
            raise ValueError(f"is {expression!r}, but its {name} {field!r} is impossible; give {low} to {high} or *")
    return expression


def _cron_part_is_good(part: str, low: int, high: int, words: dict[str, int]) -> bool:
    match = _CRON_PART.fullmatch(part)
    if match is None or (match["step"] is not None and not 1 <= int(match["step"]) <= high):
        return False
    if match["all"]:
        return True
    ends = [_cron_number(text, words) for text in (match["first"], match["last"] or match["first"])]
    if match["step"] is not None and match["last"] is None:
        return False
    return all(low <= end <= high for end in ends) and ends[0] <= ends[1]


def _cron_number(text: str, words: dict[str, int]) -> int:
    return int(text) if text.isdecimal() and text.isascii() else words.get(text.lower(), -1)


class Schedule(BaseModel):
    """When an export runs.

    :param cron: five fields.
    :param timezone: IANA name.
    :param interval: length of a run's data interval, which ends when the run is due.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: str
    timezone: str = "UTC"
    interval: Duration = timedelta(days=1)

    @model_validator(mode="before")
    @classmethod
    def _cron_alone(cls, value: Any) -> Any:
        return {"cron": value} if isinstance(value, str) else value

    @field_validator("cron")
    @classmethod
    def _cron(cls, expression: str) -> str:
        return check_cron(expression)

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"is {name!r}, but must be an IANA time zone, such as UTC or Europe/Berlin") from error
        return name
