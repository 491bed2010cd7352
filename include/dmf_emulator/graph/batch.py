"""`$batch`: several requests in one, as JSON.

Source: "Combine multiple HTTP requests using JSON batching": up to 20 requests, `dependsOn` by id, 424 for what
depends on a failure. Faults and the recorder see the whole, not its parts.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dmf_emulator.graph.answers import invalid_request
from dmf_emulator.http.body import HeldBody
from dmf_emulator.http.exchange import Exchange, Service
from dmf_emulator.http.message import Refusal, Request, Response, json_object, json_response

_MAX_REQUESTS = 20


def answer_batch(api: Service, exchange: Exchange) -> Response:
    """Answer each request of a batch.

    :param api: what answers a single request.
    :raises Refusal: 400 for a batch that is none.
    """
    body = json_object(exchange.request.content())
    requests = None if body is None else body.get("requests")
    if not isinstance(requests, list) or not 1 <= len(requests) <= _MAX_REQUESTS:
        raise Refusal(invalid_request("graph", f"A batch has 1 to {_MAX_REQUESTS} requests.", reason="bad-batch"))
    answers: dict[str, dict[str, Any]] = {}
    for part in requests:
        if not isinstance(part, dict) or not all(isinstance(part.get(key), str) for key in ("id", "method", "url")):
            raise Refusal(
                invalid_request("graph", "A request of a batch needs id, method and url.", reason="bad-batch")
            )
        if part["id"] in answers:
            raise Refusal(invalid_request("graph", f"The id {part['id']} is there twice.", reason="bad-batch"))
        before = part.get("dependsOn") or []
        if not isinstance(before, list) or not all(isinstance(each, str) for each in before):
            raise Refusal(invalid_request("graph", "dependsOn is a list of ids.", reason="bad-batch"))
        if not set(before) <= set(answers):
            message = "A request can depend on those that stand before it only."
            raise Refusal(invalid_request("graph", message, reason="bad-batch"))
        failed = any(answers[each]["status"] >= 400 for each in before)
        answers[part["id"]] = _failed_dependency(part["id"]) if failed else _answer(api, exchange, part)
    return json_response(200, {"responses": list(answers.values())})


def _failed_dependency(identifier: str) -> dict[str, Any]:
    error = {"code": "FailedDependency", "message": "A request that this one depends on has failed."}
    return {"id": identifier, "status": 424, "headers": {}, "body": {"error": error}}


def _answer(api: Service, exchange: Exchange, part: Mapping[str, Any]) -> dict[str, Any]:
    request = _request(exchange.request, part)
    single = replace(exchange, request=request, action="", payload={}, faults=[])
    try:
        if request.path.rpartition("/")[2] == "$batch":
            raise Refusal(invalid_request("graph", "A batch cannot be part of a batch.", reason="bad-batch"))
        response = api.identify(single)()
    except Refusal as refusal:
        response = refusal.response
    answer: dict[str, Any] = {"id": part["id"], "status": response.status, "headers": dict(response.headers)}
    if response.body:
        answer["body"] = json.loads(response.body)
    return answer


def _request(outer: Request, part: Mapping[str, Any]) -> Request:
    given = part.get("headers")
    headers = {str(name).lower(): str(value) for name, value in given.items()} if isinstance(given, dict) else {}
    # The batch's own token serves all its requests.
    headers.setdefault("authorization", outer.headers.get("authorization", ""))
    path, _, query = part["url"].partition("?")
    version = outer.path.split("/")[1]
    content = _content(part.get("body"))
    return Request(
        part["method"].upper(), f"/{version}/{path.lstrip('/')}", query, headers, tuple(headers), HeldBody(content)
    )


def _content(body: object) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        # "For bodies that are not JSON, a base64 encoded string".
        try:
            return base64.b64decode(body, validate=True)
        except ValueError as error:
            message = "A body that is a text must be coded in base64."
            raise Refusal(invalid_request("graph", message, reason="bad-batch")) from error
    return json.dumps(body).encode()
