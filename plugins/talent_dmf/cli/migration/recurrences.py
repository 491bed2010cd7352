"""Recurrences of Logic Apps and Data Factory, and cron expressions of Quartz, as five-field cron expressions."""

from __future__ import annotations

from typing import Any

_WEEKDAYS = {
    "monday": "MON", "tuesday": "TUE", "wednesday": "WED", "thursday": "THU", "friday": "FRI", "saturday": "SAT",
    "sunday": "SUN",
}  # fmt: skip
_HOURS_OF_A_DAY, _MINUTES_OF_AN_HOUR = 24, 60


def cron_of_recurrence(recurrence: dict[str, Any]) -> tuple[str | None, list[str]]:
    """The schedule of a Recurrence trigger.

    Keys: learn.microsoft.com ``/azure/logic-apps/logic-apps-workflow-actions-triggers#recurrence-trigger``.

    :param recurrence: ``frequency``, ``interval`` and perhaps ``schedule`` and ``startTime``.
    :returns: a cron expression, or ``None`` if there is none for it; and what a person must look at.
    """
    frequency = str(recurrence.get("frequency") or "").lower()
    interval = recurrence.get("interval", 1)
    interval = interval if isinstance(interval, int) and interval > 0 else 0
    found = recurrence.get("schedule")
    schedule: dict[str, Any] = found if isinstance(found, dict) else {}
    start = str(recurrence.get("startTime") or "")
    minute = _list(schedule.get("minutes")) or _digits(start[14:16]) or "0"
    hour = _list(schedule.get("hours")) or _digits(start[11:13]) or "0"
    days = [_WEEKDAYS[str(day).lower()] for day in _many(schedule.get("weekDays")) if str(day).lower() in _WEEKDAYS]
    day_of_month = _list(schedule.get("monthDays")) or _digits(start[8:10]) or "1"
    cron = {
        "minute": f"*/{interval} * * * *" if interval and _MINUTES_OF_AN_HOUR % interval == 0 else None,
        "hour": f"{minute} */{interval} * * *" if interval and _HOURS_OF_A_DAY % interval == 0 else None,
        "day": f"{minute} {hour} * * *" if interval == 1 else None,
        "week": f"{minute} {hour} * * {','.join(days) or 'MON'}" if interval == 1 else None,
        "month": f"{minute} {hour} {day_of_month} * *" if interval == 1 else None,
    }.get(frequency)
    if cron is None:
        return None, [
            f"The recurrence (every {interval or '?'} {frequency or '?'}) has no cron expression: set `schedule`."
        ]
    if frequency == "week" and not days:
        return cron, ["The recurrence names no weekday: Monday was chosen."]
    return cron, []


def cron_of_quartz(expression: str) -> tuple[str | None, list[str]]:
    """The schedule of a Quartz cron trigger, which has seconds first and perhaps a year.

    :param expression: six or seven fields.
    :returns: a cron expression, or ``None`` if there is none for it; and what a person must look at.
    """
    fields = expression.split()
    unknown = [f"The Quartz expression {expression!r} has no five-field equivalent: set `schedule`."]
    if len(fields) not in {6, 7} or any(mark in expression for mark in "LW#") or fields[6:] not in ([], ["*"]):
        return None, unknown
    minute, hour, day, month, weekday = ("*" if field == "?" else field for field in fields[1:6])
    # Quartz counts Sunday as 1, cron as 0.
    weekday = "".join(str(int(each) - 1) if each.isdecimal() and 1 <= int(each) <= 7 else each for each in weekday)
    return f"{minute} {hour} {day} {month} {weekday}", []


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value not in (None, "") else []


def _list(value: Any) -> str:
    return ",".join(_digits(str(each)) for each in _many(value) if _digits(str(each)))


def _digits(text: str) -> str:
    return str(int(text)) if text.isascii() and text.isdecimal() else ""
