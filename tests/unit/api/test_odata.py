from __future__ import annotations

import pytest
from tests.unit.scripted import answer, not_found, odata_error

from talent_dmf.api import errors
from talent_dmf.api.dmf.odata import (
    error_text,
    execution_not_found,
    parameters_refused,
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


TEXTS = [
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
    (answer(json=[1]), "[1]"),
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
    [(not_found(), True), (odata_error("EXECUTION DETAILS WERE NOT FOUND", 404), True), (odata_error("other"), False),
     (answer(400), False), (answer(200, json={"value": "details were not found"}), False)],
)  # fmt: skip
def test_not_found(response, expected):
    assert execution_not_found(response) is expected


@pytest.mark.parametrize(
    ("response", "expected"),
    [(odata_error("InvokeAction - Model state is invalid."), True), (not_found(), False), (answer(400), False)],
)
def test_parameters_refused(response, expected):
    assert parameters_refused(response) is expected


REFUSALS = [
    (answer(302, location="https://login.example/?code=SECRET"), errors.ProtocolError, "redirects"),
    (answer(401, json={"Message": "Authentication failed."}), errors.AuthenticationError, "Microsoft Entra ID applica"),
    (odata_error("no access", 403), errors.PermissionDeniedError, "Data management roles.* no access"),
    (answer(403), errors.PermissionDeniedError, "nothing more"),
    (odata_error("Data project X does not exist."), errors.DataProjectNotFoundError, "'Workers' does not exist"),
    (odata_error("Definition group X not found"), errors.DataProjectNotFoundError, "a template is no project"),
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
    assert "Op was refused: Dynamics 365 gives no reason" in str(refusal("Op", answer(400)))
