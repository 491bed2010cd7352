"""Per-user quotas over a window of time (fault dmf.F27)."""

from __future__ import annotations

import math

from dmf_emulator.dmf.answers import odata_headers
from dmf_emulator.faults.definitions import Parameters
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Response, json_response
from dmf_emulator.state.world import World


def _excess(world: World, exchange: Exchange, parameters: Parameters) -> tuple[str, int] | None:
    """Return message and seconds to wait when a quota is used up; messages as in
    docs/wire/dmf-package-api.md#quotas-per-user.

    Counted from the recorder by the virtual clock, throttled requests included.
    """
    window_seconds, limit = float(parameters["window_seconds"]), int(parameters["requests"])
    since = exchange.timestamp - window_seconds
    recent = [record for record in world.recorder.requests(origin="dmf") if record.timestamp > since]
    if len(recent) >= limit:
        wait_seconds = window_seconds if not recent else recent[0].timestamp + window_seconds - exchange.timestamp
        window = f"over the time window of {window_seconds:.0f} seconds."
        return f"Number of requests exceeded the limit of {limit} {window}", max(1, math.ceil(wait_seconds))
    concurrent = int(parameters["concurrent"])
    if world.recorder.in_flight("dmf") > concurrent:
        return f"Number of concurrent requests exceeded the limit of {concurrent}.", 1
    return None


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
    return json_response(429, {"error": {"code": "429", "message": message}}, headers, verdict="over-quota")
