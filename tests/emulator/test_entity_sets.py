"""The entity sets: data projects, the history of executions, filters, pages and metadata, on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from tests.emulator.wire import inner_message

from dmf_emulator import Settings

if TYPE_CHECKING:
    from tests.emulator.wire import Start, Wire


ENUM = "Microsoft.Dynamics.DataEntities.DMFOperationType"


@pytest.mark.parametrize(
    ("path", "parameters", "names"),
    [
        ("DataManagementDefinitionGroups('Export Workers')", {}, ["Export Workers"]),
        ("DataManagementDefinitionGroups('export workers')", {}, ["Export Workers"]),
        (
            f"DataManagementDefinitionGroups(Name='Import Workers',OperationType={ENUM}'Import')",
            {},
            ["Import Workers"],
        ),
        ("DataManagementDefinitionGroups", {"$filter": "Name eq 'Export Workers CSV'"}, ["Export Workers CSV"]),
        (
            "DataManagementDefinitionGroups",
            {"$filter": f"OperationType eq {ENUM}'Import'"},
            ["Import Workers"],
        ),
        ("DataManagementDefinitionGroups", {"$filter": "Name eq 'It''s'"}, []),
        (
            "DataManagementDefinitionGroups",
            {"$filter": "OperationType eq 'Export' and Name ne 'Export Workers'", "$top": "1", "$orderby": "Name"},
            ["Export Positions and Jobs"],
        ),
    ],
)
def test_projects_are_found(wire: Wire, path: str, parameters: dict[str, str], names: list[str]) -> None:
    body = wire.entities(path, **parameters).json()
    rows = body.get("value", [body])
    assert [row["Name"] for row in rows] == names


@pytest.mark.parametrize(
    ("path", "parameters", "status"),
    [
        ("DataManagementDefinitionGroups('No such')", {}, 404),
        ("DataManagementDefinitionGroups(12)", {}, 400),
        ("DataManagementDefinitionGroups", {"$filter": "Nome eq 'x'"}, 400),
        ("DataManagementDefinitionGroups", {"$filter": "Name eq"}, 400),
        ("DataManagementDefinitionGroups", {"$filter": "Name eq 'x' xor Name eq 'y'"}, 400),
        ("DataManagementDefinitionGroups", {"$top": "many"}, 400),
    ],
)
def test_queries_that_cannot_be_read(wire: Wire, path: str, parameters: dict[str, str], status: int) -> None:
    answer = wire.entities(path, **parameters)
    assert answer.status_code == status
    assert inner_message(answer)


def test_select_and_count(wire: Wire) -> None:
    body = wire.entities("DataManagementDefinitionGroupDetails", **{"$select": "EntityName", "$count": "true"}).json()
    assert body["@odata.count"] == len(body["value"])
    assert all(set(row) == {"EntityName", "@odata.etag"} for row in body["value"])


@pytest.mark.parametrize(("by_company", "seen"), [(False, (1, 1)), (True, (0, 1))])
def test_job_details_know_no_company_unless_a_setting_says_so(
    start: Start, by_company: bool, seen: tuple[int, int]
) -> None:
    wire = start(Settings(job_details_by_company=by_company).with_export_seconds(0))
    wire.export()
    own = wire.entities("DataManagementExecutionJobDetails").json()["value"]
    everything = wire.entities("DataManagementExecutionJobDetails", **{"cross-company": "true"}).json()["value"]
    assert (len(own), len(everything)) == seen


@pytest.mark.parametrize(
    ("words", "outcome", "status"),
    [
        ("finished", "Succeeded", "Finished"),
        ("finished", "PartiallySucceeded", "Error"),
        ("finished", "Failed", "Error"),
        ("finished", "Canceled", "Aborted"),
        ("succeeded", "PartiallySucceeded", "PartiallySucceeded"),
        ("succeeded", "Failed", "Failed"),
    ],
)
def test_job_details_have_words_of_their_own(start: Start, words: str, outcome: str, status: str) -> None:
    wire = start(Settings(job_details_statuses=words).with_export_seconds(0))
    if outcome != "Succeeded":
        wire.emulator.faults.add("dmf.F12", outcome=outcome)
    wire.export()
    row = wire.entities("DataManagementExecutionJobDetails").json()["value"][0]
    assert (row["StagingStatus"], row["TargetStatus"]) == (status, status)


def test_job_details_appear_late_and_in_pages(start: Start) -> None:
    settings = Settings(job_details_delay_seconds=60, odata_page_size=2).with_export_seconds(0)
    wire = start(settings)
    for number in range(5):
        wire.export(executionId=f"af-{number}")
    wire.export(executionId="other")
    query = {"$filter": "JobId eq 'af-*'", "$select": "JobId", "cross-company": "true"}
    assert wire.entities("DataManagementExecutionJobDetails", **query).json()["value"] == []
    wire.emulator.clock.advance(61)
    wire.forget_tokens()
    seen, pages = [], 0
    answer = wire.entities("DataManagementExecutionJobDetails", **query).json()
    while True:
        pages += 1
        seen += [row["JobId"] for row in answer["value"]]
        if "@odata.nextLink" not in answer:
            break
        headers = wire.bearer(wire.info["dmf_resource"])
        answer = wire.session.get(answer["@odata.nextLink"], headers=headers).json()
        assert all(set(row) == {"@odata.etag", "JobId"} for row in answer["value"])
    assert (seen, pages) == ([f"af-{number}" for number in range(5)], 3)


def test_the_next_link_counts_top_down(start: Start) -> None:
    wire = start(Settings(odata_page_size=2).with_export_seconds(0))
    first = wire.entities("DataManagementDefinitionGroups", **{"$top": "3", "$orderby": "Name desc"}).json()
    headers = wire.bearer(wire.info["dmf_resource"])
    second = wire.session.get(first["@odata.nextLink"], headers=headers).json()
    names = [row["Name"] for row in first["value"] + second["value"]]
    assert names == ["Import Workers", "Export Workers XML", "Export Workers incremental"]
    assert "@odata.nextLink" not in second


@pytest.mark.parametrize(
    ("expression", "jobs"),
    [
        ("JobId eq 'a-1' or JobId eq 'b-1' and DefinitionGroupId eq 'none'", ["a-1"]),
        ("(JobId eq 'a-1' or JobId eq 'b-1') and DefinitionGroupId eq 'none'", []),
        ("not (JobId eq 'a-1') and not (JobId eq 'b-1')", ["a-2"]),
        ("JobId eq 'a-*'", ["a-1", "a-2"]),
        ("JobId eq '*-1'", ["a-1", "b-1"]),
        ("JobId eq '*-*'", ["a-1", "a-2", "b-1"]),
        ("JobId ne 'A-*'", ["b-1"]),
        ("JobId eq 'a.1'", []),
        ("StagingRecordsToBeProcessedCount ge 100", ["a-1", "a-2", "b-1"]),
        ("StagingRecordsToBeProcessedCount lt 100", []),
        ("((JobId eq 'a-2'))", ["a-2"]),
        ("  ( JobId  eq 'a-2' )  ", ["a-2"]),
        ("   ", ["a-1", "a-2", "b-1"]),
        ("JobId eq null", []),
        ("JobId ne null and JobId ne 'null'", ["a-1", "a-2", "b-1"]),
        ("JobId gt null", []),
        ("SequenceInLevel gt 0.5 and SequenceInLevel lt 1.5e0", ["a-1", "a-2", "b-1"]),
        ("SequenceInLevel eq 1.0", ["a-1", "a-2", "b-1"]),
        ("SequenceInLevel le -1", []),
        ("StagingStartDateTime ge 2020-01-01T00:00:00.000Z", ["a-1", "a-2", "b-1"]),
        ("StagingStartDateTime lt 2020-01-01T00:00:00+02:00", []),
        ("StagingStartDateTime lt 9999-12-31T23:59:59.999999999Z", ["a-1", "a-2", "b-1"]),
        ("StagingStatus eq Microsoft.Dynamics.DataEntities.DMFBatchJobStatus'Finished'", ["a-1", "a-2", "b-1"]),
        ("StagingStatus ne 'Error' and JobId ne 'a*' or JobId eq 'A-1'", ["a-1", "b-1"]),
        ("JobId eq '" + "*-" * 20 + "'", []),
    ],
)
def test_filters_mean_what_odata_says(wire: Wire, expression: str, jobs: list[str]) -> None:
    for execution_id in ("a-1", "a-2", "b-1"):
        wire.export(executionId=execution_id)
    answer = wire.entities("DataManagementExecutionJobDetails", **{"$filter": expression})
    assert [row["JobId"] for row in answer.json()["value"]] == jobs
    count = wire.entities("DataManagementExecutionJobDetails/$count", **{"$filter": expression})
    assert count.text == str(len(jobs))


def test_a_star_is_a_star_where_wildcards_are_off(start: Start) -> None:
    wire = start(Settings(wildcard_filters=False).with_export_seconds(0))
    wire.export(executionId="a-1")
    wire.export(executionId="a-*")
    rows = wire.entities("DataManagementExecutionJobDetails", **{"$filter": "JobId eq 'a-*'"}).json()["value"]
    assert [row["JobId"] for row in rows] == ["a-*"]


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"$filter": "JobId in ('a','b')"}, 400),
        ({"$filter": "StagingStatus has 'Finished'"}, 400),
        ({"$filter": "(JobId eq 'a'"}, 400),
        ({"$filter": "JobId eq 'a')"}, 400),
        ({"$filter": "JobId eq 'a' or"}, 400),
        ({"$filter": "not"}, 400),
        ({"$filter": "(" * 200 + "JobId eq 'a'" + ")" * 200}, 400),
        ({"$filter": "JobId eq 'a"}, 400),
        ({"$select": "NoSuch"}, 400),
        ({"$orderby": "JobId sideways"}, 400),
        ({"$filter": "SequenceInLevel eq --1"}, 400),
        ({"$filter": "SequenceInLevel eq " + "9" * 5000}, 400),
        ({"$filter": "SequenceInLevel eq '1'"}, 400),
        ({"$filter": "SequenceInLevel ne 'abc'"}, 400),
        ({"$filter": "JobId eq 5"}, 400),
        ({"$filter": "JobId eq a-1"}, 400),
        ({"$filter": "JobId eq Microsoft.Dynamics.DataEntities.NoYes'Yes'"}, 400),
        ({"$filter": "StagingStatus gt 'Error'"}, 400),
        ({"$filter": "StagingStatus eq 'Ended'"}, 400),
        ({"$filter": "StagingStatus eq Microsoft.Dynamics.DataEntities.NoYes'Yes'"}, 400),
        ({"$filter": "StagingStartDateTime lt abc"}, 400),
        ({"$filter": "StagingStartDateTime lt 2026-13-01T00:00:00Z"}, 400),
        ({"$filter": "StagingStartDateTime lt 2026-01-01T00:00:00"}, 400),
        ({"$filter": "StagingStartDateTime lt '2026-01-01T00:00:00Z'"}, 400),
        ({"$filter": "not JobId eq 'a'"}, 400),
        ({"$filter": "JobId EQ 'a'"}, 400),
        ({"$filter": "NOT (JobId eq 'a')"}, 400),
        ({"$filter": "nosuch(JobId) eq 'a'"}, 400),
        ({"$count": "yes"}, 400),
        ({"$top": "-1"}, 400),
        ({"$top": "1.5"}, 400),
        ({"$filter": "StagingStartDateTime lt 2026-01-01"}, 501),
        ({"$filter": "'a' eq JobId"}, 501),
        ({"$filter": "JobId eq EntityName"}, 501),
        ({"$filter": "JobId eq tolower('A')"}, 501),
        ({"$filter": "not startswith(JobId,'a')"}, 501),
        ({"$filter": "(JobId eq 'a') eq true"}, 501),
        ({"$filter": "true"}, 501),
        ({"$filter": "startswith(JobId,'a')"}, 501),
        ({"$filter": "SequenceInLevel add 1 eq 2"}, 501),
        ({"$expand": "ExecutionJob"}, 501),
        ({"$apply": "aggregate(JobId)"}, 501),
    ],
)
def test_no_query_is_answered_with_wrong_rows(wire: Wire, parameters: dict[str, str], status: int) -> None:
    answer = wire.entities("DataManagementExecutionJobDetails", **parameters)
    assert answer.status_code == status
    if status == 501:
        assert answer.json()["error"]["code"] == "notSupported"


def test_an_option_that_is_there_twice_is_refused(wire: Wire) -> None:
    twice = "DataManagementDefinitionGroups?$filter=Name eq 'a'&$filter=Name eq 'Export Workers'"
    answer = wire.entities(twice)
    assert answer.status_code == 400
    assert "'$filter' was specified more than once" in inner_message(answer)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("LegalEntities('USMF')", 200),
        ("LegalEntities(LegalEntityId='usmf')", 200),
        ("LegalEntities('')", 404),
        ("LegalEntities('USMF',)", 400),
        ("DataManagementDefinitionGroupDetails(DefinitionGroupId='Export Workers',EntityName='Workers')", 200),
        ("DataManagementDefinitionGroupDetails('Export Workers')", 400),
        ("DataManagementDefinitionGroups(Foo='')", 400),
        ("DataManagementDefinitionGroups(Description='')", 400),
        ("DataManagementDefinitionGroups(Name='a',Name='Export Workers')", 400),
        ("DataManagementDefinitionGroups('Export Workers')?$top=0", 400),
        ("DataManagementDefinitionGroups('Export Workers')?$filter=Name eq 'x'", 400),
        ("DataManagementDefinitionGroups('Export Workers')/Name", 501),
        ("DataManagementDefinitionGroups/$ref", 501),
    ],
)
def test_a_row_is_found_by_its_whole_key(wire: Wire, path: str, status: int) -> None:
    answer = wire.entities(path)
    assert answer.status_code == status, answer.text


def test_all_properties_may_be_selected(wire: Wire) -> None:
    whole = wire.entities("LegalEntities('USMF')").json()
    assert wire.entities("LegalEntities('USMF')", **{"$select": "*"}).json() == whole


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PATCH", "DataManagementDefinitionGroups('Export Workers')", 501),
        ("DELETE", "DataManagementDefinitionGroups('Export Workers')", 501),
        ("POST", "DataManagementDefinitionGroups/$count", 501),
        ("POST", "$batch", 501),
        ("PATCH", "NoSuchSet", 404),
    ],
)
def test_what_an_environment_does_and_this_one_does_not(wire: Wire, method: str, path: str, status: int) -> None:
    before = wire.entities("DataManagementDefinitionGroups").json()["value"]
    answer = wire.session.request(
        method,
        f"{wire.info['dmf_url']}/data/{path}",
        json={"Name": "x"},
        headers=wire.bearer(wire.info["dmf_resource"]),
    )
    assert answer.status_code == status
    assert wire.entities("DataManagementDefinitionGroups").json()["value"] == before


@pytest.mark.parametrize(
    "row",
    [
        {"Name": "N", "OperationType": 5},
        {"Name": "N", "OperationType": "Nothing"},
        {"Name": "N", "Description": {}},
        {"Name": "N", "GenerateDataPackage": True},
        {"Name": ""},
    ],
)
def test_a_project_of_wrong_types_is_not_made(wire: Wire, row: dict[str, Any]) -> None:
    answer = wire.session.post(
        f"{wire.info['dmf_url']}/data/DataManagementDefinitionGroups",
        json=row,
        headers=wire.bearer(wire.info["dmf_resource"]),
    )
    assert answer.status_code == 400
    assert wire.entities("DataManagementDefinitionGroups/$count").text == "6"


@pytest.mark.parametrize(("mapping", "status"), [("Yes", "Succeeded"), ("No", "Executing")])
def test_a_project_made_by_api_needs_a_mapping(wire: Wire, mapping: str, status: str) -> None:
    headers = wire.bearer(wire.info["dmf_resource"])
    base = f"{wire.info['dmf_url']}/data/DataManagementDefinitionGroup"
    group = {"Name": "Made", "OperationType": "Export", "ProjectCategory": "Project"}
    detail = {"DefinitionGroupId": "Made", "EntityName": "Country/regions", "SourceFormat": "EXCEL"}
    assert wire.session.post(f"{base}s", json=group, headers=headers).status_code == 201
    assert wire.session.post(f"{base}s", json=group, headers=headers).status_code == 400
    answer = wire.session.post(f"{base}Details", json={**detail, "AutoGenerateMapping": mapping}, headers=headers)
    assert answer.status_code == 201
    execution_id = wire.export(definitionGroupId="Made").json()["value"]
    wire.emulator.clock.advance(3000)
    assert wire.action("GetExecutionSummaryStatus", executionId=execution_id).json()["value"] == status


def test_the_metadata_declares_what_the_other_answers_name(wire: Wire) -> None:
    document = ElementTree.fromstring(wire.entities("$metadata").content)  # noqa: S314 - our own
    edm = "{http://docs.oasis-open.org/odata/ns/edm}"
    schema = document.find(f".//{edm}Schema")
    assert schema is not None
    declared = {f"{schema.get('Namespace')}.{each.get('Name')}" for each in schema}
    used = {
        str(each.get("Type") or each.get("EntityType")).removeprefix("Collection(").removesuffix(")")
        for each in schema.iter()
        if each.get("Type") or each.get("EntityType")
    }
    assert used
    assert {each for each in used if not each.startswith("Edm.")} <= declared
    wire.export()
    for name in ("DefinitionGroup", "DefinitionGroupDetail", "ExecutionJob", "ExecutionJobDetail"):
        kind = schema.find(f"{edm}EntityType[@Name='DataManagement{name}']")
        assert kind is not None
        properties = {each.get("Name") for each in kind.iter(f"{edm}Property")}
        row = wire.entities(f"DataManagement{name}s").json()["value"][0]
        assert set(row) - {"@odata.etag"} == properties
        assert {each.get("Name") for each in kind.iter(f"{edm}PropertyRef")} <= properties
