"""Faults of the token service, each with the report that it imitates."""

from __future__ import annotations

import json

from dmf_emulator.dmf import answers as dmf_answers
from dmf_emulator.faults.definitions import Choice, FaultDefinition, Mode, Parameters
from dmf_emulator.faults.effects import changed_json, redirect
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import REASONS, Response, json_response
from dmf_emulator.state.world import World

_DISCOVERY = ("openid-configuration", "instance-discovery")
_TOKEN = ("token",)
# Values of `expires_in` that a client cannot add to a time, or should not.
_LIFETIMES: dict[str, object] = {
    "expires-null": None, "expires-text": "3599", "expires-word": "soon", "expires-infinite": float("inf"),
    "expires-list": [3599], "expires-negative": -1, "expires-zero": 0, "expires-huge": 10**30, "expires-true": True,
}  # fmt: skip
_REFUSALS: dict[str, object] = {
    "error-codes-number": {"error": "invalid_client", "error_description": "AADSTS7000215", "error_codes": 7000215},
    "error-codes-text": {"error": "invalid_client", "error_description": "AADSTS7000215", "error_codes": "7000215"},
    "error-null": {"error": None, "error_description": None},
    "error-object": {"error": {"code": "invalid_client", "message": "no"}},
    "description-number": {"error": "invalid_client", "error_description": 12},
}
_BODIES: dict[str, bytes] = {
    "empty": b"",
    "list": b"[]",
    "text": b"ok",
    "html": b"<html><body>Sign in to the proxy</body></html>",
    "deep-json": b"[" * 100_000 + b"]" * 100_000,
    "no-utf8": b'{"access_token": "\xff\xfe", "expires_in": 3599}',
}
_TOKENS: dict[str, object] = {"token-number": 12, "token-empty": "", "token-with-line-end": "a.b.c\r\nX-Injected: 1"}
_ODDITIES = (*_LIFETIMES, "expires-missing", "token-missing", *_TOKENS, *_REFUSALS, *_BODIES)


def _odd_answer(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """Answer what no token service should, with the status that clients believe."""
    form = str(parameters["form"])
    if form in _BODIES:
        return Response(200, {"Content-Type": "application/json"}, _BODIES[form], reason="odd-token-answer")
    if form in _REFUSALS:
        return json_response(401, _REFUSALS[form], reason="odd-token-answer")
    if form == "expires-missing":
        return changed_json(response, expires_in=None)
    if form == "token-missing":
        return changed_json(response, access_token=None)
    if form in _TOKENS:
        return changed_json(response, access_token=_TOKENS[form])
    body = json.loads(response.body)
    response.body = json.dumps({**body, "expires_in": _LIFETIMES[form]}).encode()
    return response


def _redirected(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Send the client, its secret in the body, to another host: by default to the SharePoint origin."""
    location = parameters["location"] or f"{world.urls['sharepoint']}/redirected/token"
    return redirect(world, exchange, {**parameters, "location": location})


def _discovery_trouble(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    status = int(parameters["status"])
    if parameters["body"] == "json":
        return json_response(status, {"error": "temporarily_unavailable"})
    return dmf_answers.gateway_error(status, REASONS[status])


ENTRA_FAULTS: tuple[FaultDefinition, ...] = (
    FaultDefinition(
        "entra.F1", "token-redirect", "the token endpoint sends the client and its secret to another host", "hardening",
        {
            "elsewhere": Mode(
                stage="answer", origins=("entra",), actions=_TOKEN, answer=_redirected,
                parameters={"status": Choice((307, 308, 301, 302, 303)), "location": ""},
            )
        },
    ),
    FaultDefinition(
        "entra.F2", "odd-token-answer", "an answer of the token endpoint that no client can use, or should",
        "AzureAD/microsoft-authentication-library-for-python#263, hardening",
        {
            "answer": Mode(
                stage="reply", origins=("entra",), actions=_TOKEN, reply=_odd_answer,
                parameters={"form": Choice(_ODDITIES)},
            )
        },
    ),
    FaultDefinition(
        "entra.F3", "discovery-trouble", "discovery fails now and then, or a proxy answers in its place",
        "AzureAD/microsoft-authentication-library-for-python#263, AzureAD/microsoft-authentication-library-for-js#6483",
        {
            "answer": Mode(
                stage="answer", origins=("entra",), actions=_DISCOVERY, answer=_discovery_trouble, times=1,
                parameters={"status": Choice((408, 429, 500, 502, 503, 504, 407)), "body": Choice(("html", "json"))},
            )
        },
    ),
)  # fmt: skip
