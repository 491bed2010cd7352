"""The catalogue: ``include/exports/*.yaml``, one file per export, read into :class:`ExportSpec`.

The DAG file is parsed every half minute and before every task, so this module imports nothing heavy. A file that
cannot be used does not take the others away: :func:`load_catalogue` returns what is good and what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from talent_dmf.api.drive_names import check_destination, check_name
from talent_dmf.api.errors import TalentDmfError
from talent_dmf.api.execution_ids import check_legal_entity
from talent_dmf.api.file_names import DEFAULT_FILE_NAME, check_file_name_template
from talent_dmf.api.models import ConflictBehavior, Destination, OnEmpty, PartialSuccess
from talent_dmf.located_yaml import CatalogueError, LocatedYaml, shown
from talent_dmf.schedules import Duration, Schedule

DAG_ID_PREFIX = "talent_export_"


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
        from talent_dmf.api.drive import DriveTarget

        _checked(lambda _: DriveTarget(**self.model_dump()), "")
        return self


class ExportSpec(BaseModel):
    """One export: what, when, where to, and how to behave. The keys of a catalogue file, with their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    description: str = Field("", max_length=1000)
    data_project: str = Field(min_length=1)
    legal_entities: tuple[str, ...] = Field(min_length=1)
    package_name: str = "package.zip"
    schedule: Schedule | None = None
    start_date: date = Field(date(2024, 1, 1), ge=date(2000, 1, 1))
    folder: str = ""
    file_name: str = DEFAULT_FILE_NAME
    conflict_behavior: ConflictBehavior = "fail"
    drive: DriveSpec | None = None
    partial_success: PartialSuccess = "fail"
    on_empty: OnEmpty = "save"
    busy: Literal["wait", "fail"] = "wait"
    receipt: bool = False
    sla: Duration = timedelta(hours=2)
    time_limit: Duration = timedelta(hours=4)
    transfer_time_limit: Duration = timedelta(hours=2)
    poke_interval: Duration = timedelta(minutes=1)
    retries: int = Field(3, ge=0, le=20)
    retry_delay: Duration = timedelta(minutes=1)
    max_retry_delay: Duration = timedelta(minutes=30)
    deferrable: bool = True
    pool: str = Field("default_pool", min_length=1)
    owner: str = Field("integration", min_length=1)
    tags: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    talent_dmf_conn_id: str = Field("talent_dmf_default", min_length=1)
    onedrive_conn_id: str = Field("onedrive_default", min_length=1)

    @property
    def dag_id(self) -> str:
        """Id of the DAG that runs this export."""
        return f"{DAG_ID_PREFIX}{self.name}"

    @property
    def drive_choice(self) -> dict[str, str]:
        """Whose drive, as arguments of the transfer operator; empty for the connection's own."""
        return self.drive.model_dump(exclude_none=True) if self.drive else {}

    @field_validator("legal_entities", "tags", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("legal_entities")
    @classmethod
    def _company_codes(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        checked = tuple(_checked(check_legal_entity, code).strip().upper() for code in codes)
        twice = sorted({code for code in checked if checked.count(code) > 1})
        if twice:
            raise ValueError(f"names {', '.join(twice)} more than once")
        return checked

    @field_validator("package_name")
    @classmethod
    def _package_name(cls, name: str) -> str:
        if not name.lower().endswith(".zip"):
            raise ValueError("must end in .zip, because the package is a zip archive")
        return _checked(check_name, name)

    @field_validator("file_name")
    @classmethod
    def _file_name(cls, template: str) -> str:
        return _checked(check_file_name_template, template)

    @field_validator("folder")
    @classmethod
    def _folder(cls, folder: str) -> str:
        return _checked(lambda path: check_destination(Destination(path, DEFAULT_FILE_NAME)), folder.strip("/"))

    @model_validator(mode="after")
    def _several_legal_entities(self) -> ExportSpec:
        if len(self.legal_entities) > 1:
            if "{legal_entity}" not in self.file_name and "{execution_id}" not in self.file_name:
                raise _MistakeError(
                    "must contain {legal_entity}, because several legal entities are exported", key="file_name"
                )
            if self.busy == "fail":
                raise _MistakeError(
                    "cannot be fail with several legal entities: each waits for the one before it", key="busy"
                )
        return self


@dataclass(frozen=True)
class Catalogue:
    """What a folder of export files holds.

    :param exports: the good ones, by name.
    :param problems: one error per file that cannot be used.
    """

    exports: tuple[ExportSpec, ...]
    problems: tuple[CatalogueError, ...]


def load_catalogue(folder: Path, *, only: str | None = None) -> Catalogue:
    """Read a folder of export files.

    :param folder: usually ``include/exports``.
    :param only: DAG id that is wanted; the files of all others are not opened. Before a task, that saves the time.
    """
    exports: list[ExportSpec] = []
    problems: list[CatalogueError] = []
    if not folder.is_dir():
        problems.append(CatalogueError(f"The catalogue folder {shown(folder)} does not exist; create it."))
    for path in sorted(folder.glob("*.y*ml")):
        if only is not None and path.stem != only.removeprefix(DAG_ID_PREFIX):
            continue
        try:
            exports.append(load_export(path))
        except CatalogueError as error:
            problems.append(error)
    return Catalogue(tuple(exports), tuple(problems))


def load_export(path: Path) -> ExportSpec:
    """Read one export file.

    :param path: the file; its stem names the export.
    :raises CatalogueError: one sentence per mistake, each with file and line.
    """
    file = LocatedYaml(path)
    if path.suffix != ".yaml":
        raise file.error(None, "has a name that ends in .yml; rename it to .yaml")
    document = file.read()
    if "name" in document:
        raise file.error(("name",), "`name` is not a key: the file's own name is the export's name")
    try:
        return ExportSpec(name=path.stem, **document)
    except ValidationError as error:
        raise CatalogueError("\n".join(dict.fromkeys(_sentences(file, error)))) from None


class _MistakeError(ValueError):
    """What a validator finds; pydantic lets only a ``ValueError`` pass as a finding.

    :param words: what is wrong; begins with the key's name only if it is ``whole``.
    :param key: key to tell it at, where it concerns several.
    :param whole: whether the words are a sentence of their own.
    """

    def __init__(self, words: str, *, key: str | None = None, whole: bool = False) -> None:
        super().__init__(words)
        self.key = key
        self.whole = whole


def _checked(check: Callable[[str], Any], value: str) -> str:
    """A value as it is, if a check of the core lets it pass.

    :param check: raises :class:`TalentDmfError`, whose message is a sentence of its own.
    :param value: what to check.
    """
    try:
        check(value)
    except TalentDmfError as error:
        raise _MistakeError(error.message.removesuffix("."), whole=True) from error
    return value


def _sentences(file: LocatedYaml, error: ValidationError) -> Iterator[str]:
    """Pydantic's findings, in words for the person who wrote the file."""
    for finding in error.errors(include_url=False):
        at = tuple(finding["loc"])
        cause = finding.get("ctx", {}).get("error")
        if isinstance(cause, _MistakeError) and cause.key is not None:
            at = (*at, cause.key)
        if at == ("name",):
            stem = file.path.stem
            yield str(
                file.error(
                    None,
                    f"{stem!r} cannot name an export; name the file with lower-case letters, digits and _, such "
                    "as workers.yaml",
                )
            )
            continue
        yield str(file.error(at, _words(at, finding, cause)))


def _words(at: tuple[str | int, ...], finding: Mapping[str, Any], cause: object) -> str:
    key = ".".join(str(part) for part in at if isinstance(part, str))
    kind, context = finding["type"], finding.get("ctx", {})
    if kind == "missing":
        return f"`{key}` is missing; {_MEANING.get(key, 'set it')}"
    if kind == "extra_forbidden":
        known = sorted(
            (DriveSpec if at[0] == "drive" else Schedule if at[0] == "schedule" else ExportSpec).model_fields
        )
        known = [name for name in known if name != "name"]
        from difflib import get_close_matches

        close = get_close_matches(str(at[-1]), known, n=1)
        hint = f"perhaps `{close[0]}` is meant" if close else f"known keys are {', '.join(known)}"
        return f"`{key}` is not a known key; {hint}"
    if kind == "literal_error":
        return f"`{key}` is {finding['input']!r}, but must be {context['expected']}"
    if isinstance(cause, _MistakeError) and cause.whole:
        return f"`{key}`: {cause}"
    if isinstance(cause, ValueError):
        return f"`{key}` {cause}"
    if finding["input"] in (None, "", []):
        return f"`{key}` is empty; {_MEANING.get(key, 'give a value or remove the line')}"
    if kind in _KINDS:
        return f"`{key}` is {finding['input']!r}, but must be {_KINDS[kind].format(**context)}"
    message = str(finding["msg"])
    return f"`{key}` is {finding['input']!r}, but {message[:1].lower()}{message[1:]}"


# Pydantic's kinds of findings that a person can meet here, in words for people.
_KINDS = {
    "int_parsing": "a whole number",
    "greater_than_equal": "{ge} or more",
    "less_than_equal": "{le} or less",
    "bool_parsing": "true or false",
    "date_from_datetime_parsing": "a date, such as 2026-01-31",
    "date_parsing": "a date, such as 2026-01-31",
    "tuple_type": "a list, such as [a, b]",
    "string_type": "a text",
    "string_too_long": "a text of at most {max_length} characters",
    "model_type": "a mapping, such as {{key: value}}",
}
_MEANING = {
    "data_project": "give the name of the data project in Dynamics 365, such as Export Workers",
    "legal_entities": "give one company code or a list of them, such as USMF",
}
