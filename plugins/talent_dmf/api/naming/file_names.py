"""Names of saved files: built so that backfills, re-runs and legal entities never share one."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.naming.drive_names import check_name, safe_name

DEFAULT_FILE_NAME = "{project}_{legal_entity}_{interval}_{extracted}.zip"
PLACEHOLDERS: Mapping[str, str] = {
    "project": "name of the data project",
    "legal_entity": "company code",
    "interval": "start of the run's data interval, or `manual` if it has none, or none but what the form filled in",
    "extracted": "time at which the package was made, UTC, to the second",
    "execution_id": "id of the export in Dynamics 365",
    "run": "id of the DAG run",
}
DEFAULT_UNPACK_NAME = "{project}_{legal_entity}_{interval}_{extracted}_{entity}{suffix}"
UNPACK_PLACEHOLDERS: Mapping[str, str] = {
    **PLACEHOLDERS,
    "entity": "label of the entity",
    "stem": "name of the data file in the package, without its suffix",
    "suffix": "suffix of the data file in the package, such as `.xlsx`",
}
# As a regular expression, which the trigger form knows too: one of these keeps the files of legal entities apart.
OF_ONE_COMPANY = r"\{(legal_entity|execution_id)\}"

# safe_name keeps what OneDrive allows; these two still need escaping in links (docs/wire/graph-onedrive.md#names).
_AWKWARD = re.compile(r"[#%]+")
# Longest name of one file in SharePoint's database; the whole path may have 400 characters.
MAX_NAME_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class FileNameFacts:
    """What the placeholders of a file name stand for.

    :param project: name of the data project.
    :param legal_entity: company code.
    :param execution_id: id of the export.
    :param run: id of the DAG run.
    :param interval_start: start of the run's data interval, aware; ``None`` for a run without one.
    :param extracted_at: when the package was made, aware.
    """

    project: str
    legal_entity: str
    execution_id: str
    run: str
    interval_start: datetime | None
    extracted_at: datetime

    def values(self) -> dict[str, str]:
        """The placeholders' values, fit for a file name."""
        values = {
            "project": self.project,
            "legal_entity": self.legal_entity,
            "interval": _moment(self.interval_start) if self.interval_start else "manual",
            "extracted": self.extracted_at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"),
            "execution_id": self.execution_id,
            "run": self.run,
        }
        return {name: part_of_name(value) for name, value in values.items()}


def part_of_name(text: str) -> str:
    """The part of a file name that comes closest to a text.

    :param text: any text.
    """
    return safe_name(_AWKWARD.sub("_", text))


def check_package_name(name: str) -> str:
    """A package's name as it is, if Dynamics 365 can give it to a file: the name of a zip archive, and no path.

    :param name: such as ``workers.zip``.
    :raises ConfigurationError: it does not end in .zip, or has nothing before.
    :raises DestinationError: no file can have it.
    """
    if not name.lower().endswith(".zip") or name.lower() == ".zip":
        raise ConfigurationError(
            f"Package name {name!r} must be a file name that ends in .zip, such as workers.zip, because the package is "
            "a zip archive."
        )
    check_name(name)
    return name


def check_file_name_template(template: str) -> str:
    """A template as it is, if it can make a file name.

    :param template: text with placeholders such as ``{legal_entity}``.
    :raises ConfigurationError: unknown placeholder or unbalanced braces.
    :raises DestinationError: OneDrive would refuse the name.
    """
    fill_template(template, dict.fromkeys(PLACEHOLDERS, "x"))
    return template


def check_unpack_name(template: str) -> str:
    """A template as it is, if it can name the files of a package.

    :param template: text with placeholders; see :data:`UNPACK_PLACEHOLDERS`.
    :raises ConfigurationError: unknown placeholder, or the same name for every file.
    :raises DestinationError: OneDrive would refuse the name.
    """
    fill_template(template, dict.fromkeys(UNPACK_PLACEHOLDERS, "x"))
    if "{entity}" not in template and "{stem}" not in template:
        raise ConfigurationError(
            f"Name {template!r} for unpacked files is the same for every entity; put {{entity}} or {{stem}} into it."
        )
    return template


def render_file_name(template: str, facts: FileNameFacts) -> str:
    """Fill the placeholders of a template.

    :param template: text with placeholders such as ``{legal_entity}``; see :data:`PLACEHOLDERS`.
    :param facts: what they stand for.
    :raises ConfigurationError: unknown placeholder, unbalanced braces, or too long.
    :raises DestinationError: OneDrive would refuse the name.
    """
    return fill_template(template, facts.values())


def fill_template(template: str, values: Mapping[str, str]) -> str:
    """Fill the placeholders of a template and check the name that comes out.

    :param template: text with placeholders.
    :param values: what each placeholder stands for, fit for a file name; no other is known.
    :raises ConfigurationError: unknown placeholder, unbalanced braces, or too long.
    :raises DestinationError: OneDrive would refuse the name.
    """
    allowed = ", ".join("{" + name + "}" for name in values)
    if "{{" in template or "{%" in template:
        raise ConfigurationError(
            f"File name {template!r} contains Jinja, which is not rendered here; use placeholders: {allowed}."
        )
    parts: list[str] = []
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigurationError(
            f"File name {template!r} has unbalanced braces; use placeholders like {allowed}."
        ) from error
    for text, field, form, conversion in pieces:
        parts.append(text)
        if field is None:
            continue
        if field not in values or form or conversion:
            unknown = field + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            raise ConfigurationError(
                f"File name {template!r} has the unknown placeholder {{{unknown}}}; use {allowed}."
            )
        parts.append(values[field])
    name = "".join(parts)
    if len(name) > MAX_NAME_CHARACTERS:
        raise ConfigurationError(
            f"File name {name[:60]!r}… has {len(name)} characters, and OneDrive accepts {MAX_NAME_CHARACTERS}; use "
            "fewer placeholders in `file_name`."
        )
    check_name(name)
    return name


def _moment(moment: datetime) -> str:
    moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%d" if moment.time() == time() else "%Y-%m-%dT%H%MZ")
