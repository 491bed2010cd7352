from __future__ import annotations

import pytest
from tests.unit.scripted import answer, not_found, odata_error, play, rows, value

from talent_dmf.api import errors
from talent_dmf.api.dmf import actions
from talent_dmf.api.dmf.actions import ZERO_GUID, parse_error_rows
from talent_dmf.api.dmf.models import EntityOutcome, ExecutionErrorRow, ExportRequest
from talent_dmf.api.dmf.status import DmfExecutionStatus
from talent_dmf.api.redaction import SecretUrl

EXPORT = ExportRequest("Export Workers", "workers", "USMF", "e-1")
ROOT = "data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."


def test_all_five_keys_are_sent_and_the_call_is_not_repeatable():
    (request,) = play(actions.export_to_package(EXPORT), [value("e-1")]).requests
    assert (request.method, request.url, request.idempotent) == ("POST", ROOT + "ExportToPackage", False)
    assert request.json == {
        "definitionGroupId": "Export Workers",
        "packageName": "workers",
        "executionId": "e-1",
        "reExecute": False,
        "legalEntityId": "USMF",
    }
    assert request.timeout_seconds == actions.EXPORT_TO_PACKAGE_SILENCE_SECONDS


@pytest.mark.parametrize(
    ("response", "result"),
    [
        (value("e-1"), "e-1"),
        (value(" other "), "other"),
        (value("e-1", nested=True), "e-1"),
        (value(""), None),
        (value(None), None),
        (value(7), None),
        (value(ZERO_GUID), None),
        (value(ZERO_GUID, nested=True), None),
        (answer(204), None),
    ],
)
def test_export_to_package_answers(response, result):
    played = play(actions.export_to_package(EXPORT), [response])
    assert (played.result, played.error) == (result, None)


STATUS = actions.execution_status
URL = actions.exported_package_url
RESULTS = [
    (STATUS, value("Executing"), DmfExecutionStatus.EXECUTING),
    (STATUS, value("Failed", nested=True), DmfExecutionStatus.FAILED),
    (STATUS, not_found(), None),
    (STATUS, answer(400), None),
    (STATUS, odata_error("An error has occurred."), None),
    (URL, value("https://b/x?sig=1"), SecretUrl("https://b/x?sig=1")),
    (URL, value(" https://b/x?sig=1\n", nested=True), SecretUrl("https://b/x?sig=1")),
    (URL, value(""), None),
    (URL, value(None), None),
    (URL, odata_error("not ready"), None),
    (
        actions.execution_page_url,
        value("https://env.operations.dynamics.com/?mi=X"),
        "https://env.operations.dynamics.com/?mi=X",
    ),
    (actions.execution_page_url, value("javascript:1"), None),
    (actions.execution_page_url, odata_error("no"), None),
    (actions.execution_errors, value("[]"), []),
    (actions.execution_errors, value(None), []),
    (actions.execution_is_listed, rows({"JobId": "e-1"}), True),
    (actions.execution_is_listed, rows(), False),
    (actions.execution_is_listed, answer(json={"value": "odd"}), False),
    (actions.executions_that_look_running, rows(), []),
    (
        actions.executions_that_look_running,
        rows(
            {"JobId": "a", "StagingStatus": "Executing"},
            {"JobId": "a", "TargetStatus": "NotRun"},
            {"JobId": "b", "StagingStatus": "Succeeded", "TargetStatus": "NotRun"},
            {"JobId": "c", "StagingStatus": "Succeeded", "TargetStatus": "Succeeded"},
            {"JobId": "", "StagingStatus": "Executing"},
            {"JobId": "d", "StagingStatus": "odd"},
        ),
        ["a", "b"],
    ),
    (actions.execution_is_listed, answer(404), False),
    (actions.executions_that_look_running, answer(404), []),
]


@pytest.mark.parametrize(("ask", "response", "result"), RESULTS)
def test_answers(ask, response, result):
    played = play(ask("e-1"), [response])
    assert (played.result, played.error) == (result, None)
    assert all(request.idempotent for request in played.requests)


REFUSED = [
    (STATUS, odata_error("Model state is invalid"), errors.RequestRefusedError),
    (STATUS, value("Paused"), errors.ProtocolError),
    (STATUS, value(None), errors.ProtocolError),
    (STATUS, answer(401), errors.AuthenticationError),
    (URL, odata_error("Model state is invalid"), errors.RequestRefusedError),
    (URL, value("ftp://x"), errors.ProtocolError),
    (URL, answer(403), errors.PermissionDeniedError),
    (actions.execution_errors, odata_error("no"), errors.RequestRefusedError),
    (actions.execution_is_listed, answer(403), errors.PermissionDeniedError),
]


@pytest.mark.parametrize(("ask", "response", "kind"), REFUSED)
def test_refusals(ask, response, kind):
    assert type(play(ask("e-1"), [response]).error) is kind


def test_a_quote_in_a_name_is_doubled_and_encoded():
    (request,) = play(actions.executions_that_look_running("Bob's & co"), [rows()]).requests
    assert request.url == (
        "data/DataManagementExecutionJobDetails?$filter=DefinitionGroupId%20eq%20%27Bob%27%27s%20%26%20co%27"
        "&cross-company=true"
    )


def test_names_of_data_projects():
    assert play(actions.data_projects(), [answer(json={"value": [{"Name": "a"}, 1]})]).result == ["a"]
    assert play(actions.data_projects(), [answer(json={"value": 1})]).result == []


@pytest.mark.parametrize(
    ("row", "count"),
    [
        ({"TargetRecordsCreatedCount": 3, "TargetRecordsUpdatedCount": 4}, 7),
        ({"TargetRecordsCreatedCount": "3"}, 3),
        ({"TargetRecordsCreatedCount": None, "StagingRecordsToBeProcessedCount": 5}, 5),
        ({"StagingRecordsToBeProcessedCount": "6"}, 6),
        ({"StagingRecordsToBeProcessedCount": "many"}, None),
        ({"StagingRecordsToBeProcessedCount": 1.5}, None),
        ({}, None),
    ],
)
def test_rows_of_an_entity(row, count):
    played = play(
        actions.entity_outcomes("e-1"), [rows({"EntityName": "Workers", "StagingStatus": "Succeeded", **row})]
    )
    assert played.result == [EntityOutcome("Workers", "Succeeded", "", count)]


BROKEN_JSON = (
    '[{"RecordId":"1","Field":"A","ErrorMessage":"value "x" is\nbad"},'
    '{"RecordId":"2 ","Field":"B","ErrorMessage":"worse, {really}"}]'
)


def row(record: str, field: str, message: str) -> ExecutionErrorRow:
    return ExecutionErrorRow(record, field, message)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", []),
        (" [] ", []),
        ('[{"RecordId":"1 ","Field":"","ErrorMessage":"bad"}]', [row("1", "", "bad")]),
        ('[{"RecordId":null,"ErrorMessage":"x"}, 7]', [row("", "", "x")]),
        (
            BROKEN_JSON,
            [row("1", "A", 'value "x" is\nbad'), row("2", "B", "worse, {really}")],
        ),
        ("something else entirely", [row("", "", "something else entirely")]),
        ('{"a": 1}', [row("", "", '"a": 1')]),
    ],
)
def test_error_rows_are_read_leniently(raw, expected):
    assert parse_error_rows(raw) == expected
