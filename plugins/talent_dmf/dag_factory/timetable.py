"""When an export runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.sdk import CronTriggerTimetable

from talent_dmf.api.durations import in_words
from talent_dmf.catalogue.schedules import Schedule
from talent_dmf.catalogue.spec import ExportSpec

if TYPE_CHECKING:
    from talent_dmf.api.findings import Finding

# So many due times are looked at for the shortest time between two runs.
_LOOKED_AT = 60


def when(spec: ExportSpec) -> str:
    """When an export runs, in words and with its time zone.

    :param spec: the catalogue's entry.
    """
    schedule = spec.schedule
    return "only when it is triggered" if schedule is None else f"{_in_words(schedule.cron)} ({schedule.timezone})"


@lru_cache(1024)
def _in_words(cron: str) -> str:
    # Airflow describes schedules with it in the UI, without their time zone.
    from cron_descriptor import (  # type: ignore[import-untyped]
        CasingTypeEnum,
        ExpressionDescriptor,
        FormatError,
        Options,
    )

    options = Options()
    options.casing_type = CasingTypeEnum.LowerCase
    options.use_24hour_time_format = True
    try:
        return str(ExpressionDescriptor(cron, options))
    except (FormatError, ValueError, KeyError):
        return f"by {cron}"


def timetable(spec: ExportSpec) -> CronTriggerTimetable | None:
    """The timetable of an export. The data interval ends when the run is due; Airflow's own ``@daily`` would have an
    interval without length.

    :param spec: the catalogue's entry.
    :returns: ``None`` for an export that runs only when it is triggered.
    """
    schedule = spec.schedule
    if schedule is None:
        return None
    return CronTriggerTimetable(schedule.cron, schedule.timezone, interval=schedule.interval)


def check_times(spec: ExportSpec, context: Mapping[str, Any]) -> list[Finding]:
    """Whether schedule, promise and time limits of an export fit together.

    :param spec: the catalogue's entry.
    :param context: of the task that asks; its ``params`` have the time limit of the form.
    """
    from talent_dmf.api.findings import Finding

    limit = timedelta(minutes=int(context["params"]["time_limit_minutes"]))
    return [Finding("schedule", *_check_schedule(spec)), Finding("time limits", *_check_limits(spec, limit))]


def _check_schedule(spec: ExportSpec) -> tuple[Any, str]:
    words = when(spec)
    if spec.schedule is None:
        return "ok", f"It runs {words}."
    start = datetime.combine(spec.start_date, time(), UTC)
    if start > datetime.now(UTC):
        return "warning", f"It runs {words}, but not before its start date, {spec.start_date}."
    due = list(_due(spec.schedule))
    shortest = min((later - earlier for earlier, later in pairwise(due)), default=timedelta.max)
    if shortest < spec.sla:
        return "warning", (
            f"It runs {words}: two runs may be due within {in_words(shortest)}, and one is late only after "
            f"{in_words(spec.sla)}. Runs wait for each other; let it run less often, or lower `sla`."
        )
    return "ok", f"It runs {words}; next at {due[0]:%Y-%m-%d %H:%M %Z}."


def _check_limits(spec: ExportSpec, limit: timedelta) -> tuple[Any, str]:
    words = f"The wait for Dynamics 365 ends after {in_words(limit)}, saving after {in_words(spec.transfer_time_limit)}"
    if limit < spec.sla:
        return (
            "warning",
            f"{words}; the run is late only after {in_words(spec.sla)}. Raise the limit or lower `sla`.",
        )
    return "ok", f"{words}; the run is late after {in_words(spec.sla)}."


def _due(schedule: Schedule) -> Iterator[datetime]:
    from croniter import croniter  # type: ignore[import-untyped]

    times = croniter(schedule.cron, datetime.now(ZoneInfo(schedule.timezone)))
    for _ in range(_LOOKED_AT):
        yield times.get_next(datetime)
