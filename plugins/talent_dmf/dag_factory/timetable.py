"""When an export runs."""

from __future__ import annotations

from airflow.sdk import CronTriggerTimetable

from talent_dmf.catalogue.spec import ExportSpec


def when(spec: ExportSpec) -> str:
    """When an export runs, in words and with its time zone.

    :param spec: the catalogue's entry.
    """
    schedule = spec.schedule
    if schedule is None:
        return "only when it is triggered"
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
        words = str(ExpressionDescriptor(schedule.cron, options))
    except (FormatError, ValueError, KeyError):
        words = f"by {schedule.cron}"
    return f"{words} ({schedule.timezone})"


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
