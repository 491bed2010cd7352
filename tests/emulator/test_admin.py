"""The admin API and the status page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import requests

from dmf_emulator import Settings
from dmf_emulator.faults import CATALOGUE

if TYPE_CHECKING:
    from tests.emulator.wire import Start, Wire


def admin(wire: Wire, method: str, path: str, body: Any = None) -> requests.Response:
    return requests.request(method, f"{wire.info['admin_url']}{path}", json=body, timeout=10)


def test_faults_are_switched_on_and_off(wire: Wire) -> None:
    made = admin(wire, "POST", "/_emu/faults", {"fault": "forbidden", "match": {"action": "ExportToPackage"}})
    assert (made.status_code, made.json()["fault"]) == (201, "dmf.F20")
    assert wire.export().status_code == 403
    state = admin(wire, "GET", "/_emu/faults").json()
    assert [rule["fired"] for rule in state["faults"]] == [1]
    assert len(state["catalogue"]) == len(CATALOGUE)
    assert admin(wire, "DELETE", f"/_emu/faults/{made.json()['id']}").status_code == 204
    assert wire.export().status_code == 200
    admin(wire, "POST", "/_emu/faults", {"fault": "dmf.F1"})
    assert admin(wire, "DELETE", "/_emu/faults").status_code == 204
    assert wire.emulator.faults.rules == ()


def test_the_clock_is_moved_and_frozen(wire: Wire) -> None:
    before = wire.emulator.clock.timestamp()
    answer = admin(wire, "POST", "/_emu/clock", {"advance_seconds": 3600, "frozen": True})
    assert answer.json()["frozen"] is True
    assert wire.emulator.clock.timestamp() - before >= 3600
    assert admin(wire, "GET", "/_emu/clock").json() == answer.json()
    assert admin(wire, "POST", "/_emu/clock", {"frozen": False}).json()["frozen"] is False


def test_requests_are_queried(wire: Wire) -> None:
    wire.export()
    wire.entities("DataManagementDefinitionGroups")
    found = admin(wire, "GET", "/_emu/requests?origin=dmf&action=ExportToPackage").json()["requests"]
    assert [(each["method"], each["status"]) for each in found] == [("POST", 200)]
    assert found[0]["execution_id"]
    assert len(admin(wire, "GET", "/_emu/requests?limit=1").json()["requests"]) == 1
    since = found[0]["sequence"]
    later = admin(wire, "GET", f"/_emu/requests?since={since}").json()["requests"]
    assert [each["action"] for each in later] == ["DataManagementDefinitionGroups"]
    assert admin(wire, "DELETE", "/_emu/requests").status_code == 204
    assert admin(wire, "GET", "/_emu/requests").json()["requests"] == []


def test_a_scenario_replaces_the_faults(wire: Wire) -> None:
    wire.emulator.faults.add("dmf.F20")
    answer = admin(wire, "POST", "/_emu/scenario", {"faults": ["dmf.F1"], "clock": "2090-01-01T00:00:00Z"})
    assert answer.status_code == 200
    assert [rule.definition.name for rule in wire.emulator.faults.rules] == ["dmf.F1"]
    again = admin(wire, "GET", "/_emu/scenario").json()
    assert again["clock"].startswith("2090-01-01")
    assert admin(wire, "POST", "/_emu/scenario", again).status_code == 400
    assert admin(wire, "POST", "/_emu/scenario", {"faults": again["faults"]}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/_emu/nothing", None, 404, "no GET /_emu/nothing here"),
        ("POST", "/_emu/faults", {"fault": "dmf.F99"}, 400, "unknown fault"),
        ("POST", "/_emu/faults", {}, 400, "key fault"),
        ("POST", "/_emu/faults", [1], 400, "must be a JSON object"),
        ("DELETE", "/_emu/faults/99", None, 400, "no fault with number 99"),
        ("DELETE", "/_emu/faults/x", None, 400, "is no number"),
        ("POST", "/_emu/clock", {}, 400, "the clock takes"),
        ("POST", "/_emu/clock", {"advance_seconds": -5}, 400, "forward only"),
        ("POST", "/_emu/clock", {"advance_seconds": 1e10}, 400, "no step it can take"),
        ("POST", "/_emu/clock", {"advance_seconds": 9e9}, 400, "beyond the year 2099"),
        ("POST", "/_emu/clock", {"advance_seconds": "x"}, 400, "must be a number"),
        ("POST", "/_emu/reset", {"what": [["drives"]]}, 400, "reset takes what"),
        ("POST", "/_emu/reset", {"what": "drives"}, 400, "reset takes what"),
        ("POST", "/_emu/faults", {"fault": "dmf.F1", "request_index": 1.5}, 400, "whole numbers from 0"),
        ("POST", "/_emu/faults", {"fault": "dmf.F1", "request_index": {}}, 400, "whole numbers from 0"),
        ("POST", "/_emu/faults", {"fault": "dmf.F7", "parameters": {"seconds": 1e308}}, 400, "from 0 to"),
        ("POST", "/_emu/faults", {"fault": "drive.F9", "match": {"method": {}}}, 400, "must be a str"),
        ("POST", "/_emu/scenario", {"projects": [{"name": "X", "entities": "Y"}]}, 400, "entities are a list"),
        ("POST", "/_emu/clock", {"frozen": 1}, 400, "true or false"),
        ("POST", "/_emu/scenario", {"settings": {"rows": 5}}, 400, "at the start only"),
        ("POST", "/_emu/scenario", {"clock": "2000-01-01"}, 400, "forward only"),
        ("GET", "/_emu/requests?colour=red", None, 400, "unknown parameter 'colour'"),
        ("GET", "/_emu/requests?since=x", None, 400, "whole number"),
    ],
)
def test_bad_input_ends_in_one_line(wire: Wire, method: str, path: str, body: Any, status: int, message: str) -> None:
    answer = admin(wire, method, path, body)
    assert answer.status_code == status
    assert message in answer.json()["error"]


def test_a_scenario_adds_its_projects(wire: Wire) -> None:
    scenario = {"projects": [{"name": "Export Cars", "entities": ["Cars"]}]}
    assert admin(wire, "POST", "/_emu/scenario", scenario).status_code == 200
    assert wire.export(definitionGroupId="Export Cars").status_code == 200


def test_the_token_of_the_address_is_no_filter(start: Start) -> None:
    wire = start(Settings(admin_token="t0ken"))
    url = f"{wire.info['admin_url']}/_emu/requests"
    assert wire.session.get(f"{url}?token=t0ken&limit=1").status_code == 200
    assert wire.session.get(f"{url}?token=other").status_code == 403


def test_the_state_shows_executions_files_and_sessions(wire: Wire) -> None:
    wire.emulator.faults.add("dmf.F10")
    wire.export()
    wire.graph("PUT", f"{wire.drive}/root:/Exports/a.zip:/content", data=b"hello world")
    wire.open_session("b.zip")
    state = admin(wire, "GET", "/_emu/state").json()
    assert [(each["status"], each["finished"]) for each in state["executions"]] == [("Executing", None)]
    assert state["drives"][0]["files"] == [
        {"path": "Exports/a.zip", "size": 11, "quickXorHash": "aCgDG9jwBhDc4Q1yawMZAAAAAAA="}
    ]
    assert [each["name"] for each in state["sessions"]] == ["b.zip"]
    assert wire.info["client_secret"] not in str(state)


def test_the_status_page_needs_nothing_from_elsewhere(wire: Wire) -> None:
    page = admin(wire, "GET", "/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert not re.search(r"(?:src|href)\s*=|@import|https?://|url\(", page.text)
    paths = set(re.findall(r'"(/_emu/\w+)', page.text))
    assert paths == {"/_emu/state", "/_emu/faults", "/_emu/requests", "/_emu/clock"}
    assert all(admin(wire, "GET", path).status_code == 200 for path in paths)
