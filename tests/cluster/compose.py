"""Reads compose files as `docker compose` does, as far as this project's files go: there is no engine to ask.

Anchors, several files, `extends`, `!reset` and the variables are those of the Compose Specification.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<braced>\w+)(?:(?P<how>:?[-?])(?P<text>[^{}]*))?\}|(?P<plain>\w+))")
_DURATION = re.compile(r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m(?!s))?(?:(?P<s>\d+)s)?(?:(?P<ms>\d+)ms)?")
# Lists that further files add to; the others replace.
_GROWING = frozenset({"volumes", "ports", "tmpfs", "secrets", "cap_add", "cap_drop", "security_opt"})


class ComposeError(Exception):
    """What `docker compose` would refuse."""


class _Reset:
    """A value that a further file takes away."""


class _Loader(yaml.SafeLoader):
    pass


class _Override(list[Any]):
    """A list that a further file puts in the place of another."""


_Loader.add_constructor("!reset", lambda _loader, _node: _Reset())
_Loader.add_constructor("!override", lambda loader, node: _Override(loader.construct_sequence(node)))


@dataclass(frozen=True)
class Mount:
    """What is mounted where.

    :param source: a volume's name, or an absolute path.
    :param target: path in the container.
    :param read_only: whether it cannot be written to.
    """

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True)
class HealthCheck:
    """A health check; times in seconds.

    :param command: what is run in the container.
    :param interval: pause between two checks.
    :param timeout: after which a check has failed.
    :param retries: failures in a row that make a container unhealthy.
    :param start_period: within which failures do not count.
    :param start_interval: pause between two checks within it.
    """

    command: tuple[str, ...]
    interval: float
    timeout: float
    retries: int
    start_period: float
    start_interval: float


@dataclass(frozen=True)
class Service:
    """A service with all variables filled in."""

    name: str
    image: str
    user: str
    entrypoint: tuple[str, ...] | None
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: Sequence[Mount]
    tmpfs: Sequence[str]
    secrets: Mapping[str, Path]
    read_only: bool
    restart: str
    depends_on: Mapping[str, str]
    health_check: HealthCheck | None
    ports: Sequence[str]
    stop_grace_seconds: float
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Project:
    """All services of one or more compose files."""

    name: str
    services: Mapping[str, Service]
    volumes: frozenset[str]
    raw: Mapping[str, Any] = field(repr=False)


def seconds(text: str) -> float:
    """Return a duration as the specification writes it, such as "1m30s".

    :param text: the duration.
    """
    match = _DURATION.fullmatch(str(text))
    if not text or match is None:
        raise ComposeError(f"{text!r} is no duration")
    units = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
    return sum(int(value) * units[unit] for unit, value in match.groupdict().items() if value)


def fill_in(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with its variables replaced.

    :param text: with `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:?message}` or `$$`.
    :param variables: their values.
    :raises ComposeError: when a required one is missing.
    """

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name = match["braced"] or match["plain"]
        how, found = match["how"] or "", variables.get(name)
        missing = found is None or (how.startswith(":") and not found)
        if not missing:
            return str(found)
        if how.endswith("?"):
            raise ComposeError(f"required variable {name} is missing a value: {match['text']}")
        return match["text"] or ""

    return _VARIABLE.sub(value, text)


def _fill_all(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return fill_in(value, variables)
    if isinstance(value, dict):
        return {key: _fill_all(part, variables) for key, part in value.items()}
    if isinstance(value, list):
        return type(value)(_fill_all(part, variables) for part in value)
    return value


def _merged(base: Any, over: Any, key: str = "") -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        result = dict(base)
        for name, value in over.items():
            if isinstance(value, _Reset):
                result.pop(name, None)
            else:
                result[name] = _merged(base[name], value, name) if name in base else _without_resets(value)
        return result
    if isinstance(base, list) and isinstance(over, list) and key in _GROWING and not isinstance(over, _Override):
        return base + over
    return over


def _without_resets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_resets(part) for key, part in value.items() if not isinstance(part, _Reset)}
    return value


def _read(path: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    # Only the values that are the project's own nodes are trusted: the loader is YAML's safe one.
    text: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    document = {key: value for key, value in _fill_all(text, variables).items() if not key.startswith("x-")}
    for name, service in document.get("services", {}).items():
        if extended := service.pop("extends", None):
            other = _read(path.parent / extended["file"], variables)["services"][extended["service"]]
            document["services"][name] = _merged(other, service)
    return document


def _words(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    return tuple(shlex.split(value) if isinstance(value, str) else [str(each) for each in value])


def _mount(text: str, folder: Path) -> Mount:
    source, target, *options = text.split(":")
    if source.startswith((".", "/")):
        source = str((folder / source).resolve())
    return Mount(source, target, "ro" in options)


def _health_check(raw: Mapping[str, Any] | None) -> HealthCheck | None:
    if raw is None:
        return None
    kind, *rest = raw["test"]
    command = ("/bin/sh", "-c", *rest) if kind == "CMD-SHELL" else tuple(rest)
    return HealthCheck(
        command,
        interval=seconds(raw.get("interval", "30s")),
        timeout=seconds(raw.get("timeout", "30s")),
        retries=int(raw.get("retries", 3)),
        start_period=seconds(raw.get("start_period", "0s")),
        start_interval=seconds(raw.get("start_interval", "5s")),
    )


def _service(name: str, raw: Mapping[str, Any], folder: Path, secrets: Mapping[str, Path]) -> Service:
    environment = raw.get("environment") or {}
    return Service(
        name=name,
        image=raw["image"],
        user=str(raw.get("user", "")),
        entrypoint=_words(raw.get("entrypoint")),
        command=_words(raw.get("command")) or (),
        environment={key: str(value) for key, value in environment.items() if value is not None},
        mounts=[_mount(text, folder) for text in raw.get("volumes") or ()],
        tmpfs=list(raw.get("tmpfs") or ()),
        secrets={each: secrets[each] for each in raw.get("secrets") or ()},
        read_only=bool(raw.get("read_only")),
        restart=str(raw.get("restart", "no")),
        depends_on={each: how["condition"] for each, how in (raw.get("depends_on") or {}).items()},
        health_check=_health_check(raw.get("healthcheck")),
        ports=list(raw.get("ports") or ()),
        stop_grace_seconds=seconds(raw.get("stop_grace_period", "10s")),
        raw=raw,
    )


def load(paths: Sequence[Path], variables: Mapping[str, str]) -> Project:
    """Return the project of some compose files, the later ones over the earlier ones.

    :param paths: the files; relative paths in them are relative to the first one's folder.
    :param variables: what `.env` and the environment hold.
    :raises ComposeError: for what `docker compose` would refuse.
    """
    document: dict[str, Any] = {}
    for path in paths:
        document = _merged(document, _read(path, variables))
    folder = paths[0].parent
    secrets = {name: (folder / each["file"]).resolve() for name, each in (document.get("secrets") or {}).items()}
    services = {name: _service(name, raw, folder, secrets) for name, raw in document["services"].items()}
    project = Project(document["name"], services, frozenset(document.get("volumes") or ()), document)
    for problem in _problems(project):
        raise ComposeError(problem)
    return project


def _problems(project: Project) -> Iterator[str]:
    for service in project.services.values():
        for other, condition in service.depends_on.items():
            if other not in project.services:
                yield f"service {service.name} depends on undefined service {other}"
            elif condition == "service_healthy" and project.services[other].health_check is None:
                yield f"service {service.name} waits for the health of {other}, which has no health check"
        for mount in service.mounts:
            if not mount.source.startswith("/") and mount.source not in project.volumes:
                yield f"service {service.name} refers to undefined volume {mount.source}"


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of an `.env` file.

    :param path: the file.
    """
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}
