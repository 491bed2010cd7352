"""One request's way through recorder, faults and service."""

from __future__ import annotations

import re
import sys
import time
import traceback

from dmf_emulator.clock import http_date
from dmf_emulator.faults.fault_set import FaultSet
from dmf_emulator.http.body import ConnectionEnded, MalformedRequest
from dmf_emulator.http.exchange import Exchange, Service
from dmf_emulator.http.message import Refusal, Request, Response, json_response
from dmf_emulator.state.world import World

# A coding with the quality 0 is not accepted (RFC 9110, 12.5.3).
_GZIP = re.compile(r"(?i)\bgzip\b(?!\s*;\s*q=0(?:\.0{1,3})?\s*(?:,|\Z))")


class Dispatcher:
    """What answers at one origin, seen from its sockets.

    :param origin: the origin's name.
    :param service: what answers when no fault does.
    """

    def __init__(self, origin: str, service: Service, world: World, faults: FaultSet) -> None:
        self._origin = origin
        self._service = service
        self._world = world
        self._faults = faults

    def answer(self, request: Request, connection_id: int, arrived_seconds: float) -> Response:
        """Answer a request and record it.

        It stays in flight until its answer begins to leave, as the response's `leaves` is called.

        :param connection_id: number of the connection it came in on.
        :param arrived_seconds: when, on the monotonic clock.
        :raises MalformedRequest: when its body is no HTTP/1.1.
        :raises ConnectionEnded: when the client stops in the middle.
        """
        world = self._world
        timestamp = world.clock.timestamp()
        arrival = world.recorder.begin(self._origin, timestamp)
        exchange = Exchange(
            origin=self._origin,
            request=request,
            connection_id=connection_id,
            sequence=arrival.sequence,
            timestamp=timestamp,
        )

        def ended() -> None:
            world.recorder.end(self._origin, arrival, time.monotonic() - arrived_seconds)

        try:
            response = self._respond(exchange)
        except (MalformedRequest, ConnectionEnded) as error:
            ended()
            status = error.status if isinstance(error, MalformedRequest) else 0
            world.recorder.add(exchange, Response(status, reason="connection-ended"), arrived_seconds)
            raise
        except Exception:  # noqa: BLE001 - the thread must live on, and the defect must be seen
            traceback.print_exc(file=sys.stderr)
            response = json_response(500, {"error": {"code": "emulatorDefect", "message": "See its error output."}})
            response.reason = "emulator-defect"
        response.leaves = ended
        if self._origin != "admin":
            world.recorder.add(exchange, response, arrived_seconds)
        return response

    def _respond(self, exchange: Exchange) -> Response:
        try:
            handler = self._service.identify(exchange)
            response = self._faults.answer(exchange) or handler()
        except Refusal as refusal:
            response = refusal.response
        response = self._faults.reply(exchange, response)
        self._service.finish(exchange, response)
        response.headers.setdefault("Date", http_date(exchange.timestamp))
        settings = self._world.settings
        if settings.compress_answers and _GZIP.search(exchange.request.headers.get("accept-encoding", "")):
            response.compress()
        if settings.chunked_answers:
            response.use_chunks()
        return response
