"""What an Airflow connection means: the only room that reads its fields."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from airflow.sdk.exceptions import AirflowNotFoundException

from talent_dmf.api.addresses import SHAREPOINT_HOSTS, STORAGE_HOSTS, AddressRules, host_pattern
from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.auth.tokens import DEFAULT_AUTHORITY, AuthType, Identity
from talent_dmf.transport.tls import TlsSettings

if TYPE_CHECKING:
    from airflow.sdk import Connection

# Audience of stand-alone Talent, whatever its host (docs/wire/dmf-package-api.md#audience).
TALENT_RESOURCE = "http://hr.talent.dynamics.com"
GRAPH_URL = "https://graph.microsoft.com/v1.0"
GRAPH_SCOPE = "https://graph.microsoft.com/.default"
# A person waits for the answer of a connection test, and the button can be pressed again.
TESTING_POLICY = RetryPolicy(max_attempts=2, max_unsent_attempts=1, budget_seconds=10.0)
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class EnvironmentSettings:
    """A Dynamics 365 environment and who signs in to it.

    :param base_url: root of the API, without ``/data``.
    :param identity: who signs in.
    :param addresses: where the links to packages may lead.
    """

    base_url: str
    identity: Identity
    addresses: AddressRules


@dataclass(frozen=True)
class DriveSettings:
    """Microsoft Graph, who signs in to it, and whose drive is meant unless a task says otherwise.

    :param base_url: root of Graph, with its version.
    :param identity: who signs in.
    :param target: ``drive_id``, ``user``, ``site`` or ``group`` with its value, and
        perhaps ``library``; empty if the connection names none.
    :param addresses: where upload sessions may live.
    """

    base_url: str
    identity: Identity
    target: Mapping[str, str]
    addresses: AddressRules


def existing(conn_id: str, conn_type: str, get: Callable[[str], Connection]) -> Connection:
    """A connection, or one sentence on how to make it.

    :param conn_id: its id.
    :param conn_type: the type that it should have.
    :param get: looks it up.
    :raises ConfigurationError: it is not defined.
    """
    try:
        return get(conn_id)
    except AirflowNotFoundException as error:
        raise missing(conn_id, conn_type) from error


def missing(conn_id: str, conn_type: str) -> ConfigurationError:
    """The error for a connection that is not defined.

    :param conn_id: its id.
    :param conn_type: the type that it should have.
    """
    return ConfigurationError(
        f"Connection {conn_id!r} is not defined. Create it under Admin > Connections with the type {conn_type!r}, or "
        "give the task the id of another one."
    )


def environment_settings(connection: Connection) -> EnvironmentSettings:
    """Read a ``talent_dmf`` connection.

    :raises ConfigurationError: something is missing or cannot work; the sentence names the field.
    """
    extra = _extra(connection)
    base_url = _root(connection.conn_id, connection.host or "", "host (environment URL)", connection.port)
    addresses = AddressRules(base_url, (*STORAGE_HOSTS, *_trusted_hosts(connection.conn_id, extra)))
    return EnvironmentSettings(base_url, _identity(connection, extra, _resource_scope(base_url, extra)), addresses)


def drive_settings(connection: Connection) -> DriveSettings:
    """Read an ``msgraph`` connection, in the words of the azure provider, plus ours for the drive.

    :raises ConfigurationError: something is missing or cannot work; the sentence names the field.
    """
    extra = _extra(connection)
    base_url = str(extra.get("base_url") or "").strip()
    if not base_url and connection.host:
        base_url = _root(connection.conn_id, connection.host, "host", connection.port)
    base_url = _root(connection.conn_id, base_url or GRAPH_URL, "extra `base_url`", None)
    if base_url.rsplit("/", 1)[-1] not in {"v1.0", "beta"}:
        base_url += "/v1.0"
    scopes = extra.get("scopes") or GRAPH_SCOPE
    if isinstance(scopes, str):
        scopes = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    target = {name: str(extra[name]) for name in ("drive_id", "user", "site", "group", "library") if extra.get(name)}
    addresses = AddressRules(base_url, (*SHAREPOINT_HOSTS, *_trusted_hosts(connection.conn_id, extra)))
    return DriveSettings(base_url, _identity(connection, extra, str(scopes[0])), target, addresses)


def _extra(connection: Connection) -> dict[str, Any]:
    try:
        extra = connection.extra_dejson
    except (ValueError, json.JSONDecodeError) as error:
        raise ConfigurationError(f"The extra of connection {connection.conn_id!r} is not a JSON object.") from error
    if not isinstance(extra, dict):
        raise ConfigurationError(f"The extra of connection {connection.conn_id!r} is not a JSON object.")
    return extra


def _root(conn_id: str, address: str, field: str, port: int | None) -> str:
    address = address.strip().rstrip("/")
    if not address:
        raise ConfigurationError(
            f"Connection {conn_id!r} has no {field}; set it, e.g. https://contoso.operations.dynamics.com."
        )
    if "://" not in address:
        address = f"https://{address}"
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise ConfigurationError(
            f"Connection {conn_id!r}: {field} must start with https://, tokens and personal data travel on it."
        )
    if parts.query or parts.fragment or parts.username:
        raise ConfigurationError(
            f"Connection {conn_id!r}: {field} must be an address only, without user, query or fragment."
        )
    if port and parts.port is None:
        address = f"{parts.scheme}://{parts.hostname}:{port}{parts.path}"
    # The path /data is ours to add; people copy it from a browser.
    return address.removesuffix("/data").rstrip("/")


def expected_resource(base_url: str) -> str:
    """The audience that an environment wants in its tokens, as far as its address tells.

    :param base_url: root of the API, without ``/data``.
    """
    parts = urlsplit(base_url)
    namespace = parts.path.lower().rpartition("/namespaces/")[2]
    stand_alone = "/namespaces/" in parts.path.lower() and namespace != "axsf"
    # The audience of finance and operations: environment URL, lower case, no slash at the end
    # (docs/wire/dmf-package-api.md#audience).
    return TALENT_RESOURCE if stand_alone else f"{parts.scheme}://{parts.netloc}".lower()


def _resource_scope(base_url: str, extra: Mapping[str, Any]) -> str:
    resource = str(extra.get("resource") or "").strip() or expected_resource(base_url)
    return resource if resource.endswith("/.default") else f"{resource}/.default"


def _identity(connection: Connection, extra: Mapping[str, Any], scope: str) -> Identity:
    # Airflow masks extras by name, and knows `private_key`; `certificate_data` is the azure provider's word.
    certificate_data = str(extra.get("private_key") or extra.get("certificate_data") or "")
    certificate = bool(extra.get("certificate_path") or certificate_data)
    auth_type = str(extra.get("auth_type") or ("certificate" if certificate else "client_secret"))
    by_user = auth_type == "username_password"
    authority = str(extra.get("authority") or DEFAULT_AUTHORITY).strip().rstrip("/")
    login, password = connection.login or "", connection.password or ""
    return Identity(
        scope=scope,
        tenant_id=str(extra.get("tenant_id") or extra.get("tenantId") or "").strip(),
        client_id=str(extra.get("client_id") or "") if by_user else login,
        auth_type=cast("AuthType", auth_type),
        client_secret=str(extra.get("client_secret") or "") if by_user else password,
        certificate_path=str(extra.get("certificate_path") or ""),
        certificate_data=certificate_data,
        username=login if by_user else "",
        password=password if by_user else "",
        authority=authority if "://" in authority else f"https://{authority}",
        tls=TlsSettings(
            verify=_verify(connection.conn_id, extra.get("verify")), proxies=_proxies(connection.conn_id, extra)
        ),
    )


def _verify(conn_id: str, raw: Any) -> bool | str | None:
    if raw is None or isinstance(raw, bool):
        return raw
    if isinstance(raw, str):
        words: dict[str, bool | None] = {"": None, "true": True, "false": False}
        return words.get(raw.strip().lower(), raw.strip())
    raise ConfigurationError(f"Connection {conn_id!r}: extra `verify` must be true, false or the path of a CA bundle.")


def _trusted_hosts(conn_id: str, extra: Mapping[str, Any]) -> tuple[str, ...]:
    raw = extra.get("trusted_hosts") or ()
    words = re.split(r"[\s,]+", raw.strip()) if isinstance(raw, str) else raw
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise ConfigurationError(
            f'Connection {conn_id!r}: extra `trusted_hosts` must be a list of hosts, like ["files.contoso.com"].'
        )
    try:
        return tuple(host_pattern(word) for word in words)
    except ConfigurationError as error:
        raise ConfigurationError(f"Connection {conn_id!r}: extra `trusted_hosts`: {error.message}") from None


def _proxies(conn_id: str, extra: Mapping[str, Any]) -> dict[str, str]:
    raw = extra.get("proxies") or {}
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except ValueError as error:
            raise ConfigurationError(f"Connection {conn_id!r}: extra `proxies` is not a JSON object.") from error
    if not isinstance(raw, dict):
        raise ConfigurationError(
            f'Connection {conn_id!r}: extra `proxies` must be like {{"https": "http://proxy:8080"}}.'
        )
    return {str(scheme): str(url) for scheme, url in raw.items()}
