"""How each kind of identity gets a token through msal."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import msal
from msal.authority import WELL_KNOWN_AUTHORITY_HOSTS

from talent_dmf.api.addresses import AddressRules
from talent_dmf.api.errors import ConfigurationError
from talent_dmf.auth.identity import Identity
from talent_dmf.auth.token_service import TokenServiceSession

# Asks the token service for a new token and returns its answer, as msal gives it.
TokenRequest: TypeAlias = Callable[[], dict[str, Any]]
_PRIVATE_KEY = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(.*?)(-----END [A-Z ]*PRIVATE KEY-----)", re.S)
_CERTIFICATE = re.compile(r"(-----BEGIN CERTIFICATE-----)(.*?)(-----END CERTIFICATE-----)", re.S)


def token_request(identity: Identity) -> TokenRequest:
    """How an identity asks for a new token. msal's own cache is never asked, or a refused token would come back.

    :param identity: who signs in.
    :raises ConfigurationError: its certificate cannot work.
    """
    session = TokenServiceSession(identity.tls, _rules(identity), identity.authority_host)
    if identity.auth_type == "managed_identity":
        return _managed_identity(identity, session)
    if identity.auth_type == "username_password":
        return _username_password(identity, session)
    app = msal.ConfidentialClientApplication(
        identity.client_id, client_credential=_credential(identity), **_application_options(identity, session)
    )

    def ask() -> dict[str, Any]:
        app.remove_tokens_for_client()
        answer: dict[str, Any] = app.acquire_token_for_client(scopes=[identity.scope], data=_resource(identity))
        return answer

    return ask


def _rules(identity: Identity) -> AddressRules | None:
    """Where the token service's addresses may lead: to itself, and if it is Microsoft's, to Microsoft's others. The
    endpoint of a managed identity comes from the machine and is not checked."""
    if identity.auth_type == "managed_identity":
        return None
    known = tuple(WELL_KNOWN_AUTHORITY_HOSTS) if _is_microsofts(identity) else ()
    return AddressRules(identity.authority_url, (*known, *identity.trusted_hosts))


def _is_microsofts(identity: Identity) -> bool:
    return urlsplit(identity.authority_url).hostname in WELL_KNOWN_AUTHORITY_HOSTS


def _application_options(identity: Identity, session: TokenServiceSession) -> dict[str, Any]:
    # An authority that Microsoft does not list would be looked up at login.microsoftonline.com first.
    return {
        "authority": identity.authority_url,
        "instance_discovery": None if _is_microsofts(identity) else False,
        "http_client": session,
    }


def _resource(identity: Identity) -> dict[str, str]:
    """AD FS wants to know the audience by a parameter of its own; Entra ID's endpoint of version 2 refuses it.

    learn.microsoft.com ``/windows-server/identity/ad-fs/overview/ad-fs-openid-connect-oauth-flows-scenarios``.
    """
    return {"resource": identity.scope.removesuffix("/.default")} if identity.is_adfs else {}


def _credential(identity: Identity) -> Any:
    if identity.auth_type == "client_secret":
        return identity.client_secret
    if identity.auth_type == "workload_identity":
        return {"client_assertion": _federated_token}
    return _certificate_credential(identity.certificate_text)


def _certificate_credential(pem: str) -> dict[str, str]:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    # Text fields and environment variables keep line ends as the two characters \n (airflow#47003); no other
    # backslash occurs in a PEM text.
    pem = pem.replace("\\r", "").replace("\\n", "\n")
    found = _PRIVATE_KEY.search(pem)
    certificates = [_as_lines(*block) for block in _CERTIFICATE.findall(pem)]
    try:
        if found is None or not certificates:
            raise ValueError("a block is missing")
        key = _as_lines(*found.groups())
        private = load_pem_private_key(key.encode(), password=None)
        chain = [x509.load_pem_x509_certificate(text.encode()) for text in certificates]
        # The key's own certificate may stand anywhere in a chain.
        own = next((one for one in chain if one.public_key() == private.public_key()), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            "The connection's certificate is not a PEM text with a CERTIFICATE block and a PRIVATE KEY block without "
            "a passphrase; convert a .pfx file by `openssl pkcs12 -nodes`."
        ) from error
    if own is None or not isinstance(private, RSAPrivateKey):
        raise ConfigurationError(
            "The connection's certificate and private key do not belong together, or are not RSA; export them together."
        )
    # Entra ID finds the registered certificate by its SHA-1 thumbprint (x5t header of the assertion).
    thumbprint = own.fingerprint(hashes.SHA1()).hex()  # noqa: S303
    return {"private_key": key, "thumbprint": thumbprint, "public_certificate": "\n".join(certificates)}


def _as_lines(begin: str, body: str, end: str) -> str:
    """A block of PEM in lines of 64 characters (RFC 7468, section 2): text fields lose line ends and add blanks, and
    cryptography before 45 does not read what is left."""
    return "\n".join((begin, *textwrap.wrap("".join(body.split()), 64), end))


def _federated_token() -> str:
    path = os.environ.get("AZURE_FEDERATED_TOKEN_FILE", "")
    try:
        # Read at each renewal: the platform replaces the file about hourly.
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "Workload identity needs the environment variable AZURE_FEDERATED_TOKEN_FILE to name a readable token "
            "file; the Azure workload identity webhook sets it on the pod."
        ) from error


def _managed_identity(identity: Identity, session: TokenServiceSession) -> TokenRequest:
    who = (
        msal.UserAssignedManagedIdentity(client_id=identity.client_id)
        if identity.client_id
        else msal.SystemAssignedManagedIdentity()
    )
    resource = identity.scope.removesuffix("/.default")

    def ask() -> dict[str, Any]:
        client = msal.ManagedIdentityClient(who, http_client=session)
        answer: dict[str, Any] = client.acquire_token_for_client(resource=resource)
        return answer

    return ask


def _username_password(identity: Identity, session: TokenServiceSession) -> TokenRequest:
    options = _application_options(identity, session)
    app: Any
    if identity.client_secret:
        app = msal.ConfidentialClientApplication(
            identity.client_id, client_credential=identity.client_secret, **options
        )
    else:
        app = msal.PublicClientApplication(identity.client_id, **options)

    def ask() -> dict[str, Any]:
        accounts = app.get_accounts(username=identity.username)
        if accounts:
            # With the refresh token: the password goes over the wire once.
            silent: dict[str, Any] | None = app.acquire_token_silent(
                [identity.scope], account=accounts[0], force_refresh=True
            )
            if silent:
                return silent
        answer: dict[str, Any] = app.acquire_token_by_username_password(
            identity.username, identity.password, scopes=[identity.scope], data=_resource(identity)
        )
        return answer

    return ask
