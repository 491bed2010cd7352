"""What an environment offers for export: its data projects, their entities, its companies.

Read by people who are writing a catalogue file, by checks, and to explain a refusal; no export depends on any of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from talent_dmf.api.dmf.actions import comparison, entity_set_rows
from talent_dmf.api.dmf.odata import same_name
from talent_dmf.api.steps import Steps

_EXPORT = "export"


@dataclass(frozen=True, slots=True)
class DataProject:
    """A data project.

    :param name: what the API calls ``definitionGroupId``.
    :param exports: whether it is an export project.
    :param makes_package: whether *Generate data package* is set, or not said.
    :param operation: what the project is for, as the environment says; ``""`` where it does not.
    """

    name: str
    exports: bool
    makes_package: bool
    operation: str = ""


@dataclass(frozen=True, slots=True)
class ProjectEntity:
    """An entity of a data project.

    :param project: name of the project.
    :param name: the entity's label.
    :param source_format: file format, such as ``EXCEL``.
    :param is_incremental: whether only changes since the last export are exported; then an export that is not saved
        is data lost.
    """

    project: str
    name: str
    source_format: str
    is_incremental: bool


_PROJECT_FIELDS = "Name,OperationType,GenerateDataPackage"
_ENTITY_FIELDS = "DefinitionGroupId,EntityName,SourceFormat,DefaultRefreshType"


def data_projects_in_detail() -> Steps[list[DataProject]]:
    """The data projects that can be read (docs/wire/dmf-package-api.md#data-projects).

    :raises TalentDmfError: the environment refuses to list them.
    """
    rows = yield from _rows("DataManagementDefinitionGroups", _PROJECT_FIELDS)
    return _projects(rows)


def data_projects_named(name: str) -> Steps[list[DataProject]]:
    """The data project of a name, where it can be read. A service that overlooks the filter gives others as well.

    :param name: the project's name.
    :raises TalentDmfError: the environment refuses to list it.
    """
    rows = yield from _rows("DataManagementDefinitionGroups", _PROJECT_FIELDS, comparison("Name", name))
    return _projects(rows)


def _projects(rows: Sequence[dict[str, Any]]) -> list[DataProject]:
    return [
        DataProject(
            str(row["Name"]),
            str(row.get("OperationType")).lower() == _EXPORT,
            _yes(row.get("GenerateDataPackage", True)),
            str(row.get("OperationType") or ""),
        )
        for row in rows
        if row.get("Name")
    ]


def data_project_entities(project: str | None = None) -> Steps[list[ProjectEntity]]:
    """The entities of data projects (docs/wire/dmf-package-api.md#data-projects).

    :param project: name of one project; all of them if ``None``.
    :raises TalentDmfError: the environment refuses to list them.
    """
    condition = "" if project is None else comparison("DefinitionGroupId", project)
    rows = yield from _rows("DataManagementDefinitionGroupDetails", _ENTITY_FIELDS, condition)
    return [
        ProjectEntity(
            str(row.get("DefinitionGroupId") or ""),
            str(row["EntityName"]),
            str(row.get("SourceFormat") or ""),
            "incremental" in str(row.get("DefaultRefreshType") or "").lower(),
        )
        for row in rows
        if row.get("EntityName") and (project is None or same_name(str(row.get("DefinitionGroupId")), project))
    ]


def companies() -> Steps[list[tuple[str, str]]]:
    """Code and name of each legal entity.

    The entity set ``LegalEntities`` belongs to finance and operations' own OData metadata; stand-alone Talent may not
    publish it.

    :raises TalentDmfError: the environment refuses to list them, or has no such set.
    """
    rows = yield from _rows("LegalEntities", "LegalEntityId,Name")
    return [(str(row["LegalEntityId"]), str(row.get("Name") or "")) for row in rows if row.get("LegalEntityId")]


def _rows(entity_set: str, select: str, condition: str = "") -> Steps[list[dict[str, Any]]]:
    filtered = f"&$filter={condition}" if condition else ""
    return (yield from entity_set_rows(f"data/{entity_set}?$select={select}{filtered}&cross-company=true", entity_set))


def _yes(value: Any) -> bool:
    return value is True or str(value).lower() == "yes"
