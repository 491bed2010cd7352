"""Every mode of every fault, switched on during one walk through all services, shows in the recorder.

What a client sees of each is tested beside this; here no fault that is added to the catalogue can be without effect.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import pytest
import requests
from tests.emulator.wire import UNIT_BYTES, Wire

from dmf_emulator import Emulator, Settings
from dmf_emulator.faults import CATALOGUE
from dmf_emulator.settings import ORIGINS

MODES = [(fault.name, mode) for fault in CATALOGUE for mode in fault.modes]
# What would keep a test waiting, or shows only to those who ask for much.
PARAMETERS: dict[tuple[str, str], dict[str, Any]] = {
    ("dmf.F7", "withheld"): {"seconds": 0},
    ("dmf.F27", "finance-and-operations"): {"requests": 1},
    ("dmf.F27", "human-resources"): {"requests": 1},
    ("drive.F19", "stall"): {"stall_seconds": 0},
    ("drive.F19", "drip"): {"bytes_per_second": 10**9},
    ("drive.F19", "latency"): {"latency_seconds": 0},
}
GRAPH = "https://graph.microsoft.com"


class Walk:
    """A client that uses everything once and minds nothing."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.statuses: list[int | str] = []

    def attempt(self, call: Any, *arguments: Any, **named: Any) -> Any:
        """Return the JSON object of an answer, or an empty one."""
        try:
            answer = call(*arguments, **named)
            self.statuses.append(answer.status_code)
            found = answer.json()
        except (requests.RequestException, ValueError) as error:
            self.statuses.append(type(error).__name__)
            return {}
        return found if isinstance(found, dict) else {}

    def through(self, origins: Collection[str]) -> None:
        """Take the parts of the walk that touch the origins: sign in, export and fetch the package, save a file."""
        if "entra" in origins:
            self.sign_in()
        if {"dmf", "blob"} & set(origins):
            self.export()
        if {"graph", "sharepoint"} & set(origins):
            self.save()

    def sign_in(self) -> None:
        wire = self.wire
        self.attempt(wire.session.get, f"{wire.info['authority']}/v2.0/.well-known/openid-configuration")
        self.attempt(wire.post_token, scope=f"{GRAPH}/.default", allow_redirects=False)

    def export(self) -> None:
        wire = self.wire
        clauses = " or ".join(f"JobId eq '{number:0>80}'" for number in range(25))
        self.attempt(wire.entities, "DataManagementExecutionJobDetails", **{"$filter": clauses})
        self.attempt(wire.entities, "DataManagementDefinitionGroups", **{"$top": "2"})
        self.attempt(wire.action, "GetExecutionSummaryStatus", executionId="none")
        for execution_id in ("first", "second"):
            self.attempt(wire.export, executionId=execution_id)
        wire.emulator.clock.advance(30)
        for action in ("GetExecutionSummaryStatus", "GetExecutionErrors", *["GetExportedPackageUrl"] * 2):
            link = self.attempt(wire.action, action, executionId="first").get("value", "")
        if isinstance(link, str) and link.startswith(wire.info["blob_url"]):
            for headers in ({}, {"Range": "bytes=0-9"}):
                self.attempt(wire.session.get, link, headers=headers)

    def save(self) -> None:
        wire = self.wire
        self.attempt(wire.graph, "GET", wire.drive)
        for name in ("a.bin", "b.bin"):
            self.attempt(wire.graph, "PUT", f"{wire.drive}/root:/{name}:/content", data=b"x" * 2000)
        self.attempt(wire.graph, "GET", f"{wire.drive}/root/children", params={"$top": "1"})
        item = self.attempt(wire.graph, "GET", f"{wire.drive}/root:/a.bin")
        if "@microsoft.graph.downloadUrl" in item:
            self.attempt(wire.session.get, item["@microsoft.graph.downloadUrl"])
        url = self.attempt(wire.open_session, "big.bin").get("uploadUrl", "")
        if isinstance(url, str) and url.startswith(wire.info["sharepoint_url"]):
            self.attempt(wire.put_range, url, b"x" * UNIT_BYTES, 0, UNIT_BYTES + 1)
            self.attempt(wire.session.get, url)
            self.attempt(wire.put_range, url, b"x", UNIT_BYTES, UNIT_BYTES + 1)


@pytest.fixture(scope="module")
def shared_wire() -> Iterator[Wire]:
    # The second export begins while the first one runs; tokens live through all walks.
    settings = Settings(token_lifetime_seconds=10**6).with_export_seconds(10)
    with Emulator(settings) as emulator:
        emulator.clock.freeze()
        wire = Wire(emulator)
        for resource in (GRAPH, wire.info["dmf_resource"]):
            wire.bearer(resource)
        yield wire


@pytest.fixture
def walk(shared_wire: Wire) -> Iterator[Walk]:
    shared_wire.emulator.recorder.clear()
    yield Walk(shared_wire)
    shared_wire.session.post(f"{shared_wire.info['admin_url']}/_emu/reset", json={}).raise_for_status()


def test_without_a_fault_the_walk_succeeds_and_nothing_is_shown(walk: Walk) -> None:
    walk.through(ORIGINS)
    # It asks for an execution that is not there. What package and file hold is no JSON, and comes after their status.
    assert [each for each in walk.statuses if isinstance(each, int) and each >= 400] == [400]
    assert {each for each in walk.statuses if isinstance(each, str)} <= {"JSONDecodeError", "UnicodeDecodeError"}
    assert [record for record in walk.wire.records() if record.faults] == []


@pytest.mark.parametrize(("name", "mode"), MODES, ids=[f"{name}-{mode}" for name, mode in MODES])
def test_a_fault_shows_in_the_recorder(walk: Walk, name: str, mode: str) -> None:
    rule = walk.wire.emulator.faults.add(name, mode=mode, **PARAMETERS.get((name, mode), {}))
    walk.through(rule.mode.origins)
    records = walk.wire.records()
    assert [record.action for record in records if name in record.faults], walk.statuses
    assert rule.fired == sum(record.faults.count(name) for record in records)
    assert [record for record in records if record.reason == "emulator-defect"] == []
