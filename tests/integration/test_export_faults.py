"""Everything that goes wrong between start and package: one export at the end, and the right error.

Time is the emulator's: a pause of ours moves its clock, so that hours pass at once. Tasks are retried as Airflow does.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException
from structlog.testing import capture_logs
from tests.integration.conftest import environment_connection, run_to_end

import talent_dmf.api.dmf.actions
import talent_dmf.hooks.service as service_module
import talent_dmf.hooks.talent_dmf as hook_module
from dmf_emulator import Emulator, Settings
from talent_dmf.api.errors import TransportError
from talent_dmf.operators.talent_dmf import TalentDmfExportedPackageUrlOperator, TalentDmfExportToPackageOperator
from talent_dmf.sensors.talent_dmf import TalentDmfExecutionStatusSensor
from talent_dmf.transport.drivers import AsyncDriver, SyncDriver
from talent_dmf.transport.gate import Gate

OUTCOMES = (AirflowFailException, AirflowSkipException, AirflowSensorTimeout)


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch, set_connection: Any) -> Iterator[Emulator]:
    """An emulator of its own for each test, in whose time both drivers live."""
    settings = Settings(
        seed=3, not_found_seconds=0.0, not_run_seconds=1.0, executing_seconds=5.0, url_delay_seconds=0.0
    )
    with Emulator(settings) as running:

        def pause(seconds: float) -> None:
            running.clock.advance(seconds)

        async def apause(seconds: float) -> None:
            running.clock.advance(seconds)

        monkeypatch.setattr(service_module, "SyncDriver", partial(SyncDriver, sleep=pause, clock=running.clock.now))
        monkeypatch.setattr(hook_module, "SyncDriver", partial(SyncDriver, sleep=pause, clock=running.clock.now))
        monkeypatch.setattr(hook_module, "AsyncDriver", partial(AsyncDriver, sleep=apause, clock=running.clock.now))
        monkeypatch.setattr(talent_dmf.api.dmf.actions, "EXPORT_TO_PACKAGE_SILENCE_SECONDS", 0.3)
        monkeypatch.setattr(hook_module, "Gate", partial(Gate, clock=running.clock.timestamp))
        set_connection("talent_dmf_default", environment_connection(running))
        yield running


class Run:
    """One DAG run as far as the package, each task with retries."""

    def __init__(self, context: dict[str, Any], project: str = "Export Workers", **sensor: Any) -> None:
        self.context = context
        self.project = project
        self.sensor_facts = {"poke_interval": 30.0, "timeout": 4 * 3600.0, "grace_seconds": 120.0, **sensor}
        self.tries: dict[str, int] = {}

    def attempt(self, operator: BaseOperator) -> Any:
        """Execute a task until it succeeds, fails for good, or has no retries left."""
        ti = self.context["ti"]
        ti.task_id = operator.task_id
        for try_number in range(1, ti.max_tries + 2):
            self.tries[operator.task_id] = ti.try_number = try_number
            try:
                return run_to_end(operator, self.context)[0]
            except OUTCOMES:
                raise
            except Exception:
                if try_number > ti.max_tries:
                    raise
        raise AssertionError("unreachable")

    def trigger(self) -> str:
        return self.attempt(
            TalentDmfExportToPackageOperator(
                task_id="trigger_export",
                definition_group_id=self.project,
                package_name="talent_package.zip",
                legal_entity_id="USMF",
                deferrable=False,
            )
        )

    def wait(self, execution_id: str) -> dict[str, Any]:
        return self.attempt(
            TalentDmfExecutionStatusSensor(task_id="wait_for_export", execution_id=execution_id, **self.sensor_facts)
        )

    def package(self, execution_id: str) -> dict[str, Any]:
        return self.attempt(TalentDmfExportedPackageUrlOperator(task_id="get_package_url", execution_id=execution_id))

    def go(self) -> dict[str, Any]:
        execution_id = self.trigger()
        self.wait(execution_id)
        return self.package(execution_id)


def executions(emulator: Emulator) -> int:
    return len(emulator.state.executions.all())


DEFERRING = pytest.mark.parametrize("deferrable", [False, True], ids=["on the worker", "in the triggerer"])


@DEFERRING
@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("dmf.F1", {"times": None}),
        ("dmf.F2", {"mode": "seconds"}),
        ("dmf.F2", {"mode": "seconds", "hidden_seconds": 45.0}),
        ("dmf.F2", {"mode": "polls"}),
        ("dmf.F3", {}),
        ("dmf.F7", {}),
        ("dmf.F8", {}),
        ("dmf.F9", {}),
        ("dmf.F11", {"mode": "seconds"}),
        ("dmf.F14", {"mode": "polls"}),
        ("dmf.F14", {"mode": "seconds"}),
        ("dmf.F14", {"mode": "error-while-running"}),
        ("dmf.F17", {"times": 3, "form": "seconds", "retry_after": 60}),
        ("dmf.F17", {"times": 3, "form": "date", "retry_after": 60}),
        ("dmf.F17", {"times": 3, "form": "none"}),
        ("dmf.F17", {"times": 1, "match": {"action": "ExportToPackage"}}),
        ("dmf.F18", {"mode": "before", "status": 502, "match": {"action": "ExportToPackage"}}),
        ("dmf.F18", {"mode": "before", "status": 503, "times": 3}),
        ("dmf.F18", {"mode": "after", "status": 504, "match": {"action": "ExportToPackage"}}),
        ("dmf.F18", {"mode": "after", "status": 500, "match": {"action": "GetExecutionSummaryStatus"}}),
        ("dmf.F19", {"times": 1}),
        ("dmf.F19", {"times": 1, "match": {"action": "ExportToPackage"}}),
        ("dmf.F28", {"times": 1, "match": {"action": "GetExecutionSummaryStatus"}, "after": 1}),
        ("dmf.F27", {"mode": "human-resources"}),
    ],
)
def test_one_export_and_its_package_in_spite_of(
    emulator: Emulator, context: dict[str, Any], fault: str, options: dict[str, Any], deferrable: bool
) -> None:
    emulator.faults.add(fault, **options)
    run = Run(context, deferrable=deferrable, short_export_seconds=0.0)
    package = run.go()
    assert executions(emulator) == 1
    assert package["size_bytes"] > 0
    assert package["entities"] == ["Workers.xlsx"]


@DEFERRING
@pytest.mark.parametrize(
    ("fault", "options", "sentence"),
    [
        ("dmf.F2", {"mode": "forever"}, "does not know execution"),
        ("dmf.F11", {"mode": "forever"}, "answers only 'Unknown'"),
        ("dmf.F12", {"outcome": "Failed"}, "failed in Dynamics 365. The most frequent error, of"),
        ("dmf.F12", {"outcome": "Canceled"}, "was canceled in Dynamics 365"),
        ("dmf.F12", {"outcome": "PartiallySucceeded"}, "succeeded only in part"),
        ("dmf.F16", {"mode": "execution"}, "does not know execution"),
        ("dmf.F20", {"match": {"action": "GetExecutionSummaryStatus"}, "after": 1}, "has no right to that"),
        ("dmf.F19", {"times": None, "match": {"action": "GetExecutionSummaryStatus"}, "after": 1}, "refused the token"),
    ],
)
def test_a_permanent_error_ends_the_wait_and_burns_no_retry(
    emulator: Emulator, context: dict[str, Any], fault: str, options: dict[str, Any], sentence: str, deferrable: bool
) -> None:
    run = Run(context, deferrable=deferrable, short_export_seconds=0.0)
    execution_id = "" if options.get("after") is None else None
    if fault == "dmf.F16":
        execution_id = run.trigger()
    emulator.faults.add(fault, **options)
    execution_id = execution_id or run.trigger()
    with pytest.raises(AirflowFailException, match=sentence):
        run.wait(execution_id)
    assert run.tries["wait_for_export"] == 1
    assert executions(emulator) == 1


@pytest.mark.parametrize(
    ("fault", "options", "sentence"),
    [
        ("dmf.F4", {"times": None}, "Model state is invalid"),
        ("dmf.F5", {}, "Data project Export Workers does not exist"),
        ("dmf.F6", {"times": None}, "Export to package failed for definition group"),
        ("dmf.F19", {"times": None}, "refused the token"),
        ("dmf.F20", {}, "has no right to that"),
    ],
)
def test_a_refused_start_is_permanent_and_leaves_no_export(
    emulator: Emulator, context: dict[str, Any], fault: str, options: dict[str, Any], sentence: str
) -> None:
    emulator.faults.add(fault, **options)
    run = Run(context)
    with pytest.raises(AirflowFailException, match=sentence):
        run.trigger()
    assert run.tries["trigger_export"] == 1
    assert executions(emulator) == 0


def test_an_export_that_hangs_ends_at_the_time_limit(emulator: Emulator, context: dict[str, Any]) -> None:
    emulator.faults.add("dmf.F10")
    run = Run(context, deferrable=True, short_export_seconds=0.0, timeout=3600.0)
    with pytest.raises(AirflowSensorTimeout, match="may still be running"):
        run.wait(run.trigger())
    assert executions(emulator) == 1


@pytest.mark.parametrize("mode", ["failed", "error"])
def test_two_exports_of_one_project_go_one_after_the_other(
    emulator: Emulator, context: dict[str, Any], mode: str
) -> None:
    emulator.faults.add("dmf.F23", mode=mode)
    first, second = Run(context), Run({**context, "ti": type(context["ti"])(run_id="another-run")})
    one, two = first.trigger(), second.trigger()
    assert one != two
    assert first.wait(one)["status"] == second.wait(two)["status"] == "Succeeded"
    assert executions(emulator) == 2


def test_a_refused_second_export_says_which_one_is_running(emulator: Emulator, context: dict[str, Any]) -> None:
    running = Run(context).trigger()
    context["ti"].task_id = "other"
    refusing = TalentDmfExportToPackageOperator(
        task_id="other", definition_group_id="Export Workers", package_name="p.zip", legal_entity_id="USMF", busy="fail"
    )
    with pytest.raises(AirflowFailException, match=f"as execution {running}"):
        refusing.execute(context)
    assert executions(emulator) == 1


def test_an_id_said_to_be_in_use_is_a_permanent_error_if_it_is_not(emulator: Emulator, context: dict[str, Any]) -> None:
    emulator.faults.add("dmf.F24", times=1)
    with pytest.raises(AirflowFailException, match="was refused"):
        Run(context).trigger()
    assert executions(emulator) == 0


def test_a_lost_export_that_stays_hidden_is_adopted_when_its_id_is_refused(
    emulator: Emulator, context: dict[str, Any]
) -> None:
    """The first try loses the answer and finds nothing for a minute; the second is told that the id is in use."""
    emulator.faults.add("dmf.F8")
    emulator.faults.add("dmf.F2", mode="seconds", hidden_seconds=90.0)
    emulator.faults.add("dmf.F16", mode="execution", times=25)
    run = Run(context)
    execution_id = run.trigger()
    assert run.wait(execution_id)["status"] == "Succeeded"
    assert executions(emulator) == 1


def test_a_failed_execution_is_replaced_by_a_suffixed_one(emulator: Emulator, context: dict[str, Any]) -> None:
    emulator.faults.add("dmf.F12", outcome="Failed", times=1)
    run = Run(context)
    failed = run.trigger()
    with pytest.raises(AirflowFailException):
        run.wait(failed)
    again = run.trigger()
    assert again == f"{failed}-2"
    assert run.wait(again)["status"] == "Succeeded"


def test_partial_success_can_be_accepted(emulator: Emulator, context: dict[str, Any]) -> None:
    emulator.faults.add("dmf.F12", outcome="PartiallySucceeded")
    run = Run(context, partial_success="accept")
    execution_id = run.trigger()
    assert run.wait(execution_id)["status"] == "PartiallySucceeded"
    assert run.package(execution_id)["entities"] == ["Workers.xlsx"]


def test_a_failure_carries_its_explanation(emulator: Emulator, context: dict[str, Any]) -> None:
    emulator.faults.add("dmf.F12", outcome="PartiallySucceeded", error_rows=3)
    run = Run(context)
    with pytest.raises(AirflowFailException, match="ms-dyn-aid=") as caught:
        run.wait(run.trigger())
    notes = "\n".join(caught.value.__notes__)
    assert "Entity Workers: staging" in notes
    assert "3 x " in notes
    assert "Job page in Dynamics 365: https://" in notes


def test_broken_error_rows_still_tell_the_reason(emulator: Emulator, context: dict[str, Any]) -> None:
    emulator.faults.add("dmf.F12", outcome="Failed")
    emulator.faults.add("dmf.F13", error_rows=5)
    run = Run(context)
    with pytest.raises(AirflowFailException, match=r"The most frequent error, of \d rows?: "):
        run.wait(run.trigger())


@pytest.mark.parametrize("delta", ["header-only", "zero-byte", "missing-entry"])
@pytest.mark.parametrize("on_empty", ["skip", "fail"])
def test_an_empty_delta_is_noticed(emulator: Emulator, context: dict[str, Any], delta: str, on_empty: str) -> None:
    emulator.faults.add("dmf.F21", delta=delta)
    run = Run(context, on_empty=on_empty, project="Export Workers incremental")
    with pytest.raises(AirflowSkipException if on_empty == "skip" else AirflowFailException, match="holds no rows"):
        run.wait(run.trigger())


@pytest.mark.parametrize("delta", ["header-only", "zero-byte", "missing-entry"])
def test_the_package_of_an_empty_delta_is_found(emulator: Emulator, context: dict[str, Any], delta: str) -> None:
    emulator.faults.add("dmf.F21", delta=delta)
    with capture_logs() as entries:
        package = Run(context, project="Export Workers incremental").go()
    is_missing = delta == "missing-entry"
    assert (package["entities"], package["without_file"]) == (
        ([], ["Workers"]) if is_missing else (["Workers.xlsx"], [])
    )
    said = [
        entry["event"] for entry in entries if "no data file of 'Workers', of which no rows were exported" in str(entry)
    ]
    assert len(said) == is_missing


def test_rows_without_their_data_file_are_lost_and_not_empty(emulator: Emulator, context: dict[str, Any]) -> None:
    emulator.faults.add("dmf.F21", delta="missing-entry")
    run = Run(context, project="Export Workers incremental")
    execution_id = run.trigger()
    run.wait(execution_id)
    (execution,) = emulator.state.executions.all()
    execution.rows["Workers"] = 12
    with pytest.raises(AirflowFailException, match=r"exported rows of 'Workers' \(12 rows\), and they are not in it"):
        run.package(execution_id)


def test_a_download_that_fails_never_exports_the_delta_again(emulator: Emulator, context: dict[str, Any]) -> None:
    emulator.faults.add("dmf.F22", times=2)
    run = Run(context, project="Export Workers incremental")
    assert run.go()["entities"] == ["Workers.xlsx"]
    assert len(emulator.recorder.requests(fault="dmf.F22")) == 2
    assert executions(emulator) == 1


def test_success_without_a_package_is_told_with_what_to_do(emulator: Emulator, context: dict[str, Any]) -> None:
    emulator.faults.add("dmf.F26")
    with pytest.raises(AirflowFailException, match="Generate data package"):
        Run(context).go()
    assert executions(emulator) == 1


def test_a_forgotten_execution_is_told_with_what_to_do(emulator: Emulator, context: dict[str, Any]) -> None:
    run = Run(context)
    execution_id = run.trigger()
    run.wait(execution_id)
    emulator.faults.add("dmf.F16", mode="execution")
    with pytest.raises(AirflowFailException, match="kept for 7 days"):
        run.package(execution_id)
    assert executions(emulator) == 1


@pytest.mark.parametrize("defect", ["truncated", "zip-slip", "missing-manifest"])
def test_a_package_that_is_none_is_refused_before_it_is_saved(
    emulator: Emulator, context: dict[str, Any], defect: str
) -> None:
    emulator.faults.add("dmf.F25", defect=defect)
    with pytest.raises(AirflowFailException, match="package"):
        Run(context).go()


def test_a_service_that_never_answers_exhausts_the_retries_and_starts_nothing(
    emulator: Emulator, context: dict[str, Any]
) -> None:
    emulator.faults.add("dmf.F18", mode="before", status=503, times=None)
    run = Run(context)
    with pytest.raises(TransportError):
        run.trigger()
    assert run.tries["trigger_export"] == 4
    assert executions(emulator) == 0


def test_a_wait_outlives_its_token(emulator: Emulator, context: dict[str, Any]) -> None:
    emulator.faults.add("dmf.F9", not_run_seconds=3 * 3600.0)
    run = Run(context, deferrable=True, short_export_seconds=0.0)
    assert run.go()["entities"] == ["Workers.xlsx"]
    assert executions(emulator) == 1
