"""What a file of the catalogue may say about an export: its keys, their defaults, and what must fit together.

The DAG file is parsed every half minute and before every task, so this module imports nothing heavy.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

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
)
from talent_dmf.catalogue.layers import ENVIRONMENTS_KEY
from talent_dmf.catalogue.messages import MistakeError, checked
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
# Of a connection or a pool, as Airflow lets people call them.
_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,200}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0:.Z]+)?")


def _check_id(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"is {name!r}, but must be a name of letters, digits and _ . - only")
    return name


def _check_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"is {text[:60]!r}, but must be one line without characters that nobody sees")
    return text


def _check_date(value: Any) -> Any:
    # Pydantic would take any number for the seconds since 1970.
    if isinstance(value, str) and not _DATE.fullmatch(value):
        raise ValueError(f"is {value[:60]!r}, but must be a date, such as 2026-01-31")
    return value


Line: TypeAlias = Annotated[str, AfterValidator(_check_line)]
Name: TypeAlias = Annotated[str, AfterValidator(_check_id)]


class DriveSpec(BaseModel):
    """Whose drive the package is saved in, where that is not the connection's to say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: Line | None = Field(None, min_length=1)
    site: Line | None = Field(None, min_length=1)
    group: Line | None = Field(None, min_length=1)
    drive_id: Line | None = Field(None, min_length=1)
    library: Line | None = Field(None, min_length=1)

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
    data_project: Line = Field(min_length=1, max_length=255)
    legal_entities: tuple[str, ...] = Field(min_length=1, max_length=MAX_LEGAL_ENTITIES)
    package_name: str = "package.zip"
    schedule: Schedule | None = None
    start_date: Annotated[date, BeforeValidator(_check_date)] = Field(
        date(2024, 1, 1), ge=date(2000, 1, 1), le=date(2100, 1, 1)
    )
    folder: str = ""
    destination: Line | None = Field(None, min_length=1)
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
    owner: Line = Field("integration", min_length=1, max_length=500)
    tags: tuple[Annotated[Line, Field(min_length=1, max_length=100)], ...] = ()
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
            raise ValueError(f"names {', '.join(twice)} more than once; name each once")
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
                    "must be wait with several legal entities: each waits for the one before it", key="busy"
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
