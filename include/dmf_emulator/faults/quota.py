"""Quotas over a window of time: number of requests, execution time, requests at once (fault dmf.F27).

Source: docs/wire/dmf-package-api.md#quotas-per-user.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dmf_emulator.dmf.answers import odata_headers
from dmf_emulator.faults.definitions import EXPORT_ACTIONS, Parameters
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Response, json_response
from dmf_emulator.state.recorder import Arrival
from dmf_emulator.state.world import World


def _excess(world: World, exchange: Exchange, parameters: Parameters) -> tuple[str, int] | None:
    """Return message and seconds to wait when a quota is used up; messages as in
    docs/wire/dmf-package-api.md#quotas-per-user.

    Counted by the virtual clock over all requests of the environment, the throttled ones included: one emulator is one
    web server, with one application and user.
    """
    window_seconds, limit = float(parameters["window_seconds"]), int(parameters["requests"])
    window = world.recorder.window("dmf", exchange.timestamp - window_seconds)
    for arrival in (each for each in reversed(window) if each.sequence == exchange.sequence):
        # What the request is taken to cost the service; what it really takes is added when it is answered.
        is_export = exchange.action in EXPORT_ACTIONS
        arrival.execution_seconds = float(parameters["export_seconds" if is_export else "request_seconds"])
    earlier = [each for each in window if each.sequence < exchange.sequence]
    over = f"over the time window of {window_seconds:.0f} seconds."
    if len(earlier) >= limit:
        wait_seconds = earlier[-limit].timestamp + window_seconds - exchange.timestamp if limit else window_seconds
        return f"Number of requests exceeded the limit of {limit} {over}", max(1, math.ceil(wait_seconds))
    allowed_seconds = float(parameters["execution_seconds"])
    used_seconds = sum(each.execution_seconds for each in earlier)
    if used_seconds >= allowed_seconds:
        message = f"Combined execution time of incoming requests exceeded limit of {allowed_seconds:.0f} seconds {over}"
        return message, _seconds_until_room(earlier, used_seconds - allowed_seconds, exchange.timestamp, window_seconds)
    concurrent = int(parameters["concurrent"])
    if world.recorder.in_flight("dmf") > concurrent:
        return f"Number of concurrent requests exceeded the limit of {concurrent}.", 1
    return None


def _seconds_until_room(earlier: Sequence[Arrival], excess_seconds: float, now: float, window_seconds: float) -> int:
    """Return when enough of the oldest requests have left the window."""
    for arrival in earlier:
        excess_seconds -= arrival.execution_seconds
        if excess_seconds < 0:
            return max(1, math.ceil(arrival.timestamp + window_seconds - now))
    return math.ceil(window_seconds)


def over_quota(world: World, exchange: Exchange, parameters: Parameters) -> bool:
    """Say whether a request is one too many."""
    return _excess(world, exchange, parameters) is not None


def quota_refused(world: World, exchange: Exchange, parameters: Parameters) -> Response | None:
    """Answer 429 with the time until the window has room again."""
    excess = _excess(world, exchange, parameters)
    if excess is None:
        return None
    message, wait_seconds = excess
    headers = {**odata_headers(), "Retry-After": str(wait_seconds)}
    return json_response(429, {"error": {"code": "429", "message": message}}, headers, reason="over-quota")
