"""Tokens: by msal, by form, and every documented way not to get one."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msal
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from dmf_emulator import Emulator, EmulatorError, Settings

if TYPE_CHECKING:
    from tests.emulator.wire import Start, Wire


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))


def make_certificate() -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def sha1_thumbprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - the thumbprint that Entra shows


def encoded_thumbprint(certificate: x509.Certificate) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(sha1_thumbprint(certificate))).decode().rstrip("=")


def msal_application(wire: Wire, credential: Any) -> msal.ConfidentialClientApplication:
    return msal.ConfidentialClientApplication(
        wire.info["client_id"],
        authority=wire.info["authority"],
        client_credential=credential,
        instance_discovery=False,
        http_client=wire.session,
    )


@pytest.mark.parametrize("resource", ["dmf", "http://hr.talent.dynamics.com", "https://graph.microsoft.com", "graph"])
def test_msal_gets_a_token_by_secret(wire: Wire, resource: str) -> None:
    resource = wire.info.get(f"{resource}_url", resource)
    answer = msal_application(wire, wire.info["client_secret"]).acquire_token_for_client([f"{resource}/.default"])
    claims = claims_of(answer["access_token"])
    assert claims["aud"] == resource
    assert (claims["tid"], claims["appid"]) == (wire.info["tenant_id"], wire.info["client_id"])
    assert claims["oid"]
    assert answer["expires_in"] == 3600


def test_msal_gets_a_token_by_certificate(start: Start) -> None:
    key, certificate = make_certificate()
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    wire = start(Settings(client_certificates=(pem,)))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    for credential in (
        {"private_key": private, "public_certificate": pem.decode()},
        {"private_key": private, "thumbprint": sha1_thumbprint(certificate)},
    ):
        application = msal_application(wire, credential)
        answer = application.acquire_token_for_client([f"{wire.info['dmf_resource']}/.default"])
        assert claims_of(answer["access_token"])["aud"] == wire.info["dmf_resource"]


def test_unregistered_certificate_is_named(wire: Wire) -> None:
    key, certificate = make_certificate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    thumbprint = sha1_thumbprint(certificate)
    application = msal_application(wire, {"private_key": private, "thumbprint": thumbprint})
    answer = application.acquire_token_for_client([f"{wire.info['dmf_resource']}/.default"])
    assert answer["error_codes"] == [700027]
    assert thumbprint.upper() in answer["error_description"]


@pytest.mark.parametrize(
    ("form", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_id": "00000000-1111-2222-3333-444444444444"}, 400, "unauthorized_client", 700016),
        ({"scope": "https://nobody.example/.default"}, 400, "invalid_resource", 500011),
        ({"scope": "Files.Read"}, 400, "invalid_scope", 70011),
        ({"scope": ""}, 400, "invalid_request", 900144),
        ({"grant_type": ""}, 400, "invalid_request", 900144),
        ({"grant_type": "device_code"}, 400, "unsupported_grant_type", 70003),
        ({"tenant": "99999999-2222-4333-8444-555555555555"}, 400, "invalid_tenant", 90002),
        ({"grant_type": "password", "username": "nobody", "password": "x"}, 400, "invalid_grant", 50126),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 400, "invalid_grant", 9002313),
    ],
)
def test_refusals_carry_the_documented_body(
    wire: Wire, form: dict[str, str], status: int, error: str, number: int
) -> None:
    answer = wire.post_token(**{"scope": f"{wire.info['dmf_resource']}/.default", **form})
    body = answer.json()
    assert (answer.status_code, body["error"], body["error_codes"]) == (status, error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert {"timestamp", "trace_id", "correlation_id"} <= set(body)


def test_missing_credential_is_named(wire: Wire) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": wire.info["client_id"],
        "scope": f"{wire.info['dmf_resource']}/.default",
    }
    answer = wire.session.post(f"{wire.info['authority']}/oauth2/v2.0/token", data=form)
    assert answer.status_code == 401
    assert "'client_secret or client_assertion'" in answer.json()["error_description"]


def test_version_1_takes_a_resource(wire: Wire) -> None:
    answer = wire.post_token("/oauth2/token", resource="http://hr.talent.dynamics.com")
    assert claims_of(answer.json()["access_token"])["aud"] == "http://hr.talent.dynamics.com"


def test_password_grant_and_refresh_stand_for_the_user(wire: Wire) -> None:
    info = wire.info
    scope = "https://graph.microsoft.com/.default"
    form = {"grant_type": "password", "username": info["user_principal_name"], "password": info["user_password"]}
    answer = wire.post_token(scope=scope, **form).json()
    again = wire.post_token(scope=scope, grant_type="refresh_token", refresh_token=answer["refresh_token"]).json()
    for token in (answer["access_token"], again["access_token"]):
        assert claims_of(token)["upn"] == info["user_principal_name"]
        me = wire.session.get(f"{info['graph_url']}/v1.0/me/drive", headers={"Authorization": f"Bearer {token}"})
        assert me.json()["id"] == info["user_drive_id"]


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({}, None),
        ({"aud": "https://other.example/token"}, 700023),
        ({"aud": ["a"]}, 700023),
        ({"iss": ["x"], "sub": {"y": 1}}, 700023),
        ({"exp": 1}, 700024),
        ({"exp": "soon"}, 700024),
        ({"exp": None}, 700024),
        ({"nbf": 4_000_000_000}, 700024),
    ],
)
def test_assertions_are_checked(start: Start, change: dict[str, Any], number: int | None) -> None:
    key, certificate = make_certificate()
    wire = start(Settings(client_certificates=(certificate.public_bytes(serialization.Encoding.PEM),)))
    now = time.time()
    claims = {
        "aud": f"{wire.info['authority']}/oauth2/v2.0/token",
        "iss": wire.info["client_id"],
        "sub": wire.info["client_id"],
        "exp": now + 60,
        "nbf": now,
        **change,
    }
    # PyJWT refuses to sign claims of a wrong type, so the token is put together by hand.
    signed = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "RS256", "x5t": encoded_thumbprint(certificate)}, claims)
    )
    signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    assertion = f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    form = {
        "grant_type": "client_credentials",
        "client_id": wire.info["client_id"],
        "scope": f"{wire.info['dmf_resource']}/.default",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion,
    }
    answer = wire.session.post(f"{wire.info['authority']}/oauth2/v2.0/token", data=form)
    assert answer.json().get("error_codes") == (None if number is None else [number])
    broken = wire.session.post(
        f"{wire.info['authority']}/oauth2/v2.0/token", data={**form, "client_assertion": f"{signed}.AAAA"}
    )
    assert broken.json()["error_codes"] == [700027]
    nothing = wire.session.post(f"{wire.info['authority']}/oauth2/v2.0/token", data={**form, "client_assertion": "x.y"})
    assert nothing.json()["error_codes"] == [50027]


@pytest.mark.parametrize("version", ["/v2.0", ""])
def test_discovery_names_only_this_emulator(wire: Wire, version: str) -> None:
    document = wire.session.get(f"{wire.info['authority']}{version}/.well-known/openid-configuration").json()
    addresses = [value for value in document.values() if isinstance(value, str) and "://" in value]
    assert all(address.startswith(wire.info["entra_url"]) for address in addresses)
    assert wire.session.get(document["jwks_uri"]).json()["keys"][0]["kty"] == "RSA"


def test_unreadable_client_certificate_ends_in_one_line() -> None:
    with pytest.raises(EmulatorError, match="client certificate cannot be read"):
        Emulator(Settings(client_certificates=(b"no certificate",))).start()
