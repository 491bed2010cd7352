"""What faults of every service have in common."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from dmf_emulator.dmf import answers as dmf_answers
from dmf_emulator.faults.definitions import Parameters
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import REASONS, Response, Transport
from dmf_emulator.state.world import World


def retry_after(world: World, parameters: Parameters) -> str | None:
    """Return the value of a Retry-After header in the wanted form, None for no header.

    :param parameters: `retry_after` in seconds and `form`: `seconds`, `date` or `none`. A date counts from the
        real time, because clients compare it with theirs.
    """
    form, seconds = parameters["form"], parameters["retry_after"]
    if form == "none":
        return None
    if form == "date":
        return http_date_in(seconds)
    return f"{seconds:g}"


def http_date_in(seconds: float) -> str:
    """Return the HTTP date some seconds from the real present."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def reset_instead(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """Reset the connection although the service has done its work."""
    response.transport = replace(response.transport, reset=True)
    response.verdict = f"{response.verdict or 'ok'}, answer lost"
    return response


def withhold(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """Keep the answer back although the service has done its work."""
    response.transport = replace(response.transport, withhold_seconds=float(parameters["seconds"]))
    return response


def gateway_instead(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer with a gateway's HTML page."""
    status = int(parameters["status"])
    return dmf_answers.gateway_error(status, REASONS[status])


def gateway_after(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """Let the service work, then answer with a gateway's HTML page."""
    return gateway_instead(world, exchange, parameters)


def slow(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """Slow the answer down, or stop it in the middle for a while."""
    response.transport = Transport(
        withhold_seconds=float(parameters.get("latency_seconds", 0)),
        bytes_per_second=int(parameters["bytes_per_second"]) if parameters.get("bytes_per_second") else None,
        # A stall within the body, however short it is.
        stall_after_bytes=min(int(parameters.get("after_bytes", 0)), max(0, response.declared_length_bytes - 1)),
        stall_seconds=float(parameters.get("stall_seconds", 0)),
    )
    return response


def cut(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """Reset the connection in the middle of the body: fewer bytes than Content-Length says."""
    after_bytes = min(int(parameters["after_bytes"]), max(0, response.declared_length_bytes - 1))
    response.transport = replace(response.transport, cut_after_bytes=after_bytes)
    response.verdict = "cut-short"
    return response
