"""Reads the catalogue: ``include/exports/*.yaml``, one file per export, and what several of them share.

A file that cannot be used does not take the others away: :func:`load_catalogue` returns what is good and what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from talent_dmf.catalogue.files import (
    export_files,
    export_name,
    file_of,
    mistake_in_name,
)
from talent_dmf.catalogue.layers import ENVIRONMENTS_KEY, Layer, SharedFiles, WithheldError, merged
from talent_dmf.catalogue.located_yaml import CatalogueError, LocatedYaml, Place, shown
from talent_dmf.catalogue.messages import Mistake, mistakes
from talent_dmf.catalogue.schedules import Schedule
from talent_dmf.catalogue.spec import KEYS_OF_ONE_EXPORT, DriveSpec, ExportSpec

if TYPE_CHECKING:
    from talent_dmf.catalogue.notify import Channels
else:
    Channels = tuple

_OF_A_FILE = frozenset({"name", ENVIRONMENTS_KEY})
# So many exports are named in a sentence.
_NAMED = 20
# What every export has.
_LEAST: dict[str, Any] = {"name": "x", "data_project": "x", "legal_entities": "USMF"}


@dataclass(frozen=True)
class Catalogue:
    """What a folder of export files holds.

    :param exports: the good ones, by name.
    :param problems: one error per file that cannot be used.
    :param notify: who is told about all exports that do not name anybody themselves.
    """

    exports: tuple[ExportSpec, ...]
    problems: tuple[CatalogueError, ...]
    notify: Channels = ()


def load_catalogue(folder: Path, names: Iterable[str] | None = None, *, environment: str = "") -> Catalogue:
    """Read a folder of export files.

    :param folder: usually ``include/exports``.
    :param names: exports that are wanted; the files of all others are not opened.
    :param environment: the one that the deployment has chosen.
    """
    shared = shared_files(folder, environment)
    problem = ""
    if not folder.is_dir():
        problem = f"The catalogue folder {shown(folder)} does not exist; create it."
    elif environment and (unknown := shared.unknown_environment(environment)):
        problem = f"No export has a DAG, because the environment {environment!r} is not known: {unknown}."
    if problem:
        return Catalogue((), (CatalogueError(problem),))
    exports: list[ExportSpec] = []
    problems: list[CatalogueError] = []
    withheld: dict[Path, list[str]] = {}
    paths = export_files(folder) if names is None else [file_of(folder, name) for name in names]
    for path in filter(None, paths):
        try:
            exports.append(load_export(path, shared))
        except WithheldError as error:
            withheld.setdefault(error.file, []).append(export_name(folder, path))
        except CatalogueError as error:
            problems.append(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this file and no other
            problems.append(CatalogueError(f"{shown(path)}: cannot be used ({type(error).__name__}: {error})."))
    of_several = [*shared.problems.values(), *(_withheld_in_words(file, each) for file, each in withheld.items())]
    return Catalogue(tuple(exports), (*of_several, *problems), _notify_of_all(shared))


def load_export(path: Path, shared: SharedFiles | None = None) -> ExportSpec:
    """Read one export file.

    :param path: the file.
    :param shared: what other files of the catalogue say about it; those of its own folder if it is not given.
    :raises CatalogueError: one sentence per mistake, each with file and line.
    """
    shared = shared or shared_files(path.parent)
    file = LocatedYaml(path)
    if mistake := mistake_in_name(shared.folder, path):
        raise file.error(None, mistake)
    document = file.read()
    if "name" in document:
        raise file.error(("name",), "`name` is not a key: the file's own name is the export's name; remove the line")
    special = _environments(file, document.pop(ENVIRONMENTS_KEY, None), shared)
    own = Layer(file, document)
    layers = [*shared.below(path), own, *shared.above(path), *special]
    values, source = merged(layers, own)
    try:
        return ExportSpec(name=export_name(shared.folder, path), **values)
    except ValidationError as error:
        found = [
            _sentence(mistake, source.get(str(mistake.at[0]), own), own) for mistake in mistakes(error, _known_keys)
        ]
        raise CatalogueError("\n".join(dict.fromkeys(found))) from None


def shared_files(folder: Path, environment: str = "") -> SharedFiles:
    """The files of a catalogue that hold values for several exports.

    :param folder: the catalogue's.
    :param environment: the one that the deployment has chosen.
    """
    return SharedFiles(folder, environment, partial(_mistakes_of_a_part, KEYS_OF_ONE_EXPORT))


def _sentence(mistake: Mistake, layer: Layer, own: Layer) -> str:
    words = str(layer.file.error((*layer.at, *mistake.at), mistake.words))
    return words if layer.file is own.file else f"{shown(own.file.path)}: a value that it takes is wrong: {words}"


def _withheld_in_words(file: Path, names: Sequence[str]) -> CatalogueError:
    listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if names[_NAMED:] else "")
    return CatalogueError(
        f"{shown(file)}: until it is mended there is no DAG of the exports that would run with other values than "
        f"meant: {listed}."
    )


def _notify_of_all(shared: SharedFiles) -> Channels:
    """Who is told of mistakes in the catalogue: whoever is told of the exports of its own folder."""
    here = shared.folder / "x.yaml"
    values = [
        layer.values["notify"] for layer in (*shared.below(here), *shared.above(here)) if "notify" in layer.values
    ]
    return ExportSpec(**_LEAST, notify=values[-1]).notify if values else ()


def _environments(file: LocatedYaml, found: Any, shared: SharedFiles) -> list[Layer]:
    """What the export's file says about the environment that is chosen; all of them are looked through."""
    if found is not None and not isinstance(found, dict):
        raise file.error((ENVIRONMENTS_KEY,), "`environments` must be a mapping, such as {test: {schedule: null}}")
    problems = []
    for name, values in (found or {}).items():
        at = (ENVIRONMENTS_KEY, name)
        if unknown := shared.unknown_environment(name):
            problems.append(
                str(file.error(at, f"`environments.{name}` is about an environment that is not known: {unknown}"))
            )
        elif not isinstance(values, dict):
            problems.append(str(file.error(at, f"`environments.{name}` must be a mapping, such as {{schedule: null}}")))
        else:
            problems += [words for _, words in _mistakes_of_a_part(_OF_A_FILE, file, values, at)]
    if problems:
        raise CatalogueError("\n".join(dict.fromkeys(problems)))
    chosen = (found or {}).get(shared.environment)
    return [Layer(file, chosen, (ENVIRONMENTS_KEY, shared.environment))] if chosen else []


def _mistakes_of_a_part(
    refused: Set[str], file: LocatedYaml, values: Mapping[str, Any], at: Place = ()
) -> Iterator[tuple[str | None, str]]:
    """What is wrong with some of an export's values by themselves; what they are together is told when they meet."""
    for key in refused & values.keys():
        words = f"`{key}` belongs to the file of one export, and cannot be shared"
        yield key, str(file.error((*at, key), words))
    try:
        ExportSpec(**_LEAST | {key: value for key, value in values.items() if key not in refused})
    except ValidationError as error:
        for mistake in mistakes(error, _known_keys):
            if not mistake.between:
                words = str(file.error((*at, *mistake.at), mistake.words))
                yield None if mistake.unknown else str(mistake.at[0]), words


def _known_keys(at: tuple[str | int, ...]) -> Iterable[str]:
    if at[0] == "notify":
        from talent_dmf.catalogue.notify import known_keys

        return known_keys(at)
    model: type[BaseModel] = DriveSpec if at[0] == "drive" else Schedule if at[0] == "schedule" else ExportSpec
    names = (name for name in model.model_fields if name != "name")
    return (*names, ENVIRONMENTS_KEY) if model is ExportSpec else names
