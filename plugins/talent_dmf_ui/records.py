"""What earlier runs have left in JSON columns, read with suspicion.

A run of another version, a run of somebody else's DAG and a person with the REST API write the same columns. What does
not have the expected shape is unknown, which is ``None``; it is never zero and never an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Longer texts are not parsed: a package has some dozens of entities, so its record has some kilobytes.
MAX_JSON_CHARS = 500_000
MAX_TEXT_CHARS = 300
MAX_SENTENCE_CHARS = 1000
MAX_ENTITIES = 50
MAX_FILES = 50
MAX_COMPANIES = 200
MAX_TOLD = 20


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity of a package: its name and how many rows of it were exported."""

    name: str
    rows: int | None


@dataclass(frozen=True, slots=True)
class Package:
    """What the asset event of a saved package says.

    :param name: name of the file, or of the folder if data files were saved instead of the package.
    :param url: its address for a browser.
    :param size_bytes: its size.
    :param rows: rows of all entities.
    :param entities: the entities.
    :param company: legal entity.
    :param project: data project.
    """

    name: str | None = None
    url: str | None = None
    folder_url: str | None = None
    size_bytes: int | None = None
    rows: int | None = None
    entities: tuple[Entity, ...] = ()
    company: str | None = None
    project: str | None = None
    execution_id: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """Somebody who was told of a failure.

    :param channel: how, such as ``mail``.
    :param target: who or where.
    :param at: when, in ISO 8601.
    :param delivered: whether it arrived, as far as is known.
    """

    channel: str | None
    target: str
    at: str | None
    delivered: bool


@dataclass(frozen=True, slots=True)
class Parameters:
    """The defaults of an export's trigger form, which its catalogue file gives.

    :param project: data project.
    :param companies: legal entities.
    :param place: folder of the drive, or URL of a folder in an object store.
    :param timezone: of the schedule.
    """

    project: str | None = None
    companies: tuple[str, ...] = ()
    place: str | None = None
    timezone: str | None = None


def parse(text: object) -> Any:
    """Read a JSON column; ``None`` if it cannot be read.

    :param text: as the database holds it.
    """
    if not isinstance(text, str) or len(text) > MAX_JSON_CHARS:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def package(text: object) -> Package:
    """Read the ``extra`` of an asset event.

    :param text: the column.
    """
    extra = _object(parse(text))
    return Package(
        name=text_of(extra.get("name")),
        url=web_address(extra.get("web_url")),
        folder_url=web_address(extra.get("folder_url")),
        size_bytes=count(extra.get("size")),
        rows=count(extra.get("rows")),
        entities=tuple(_entities(extra.get("entities"))),
        company=text_of(extra.get("legal_entity")),
        project=text_of(extra.get("data_project")),
        execution_id=text_of(extra.get("execution_id")),
    )


def told(text: object) -> tuple[Told, ...] | None:
    """Read the XCom ``notified``: a list of ``{"channel", "target", "at"}``; ``None`` if it is something else.

    :param text: the column.
    """
    entries = parse(text)
    if not isinstance(entries, list):
        return None
    found = []
    for entry in entries[:MAX_TOLD]:
        fields = _object(entry)
        target = text_of(fields.get("target"))
        if target is None:
            return None
        delivered = fields.get("delivered", True) is not False and not fields.get("error")
        found.append(Told(text_of(fields.get("channel")), target, text_of(fields.get("at")), delivered))
    return tuple(found)


def parameters(params: object, timetable: object) -> Parameters:
    """Read the parameters and the timetable of a serialized DAG.

    :param params: its ``params``: pairs of a name and a serialized ``Param``.
    :param timetable: its ``timetable``.
    """
    defaults: dict[str, Any] = {}
    for pair in params if isinstance(params, list) else ():
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str):
            defaults[pair[0]] = _object(pair[1]).get("default")
    companies = defaults.get("legal_entities")
    if isinstance(companies, dict):  # a list may be wrapped in its type
        companies = companies.get("__var")
    if not isinstance(companies, list):
        companies = [defaults.get("legal_entity")]
    return Parameters(
        project=text_of(defaults.get("data_project")),
        companies=tuple(company_codes(companies)),
        place=text_of(defaults.get("destination")) or text_of(defaults.get("folder")),
        timezone=text_of(_object(_object(timetable).get("__var")).get("timezone")),
    )


def company_codes(values: object) -> Iterator[str]:
    """The company codes of a list.

    :param values: what should be such a list.
    """
    for value in values[:MAX_COMPANIES] if isinstance(values, list) else ():
        code = text_of(value)
        if code:
            yield code


def text_of(value: object, *, longest: int = MAX_TEXT_CHARS) -> str | None:
    """A text that is not empty, cut to a bearable length, or ``None``.

    :param value: what should be a text.
    :param longest: its greatest length in characters.
    """
    if not isinstance(value, str) or not value.strip():
        return None
    return value if len(value) <= longest else value[: longest - 1] + "…"


def count(value: object) -> int | None:
    """A number of something, or ``None``; ``True`` is no number, and nothing is there a negative number of times.

    :param value: what should be such a number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return int(value)


def web_address(value: object) -> str | None:
    """A link that a browser may follow: ``https`` and nothing that runs, or ``None``.

    :param value: what should be an address.
    """
    if not isinstance(value, str) or len(value) > 4096 or not value.lower().startswith("https://"):
        return None
    return None if any(ord(character) < 33 for character in value) else value


def _entities(values: object) -> Iterator[Entity]:
    for value in values[:MAX_ENTITIES] if isinstance(values, list) else ():
        fields = _object(value)
        name = text_of(fields.get("entity"))
        if name:
            yield Entity(name, count(fields.get("rows")))


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
