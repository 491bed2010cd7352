"""Scenario files: settings, a clock and faults in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from dmf_emulator.faults import CATALOGUE
from dmf_emulator.faults.fault_set import FaultSet
from dmf_emulator.faults.rules import FaultRule
from dmf_emulator.settings import EmulatorError
from dmf_emulator.state.projects import SOURCE_FORMATS, Project, ProjectEntity

_FAULT_KEYS = {"fault", "mode", "match", "times", "after", "request_index", "probability", "per", "parameters"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a scenario file asks for.

    :param settings: plain values by name of `Settings`.
    :param clock: virtual time at the start, None for the real one.
    :param projects: data projects that are there besides the seeded ones, or in place of those of the same name.
    :param faults: arguments for `FaultSet.add`, in order.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    clock: datetime | None = None
    faults: tuple[Mapping[str, Any], ...] = ()
    projects: tuple[Project, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Scenario:
        """Read a scenario file.

        :param path: a YAML file.
        :raises EmulatorError: when it cannot be read or asks for something unknown.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise EmulatorError(f"cannot read scenario {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise EmulatorError(f"scenario {path} is no UTF-8 text") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f" line {mark.line + 1}" if mark is not None else ""
            problem = str(getattr(error, "problem", None) or "it cannot be parsed")
            raise EmulatorError(f"scenario {path}{where} is no valid YAML: {problem}") from error
        try:
            scenario = cls.parse({} if content is None else content)
            return replace(scenario, settings=_with_certificates(scenario.settings, path.parent))
        except EmulatorError as error:
            raise EmulatorError(f"scenario {path}: {error}") from error

    @classmethod
    def parse(cls, content: object) -> Scenario:
        """Check the content of a scenario.

        :param content: the parsed YAML or JSON.
        :raises EmulatorError: for anything unknown or impossible.
        """
        if not isinstance(content, dict):
            raise EmulatorError("a scenario is a mapping with settings, projects, clock and faults")
        unknown = set(content) - {"settings", "projects", "clock", "faults"}
        if unknown:
            raise EmulatorError(
                f"unknown key {sorted(map(str, unknown))[0]!r}: a scenario has settings, projects, clock and faults"
            )
        settings = {} if content.get("settings") is None else content["settings"]
        faults = [] if content.get("faults") is None else content["faults"]
        lists = (faults, content.get("projects") or [])
        if not isinstance(settings, dict) or not all(isinstance(each, list) for each in lists):
            raise EmulatorError("settings must be a mapping, projects and faults a list")
        scenario = cls(
            settings={str(name): value for name, value in settings.items()},
            clock=_moment(content.get("clock")),
            projects=tuple(
                _project(number, each) for number, each in enumerate(content.get("projects") or [], start=1)
            ),
            faults=tuple(_fault(number, each) for number, each in enumerate(faults, start=1)),
        )
        # Unknown names must be found now, not when the file is half applied.
        scenario.switch_on(FaultSet(CATALOGUE, 0))
        return scenario

    def switch_on(self, faults: FaultSet) -> None:
        """Switch the scenario's faults on, in order.

        :raises EmulatorError: when one of them is unknown or impossible.
        """
        for number, each in enumerate(self.faults, start=1):
            try:
                switch_on_entry(faults, each)
            except EmulatorError as error:
                raise EmulatorError(f"fault {number}: {error}") from error


def switch_on_entry(faults: FaultSet, entry: Mapping[str, Any]) -> FaultRule:
    """Switch one fault on as a scenario or the admin API writes it.

    :param entry: `fault` and any of `mode`, `match`, `times`, `after`, `request_index`, `probability`, `per` and
        `parameters`.
    :raises EmulatorError: when it is unknown or impossible.
    """
    name = entry.get("fault")
    if not isinstance(name, str):
        raise EmulatorError("a fault is a mapping with the key fault")
    unknown = set(entry) - _FAULT_KEYS
    if unknown:
        raise EmulatorError(f"unknown key {min(map(str, unknown))!r}; a fault has {', '.join(sorted(_FAULT_KEYS))}")
    for key in ("match", "parameters"):
        value = entry.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value):
            raise EmulatorError(f"{key} must be a mapping")
    parameters = entry.get("parameters", {})
    reserved = sorted((_FAULT_KEYS | {"name"}) & set(parameters))
    if reserved:
        raise EmulatorError(f"{reserved[0]} is no parameter: write it beside fault, not below parameters")
    arguments = {key: value for key, value in entry.items() if key not in {"fault", "parameters"}}
    return faults.add(name, **arguments, **parameters)


def _project(number: int, entry: object) -> Project:
    """Read a data project: name, entities and, seldom, operation_type and description."""
    known = {"name", "entities", "operation_type", "description"}
    if not isinstance(entry, dict) or set(entry) - known or not isinstance(entry.get("name"), str):
        raise EmulatorError(f"project {number}: a project has a name, entities, operation_type and description")
    entities = entry.get("entities", [])
    if not isinstance(entities, list):
        raise EmulatorError(f"project {number}: entities are a list")
    return Project(
        entry["name"],
        tuple(_entity(number, each) for each in entities),
        operation_type=str(entry.get("operation_type", "Export")),
        description=str(entry.get("description", "")),
    )


def _entity(number: int, entry: object) -> ProjectEntity:
    if isinstance(entry, str):
        entry = {"name": entry}
    known = {"name", "target_entity", "source_format", "refresh_type", "auto_generate_mapping"}
    if not isinstance(entry, dict) or set(entry) - known or not isinstance(entry.get("name"), str):
        raise EmulatorError(f"project {number}: an entity has a name and any of {', '.join(sorted(known - {'name'}))}")
    target = "".join(filter(str.isalnum, entry["name"])) + "Entity"
    values: dict[str, Any] = {"target_entity": target, "source_format": "EXCEL", "auto_generate_mapping": True, **entry}
    for key, value in values.items():
        if not isinstance(value, bool if key == "auto_generate_mapping" else str):
            raise EmulatorError(f"project {number}: {key} of an entity cannot be {value!r}")
    if values["source_format"] not in SOURCE_FORMATS:
        raise EmulatorError(f"project {number}: the source_format of an entity is one of {', '.join(SOURCE_FORMATS)}")
    return ProjectEntity(**values)


def _with_certificates(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Read the client certificates that the settings name as files beside the scenario."""
    names = settings.get("client_certificates", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise EmulatorError("client_certificates is a list of PEM files")
    try:
        pems = tuple((folder / name).read_bytes() for name in names)
    except OSError as error:
        raise EmulatorError(f"cannot read the client certificate {error.filename}: {error.strerror}") from error
    return {**settings, "client_certificates": pems} if names else dict(settings)


def _fault(number: int, entry: object) -> Mapping[str, Any]:
    if isinstance(entry, str):
        return {"fault": entry}
    if not isinstance(entry, dict):
        raise EmulatorError(f"fault {number}: write a name, or a mapping with the key fault")
    return entry


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise EmulatorError(f"clock {value!r} is no time: write 2026-11-22T00:00:00Z") from error
    if isinstance(value, datetime):
        # YAML turns an aware time into UTC and drops the zone.
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise EmulatorError(f"clock {value!r} is no time: write 2026-11-22T00:00:00Z")
