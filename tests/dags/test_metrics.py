"""Metrics of real runs, through Airflow's own StatsD client, as they arrive at a UDP socket."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

import pytest
from tests.dags.conftest import REPOSITORY
from tests.dags.own_airflow import OwnAirflow
from tests.examples import WORKERS
from tests.statsd import statsd

from dmf_emulator import Emulator, Settings
from talent_dmf.api.dmf.status import DmfExecutionStatus
from talent_dmf.api.steps import RepeatCause

DAY = "2026-11-20T00:00:00+00:00"
DAG = "talent_export_workers"
PLAN = {
    "saved": (DAG, DAY, {}),
    "failed": (DAG, "2026-11-21T00:00:00+00:00", {"data_project": "Export Workers CSV"}),
}


@dataclass
class Metrics:
    """What became of the runs, and what arrived."""

    runs: dict[str, dict[str, Any]]
    values: Callable[[str], list[float]]


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Metrics]:
    quick = Settings(seed=3, not_found_seconds=0.0, not_run_seconds=0.0, executing_seconds=0.0, url_delay_seconds=0.0)
    with statsd() as receiver, Emulator(quick) as emulator:
        emulator.faults.add("dmf.F12", outcome="Failed", match={"definition_group_id": "Export Workers CSV"})
        emulator.faults.add("dmf.F17", match={"action": "GetExportedPackageUrl"}, times=1, retry_after=1)
        emulator.faults.add("dmf.F18", match={"action": "GetExecutionSummaryStatus"}, times=1)
        airflow = OwnAirflow(tmp_path_factory.mktemp("metrics"), emulator, receiver.settings)
        (airflow.exports / "workers.yaml").write_text(WORKERS + "retries: 0\nsla: 1 s\n")
        yield Metrics(airflow.run(PLAN), receiver.values)


def test_exports_are_counted_by_what_became_of_them(metrics: Metrics) -> None:
    assert [run["state"] for run in metrics.runs.values()] == ["success", "failed"]
    counted = {"exports.started": 2, "exports.saved": 1, "exports.failed": 1, "exports.empty": 0}
    counted |= {"executions.succeeded": 1, "executions.failed": 1, "executions.timed_out": 0}
    assert {name: sum(metrics.values(f"talent_dmf.{name}")) for name in counted} == counted
    # StatsD knows no tags: the DAG is in the name.
    assert {name: sum(metrics.values(f"talent_dmf.{name}.{DAG}")) for name in counted} == counted


def test_rows_bytes_and_times_are_measured(metrics: Metrics) -> None:
    saved = metrics.runs["saved"]["xcoms"]["save_to_onedrive[-1].return_value"]
    assert metrics.values(f"talent_dmf.rows.{DAG}") == [100]
    assert metrics.values(f"talent_dmf.bytes.{DAG}") == [saved["size"]]
    assert len(metrics.values(f"talent_dmf.export_duration.{DAG}")) == 2
    assert len(metrics.values(f"talent_dmf.transfer_duration.{DAG}")) == 1
    (delay,) = metrics.values(f"talent_dmf.arrival_delay.{DAG}")
    assert delay > 0


def test_repeated_requests_are_counted(metrics: Metrics) -> None:
    assert sum(metrics.values("talent_dmf.requests.throttles")) == 1
    assert sum(metrics.values("talent_dmf.requests.retries")) == 1


def test_every_metric_is_in_the_documentation_and_nothing_else() -> None:
    page = (REPOSITORY / "docs" / "how-to" / "monitoring.md").read_text()
    # The first column; examples in the text name a DAG as well.
    documented = set(re.findall(r"^\| `talent_dmf\.([a-z_.]+)`", page, re.MULTILINE))
    named = re.compile(r"""\.(?:count|took|measured)\(\s*f?["']([a-z_.]+)""")
    sources = (REPOSITORY / "plugins" / "talent_dmf").rglob("*.py")
    in_the_code = {name for path in sources for name in named.findall(path.read_text())}
    statuses = {status.name.lower() for status in DmfExecutionStatus if status.is_terminal} | {"unknown"}
    computed = {f"executions.{status}" for status in statuses} | {f"requests.{each}" for each in get_args(RepeatCause)}
    assert documented == {name for name in in_the_code if not name.endswith(".")} | computed
