"""Commands about catalogue files: check them, and the JSON Schema that lets an editor check them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.findings import Finding
from talent_dmf.catalogue.files import DEFAULTS_FILE
from talent_dmf.catalogue.located_yaml import CatalogueError
from talent_dmf.catalogue.spec import ExportSpec, load_export
from talent_dmf.cli.connections import make_known
from talent_dmf.cli.output import Output
from talent_dmf.cli.schema import catalogue_schema


def check(options: argparse.Namespace, output: Output) -> int:
    """Check catalogue files, and with ``--online`` everything that their exports need.

    :returns: 0 if all is in order.
    """
    results = []
    for path in _files(options.paths or [Path("include/exports")]):
        problems: list[str] = []
        findings: list[Finding] = []
        try:
            spec = load_export(path)
        except CatalogueError as error:
            problems = str(error).splitlines()
        else:
            if options.online:
                findings = _online(spec, options.conn_id)
                problems = [f"{each.check}: {each.words}" for each in findings if each.result == "failed"]
        results.append({
            "file": str(path), "problems": problems, "checks": [each.to_json() for each in findings]
        })  # fmt: skip
        output.line(f"{'failed' if problems else 'ok    '}  {path}")
        if findings:
            output.table(
                ("Check", "Result", "What was found, and what to do"),
                [(each.check, each.result, each.words) for each in findings],
            )
        for problem in problems if not findings else ():
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


def _online(spec: ExportSpec, conn_id: str | None) -> list[Finding]:
    """What a look at everything that an export needs has found.

    :param conn_id: the connection to ask, if it is not the file's own.
    """
    # Imported where it runs: it makes a DAG.
    from talent_dmf.dag_factory import check_export

    if conn_id:
        spec = spec.model_copy(update={"talent_dmf_conn_id": conn_id})
    for each in (spec.talent_dmf_conn_id, spec.onedrive_conn_id, spec.destination_conn_id):
        if each:
            make_known(each)
    return check_export(spec)


def schema(options: argparse.Namespace, output: Output) -> int:
    """Print the JSON Schema of a catalogue file.

    :returns: 0.
    """
    found: dict[str, Any] = catalogue_schema()
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return 0
