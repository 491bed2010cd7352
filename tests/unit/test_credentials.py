"""Tokens through the real msal from a real token service over TLS."""

from __future__ import annotations

import base64
import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.unit.authority import pem, self_signed
from tests.unit.loopback import Mishap, free_port, serve
from tests.unit.scripted import answer
from tests.unit.token_service import TENANT, TokenService, refused

from talent_dmf.api.addresses import host_pattern
from talent_dmf.api.errors import AuthenticationError, ConfigurationError, TalentDmfError, TransportError
from talent_dmf.auth import tokens as credentials
from talent_dmf.auth.token_cache import TokenCache
from talent_dmf.auth.tokens import (
    REFUSAL_HOLDS_SECONDS,
    RENEW_BEFORE_EXPIRY_SECONDS,
    EntraTokens,
    Identity,
    tokens_for,
)
from talent_dmf.transport.tls import TlsSettings

pytestmark = [
    pytest.mark.usefixtures("clean_environment"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:msal"),
    pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits long"),
]
SCOPE = "https://env.operations.dynamics.com/.default"
SECRET = "S3cr3tS3cr3t"


@dataclass
class Clock:
    """Monotonic seconds that move by hand."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class SignIn:
    """A token service and an identity that signs in there."""

    authority: str
    bundle: str
    clock: Clock = field(default_factory=Clock)

    def identity(self, **facts: Any) -> Identity:
        given = {
            "scope": SCOPE,
            "tenant_id": TENANT,
            "client_id": "app-1",
            "client_secret": SECRET,
            "authority": self.authority,
            "tls": TlsSettings(verify=self.bundle),
        }
        return Identity(**{**given, **facts})

    def tokens(self, **facts: Any) -> EntraTokens:
        return EntraTokens(self.identity(**facts), clock=self.clock)


Start = Callable[[TokenService], SignIn]


@pytest.fixture
def start(server_tls: ssl.SSLContext, authority: Any) -> Iterator[Start]:
    """Runs token services until the test ends."""
    with ExitStack() as stack:

        def run(service: TokenService) -> SignIn:
            loopback = stack.enter_context(serve(service, server_tls))
            service.url = loopback.url
            return SignIn(loopback.url, str(authority.bundle))

        yield run


def test_a_client_secret(start):
    service = TokenService()
    assert start(service).tokens().token() == "token-1"
    (form,) = service.forms
    assert form["grant_type"] == "client_credentials"
    assert (form["client_id"], form["client_secret"], form["scope"]) == ("app-1", SECRET, SCOPE)


def test_a_secret_with_signs_arrives_as_it_is(start):
    service = TokenService()
    start(service).tokens(client_secret="a+b/c=&%d é").token()
    assert service.forms[0]["client_secret"] == "a+b/c=&%d é"


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    """A key as short as possible: whoever loads it looks whether its factors are primes."""
    return rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - it guards nothing


@pytest.mark.parametrize("order", ["key first", "certificate first", "foreign certificate first"])
@pytest.mark.parametrize("given", ["data", "path"])
def test_a_certificate(start, rsa_key, tmp_path, order, given):
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
    assert start(service).tokens(auth_type="certificate", client_secret="", **how).token() == "token-1"
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


def test_a_certificate_that_cannot_work_is_named(start, rsa_key):
    sign_in = start(TokenService())
    for text in wrong_pems(rsa_key).values():
        with pytest.raises(ConfigurationError, match="connection's certificate") as caught:
            sign_in.tokens(auth_type="certificate", certificate_data=text).token()
        assert "PRIVATE KEY-----\n" not in f"{caught.value}"


def test_a_certificate_file_that_is_missing_is_named(start, tmp_path):
    tokens = start(TokenService()).tokens(auth_type="certificate", certificate_path=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigurationError, match=r"none\.pem.*cannot be read"):
        tokens.token()


def test_a_binary_certificate_file_is_named(start, tmp_path):
    path = tmp_path / "app.pfx"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ConfigurationError, match="pfx"):
        start(TokenService()).tokens(auth_type="certificate", certificate_path=str(path)).token()


def test_a_workload_identity_reads_its_token_file_anew(start, tmp_path, clean_environment):
    path = tmp_path / "token"
    clean_environment.setenv("AZURE_FEDERATED_TOKEN_FILE", str(path))
    service = TokenService()
    tokens = start(service).tokens(auth_type="workload_identity", client_secret="")
    path.write_text("assertion-1\n")
    assert tokens.token() == "token-1"
    path.write_text("assertion-2\n")
    assert tokens.token(refused="token-1") == "token-2"
    assert [form["client_assertion"] for form in service.forms] == ["assertion-1", "assertion-2"]


def test_a_workload_identity_without_a_file_says_what_is_missing(start):
    with pytest.raises(ConfigurationError, match="AZURE_FEDERATED_TOKEN_FILE"):
        start(TokenService()).tokens(auth_type="workload_identity").token()


@pytest.mark.parametrize("secret", ["", SECRET], ids=["public", "confidential"])
def test_user_name_and_password(start, secret):
    # AD FS, because for other authorities msal asks a user realm service at port 443 of the host.
    service = TokenService()
    sign_in = start(service)
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


def test_a_refresh_token_spares_the_password(start):
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
    sign_in = start(service)
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


def test_fifty_threads_make_one_token_request(start):
    service = TokenService()
    tokens = start(service).tokens()
    gate = threading.Barrier(50, timeout=10)

    def ask(_: int) -> str:
        gate.wait()
        return tokens.token()

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(ask, range(50))) == {"token-1"}
    assert (len(service.forms), tokens.requests_made) == (1, 1)


def test_fifty_refusals_make_one_renewal(start):
    service = TokenService()
    tokens = start(service).tokens()
    old, gate = tokens.token(), threading.Barrier(50, timeout=10)

    def ask(_: int) -> str:
        gate.wait()
        return tokens.token(refused=old)

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(ask, range(50))) == {"token-2"}
    assert len(service.forms) == 2


def test_a_token_is_renewed_before_it_expires(start):
    service = TokenService()
    sign_in = start(service)
    tokens = sign_in.tokens()
    assert tokens.cached_token() is None
    tokens.token()
    sign_in.clock.seconds += 3600 - RENEW_BEFORE_EXPIRY_SECONDS - 1
    assert tokens.token() == tokens.cached_token() == "token-1"
    sign_in.clock.seconds += 1
    assert tokens.cached_token() is None
    assert tokens.token() == "token-2"


def test_a_short_life_is_used_for_three_quarters(start):
    sign_in = start(TokenService(lifetime_seconds=40))
    tokens = sign_in.tokens()
    tokens.token()
    sign_in.clock.seconds += 29
    assert tokens.token() == "token-1"
    sign_in.clock.seconds += 1
    assert tokens.token() == "token-2"


def test_a_token_service_that_is_away_stops_nothing_while_the_token_lasts(start):
    service = TokenService()
    sign_in = start(service)
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


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (refused(7000215), "client secret is wrong"),
        (refused(7000222), "has expired"),
        (refused(700016, "unauthorized_client", 400), "application app-1 is not registered in tenant"),
        (refused(500011, "invalid_resource", 400), "resource of scope https://env"),
        (refused(65001, "invalid_grant", 400), "has not consented"),
        (refused(12345), "Entra ID says: AADSTS12345"),
        (answer(400, json={"error": "invalid_request"}), "Entra ID says: invalid_request"),
    ],
)
def test_a_refusal_is_one_clear_sentence(start, response, words):
    tokens = start(TokenService(response)).tokens()
    with pytest.raises(AuthenticationError, match=words) as caught:
        tokens.token()
    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.detail}"


def test_a_refusal_holds_for_a_while_so_that_nobody_is_locked_out(start):
    service = TokenService(refused(7000215))
    sign_in = start(service)
    tokens = sign_in.tokens()
    for _ in range(20):
        with pytest.raises(AuthenticationError, match="client secret is wrong"):
            tokens.token()
    assert len(service.forms) == 1
    sign_in.clock.seconds += REFUSAL_HOLDS_SECONDS
    assert tokens.token() == "token-1"


@pytest.mark.parametrize(
    "response",
    [
        answer(503, body="<html>"),
        answer(500),
        answer(429, body="slow down"),
        answer(429, json={"error": "temporarily_unavailable"}),
        answer(200, body="<html>proxy page</html>"),
        Mishap.RESET,
    ],
    ids=str,
)
def test_trouble_is_temporary(start, response):
    with pytest.raises(TransportError, match=r"token service|Entra ID") as caught:
        start(TokenService(response)).tokens().token()
    assert not caught.value.sent
    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.detail}"


@pytest.mark.parametrize(
    ("discovery", "kind", "words"),
    [
        (refused(90002, "invalid_tenant", 400), AuthenticationError, f"tenant {TENANT} does not exist"),
        (answer(404), AuthenticationError, "check the extras `tenant_id` and `authority`"),
        *((answer(status), TransportError, "not able to answer at the moment") for status in (408, 429, 500, 503)),
        (answer(302, location="https://proxy.example/login"), TransportError, r"redirects \(to proxy\.example\)"),
        (answer(403, body="<html>Blocked by policy</html>"), AuthenticationError, "check the extras"),
        (answer(200, body="[" * 100_000), TransportError, "does not answer as one"),
        (answer(200, body="<html>"), TransportError, "does not answer as one"),
        (answer(200, json={}), AuthenticationError, "check the extras"),
    ],
    ids=str,
)
def test_discovery_that_fails(start, discovery, kind, words):
    with pytest.raises(kind, match=words):
        start(TokenService(discovery=discovery)).tokens().token()


def test_an_authority_that_refuses_connections(authority):
    identity = SignIn(f"https://127.0.0.1:{free_port()}", str(authority.bundle)).identity()
    with pytest.raises(TransportError, match=r"token service 127\.0\.0\.1:\d+ does not answer"):
        EntraTokens(identity).token()


def test_an_authority_without_tls_is_refused(authority):
    identity = SignIn("http://127.0.0.1:1", str(authority.bundle)).identity()
    with pytest.raises(AuthenticationError, match="an https address"):
        EntraTokens(identity).token()


@pytest.mark.parametrize(
    ("facts", "url"),
    [
        ({}, f"https://login.microsoftonline.com/{TENANT}"),
        ({"authority": "https://login.microsoftonline.us/"}, f"https://login.microsoftonline.us/{TENANT}"),
        ({"authority": "login.partner.microsoftonline.cn"}, f"https://login.partner.microsoftonline.cn/{TENANT}"),
        ({"authority": f"https://login.example/{TENANT}"}, f"https://login.example/{TENANT}"),
        ({"authority": "https://sts.contoso.example/adfs"}, "https://sts.contoso.example/adfs"),
        ({"authority": "https://sts.contoso.example/adfs/", "tenant_id": ""}, "https://sts.contoso.example/adfs"),
    ],
)
def test_authorities(facts, url):
    given = {"scope": SCOPE, "tenant_id": TENANT, "client_id": "a", "client_secret": "b", **facts}
    assert Identity(**given).authority_url == url


@pytest.mark.parametrize(
    ("auth_type", "facts", "words"),
    [
        ("client_secret", {}, "`tenant_id` and login .* and password .* are missing"),
        ("client_secret", {"tenant_id": "t", "client_id": "c"}, r"password \(client secret\) is missing"),
        ("certificate", {"tenant_id": "t", "client_id": "c"}, "`certificate_path` or `private_key` is missing"),
        ("workload_identity", {"tenant_id": "t"}, "login .* is missing"),
        ("username_password", {"tenant_id": "t", "client_id": "c", "username": "u"}, "password is missing"),
        ("magic", {}, "'magic' is not known; use one of client_secret, certificate"),
    ],
)
def test_an_identity_that_cannot_sign_in_says_what_is_missing(auth_type, facts, words):
    with pytest.raises(ConfigurationError, match=words):
        Identity(SCOPE, auth_type=auth_type, **facts)


def test_nothing_secret_is_printed(caplog, start):
    caplog.set_level(logging.DEBUG)
    sign_in = start(TokenService())
    proxy = "http://user:pr0xypassw0rd@127.0.0.1:1"
    identity = sign_in.identity(
        password="pa55word", certificate_data="PRIVATE", tls=TlsSettings(verify=sign_in.bundle, proxies={"ftp": proxy})
    )
    tokens = EntraTokens(identity)
    tokens.token()
    shown = f"{identity} {identity!r} {tokens!r} {identity.cache_key} {caplog.text}"
    for secret in (SECRET, "pa55word", "PRIVATE", "pr0xypassw0rd", "token-1"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("facts", "secret"),
    [
        ({"client_secret": "a", "password": "b"}, "a"),
        ({"password": "b", "certificate_data": "c"}, "b"),
        ({"certificate_data": "c"}, "c"),
        ({}, ""),
    ],
)
def test_what_keys_are_derived_from(facts, secret):
    assert Identity(SCOPE, auth_type="managed_identity", **facts).encryption_secret == secret


def test_keys_can_be_derived_from_a_certificate_file(tmp_path):
    path = tmp_path / "app.pem"
    path.write_text("PEM")
    assert Identity(SCOPE, auth_type="managed_identity", certificate_path=str(path)).encryption_secret == "PEM"


def test_there_is_one_source_for_an_identity(monkeypatch):
    monkeypatch.setattr(credentials, "_sources", {})

    def identity(**facts: Any) -> Identity:
        given = {"scope": SCOPE, "tenant_id": "t", "client_id": "c", "client_secret": "s", **facts}
        return Identity(**given)

    assert tokens_for(identity()) is tokens_for(identity())
    others = [
        identity(scope="x"), identity(tenant_id="x"), identity(client_id="x"), identity(client_secret="x"),
        identity(tls=TlsSettings(verify=False)), identity(tls=TlsSettings(proxies={"https": "x"})),
        identity(authority="https://x"),
    ]  # fmt: skip
    assert len({id(tokens_for(one)) for one in [identity(), *others]}) == 8


def test_every_error_of_a_sign_in_is_ours(start):
    for response in (answer(200, json={"access_token": 5}), answer(200, json={}), answer(418, body="")):
        with pytest.raises(TalentDmfError):
            start(TokenService(response)).tokens().token()


ODD_NUMBERS = [None, "", "3599", "x", "²", -5, 0.5, True, [], {}, [3600], 1e400, 10**30, "9" * 5000]


@pytest.mark.parametrize("seconds", ODD_NUMBERS, ids=lambda seconds: str(seconds)[:12])
@pytest.mark.parametrize("name", ["expires_in", "ext_expires_in", "refresh_in"])
def test_an_odd_lifetime_is_a_usual_one(start, name, seconds):
    body = {"token_type": "Bearer", "access_token": "odd-one", name: seconds}
    text = json.dumps(body)
    sign_in = start(TokenService(answer(200, body=text.encode())))
    tokens = sign_in.tokens()
    assert tokens.token() == "odd-one"
    sign_in.clock.seconds += 0.0 if seconds == 0 else 600.0
    assert tokens.cached_token() in {"odd-one", None}
    sign_in.clock.seconds += 86_400.0
    assert tokens.cached_token() is None


@pytest.mark.parametrize(
    "token",
    [5, None, "", [], {"a": 1}, "with a blank", "two\r\nlines", "\u00fc", "x" * 100_000],
    ids=lambda token: str(token)[:12],
)
def test_a_token_that_no_header_can_carry_is_none(start, token):
    with pytest.raises(TransportError, match="without a usable token"):
        start(TokenService(answer(200, json={"access_token": token, "expires_in": 3600}))).tokens().token()


@pytest.mark.parametrize("name", ["id_token", "refresh_token", "client_info", "scope", "token_type"])
@pytest.mark.parametrize("value", [5, None, [], {"a": 1}, "x.y.z", "\u00fc"])
def test_what_else_stands_in_an_answer_stops_nothing(start, name, value):
    service = TokenService(answer(200, json={"access_token": "odd-one", "expires_in": 3600, name: value}))
    try:
        assert start(service).tokens().token() == "odd-one"
    except TalentDmfError as error:
        # An id token that cannot be read is refused by msal: said as an error of ours.
        assert name in {"id_token", "client_info"}, error  # noqa: PT017 - the sentence is msal's business


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed_with_a_secret(start, server_tls, status):
    with serve([answer(200, json={"access_token": "stolen"})], server_tls) as elsewhere:
        service = TokenService(answer(status, location=f"{elsewhere.url}/token?x=1"))
        with pytest.raises(TransportError, match="redirects") as caught:
            start(service).tokens().token()
    assert elsewhere.received == []
    assert SECRET not in f"{caught.value} {caught.value.detail}"


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:1/t", "https://evil.example/t", "https://user@127.0.0.1/t", "x", ""]
)
def test_a_secret_goes_to_no_endpoint_but_the_token_services(start, endpoint):
    document = {
        "issuer": "https://x/v2.0", "authorization_endpoint": "https://x/a", "token_endpoint": endpoint
    }  # fmt: skip
    service = TokenService(discovery=answer(200, json=document))
    with pytest.raises(TalentDmfError) as caught:
        start(service).tokens().token()
    assert service.forms == []
    assert SECRET not in f"{caught.value} {caught.value.detail}"


def test_the_endpoint_of_a_trusted_host_gets_the_secret(start):
    farm = TokenService()
    other = start(farm)
    endpoint = f"{other.authority}/t/token"
    document = {"issuer": "https://x/v2.0", "authorization_endpoint": "https://x/a", "token_endpoint": endpoint}
    sign_in = start(TokenService(discovery=answer(200, json=document)))
    assert sign_in.tokens(trusted_hosts=(host_pattern(other.authority),)).token() == "token-1"


def test_adfs_is_told_the_resource(start):
    service = TokenService()
    sign_in = start(service)
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
def test_a_certificate_from_a_text_field(start, rsa_key, spoil):
    text = spoil(pem(rsa_key) + self_signed(rsa_key))
    service = TokenService()
    assert start(service).tokens(auth_type="certificate", client_secret="", certificate_data=text).token() == "token-1"


def test_tasks_share_a_token(start, tmp_path):
    service = TokenService()
    sign_in = start(service)

    def task() -> EntraTokens:
        identity = sign_in.identity()
        return EntraTokens(identity, sign_in.clock, TokenCache.of(identity, tmp_path))

    assert [task().token() for _ in range(4)] == ["token-1"] * 4
    assert len(service.forms) == 1
    # Whoever is refused signs in, and gives it to the others; nobody takes the refused one back.
    assert task().token(refused="token-1") == "token-2"
    assert task().token() == "token-2"
    assert len(service.forms) == 2


def test_a_shared_token_near_its_end_is_renewed(start, tmp_path):
    service = TokenService(lifetime_seconds=int(RENEW_BEFORE_EXPIRY_SECONDS) - 1)
    sign_in = start(service)
    for number in (1, 2):
        identity = sign_in.identity()
        assert EntraTokens(identity, sign_in.clock, TokenCache.of(identity, tmp_path)).token() == f"token-{number}"


def test_why_tls_does_not_come_about_is_told(start, foreign_bundle):
    sign_in = start(TokenService())
    with pytest.raises(ConfigurationError, match=r"not trusted \(.*(issuer|self.signed).*\)"):
        sign_in.tokens(tls=TlsSettings(verify=str(foreign_bundle))).token()
