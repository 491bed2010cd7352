"""Certificates against real TLS servers: for requests, httpx and msal the connection's own setting wins."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
from tests.unit.loopback import Answer, Loopback, Received, serve
from tests.unit.scripted import answer
from tests.unit.token_service import TENANT, TokenService

from talent_dmf.api.errors import ConfigurationError, TransportError
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import Request, send
from talent_dmf.auth.tokens import EntraTokens, Identity
from talent_dmf.transport.drivers import AsyncDriver, SyncDriver
from talent_dmf.transport.tls import TlsSession, TlsSettings

pytestmark = pytest.mark.usefixtures("clean_environment")
ONCE = RetryPolicy(max_attempts=1)
POST = Request("POST", "x", operation="Post", json={}, idempotent=False)


def with_requests(url: str, settings: TlsSettings) -> None:
    with SyncDriver(base_url=url, tls=settings, policy=ONCE) as driver:
        assert driver.run(send(POST)).status == 200


def with_httpx(url: str, settings: TlsSettings) -> None:
    async def main() -> None:
        async with AsyncDriver(base_url=url, tls=settings, policy=ONCE) as driver:
            assert (await driver.run(send(POST))).status == 200

    asyncio.run(main())


def with_msal(url: str, settings: TlsSettings) -> None:
    identity = Identity(
        scope="https://env/.default", tenant_id=TENANT, client_id="app", client_secret="s", authority=url, tls=settings
    )
    assert EntraTokens(identity).token() == "token-1"


@pytest.fixture(params=[with_requests, with_httpx, with_msal], ids=["requests", "httpx", "msal"])
def call(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def server(server_tls: ssl.SSLContext) -> Any:
    service = TokenService()

    def give(request: Received) -> Answer:
        return service(request) if TENANT in request.path else answer()

    with serve(give, server_tls) as loopback:
        service.url = loopback.url
        yield loopback


def test_the_bundle_of_the_connection_is_used(call, server, authority):
    call(server.url, TlsSettings(verify=str(authority.bundle)))
    assert server.received


def test_a_foreign_certificate_is_a_mistake_in_the_connection(call, server, foreign_bundle):
    for settings in (TlsSettings(), TlsSettings(verify=True), TlsSettings(verify=str(foreign_bundle))):
        with pytest.raises(ConfigurationError, match=r"certificate of .*127\.0\.0\.1:\d+ is not trusted.*`verify`"):
            call(server.url, settings)
    assert server.received == []


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
class TestTheEnvironment:
    def test_it_is_followed_if_the_connection_says_nothing(self, call, server, authority, clean_environment, name):
        clean_environment.setenv(name, str(authority.bundle))
        call(server.url, TlsSettings())

    def test_the_connections_bundle_wins(self, call, server, authority, foreign_bundle, clean_environment, name):
        clean_environment.setenv(name, str(foreign_bundle))
        call(server.url, TlsSettings(verify=str(authority.bundle)))

    def test_the_connections_strictness_wins(self, call, server, authority, clean_environment, name):
        clean_environment.setenv(name, str(authority.bundle))
        with pytest.raises(ConfigurationError, match="is not trusted"):
            call(server.url, TlsSettings(verify=True))

    @pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
    def test_the_connections_carelessness_wins(self, call, server, foreign_bundle, clean_environment, name):
        clean_environment.setenv(name, str(foreign_bundle))
        call(server.url, TlsSettings(verify=False))


def test_a_certificate_for_another_host_is_not_trusted(call, authority, tmp_path):
    with serve(lambda _: answer(), authority.server_context(tmp_path, "dmf.example")) as server:
        with pytest.raises(ConfigurationError, match="is not trusted"):
            call(server.url, TlsSettings(verify=str(authority.bundle)))
        assert server.received == []


@pytest.mark.parametrize("call", [with_requests, with_httpx], ids=["requests", "httpx"])
def test_a_server_that_speaks_no_tls_never_got_the_request(call, authority):
    with serve([]) as plain, pytest.raises(TransportError, match=r"no secure connection|broke") as caught:
        call(plain.url.replace("http:", "https:"), TlsSettings(verify=str(authority.bundle)))
    assert not caught.value.sent


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist on this machine"),
        (b"nothing", "holds no certificates in PEM form"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds no certificates in PEM form"),
    ],
    ids=["missing", "empty", "broken"],
)
def test_a_bundle_that_is_none_is_named(tmp_path, content, words):
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_bytes(content)
    settings = TlsSettings(verify=str(path))
    for build in (lambda: TlsSession(settings), settings.ssl_context):
        with pytest.raises(ConfigurationError, match=words):
            build()


def test_a_folder_of_certificates_is_a_bundle(tmp_path):
    assert TlsSettings(verify=str(tmp_path)).ssl_context().verify_mode is ssl.CERT_REQUIRED


def test_the_public_certificates_are_those_of_certifi(foreign_bundle):
    (public,) = TlsSettings(verify=True).ssl_context().get_ca_certs()
    assert public["subject"] == ((("commonName", foreign_bundle.stem),),)
    assert TlsSettings().ssl_context().get_ca_certs() == [public]


def test_an_empty_setting_is_no_setting():
    assert TlsSettings(verify="").resolved_verify() is True


def test_verification_is_only_off_if_asked():
    assert TlsSettings(verify=False).ssl_context().verify_mode is ssl.CERT_NONE
    assert TlsSettings().ssl_context().verify_mode is ssl.CERT_REQUIRED
    assert TlsSettings().ssl_context().check_hostname


def test_netrc_adds_no_credentials(clean_environment, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    clean_environment.setenv("NETRC", str(netrc))
    loopback: Loopback
    with serve([answer()]) as loopback:
        with_requests(loopback.url, TlsSettings())
    assert "authorization" not in loopback.received[0].headers


def test_proxies_are_not_printed():
    assert "pa55word" not in repr(TlsSettings(proxies={"https": "http://user:pa55word@proxy:3128"}))
