"""When an export runs."""

from __future__ import annotations

from airflow.sdk import CronTriggerTimetable

from talent_dmf.catalogue.spec import ExportSpec


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
