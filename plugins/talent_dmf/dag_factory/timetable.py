"""When an export runs."""

from __future__ import annotations

from functools import lru_cache

from airflow.sdk import CronTriggerTimetable

from talent_dmf.catalogue.spec import ExportSpec


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
