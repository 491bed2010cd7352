"""What exports say to Airflow's metrics (docs/how-to/monitoring.md): StatsD or OpenTelemetry, whichever is configured.

Each metric has one name, with the DAG and, where it is known, the legal entity as tags. StatsD without tags drops them,
so while ``[metrics] legacy_names_on`` is set, as it is by default, a second name ends in the DAG's id, as in Airflow.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

log = logging.getLogger(__name__)

PREFIX = "talent_dmf"


class Metrics:
    """The metrics of one DAG.

    :param dag_id: the DAG; ``""`` for what belongs to none.
    :param legal_entity: company code, where it is known.
    :param in_triggerer: whether this process is the triggerer, whose metrics are configured elsewhere than a task's.
    """

    def __init__(self, dag_id: str = "", legal_entity: str = "", *, in_triggerer: bool = False) -> None:
        self._dag_id, self._in_triggerer = dag_id, in_triggerer
        tags = {"dag_id": dag_id, "legal_entity": legal_entity}
        self._tags = {name: value for name, value in tags.items() if value}

    def count(self, name: str, times: int = 1) -> None:
        """Count something that has happened.

        :param name: of the metric, without the prefix.
        :param times: how often.
        """
        self._send("incr", name, times)

    def took(self, name: str, duration: timedelta) -> None:
        """Say how long something took.

        :param name: of the metric, without the prefix.
        :param duration: how long.
        """
        self._send("timing", name, max(duration, timedelta(0)))

    def measured(self, name: str, value: float | None) -> None:
        """Say how much there was of something, the last time.

        :param name: of the metric, without the prefix.
        :param value: how much; nothing is said if it is not known.
        """
        if value is not None:
            self._send("gauge", name, value)

    def _send(self, method: str, name: str, value: Any) -> None:
        # A metric informs: whatever happens here must not stop the export.
        try:
            send = getattr(_stats(self._in_triggerer), method)
            send(f"{PREFIX}.{name}", value, tags=self._tags)
            if self._dag_id and _names_dags():
                send(f"{PREFIX}.{name}.{self._dag_id}", value, tags=_without_dag(self._tags))
        except Exception as error:  # noqa: BLE001 - see above
            log.debug("Metric %s could not be sent: %s", name, error)


def _without_dag(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if name != "dag_id"}


def _names_dags() -> bool:
    from airflow.sdk import conf

    return conf.getboolean("metrics", "legacy_names_on", fallback=True)


def _stats(in_triggerer: bool) -> Any:
    # Imported where it is needed: the DAG file must not pay for it. The two are separate copies, and each process
    # configures its own only.
    if in_triggerer:
        from airflow.observability import stats
    else:
        from airflow.sdk.observability import stats  # type: ignore[no-redef]
    return stats.Stats
