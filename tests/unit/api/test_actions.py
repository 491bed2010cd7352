from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scripted import answer, not_found, odata_error, play, rows, value

from talent_dmf.api import errors, paging
from talent_dmf.api.dmf import actions
from talent_dmf.api.dmf.actions import ZERO_GUID, ProjectExecutions, parse_error_rows
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


def look(execution_id):
    return actions.look_at_project("p", execution_id)


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
    (look, rows(), ProjectExecutions()),
    (
        look,
        rows(
            {"JobId": "E-1 ", "DefinitionGroupId": "p", "StagingStatus": "Executing"},
            {"JobId": "f", "DefinitionGroupId": "another", "StagingStatus": "Executing"},
            {"JobId": "a", "StagingStatus": "Executing"},
            {"JobId": "a", "TargetStatus": "NotRun"},
            {"JobId": "b", "StagingStatus": "Succeeded", "TargetStatus": "NotRun"},
            {"JobId": "c", "StagingStatus": "Succeeded", "TargetStatus": "Succeeded"},
            {"JobId": "", "StagingStatus": "Executing"},
            {"JobId": "d", "StagingStatus": "odd"},
        ),
        ProjectExecutions(frozenset({"", "a", "b", "c", "d", "e-1"}), ("a", "b")),
    ),
    (actions.execution_is_listed, answer(404), False),
    (look, answer(404), ProjectExecutions()),
]


@pytest.mark.parametrize(("ask", "response", "result"), RESULTS)
def test_answers(ask, response, result):
    played = play(ask("e-1"), [response])
    assert (played.result, played.error) == (result, None)
    assert all(request.idempotent for request in played.requests)


REFUSED = [
    (STATUS, value("Paused"), errors.ProtocolError),
    (STATUS, value(None), errors.ProtocolError),
    (STATUS, answer(401), errors.AuthenticationError),
    (URL, value("ftp://x"), errors.ProtocolError),
    (URL, answer(403), errors.PermissionDeniedError),
    (actions.execution_errors, odata_error("no"), errors.RequestRefusedError),
    (actions.ask_entity_outcomes, answer(403), errors.PermissionDeniedError),
    (actions.ask_page_url, answer(403), errors.PermissionDeniedError),
]


@pytest.mark.parametrize(("ask", "response", "kind"), REFUSED)
def test_refusals(ask, response, kind):
    assert type(play(ask("e-1"), [response]).error) is kind


def test_a_quote_in_a_name_is_doubled_and_encoded():
    (request,) = play(actions.look_at_project("Bob's & co", "e-1"), [rows()]).requests
    assert request.url == (
        "data/DataManagementExecutionJobDetails?$filter=JobId%20eq%20%27e-1%27%20or%20"
        "DefinitionGroupId%20eq%20%27Bob%27%27s%20%26%20co%27&cross-company=true"
    )


def test_names_of_data_projects():
    assert play(actions.data_projects(), [answer(json={"value": [{"Name": "a"}, 1]})]).result == ["a"]
    assert type(play(actions.data_projects(), [answer(json={"value": 1})]).error) is errors.ProtocolError


INFORMING = [
    (actions.entity_outcomes, [], True),
    (actions.execution_page_url, None, True),
    (actions.execution_is_listed, False, False),
    (look, ProjectExecutions(), False),
]


@pytest.mark.parametrize(
    "response", [answer(403), answer(404), answer(501), odata_error("x"), answer(200, body="<html>")]
)
@pytest.mark.parametrize(("ask", "without", "hurried"), INFORMING)
def test_what_only_informs_stops_nothing_where_it_is_refused(ask, without, hurried, response):
    played = play(ask("e-1"), [response])
    assert (played.result, played.error) == (without, None)
    assert len(played.notes) == 1
    assert all(request.informing is hurried for request in played.requests)


@pytest.mark.parametrize("trouble", [errors.TransportError("silence"), errors.ThrottledError("slow down")])
@pytest.mark.parametrize(("ask", "without", "passed"), INFORMING)
def test_what_only_informs_stops_nothing_where_it_is_not_answered(ask, without, passed, trouble):
    played = play(ask("e-1"), [trouble])
    assert (played.result if passed else played.error) == (without if passed else trouble)


NEXT = "https://env/data/DataManagementExecutionJobDetails?$filter=x&$skip=1"


def test_a_list_is_read_to_its_end_and_rows_of_others_are_left_out():
    table = [
        answer(json={"value": [{"JobId": "e-1", "EntityName": "a"}, None, 5], "@odata.nextLink": NEXT}),
        answer(
            json={
                "value": [
                    {"JobId": "E-1 ", "EntityName": "b"},
                    {"JobId": "other", "EntityName": "c"},
                    {"EntityName": "d"},
                ]
            }
        ),
    ]
    played = play(actions.entity_outcomes("e-1"), table)
    assert [each.entity_name for each in played.result] == ["a", "b", "d"]
    assert [request.url for request in played.requests][1:] == [NEXT]


@pytest.mark.parametrize(
    "following",
    [NEXT, "https://evil/data/DataManagementExecutionJobDetails?$skip=2", "https://env/data/Workers?$skip=2", 5, ["x"]],
)
def test_a_next_page_of_another_list_ends_the_reading(following):
    first = replace(
        answer(json={"value": [], "@odata.nextLink": NEXT}), asked="https://env/data/DataManagementExecutionJobDetails"
    )
    table = [first, answer(json={"value": [], "@odata.nextLink": following})]
    played = play(actions.ask_entity_outcomes("e-1"), table)
    assert type(played.error) is errors.ProtocolError
    assert "does not belong to the list" in str(played.error)


def test_a_list_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(paging, "MAX_PAGES", 3)
    table = [answer(json={"value": [], "@odata.nextLink": f"{NEXT}{number}"}) for number in range(3)]
    played = play(actions.ask_entity_outcomes("e-1"), table)
    assert "does not end within 3 pages" in str(played.error)
    monkeypatch.setattr(paging, "MAX_ROWS", 2)
    table = [answer(json={"value": [{}] * 3, "@odata.nextLink": NEXT})]
    assert "was not read further" in str(play(actions.ask_entity_outcomes("e-1"), table).error)


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


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_no_messages_are_a_crash(raw):
    for text in (raw, f'[{{"RecordId":"{raw}","Field":"","ErrorMessage":"{raw}"}}]', f"[{raw}]"):
        assert all(isinstance(each.message, str) for each in parse_error_rows(text))


ROWS = st.dictionaries(
    st.sampled_from(["EntityName", "StagingStatus", "TargetStatus", "TargetRecordsCreatedCount", "JobId"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
)


@given(st.lists(ROWS | st.none() | st.integers()))
def test_no_rows_are_a_crash(content):
    response = answer(json={"value": content})
    assert play(actions.entity_outcomes("e-1"), [response]).error is None
    assert play(look("x"), [response]).error is None
