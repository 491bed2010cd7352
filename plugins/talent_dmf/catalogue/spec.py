"""The catalogue: ``include/exports/*.yaml``, one file per export, read into :class:`ExportSpec`.

The DAG file is parsed every half minute and before every task, so this module imports nothing heavy. A file that
cannot be used does not take the others away: :func:`load_catalogue` returns what is good and what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from talent_dmf.api.choices import (
    MAX_KEEP_DAYS,
    ConflictBehavior,
    OnEmpty,
    PartialSuccess,
    Unpack,
)
from talent_dmf.api.dmf.execution_ids import check_legal_entity
from talent_dmf.api.naming.drive_names import check_path
from talent_dmf.api.naming.file_names import (
    DEFAULT_FILE_NAME,
    DEFAULT_UNPACK_NAME,
    OF_ONE_COMPANY,
    check_file_name_template,
    check_package_name,
    check_unpack_name,
)
from talent_dmf.api.naming.folder_urls import check_folder_url
from talent_dmf.catalogue.destinations import destination_of, foreign_keys
from talent_dmf.catalogue.files import (
    DAG_ID_PREFIX,
    MAX_NAME_CHARACTERS,
    NAME_PATTERN,
    export_files,
    export_name,
    file_of,
    mistake_in_name,
)
from talent_dmf.catalogue.layers import ENVIRONMENTS_KEY, Layer, SharedFiles, WithheldError, merged
from talent_dmf.catalogue.located_yaml import CatalogueError, LocatedYaml, Place, shown
from talent_dmf.catalogue.messages import Mistake, MistakeError, checked, mistakes
from talent_dmf.catalogue.schedules import Pause, Promise, Schedule, TimeLimit

if TYPE_CHECKING:
    from talent_dmf.catalogue.notify import Channels
else:
    Channels = tuple

# Airflow expands a mapped task into at most 1024 instances, unless it is configured otherwise.
MAX_LEGAL_ENTITIES = 1000
MAX_KEEP_LAST = 100_000
# What no two exports share.
KEYS_OF_ONE_EXPORT = frozenset({"name", "data_project", "description", ENVIRONMENTS_KEY})
_OF_A_FILE = frozenset({"name", ENVIRONMENTS_KEY})
# So many exports are named in a sentence.
_NAMED = 20
# What every export has.
_LEAST: dict[str, Any] = {"name": "x", "data_project": "x", "legal_entities": "USMF"}
# Of a connection or a pool, as Airflow lets people call them.
_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,200}")


def _check_id(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"is {name!r}, but must be a name of letters, digits and _ . - only")
    return name


Name: TypeAlias = Annotated[str, AfterValidator(_check_id)]


class DriveSpec(BaseModel):
    """Whose drive the package is saved in, where that is not the connection's to say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str | None = Field(None, min_length=1)
    site: str | None = Field(None, min_length=1)
    group: str | None = Field(None, min_length=1)
    drive_id: str | None = Field(None, min_length=1)
    library: str | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _one(self) -> DriveSpec:
        # Imported where it is needed: most exports leave the drive to the connection.
        from talent_dmf.api.graph.drive import DriveTarget

        checked(lambda _: DriveTarget(**self.model_dump()), "")
        return self


class ExportSpec(BaseModel):
    """One export: what, when, where to, and how to behave. The keys of a catalogue file, with their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str = Field(pattern=NAME_PATTERN, max_length=MAX_NAME_CHARACTERS)
    description: str = Field("", max_length=1000)
    data_project: str = Field(min_length=1, max_length=255)
    legal_entities: tuple[str, ...] = Field(min_length=1, max_length=MAX_LEGAL_ENTITIES)
    package_name: str = "package.zip"
    schedule: Schedule | None = None
    start_date: date = Field(date(2024, 1, 1), ge=date(2000, 1, 1), le=date(2100, 1, 1))
    folder: str = ""
    destination: str | None = Field(None, min_length=1)
    destination_conn_id: Name | None = None
    file_name: str = DEFAULT_FILE_NAME
    conflict_behavior: ConflictBehavior = "fail"
    drive: DriveSpec | None = None
    partial_success: PartialSuccess = "fail"
    on_empty: OnEmpty = "save"
    busy: Literal["wait", "fail"] = "wait"
    incremental: bool = False
    receipt: bool = False
    check_package: bool = True
    unpack: Unpack = "no"
    unpack_name: str = DEFAULT_UNPACK_NAME
    keep_last: int | None = Field(None, ge=1, le=MAX_KEEP_LAST)
    keep_days: int | None = Field(None, ge=1, le=MAX_KEEP_DAYS)
    sla: Promise = timedelta(hours=2)
    time_limit: TimeLimit = timedelta(hours=4)
    transfer_time_limit: TimeLimit = timedelta(hours=2)
    poke_interval: Pause = timedelta(minutes=1)
    retries: int = Field(3, ge=0, le=20)
    retry_delay: Pause = timedelta(minutes=1)
    max_retry_delay: Pause = timedelta(minutes=30)
    deferrable: bool = True
    pool: Name = "default_pool"
    pool_slots: int | None = Field(None, ge=1, le=10_000)
    owner: str = Field("integration", min_length=1, max_length=500)
    tags: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    notify: Channels = ()
    talent_dmf_conn_id: Name = "talent_dmf_default"
    onedrive_conn_id: Name = "onedrive_default"

    @property
    def dag_id(self) -> str:
        """Id of the DAG that runs this export."""
        return f"{DAG_ID_PREFIX}{self.name}"

    @property
    def path(self) -> str:
        """The export's file within the catalogue."""
        return f"{self.name.replace('.', '/')}.yaml"

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of the catalogue that its file is in, from the outermost to the innermost."""
        return tuple(self.name.split(".")[:-1])

    @property
    def drive_choice(self) -> dict[str, str]:
        """Whose drive, as arguments of the transfer operator; empty for the connection's own."""
        return self.drive.model_dump(exclude_none=True) if self.drive else {}

    @field_validator("notify", mode="before")
    @classmethod
    def _channels(cls, value: Any) -> Any:
        if value in (None, (), []):
            return ()
        # Imported where it is needed: most exports leave it to others whom to tell, or tell nobody.
        from talent_dmf.catalogue.notify import read_channels

        return read_channels(value)

    @field_validator("legal_entities", "tags", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("legal_entities")
    @classmethod
    def _company_codes(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        upper = tuple(checked(check_legal_entity, code).strip().upper() for code in codes)
        twice = sorted({code for code in upper if upper.count(code) > 1})
        if twice:
            raise ValueError(f"names {', '.join(twice)} more than once")
        return upper

    @field_validator("package_name")
    @classmethod
    def _package_name(cls, name: str) -> str:
        return checked(check_package_name, name)

    @field_validator("file_name")
    @classmethod
    def _file_name(cls, template: str) -> str:
        return checked(check_file_name_template, template)

    @field_validator("unpack_name")
    @classmethod
    def _unpack_name(cls, template: str) -> str:
        return checked(check_unpack_name, template)

    @field_validator("destination")
    @classmethod
    def _destination(cls, url: str | None) -> str | None:
        return url if url is None else checked(check_folder_url, url)

    @field_validator("folder")
    @classmethod
    def _folder(cls, folder: str) -> str:
        return checked(lambda path: check_path(path, DEFAULT_FILE_NAME), folder.strip("/"))

    @model_validator(mode="after")
    def _several_legal_entities(self) -> ExportSpec:
        if len(self.legal_entities) > 1:
            for key in ["file_name"] if self.unpack == "no" else ["file_name", "unpack_name"]:
                if not re.search(OF_ONE_COMPANY, getattr(self, key)):
                    raise MistakeError(
                        "must contain {legal_entity}, because several legal entities are exported", key=key
                    )
            if self.busy == "fail":
                raise MistakeError(
                    "cannot be fail with several legal entities: each waits for the one before it", key="busy"
                )
        return self

    @model_validator(mode="after")
    def _one_destination(self) -> ExportSpec:
        kind = destination_of(self)
        for key, other in foreign_keys(kind):
            if key in self.model_fields_set and getattr(self, key):
                remedy = f"remove it, or give `{other.field.name}`"
                if kind.field.name in self.model_fields_set:
                    remedy = f"remove it, or remove `{kind.field.name}`"
                raise MistakeError(f"is about {other.words}, and this export goes to {kind.words}; {remedy}", key=key)
        return self

    @model_validator(mode="after")
    def _retention_by_receipts(self) -> ExportSpec:
        for key in ("keep_last", "keep_days"):
            if getattr(self, key) is not None and not self.receipt:
                raise MistakeError(
                    "needs `receipt: true`, because an old file is deleted only if its receipt proves whose it is",
                    key=key,
                )
        return self


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
        raise file.error(("name",), "`name` is not a key: the file's own name is the export's name")
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
