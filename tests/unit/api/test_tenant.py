"""What an environment offers for export, as people who write a catalogue file read it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.scripted import answer, play, rows

from talent_dmf.api.dmf.tenant import (
    DataProject,
    ProjectEntity,
    companies,
    data_project_entities,
    data_projects_in_detail,
    data_projects_named,
)
from talent_dmf.api.errors import PermissionDeniedError
from talent_dmf.api.steps import Steps


def test_data_projects_say_what_they_are_for() -> None:
    listed = rows(
        {"Name": "Out", "OperationType": "Export", "GenerateDataPackage": "Yes"},
        {"Name": "Plain", "OperationType": "EXPORT", "GenerateDataPackage": "No"},
        {"Name": "In", "OperationType": "Import", "GenerateDataPackage": True},
        {"Name": "Odd"},
        {"Name": ""},
        {},
    )
    played = play(data_projects_in_detail(), [listed])
    assert played.result == [
        DataProject("Out", exports=True, makes_package=True, operation="Export"),
        DataProject("Plain", exports=True, makes_package=False, operation="EXPORT"),
        DataProject("In", exports=False, makes_package=True, operation="Import"),
        DataProject("Odd", exports=False, makes_package=True),
    ]
    assert played.requests[0].url == (
        "data/DataManagementDefinitionGroups?$select=Name,OperationType,GenerateDataPackage&cross-company=true"
    )


def test_a_data_project_is_asked_for_by_its_name() -> None:
    played = play(data_projects_named("Year's end"), [rows({"Name": "Year's end", "OperationType": "Export"})])
    assert [project.name for project in played.result or []] == ["Year's end"]
    assert "Year%27%27s%20end" in played.requests[0].url


@pytest.mark.parametrize(
    ("refresh", "is_incremental"),
    [("IncrementalPush", True), ("incremental", True), ("FullPush", False), ("", False), (None, False)],
)
def test_entities_say_whether_only_changes_are_exported(refresh: Any, is_incremental: bool) -> None:
    row = {
        "DefinitionGroupId": "Out",
        "EntityName": "Workers",
        "SourceFormat": "EXCEL",
        "DefaultRefreshType": refresh,
    }
    played = play(data_project_entities(), [rows(row, {"DefinitionGroupId": "Out"})])
    assert played.result == [ProjectEntity("Out", "Workers", "EXCEL", is_incremental)]
    assert "DataManagementDefinitionGroupDetails?" in played.requests[0].url


def test_an_entity_of_which_little_is_said_is_listed_all_the_same() -> None:
    played = play(data_project_entities(), [rows({"EntityName": "Workers"})])
    assert played.result == [ProjectEntity("", "Workers", "", is_incremental=False)]


def test_companies_have_a_code_and_perhaps_a_name() -> None:
    listed = rows({"LegalEntityId": "USMF", "Name": "Contoso"}, {"LegalEntityId": "DAT"}, {"Name": "of nobody"})
    assert play(companies(), [listed]).result == [("USMF", "Contoso"), ("DAT", "")]


@pytest.mark.parametrize("asked", [data_projects_in_detail, data_project_entities, companies])
def test_what_is_not_published_is_refused_in_a_sentence(asked: Any) -> None:
    steps: Steps[Any] = asked()
    assert type(play(steps, [answer(403)]).error) is PermissionDeniedError
