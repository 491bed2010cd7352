from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scripted import answer, not_found, odata_error

from talent_dmf.api import errors
from talent_dmf.api.answers import error_text
from talent_dmf.api.dmf.odata import (
    execution_denied,
    refusal,
    value_of,
)
from talent_dmf.api.errors import ProtocolError


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (answer(json={"value": "id"}), "id"),
        (answer(json={"value": {"value": "id"}}), "id"),
        (answer(json={"value": {"value": {"value": "id"}}}), "id"),
        (answer(json={"value": []}), []),
        (answer(json={"value": {"other": 1}}), {"other": 1}),
        (answer(json={"value": None}), None),
        (answer(json={}), None),
        (answer(204), None),
        (answer(body=" \r\n"), None),
    ],
)
def test_value_is_flat_or_nested(response, expected):
    assert value_of("Op", response) == expected


@pytest.mark.parametrize("body", ["<html>Sign in</html>", "[1]", '"text"', "{"])
def test_an_answer_that_is_no_odata_is_named_as_such(body):
    with pytest.raises(ProtocolError, match="not JSON"):
        value_of("Op", answer(body=body))


DEEP: dict[str, object] = {"message": "deepest"}
for depth in range(7, 0, -1):
    DEEP = {"message": f"depth {depth}", "innererror": DEEP}
TEXTS = [
    (answer(json={"error": DEEP}), "deepest"),
    (answer(json={"error": {"message": "depth 0", "innererror": DEEP}}), "depth 7"),
    (odata_error("Data project X does not exist."), "Data project X does not exist."),
    (answer(json={"error": {"message": "outer", "innererror": {"internalexception": {"message": "deep"}}}}), "deep"),
    (answer(json={"error": {"message": "outer", "innererror": {"message": ""}}}), "outer"),
    (answer(json={"error": {"message": "outer", "innerError": {"message": "camel"}}}), "camel"),
    (answer(json={"error": {"code": "Bad"}}), "Bad"),
    (answer(json={"error": {"innererror": "text"}}), ""),
    (answer(json={"error": "invalid_grant"}), "invalid_grant"),
    (answer(json={"Message": "Authentication failed.", "StackTrace": None}), "Authentication failed."),
    (answer(json={"status": 400, "message": "line\r\nclientRequestId: 1"}), "line clientRequestId: 1"),
    (answer(json={}), ""),
    (answer(json=[1]), ""),
    (
        answer(json={"Message": "An error has occurred.", "ExceptionMessage": "BOX API can't be used"}),
        "BOX API can't be used",
    ),
    (answer(json={"error": {"message": {"lang": "de-DE", "value": "Zugriff verweigert."}}}), "Zugriff verweigert."),
    (answer(json={"error": {"innererror": "text", "message": "M"}}), "M"),
    (answer(json={"odata.error": {"code": "", "message": {"lang": "en-US", "value": "V"}}}), "V"),
    (answer(json={"error": {"code": "", "message": ""}}), ""),
    (answer(json={"error": None}), ""),
    (answer(body=b"\xff\xfe\x00"), "\ufffd\ufffd"),
    (answer(json={"error": {"message": "two\u202e\x00words"}}), "two words"),
    (answer(json={"error": {"message": {"a": 1}, "code": 5}}), ""),
    (answer(body="<html><style>p{}</style><b>502</b> Bad\nGateway</html>"), "502 Bad Gateway"),
    (answer(), ""),
]


@pytest.mark.parametrize(("response", "text"), TEXTS)
def test_the_telling_sentence(response, text):
    assert error_text(response) == text


def test_a_long_text_is_cut():
    assert len(error_text(odata_error("x" * 5000))) == 1000


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (not_found(), True),
        (odata_error("Der Ausführungsauftrag wurde nicht gefunden.", 404), True),
        (odata_error("実行の詳細が見つかりませんでした"), True),
        (odata_error("Execution details were not found", 403), False),
        (answer(400), False),
        (answer(400, body="<html>details were not found"), False),
        (answer(404, json={"Message": "No HTTP resource was found that matches the request URI."}), False),
        (answer(200, json={"value": "details were not found"}), False),
    ],
)
def test_a_denial_is_told_by_its_envelope_in_any_language(response, expected):
    assert execution_denied(response) is expected


INSIDE = [
    {"error": {"message": "m", "innererror": {"message": "The batch service is being restarted."}}},
    {"odata.error": {"message": {"value": "The batch service"}}},
]


@pytest.mark.parametrize("response", [answer(json=body) for body in INSIDE])
def test_an_error_inside_of_a_success_keeps_its_words(response):
    with pytest.raises(ProtocolError, match="Op: Dynamics 365 answered with an error: The batch service"):
        value_of("Op", response)


REFUSALS = [
    (answer(302, location="https://login.example/?code=SECRET"), errors.ProtocolError, "redirects"),
    (answer(401, json={"Message": "Authentication failed."}), errors.AuthenticationError, "Microsoft Entra ID applica"),
    (
        odata_error("no access", 403),
        errors.PermissionDeniedError,
        "has no right to that: no access. Give it the.* Data management roles",
    ),
    (answer(403), errors.PermissionDeniedError, "has no right to that. Give it"),
    (odata_error("Data project X does not exist."), errors.RequestRefusedError, "Data project X does not exist."),
    (answer(404), errors.ConfigurationError, "/namespaces/<guid>"),
    (odata_error("Model state is invalid"), errors.RequestRefusedError, "refused for 'Workers': Model state"),
    (answer(409), errors.RequestRefusedError, "gives no reason"),
]


@pytest.mark.parametrize(("response", "kind", "words"), REFUSALS)
def test_a_refusal_is_one_clear_sentence(response, kind, words):
    error = refusal("Op", response, "Workers")
    assert type(error) is kind
    assert error.status_code == response.status
    assert "SECRET" not in f"{error} {error.detail}"
    with pytest.raises(kind, match=words):
        raise error


def test_a_refusal_about_nothing_in_particular():
    assert "Op was refused. Dynamics 365 gives no reason" in str(refusal("Op", answer(400)))


NODES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["error", "innererror", "message", "value", "Message", "code"]) | st.text(), inner
        )
    ),
)


@given(NODES | st.binary())
def test_no_answer_is_a_crash(content):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    response = answer(400, body=body)
    assert isinstance(error_text(response), str)
    assert str(refusal("Op", response, "x"))
    assert execution_denied(response) in {True, False}
    with contextlib.suppress(ProtocolError):
        value_of("Op", answer(200, body=body))
