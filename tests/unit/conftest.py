"""Fixtures of the unit tests: certificates, and an environment without settings of the machine."""

from __future__ import annotations

import gc
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
import pytest
from tests.unit.authority import Authority

if TYPE_CHECKING:
    from tests.unit.driving import Runner
    from tests.unit.token_service import SignIn, TokenService

# What requests, httpx and msal would follow.
FOLLOWED = (
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IDENTITY_SERVER_THUMBPRINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_FEDERATED_TOKEN_FILE",
)


def pytest_collection_finish() -> None:
    """What the test modules imported is there to stay: the garbage collector need not look through it each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _machine_of_no_settings(foreign_bundle: Path) -> Iterator[None]:
    """An environment that names no proxy, no CA bundle and no managed identity, and a public that is one CA: to read
    the 140 of certifi takes longer than most tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in FOLLOWED:
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        patch.setattr(certifi, "where", lambda: str(foreign_bundle))
        yield


class StandingClock:
    """Seconds since the epoch, which pass only when a test says so."""

    seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> StandingClock:
    """A clock that stands still."""
    return StandingClock()


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names no proxy, no CA bundle and no managed identity, to set some of them."""
    return monkeypatch


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA that signed the test servers."""
    return Authority.found(tmp_path_factory.mktemp("ca"), "our-ca")


@pytest.fixture(scope="session")
def foreign_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA bundle that signed nothing here."""
    return Authority.found(tmp_path_factory.mktemp("other"), "other-ca").bundle


@pytest.fixture(scope="session")
def server_tls(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Server side of TLS for 127.0.0.1."""
    return authority.server_context(tmp_path_factory.mktemp("server"))


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def runner(request: pytest.FixtureRequest, authority: Authority) -> Runner:
    """Runs protocols by one driver, then by the other."""
    from tests.unit.driving import Runner

    from talent_dmf.transport.tls import TlsSettings

    return Runner(request.param, TlsSettings(verify=str(authority.bundle)))


@pytest.fixture
def sign_in_at(server_tls: ssl.SSLContext, authority: Authority) -> Iterator[Callable[[TokenService], SignIn]]:
    """Signs in at a token service, which runs until the test ends."""
    # Only here: most tests need none of what it imports.
    from tests.unit.loopback import serve
    from tests.unit.token_service import SignIn

    from talent_dmf.auth.token_service import forget_discoveries

    # The system gives a port again: an earlier test's service would be taken for this one's.
    forget_discoveries()
    with ExitStack() as stack:

        def run(service: TokenService) -> SignIn:
            loopback = stack.enter_context(serve(service, server_tls))
            service.url = loopback.url
            return SignIn(loopback.url, str(authority.bundle))

        yield run
