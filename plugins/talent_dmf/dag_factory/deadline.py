"""The promise that a run is done in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.definitions import deadline as sdk_deadline
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from talent_dmf.api.durations import in_words
from talent_dmf.catalogue.spec import ExportSpec
from talent_dmf.dag_factory.alerts import channels
from talent_dmf.notifications import report_missed_deadline


def deadline(spec: ExportSpec) -> DeadlineAlert:
    """The deadline of an export's runs, counted from when a run is queued: counted from its date, a backfill would
    always be late.

    :param spec: the catalogue's entry.
    """
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=_interval(spec.sla),
        callback=AsyncCallback(
            report_missed_deadline,
            kwargs={"export": spec.name, "sla": in_words(spec.sla), "channels": channels(spec.notify)},
        ),
    )


class DagWithDeadline(DAG):
    """A DAG with a deadline that ``airflow dags test`` can run.

    The test looks for the deadline's alert under the id that the DAG processor alone gives it, and breaks after the
    last task (Airflow 3.3.2, ``DagRun.update_state``). A run that somebody watches needs no deadline: it is left out.
    """

    def test(self, *args: Any, **kwargs: Any) -> Any:
        """Run the DAG once, in this process and without its deadline.

        :param args: of ``DAG.test``.
        :param kwargs: of ``DAG.test``.
        """
        deadline, self.deadline = self.deadline, None
        try:
            return super().test(*args, **kwargs)
        finally:
            self.deadline = deadline


def _interval(sla: timedelta) -> Any:
    # Airflow 3.2 serializes a timedelta and nothing else. Airflow 3.3, which made the interval a type of its own,
    # stores a timedelta as an object and takes that for seconds when a run is cleared whose deadline is still ahead, so
    # that no failed run could be cleared (docs/wire/airflow.md#deadlines); it still reads the number it used to store.
    return sla.total_seconds() if hasattr(sdk_deadline, "VariableInterval") else sla
