"""Many waits in one triggerer: one list for all of them, each end confirmed by the status action."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.integration.conftest import environment_connection

from dmf_emulator import Emulator, Settings
from dmf_emulator.state.recorder import Record
from talent_dmf.api.dmf.execution_ids import dated_prefix
from talent_dmf.api.dmf.models import ExportRequest
from talent_dmf.api.dmf.starting import StartPolicy
from talent_dmf.hooks.talent_dmf import TalentDmfHook
from talent_dmf.triggers.talent_dmf import TalentDmfExecutionStatusTrigger

EXECUTIONS = 12
PREFIX = dated_prefix("https://airflow.example", date(2026, 11, 27))


@pytest.fixture(params=[{}])
def busy_emulator(set_connection: Any, request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An environment in which many exports run, of three seconds unless a test says otherwise."""
    settings = Settings(
        seed=9, not_found_seconds=0.0, not_run_seconds=0.0, executing_seconds=3.0, url_delay_seconds=0.0
    ).changed(request.param)
    with Emulator(settings) as running:
        set_connection("talent_dmf_default", environment_connection(running))
        yield running


def started_exports() -> list[str]:
    hook = TalentDmfHook()
    policy = StartPolicy(refuse_while_busy=False, appear_seconds=0.0)
    return [
        hook.start_export(
            ExportRequest("Export Workers", "p.zip", "USMF", f"{PREFIX}many-{number}"), policy
        ).execution_id
        for number in range(EXECUTIONS)
    ]


def events_of(execution_ids: list[str], **changes: Any) -> list[dict[str, Any]]:
    """What the triggers say, all run in one event loop as a triggerer does."""

    async def first(trigger: TalentDmfExecutionStatusTrigger) -> Any:
        events = trigger.run()
        try:
            return (await anext(events)).payload
        finally:
            await events.aclose()

    async def main() -> list[Any]:
        now = datetime.now(UTC)
        facts = {"started_at": now.isoformat(), "poke_interval_seconds": 1.0, **changes}
        return await asyncio.gather(
            *(first(TalentDmfExecutionStatusTrigger(execution_id=each, **facts)) for each in execution_ids)
        )

    return json.loads(json.dumps(asyncio.run(main())))  # type: ignore[no-any-return]


def lists_of(emulator: Emulator) -> list[Record]:
    return [each for each in emulator.recorder.requests() if "DataManagementExecutionJobDetails" in each.path]


def counts(emulator: Emulator) -> tuple[int, int]:
    """Requests for lists, and for single statuses."""
    return len(lists_of(emulator)), len(emulator.recorder.requests(action="GetExecutionSummaryStatus"))


def test_lists_replace_polls_and_every_end_is_confirmed(busy_emulator: Emulator) -> None:
    executions = started_exports()
    busy_emulator.recorder.clear()
    events = events_of(executions)
    assert [(each["kind"], each["status"]) for each in events] == [("finished", "Succeeded")] * EXECUTIONS
    lists, polls = counts(busy_emulator)
    # A look when the wait begins and one that confirms its end; a slow machine may find some of them over at once.
    assert polls <= 2 * EXECUTIONS + 5
    assert lists >= 2
    assert all("*" in each.path for each in lists_of(busy_emulator))


@pytest.mark.parametrize("busy_emulator", [{"wildcard_filters": False}], indirect=True)
def test_where_a_wildcard_is_a_letter_the_list_names_each_execution(
    busy_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    executions = started_exports()
    busy_emulator.recorder.clear()
    events = events_of(executions)
    assert [each["status"] for each in events] == ["Succeeded"] * EXECUTIONS
    asked = lists_of(busy_emulator)
    assert [("*" in each.path) for each in asked] == [True] + [False] * (len(asked) - 1)
    assert counts(busy_emulator)[1] <= 2 * EXECUTIONS + 5
    assert len([each for each in caplog.records if "takes no wildcard" in each.getMessage()]) == 1


def test_where_lists_are_refused_each_execution_is_asked_for_alone(
    busy_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    executions = started_exports()
    busy_emulator.faults.add("dmf.F29", status=403)
    events = events_of(executions)
    assert [each["status"] for each in events] == ["Succeeded"] * EXECUTIONS
    said = [record for record in caplog.records if "gives no list of executions" in record.getMessage()]
    assert len(said) == 1
    # It is remembered: of all waits together, one has asked.
    assert len([each for each in lists_of(busy_emulator) if "$select=JobId" in each.path]) == 1


def test_a_list_that_shows_nothing_of_what_is_known_is_given_up(
    busy_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    busy_emulator.faults.add("dmf.F9", mode="queue", not_run_seconds=10.0)
    busy_emulator.faults.add("dmf.F30", mode="seconds", details_delay_seconds=600.0)
    executions = started_exports()
    events = events_of(executions)
    assert [each["status"] for each in events] == ["Succeeded"] * EXECUTIONS
    said = [record for record in caplog.records if "shows none of the executions" in record.getMessage()]
    assert len(said) == 1


def test_a_list_that_shows_nothing_hides_no_end(busy_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    executions = started_exports()
    # As an environment that knows executions under other ids would.
    monkeypatch.setattr("talent_dmf.api.dmf.listing._SET", "DataManagementExecutionJobs")
    events = events_of(executions)
    assert [each["status"] for each in events] == ["Succeeded"] * EXECUTIONS


@pytest.mark.parametrize("busy_emulator", [{"executing_seconds": 600.0}], indirect=True)
def test_a_deadline_is_kept_while_the_list_is_waited_for(busy_emulator: Emulator) -> None:
    executions = started_exports()
    deadline = datetime.now(UTC) + timedelta(seconds=1)
    events = events_of(executions, deadline=deadline.isoformat())
    assert {each["kind"] for each in events} == {"timed_out"}


def test_few_waits_are_polled_alone(busy_emulator: Emulator) -> None:
    executions = started_exports()[:2]
    busy_emulator.recorder.clear()
    assert [each["status"] for each in events_of(executions)] == ["Succeeded"] * 2
    assert counts(busy_emulator)[0] == 0


def test_asynchronous_code_of_others_shares_the_connections(busy_emulator: Emulator) -> None:
    async def main() -> bool:
        hook = TalentDmfHook()
        return await hook.aget_conn() is (await hook.aget_environment())[0]

    assert asyncio.run(main())
