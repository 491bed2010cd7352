"""What a token service answers, sound and odd, refusing and hostile: a token, or one sentence; and no secret leaves."""

from __future__ import annotations

import json

import pytest
from tests.unit.loopback import Mishap, free_port, serve
from tests.unit.scripted import answer
from tests.unit.token_service import SECRET, TENANT, SignIn, TokenService, refused

from talent_dmf.api.addresses import host_pattern
from talent_dmf.api.errors import AuthenticationError, ConfigurationError, TalentDmfError, TransportError
from talent_dmf.auth.tokens import (
    REFUSAL_HOLDS_SECONDS,
    EntraTokens,
)
from talent_dmf.transport.tls import TlsSettings

pytestmark = [
    pytest.mark.usefixtures("clean_environment"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:msal"),
]


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
def test_a_refusal_is_one_clear_sentence(sign_in_at, response, words):
    tokens = sign_in_at(TokenService(response)).tokens()
    with pytest.raises(AuthenticationError, match=words) as caught:
        tokens.token()
    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.detail}"


def test_a_refusal_holds_for_a_while_so_that_nobody_is_locked_out(sign_in_at):
    service = TokenService(refused(7000215))
    sign_in = sign_in_at(service)
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
def test_trouble_is_temporary(sign_in_at, response):
    with pytest.raises(TransportError, match=r"token service|Entra ID") as caught:
        sign_in_at(TokenService(response)).tokens().token()
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
def test_discovery_that_fails(sign_in_at, discovery, kind, words):
    with pytest.raises(kind, match=words):
        sign_in_at(TokenService(discovery=discovery)).tokens().token()


def test_an_authority_that_refuses_connections(authority):
    identity = SignIn(f"https://127.0.0.1:{free_port()}", str(authority.bundle)).identity()
    with pytest.raises(TransportError, match=r"token service 127\.0\.0\.1:\d+ does not answer"):
        EntraTokens(identity).token()


def test_an_authority_without_tls_is_refused(authority):
    identity = SignIn("http://127.0.0.1:1", str(authority.bundle)).identity()
    with pytest.raises(AuthenticationError, match="an https address"):
        EntraTokens(identity).token()


def test_every_error_of_a_sign_in_is_ours(sign_in_at):
    for response in (answer(200, json={"access_token": 5}), answer(200, json={}), answer(418, body="")):
        with pytest.raises(TalentDmfError):
            sign_in_at(TokenService(response)).tokens().token()


ODD_NUMBERS = [None, "", "3599", "x", "²", -5, 0.5, True, [], {}, [3600], 1e400, 10**30, "9" * 5000]


@pytest.mark.parametrize("seconds", ODD_NUMBERS, ids=lambda seconds: str(seconds)[:12])
@pytest.mark.parametrize("name", ["expires_in", "ext_expires_in", "refresh_in"])
def test_an_odd_lifetime_is_a_usual_one(sign_in_at, name, seconds):
    body = {"token_type": "Bearer", "access_token": "odd-one", name: seconds}
    text = json.dumps(body)
    sign_in = sign_in_at(TokenService(answer(200, body=text.encode())))
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
def test_a_token_that_no_header_can_carry_is_none(sign_in_at, token):
    with pytest.raises(TransportError, match="without a usable token"):
        sign_in_at(TokenService(answer(200, json={"access_token": token, "expires_in": 3600}))).tokens().token()


@pytest.mark.parametrize("name", ["id_token", "refresh_token", "client_info", "scope", "token_type"])
@pytest.mark.parametrize("value", [5, None, [], {"a": 1}, "x.y.z", "\u00fc"])
def test_what_else_stands_in_an_answer_stops_nothing(sign_in_at, name, value):
    service = TokenService(answer(200, json={"access_token": "odd-one", "expires_in": 3600, name: value}))
    try:
        assert sign_in_at(service).tokens().token() == "odd-one"
    except TalentDmfError as error:
        # An id token that cannot be read is refused by msal: said as an error of ours.
        assert name in {"id_token", "client_info"}, error  # noqa: PT017 - the sentence is msal's business


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed_with_a_secret(sign_in_at, server_tls, status):
    with serve([answer(200, json={"access_token": "stolen"})], server_tls) as elsewhere:
        service = TokenService(answer(status, location=f"{elsewhere.url}/token?x=1"))
        with pytest.raises(TransportError, match="redirects") as caught:
            sign_in_at(service).tokens().token()
    assert elsewhere.received == []
    assert SECRET not in f"{caught.value} {caught.value.detail}"


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:1/t", "https://evil.example/t", "https://user@127.0.0.1/t", "x", ""]
)
def test_a_secret_goes_to_no_endpoint_but_the_token_services(sign_in_at, endpoint):
    document = {
        "issuer": "https://x/v2.0", "authorization_endpoint": "https://x/a", "token_endpoint": endpoint
    }  # fmt: skip
    service = TokenService(discovery=answer(200, json=document))
    with pytest.raises(TalentDmfError) as caught:
        sign_in_at(service).tokens().token()
    assert service.forms == []
    assert SECRET not in f"{caught.value} {caught.value.detail}"


def test_a_discovery_document_that_leads_nowhere_is_not_kept(sign_in_at):
    service = TokenService(discovery=answer(200, body="<html>Sign in to the network</html>"))
    sign_in = sign_in_at(service)
    with pytest.raises(TalentDmfError):
        sign_in.tokens().token()
    service.discovery = None
    assert sign_in.tokens().token() == "token-1"


def test_a_discovery_document_that_worked_is_asked_for_once(sign_in_at):
    service = TokenService()
    sign_in = sign_in_at(service)
    sign_in.tokens().token()
    service.discovery = answer(500)
    assert sign_in.tokens(client_id="app-2").token() == "token-2"


def test_the_endpoint_of_a_trusted_host_gets_the_secret(sign_in_at):
    farm = TokenService()
    other = sign_in_at(farm)
    endpoint = f"{other.authority}/t/token"
    document = {"issuer": "https://x/v2.0", "authorization_endpoint": "https://x/a", "token_endpoint": endpoint}
    sign_in = sign_in_at(TokenService(discovery=answer(200, json=document)))
    assert sign_in.tokens(trusted_hosts=(host_pattern(other.authority),)).token() == "token-1"


def test_why_tls_does_not_come_about_is_told(sign_in_at, foreign_bundle):
    sign_in = sign_in_at(TokenService())
    with pytest.raises(ConfigurationError, match=r"not trusted \(.*(issuer|self.signed).*\)"):
        sign_in.tokens(tls=TlsSettings(verify=str(foreign_bundle))).token()
