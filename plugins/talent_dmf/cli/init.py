"""The first catalogue file for an environment, from what the environment itself lists."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from talent_dmf.api.errors import ConfigurationError, TalentDmfError
from talent_dmf.cli.connections import connection_id
from talent_dmf.cli.output import Output
from talent_dmf.cli.yaml_text import catalogue_text, export_name, write_catalogue_file

if TYPE_CHECKING:
    from talent_dmf.api.dmf.tenant import DataProject, ProjectEntity
    from talent_dmf.hooks.talent_dmf import TalentDmfHook

_MORE = (
    "",
    "More keys, each with a careful default: docs/how-to/add-an-export.md",
    'file_name: "{project}_{legal_entity}_{interval}_{extracted}.zip"',
    "conflict_behavior: fail        # or replace, rename",
    "partial_success: fail          # or accept",
    "sla: 2 h",
    "time_limit: 4 h",
)


def init(options: argparse.Namespace, output: Output) -> int:
    """Write a catalogue file; what is not given as an option is listed and asked for.

    :returns: 0 if the file is written.
    """
    from talent_dmf.hooks.talent_dmf import TalentDmfHook

    conn_id = connection_id(options)
    hook = TalentDmfHook(conn_id)
    project, entities = _project(hook, options.project, output)
    codes = [code.upper() for code in options.company or _companies(hook, output)]
    comments = [f"Entity {each.name}: {_how(each)}." for each in entities]
    if any(each.is_incremental for each in entities):
        comments.append("An incremental export is consumed when it runs: an export that is not saved is data lost.")
    if not project.makes_package:
        comments.append(
            "The project does not generate a package yet: set 'Generate data package' to Yes in Dynamics 365."
        )
    keys = {
        "data_project": project.name,
        "legal_entities": codes if len(codes) > 1 else codes[0],
        "schedule": {"cron": options.cron, "timezone": options.timezone} if options.cron else None,
        "folder": options.folder,
        "talent_dmf_conn_id": conn_id if not options.environment and conn_id != "talent_dmf_default" else None,
    }
    name = export_name(project.name)
    text = catalogue_text(keys, [*comments, *_MORE])
    path = write_catalogue_file(options.output, name, text, replace=options.force)
    output.line(f"Wrote {path}: DAG talent_export_{name}. Airflow shows it within a minute; switch it on there.")
    output.result(
        {"path": str(path), "dag_id": f"talent_export_{name}", "data_project": project.name, "companies": codes}
    )
    return 0


def _project(hook: TalentDmfHook, wanted: str | None, output: Output) -> tuple[DataProject, list[ProjectEntity]]:
    from talent_dmf.api.dmf.tenant import data_project_entities, data_projects_in_detail

    exporting = [each for each in hook.run(data_projects_in_detail()) if each.exports]
    if not exporting:
        raise ConfigurationError(
            "The environment lists no export project. Create one under Data management > Export, or give the "
            "application's user the Data management roles."
        )
    if wanted is None:
        output.table(("#", "Data project"), [(number, each.name) for number, each in enumerate(exporting, 1)])
        wanted = _ask("Which project (number or name)?", "--project")
        if wanted.isdecimal() and 1 <= int(wanted) <= len(exporting):
            wanted = exporting[int(wanted) - 1].name
    found = next((each for each in exporting if each.name.casefold() == wanted.strip().casefold()), None)
    if found is None:
        raise ConfigurationError(
            f"The environment has no export project {wanted!r}; "
            f"it has {', '.join(each.name for each in exporting[:10])}. Name one of them."
        )
    try:
        entities = hook.run(data_project_entities())
    except TalentDmfError as error:
        output.error(f"The project's entities could not be listed: {error}")
        entities = []
    return found, [each for each in entities if each.project == found.name]


def _companies(hook: TalentDmfHook, output: Output) -> list[str]:
    from talent_dmf.api.dmf.tenant import companies

    try:
        listed = hook.run(companies())
    except TalentDmfError as error:
        output.error(f"The companies could not be listed: {error}")
        listed = []
    if listed:
        output.table(("Code", "Company"), listed)
    codes = _ask("Which legal entities (codes, separated by commas)?", "--company").split(",")
    return [code.strip().upper() for code in codes if code.strip()]


def _how(entity: ProjectEntity) -> str:
    return f"{entity.source_format or 'format unknown'}, {'incremental' if entity.is_incremental else 'full'}"


def _ask(question: str, option: str) -> str:
    if not sys.stdin.isatty():
        raise ConfigurationError(f"There is nobody to ask: give {option}.")
    # On standard error, so that standard output is the result alone.
    sys.stderr.write(f"{question} ")
    sys.stderr.flush()
    answer = sys.stdin.readline().strip()
    if not answer:
        raise ConfigurationError(f"Nothing was chosen; give {option}, or answer the question.")
    return answer
