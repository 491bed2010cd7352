from __future__ import annotations

import pytest

from talent_dmf.api.steps import Request, Response


def test_a_request_prints_without_what_opens_doors():
    request = Request("GET", "https://user:pw@blob.example/p.zip?sig=SECRET", operation="read range")
    assert repr(request) == "<Request GET https://blob.example/p.zip?*** (read range)>"


@pytest.mark.parametrize(("status", "ok"), [(199, False), (200, True), (299, True), (302, False), (404, False)])
def test_only_2xx_is_ok(status, ok):
    assert Response(status).ok is ok


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b'{"a": 1}', {"a": 1}), (b"", None), (b"<html>", None), (b"\xff\xfe\x00", None), (b"null", None)],
)
def test_json_is_never_assumed(body, expected):
    assert Response(200, {}, body).json() == expected


def test_request_ids_are_those_that_support_asks_for():
    response = Response(500, {"ms-dyn-aid": "a", "x-ms-request-id": "b", "server": "c"}, b"12345")
    assert response.request_ids == {"ms-dyn-aid": "a", "x-ms-request-id": "b"}
    assert repr(response) == "<Response 500 5 bytes {'ms-dyn-aid': 'a', 'x-ms-request-id': 'b'}>"
    assert "7 bytes" in repr(Response(200, {}, b"", 7))
