"""How long the same task took in earlier runs, asked of Airflow before a deferral."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from talent_dmf.api.dmf.waiting import usual_wait

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

# One question to the API server each.
_RUNS = 5


def earlier_waits(context: Context) -> str:
    """How long the last successful waits of this task took, in words; ``""`` if Airflow knows of none.

    Each run is asked for by the date of the one after it, so runs without a date are not counted.

    :param context: the task's context.
    """
    ti: Any = context["ti"]
    durations: list[float] = []
    before = None
    try:
        while len(durations) < _RUNS:
            found = ti.get_previous_ti(state="success", logical_date=before, map_index=ti.map_index)
            if found is None or (before is not None and found.logical_date >= before):
                break
            if found.duration is not None:
                durations.append(found.duration)
            before = found.logical_date
            if before is None:
                break
    except Exception as error:  # noqa: BLE001 - it only informs: the wait goes on without
        log.debug("Earlier runs could not be asked for: %s", error)
    return usual_wait(durations)
