"""Every fault of finance and operations and its storage shows on the wire as its source describes."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from tests.emulator.wire import Wire

EXPORT_FAILED = (
    "Export to package failed for definition group: Export Workers, package name: talent_package.zip, "
    "execution id: x, reExecute: false, legal entity: true"
)
Observation = Callable[["Wire"], Any]
ZERO_ID = "00000000-0000-0000-0000-000000000000"


def inner_message(answer: requests.Response) -> str:
    return str(answer.json()["error"]["innererror"]["message"])


def started(wire: Wire, **changes: Any) -> str:
    return str(wire.export(**changes).json()["value"])


def status(wire: Wire, execution_id: str) -> str:
    """Return the status, or the code of an answer that holds none."""
    answer = wire.action("GetExecutionSummaryStatus", executionId=execution_id)
    return str(answer.json()["value"]) if answer.status_code == 200 else str(answer.status_code)


def statuses(wire: Wire, seconds: list[float]) -> list[str]:
    """Start an export and return its status after each of the times."""
    wire.emulator.clock.freeze()
    execution_id = started(wire)
    seen = []
    for step in seconds:
        wire.emulator.clock.advance(step)
        wire.forget_tokens()
        seen.append(status(wire, execution_id))
    return seen


def url(wire: Wire, execution_id: str) -> str:
    answer = wire.action("GetExportedPackageUrl", executionId=execution_id)
    value = str(answer.json()["value"]) if answer.status_code == 200 else str(answer.status_code)
    return "link" if value.startswith("https") else value


def urls(wire: Wire, count: int) -> list[str]:
    execution_id = started(wire)
    return [url(wire, execution_id) for _ in range(count)]


def outcome(wire: Wire) -> tuple[str, int, str]:
    execution_id = started(wire)
    errors = wire.action("GetExecutionErrors", executionId=execution_id).json()["value"]
    return status(wire, execution_id), len(json.loads(errors)), url(wire, execution_id)


def broken_errors(wire: Wire) -> bool:
    text = wire.action("GetExecutionErrors", executionId=started(wire)).json()["value"]
    try:
        json.loads(text)
    except ValueError:
        return '"RecordId"' in text
    return False


def entries(wire: Wire) -> dict[str, int]:
    package = wire.session.get(wire.package_url()).content
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return {info.filename: info.file_size for info in archive.infolist() if info.filename.endswith("xlsx")}


def downloads(wire: Wire, count: int = 2) -> list[int | str]:
    link = wire.package_url()
    seen: list[int | str] = []
    for _ in range(count):
        try:
            seen.append(wire.session.get(link).status_code)
        except requests.exceptions.RequestException:
            seen.append("broken")
    return seen


def package_defect(wire: Wire) -> str:
    """Say what a careful reader would find wrong with the package."""
    package = wire.session.get(wire.package_url()).content
    try:
        archive = zipfile.ZipFile(io.BytesIO(package))
    except zipfile.BadZipFile:
        return "not a zip"
    if any(".." in name for name in archive.namelist()):
        return "leaves the folder"
    if "Manifest.xml" not in archive.namelist():
        return "no manifest"
    return "bad content" if archive.testzip() else "none"


def exports(wire: Wire, count: int = 2) -> list[str]:
    """Start exports and return id, or status code, or how the connection ended; with what was really started."""
    seen = []
    for number in range(count):
        try:
            answer = wire.export(executionId=f"id-{number}")
        except requests.exceptions.RequestException:
            seen.append("lost")
        else:
            seen.append(answer.json().get("value", "") if answer.status_code == 200 else str(answer.status_code))
    seen.append(f"{len(wire.emulator.state.executions.all())} begun")
    return seen


def retry_after(wire: Wire) -> tuple[int, str]:
    answer = wire.export()
    value = answer.headers.get("Retry-After", "none")
    return answer.status_code, "date" if value.endswith("GMT") else value


def refused(wire: Wire) -> tuple[int, str]:
    answer = wire.export(executionId="x")
    return answer.status_code, inner_message(answer)


def gateway(wire: Wire) -> tuple[int, str, int]:
    answer = wire.export()
    return answer.status_code, answer.headers["Content-Type"], len(wire.emulator.state.executions.all())


def unauthorized(wire: Wire) -> list[int]:
    answer = wire.export()
    assert answer.json()["Message"] == "Authentication failed."
    return [answer.status_code, wire.export().status_code]


def concurrent(wire: Wire) -> list[str]:
    wire.emulator.faults.add("dmf.F9")
    first = started(wire)
    second = wire.export()
    return [status(wire, first), status(wire, second.json()["value"]) if second.status_code == 200 else "400"]


def redirect(wire: Wire) -> tuple[int, bool]:
    headers = wire.bearer(wire.info["dmf_resource"])
    path = f"{wire.info['dmf_url']}/data/DataManagementDefinitionGroups"
    answer = wire.session.get(path, headers=headers, allow_redirects=False)
    return answer.status_code, answer.headers["Location"].startswith(wire.info["entra_url"])


def quota(wire: Wire) -> list[tuple[int, str]]:
    answers = [wire.entities("DataManagementDefinitionGroups") for _ in range(4)]
    wire.emulator.clock.advance(301)
    answers.append(wire.entities("DataManagementDefinitionGroups"))
    return [(answer.status_code, answer.headers.get("Retry-After", "")) for answer in answers]


@pytest.mark.parametrize(
    ("fault", "mode", "parameters", "observe", "expected"),
    [
        ("F1", "nested", {}, lambda wire: set(wire.export().json()["value"]), {"value"}),
        ("F2", "seconds", {"hidden_seconds": 9.0}, lambda wire: statuses(wire, [8, 2]), ["400", "Succeeded"]),
        ("F2", "polls", {"hidden_polls": 2}, lambda wire: statuses(wire, [0, 0, 0]), ["400", "400", "Succeeded"]),
        ("F2", "forever", {}, lambda wire: statuses(wire, [0, 86400]), ["400", "400"]),
        ("F3", "zero", {}, exports, [ZERO_ID, "id-1", "1 begun"]),
        ("F4", "answer", {}, refused, (400, "InvokeAction - Model state is invalid.")),
        ("F5", "answer", {}, lambda wire: refused(wire)[1].partition("Group: ")[2],
         "Data project Export Workers does not exist."),
        ("F6", "answer", {}, lambda wire: refused(wire)[1].partition("Group: ")[2],
         EXPORT_FAILED),
        ("F8", "reset", {}, exports, ["lost", "id-1", "2 begun"]),
        ("F9", "queue", {}, lambda wire: statuses(wire, [0, 3599, 2]), ["NotRun", "NotRun", "Succeeded"]),
        ("F10", "stuck", {}, lambda wire: statuses(wire, [0, 86400]), ["Executing", "Executing"]),
        ("F11", "seconds", {"unknown_seconds": 9.0}, lambda wire: statuses(wire, [0, 10]), ["Unknown", "Succeeded"]),
        ("F11", "forever", {}, lambda wire: statuses(wire, [0, 86400]), ["Unknown", "Unknown"]),
        ("F12", "outcome", {}, outcome, ("Failed", 2, "")),
        ("F12", "outcome", {"outcome": "Canceled", "error_rows": 0}, outcome, ("Canceled", 0, "")),
        ("F12", "outcome", {"outcome": "PartiallySucceeded", "error_rows": 5}, outcome,
         ("PartiallySucceeded", 5, "link")),
        ("F13", "broken", {}, broken_errors, True),
        ("F14", "polls", {"empty_url_polls": 2}, lambda wire: urls(wire, 3), ["", "", "link"]),
        ("F14", "seconds", {"url_delay_seconds": 60.0}, lambda wire: urls(wire, 2), ["", ""]),
        ("F15", "born-expired", {}, downloads, [403, 403]),
        ("F15", "rejected", {}, downloads, [403, 200]),
        ("F15", "rejected", {"because": "signature"}, downloads, [403, 200]),
        ("F16", "blob", {}, downloads, [404, 404]),
        ("F16", "execution", {}, lambda wire: statuses(wire, [0, 0]), ["400", "400"]),
        ("F17", "answer", {}, retry_after, (429, "60")),
        ("F17", "answer", {"retry_after": 100_000}, retry_after, (429, "100000")),
        ("F17", "answer", {"form": "date"}, retry_after, (429, "date")),
        ("F17", "answer", {"form": "none"}, retry_after, (429, "none")),
        ("F18", "before", {}, gateway, (502, "text/html", 0)),
        ("F18", "after", {"status": 504}, gateway, (504, "text/html", 1)),
        ("F19", "answer", {}, unauthorized, [401, 200]),
        ("F20", "answer", {}, lambda wire: refused(wire)[0], 403),
        ("F21", "delta", {"delta": "zero-byte"}, entries, {"Workers.xlsx": 0}),
        ("F21", "delta", {"delta": "missing-entry"}, entries, {}),
        ("F22", "cut", {}, downloads, ["broken", 200]),
        ("F23", "failed", {}, concurrent, ["NotRun", "NotRun"]),
        ("F23", "error", {}, concurrent, ["NotRun", "400"]),
        ("F24", "answer", {}, exports, ["400", "id-1", "1 begun"]),
        ("F25", "defect", {"defect": "truncated"}, package_defect, "not a zip"),
        ("F25", "defect", {"defect": "corrupt"}, package_defect, "bad content"),
        ("F25", "defect", {"defect": "zip-slip"}, package_defect, "leaves the folder"),
        ("F25", "defect", {"defect": "missing-manifest"}, package_defect, "no manifest"),
        ("F25", "wrong-length", {}, downloads, ["broken", "broken"]),
        ("F26", "never", {}, lambda wire: urls(wire, 3), ["", "", ""]),
        ("F27", "finance-and-operations", {"requests": 2}, quota,
         [(200, ""), (200, ""), (429, "300"), (429, "300"), (200, "")]),
        ("F27", "human-resources", {"execution_seconds": 50.0, "request_seconds": 30.0}, quota,
         [(200, ""), (200, ""), (429, "300"), (429, "300"), (200, "")]),
        ("F27", "human-resources", {"concurrent": 0}, lambda wire: retry_after(wire), (429, "1")),
        ("F28", "answer", {}, redirect, (302, True)),
    ],
)  # fmt: skip
def test_a_fault_shows_and_goes_away(
    wire: Wire, fault: str, mode: str, parameters: dict[str, Any], observe: Observation, expected: Any
) -> None:
    rule = wire.emulator.faults.add(f"dmf.{fault}", mode=mode, **parameters)
    assert observe(wire) == expected
    assert rule.fired >= 1
    wire.emulator.faults.clear()
    wire.forget_tokens()
    assert status(wire, started(wire)) == "Succeeded"
    assert package_defect(wire) == "none"


def test_a_quota_says_when_the_oldest_requests_leave_the_window(wire: Wire) -> None:
    wire.emulator.clock.freeze()
    wire.emulator.faults.add("dmf.F27", mode="human-resources", export_seconds=200.0)
    seen = []
    for _ in range(3):
        answer = wire.export()
        message = answer.json().get("error", {}).get("message", "")
        seen.append((answer.status_code, answer.headers.get("Retry-After", ""), message.partition(" seconds ")[0]))
        wire.emulator.clock.advance(100)
    assert seen == [
        (200, "", ""),
        (200, "", ""),
        (429, "100", "Combined execution time of incoming requests exceeded limit of 300"),
    ]


def test_a_call_whose_answer_is_withheld_is_in_flight_and_executes(wire: Wire) -> None:
    wire.emulator.faults.add("dmf.F27", mode="human-resources", concurrent=1)
    headers = wire.bearer(wire.info["dmf_resource"])
    wire.emulator.faults.add("dmf.F7", seconds=0.3)
    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(wire.export)
        while not wire.emulator.state.executions.all():
            time.sleep(0.001)
        path = f"{wire.info['dmf_url']}/data/DataManagementDefinitionGroups"
        answers = [requests.get(path, headers=headers, verify=str(wire.emulator.ca_file), timeout=5)]
        assert blocked.result().status_code == 200
    answers.append(requests.get(path, headers=headers, verify=str(wire.emulator.ca_file), timeout=5))
    assert [answer.status_code for answer in answers] == [429, 200]
    assert max(each.execution_seconds for each in wire.emulator.recorder.window("dmf", 0)) >= 0.3


def test_a_header_only_delta_has_no_rows(wire: Wire) -> None:
    full = entries(wire)["Workers.xlsx"]
    wire.emulator.faults.add("dmf.F21")
    assert 0 < entries(wire)["Workers.xlsx"] < full


def test_a_failed_concurrent_run_ends_as_failed(wire: Wire) -> None:
    wire.emulator.faults.add("dmf.F23")
    wire.emulator.faults.add("dmf.F9", times=1)
    first, second = started(wire), started(wire)
    assert (status(wire, first), status(wire, second)) == ("NotRun", "Failed")


def test_an_answer_is_withheld_although_the_export_begins(wire: Wire) -> None:
    wire.emulator.faults.add("dmf.F7")
    headers = wire.bearer(wire.info["dmf_resource"])
    body = {"definitionGroupId": "Export Workers", "packageName": "p", "executionId": "mine", "reExecute": False,
            "legalEntityId": "USMF"}  # fmt: skip
    path = "/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities.ExportToPackage"
    with pytest.raises(requests.exceptions.ReadTimeout):
        wire.session.post(f"{wire.info['dmf_url']}{path}", json=body, headers=headers, timeout=0.05)
    assert status(wire, "mine") == "Succeeded"


def test_the_link_is_an_error_while_the_export_runs(wire: Wire) -> None:
    wire.emulator.faults.add("dmf.F14", mode="error-while-running")
    wire.emulator.faults.add("dmf.F9")
    assert urls(wire, 1) == ["400"]


def test_a_short_life_ends_between_two_reads(wire: Wire) -> None:
    wire.emulator.faults.add("dmf.F15", mode="short-life", sas_lifetime_seconds=30.0)
    wire.emulator.clock.freeze()
    link = wire.package_url()
    assert wire.session.get(link, headers={"Range": "bytes=0-9"}).status_code == 206
    wire.emulator.clock.advance(31)
    assert wire.session.get(link, headers={"Range": "bytes=10-19"}).status_code == 403
