"""The JSON Schema of a catalogue file, made from the model that reads it, in the forms that people write."""

from __future__ import annotations

from typing import Any

from talent_dmf.catalogue.notify import channels_schema
from talent_dmf.catalogue.spec import KEYS_OF_ONE_EXPORT, ExportSpec

_DURATION = {
    "type": "string",
    "pattern": r"^\s*\d{1,6}\s*(s|min|h|d)\s*$",
    "examples": ["45 s", "30 min", "2 h", "1 d"],
    "description": "A number and a unit: s, min, h or d.",
}
_KEYS_OF_ONE_OR_MANY = ("legal_entities", "tags")
_DESCRIPTIONS = {
    "data_project": "Name of the data project, exactly as in Dynamics 365.",
    "legal_entities": "A company code or a list of them. Several are exported one after the other.",
    "description": "Shown in the list of DAGs.",
    "package_name": "File name that Dynamics 365 gives the package in its own storage; ends in .zip.",
    "schedule": "A cron expression of five fields, or cron, timezone and interval. Without it: by hand only.",
    "start_date": "No scheduled run before this date. Missed runs are not caught up.",
    "folder": "Folder below the root of the drive, such as Exports/Workers; made if missing.",
    "destination": "URL of a folder in another store, instead of OneDrive.",
    "destination_conn_id": "Connection to that store, if it needs one.",
    "file_name": "Name of the saved package, with placeholders.",
    "conflict_behavior": "If the name is taken: fail, replace (a new version) or rename (a number is added).",
    "drive": "Whose drive: exactly one of user, site, group and drive_id; for a site or group also library.",
    "receipt": "Save <name>.receipt.json beside the package: where it comes from, its size and hashes.",
    "unpack": "beside: the data files are saved as well; instead: only they are.",
    "unpack_name": "Names of the data files, with placeholders.",
    "keep_last": "Keep the newest so many exports and delete older ones; needs receipt.",
    "keep_days": "Keep exports of the last so many days; needs receipt.",
    "partial_success": "If some rows fail: fail, or accept the package without them.",
    "on_empty": "If the export holds no rows: save it, skip the rest of the run, or fail.",
    "busy": "If another execution of the project is running: wait for it, or fail.",
    "sla": "Promised time from queued to saved.",
    "time_limit": "How long the export may take before the run gives up waiting.",
    "transfer_time_limit": "How long one try of saving the file may take.",
    "poke_interval": "Longest pause between two looks at the status.",
    "retries": "Further tries of each task after trouble that may pass.",
    "retry_delay": "First pause between tries; it doubles.",
    "max_retry_delay": "Longest pause between tries.",
    "deferrable": "Wait in the triggerer instead of on a worker.",
    "incremental": "The project exports changes only: a backfill is refused unless its conf says so.",
    "check_package": "Check each file of the package while its bytes are on their way.",
    "pool": "Pool of the tasks.",
    "pool_slots": "Slots that `talent-dmf pools` gives the pool.",
    "environments": "What else holds in an environment of include/exports/_environments, by its name.",
    "owner": "Owner of the DAG.",
    "tags": "Tags of the DAG: one, or a list of them.",
    "notify": "Who is told when the export fails, is late, holds no rows or works again.",
    "talent_dmf_conn_id": "Connection to Dynamics 365.",
    "onedrive_conn_id": "Connection to Microsoft Graph.",
}


def catalogue_schema() -> dict[str, Any]:
    """The schema of an export's file, for ``yaml-language-server`` and editors that know it.

    :returns: a JSON Schema (draft 2020-12).
    """
    schema = _schema()
    part = {"type": "object", "properties": dict(schema["properties"]), "additionalProperties": False}
    schema.setdefault("$defs", {})["Environment"] = part
    schema["properties"]["environments"] = {
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/Environment"},
        "description": _DESCRIPTIONS["environments"],
    }
    return schema | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An export of Dynamics 365",
        "description": "One file of include/exports: what is exported, when, and where it is saved.",
        # What others share, or an environment, may say the rest.
        "required": ["data_project"],
    }


def shared_schema() -> dict[str, Any]:
    """The schema of a file that several exports share: ``_defaults.yaml``, ``_environments/NAME.yaml``.

    :returns: a JSON Schema (draft 2020-12).
    """
    schema = _schema()
    schema["properties"] = {key: value for key, value in schema["properties"].items() if key not in KEYS_OF_ONE_EXPORT}
    del schema["required"]
    return schema | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values for several exports of Dynamics 365",
        "description": "_defaults.yaml of a folder, or _environments/NAME.yaml.",
    }


def _schema() -> dict[str, Any]:
    schema = ExportSpec.model_json_schema()
    properties: dict[str, Any] = schema["properties"]
    notify = channels_schema()
    schema["$defs"] = schema.get("$defs", {}) | notify.pop("$defs")
    properties["notify"] = {"anyOf": [{"$ref": "#/$defs/Notify"}, notify]}
    # The file's own name is the export's.
    properties.pop("name")
    for part in (schema, *schema.get("$defs", {}).values()):
        part["properties"] = {key: _as_written(value) for key, value in part.get("properties", {}).items()}
    properties = schema["properties"]
    for key in _KEYS_OF_ONE_OR_MANY:
        if key in properties:
            properties[key] = {"anyOf": [{"type": "string", "minLength": 1}, _without(properties[key], "default")]}
    properties["schedule"] = {
        "anyOf": [
            {"type": "string", "examples": ["30 6 * * MON-FRI"]},
            {"$ref": "#/$defs/Schedule"},
            {"type": "null"},
        ]
    }
    for key, value in properties.items():
        if key in _DESCRIPTIONS:
            value["description"] = _DESCRIPTIONS[key]
    return schema


def _as_written(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("format") == "duration":
        return dict(_DURATION)
    return _without(value, "title")


def _without(value: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: each for name, each in value.items() if name != key}
