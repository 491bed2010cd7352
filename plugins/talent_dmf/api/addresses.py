"""The addresses that a service gives, and where they may lead (R15).

A link to a package, an upload URL, the next page of a list and a job page are parts of an answer, so they are untrusted
input: a request that follows one blindly sends personal data in clear text, or reads what only this machine can reach.
Every absolute URL is checked here before a request is made of it; nothing is ever sent to one that was refused.

Hosts of Azure Storage: learn.microsoft.com ``/azure/storage/common/storage-account-overview`` and, for national clouds,
``/azure/azure-government/compare-azure-government-global-azure`` and ``/azure/china/resources-developer-guide``; of
SharePoint: ``/microsoft-365/enterprise/urls-and-ip-address-ranges`` and its lists for the national clouds.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import unquote

from talent_dmf.api.errors import ConfigurationError, UntrustedAddressError

# Where Dynamics 365 keeps packages.
STORAGE_HOSTS = (
    "*.blob.core.windows.net",
    "*.blob.storage.azure.net",
    "*.blob.core.usgovcloudapi.net",
    "*.blob.core.chinacloudapi.cn",
)
# Where upload sessions of OneDrive for Business and SharePoint live.
SHAREPOINT_HOSTS = ("*.sharepoint.com", "*.sharepoint.us", "*.sharepoint-mil.us", "*.dps.mil", "*.sharepoint.cn")
# Where people read about a job. Nothing is ever requested there.
PAGE_HOSTS = ("*.dynamics.com", "*.dynamics.us", "*.dynamics.cn")

MAX_ADDRESS_CHARACTERS = 16_384
_HOST = r"[a-z0-9](?:[a-z0-9._-]{0,253}[a-z0-9])?"
# Stricter than any library that might read it again: what is not plain here could mean one host to this check
# and another to the library that calls it (a user before an @, a backslash, a blank, a port behind another).
_ADDRESS = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_HOST}|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?"
    r"(?:(?P<path>/[^?#\x00-\x1f\x7f]*))?(?:\?(?P<query>[^#\x00-\x1f\x7f]*))?",
    re.I | re.ASCII,
)
_PATTERN = re.compile(
    rf"(?:\*\.)?{_HOST}(?::(?:[0-9]{{1,5}}|\*))?|\[[0-9a-f:.]+\](?::(?:[0-9]{{1,5}}|\*))?", re.I | re.ASCII
)
_KEY = re.compile(r"\('([^']*)'\)")
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of an absolute URL, host and scheme in lower case.

    :param scheme: ``https`` or ``http``.
    :param host: name or IP address, without brackets.
    :param port: the given or the scheme's own.
    :param path: as it was written.
    :param query: as it was written, without the question mark.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    query: str = ""

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what two addresses of one service have in common."""
        return self.scheme, self.host, self.port

    @property
    def is_loopback(self) -> bool:
        """Whether it leads to this machine."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(url: str) -> Address | None:
    """The parts of a URL; ``None`` for what is not a plain absolute one: without http or https, with a user, a fragment
    or a control character, longer than 16,384 characters.

    :param url: any text.
    """
    if len(url) > MAX_ADDRESS_CHARACTERS:
        return None
    match = _ADDRESS.fullmatch(url.strip(" "))
    if match is None or ".." in match["host"]:
        return None
    scheme = match["scheme"].lower()
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[scheme]
    host = _plain_host(match["host"].lower())
    if host is None or not 0 < port < 65536:
        return None
    return Address(scheme, host, port, match["path"] or "", match["query"] or "")


def _plain_host(host: str) -> str | None:
    # In its shortest form, as the libraries call it; none for brackets around what is no address.
    if not host.startswith("["):
        return host
    try:
        return ipaddress.IPv6Address(host.strip("[]")).compressed
    except ValueError:
        return None


def host_pattern(text: str) -> str:
    """The host rule that a person's text means: ``files.contoso.com``, ``*.contoso.com``, with a port if it is not 443
    (``:*`` for any), or a whole address, of which host and port are taken.

    :raises ConfigurationError: it names no host, or too many.
    """
    word = text.strip().lower()
    if "://" in word:
        address = parse_address(word)
        word = "" if address is None or address.scheme != "https" else f"{_bracketed(address.host)}:{address.port}"
    labels = word.rpartition(":")[0] if ":" in word and not word.endswith("]") else word
    if not _PATTERN.fullmatch(word) or (word.startswith("*.") and labels.count(".") < 2):
        raise ConfigurationError(
            f"{text.strip()[:100]!r} names no host: write files.contoso.com, *.contoso.com or "
            "https://files.contoso.com:8443."
        )
    return word.removesuffix(":443")


@dataclass(frozen=True, slots=True)
class AddressRules:
    """Where the addresses that one service gives may lead: to itself, and to hosts that are known to belong to it.

    :param own: the service's own address. A service on this machine, as in the demo, may name others on this machine,
        without TLS too; no other one may. Without one, only this machine may be called.
    :param hosts: patterns of :func:`host_pattern`.
    """

    own: str = ""
    hosts: tuple[str, ...] = ()

    def check(self, url: str, what: str) -> Address:
        """The parts of an address that may be called.

        :param url: the address.
        :param what: what it is for, in words.
        :raises UntrustedAddressError: it may not be called.
        """
        address, own = parse_address(url), parse_address(self.own)
        if address is None:
            raise UntrustedAddressError(
                f"{what}: the service gave an address that is no plain https address; nothing was sent there. Please "
                "report it."
            )
        if own is not None and address.origin == own.origin:
            return address
        if address.is_loopback and (own.is_loopback if own else not self.own):
            return address
        if address.scheme != "https":
            raise UntrustedAddressError(
                f"{what}: the service gave an address without TLS (http, host {address.host!r}); nothing was sent "
                "there, because personal data travel on it. Please report it."
            )
        if (own is not None and address.host == own.host and address.port == 443) or self._knows(address):
            return address
        port = "" if address.port == 443 else f":{address.port}"
        named = f"{_bracketed(address.host)}{port}"
        raise UntrustedAddressError(
            f"{what}: the service gave an address on {named}, which is not known to belong to it; nothing was sent "
            f"there. If it does, as in a private cloud or behind a proxy, put {named!r} into the connection's extra "
            "`trusted_hosts`."
        )

    def check_own(self, url: str, what: str) -> None:
        """Check an address to which a token is to go: the service's own only.

        :raises UntrustedAddressError: it is another one.
        """
        address, own = parse_address(url), parse_address(self.own)
        if address is None or own is None or address.origin != own.origin:
            host = "an unreadable one" if address is None else f"{_bracketed(address.host)}:{address.port}"
            raise UntrustedAddressError(
                f"{what}: the service named an address on another host ({host}), which must not be given the token. "
                "Please report it."
            )

    def _knows(self, address: Address) -> bool:
        return any(_matches(pattern, address) for pattern in self.hosts)


def _matches(pattern: str, address: Address) -> bool:
    host, port = pattern, "443"
    if not pattern.endswith("]") and ":" in pattern:
        host, _, port = pattern.rpartition(":")
    if port not in {"*", str(address.port)}:
        return False
    if host.startswith("*."):
        return address.host.endswith(host[1:]) and len(address.host) > len(host) - 1
    return address.host == _plain_host(host)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def link_for_people(url: object, given_by: str = "", hosts: tuple[str, ...] = ()) -> str | None:
    """An address that a person may be shown to click, or ``None``: it leads to the service that gave it, or to one of
    its known hosts, and is neither a script nor without TLS.

    :param url: what the service gave.
    :param given_by: the address that was asked, if known.
    :param hosts: further hosts; none for any.
    """
    if not isinstance(url, str):
        return None
    address, own = parse_address(url), parse_address(given_by)
    if address is None:
        return None
    beside = own is not None and (address.host == own.host or (address.is_loopback and own.is_loopback))
    if address.scheme != "https" and not (beside and address.is_loopback):
        return None
    known = not hosts or beside or any(_matches(pattern, address) for pattern in hosts)
    return url.strip() if known else None


def same_list(asked: str, following: str) -> bool:
    """Whether the address of a next page belongs to the list that was asked for: the same service and the same path.

    :param asked: address of the page before.
    :param following: what the service gave as the next one.
    """
    first, second = parse_address(asked), parse_address(following)
    if first is None or second is None or first.origin != second.origin:
        return False
    return _plain(first.path) == _plain(second.path)


def _plain(path: str) -> str:
    # A key is written as /drives/x and as /drives('x').
    return _KEY.sub(r"/\1", unquote(path)).rstrip("/").casefold()
