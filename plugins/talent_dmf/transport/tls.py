"""How connections are made: certificates and proxies, the same for requests, msal and aiohttp.

requests prefers ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE`` of the environment to ``Session.verify``, and msal
inherits that from the session that it is given. Here the connection's own setting wins, and the environment is
asked only if the connection says nothing.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi
import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from talent_dmf.api.addresses import parse_address
from talent_dmf.api.errors import ConfigurationError

# A protocol carries all that it needs: a cookie of a sign-in page or a load balancer must not change the next answer.
NO_COOKIES = DefaultCookiePolicy(allowed_domains=())


@dataclass(frozen=True)
class TlsSettings:
    """Certificates and proxies of one connection.

    :param verify: ``True`` for the public certificates, path of a CA bundle (PEM), ``False`` for none at all, or
        ``None`` to follow ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE`` and ``SSL_CERT_FILE`` of the environment.
    :param proxies: proxy URL by scheme; empty to follow the environment. They may hold a password.
    """

    verify: bool | str | None = None
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)

    def resolved_verify(self) -> bool | str:
        """What to verify certificates against.

        :raises ConfigurationError: the CA bundle does not exist.
        """
        verify = self.verify
        if verify is None or verify == "":
            names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
            verify = next((os.environ[name] for name in names if os.environ.get(name)), True)
        if isinstance(verify, str) and not Path(verify).exists():
            raise ConfigurationError(
                f"The CA bundle {verify!r} does not exist on this machine; set the connection's extra `verify` to the "
                "path of a PEM file that every worker and triggerer can read, or remove it."
            )
        return verify

    def ssl_context(self) -> ssl.SSLContext:
        """The same as an SSL context, for aiohttp.

        :raises ConfigurationError: the CA bundle does not exist or is none.
        """
        verify = self.resolved_verify()
        if verify is False:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        path = Path(certifi.where() if verify is True else verify)
        try:
            if path.is_dir():
                return ssl.create_default_context(capath=str(path))
            return ssl.create_default_context(cafile=str(path))
        except OSError as error:
            unread = f"cannot be read ({error.strerror})"
            reason = "holds no certificates in PEM form" if isinstance(error, ssl.SSLError) else unread
            raise ConfigurationError(
                f"The CA bundle {str(path)!r} {reason}; correct the connection's extra `verify`."
            ) from error

    def proxies_for(self, url: str) -> dict[str, str]:
        """The proxies to use for a URL, by scheme; none if it is to be reached directly.

        :raises ConfigurationError: one of the environment is no address.
        """
        if self.proxies:
            proxies = checked_proxies(self.proxies)
            return {} if _is_direct(url, proxies.pop("no", "")) else proxies
        return checked_proxies(get_environ_proxies(url))


def checked_proxies(raw: Mapping[str, str]) -> dict[str, str]:
    """Proxies as people and the azure provider write them: ``http``, ``https`` or ``all`` with an address, ``no`` with
    the hosts that are reached directly.

    :raises ConfigurationError: an address is none; it is not shown, because it may hold a password.
    """
    proxies: dict[str, str] = {}
    for key, text in raw.items():
        scheme, value = key.lower().removesuffix("://").removesuffix("_proxy"), text.strip()
        if scheme == "no":
            proxies["no"] = value
        elif value:
            # requests takes a proxy without a scheme for http, aiohttp refuses it.
            proxies[scheme] = _proxy_address(value if "://" in value else f"http://{value}", scheme)
    return proxies


def _proxy_address(proxy: str, scheme: str) -> str:
    try:
        parts = urlsplit(proxy)
        usable = parts.hostname not in {None, ""} and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(ord(character) <= 32 for character in proxy):
        raise ConfigurationError(
            f"The proxy for {scheme!r} is no address; write it like http://proxy.example.com:8080."
        )
    return proxy


def _is_direct(url: str, hosts: str) -> bool:
    """Whether the key ``no`` says that a URL is to be reached directly: by ``*``, a host or a domain with all below."""
    address = parse_address(url)
    host = address.host if address else ""
    names = [name.lower().lstrip("*").lstrip(".") for name in re.split(r"[\s,]+", hosts) if name]
    return any(not name or host == name or host.endswith(f".{name}") for name in names)


class TlsSession(requests.Session):
    """A requests session that obeys its :class:`TlsSettings` before the environment, and follows no redirects.

    :param settings: certificates and proxies.
    :param pool_size: most connections kept open.
    :param direct: whether proxies are passed by, for an endpoint of the machine itself.
    :raises ConfigurationError: the CA bundle does not exist or is none.
    """

    def __init__(self, settings: TlsSettings, pool_size: int = 4, *, direct: bool = False) -> None:
        super().__init__()
        self._settings = settings
        self._direct = direct
        self._verify = settings.resolved_verify()
        if isinstance(self._verify, str):
            # requests would tell of a broken bundle only at the first request, as of a broken connection.
            settings.ssl_context()
        self.cookies.set_policy(NO_COOKIES)
        # netrc must not add credentials either; proxies of the environment are looked up by TlsSettings.
        self.trust_env = False
        adapter = HTTPAdapter(pool_connections=pool_size, pool_maxsize=pool_size, max_retries=0)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Nowhere, whoever sends the request and whatever they ask for: msal would let a 307 of the token service carry
        the client secret to any other host.

        :param resp: an answer.
        """
        return None

    def merge_environment_settings(  # type: ignore[override]
        self, url: str, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> dict[str, Any]:
        """Replace what requests would take from the environment."""
        return {
            "proxies": {} if self._direct else self._settings.proxies_for(url),
            "stream": bool(stream),
            "verify": self._verify,
            "cert": cert,
        }
