"""Export jobs of the Recurring Integrations Scheduler: ``Schedule.xml`` (Quartz), or the same as JSON.

Names of the keys: ``Common/Contracts/SettingsConstants.cs`` of github.com/microsoft/Recurring-Integrations-Scheduler.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.words import counted
from talent_dmf.cli.migration.model import FoundExport, objects
from talent_dmf.cli.migration.recurrences import cron_of_quartz

EXPORT_JOB = "RecurringIntegrationsScheduler.Job.Export"
_SECONDS_OF_A_MINUTE, _SECONDS_OF_AN_HOUR, _SECONDS_OF_A_DAY = 60, 3600, 86400


def exports_in_xml(text: str, name: str) -> list[FoundExport]:
    """The export jobs of a ``Schedule.xml``.

    :param text: its text.
    :param name: its file, for the message.
    :raises ConfigurationError: it is not readable XML.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ConfigurationError(
            f"{name!r} declares a document type, which no schedule of this tool does; choose another file."
        )
    try:
        root = ET.fromstring(text)  # noqa: S314 - a document type, which entities need, is refused above
    except (ET.ParseError, ValueError) as error:
        raise ConfigurationError(f"{name!r} is not readable XML ({error}); choose another file.") from None
    triggers = {_child(each, "job-name"): each for each in root.iter() if _tag(each) in {"cron", "simple"}}
    return [
        _export({_child(each, "key"): _child(each, "value") for each in job.iter() if _tag(each) == "entry"},
                triggers.get(_child(job, "name")))
        for job in root.iter()
        if _tag(job) == "job" and EXPORT_JOB in _child(job, "job-type")
    ]  # fmt: skip


def exports_in_json(document: Any) -> list[FoundExport]:
    """The export jobs of a JSON form of the same settings.

    :param document: the JSON document.
    """
    return [
        _export({key: str(value) for key, value in each.items() if isinstance(value, str | int | bool)}, None)
        for each in objects(document)
        if each.get("DataProject") and each.get("DownloadSuccessDir")
    ]


def _export(settings: Mapping[str, str], trigger: ET.Element | None) -> FoundExport:
    company = settings.get("Company", "").strip().upper()
    export = FoundExport(settings.get("DataProject", "").strip(), [company] if company else [])
    if not company:
        export.notes.append("`legal_entities` is not set in the job: set it.")
    if settings.get("UnzipPackage", "").lower() == "true":
        export.keys["unpack"] = "instead" if settings.get("DeletePackage", "").lower() == "true" else "beside"
    folder = settings.get("DownloadSuccessDir", "")
    export.notes.append(
        f"The job saved into {folder!r} on its own machine. Set `folder` for OneDrive, or `destination`, such as "
        "file:///data/exports."
    )
    if settings.get("AadClientId"):
        export.notes.append("Its client id and secret go into the Airflow connection, never into the catalogue.")
    cron, notes = _cron(trigger)
    export.notes += notes
    if cron:
        export.keys["schedule"] = {"cron": cron, "timezone": "UTC"}
        export.notes.append("The scheduler ran in the time zone of its machine: check `schedule.timezone`.")
    return export


def _cron(trigger: ET.Element | None) -> tuple[str | None, list[str]]:
    if trigger is None:
        return None, ["The job has no trigger: the export runs by hand until `schedule` is set."]
    if _tag(trigger) == "cron":
        return cron_of_quartz(_child(trigger, "cron-expression"))
    text = _child(trigger, "repeat-interval")
    seconds = int(text) // 1000 if re.fullmatch(r"\d{1,15}", text) else 0
    for unit, whole, form in (
        (_SECONDS_OF_A_DAY, 1, "0 0 * * *"),
        (_SECONDS_OF_AN_HOUR, 24, "0 */{} * * *"),
        (_SECONDS_OF_A_MINUTE, 60, "*/{} * * * *"),
    ):
        count = seconds // unit
        if seconds and seconds % unit == 0 and count <= whole and whole % count == 0:
            return form.format(count), []
    return None, [f"An interval of {counted(seconds, 'second')} has no cron expression: set `schedule`."]


def _tag(element: ET.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _child(element: ET.Element, name: str) -> str:
    return next(((each.text or "").strip() for each in element if _tag(each) == name), "")
