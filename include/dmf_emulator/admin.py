"""The emulator's own controls; no part of any product it stands for."""

from __future__ import annotations

from .exchange import Exchange, Handler
from .http_message import Refusal, Response, json_response
from .state import World


class AdminService:
    """`/_emu/…` and the status page."""

    def __init__(self, world: World) -> None:
        self._world = world

    def identify(self, exchange: Exchange) -> Handler:
        """Route by path."""
        if exchange.request.path == "/_emu/requests":
            return lambda: json_response(
                200, {"requests": [each.as_json() for each in self._world.recorder.requests()]}
            )
        raise Refusal(Response(404))
