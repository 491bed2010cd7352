"""Values that the files of a catalogue share, and what holds for an export when several files say something.

From the weakest to the strongest: ``_defaults.yaml`` of each folder from the catalogue's own to the export's, the
export's file, ``_environments/NAME.yaml`` of each of these folders, and ``environments: {NAME: …}`` in the export's
file. NAME is the environment that the deployment has chosen. A key that is given again replaces the weaker one as a
whole.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from talent_dmf.catalogue.destinations import ONEDRIVE
from talent_dmf.catalogue.files import DEFAULTS_FILE
from talent_dmf.catalogue.located_yaml import CatalogueError, LocatedYaml, Place, shown

ENVIRONMENTS_FOLDER = "_environments"
# Key of an export's file: what else holds for it in an environment.
ENVIRONMENTS_KEY = "environments"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_STORE_KEYS = frozenset({"destination", "destination_conn_id"})
_DRIVE_KEYS = ("folder", "drive")


@dataclass(frozen=True)
class Layer:
    """The values of one file, or of one place in it.

    :param file: the file.
    :param values: what it gives, by key.
    :param at: where in the file they stand.
    :param wrong: keys whose values cannot be used.
    :param unclear: whether nobody knows what was meant, because the file cannot be read or has unknown keys.
    """

    file: LocatedYaml
    values: Mapping[str, Any]
    at: Place = ()
    wrong: frozenset[str] = frozenset()
    unclear: bool = False


# Says what is wrong with values that several exports share: pairs of a key, or None for one that nobody knows, and a
# sentence.
Check = Callable[[LocatedYaml, Mapping[str, Any]], Iterable[tuple[str | None, str]]]


class WithheldError(CatalogueError):
    """An export would run with other values than meant, because of a mistake in a file that others share as well.

    :param file: the file with the mistake.
    """

    def __init__(self, export: Path, file: Path) -> None:
        super().__init__(f"{shown(export)}: has no DAG until {shown(file)} is mended.")
        self.file = file


class SharedFiles:
    """The files of a catalogue that hold values for several exports; each is read once, when an export needs it.

    :param folder: the catalogue's.
    :param environment: the one that is chosen; empty for none.
    :param check: says what is wrong with such values.
    """

    def __init__(self, folder: Path, environment: str, check: Check) -> None:
        self.folder = folder
        self.environment = environment
        self.problems: dict[Path, CatalogueError] = {}
        self._check = check
        self._layer = cache(self._read)

    def environments(self) -> list[str]:
        """The environments that the catalogue knows: those with a file in the folder for them."""
        return sorted(path.stem for path in (self.folder / ENVIRONMENTS_FOLDER).glob("*.yaml"))

    def unknown_environment(self, name: str) -> str:
        """What is wrong with the name of an environment; empty if it is known.

        :param name: from a setting, or from a file.
        """
        known = self.environments()
        if name in known and _NAME.fullmatch(name):
            return ""
        file = shown(self.folder / ENVIRONMENTS_FOLDER / f"{name[:40]}.yaml")
        return f"there is no {file}; there {'are' if known[1:] else 'is'} {', '.join(known) or 'none'}"

    def below(self, path: Path) -> list[Layer]:
        """The layers below an export's own file, the weakest first.

        :param path: of the export.
        """
        return self._found(path, DEFAULTS_FILE)

    def above(self, path: Path) -> list[Layer]:
        """The layers above an export's own file, the weakest first.

        :param path: of the export.
        """
        return self._found(path, f"{ENVIRONMENTS_FOLDER}/{self.environment}.yaml") if self.environment else []

    def _found(self, path: Path, name: str) -> list[Layer]:
        inner = path.relative_to(self.folder).parent.parts
        folders = [self.folder.joinpath(*inner[:depth]) for depth in range(len(inner) + 1)]
        return [layer for folder in folders if (layer := self._layer(folder / name)) is not None]

    def _read(self, path: Path) -> Layer | None:
        # A link that leads nowhere is there, and what it should say is not known.
        if not os.path.lexists(path):
            return None
        file = LocatedYaml(path)
        try:
            values = file.read(empty=True)
            mistakes = list(self._check(file, values))
        except CatalogueError as error:
            self.problems[path] = error
            return Layer(file, {}, unclear=True)
        if mistakes:
            self.problems[path] = CatalogueError("\n".join(dict.fromkeys(words for _, words in mistakes)))
        wrong = frozenset(key for key, _ in mistakes if key is not None)
        # Who is told decides nothing about the export itself, which runs.
        usable = {key: value for key, value in values.items() if key != "notify" or key not in wrong}
        return Layer(file, usable, wrong=wrong, unclear=any(key is None for key, _ in mistakes))


def merged(layers: Sequence[Layer], own: Layer) -> tuple[dict[str, Any], dict[str, Layer]]:
    """The values that hold for an export, and the layer that each of them comes from.

    :param layers: all that say something, the weakest first.
    :param own: the export's file among them.
    :raises WithheldError: one of the values, or what they should have been, is a mistake in a shared file.
    """
    source = {key: layer for layer in layers for key in layer.values}
    for key in _of_another_destination(layers, own, source):
        del source[key]
    for layer in layers:
        if layer.unclear or any(source.get(key) is layer for key in layer.wrong):
            raise WithheldError(own.file.path, layer.file.path)
    return {key: layer.values[key] for key, layer in source.items()}, source


def _of_another_destination(layers: Sequence[Layer], own: Layer, source: Mapping[str, Layer]) -> Iterator[str]:
    """The keys about OneDrive if the strongest layer that names a destination names a store, and vice versa."""
    chooser, to_store = own, False
    for layer in layers:
        if "destination" in layer.values or any(layer.values.get(key) for key in _DRIVE_KEYS):
            chooser, to_store = layer, bool(layer.values.get("destination"))
    foreign = ONEDRIVE.keys if to_store else _STORE_KEYS
    # Two kinds in one file are a mistake, and told as one.
    yield from [key for key in foreign if key in source and source[key] is not chooser]
    # A connection to a store belongs to the store that it was given with, or to one that was named before.
    connection = source.get("destination_conn_id")
    if to_store and connection is not None and layers.index(connection) < layers.index(chooser):
        yield "destination_conn_id"
