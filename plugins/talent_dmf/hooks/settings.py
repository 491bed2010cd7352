"""What an Airflow connection means: the only room that reads its fields."""

from __future__ import annotations

import ast
import contextlib
import re
import string
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from talent_dmf.api.addresses import SHAREPOINT_HOSTS, STORAGE_HOSTS, AddressRules, host_pattern, parse_address
from talent_dmf.api.dmf.budget import HUMAN_RESOURCES, Quota
from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.parsing import read_json
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.auth.tokens import DEFAULT_AUTHORITY, AuthType, Identity
from talent_dmf.connection_lookup import looked_up
from talent_dmf.transport.tls import TlsSettings, checked_proxies

if TYPE_CHECKING:
    from airflow.sdk import Connection

# Audience of stand-alone Talent, whatever its host (docs/wire/dmf-package-api.md#audience).
TALENT_RESOURCE = "http://hr.talent.dynamics.com"
GRAPH_URL = "https://graph.microsoft.com/v1.0"
GRAPH_SCOPE = "https://graph.microsoft.com/.default"
# A person waits for the answer of a connection test, and the button can be pressed again.
TESTING_POLICY = RetryPolicy(max_attempts=2, max_unsent_attempts=1, budget_seconds=10.0)
# learn.microsoft.com ``/graph/deployments``; the second one is that of the US Department of Defense.
_NATIONAL_GRAPHS = frozenset(
    {"graph.microsoft.us", "dod-graph.microsoft.us", "microsoftgraph.chinacloudapi.cn", "graph.microsoft.de"}
)
_MAX_LITERAL_CHARACTERS = 10_000
_CLIMBS = re.compile(r"(?:^|/)(?:\.|%2e)(?:\.|%2e)?(?:/|$)", re.I)
_SWITCHES: dict[str, bool | None] = {
    **dict.fromkeys(("", "none", "null"), None),
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_TENANT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]|\.(?!\.)){0,252}")
_ENTRA = re.compile(
    r"(?:login\.microsoftonline\.[a-z]+|login\.partner\.microsoftonline\.cn|login\.chinacloudapi\.cn|sts\.windows\.net)"
)
_TOKEN_SERVICE = re.compile(rf"https://{_ENTRA.pattern}/", re.I)
_RESOURCE = re.compile(r"https://[A-Za-z0-9.-]+/?")
_OPERATIONS = re.compile(r"\.dynamics\.(?:com|cn|us)$|\.microsoftdynamics\.us$|\.appsplatform\.us$")
_VERSION = re.compile(r"(/(?:v1\.0|beta))/.*$")
# Dataverse, which has the same environment under another address; Lifecycle Services; the admin centers; signing in.
_NOT_THE_ENVIRONMENT = re.compile(
    r"^(?:https?://)?((?:[a-z0-9.-]+\.(?:api\.)?crm[0-9]*\.(?:dynamics\.com|dynamics\.cn|appsplatform\.us|microsoftdynamics\.us)"
    r"|lcs\.dynamics\.com|[a-z0-9.-]+\.powerplatform\.microsoft\.com|[a-z0-9.-]+\.powerapps\.com"
    r"|login\.microsoftonline\.[a-z]+|graph\.microsoft\.[a-z]+))(?=[/:?#]|$)"
)
_DRIVE_HOST = re.compile(
    r"^(?:https?://)?(?:[a-z0-9.-]+\.sharepoint(?:-mil)?\.[a-z]+|onedrive\.live\.com|1drv\.ms)(?=[/:?#]|$)"
)
# What follows the address of the environment in a browser: /?cmp=USMF&mi=DefaultDashboard, /default.htm.
_PAGE = re.compile(r"(?:/default\.html?)?/?(?:\?[^#]*)?(?:#.*)?$", re.I | re.S)


@dataclass(frozen=True)
class EnvironmentSettings:
    """A Dynamics 365 environment and who signs in to it.

    :param base_url: root of the API, without ``/data``.
    :param identity: who signs in.
    :param addresses: where the links to packages may lead.
    :param data_project: the data project that the test of the connection looks for; ``""`` for none.
    :param quota: what it takes of the application; ``None`` if nobody says.
    """

    base_url: str
    identity: Identity
    addresses: AddressRules
    data_project: str = ""
    quota: Quota | None = None


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
    :raises TransportError: Airflow could not look it up.
    """
    try:
        return looked_up(f"connection {conn_id!r}", lambda: get(conn_id))
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
    fields = ConnectionFields(connection)
    host = _without_page(connection.host or "")
    fields.check_product(host)
    base_url = fields.root(host, "host (environment URL)", connection.port)
    # The path /data is ours to add; people copy it from a browser, with what follows.
    base_url = re.sub(r"/data(?:/.*)?$", "", base_url)
    resource = _resource(fields.text("resource"), base_url)
    scope = resource if resource.endswith("/.default") else f"{resource}/.default"
    addresses = AddressRules(base_url, (*STORAGE_HOSTS, *fields.trusted_hosts()))
    talent = urlsplit(TALENT_RESOURCE).hostname or ""
    quota = fields.quota(HUMAN_RESOURCES if talent in scope else None)
    return EnvironmentSettings(base_url, fields.identity(scope), addresses, fields.text("data_project"), quota)


def drive_settings(connection: Connection) -> DriveSettings:
    """Read an ``msgraph`` connection, in the words of the azure provider, plus ours for the drive.

    :raises ConfigurationError: something is missing or cannot work; the sentence names the field.
    """
    fields = ConnectionFields(connection)
    base_url = fields.text("base_url")
    if base_url:
        base_url = fields.root(base_url, "extra `base_url`", None)
    elif connection.host:
        fields.check_graph(connection.host)
        base_url = fields.root(connection.host, "host", connection.port)
    else:
        base_url = GRAPH_URL
    # What follows the version is a request, as Graph Explorer shows it.
    base_url = _VERSION.sub(r"\1", base_url)
    if base_url.rsplit("/", 1)[-1] not in {"v1.0", "beta"}:
        base_url += "/v1.0"
    target = {name: word for name in ("drive_id", "user", "site", "group", "library") if (word := fields.text(name))}
    addresses = AddressRules(base_url, (*SHAREPOINT_HOSTS, *fields.trusted_hosts()))
    return DriveSettings(base_url, fields.identity(fields.scope(graph_scope(base_url))), target, addresses)


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


def _resource(given: str, base_url: str) -> str:
    """The audience to ask a token for.

    :param given: that of the connection, if it names one.
    :param base_url: root of the API.
    """
    expected = expected_resource(base_url)
    bare = given.removesuffix("/.default").rstrip("/").lower()
    # In Microsoft's cloud, the environment's own is accepted in one spelling only.
    known = {expected, TALENT_RESOURCE} if _OPERATIONS.search(expected) or expected == TALENT_RESOURCE else set()
    return next((each for each in known if bare in {each, each.partition("://")[2]}), given or expected)


def graph_scope(base_url: str) -> str:
    """The scope that a Graph wants in its tokens: that of a national cloud wants its own ("Invalid audience",
    identity-web#3808), any other address stands for the public one.

    :param base_url: root of Graph.
    """
    address = parse_address(base_url)
    return f"https://{address.host}/.default" if address and address.host in _NATIONAL_GRAPHS else GRAPH_SCOPE


class ConnectionFields:
    """The fields of one connection, each as the type that it should have, whether it comes from the form, from JSON or
    from a URI, where numbers and booleans are what they look like (airflow#55893).

    :param connection: the connection.
    :raises ConfigurationError: its extra is no JSON object.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._conn_id = connection, connection.conn_id
        self._extra = self._read_extra()

    def _read_extra(self) -> dict[str, Any]:
        """The extra; Airflow takes a text that is no JSON for an empty one."""
        text = (self._connection.extra or "").strip(f"{string.whitespace}\ufeff")
        if not text:
            return {}
        found = _object(text)
        if isinstance(found, str):
            # JSON within JSON: somebody quoted it once too often.
            found = _object(found)
        if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
            raise _no_object(self._conn_id)
        mask_secret(found)
        return found

    def text(self, *names: str) -> str:
        """The first of some extras that is given, without blanks around it; ``""`` if none is.

        :raises ConfigurationError: it is no text.
        """
        for name in names:
            raw = self._extra.get(name)
            if raw is None or raw == "":
                continue
            if isinstance(raw, bool) or not isinstance(raw, str | int):
                raise ConfigurationError(f"Connection {self._conn_id!r}: extra `{name}` must be a text.")
            return _trimmed(str(raw))
        return ""

    def root(self, text: str, field: str, port: int | None) -> str:
        """An address as people write it, as an address: https, without the port that goes without saying.

        :param text: with or without a scheme, with or without a slash at the end.
        :param field: the connection's field, for messages.
        :param port: port of the connection, if it has one.
        :raises ConfigurationError: it is none.
        """
        # What surrounds an address in a mail is no part of it.
        words = _trimmed(text).strip("<>'\"").rstrip("/")
        if not words or words.lower() in {"https:", "http:"}:
            raise ConfigurationError(
                f"Connection {self._conn_id!r} has no {field}; set it, e.g. https://contoso.operations.dynamics.com."
            )
        address = parse_address(words if "://" in words else f"https://{words}")
        odd = address is not None and (address.host in {"http", "https"} or _CLIMBS.search(address.path))
        if address is None or address.query or "?" in words or odd:
            raise ConfigurationError(
                f"Connection {self._conn_id!r}: {field} must be an address only, such as "
                "https://contoso.operations.dynamics.com, without user, query or fragment, and without characters that "
                "nobody sees."
            )
        if address.scheme != "https" and not address.is_loopback:
            raise ConfigurationError(
                f"Connection {self._conn_id!r}: {field} must start with https://, because tokens and personal data "
                "travel on it."
            )
        usual = 443 if address.scheme == "https" else 80
        if port and address.port == usual:
            address = replace(address, port=port)
        host = f"[{address.host}]" if ":" in address.host else address.host
        netloc = host if address.port == usual else f"{host}:{address.port}"
        return f"{address.scheme}://{netloc}{address.path.rstrip('/')}"

    def check_product(self, words: str) -> None:
        """Check that the host is not that of a neighbouring product: people copy what the admin centers show them.

        :param words: the connection's host.
        :raises ConfigurationError: it is.
        """
        named = _NOT_THE_ENVIRONMENT.search(words.strip().lower())
        if named:
            raise ConfigurationError(
                f"Connection {self._conn_id!r}: the host {named[1]!r} is not that of finance and operations apps. "
                "Write the address that their pages have in the browser, such as "
                "https://contoso.operations.dynamics.com; the Power Platform admin center calls it the finance and "
                "operations URL."
            )

    def check_graph(self, words: str) -> None:
        """Check that the host is not that of a drive: it is Microsoft Graph's.

        :param words: the connection's host.
        :raises ConfigurationError: it is.
        """
        if _DRIVE_HOST.search(words.strip().lower()):
            raise ConfigurationError(
                f"Connection {self._conn_id!r}: the host must be that of Microsoft Graph, or empty for "
                "https://graph.microsoft.com. Name the drive by the extra `user` (name@contoso.com) or `site` "
                "(contoso.sharepoint.com:/sites/name)."
            )

    def trusted_hosts(self) -> tuple[str, ...]:
        """The extra ``trusted_hosts``: a list, or a text with commas or blanks.

        :raises ConfigurationError: it is none.
        """
        raw = self._extra.get("trusted_hosts") or ()
        words = re.split(r"[\s,;]+", _trimmed(raw)) if isinstance(raw, str) else raw
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            raise ConfigurationError(
                f"Connection {self._conn_id!r}: extra `trusted_hosts` must be a list of hosts, like "
                '["files.contoso.com"].'
            )
        try:
            return tuple(host_pattern(word) for word in words if word)
        except ConfigurationError as error:
            raise ConfigurationError(f"Connection {self._conn_id!r}: extra `trusted_hosts`: {error.message}") from None

    def quota(self, default: Quota | None) -> Quota | None:
        """The extra ``quota``: ``human_resources``, ``none``, or an object with the names of :class:`Quota`, which the
        form gives as text.

        :param default: if there is none.
        :raises ConfigurationError: it is none.
        """
        raw = self._extra.get("quota")
        if isinstance(raw, str):
            words: dict[str, Quota | None] = {"": default, "none": None, "human_resources": HUMAN_RESOURCES}
            if raw.strip().lower() in words:
                return words[raw.strip().lower()]
            raw = _object(raw)
        elif raw is None:
            return default
        if isinstance(raw, dict):
            facts = {**asdict(HUMAN_RESOURCES), **raw}
            numbers = all(type(each) in (int, float) and 0 < each < 1e9 for each in facts.values())
            if numbers and set(facts) == set(asdict(HUMAN_RESOURCES)):
                return Quota(**facts)
        raise ConfigurationError(
            f"Connection {self._conn_id!r}: extra `quota` must be human_resources, none, or like "
            '{"requests": 500, "execution_seconds": 300, "concurrent": 25, "window_seconds": 300}.'
        )

    def scope(self, default: str) -> str:
        """The first of the azure provider's ``scopes``.

        :param default: if there is none.
        :raises ConfigurationError: they are no texts.
        """
        raw = self._extra.get("scopes") or [default]
        scopes = [scope for scope in re.split(r"[\s,]+", _trimmed(raw)) if scope] if isinstance(raw, str) else raw
        if not isinstance(scopes, list | tuple) or not all(isinstance(scope, str) for scope in scopes):
            raise ConfigurationError(
                f'Connection {self._conn_id!r}: extra `scopes` must be a list of scopes, like ["{default}"].'
            )
        first = _trimmed(scopes[0]) if scopes else default
        # A resource in the place of a scope.
        return f"{first.rstrip('/')}/.default" if _RESOURCE.fullmatch(first) else first

    def identity(self, scope: str) -> Identity:
        """Who signs in.

        :param scope: for what.
        :raises ConfigurationError: something is missing.
        """
        # Airflow masks extras by name, and knows `private_key`; `certificate_data` is the azure provider's word.
        certificate_data = self.text("private_key", "certificate_data")
        certificate_path = self.text("certificate_path")
        auth_type = re.sub("[ -]", "_", self.text("auth_type").lower()) or (
            "certificate" if certificate_path or certificate_data else "client_secret"
        )
        by_user = auth_type == "username_password"
        login, password = _trimmed(self._connection.login or ""), (self._connection.password or "").strip("\r\n")
        authority, tenant_id = self._token_service()
        return Identity(
            scope=scope,
            tenant_id=tenant_id,
            client_id=(self.text("client_id") if by_user else login).strip("{}"),
            auth_type=cast("AuthType", auth_type),
            # No secret that Entra ID makes has blanks around it; a person's password may.
            client_secret=self.text("client_secret") if by_user else _trimmed(password),
            certificate_path=certificate_path,
            certificate_data=certificate_data,
            username=login if by_user else "",
            password=password if by_user else "",
            authority=authority,
            tls=TlsSettings(verify=self._verify(), proxies=self._proxies()),
            trusted_hosts=self.trusted_hosts(),
        )

    def _token_service(self) -> tuple[str, str]:
        """Authority and tenant; the authority of Entra ID may be given with the tenant behind it, and the tenant with
        the authority in front of it, as the portal shows its endpoints.

        :raises ConfigurationError: one of them is none.
        """
        authority = self.root(self.text("authority") or DEFAULT_AUTHORITY, "extra `authority`", None)
        service, _, path = authority.partition("://")[2].partition("/")
        tenant_id = _TOKEN_SERVICE.sub("", self.text("tenant_id", "tenantId"), count=1).strip("/{}")
        if _ENTRA.fullmatch(service) and path:
            authority = authority.removesuffix(f"/{path}")
            tenant_id = tenant_id or path.partition("/")[0]
        if tenant_id and not _TENANT.fullmatch(tenant_id):
            raise ConfigurationError(
                f"Connection {self._conn_id!r}: extra `tenant_id` must be the tenant's GUID or one of its domains, "
                "such as contoso.onmicrosoft.com."
            )
        return authority, tenant_id

    def _verify(self) -> bool | str | None:
        raw = self._extra.get("verify")
        if raw is None or isinstance(raw, bool):
            return raw
        if isinstance(raw, str) or raw in (0, 1):
            words = _trimmed(str(raw))
            return _SWITCHES.get(words.lower(), words)
        raise ConfigurationError(
            f"Connection {self._conn_id!r}: extra `verify` must be true, false or the path of a CA bundle."
        )

    def _proxies(self) -> dict[str, str]:
        raw = self._extra.get("proxies") or {}
        if isinstance(raw, str):
            raw = _object(raw) if raw.strip() else {}
        if not isinstance(raw, dict) or not all(isinstance(part, str) for pair in raw.items() for part in pair):
            raise ConfigurationError(
                f'Connection {self._conn_id!r}: extra `proxies` must be like {{"https": "http://proxy:8080"}}.'
            )
        try:
            return checked_proxies(raw)
        except ConfigurationError as error:
            raise ConfigurationError(f"Connection {self._conn_id!r}: extra `proxies`: {error.message}") from None


def _no_object(conn_id: str) -> ConfigurationError:
    return ConfigurationError(
        f"The extra of connection {conn_id!r} is not a JSON object; write it like "
        '{"tenant_id": "contoso.onmicrosoft.com"}.'
    )


def _trimmed(text: str) -> str:
    """A text without what nobody sees around it: blanks, and the marks of width and direction that come with what is
    copied from pages and mails. Inside of it they may be meant, or somebody's trick.
    """
    first, last = 0, len(text)
    while first < last and _is_unseen(text[first]):
        first += 1
    while first < last and _is_unseen(text[last - 1]):
        last -= 1
    return text[first:last]


def _is_unseen(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Cf"


def _without_page(words: str) -> str:
    """The address of an environment without the page of it that a browser shows."""
    words = _trimmed(words)
    # What is before the page is checked like every address; a fragment or a query hides no other host in it.
    return _PAGE.sub("", words, count=1) if words.isprintable() else words


def _object(text: str) -> Any:
    """An object written as JSON, or as Python, which is how the azure provider's connections come
    (airflow#46145); ``None`` for anything else."""
    with contextlib.suppress(ValueError):
        return read_json(text)
    if len(text) > _MAX_LITERAL_CHARACTERS:
        return None
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
