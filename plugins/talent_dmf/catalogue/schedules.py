"""Times of the catalogue as people write them: schedules and durations."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, field_validator, model_validator

from talent_dmf.api.choices import LONGEST_TIME_LIMIT, SHORTEST_TIME_LIMIT
from talent_dmf.api.durations import in_words, parse_duration
from talent_dmf.api.errors import ConfigurationError


def read_duration(value: Any) -> Any:
    """A duration of the catalogue, such as ``45 s``, ``30 min``, ``2 h`` or ``1 d``.

    :param value: the text; a ``timedelta`` is returned as it is.
    :raises ValueError: not a positive number with a unit.
    """
    if isinstance(value, timedelta):
        return value
    try:
        return parse_duration(str(value))
    except ConfigurationError as error:
        raise ValueError(f"is {value!r}, but must be a number and a unit, such as 45 s, 30 min, 2 h or 1 d") from error


def between(shortest: timedelta, longest: timedelta, *, whole: timedelta = timedelta(seconds=1)) -> Any:
    """The type of a duration of the catalogue that must lie between two others.

    :param shortest: the shortest.
    :param longest: the longest. Beyond some limit dates end, and Airflow would only find that when a run is due.
    :param whole: what it must be a multiple of.
    """

    def check(duration: timedelta) -> timedelta:
        if not shortest <= duration <= longest or duration % whole:
            kind = "whole minutes " if whole == timedelta(minutes=1) else ""
            raise ValueError(
                f"is {in_words(duration)}, but must be {kind}from {in_words(shortest)} to {in_words(longest)}"
            )
        return duration

    return Annotated[timedelta, BeforeValidator(read_duration), AfterValidator(check)]


_MOST_CRON = 200
# Names that tzdata has files of, and that are no time zones, or another one on each machine.
_OF_THE_MACHINE = frozenset({"localtime", "posixrules", "Factory"})
_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)
# Airflow itself pauses for at most a day between two tries.
Pause: TypeAlias = between(_SECOND, _DAY)  # type: ignore[valid-type]
Interval: TypeAlias = between(_SECOND, 366 * _DAY)  # type: ignore[valid-type]
Promise: TypeAlias = between(_SECOND, 31 * _DAY)  # type: ignore[valid-type]
TimeLimit: TypeAlias = between(SHORTEST_TIME_LIMIT, LONGEST_TIME_LIMIT, whole=timedelta(minutes=1))  # type: ignore[valid-type]


def check_cron(expression: str) -> str:
    """A cron expression of five fields that is due some day, as it is.

    Airflow finds a bad one only when it stores the DAGs of a file, and then gives all of them up.

    :param expression: minute, hour, day of month, month, day of week.
    :raises ValueError: not five fields, or one of them impossible, or never due.
    """
    from croniter import CroniterError, croniter  # type: ignore[import-untyped]

    wrong = f"is {expression[:_MOST_CRON]!r}, but must"
    if len(expression) > _MOST_CRON:
        raise ValueError(f"{wrong} have at most {_MOST_CRON} characters")
    if re.search(r"(?<![a-z])[hr](?![a-z])", expression, re.I):
        raise ValueError(f"{wrong} name its times: H and R would mean others each time that it is read")
    if len(expression.split()) != 5:
        raise ValueError(
            f"{wrong} have five fields: minute, hour, day of month, month, day of week, such as '0 0 * * *' for every "
            "midnight"
        )
    try:
        croniter(expression, datetime(2024, 1, 1, tzinfo=UTC)).get_next()
    except (CroniterError, ValueError) as error:
        raise ValueError(f"{wrong} be a time that comes ({error})".replace(f"[{expression}] ", "")) from error
    return expression


class Schedule(BaseModel):
    """When an export runs.

    :param cron: five fields.
    :param timezone: IANA name.
    :param interval: length of a run's data interval, which ends when the run is due.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: str
    timezone: str = "UTC"
    interval: Interval = timedelta(days=1)

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
            if name in _OF_THE_MACHINE:
                raise ValueError(name)
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(
                f"is {name[:60]!r}, but must be an IANA time zone, such as UTC or Europe/Berlin"
            ) from error
        return name
