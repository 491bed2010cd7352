"""Catalogue files as people write them: keys in a useful order, comments that say what could be added."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from talent_dmf.api.errors import ConfigurationError

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 _./{}()-]*[A-Za-z0-9})]|[A-Za-z]")
# What YAML 1.1 reads as something else than a text. The catalogue does not, but people's editors may.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def export_name(project: str) -> str:
    """The name of the export for a data project: a file name, and a part of the DAG's id.

    :param project: name of the data project, such as ``Export Workers``.
    """
    words = re.sub(r"[^a-z0-9]+", "_", project.lower()).strip("_")
    words = re.sub(r"^(export_)+", "", words) or "export"
    return (words if words[0].isalpha() else f"export_{words}")[:64].rstrip("_")


def catalogue_text(keys: Mapping[str, Any], comments: Sequence[str] = ()) -> str:
    """A catalogue file.

    :param keys: its keys, with text, list or mapping as value; empty ones are left out.
    :param comments: lines for the end, each behind a ``#``.
    """
    lines = [f"{key}: {_value(value)}" for key, value in keys.items() if value not in (None, "", [], {})]
    lines += [f"# {comment}".rstrip() for comment in comments]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS and "{" not in text
    # A JSON text is a double-quoted YAML text.
    return text if plain else json.dumps(text, ensure_ascii=False)


def write_catalogue_file(folder: Path, name: str, text: str, *, replace: bool) -> Path:
    """Write a catalogue file and check that the catalogue reads it.

    :param folder: the catalogue.
    :param name: name of the export.
    :param text: content.
    :param replace: whether a file of that name may be replaced.
    :raises ConfigurationError: the file exists, or cannot be written.
    :raises CatalogueError: the catalogue does not accept it; nothing is left behind.
    """
    from talent_dmf.catalogue.loading import load_export

    path = folder / f"{name}.yaml"
    if path.exists() and not replace:
        raise ConfigurationError(f"{str(path)!r} exists already; give --force to replace it.")
    checked = folder / f".checking/{name}.yaml"
    try:
        checked.parent.mkdir(parents=True, exist_ok=True)
        checked.write_text(text, encoding="utf-8")
        load_export(checked)
        checked.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"{str(path)!r} cannot be written ({error.strerror}); choose another folder."
        ) from None
    finally:
        checked.unlink(missing_ok=True)
        if checked.parent.is_dir():
            checked.parent.rmdir()
    return path
