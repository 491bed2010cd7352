"""Several legal entities of one run: each is exported when the one before has reached its end, whatever that is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from tests.integration.conftest import QUICK, environment_connection, run_to_end
from tests.integration.records import DagRunRecord, StateStore, TaskInstanceRecord

from dmf_emulator import Emulator
from talent_dmf.hooks.talent_dmf import TalentDmfHook
from talent_dmf.operators.talent_dmf import TalentDmfExportToPackageOperator
from talent_dmf.operators.turns import TURN_XCOM_KEY

MODES = pytest.mark.parametrize("deferrable", [True, False], ids=["triggerer", "worker"])


@pytest.fixture
def service(set_connection: Any) -> Iterator[Emulator]:
    """An emulator in which nothing of another test is still running."""
    with Emulator(QUICK) as running:
        set_connection("talent_dmf_default", environment_connection(running))
        yield running


class Run:
    """A run of the export task, mapped over companies."""

    def __init__(self, *companies: str, **arguments: Any) -> None:
        self.arguments = arguments
        run_id = f"turns-{datetime.now(UTC).isoformat()}"
        self.instances = [TaskInstanceRecord(run_id=run_id, map_index=index) for index, _ in enumerate(companies)]
        for each in self.instances:
            each.mapped_beside = [other for other in self.instances if other is not each]
        self.companies = companies

    def operator(self, index: int) -> TalentDmfExportToPackageOperator:
        return TalentDmfExportToPackageOperator(
            task_id="trigger_export",
            definition_group_id="Export Workers",
            package_name="package.zip",
            legal_entity_id=self.companies[index],
            **self.arguments,
        )

    def context(self, index: int) -> dict[str, Any]:
        ti = self.instances[index]
        return {"ti": ti, "dag_run": DagRunRecord(run_id=ti.run_id), "task_state_store": StateStore(), "params": {}}

    def export(self, index: int) -> str:
        """Execute the task instance to its end, as worker and triggerer would."""
        execution_id, _ = run_to_end(self.operator(index), self.context(index))
        return str(execution_id)


def outcomes(ids: list[str]) -> list[str]:
    return [str(TalentDmfHook().execution_status(each)) for each in ids]


@MODES
def test_the_second_begins_when_the_first_has_ended(service: Emulator, deferrable: bool) -> None:
    # A second execution of a running project fails; and the job history knows none in its first seconds.
    service.faults.add("dmf.F23", mode="failed")
    run = Run("USMF", "DEMF", "DAT", deferrable=deferrable)
    ids = [run.export(index) for index in range(3)]
    assert len(set(ids)) == 3
    assert outcomes(ids[:2]) == ["Succeeded"] * 2


@MODES
def test_an_export_that_failed_does_not_keep_the_next_from_beginning(service: Emulator, deferrable: bool) -> None:
    service.faults.add("dmf.F12", times=1)
    run = Run("USMF", "DEMF", deferrable=deferrable)
    first, second = run.export(0), run.export(1)
    assert outcomes([first]) == ["Failed"]
    assert "-Export-Workers-DEMF-" in second


def test_an_export_whose_answer_was_lost_is_waited_for_as_well(service: Emulator) -> None:
    run = Run("USMF", "DEMF", deferrable=True)
    first = run.export(0)
    # What its worker left when it was killed between the call and the answer.
    run.instances[0].pushed[TURN_XCOM_KEY]["started"] = False
    with pytest.raises(TaskDeferred) as deferred:
        run.operator(1).execute(run.context(1))
    assert deferred.value.trigger.execution_id == first


def test_what_was_announced_and_never_started_is_not_waited_for(service: Emulator) -> None:
    run = Run("USMF", "DEMF", deferrable=True)
    run.instances[0].pushed[TURN_XCOM_KEY] = {
        "map_index": 0,
        "execution_id": "never-started",
        "started": False,
        "at": datetime.now(UTC).isoformat(),
    }
    _, deferrals = run_to_end(run.operator(1), run.context(1))
    assert deferrals == 0


def test_a_retry_finds_its_own_execution_and_waits_for_nobody(service: Emulator) -> None:
    run = Run("USMF", "DEMF", deferrable=False)
    run.export(0)
    second = run.export(1)
    run.instances[1].try_number = 2
    run.instances[1].pushed.clear()
    assert run.export(1) == second


def test_a_company_that_was_cleared_waits_for_a_later_one(service: Emulator) -> None:
    run = Run("USMF", "DEMF", deferrable=True)
    run.export(0)
    second = run.export(1)
    run.instances[0].max_tries += 4
    with pytest.raises(TaskDeferred) as deferred:
        run.operator(0).execute(run.context(0))
    assert deferred.value.trigger.execution_id == second


def test_only_the_last_start_is_asked_for_however_many_companies_there_are(service: Emulator) -> None:
    run = Run(*(f"C{number}" for number in range(50)), deferrable=True)
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    for index, instance in enumerate(run.instances[:-1]):
        moment = (long_ago + timedelta(minutes=index)).isoformat()
        said = {"map_index": index, "execution_id": f"e-{index}", "started": True, "at": moment}
        instance.pushed[TURN_XCOM_KEY] = json.loads(json.dumps(said))
    with pytest.raises(TaskDeferred):
        run.operator(49).execute(run.context(49))
    asked = service.recorder.requests(action="GetExecutionSummaryStatus")
    assert len(asked) <= 4


@MODES
def test_an_export_that_hangs_ends_the_wait_of_the_next_in_one_sentence(service: Emulator, deferrable: bool) -> None:
    service.faults.add("dmf.F10", times=1)
    run = Run("USMF", "DEMF", deferrable=deferrable, busy_timeout=timedelta(seconds=1))
    first = run.export(0)
    with pytest.raises(AirflowFailException, match=f"busy with other executions for longer than 1 s, .* {first}"):
        run.export(1)
