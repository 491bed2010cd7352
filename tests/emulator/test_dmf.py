"""The export actions, on the wire."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.emulator.wire import ACTION_PATH, inner_message

from dmf_emulator import Settings

if TYPE_CHECKING:
    from tests.emulator.wire import Start, Wire


def test_an_export_goes_through_its_states(start: Start) -> None:
    wire = start(Settings(not_found_seconds=5, not_run_seconds=5, executing_seconds=5, url_delay_seconds=5))
    wire.emulator.clock.freeze()
    started = wire.export()
    assert started.status_code == 200
    assert started.json()["@odata.context"] == f"{wire.info['dmf_url']}/data/$metadata#Edm.String"
    assert started.headers["OData-Version"] == "4.0"
    assert started.headers["ms-dyn-aid"]
    execution_id = started.json()["value"]

    seen = []
    for _ in range(5):
        status = wire.action("GetExecutionSummaryStatus", executionId=execution_id)
        url = wire.action("GetExportedPackageUrl", executionId=execution_id)
        word = status.json().get("value") or inner_message(status).rpartition(": ")[2]
        link = url.json().get("value", f"{url.status_code}")
        seen.append((status.status_code, word, "link" if link.startswith("https") else link))
        wire.emulator.clock.advance(5)
    assert seen == [
        (400, execution_id, "400"),
        (200, "NotRun", ""),
        (200, "Executing", ""),
        (200, "Succeeded", ""),
        (200, "Succeeded", "link"),
    ]


def test_not_found_has_the_reported_body(start: Start) -> None:
    wire = start(Settings(not_found_seconds=60))
    execution_id = wire.export().json()["value"]
    error = wire.action("GetExecutionSummaryStatus", executionId=execution_id).json()["error"]
    assert (error["code"], error["message"]) == ("", "An error has occurred.")
    assert error["innererror"]["message"] == (
        "Exception occurred while executing action GetExecutionSummaryStatus on Entity DataManagementDefinitionGroup: "
        f"Execution details were not found for execution id: {execution_id}"
    )


@pytest.mark.parametrize(
    ("root", "resource"),
    [("dmf_url", "dmf_resource"), ("talent_url", "talent_resource"), ("on_premises_url", "dmf_resource")],
)
def test_all_three_roots_export(wire: Wire, root: str, resource: str) -> None:
    places = {"root": wire.info[root], "resource": wire.info[resource]}
    body: dict[str, Any] = {"packageName": "p", "executionId": "", "reExecute": False, "legalEntityId": "USMF"}
    execution_id = wire.action("ExportToPackage", definitionGroupId="Export Workers", **body, **places).json()["value"]
    assert wire.action("GetExecutionSummaryStatus", executionId=execution_id, **places).json()["value"] == "Succeeded"


@pytest.mark.parametrize("name", ["definitionGroupId", "packageName", "executionId", "reExecute", "legalEntityId"])
@pytest.mark.parametrize("value", ["missing", None, 5])
def test_wrong_parameters_are_an_invalid_model(wire: Wire, name: str, value: Any) -> None:
    body = {
        "definitionGroupId": "Export Workers",
        "packageName": "p",
        "executionId": "",
        "reExecute": False,
        "legalEntityId": "USMF",
        name: value,
    }
    if value == "missing":
        del body[name]
    answer = wire.action("ExportToPackage", **body)
    assert answer.status_code == 400
    assert inner_message(answer) == "InvokeAction - Model state is invalid."


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'"text"'])
def test_a_body_that_is_no_object_is_an_invalid_model(wire: Wire, content: bytes) -> None:
    answer = wire.session.post(
        f"{wire.info['dmf_url']}{ACTION_PATH}GetExecutionSummaryStatus",
        data=content,
        headers=wire.bearer(wire.info["dmf_resource"]),
    )
    assert (answer.status_code, inner_message(answer)) == (400, "InvokeAction - Model state is invalid.")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"definitionGroupId": "No such"}, "Data project No such does not exist."),
        ({"definitionGroupId": ""}, "Data project  does not exist."),
        ({"definitionGroupId": "Import Workers"}, "Export to package failed for definition group: Import Workers"),
        ({"legalEntityId": "NONE"}, "Export to package failed for definition group: Export Workers"),
    ],
)
def test_refused_exports_say_what_the_service_says(wire: Wire, changes: dict[str, str], message: str) -> None:
    answer = wire.export(**changes)
    assert answer.status_code == 400
    assert message in inner_message(answer)
    assert wire.emulator.state.executions.all() == []


def test_a_client_chooses_the_execution_id(wire: Wire) -> None:
    wanted = "ExportPackage-11/15/2018 02:57:10 pm"
    assert wire.export(executionId=wanted).json()["value"] == wanted
    assert wire.export(executionId=wanted).status_code == 400
    assert wire.export(executionId=wanted, reExecute=True).json()["value"] == wanted


def test_ids_of_the_server_are_opaque_and_differ(wire: Wire) -> None:
    first, second = (wire.export().json()["value"] for _ in range(2))
    assert first != second
    assert " " in first
    assert ":" in first


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("ExportToPackageAsync", {}),
        ("ExportToPackagePreview", {"count": 5}),
        ("ExportToPackagePreviewAsync", {"exportPreviewCount": 0}),
    ],
)
def test_other_export_actions_answer_an_id(wire: Wire, name: str, body: dict[str, int]) -> None:
    execution_id = wire.export(action=name, **body).json()["value"]
    assert wire.action("GetExecutionSummaryStatus", executionId=execution_id).json()["value"] == "Succeeded"


def test_further_actions_answer(wire: Wire) -> None:
    execution_id = wire.export().json()["value"]
    values = {
        name: wire.action(name, executionId=execution_id).json()["value"]
        for name in ("GetExecutionErrors", "GetEntityExecutionSummaryStatusList", "GetExecutionSummaryPageUrl")
    }
    assert json.loads(values["GetExecutionErrors"]) == []
    assert values["GetEntityExecutionSummaryStatusList"][0]["TotalRecords"] == 100
    assert values["GetExecutionSummaryPageUrl"].startswith(wire.info["dmf_url"])
    assert wire.action("GetMessageStatus", messageId=execution_id).json()["value"] == "Processed"
    assert wire.action("GetExecutionIdByMessageId", _messageId="unknown").json()["value"] == (
        "00000000-0000-0000-0000-000000000000"
    )
    assert wire.action("InitializeDataManagement").status_code == 204
    assert wire.action("DeleteExecutionHistoryJob", executionId=execution_id).status_code == 204
    assert wire.action("GetExecutionSummaryStatus", executionId=execution_id).status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{ACTION_PATH}NoSuchAction"),
        ("GET", f"{ACTION_PATH}ExportToPackage"),
        ("GET", "/data/NoSuchSet"),
        ("GET", "/nothing"),
        ("GET", "/namespaces/00000000-0000-0000-0000-000000000000/data/DataManagementDefinitionGroups"),
    ],
)
def test_unknown_addresses_are_404(wire: Wire, method: str, path: str) -> None:
    headers = wire.bearer(wire.info["dmf_resource"])
    answer = wire.session.request(method, f"{wire.info['dmf_url']}{path}", headers=headers, json={})
    assert answer.status_code == 404
    assert "error" in answer.json()


def test_packages_differ_by_company_and_hold_the_manifest(wire: Wire) -> None:
    rows = {}
    for company in ("USMF", "DEMF", "DAT"):
        package = wire.session.get(wire.package_url(legalEntityId=company)).content
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            assert set(archive.namelist()) == {"Workers.xlsx", "Manifest.xml", "PackageHeader.xml"}
            assert archive.testzip() is None
            sheet = zipfile.ZipFile(io.BytesIO(archive.read("Workers.xlsx"))).read("xl/worksheets/sheet1.xml")
            rows[company] = sheet.count(b"<row ") - 1
    assert rows == {"USMF": 100, "DEMF": 50, "DAT": 0}


def test_a_delta_is_consumed_by_the_export_not_by_the_download(wire: Wire) -> None:
    project = "Export Workers incremental"

    def exported_rows() -> int:
        execution_id = wire.export(definitionGroupId=project).json()["value"]
        rows = wire.entities(
            "DataManagementExecutionJobDetails", **{"$filter": f"JobId eq '{execution_id}'", "cross-company": "true"}
        )
        return int(rows.json()["value"][0]["TargetRecordsCreatedCount"])

    counts = [exported_rows(), exported_rows()]
    wire.emulator.state.projects.change_rows(project, "USMF", 7)
    counts += [exported_rows(), exported_rows()]
    wire.action("ResetVersionToken", definitionGroupId=project, entityName="Workers", sourceName="AX")
    counts.append(exported_rows())
    assert counts == [100, 0, 7, 0, 100]


def test_history_is_forgotten_after_seven_days(wire: Wire) -> None:
    execution_id = wire.export().json()["value"]
    link = wire.action("GetExportedPackageUrl", executionId=execution_id).json()["value"]
    wire.emulator.clock.advance(7 * 86400 + 1)
    wire.forget_tokens()
    assert wire.action("GetExecutionSummaryStatus", executionId=execution_id).status_code == 400
    assert wire.session.get(link).status_code == 403


def test_a_thousand_executions_at_once(start: Start) -> None:
    wire = start(replace(Settings(), not_found_seconds=0, not_run_seconds=0, executing_seconds=60))
    identifiers = {wire.export().json()["value"] for _ in range(1000)}
    assert len(identifiers) == 1000
    executions = wire.emulator.state.executions.all()
    now = wire.emulator.clock.timestamp()
    assert {execution.status(now) for execution in executions} == {"Executing"}
    assert {execution.status(now + 60) for execution in executions} == {"Succeeded"}


def test_an_action_that_is_not_imitated_says_so(wire: Wire) -> None:
    answers = [wire.action(name, executionId="x") for name in ("ImportFromPackage", "NoSuchAction")]
    assert [answer.status_code for answer in answers] == [501, 404]
    assert answers[0].json()["error"]["code"] == "notSupported"
