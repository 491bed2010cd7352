"""An identity: what it needs to sign in, where it does so, and what it is known by."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.token_service import SCOPE, TENANT

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.auth import tokens as credentials
from talent_dmf.auth.tokens import (
    Identity,
    tokens_for,
)
from talent_dmf.transport.tls import TlsSettings


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
