"""How long a wait took before is known to Airflow, and said when the task leaves the worker."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.dags.own_airflow import OwnAirflow

from dmf_emulator import Emulator, Settings

DAG = """
from datetime import datetime, timedelta
from airflow.sdk import DAG, CronTriggerTimetable
from talent_dmf.operators.talent_dmf import TalentDmfExportToPackageOperator
from talent_dmf.sensors.talent_dmf import TalentDmfExecutionStatusSensor

schedule = CronTriggerTimetable("0 0 * * *", "UTC", interval=timedelta(days=1))
with DAG("waits", schedule=schedule, start_date=datetime(2026, 1, 1), catchup=False):
    started = TalentDmfExportToPackageOperator(
        task_id="trigger_export", definition_group_id="Export Workers", package_name="w.zip", legal_entity_id="USMF"
    )
    TalentDmfExecutionStatusSensor(
        task_id="wait_for_export", execution_id=started.output, deferrable=True, short_export_seconds=0, poke_interval=1
    )
"""


# Longer than the test may take: an export ends because the clock of the emulator is moved.
HOUR_SECONDS = 3600.0


@contextmanager
def ending_what_the_triggerer_asks_for(emulator: Emulator) -> Iterator[None]:
    """End each export once it has been asked for by the worker, and twice after that: then the task has deferred."""
    over = threading.Event()

    def end_exports() -> None:
        ended: set[str] = set()
        while not over.wait(0.1):
            asked = Counter(
                str(each.execution_id)
                for each in emulator.recorder.requests()
                if each.action == "GetExecutionSummaryStatus"
            )
            for execution_id, times in asked.items():
                if times >= 3 and execution_id not in ended:
                    ended.add(execution_id)
                    emulator.clock.advance(HOUR_SECONDS)

    thread = threading.Thread(target=end_exports)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def airflow(tmp_path: Path) -> Iterator[OwnAirflow]:
    endless = Settings(seed=3, not_run_seconds=0.0, not_found_seconds=0.0, executing_seconds=HOUR_SECONDS)
    with Emulator(endless) as emulator:
        own = OwnAirflow(tmp_path, emulator)
        (own.dags / "waits.py").write_text(DAG)
        with ending_what_the_triggerer_asks_for(emulator):
            yield own


def test_each_wait_is_compared_with_those_of_earlier_runs(airflow: OwnAirflow) -> None:
    days = [f"2026-11-{day}T00:00:00+00:00" for day in (20, 21, 22)]
    runs = airflow.run({day: ("waits", day, {}) for day in days})
    assert {run["state"] for run in runs.values()} == {"success"}
    said = re.findall(r"goes on in the triggerer(.*?)\.", airflow.output)
    assert said == ["", "; the last run took 1 min", "; the last 2 runs took 1 min"]
