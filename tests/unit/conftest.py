"""Fixtures of the unit tests: certificates, and an environment without settings of the machine."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from tests.unit.authority import Authority

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


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names no proxy, no CA bundle and no managed identity."""
    for name in FOLLOWED:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
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
