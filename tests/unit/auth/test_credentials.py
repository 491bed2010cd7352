"""Tokens through the real msal from a real token service over TLS."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.unit.authority import pem, self_signed
from tests.unit.loopback import free_port, serve
from tests.unit.scripted import answer
from tests.unit.token_service import SCOPE, SECRET, TokenService

from talent_dmf.api.errors import ConfigurationError, TransportError
from talent_dmf.auth.secret_cache import SecretCache
from talent_dmf.auth.tokens import (
    RENEW_BEFORE_EXPIRY_SECONDS,
    EntraTokens,
    Identity,
)
from talent_dmf.transport.tls import TlsSettings

pytestmark = [
    pytest.mark.usefixtures("clean_environment"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:msal"),
    pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits long"),
]


def test_a_client_secret(sign_in_at):
    service = TokenService()
    assert sign_in_at(service).tokens().token() == "token-1"
    (form,) = service.forms
    assert form["grant_type"] == "client_credentials"
    assert (form["client_id"], form["client_secret"], form["scope"]) == ("app-1", SECRET, SCOPE)


def test_a_secret_with_signs_arrives_as_it_is(sign_in_at):
    service = TokenService()
    sign_in_at(service).tokens(client_secret="a+b/c=&%d é").token()
    assert service.forms[0]["client_secret"] == "a+b/c=&%d é"


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    """A key as short as possible: whoever loads it looks whether its factors are primes."""
    return rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - it guards nothing


@pytest.mark.parametrize("order", ["key first", "certificate first", "foreign certificate first"])
@pytest.mark.parametrize("given", ["data", "path"])
def test_a_certificate(sign_in_at, rsa_key, tmp_path, order, given):
    certificate = self_signed(rsa_key)
    text = {
        "key first": pem(rsa_key) + certificate,
        "certificate first": certificate + pem(rsa_key),
        "foreign certificate first": self_signed(ec.generate_private_key(ec.SECP256R1())) + certificate + pem(rsa_key),
    }[order]
    path = tmp_path / "app.pem"
    path.write_text(text)
    how = {"certificate_data": text} if given == "data" else {"certificate_path": str(path)}
    service = TokenService()
    assert sign_in_at(service).tokens(auth_type="certificate", client_secret="", **how).token() == "token-1"
    (form,) = service.forms
    assert form["client_assertion_type"].endswith("jwt-bearer")
    header, claims = (
        json.loads(base64.urlsafe_b64decode(part + "==")) for part in form["client_assertion"].split(".")[:2]
    )
    assert header["alg"] in {"RS256", "PS256"}
    assert claims["iss"] == claims["sub"] == "app-1"
    assert claims["aud"].endswith("/oauth2/v2.0/token")
    own = x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA1())  # noqa: S303
    assert base64.urlsafe_b64decode(header["x5t"] + "==") in {own, own.hex().encode()}


def wrong_pems(key: rsa.RSAPrivateKey) -> dict[str, str]:
    curve = ec.generate_private_key(ec.SECP256R1())
    return {
        "nothing": "nothing",
        "no key": self_signed(key),
        "no certificate": pem(key),
        "passphrase": pem(key, b"secret") + self_signed(key),
        "broken key": pem(key).replace("M", "!") + self_signed(key),
        "no pair": pem(key) + self_signed(curve),
        "not RSA": pem(curve) + self_signed(curve),
    }


def test_a_certificate_that_cannot_work_is_named(sign_in_at, rsa_key):
    sign_in = sign_in_at(TokenService())
    for text in wrong_pems(rsa_key).values():
        with pytest.raises(ConfigurationError, match="connection's certificate") as caught:
            sign_in.tokens(auth_type="certificate", certificate_data=text).token()
        assert "PRIVATE KEY-----\n" not in f"{caught.value}"


def test_a_certificate_file_that_is_missing_is_named(sign_in_at, tmp_path):
    tokens = sign_in_at(TokenService()).tokens(auth_type="certificate", certificate_path=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigurationError, match=r"none\.pem.*cannot be read"):
        tokens.token()


def test_a_binary_certificate_file_is_named(sign_in_at, tmp_path):
    path = tmp_path / "app.pfx"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ConfigurationError, match="pfx"):
        sign_in_at(TokenService()).tokens(auth_type="certificate", certificate_path=str(path)).token()


def test_a_workload_identity_reads_its_token_file_anew(sign_in_at, tmp_path, clean_environment):
    path = tmp_path / "token"
    clean_environment.setenv("AZURE_FEDERATED_TOKEN_FILE", str(path))
    service = TokenService()
    tokens = sign_in_at(service).tokens(auth_type="workload_identity", client_secret="")
    path.write_text("assertion-1\n")
    assert tokens.token() == "token-1"
    path.write_text("assertion-2\n")
    assert tokens.token(refused="token-1") == "token-2"
    assert [form["client_assertion"] for form in service.forms] == ["assertion-1", "assertion-2"]


def test_a_workload_identity_without_a_file_says_what_is_missing(sign_in_at):
    with pytest.raises(ConfigurationError, match="AZURE_FEDERATED_TOKEN_FILE"):
        sign_in_at(TokenService()).tokens(auth_type="workload_identity").token()


@pytest.mark.parametrize("secret", ["", SECRET], ids=["public", "confidential"])
def test_user_name_and_password(sign_in_at, secret):
    # AD FS, because for other authorities msal asks a user realm service at port 443 of the host.
    service = TokenService()
    sign_in = sign_in_at(service)
    tokens = sign_in.tokens(
        auth_type="username_password",
        username="ann@contoso.example",
        password="pa55word",
        client_secret=secret,
        tenant_id="",
        authority=f"{sign_in.authority}/adfs",
    )
    assert tokens.token() == "token-1"
    (form,) = service.forms
    assert (form["grant_type"], form["username"], form["password"]) == ("password", "ann@contoso.example", "pa55word")


def test_a_refresh_token_spares_the_password(sign_in_at):
    id_token = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in (
            {"alg": "none"},
            {"iss": "i", "sub": "s", "aud": "app-1", "exp": time.time() + 3600, "iat": time.time(), "upn": "ann"},
            {},
        )
    )
    service = TokenService()
    service.table = [service.token(id_token=id_token, refresh_token="refresh-1")]
    sign_in = sign_in_at(service)
    who = {"auth_type": "username_password", "username": "ann", "password": "p", "client_secret": ""}
    tokens = sign_in.tokens(**who, authority=f"{sign_in.authority}/adfs")
    assert tokens.token() == "token-1"
    assert tokens.token(refused="token-1") == "token-2"
    assert [form["grant_type"] for form in service.forms] == ["password", "refresh_token"]


@pytest.mark.parametrize("client_id", ["", "mi-1"], ids=["system", "user"])
def test_a_managed_identity_passes_proxies_by(clean_environment, client_id):
    def endpoint(request: Any) -> Any:
        assert request.headers["x-identity-header"] == SECRET
        return answer(
            json={"access_token": f"mi-token-{len(server.received)}", "expires_on": str(time.time_ns() // 10**9 + 3600)}
        )

    with serve(endpoint) as server:
        clean_environment.setenv("IDENTITY_ENDPOINT", f"{server.url}/msi/token")
        clean_environment.setenv("IDENTITY_HEADER", SECRET)
        clean_environment.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
        settings = TlsSettings(proxies={"http": f"http://127.0.0.1:{free_port()}"})
        tokens = EntraTokens(Identity(SCOPE, client_id=client_id, auth_type="managed_identity", tls=settings))
        assert tokens.token() == tokens.token() == "mi-token-1"
        assert tokens.token(refused="mi-token-1") == "mi-token-2"
    assert "resource=https%3A%2F%2Fenv.operations.dynamics.com&" in f"{server.received[0].path}&"
    assert ("client_id=mi-1" in server.received[0].path) is bool(client_id)


def test_a_machine_without_managed_identity_says_so(clean_environment):
    clean_environment.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{free_port()}/")
    clean_environment.setenv("IDENTITY_HEADER", SECRET)
    with pytest.raises(TransportError, match="managed identity") as caught:
        EntraTokens(Identity(SCOPE, auth_type="managed_identity")).token()
    assert SECRET not in f"{caught.value} {caught.value.detail}"


def test_fifty_threads_make_one_token_request(sign_in_at):
    service = TokenService()
    tokens = sign_in_at(service).tokens()
    gate = threading.Barrier(50, timeout=10)

    def ask(_: int) -> str:
        gate.wait()
        return tokens.token()

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(ask, range(50))) == {"token-1"}
    assert (len(service.forms), tokens.requests_made) == (1, 1)


def test_fifty_refusals_make_one_renewal(sign_in_at):
    service = TokenService()
    tokens = sign_in_at(service).tokens()
    old, gate = tokens.token(), threading.Barrier(50, timeout=10)

    def ask(_: int) -> str:
        gate.wait()
        return tokens.token(refused=old)

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(ask, range(50))) == {"token-2"}
    assert len(service.forms) == 2


def test_a_token_is_renewed_before_it_expires(sign_in_at):
    service = TokenService()
    sign_in = sign_in_at(service)
    tokens = sign_in.tokens()
    assert tokens.cached_token() is None
    tokens.token()
    sign_in.clock.seconds += 3600 - RENEW_BEFORE_EXPIRY_SECONDS - 1
    assert tokens.token() == tokens.cached_token() == "token-1"
    sign_in.clock.seconds += 1
    assert tokens.cached_token() is None
    assert tokens.token() == "token-2"


def test_a_short_life_is_used_for_three_quarters(sign_in_at):
    sign_in = sign_in_at(TokenService(lifetime_seconds=40))
    tokens = sign_in.tokens()
    tokens.token()
    sign_in.clock.seconds += 29
    assert tokens.token() == "token-1"
    sign_in.clock.seconds += 1
    assert tokens.token() == "token-2"


def test_a_token_service_that_is_away_stops_nothing_while_the_token_lasts(sign_in_at):
    service = TokenService()
    sign_in = sign_in_at(service)
    tokens = sign_in.tokens()
    tokens.token()
    service.table = [answer(503)] * 3
    sign_in.clock.seconds += 3600 - RENEW_BEFORE_EXPIRY_SECONDS
    assert tokens.token() == tokens.token() == "token-1"
    assert len(service.forms) == 2
    with pytest.raises(TransportError):
        # A token that the environment refused is worth nothing, whatever its age.
        tokens.token(refused="token-1")
    sign_in.clock.seconds += RENEW_BEFORE_EXPIRY_SECONDS
    with pytest.raises(TransportError):
        tokens.token()


def test_nothing_secret_is_printed(caplog, sign_in_at):
    caplog.set_level(logging.DEBUG)
    sign_in = sign_in_at(TokenService())
    proxy = "http://user:pr0xypassw0rd@127.0.0.1:1"
    identity = sign_in.identity(
        password="pa55word", certificate_data="PRIVATE", tls=TlsSettings(verify=sign_in.bundle, proxies={"ftp": proxy})
    )
    tokens = EntraTokens(identity)
    tokens.token()
    shown = f"{identity} {identity!r} {tokens!r} {identity.cache_key} {caplog.text}"
    for secret in (SECRET, "pa55word", "PRIVATE", "pr0xypassw0rd", "token-1"):
        assert secret not in shown


def test_adfs_is_told_the_resource(sign_in_at):
    service = TokenService()
    sign_in = sign_in_at(service)
    sign_in.tokens(authority=f"{sign_in.authority}/adfs", tenant_id="").token()
    assert service.forms[-1]["resource"] == SCOPE.removesuffix("/.default")
    sign_in.tokens().token()
    assert "resource" not in service.forms[-1]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("\n", "\\n"),
        lambda text: text.replace("\n", "\\r\\n"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", ""),
        lambda text: text.replace("\n", " "),
        lambda text: "\n".join(f"   {line}" for line in text.split("\n")),
        lambda text: f"Bag Attributes\n    localKeyID: 01\nsubject=CN = x\n{text}",
    ],
    ids=["literal \\n", "literal \\r\\n", "CRLF", "lost", "blanks", "indented", "bag attributes"],
)
def test_a_certificate_from_a_text_field(sign_in_at, rsa_key, spoil):
    text = spoil(pem(rsa_key) + self_signed(rsa_key))
    service = TokenService()
    assert (
        sign_in_at(service).tokens(auth_type="certificate", client_secret="", certificate_data=text).token()
        == "token-1"
    )


def test_tasks_share_a_token(sign_in_at, tmp_path):
    service = TokenService()
    sign_in = sign_in_at(service)

    def task() -> EntraTokens:
        identity = sign_in.identity()
        return EntraTokens(identity, sign_in.clock, SecretCache.of(identity, tmp_path))

    assert [task().token() for _ in range(4)] == ["token-1"] * 4
    assert len(service.forms) == 1
    # Whoever is refused signs in, and gives it to the others; nobody takes the refused one back.
    assert task().token(refused="token-1") == "token-2"
    assert task().token() == "token-2"
    assert len(service.forms) == 2


def test_a_shared_token_near_its_end_is_renewed(sign_in_at, tmp_path):
    service = TokenService(lifetime_seconds=int(RENEW_BEFORE_EXPIRY_SECONDS) - 1)
    sign_in = sign_in_at(service)
    for number in (1, 2):
        identity = sign_in.identity()
        assert EntraTokens(identity, sign_in.clock, SecretCache.of(identity, tmp_path)).token() == f"token-{number}"
