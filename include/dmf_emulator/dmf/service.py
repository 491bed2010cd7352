"""The finance and operations environment: roots, authentication and routing.

Sources: docs/wire/dmf-package-api.md#addresses-of-the-actions, docs/wire/dmf-package-api.md#shape-of-an-answer,
docs/wire/dmf-package-api.md#refused-by-the-environment.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from dmf_emulator.dmf import answers as dmf_answers
from dmf_emulator.dmf.actions import ACTIONS, NOT_IMITATED
from dmf_emulator.dmf.entity_sets import ENTITY_SETS, EntityRequest, query
from dmf_emulator.dmf.metadata import metadata_document
from dmf_emulator.http.exchange import Exchange, Handler
from dmf_emulator.http.message import Refusal, Response, json_object
from dmf_emulator.settings import TALENT_RESOURCE
from dmf_emulator.state.tokens import TokenRefused
from dmf_emulator.state.world import World

_ACTION_PATH = re.compile(r"DataManagementDefinitionGroups/Microsoft\.Dynamics\.DataEntities\.(\w+)\Z")
_SET_PATH = re.compile(r"(\w+)(?:\((.*)\)|(/\$count))?\Z", re.DOTALL)


class DmfService:
    """One environment under three roots: finance and operations, Talent, and on-premises."""

    def __init__(self, world: World) -> None:
        self._world = world

    def finish(self, exchange: Exchange, response: Response) -> None:
        """Give the answer the activity id that support asks for (docs/wire/dmf-package-api.md#shape-of-an-answer)."""
        response.headers.setdefault("ms-dyn-aid", str(uuid.uuid4()))

    def identify(self, exchange: Exchange) -> Handler:
        """Find root, action or entity set, and the names that faults match on."""
        base_url, audience, path = self._root(exchange)
        request = exchange.request
        action_match = _ACTION_PATH.match(path)
        if action_match is not None and request.method == "POST":
            return self._identify_action(exchange, action_match[1], base_url, audience)
        set_match = _SET_PATH.match(path)
        if set_match is not None and set_match[1] in ENTITY_SETS and _is_served(request.method, set_match):
            exchange.action = set_match[1]
            wanted = EntityRequest(set_match[1], set_match[2], base_url, counts_only=set_match[3] is not None)
            return lambda: self._authorised(exchange, audience, lambda: query(self._world, exchange, wanted))
        if path == "$metadata" and request.method == "GET":
            exchange.action = "$metadata"
            return lambda: self._authorised(exchange, audience, metadata_document)
        if missing := _not_imitated(request.method, path):
            return lambda: self._authorised(exchange, audience, lambda: dmf_answers.not_supported(missing))
        return lambda: self._authorised(exchange, audience, lambda: dmf_answers.not_found(request.path))

    def _identify_action(self, exchange: Exchange, name: str, base_url: str, audience: str) -> Handler:
        exchange.action = name
        payload = json_object(exchange.request.content())
        exchange.payload = payload or {}
        exchange.execution_id = _text(exchange.payload, "executionId")
        exchange.definition_group_id = _text(exchange.payload, "definitionGroupId")
        exchange.legal_entity_id = _text(exchange.payload, "legalEntityId")
        execution = self._world.executions.find(exchange.execution_id) if exchange.execution_id else None
        if execution is not None and not exchange.definition_group_id:
            exchange.definition_group_id = execution.project.name
            exchange.legal_entity_id = execution.company

        def act() -> Response:
            if name in NOT_IMITATED:
                return dmf_answers.not_supported(f"the action {name}")
            if name not in ACTIONS:
                return dmf_answers.not_found(exchange.request.path)
            if payload is None:
                return dmf_answers.model_state_invalid()
            return ACTIONS[name](self._world, exchange, base_url)

        return lambda: self._authorised(exchange, audience, act)

    def _root(self, exchange: Exchange) -> tuple[str, str, str]:
        """Return service root, audience and the path below `/data/`."""
        segments, base_url = exchange.request.segments, self._world.urls["dmf"]
        audience = self._world.dmf_resource
        if len(segments) > 2 and segments[0] == "namespaces":
            if segments[1].lower() == self._world.settings.namespace_id.lower():
                audience = TALENT_RESOURCE
            elif segments[1] != "AXSF":
                raise Refusal(dmf_answers.not_found(exchange.request.path))
            base_url = f"{base_url}/namespaces/{segments[1]}"
            segments = segments[2:]
        if not segments or segments[0] != "data":
            raise Refusal(dmf_answers.not_found(exchange.request.path))
        return base_url, audience, "/".join(segments[1:])

    def _authorised(self, exchange: Exchange, audience: str, handler: Handler) -> Response:
        """Check the token as the environment does, then act.

        The audience must equal the environment URL without trailing slash (docs/wire/dmf-package-api.md#audience);
        tenant and object id are checked; the app must be mapped to a user in the environment
        (docs/wire/dmf-package-api.md#refused-by-the-environment).
        """
        settings = self._world.settings
        authority = f"{self._world.urls['entra']}/{settings.tenant_id}/oauth2/authorize"
        try:
            claims = self._world.tokens.read(exchange.request.headers.get("authorization"))
            _check_claims(claims, audience, settings.mapped_client_ids or frozenset({settings.client_id}))
        except TokenRefused as refused:
            return dmf_answers.authentication_failed(refused.reason, authority)
        return handler()


def _is_served(method: str, set_match: re.Match[str]) -> bool:
    return method == "GET" or (method == "POST" and set_match[2] is None and set_match[3] is None)


def _not_imitated(method: str, path: str) -> str:
    """Return what a real environment answers at a path and this one does not; empty for what neither knows."""
    if path in {"", "$batch"}:
        return path or "the list of entity sets"
    name, rest = re.split(r"(?=[(/])|\Z", path, maxsplit=1)
    if name not in ENTITY_SETS or rest.startswith("/Microsoft."):
        return ""
    return f"{method} of {name}" if method in {"PATCH", "PUT", "DELETE"} else f"/data/{path}" if rest else ""


def _check_claims(claims: dict[str, Any], audience: str, mapped_client_ids: frozenset[str]) -> None:
    if claims.get("aud") != audience:
        raise TokenRefused("wrong-audience")
    if not claims.get("oid"):
        raise TokenRefused("no-object-id")
    if claims.get("appid") not in mapped_client_ids and "upn" not in claims:
        raise TokenRefused("app-not-mapped")


def _text(payload: dict[str, Any], key: str) -> str:
    value = payload.get(key)
    return value if isinstance(value, str) else ""
