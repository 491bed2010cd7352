"""Connections that point at a running emulator, made from a template and the facts that the emulator writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

from .processes import StackError


def load_connections(template_path: Path, facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the connections of a template with its placeholders filled.

    :param template_path: JSON in the form of `airflow connections import`, with `${name}` placeholders.
    :param facts: values by name: what the emulator wrote when it was ready. For each `…_url` there is a `…_host` too,
        which is the name of the host alone.
    :raises StackError: when the template cannot be read or asks for an unknown name.
    """

    hosts = {
        f"{name.removesuffix('_url')}_host": urlsplit(str(value)).hostname
        for name, value in facts.items()
        if name.endswith("_url")
    }
    values = {**hosts, **facts}

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            return Template(value).substitute(values)
        if isinstance(value, dict):
            return {name: fill(part) for name, part in value.items()}
        return value

    try:
        template = json.loads(template_path.read_text(encoding="utf-8"))
        return {conn_id: fill(fields) for conn_id, fields in template.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise StackError(f"{template_path} is no connections template; correct it: {error}.") from error
    except KeyError as error:
        raise StackError(
            f"{template_path} asks for {error}, which the emulator does not tell. "
            f"Use one of {', '.join(sorted(facts))}."
        ) from error


def with_extra_as_text(connections: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the connections as the REST API takes them: `extra` is JSON within a string there.

    :param connections: as `load_connections` gives them.
    """
    return {
        conn_id: {**fields, "extra": json.dumps(fields.get("extra", {}))} for conn_id, fields in connections.items()
    }
