"""How faults are chosen: names, matches, counts, chances; scenarios; the admin API."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dmf_emulator
from dmf_emulator import Emulator, EmulatorError, Scenario, Settings
from dmf_emulator.faults import CATALOGUE
from dmf_emulator.faults.fault_set import FaultSet

if TYPE_CHECKING:
    from tests.emulator.wire import Start, Wire


def ask(wire: Wire, count: int = 1, **match: Any) -> list[int]:
    return [wire.entities("DataManagementDefinitionGroups").status_code for _ in range(count)]


def test_the_catalogue_is_complete_and_every_mode_can_be_switched_on() -> None:
    names = [fault.name for fault in CATALOGUE]
    counts = {"dmf": 35, "drive": 26, "entra": 3}
    assert names == [f"{group}.F{number}" for group, count in counts.items() for number in range(1, count + 1)]
    aliases = [fault.alias for fault in CATALOGUE]
    assert len(set(aliases)) == len(aliases)
    faults = FaultSet(CATALOGUE, 0)
    for fault in CATALOGUE:
        assert fault.source
        assert fault.summary
        for mode in fault.modes:
            assert faults.add(fault.alias, mode=mode).definition is fault


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"times": None}, [429] * 6),
        ({"times": 2}, [429, 429, 200, 200, 200, 200]),
        ({"times": 0}, [200] * 6),
        ({"after": 2, "times": 1}, [200, 200, 429, 200, 200, 200]),
        ({"request_index": [1, 4], "times": None}, [200, 429, 200, 200, 429, 200]),
        ({"request_index": 0}, [429, 200, 200, 200, 200, 200]),
        ({"probability": 0.0, "times": None}, [200] * 6),
        ({"match": {"action": "ExportToPackage"}}, [200] * 6),
        ({"match": {"origin": "blob"}}, [200] * 6),
        ({"match": {"method": "POST"}}, [200] * 6),
        ({"match": {"path": "DefinitionGroups"}}, [429, 200, 200, 200, 200, 200]),
        ({"per": "connection", "times": 2}, [429, 429, 200, 200, 200, 200]),
    ],
)
def test_for_which_requests_a_fault_fires(wire: Wire, arguments: dict[str, Any], expected: list[int]) -> None:
    wire.emulator.faults.add("dmf.F17", **arguments)
    assert ask(wire, 6) == expected


def test_chances_are_repeatable_by_seed(start: Start) -> None:
    seen = []
    for seed in (1, 1, 2):
        wire = start(Settings(seed=seed))
        wire.emulator.faults.add("dmf.F18", probability=0.5, times=None)
        seen.append(ask(wire, 20))
    assert seen[0] == seen[1] != seen[2]
    assert set(seen[0]) == {200, 502}


def test_a_fault_is_counted_per_execution(wire: Wire) -> None:
    rule = wire.emulator.faults.add("dmf.F18", per="execution", times=1, match={"action": "GetExecutionSummaryStatus"})
    answers: list[int] = []
    for execution_id in ("a", "b", "a", "b"):
        if not answers or len(answers) == 1:
            wire.export(executionId=execution_id)
        answers.append(wire.action("GetExecutionSummaryStatus", executionId=execution_id).status_code)
    assert answers == [502, 502, 200, 200]
    assert rule.fired == 2


def test_a_fault_is_matched_by_project_company_and_execution(wire: Wire) -> None:
    wire.emulator.faults.add("dmf.F12", match={"definition_group_id": "Export Workers CSV", "legal_entity_id": "DEMF"})
    wire.emulator.faults.add("dmf.F26", match={"execution_id": "mine"})
    seen = {}
    for project, company in (
        ("Export Workers", "DEMF"),
        ("Export Workers CSV", "USMF"),
        ("Export Workers CSV", "DEMF"),
    ):
        execution_id = wire.export(definitionGroupId=project, legalEntityId=company).json()["value"]
        seen[project, company] = wire.action("GetExecutionSummaryStatus", executionId=execution_id).json()["value"]
    assert list(seen.values()) == ["Succeeded", "Succeeded", "Failed"]
    wire.export(executionId="mine")
    assert wire.action("GetExportedPackageUrl", executionId="mine").json()["value"] == ""


def test_a_fault_can_be_moved_to_another_origin(wire: Wire) -> None:
    wire.emulator.faults.add("dmf.F18", match={"origin": "entra"}, status=503)
    assert wire.post_token(scope=f"{wire.info['dmf_resource']}/.default").status_code == 503
    assert wire.post_token(scope=f"{wire.info['dmf_resource']}/.default").status_code == 200


def test_faults_compose_and_are_recorded(wire: Wire) -> None:
    wire.emulator.faults.add("dmf.F1")
    wire.emulator.faults.add("dmf.F12")
    wire.export()
    record = wire.records(action="ExportToPackage")[0]
    assert record.faults == ("dmf.F12", "dmf.F1")
    assert wire.records(fault="dmf.F1") == [record]


def test_one_fault_is_switched_off(wire: Wire) -> None:
    first, second = (wire.emulator.faults.add("dmf.F20", match={"action": name}) for name in ("a", "b"))
    wire.emulator.faults.remove(first)
    assert wire.emulator.faults.rules == (second,)
    with pytest.raises(EmulatorError, match="no fault with number"):
        wire.emulator.faults.remove(first)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "dmf.F99"}, "unknown fault 'dmf.F99'"),
        ({"name": "dmf.F17", "mode": "x"}, "no mode 'x'"),
        ({"name": "dmf.F17", "match": {"colour": "red"}}, "cannot match on 'colour'"),
        ({"name": "dmf.F17", "match": {"action": 5}}, "match action must be a str"),
        ({"name": "dmf.F17", "match": {"origin": "ftp"}}, "no origin 'ftp'"),
        ({"name": "dmf.F17", "times": -1}, "times must be a whole number"),
        ({"name": "dmf.F17", "times": "often"}, "times must be a whole number"),
        ({"name": "dmf.F17", "after": 1.5}, "after must be a whole number"),
        ({"name": "dmf.F17", "probability": 2}, "between 0 and 1"),
        ({"name": "dmf.F17", "probability": float("nan")}, "between 0 and 1"),
        ({"name": "dmf.F17", "per": "planet"}, "per must be one of"),
        ({"name": "dmf.F17", "request_index": "a"}, "request_index must be"),
        ({"name": "dmf.F17", "colour": "red"}, "unknown parameter 'colour'; it has retry_after, form"),
        ({"name": "dmf.F17", "form": "x"}, "choose among seconds, date, none"),
        ({"name": "dmf.F17", "retry_after": "soon"}, "retry_after cannot be 'soon'"),
        ({"name": "dmf.F17", "retry_after": -1}, "choose a number from 0"),
        ({"name": "dmf.F12", "outcome": "Exploded"}, "choose among Failed"),
        ({"name": "dmf.F34", "mode": "stray-entry", "stray_entry": 7}, "stray_entry cannot be 7"),
        ({"name": "dmf.F34", "mode": "stray-entry", "stray_entry": "\ud83d"}, "stray_entry cannot be"),
        ({"name": "dmf.F34", "mode": "stray-entry", "stray_entry": "x" * 70_000}, "stray_entry cannot be"),
        ({"name": "dmf.F7", "seconds": float("inf")}, "choose a number from 0"),
    ],
)
def test_impossible_faults_end_in_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(EmulatorError, match=re.escape(message)) as caught:
        FaultSet(CATALOGUE, 0).add(**arguments)
    assert "\n" not in str(caught.value)


SCENARIO = """
settings:
  export_seconds: 0
  rows: 7
clock: 2026-11-22T00:00:00Z
faults:
  - dmf.F1
  - fault: throttled
    times: 2
    match: {action: GetExecutionSummaryStatus}
    parameters: {retry_after: 5, form: seconds}
"""


def test_a_scenario_sets_settings_clock_and_faults(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    wire = start(Settings(), Scenario.read(path))
    execution_id = wire.export().json()["value"]["value"]
    assert "-2026-11-22T00:00:0" in execution_id
    answers = [wire.action("GetExecutionSummaryStatus", executionId=execution_id) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "5"
    assert answers[2].json()["value"] == "Succeeded"
    assert wire.emulator.state.executions.find(execution_id).rows == {"Workers": 7}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "a scenario is a mapping"),
        ("fault: dmf.F1", "unknown key 'fault'"),
        ("faults: [dmf.F99]", "fault 1: unknown fault 'dmf.F99'"),
        ("faults: [{times: 1}]", "fault 1: a fault is a mapping with the key fault"),
        ("faults: [{fault: dmf.F1, often: 1}]", "fault 1: unknown key 'often'"),
        ("faults: [{fault: dmf.F1, match: 5}]", "fault 1: match must be a mapping"),
        ("faults: [{fault: dmf.F1, parameters: {times: 5}}]", "fault 1: times is no parameter"),
        ("faults: [{fault: [1]}]", "fault 1: a fault is a mapping with the key fault"),
        ("faults: [{fault: dmf.F1, mode: [1]}]", "fault 1: fault dmf.F1 has no mode"),
        ("faults: [{fault: dmf.F1, per: [1]}]", "fault 1: fault dmf.F1: per must be one of"),
        ("faults: {}", "faults a list"),
        ("settings: {speed: 5}", "unknown setting 'speed'"),
        ("settings: {rows: many}", "setting rows cannot be 'many'"),
        ("settings: {tls: 1}", "setting tls cannot be 1"),
        ("settings: {not_run_seconds: soon}", "must be a number"),
        ("clock: yesterday", "'yesterday' is no time"),
        ("clock: 1066-10-14", "cannot start in 1066"),
        ("a: [", "no valid YAML"),
    ],
)
def test_impossible_scenarios_end_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    with pytest.raises(EmulatorError, match=re.escape(message)) as caught:
        Emulator(Settings(), Scenario.read(path))
    assert "\n" not in str(caught.value)


def test_the_readme_has_a_line_for_every_fault() -> None:
    readme = (Path(dmf_emulator.__file__).parent / "README.md").read_text()
    for fault in CATALOGUE:
        modes = ", ".join(f"`{mode}`" for mode in fault.modes)
        assert f"| `{fault.name}` | `{fault.alias}` | {fault.summary} | {modes} |" in readme


def test_faults_compose_and_the_recorder_shows_them(wire: Wire) -> None:
    faults = wire.emulator.faults
    faults.add("other-language", language="de")
    faults.add("dmf.F6", times=1)
    refused = wire.export()
    assert "aufgetreten" in refused.json()["error"]["innererror"]["message"]
    faults.add("dmf.F1")
    assert isinstance(wire.export().json()["value"], dict)
    shown = [record.faults for record in wire.records(action="ExportToPackage")]
    assert shown == [("dmf.F6", "dmf.F32"), ("dmf.F1",)]
