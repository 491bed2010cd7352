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
from talent_dmf.catalogue.files import catalogue_of, export_files
from talent_dmf.catalogue.loading import load_export, shared_files
from talent_dmf.catalogue.located_yaml import CatalogueError
from talent_dmf.catalogue.spec import ExportSpec
from talent_dmf.cli.connections import make_known
from talent_dmf.cli.output import Output
from talent_dmf.cli.schema import catalogue_schema, shared_schema


def check(options: argparse.Namespace, output: Output) -> int:
    """Check catalogue files in every environment of the catalogue, and with ``--online`` everything that their exports
    need.

    :returns: 0 if all is in order.
    """
    results = []
    for folder, paths in catalogues(options.paths or [Path("include/exports")]):
        catalogue = _InEnvironments(folder, options.for_environment)
        for path in paths:
            spec, problems = catalogue.load(path)
            findings: list[Finding] = []
            if options.online and spec is not None and not problems:
                findings = _online(spec, options.conn_id)
                problems = [f"{each.check}: {each.words}" for each in findings if each.result == "failed"]
            results.append({
                "file": _shown(path), "problems": problems, "checks": [each.to_json() for each in findings]
            })  # fmt: skip
            _show(output, path, problems, findings)
        for path, problems in catalogue.problems_of_shared_files().items():
            results.append({"file": _shown(path), "problems": problems, "checks": []})
            _show(output, path, problems, [])
    output.result({"files": results})
    return 1 if any(each["problems"] for each in results) else 0


def catalogues(paths: list[Path]) -> Iterator[tuple[Path, list[Path]]]:
    """The catalogues that a command is about, each with the files that are meant.

    :param paths: files and folders, as the command line names them.
    :raises ConfigurationError: one of them does not exist.
    """
    for path in paths:
        if not path.exists():
            raise ConfigurationError(f"{str(path)!r} does not exist; correct the path.")
        yield catalogue_of(path), export_files(path.absolute()) if path.is_dir() else [path.absolute()]


class _InEnvironments:
    """A catalogue, looked at as each environment does.

    :param folder: the catalogue's.
    :param environment: the only one to look at; all of them, and the files as they are, if it is ``None``.
    """

    def __init__(self, folder: Path, environment: str | None) -> None:
        self.folder = folder
        known = shared_files(folder).environments()
        names = ["", *known] if environment is None else [environment]
        if environment and (unknown := shared_files(folder).unknown_environment(environment)):
            raise ConfigurationError(f"The environment {environment!r} is not known: {unknown}. Correct the name.")
        self.shared = [shared_files(folder, name) for name in names]

    def load(self, path: Path) -> tuple[ExportSpec | None, list[str]]:
        """An export as the first environment sees it, and what is wrong in any of them.

        :param path: its file.
        """
        # Imported where it runs: it makes a DAG.
        from talent_dmf.dag_factory.exports import dag_mistakes

        specs: list[ExportSpec] = []
        problems: dict[str, str] = {}
        for shared in self.shared:
            try:
                specs.append(load_export(path, shared))
                found = list(dag_mistakes(self.folder, specs[-1]))
            except CatalogueError as error:
                found = str(error).splitlines()
            for sentence in found:
                problems.setdefault(sentence, shared.environment)
        in_words = [f"In the environment {name}: {each}" if name else each for each, name in problems.items()]
        return (specs[0] if specs else None), in_words

    def problems_of_shared_files(self) -> dict[Path, list[str]]:
        """What is wrong with the files that several exports share, as far as an export needed them."""
        found: dict[Path, list[str]] = {}
        for shared in self.shared:
            for path, error in shared.problems.items():
                found[path] = str(error).splitlines()
        return found


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _show(output: Output, path: Path, problems: list[str], findings: list[Finding]) -> None:
    output.line(f"{'failed' if problems else 'ok    '}  {_shown(path)}")
    if findings:
        output.table(
            ("Check", "Result", "What was found, and what to do"),
            [(each.check, each.result, each.words) for each in findings],
        )
    for problem in problems if not findings else ():
        output.line(f"        {problem}")


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
    """Print the JSON Schema of a catalogue file, or of a file that several exports share.

    :returns: 0.
    """
    found: dict[str, Any] = shared_schema() if options.shared else catalogue_schema()
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return 0
