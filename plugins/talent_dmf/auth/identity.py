"""Who signs in, where, and for what: a connection's credentials, checked for completeness."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.transport.tls import TlsSettings

AuthType: TypeAlias = Literal[
    "client_secret", "certificate", "managed_identity", "workload_identity", "username_password"
]
AUTH_TYPES: tuple[str, ...] = (
    "client_secret",
    "certificate",
    "managed_identity",
    "workload_identity",
    "username_password",
)
DEFAULT_AUTHORITY = "https://login.microsoftonline.com"


@dataclass(frozen=True)
class Identity:
    """Who signs in, where, and for what.

    :param scope: ``<resource>/.default``.
    :param tenant_id: Entra tenant, GUID or domain.
    :param client_id: application id; for a user-assigned managed identity its client id.
    :param auth_type: how the application proves who it is.
    :param client_secret: secret of the application.
    :param certificate_path: PEM file with private key and certificate.
    :param certificate_data: the same as text.
    :param username: for ``username_password``.
    :param password: for ``username_password``.
    :param authority: address of the token service, without the tenant; AD FS ends in ``/adfs``.
    :param tls: certificates and proxies.
    :param trusted_hosts: hosts other than its own to which the token service may lead; see
        :func:`talent_dmf.api.addresses.host_pattern`.
    """

    scope: str
    tenant_id: str = ""
    client_id: str = ""
    auth_type: AuthType = "client_secret"
    client_secret: str = field(default="", repr=False)
    certificate_path: str = ""
    certificate_data: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    authority: str = DEFAULT_AUTHORITY
    tls: TlsSettings = field(default_factory=TlsSettings)
    trusted_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        needs: dict[str, list[tuple[str, str]]] = {
            "client_secret": [
                ("tenant_id", "extra `tenant_id`"),
                ("client_id", "login (client id)"),
                ("client_secret", "password (client secret)"),
            ],
            "certificate": [("tenant_id", "extra `tenant_id`"), ("client_id", "login (client id)")],
            "managed_identity": [],
            "workload_identity": [("tenant_id", "extra `tenant_id`"), ("client_id", "login (client id)")],
            "username_password": [
                ("tenant_id", "extra `tenant_id`"),
                ("client_id", "extra `client_id`"),
                ("username", "login (user name)"),
                ("password", "password"),
            ],
        }
        if self.auth_type not in needs:
            raise ConfigurationError(
                f"The connection's auth_type {self.auth_type!r} is not known; use one of {', '.join(AUTH_TYPES)}."
            )
        missing = [
            words
            for name, words in needs[self.auth_type]
            if not getattr(self, name) and not (name == "tenant_id" and self.is_adfs)
        ]
        if self.auth_type == "certificate" and not (self.certificate_path or self.certificate_data):
            missing.append("extra `certificate_path` or `private_key`")
        if missing:
            raise ConfigurationError(
                f"The connection cannot sign in with {self.auth_type}, because {' and '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing. Complete the connection."
            )

    @property
    def encryption_secret(self) -> str:
        """A secret of the connection's own, to derive keys from; ``""`` for an identity without any."""
        return self.client_secret or self.password or self.certificate_text

    @property
    def certificate_text(self) -> str:
        """The certificate and its key as PEM; ``""`` for an identity without any.

        :raises ConfigurationError: the file cannot be read.
        """
        if self.certificate_data or not self.certificate_path:
            return self.certificate_data
        try:
            return Path(self.certificate_path).read_text(encoding="ascii", errors="replace")
        except OSError as error:
            raise ConfigurationError(
                f"The certificate file {self.certificate_path!r} cannot be read ({error.strerror}); give the "
                "path of a PEM file with private key and certificate that every worker and triggerer can read."
            ) from error

    @property
    def cache_key(self) -> str:
        """What tells this identity from every other, without revealing a secret."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "tls"}
        facts["tls"] = [self.tls.verify, dict(self.tls.proxies)]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def _authority_base(self) -> str:
        base = self.authority.rstrip("/")
        return base if "://" in base else f"https://{base}"

    @property
    def is_adfs(self) -> bool:
        """Whether the token service is AD FS instead of Entra ID."""
        return self._authority_base.endswith("/adfs")

    @property
    def authority_url(self) -> str:
        """The token service of the tenant."""
        base = self._authority_base
        if not self.tenant_id or self.is_adfs or base.endswith(f"/{self.tenant_id}"):
            return base
        return f"{base}/{self.tenant_id}"

    @property
    def authority_host(self) -> str:
        """Host of the token service, for messages."""
        if self.auth_type == "managed_identity":
            return "of the managed identity"
        return urlsplit(self._authority_base).netloc.rpartition("@")[2]
