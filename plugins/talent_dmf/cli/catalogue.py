"""Commands about catalogue files: check them, and the JSON Schema that lets an editor check them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from talent_dmf.api.errors import ConfigurationError, TalentDmfError
from talent_dmf.catalogue.located_yaml import CatalogueError
from talent_dmf.catalogue.notify import DEFAULTS_FILE
from talent_dmf.catalogue.spec import ExportSpec, load_export
from talent_dmf.cli.connections import connection_id
from talent_dmf.cli.output import Output
from talent_dmf.cli.schema import catalogue_schema


def check(options: argparse.Namespace, output: Output) -> int:
    """Check catalogue files, and with ``--online`` what they name.

    :returns: 0 if all is in order.
    """
    results = []
    for path in _files(options.paths or [Path("include/exports")]):
        problems: list[str] = []
        try:
            spec = load_export(path)
        except CatalogueError as error:
            problems = str(error).splitlines()
        else:
            if options.online:
                problems = list(_online(spec, options.conn_id))
        results.append({"file": str(path), "problems": problems})
        output.line(f"{'failed' if problems else 'ok    '}  {path}")
        for problem in problems:
            output.line(f"        {problem}")
    output.result({"files": results})
    return 1 if any(each["problems"] for each in results) else 0


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*.y*ml") if file.name != DEFAULTS_FILE)
        elif path.is_file():
            yield path
        else:
            raise ConfigurationError(f"{str(path)!r} does not exist.")


def _online(spec: ExportSpec, conn_id: str | None) -> Iterator[str]:
    """What is wrong with what an export names, one sentence each."""
    from talent_dmf.api.dmf.tenant import companies, data_projects_in_detail
    from talent_dmf.hooks.talent_dmf import TalentDmfHook

    wanted = argparse.Namespace(environment=None, conn_id=conn_id or spec.talent_dmf_conn_id)
    try:
        hook = TalentDmfHook(connection_id(wanted))
        project = next(
            (
                each
                for each in hook.run(data_projects_in_detail())
                if each.name.casefold() == spec.data_project.casefold()
            ),
            None,
        )
    except TalentDmfError as error:
        yield str(error)
        return
    if project is None:
        yield f"The environment has no data project {spec.data_project!r}, or its user may not see it."
    elif not project.exports:
        yield f"The data project {spec.data_project!r} is not an export project."
    elif not project.makes_package:
        yield f"The data project {spec.data_project!r} makes no package: set 'Generate data package' to Yes."
    try:
        codes = {code.upper() for code, _ in hook.run(companies())}
    except TalentDmfError:
        # Not every environment lists its companies, and nothing but this look needs the list.
        codes = set()
    for code in spec.legal_entities:
        if codes and code.upper() not in codes:
            yield f"The environment has no legal entity {code}, or its user may not see it."


def schema(options: argparse.Namespace, output: Output) -> int:
    """Print the JSON Schema of a catalogue file.

    :returns: 0.
    """
    found: dict[str, Any] = catalogue_schema()
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return 0
