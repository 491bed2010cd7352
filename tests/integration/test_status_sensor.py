"""The status sensor and its trigger against the emulator, waiting on the worker and in the triggerer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException, TaskDeferred
from tests.integration.conftest import carried_over, environment_connection, first_event, run_to_end

from dmf_emulator import Emulator, Settings
from talent_dmf.api.dmf.models import ExecutionEvent
from talent_dmf.api.errors import ConfigurationError, ProtocolError, TransportError
from talent_dmf.operators.talent_dmf import TalentDmfExportToPackageOperator
from talent_dmf.sensors.talent_dmf import TalentDmfExecutionStatusSensor

ON_WORKER = {"deferrable": False}
IN_TRIGGERER = {"deferrable": True, "short_export_seconds": 0.0}
BOTH_MODES = pytest.mark.parametrize("mode", [ON_WORKER, IN_TRIGGERER], ids=["on the worker", "in the triggerer"])


@pytest.fixture(scope="module")
def slow_emulator() -> Iterator[Emulator]:
    """Exports that stay longer than any test waits."""
    settings = Settings(seed=8, not_found_seconds=0.0, not_run_seconds=600.0, executing_seconds=600.0)
    with Emulator(settings) as running:
        yield running


def started(context: dict[str, Any], run_id: str, **changes: Any) -> str:
    context["ti"].run_id = run_id
    facts = {"definition_group_id": "Export Workers", "legal_entity_id": "USMF", **changes}
    return TalentDmfExportToPackageOperator(
        task_id="trigger_export", package_name="talent_package.zip", **facts
    ).execute(context)


def sensor(execution_id: str, **changes: Any) -> TalentDmfExecutionStatusSensor:
    facts: dict[str, Any] = {"task_id": "wait_for_export", "poke_interval": 0.1, "timeout": 30.0, **changes}
    return TalentDmfExecutionStatusSensor(execution_id=execution_id, **facts)


@BOTH_MODES
def test_waits_until_the_export_is_finished(
    connections: Emulator, context: dict[str, Any], mode: dict[str, Any]
) -> None:
    connections.faults.add("dmf.F9", mode="queue", not_run_seconds=4.0)
    execution_id = started(context, f"finished-{mode['deferrable']}")
    result, deferrals = run_to_end(sensor(execution_id, **mode), context)
    assert result["status"] == "Succeeded"
    assert result["rows"] == 100
    assert result["entities"] == [{"entity": "Workers", "rows": 100, "status": "Finished"}]
    assert deferrals == (1 if mode["deferrable"] else 0)


@BOTH_MODES
def test_the_page_of_the_execution_is_a_part_of_the_result(
    connections: Emulator, context: dict[str, Any], mode: dict[str, Any]
) -> None:
    connections.faults.add("dmf.F9", mode="queue", not_run_seconds=4.0)
    execution_id = started(context, f"page-{mode['deferrable']}")
    # A process of its own goes on after a deferral, with another object.
    before, after = sensor(execution_id, **mode), sensor(execution_id, **mode)
    try:
        result = before.execute({**context, "task": before})
    except TaskDeferred as deferred:
        passed = {**(deferred.kwargs or {}), "event": first_event(carried_over(deferred)[1])}
        result = after.resume_execution(deferred.method_name, passed, {**context, "task": after})  # type: ignore[typeddict-item]
    address = result["job_page_url"]
    assert address.startswith("https://")
    assert context["ti"].pushed["job_page_url"] == address


def test_a_short_export_ends_on_the_worker(connections: Emulator, context: dict[str, Any]) -> None:
    execution_id = started(context, "short")
    _, deferrals = run_to_end(sensor(execution_id, deferrable=True, short_export_seconds=15.0), context)
    assert deferrals == 0


def test_where_requests_are_scarce_the_shared_list_waits_for_a_short_export_too(
    emulator: Emulator, set_connection: Any, context: dict[str, Any]
) -> None:
    set_connection("talent_dmf_default", environment_connection(emulator, quota="human_resources"))
    execution_id = started(context, "scarce")
    emulator.recorder.clear()
    result, deferrals = run_to_end(sensor(execution_id, deferrable=True, short_export_seconds=15.0), context)
    assert (result["status"], result["rows"], deferrals) == ("Succeeded", 100, 1)
    lists = [each for each in emulator.recorder.requests() if "$select=JobId" in each.path]
    assert lists
    assert len(emulator.recorder.requests(action="GetExecutionSummaryStatus")) == 1


@BOTH_MODES
def test_gives_up_at_its_time_limit(
    slow_emulator: Emulator, set_connection: Any, context: dict[str, Any], mode: dict[str, Any]
) -> None:
    set_connection("talent_dmf_default", environment_connection(slow_emulator))
    execution_id = started(context, f"late-{mode['deferrable']}", definition_group_id=f"Export Workers{project(mode)}")
    with pytest.raises(AirflowSensorTimeout, match="may still be running"):
        run_to_end(sensor(execution_id, timeout=0.4, **mode), context)
    with pytest.raises(AirflowSkipException):
        run_to_end(sensor(execution_id, timeout=0.4, soft_fail=True, **mode), context)


@BOTH_MODES
def test_a_time_limit_in_words_is_the_timeout(
    slow_emulator: Emulator, set_connection: Any, context: dict[str, Any], mode: dict[str, Any]
) -> None:
    set_connection("talent_dmf_default", environment_connection(slow_emulator))
    waiting = sensor("never-started", time_limit="7 min", grace_seconds=0.1, **mode)
    with pytest.raises(AirflowFailException, match="does not know execution"):
        run_to_end(waiting, context)
    assert waiting.timeout == 420
    with pytest.raises(ConfigurationError, match="a number and a unit such as 30 min, not '7 minutes'"):
        sensor("never-started", time_limit="7 minutes", **mode)
    assert sensor("never-started", sla="2 h", **mode).sla_after == timedelta(hours=2)


def project(mode: dict[str, Any]) -> str:
    """A project each: two exports of one project at a time are refused."""
    return " CSV" if mode["deferrable"] else " XML"


@BOTH_MODES
def test_a_missed_sla_is_said_once_and_the_wait_goes_on(
    connections: Emulator, context: dict[str, Any], mode: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    # However slow the machine, the export is not found to be over before the promised time has passed.
    connections.faults.add("dmf.F9", mode="queue", not_run_seconds=4.0)
    execution_id = started(context, f"sla-{mode['deferrable']}")
    result, _ = run_to_end(sensor(execution_id, sla=timedelta(seconds=0.05), **mode), context)
    assert result["status"] == "Succeeded"
    assert len([record for record in caplog.records if "The wait goes on" in record.getMessage()]) == 1


def test_a_wait_in_the_triggerer_says_each_change_once(
    connections: Emulator, context: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="talent_dmf.triggers")
    connections.faults.add("dmf.F9", mode="queue", not_run_seconds=4.0)
    execution_id = started(context, "each change", definition_group_id="Export Workers CSV")
    _, deferrals = run_to_end(sensor(execution_id, deferrable=True, short_export_seconds=0, poke_interval=0.2), context)
    assert deferrals == 1
    said = [record.getMessage() for record in caplog.records if record.name == "talent_dmf.triggers.talent_dmf"]
    # Polled many times, and told by change; what lasts shorter than a pause is seen or not.
    assert said
    assert said == [f"Execution {execution_id} is {word}." for word in ("NotRun", "Executing")][: len(said)]


@BOTH_MODES
def test_an_unknown_execution_is_borne_for_the_grace_period_only(
    connections: Emulator, context: dict[str, Any], mode: dict[str, Any]
) -> None:
    with pytest.raises(AirflowFailException, match="does not know execution nobody-knows"):
        run_to_end(sensor("nobody-knows", grace_seconds=0.3, **mode), context)


@pytest.mark.parametrize(
    ("on_empty", "outcome"), [("save", None), ("skip", AirflowSkipException), ("fail", AirflowFailException)]
)
def test_an_export_without_rows_is_treated_by_policy(
    connections: Emulator, context: dict[str, Any], on_empty: str, outcome: type[Exception] | None
) -> None:
    execution_id = started(context, f"empty-{on_empty}", legal_entity_id="DAT")
    waiting = sensor(execution_id, on_empty=on_empty, deferrable=False)
    if outcome is None:
        assert waiting.execute(context)["rows"] == 0
    else:
        with pytest.raises(outcome, match="holds no rows"):
            waiting.execute(context)


def test_a_rescheduled_sensor_asks_once_per_visit(connections: Emulator, context: dict[str, Any]) -> None:
    execution_id = started(context, "rescheduled")
    waiting = sensor(execution_id, mode="reschedule")
    seen = []
    while not seen or not seen[-1]:
        seen.append(waiting.poke(context))
    assert seen[-1].xcom_value["status"] == "Succeeded"
    assert waiting.poke(context)
    unknown = sensor("nobody-knows", mode="reschedule", grace_seconds=0.0)
    with pytest.raises(AirflowFailException, match="does not know execution"):
        unknown.poke(context)


def event(**changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"execution_id": "e-1", "kind": "finished", "started_at": datetime.now(UTC).isoformat()}
    return {**ExecutionEvent(**facts).to_json(), **changes}


@pytest.mark.parametrize(
    "foreign",
    [
        None,
        {},
        "Succeeded",
        {"status": "success"},
        event(execution_id="e-2", status="Succeeded"),
        event(version=99, status="Succeeded"),
        event(kind="made up", status="Succeeded"),
        event(started_at=None, status="Succeeded"),
        event(status="Splendid"),
        event(status="Executing"),
    ],
)
def test_a_resume_without_proof_fails(connections: Emulator, context: dict[str, Any], foreign: Any) -> None:
    with pytest.raises(ProtocolError):
        sensor("e-1").execute_complete(context, foreign)


@pytest.mark.parametrize(("retryable", "outcome"), [(True, TransportError), (False, AirflowFailException)])
def test_the_triggers_trouble_reaches_the_task(
    connections: Emulator, context: dict[str, Any], retryable: bool, outcome: type[Exception]
) -> None:
    with pytest.raises(outcome, match="The secret has expired"):
        sensor("e-1").execute_complete(
            context, event(kind="error", message="The secret has expired.", retryable=retryable)
        )


def test_the_trigger_speaks_when_it_cannot_sign_in(
    emulator: Emulator, set_connection: Any, context: dict[str, Any]
) -> None:
    set_connection("talent_dmf_default", environment_connection(emulator))
    execution_id = started(context, "locked-out")
    waiting = sensor(execution_id, **IN_TRIGGERER)
    set_connection("talent_dmf_default", {**environment_connection(emulator), "password": "rotated away"})
    with pytest.raises(AirflowFailException, match="client secret is wrong"):
        run_to_end(waiting, context)
