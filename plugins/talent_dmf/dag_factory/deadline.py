"""The promise that a run is done in time."""

from __future__ import annotations

from typing import Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from talent_dmf.api.durations import in_words
from talent_dmf.catalogue.spec import ExportSpec
from talent_dmf.notifications import report_missed_deadline


def deadline(spec: ExportSpec) -> DeadlineAlert:
    """The deadline of an export's runs, counted from when a run is queued: counted from its date, a backfill would
    always be late.

    :param spec: the catalogue's entry.
    """
    # As a number: Airflow 3.3.2 stores a timedelta as an object and takes that for seconds when a run is cleared whose
    # deadline is still ahead, so that no failed run could be cleared (docs/wire/airflow.md#deadlines).
    seconds: Any = spec.sla.total_seconds()
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=seconds,
        callback=AsyncCallback(report_missed_deadline, kwargs={"export": spec.name, "sla": in_words(spec.sla)}),
    )
