"""A Logic App, as a workflow definition or inside of an ARM template, and a Data Factory pipeline: both are JSON that
calls ``ExportToPackage`` somewhere.

Shapes: learn.microsoft.com ``/azure/logic-apps/logic-apps-workflow-definition-language`` and
``/azure/data-factory/control-flow-web-activity``; Microsoft's sample ``d365_to_oneDrive_logic_app``
(github.com/microsoft/Dynamics-AX-Integration).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from talent_dmf.cli.migration.model import FoundExport, objects
from talent_dmf.cli.migration.recurrences import cron_of_recurrence

_PARAMETER = re.compile(
    r"^@?\{?\[?\s*(?:pipeline\(\)\.parameters\.(?P<pipeline>\w+)|parameters\('(?P<name>[^']+)'\))\s*\]?\}?$"
)
_EXPRESSION = re.compile(r"^\s*(@|\[)")
# What Windows calls a time zone, for those that people of this job used most; others are named in a note.
# Source: Unicode CLDR, windowsZones.xml.
_ZONES = {
    "utc": "UTC", "w. europe standard time": "Europe/Berlin", "romance standard time": "Europe/Paris",
    "central europe standard time": "Europe/Budapest", "gmt standard time": "Europe/London",
    "eastern standard time": "America/New_York", "central standard time": "America/Chicago",
    "mountain standard time": "America/Denver", "pacific standard time": "America/Los_Angeles",
    "aus eastern standard time": "Australia/Sydney", "india standard time": "Asia/Kolkata",
    "china standard time": "Asia/Shanghai", "tokyo standard time": "Asia/Tokyo",
    "singapore standard time": "Asia/Singapore", "arabian standard time": "Asia/Dubai",
}  # fmt: skip


def exports_in(document: Any, parameters: Mapping[str, Any]) -> list[FoundExport]:
    """The exports that a workflow or pipeline runs.

    :param document: the JSON document.
    :param parameters: values of an ARM template's parameters file.
    """
    values = {**_defaults(document), **parameters}
    found = []
    for each in objects(document):
        body = _body(each)
        if body is not None and _calls(each, "ExportToPackage"):
            found.append(_export(body, values))
    for export in found:
        _add_destination(export, document, values)
        _add_schedule(export, document)
        _add_what_is_left(export, document)
    return found


def _calls(action: dict[str, Any], name: str) -> bool:
    inputs = action.get("inputs") or action.get("typeProperties")
    if not isinstance(inputs, dict):
        return False
    request = inputs.get("body") or {}
    # The HTTP with Azure AD connector puts the address into its body, the F&O connector into its path.
    places = [inputs.get("uri"), inputs.get("path"), inputs.get("url")]
    places += [request.get("url")] if isinstance(request, dict) else []
    return any(name in json.dumps(place) for place in places if place)


def _body(action: dict[str, Any]) -> dict[str, Any] | None:
    inputs = action.get("inputs") or action.get("typeProperties")
    body: Any = inputs.get("body") if isinstance(inputs, dict) else None
    if isinstance(body, dict) and isinstance(body.get("body"), str | dict):
        body = body["body"]
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            return None
    return body if isinstance(body, dict) and "definitionGroupId" in body else None


def _export(body: dict[str, Any], values: Mapping[str, Any]) -> FoundExport:
    notes: list[str] = []
    project = _resolved(body.get("definitionGroupId"), values, "data_project", notes)
    company = _resolved(body.get("legalEntityId"), values, "legal_entities", notes)
    package = _resolved(body.get("packageName"), values, "", notes)
    export = FoundExport(project, [company.upper()] if company else [], notes=notes)
    if package.lower().endswith(".zip"):
        export.keys["package_name"] = package
    return export


def _resolved(value: Any, values: Mapping[str, Any], key: str, notes: list[str]) -> str:
    text = str(value or "").strip()
    match = _PARAMETER.match(text)
    if match:
        text = str(values.get(match["pipeline"] or match["name"]) or "")
        if not text and key:
            notes.append(
                f"`{key}` is the parameter {match['pipeline'] or match['name']!r}, which has no value: set it."
            )
        # A parameter may name another, as the ARM template of a workflow does.
        return _resolved(text, {}, key, notes) if _PARAMETER.match(text) else text
    if _EXPRESSION.match(text):
        if key:
            notes.append(f"`{key}` is computed when the workflow runs: set it.")
        return ""
    return text


def _add_destination(export: FoundExport, document: Any, values: Mapping[str, Any]) -> None:
    for each in objects(document):
        inputs = each.get("inputs")
        if not isinstance(inputs, dict) or str(inputs.get("method")).lower() != "post":
            continue
        queries = inputs.get("queries")
        if not (isinstance(queries, dict) and "folderPath" in queries):
            continue
        folder = _resolved(queries.get("folderPath"), values, "folder", export.notes).strip("/")
        if folder:
            export.keys["folder"] = folder
        name = str(queries.get("name") or "")
        if name and not _EXPRESSION.match(name):
            export.notes.append(
                f"The file was always called {name!r}, so that each run replaced the last one. `file_name` now keeps "
                "runs apart; for the old way set file_name and conflict_behavior: replace."
            )
        return
    export.notes.append("No step saves a file in OneDrive: set `folder` or `destination`.")


def _add_schedule(export: FoundExport, document: Any) -> None:
    for each in objects(document):
        recurrence = each.get("recurrence")
        if isinstance(recurrence, dict) and recurrence.get("frequency"):
            cron, notes = cron_of_recurrence(recurrence)
            export.notes += notes
            if cron:
                export.keys["schedule"] = {"cron": cron, "timezone": _zone(recurrence, export.notes)}
            return
    export.notes.append("No recurrence was found: the export runs by hand until `schedule` is set.")


def _zone(recurrence: Mapping[str, Any], notes: list[str]) -> str:
    name = str(recurrence.get("timeZone") or "UTC")
    zone = _ZONES.get(name.lower())
    if zone is None and "/" in name:
        return name
    if zone is None:
        notes.append(f"The time zone {name!r} has no known IANA name here: set `schedule.timezone`.")
    return zone or "UTC"


def _add_what_is_left(export: FoundExport, document: Any) -> None:
    text = json.dumps(document)
    if "/Mail" in text or "office365" in text:
        export.notes.append("Mails of the workflow are not carried over: add `notify`.")
    others = sorted({
        name
        for each in objects(document)
        for name, action in (each.get("actions") or {}).items()
        if isinstance(action, dict) and action.get("type") in {"Workflow", "Function", "ServiceProvider"}
    } if isinstance(document, dict) else set())  # fmt: skip
    if others:
        export.notes.append(f"Further steps are not carried over: {', '.join(others)}.")


def _defaults(document: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for each in objects(document):
        for name, about in (each.get("parameters") or {}).items() if isinstance(each.get("parameters"), dict) else ():
            value = about.get("defaultValue", about.get("value")) if isinstance(about, dict) else None
            if isinstance(value, str | int) and not _PARAMETER.match(str(value)):
                values.setdefault(name, value)
    return values
