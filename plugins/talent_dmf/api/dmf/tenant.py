"""What an environment offers for export: its data projects, their entities, its companies.

Read by people who are writing a catalogue file; no export depends on any of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from talent_dmf.api.dmf.actions import entity_set_rows
from talent_dmf.api.steps import Steps

_EXPORT = "export"


@dataclass(frozen=True, slots=True)
class DataProject:
    """A data project.

    :param name: what the API calls ``definitionGroupId``.
    :param exports: whether it is an export project.
    :param makes_package: whether *Generate data package* is set.
    """

    name: str
    exports: bool
    makes_package: bool


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


def data_projects_in_detail() -> Steps[list[DataProject]]:
    """The data projects that can be read (docs/wire/dmf-package-api.md#data-projects).

    :raises TalentDmfError: the environment refuses to list them.
    """
    rows = yield from _rows("DataManagementDefinitionGroups", "Name,OperationType,GenerateDataPackage")
    return [
        DataProject(
            str(row["Name"]), str(row.get("OperationType")).lower() == _EXPORT, _yes(row.get("GenerateDataPackage"))
        )
        for row in rows
        if row.get("Name")
    ]


def data_project_entities() -> Steps[list[ProjectEntity]]:
    """The entities of all data projects (docs/wire/dmf-package-api.md#data-projects).

    :raises TalentDmfError: the environment refuses to list them.
    """
    rows = yield from _rows(
        "DataManagementDefinitionGroupDetails", "DefinitionGroupId,EntityName,SourceFormat,DefaultRefreshType"
    )
    return [
        ProjectEntity(
            str(row.get("DefinitionGroupId") or ""),
            str(row["EntityName"]),
            str(row.get("SourceFormat") or ""),
            "incremental" in str(row.get("DefaultRefreshType") or "").lower(),
        )
        for row in rows
        if row.get("EntityName")
    ]


def companies() -> Steps[list[tuple[str, str]]]:
    """Code and name of each legal entity.

    The entity set ``LegalEntities`` belongs to finance and operations' own OData metadata; stand-alone Talent may not
    publish it.

    :raises TalentDmfError: the environment refuses to list them, or has no such set.
    """
    rows = yield from _rows("LegalEntities", "LegalEntityId,Name")
    return [(str(row["LegalEntityId"]), str(row.get("Name") or "")) for row in rows if row.get("LegalEntityId")]


def _rows(entity_set: str, select: str) -> Steps[list[dict[str, Any]]]:
    return (yield from entity_set_rows(f"data/{entity_set}?$select={select}&cross-company=true", entity_set))


def _yes(value: Any) -> bool:
    return value is True or str(value).lower() == "yes"
