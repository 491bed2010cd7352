"""``talent-dmf migrate``: catalogue files from the definitions of other tools, and a list of what is left to do."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.catalogue.located_yaml import CatalogueError
from talent_dmf.cli.migration.logic_app import exports_in
from talent_dmf.cli.migration.model import FoundExport
from talent_dmf.cli.migration.scheduler_jobs import exports_in_json, exports_in_xml
from talent_dmf.cli.output import Output
from talent_dmf.cli.yaml_text import catalogue_text, export_name, write_catalogue_file

_MAX_BYTES = 16 * 1024 * 1024


def migrate(options: argparse.Namespace, output: Output) -> int:
    """Write a catalogue file for each export that the given definitions run.

    :returns: 0 if a file was written for each export, 1 if one lacks what only a person knows.
    """
    parameters = _parameters(options.parameters)
    exports = [(path, export) for path in options.files for export in _exports(path, parameters)]
    if not exports:
        raise ConfigurationError("None of the files calls ExportToPackage; nothing was written. Choose other files.")
    results, complete = [], True
    for source, export in exports:
        result = _write(export, options)
        complete = complete and result["path"] is not None
        results.append({"source": str(source), **result})
        output.line(f"{source}: {result['path'] or 'nothing was written'}")
        for note in result["notes"]:
            output.line(f"  - {note}")
    output.result({"exports": results})
    return 0 if complete else 1


def _exports(path: Path, parameters: dict[str, Any]) -> list[FoundExport]:
    text = _text(path)
    if text.lstrip().startswith("<"):
        return exports_in_xml(text, str(path))
    document = _json(path, text)
    return exports_in(document, parameters) or exports_in_json(document)


def _write(export: FoundExport, options: argparse.Namespace) -> dict[str, Any]:
    if not export.project or not export.companies:
        lacking = "data_project" if not export.project else "legal_entities"
        return {"path": None, "notes": [*export.notes, f"Without `{lacking}` no file can be written."]}
    keys = {
        "data_project": export.project,
        "legal_entities": export.companies if len(export.companies) > 1 else export.companies[0],
        **export.keys,
    }
    comments = ["", "To look at, as it could not be carried over:", *export.notes] if export.notes else []
    try:
        path = write_catalogue_file(
            options.output, export_name(export.project), catalogue_text(keys, comments), replace=options.force
        )
    except CatalogueError as error:
        return {"path": None, "notes": [*export.notes, *str(error).splitlines()]}
    return {"path": str(path), "notes": export.notes}


def _parameters(path: Path | None) -> dict[str, Any]:
    document = {} if path is None else _json(path, _text(path))
    found = document.get("parameters") if isinstance(document, dict) else None
    return {
        name: about["value"] for name, about in (found or {}).items() if isinstance(about, dict) and "value" in about
    }


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigurationError(
                f"{str(path)!r} has more than 16 MiB, which no definition has; choose another file."
            )
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(
            f"{str(path)!r} cannot be read ({error.strerror}); correct that, or choose another file."
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{str(path)!r} is not a text in UTF-8; save it as one.") from None


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{str(path)!r} is neither readable JSON nor XML; choose another file.") from error
