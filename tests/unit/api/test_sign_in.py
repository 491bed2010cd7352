from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talent_dmf.api.errors import AuthenticationError, TransportError
from talent_dmf.auth.entra_errors import _MEANINGS, explain_refusal, refusal_codes, token_claims

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
            r"failed: Entra ID says: AADSTS999: Odd thing; look the code up at https://login\.microsoftonline\.com/error\.$",
        ),
        (
            {"error": "unauthorized_client"},
            r"Entra ID says: unauthorized_client; check tenant, client id and secret of the connection\.$",
        ),
        ({}, "Entra ID gives no reason"),
        ({"error_codes": ["odd", None, 50126]}, r"password is wrong; correct them in the connection \(AADSTS50126\)"),
        *(
            ({"error": "x", "error_codes": codes}, "is not registered")
            for codes in (700016, "700016", ["700016"], [700016.0])
        ),
        *(
            ({"error": "x", "error_codes": codes}, r"says: x; check tenant, client id")
            for codes in (True, {}, -5, "²", None, [[700016]], 10**30)
        ),
        *(({"error_description": odd}, "Entra ID gives no reason") for odd in ({"a": 1}, "", "\r\n", 5, None, ["x"])),
        ({"error": {"code": "x", "message": "y"}}, "Entra ID gives no reason"),
    ],
)
def test_other_answers(answer, words):
    with pytest.raises(AuthenticationError, match=words):
        raise explain_refusal(answer, **WHO)


TRACE = "Trace ID: 1-2{0}Correlation ID: 3-4{0}Timestamp: 2026-11-27 12:00:00Z"
# Refusals that people met on this job, with Entra ID's words.
SAID = {
    50001: "Resource 'https://contoso.cloudax.dynamics.com' is disabled.",
    500014: "The service principal for resource '47ee738b-3f1a-4fc7-ab11-37e4822b007e' is disabled.",
    7000112: "Application '8b0c024c'(exports) is disabled.",
    7000218: "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    65005: "Invalid resource. The client has requested access to a resource which is not listed.",
    900144: "The request body must contain the following parameter: 'grant_type'.",
    50027: "Invalid JWT token. No certificate thumbprint specified in token header.",
    90094: "The grant requires admin permission.",
    50020: "User account from identity provider does not exist in tenant.",
    500021: "Access to tenant is denied.",
    530031: "Access policy does not allow token issuance.",
    5000224: "This resource is not available.",
}


@pytest.mark.parametrize("between", ["\r\n", " "], ids=["lines", "one line"])
@pytest.mark.parametrize("code", SAID)
def test_a_refusal_is_told_with_its_code_and_without_its_trace(code, between):
    text = f"AADSTS{code}: {SAID[code]}{between}{TRACE.format(between)}"
    error = explain_refusal({"error": "invalid_client", "error_description": text, "error_codes": [code]}, **WHO)
    assert not error.retryable
    assert str(error).count(f"AADSTS{code}") == 1
    assert not any(word in str(error) for word in ("Trace ID", "Correlation ID", "Timestamp"))
    assert "Trace ID" in error.detail


def test_of_two_codes_the_specific_one_is_told():
    text = "AADSTS70002: Error validating credentials. AADSTS50032: RSA key size is less than required. Trace ID: 1"
    error = explain_refusal({"error": "x", "error_description": text, "error_codes": [70002, 50032]}, **WHO)
    assert str(error).endswith(
        "AADSTS50032: RSA key size is less than required; look the code up at https://login.microsoftonline.com/error."
    )


def test_a_correlation_id_is_kept_for_support():
    assert explain_refusal({"correlation_id": "c-1"}, **WHO).request_ids == {"correlation_id": "c-1"}


@pytest.mark.parametrize(
    "answer",
    [
        {"error": "temporarily_unavailable"},
        {"error": "x", "error_description": "AADSTS90033: A transient"},
        *({"error": "x", "error_codes": codes} for codes in (90033, "90033", ["90033"])),
    ],
)
def test_passing_trouble_of_entra_id_is_temporary(answer):
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


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["error", "error_description", "error_codes", "correlation_id"]), ODD))
def test_no_answer_is_a_crash(answer):
    assert str(explain_refusal(answer, **WHO))
    assert all(isinstance(code, int) for code in refusal_codes(answer))


@given(st.text())
def test_no_token_is_a_crash(text):
    for token in (text, f"a.{text}.b", jwt(text.encode("utf-8", "replace"))):
        assert isinstance(token_claims(token), dict)
