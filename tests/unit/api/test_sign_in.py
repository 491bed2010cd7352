from __future__ import annotations

import base64
import json

import pytest

from talent_dmf.api.errors import AuthenticationError, TransportError
from talent_dmf.auth.entra_errors import _MEANINGS, explain_refusal, token_claims

WHO = {"tenant_id": "contoso", "client_id": "app-1", "scope": "https://env/.default"}


@pytest.mark.parametrize("code", _MEANINGS)
def test_every_known_code_is_one_sentence_with_the_facts(code):
    text = f"AADSTS{code}: Something. Trace ID: 1\r\nCorrelation ID: 2"
    error = explain_refusal({"error": "x", "error_description": text, "error_codes": [code]}, **WHO)
    assert isinstance(error, AuthenticationError)
    assert str(error) == f"Signing in failed: {_MEANINGS[code].format(**WHO)} (AADSTS{code})."
    assert "{" not in str(error)
    assert error.detail == text


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error_description": "AADSTS7000215: Invalid client secret."}, r"client secret is wrong.*\(AADSTS7000215\)"),
        (
            {"error_description": "AADSTS999: Odd thing.\r\nTrace ID: 1", "error_codes": ["999"]},
            r"failed: Entra ID says: AADSTS999: Odd thing \(AADSTS999\)\.$",
        ),
        ({"error": "unauthorized_client"}, "Entra ID says: unauthorized_client.$"),
        ({}, "no reason given"),
        ({"error_codes": ["odd", None, 50126]}, r"password is wrong \(AADSTS50126\)"),
    ],
)
def test_other_answers(answer, words):
    with pytest.raises(AuthenticationError, match=words):
        raise explain_refusal(answer, **WHO)


def test_a_correlation_id_is_kept_for_support():
    assert explain_refusal({"correlation_id": "c-1"}, **WHO).request_ids == {"correlation_id": "c-1"}


@pytest.mark.parametrize(
    "answer", [{"error": "temporarily_unavailable"}, {"error": "x", "error_description": "AADSTS90033: A transient"}]
)
def test_passing_trouble_of_entra_id_is_no_verdict(answer):
    error = explain_refusal(answer, **WHO)
    assert isinstance(error, TransportError)
    assert not error.sent


def jwt(payload: bytes) -> str:
    return f"h.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}.s"


@pytest.mark.parametrize(
    ("token", "claims"),
    [
        (jwt(json.dumps({"aud": "x", "n": "ü"}).encode()), {"aud": "x", "n": "ü"}),
        (jwt(b"[1]"), {}),
        (jwt(b"\xff\xff"), {}),
        ("opaque", {}),
        ("a.b", {}),
        ("a.%%%.c", {}),
        ("a.ü.c", {}),
        ("", {}),
    ],
)
def test_claims(token, claims):
    assert token_claims(token) == claims
