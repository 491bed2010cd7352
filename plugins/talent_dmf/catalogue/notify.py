"""Who is told when an export fails, is late, holds no rows or works again: the key ``notify`` of the catalogue.

A channel names an Airflow connection. The address of a webhook is a secret and no part of a file that everybody reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from talent_dmf.catalogue.located_yaml import Place
from talent_dmf.catalogue.messages import MistakeError

Event = Literal["failed", "late", "empty", "recovered"]

FORMS = ("mail", "teams", "slack", "webhook", "notifier")
_DOTTED = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"
# Names of arguments that hold a secret in one notifier or another.
_SECRET = re.compile(r"(password|passwd|secret|token|webhook_?url|api_?key|credential|^url$|^auth$)", re.I)
_ADDRESS = re.compile(r"^\s*[a-z][a-z0-9+.-]*://", re.I)
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,9}")


class Mail(BaseModel):
    """A mail, through Airflow's SMTP provider."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    to: tuple[Annotated[str, Field(pattern=r"^[^@\s,;]+@[^@\s,;]+$", max_length=320)], ...] = Field(min_length=1)
    sender: str | None = Field(None, min_length=3, max_length=320, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$", alias="from")
    conn_id: str = Field("smtp_default", min_length=1, max_length=200)

    @field_validator("to", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Webhook(BaseModel):
    """A web address, which the connection holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    conn_id: str = Field(min_length=1, max_length=200)

    @field_validator("conn_id")
    @classmethod
    def _no_address(cls, conn_id: str) -> str:
        if _ADDRESS.match(conn_id):
            raise ValueError(
                "holds an address, which is a secret; store it as the password of a connection and give the "
                "connection's id"
            )
        return conn_id


class Notify(BaseModel):
    """One channel: exactly one form, and when it is used."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, populate_by_name=True)

    on: tuple[Event, ...] = Field(("failed", "late", "recovered"), min_length=1)
    mail: Mail | None = None
    teams: Webhook | None = None
    slack: Webhook | None = None
    webhook: Webhook | None = None
    notifier: str | None = Field(None, pattern=_DOTTED, max_length=300)
    kwargs: dict[str, Any] = Field(default_factory=dict)

    @field_validator("on", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("kwargs")
    @classmethod
    def _no_secrets(cls, kwargs: dict[str, Any]) -> dict[str, Any]:
        for name in _secrets(kwargs):
            raise ValueError(
                f"has {name}, which may hold a secret; store it in an Airflow connection and give the notifier the "
                "connection's id"
            )
        return {name: _plain(value) for name, value in kwargs.items()}

    @model_validator(mode="after")
    def _one_form(self) -> Notify:
        given = [form for form in FORMS if getattr(self, form) is not None]
        if len(given) != 1:
            raise MistakeError(
                f"`notify` needs exactly one of {', '.join(FORMS)} for each channel, and has "
                f"{' and '.join(given) or 'none'}",
                whole=True,
            )
        if self.kwargs and self.notifier is None:
            raise MistakeError("belong to `notifier`; the other forms have keys of their own", key="kwargs")
        return self

    def channel(self) -> dict[str, Any]:
        """The channel as :mod:`talent_dmf.notifications.channels` takes it: JSON values only."""
        if self.notifier is not None:
            return {"form": "notifier", "on": list(self.on), "notifier": self.notifier, "kwargs": self.kwargs}
        form = next(each for each in FORMS if getattr(self, each) is not None)
        return {"form": form, "on": list(self.on), **getattr(self, form).model_dump(mode="json", exclude_none=True)}


Channels: TypeAlias = tuple[Notify, ...]


def read_channels(value: Any) -> Channels:
    """The channels that an export names; a single one may stand without a list.

    :param value: what stands under ``notify``.
    """
    return _adapter().validate_python((value,) if isinstance(value, dict) else () if value is None else value)


def channels_schema() -> dict[str, Any]:
    """The JSON Schema of what stands under ``notify``, with ``$defs`` of its own."""
    return _adapter().json_schema()


@cache
def _adapter() -> TypeAdapter[Channels]:
    return TypeAdapter(Channels)


def known_keys(at: Place) -> Iterable[str]:
    """The keys that are known below ``notify``; none elsewhere.

    :param at: keys and indexes that lead to an unknown key.
    """
    if at[0] != "notify":
        return ()
    names = [each for each in at if isinstance(each, str)]
    model: type[BaseModel] = Notify if len(names) < 3 else Mail if names[1] == "mail" else Webhook
    return [field.alias or name for name, field in model.model_fields.items()]


def _secrets(value: Any, name: str = "kwargs") -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            if _SECRET.search(str(key)):
                yield f"`{key}`"
            yield from _secrets(each, str(key))
    elif isinstance(value, list):
        for each in value:
            yield from _secrets(each, name)
    elif isinstance(value, str) and _ADDRESS.match(value):
        yield f"an address in `{name}`"


def _plain(value: Any) -> Any:
    """The catalogue is read as text; a notifier may want a number or true."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value
