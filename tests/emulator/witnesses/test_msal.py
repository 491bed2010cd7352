"""Microsoft's authentication library gets tokens, with its own discovery and its own cache.

It asks `login.microsoftonline.com` about authorities that it does not know, and it leaves the port out of the address
at which it asks for a user's realm. Its HTTP client leads both to the emulator, as a name server and port 443 would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import jwt
import msal
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from tests.emulator.wire import Start, Wire

from dmf_emulator import Settings

GRAPH = "https://graph.microsoft.com/.default"


class HttpClient(requests.Session):
    """What msal sends its requests with: it trusts the emulator, and the emulator is all that it reaches."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = str(wire.emulator.ca_file)
        self._entra = urlsplit(wire.info["entra_url"])

    def request(self, method: str | bytes, url: str | bytes, *arguments: Any, **options: Any) -> requests.Response:
        parts = urlsplit(str(url))
        assert parts.netloc in {self._entra.netloc, self._entra.hostname, "login.microsoftonline.com"}
        return super().request(method, parts._replace(netloc=self._entra.netloc).geturl(), *arguments, **options)


def confidential(wire: Wire, credential: Any = None, **options: Any) -> msal.ConfidentialClientApplication:
    """Return the app with its secret, or with another credential."""
    facts = {"client_id": wire.info["client_id"], "authority": wire.info["authority"], **options}
    credential = credential or wire.info["client_secret"]
    return msal.ConfidentialClientApplication(client_credential=credential, http_client=HttpClient(wire), **facts)


def public(wire: Wire) -> msal.PublicClientApplication:
    """Return the app without any credential of its own."""
    facts = {"client_id": wire.info["client_id"], "authority": wire.info["authority"]}
    return msal.PublicClientApplication(http_client=HttpClient(wire), **facts)


def sign_in(app: msal.PublicClientApplication, wire: Wire, scopes: list[str], password: str = "") -> dict[str, Any]:
    """Sign in by user name and password."""
    with pytest.warns(DeprecationWarning, match="deprecated for public client flows"):
        answer: dict[str, Any] = app.acquire_token_by_username_password(
            wire.info["user_principal_name"], password or wire.info["user_password"], scopes
        )
    return answer


def claims_of(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the claims of the access token, which must be there."""
    assert "access_token" in answer, answer
    return jwt.decode(answer["access_token"], options={"verify_signature": False})


def test_discovery_comes_before_the_token(wire: Wire) -> None:
    app = confidential(wire)
    claims_of(app.acquire_token_for_client([GRAPH]))
    assert [record.action for record in wire.records(origin="entra")] == [
        "instance-discovery",
        "openid-configuration",
        "token",
    ]


def test_the_issuer_is_that_of_the_authority(wire: Wire) -> None:
    """With `oidc_authority`, msal compares the two."""
    app = confidential(wire, authority=None, oidc_authority=f"{wire.info['authority']}/v2.0")
    claims_of(app.acquire_token_for_client([GRAPH]))


def test_a_token_by_secret(wire: Wire) -> None:
    app = confidential(wire)
    scope = f"{wire.info['dmf_resource']}/.default"
    answer = app.acquire_token_for_client([scope])
    claims = claims_of(answer)
    assert claims["aud"] == wire.info["dmf_resource"]
    assert (claims["appid"], claims["tid"]) == (wire.info["client_id"], wire.info["tenant_id"])
    assert (answer["token_source"], answer["expires_in"]) == ("identity_provider", 3600)
    assert app.acquire_token_for_client([scope])["token_source"] == "cache"


def test_the_key_set_verifies_the_token(wire: Wire) -> None:
    token = confidential(wire).acquire_token_for_client([GRAPH])["access_token"]
    discovery = wire.session.get(f"{wire.info['authority']}/v2.0/.well-known/openid-configuration").json()
    keys = jwt.PyJWKSet.from_dict(wire.session.get(discovery["jwks_uri"]).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["RS256"], audience="https://graph.microsoft.com")
    assert sorted(claims["roles"]) == ["Files.ReadWrite.All", "Sites.ReadWrite.All"]


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate and its key."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    @property
    def sha1(self) -> str:
        return self.certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - the thumbprint is SHA-1 by definition


def make_certificate() -> Certificate:
    """Make a certificate as `openssl req -x509` does."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "exports")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
    return Certificate(key, builder.not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256()))


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return make_certificate()


@pytest.fixture
def registered(start: Start, certificate: Certificate) -> Wire:
    """An emulator whose app knows the certificate."""
    return start(Settings(client_certificates=(certificate.pem,)))


def _by_thumbprint(certificate: Certificate) -> dict[str, Any]:
    return {"private_key": certificate.key_pem, "thumbprint": certificate.sha1}


def _with_chain(certificate: Certificate) -> dict[str, Any]:
    return _by_thumbprint(certificate) | {"public_certificate": certificate.pem.decode()}


def _sha256_only(certificate: Certificate) -> dict[str, Any]:
    return {"private_key": certificate.key_pem, "public_certificate": certificate.pem.decode()}


@pytest.mark.parametrize("form", [_by_thumbprint, _with_chain, _sha256_only])
def test_a_token_by_certificate(
    registered: Wire, certificate: Certificate, form: Callable[[Certificate], dict[str, Any]]
) -> None:
    """Signed with RS256 and named by its SHA-1, or with PS256 and SHA-256, as msal prefers when it can."""
    app = confidential(registered, form(certificate))
    assert claims_of(app.acquire_token_for_client([GRAPH]))["appid"] == registered.info["client_id"]


def test_a_token_by_pfx_file(registered: Wire, certificate: Certificate, tmp_path: Any) -> None:
    path = tmp_path / "app.pfx"
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(
            None, certificate.key, certificate.certificate, None, serialization.BestAvailableEncryption(b"pass")
        )
    )
    app = confidential(registered, {"private_key_pfx_path": str(path), "passphrase": "pass"})
    claims_of(app.acquire_token_for_client([GRAPH]))


def test_a_certificate_that_is_not_registered(registered: Wire) -> None:
    other = make_certificate()
    answer = confidential(registered, _by_thumbprint(other)).acquire_token_for_client([GRAPH])
    assert (answer["error"], answer["error_codes"]) == ("invalid_client", [700027])
    assert other.sha1.upper() in answer["error_description"]


def test_a_registered_thumbprint_with_another_key(registered: Wire, certificate: Certificate) -> None:
    forged = {"private_key": make_certificate().key_pem, "thumbprint": certificate.sha1}
    answer = confidential(registered, forged).acquire_token_for_client([GRAPH])
    assert answer["error_codes"] == [700027]


def test_a_user_by_password(wire: Wire) -> None:
    """The sign-in leaves an account in msal's cache, whose refresh token gets the next token."""
    app = public(wire)
    claims = claims_of(sign_in(app, wire, [GRAPH]))
    assert claims["upn"] == wire.info["user_principal_name"]
    assert [record.action for record in wire.records(origin="entra")][-2:] == ["userrealm", "token"]

    (account,) = app.get_accounts()
    assert account["username"] == wire.info["user_principal_name"]
    assert account["home_account_id"] == f"{claims['oid']}.{wire.info['tenant_id']}"
    wire.emulator.recorder.clear()
    silent = app.acquire_token_silent_with_error([GRAPH], account=account)
    assert silent["token_source"] == "cache"
    refreshed = app.acquire_token_silent_with_error([GRAPH], account=account, force_refresh=True)
    assert refreshed["token_source"] == "identity_provider"
    assert claims_of(refreshed)["upn"] == claims["upn"]
    other = app.acquire_token_silent_with_error([f"{wire.info['dmf_resource']}/.default"], account=account)
    assert claims_of(other)["aud"] == wire.info["dmf_resource"]
    assert [record.action for record in wire.records(origin="entra")] == ["token", "token"]


@pytest.mark.parametrize(
    "scopes",
    [
        ["https://graph.microsoft.com/Files.ReadWrite.All", "https://graph.microsoft.com/User.Read"],
        ["User.Read", "Files.ReadWrite.All"],
        ["User.Read", "https://graph.microsoft.com/Files.ReadWrite.All"],
    ],
)
def test_several_scopes_of_graph(wire: Wire, scopes: list[str]) -> None:
    """A scope that names no resource means Graph."""
    assert claims_of(sign_in(public(wire), wire, scopes))["aud"] == "https://graph.microsoft.com"


def test_scopes_of_two_resources(wire: Wire) -> None:
    answer = sign_in(public(wire), wire, ["User.Read", f"{wire.info['dmf_resource']}/user_impersonation"])
    assert (answer["error"], answer["error_codes"]) == ("invalid_scope", [70011])


def test_a_wrong_password(wire: Wire) -> None:
    answer = sign_in(public(wire), wire, [GRAPH], password="wrong")
    assert (answer["error"], answer["error_codes"]) == ("invalid_grant", [50126])


@pytest.mark.parametrize(
    ("options", "scope", "error", "code"),
    [
        pytest.param({"credential": "wrong"}, GRAPH, "invalid_client", 7000215, id="secret"),
        pytest.param({"client_id": "0" * 32}, GRAPH, "unauthorized_client", 700016, id="client"),
        pytest.param({}, "https://elsewhere.example/.default", "invalid_resource", 500011, id="resource"),
        pytest.param({}, "https://graph.microsoft.com/Files.ReadWrite.All", "invalid_scope", 70011, id="scope"),
    ],
)
def test_what_is_wrong_is_named(wire: Wire, options: dict[str, Any], scope: str, error: str, code: int) -> None:
    answer = confidential(wire, **options).acquire_token_for_client([scope])
    assert (answer["error"], answer["error_codes"]) == (error, [code])
    assert answer["error_description"].startswith(f"AADSTS{code}: ")
    assert {"correlation_id", "trace_id", "timestamp"} <= answer.keys()


def test_an_unknown_tenant(wire: Wire) -> None:
    """msal says in its own words that discovery was refused."""
    elsewhere = f"{wire.info['entra_url']}/00000000-0000-4000-8000-000000000000"
    with pytest.raises(ValueError, match="Unable to get authority configuration"):
        confidential(wire, authority=elsewhere)
    assert [record.reason for record in wire.records(action="openid-configuration")] == ["AADSTS90002"]


def test_a_new_token_once_the_old_one_has_expired(start: Start) -> None:
    """msal takes a token of less than five minutes for expired and gets another one."""
    wire = start(Settings(token_lifetime_seconds=200.0))
    app = confidential(wire)
    first = app.acquire_token_for_client([GRAPH])
    second = app.acquire_token_for_client([GRAPH])
    assert (first["token_source"], second["token_source"]) == ("identity_provider", "identity_provider")
    assert first["access_token"] != second["access_token"]
