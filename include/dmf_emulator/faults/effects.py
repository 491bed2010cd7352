"""What faults of every service have in common."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import urlsplit

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
    response.reason = f"{response.reason or 'ok'}, answer lost"
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
    response.reason = "cut-short"
    return response


# Addresses that a service could give and that lead somewhere else than they seem to, or nowhere.
ADDRESS_FORMS = (
    "plain-http", "other-host", "other-port", "metadata-service", "user-in-front", "fragment", "backslashes",
    "local-file", "without-host", "blank", "with-line-end", "number",
)  # fmt: skip


def odd_address(url: str, form: str) -> object:
    """Return an address in another form.

    :param url: the service's own address.
    :param form: one of `ADDRESS_FORMS`.
    """
    parts = urlsplit(url)
    rest = f"{parts.path}?{parts.query}"
    forms: dict[str, object] = {
        "plain-http": f"http://{parts.netloc}{rest}",
        "other-host": f"https://storage.other.example{rest}",
        "other-port": f"https://{parts.hostname}:{(parts.port or 443) % 65535 + 1}{rest}",
        "metadata-service": f"http://169.254.169.254/latest/meta-data?{parts.query}",
        "user-in-front": f"https://{parts.netloc}@storage.other.example{rest}",
        "fragment": f"https://storage.other.example/#@{parts.netloc}{rest}",
        "backslashes": f"https:\\\\storage.other.example\\@{parts.netloc}{rest}",
        "local-file": "file:///etc/passwd",
        "without-host": f"https:///{rest}",
        "blank": " ",
        "with-line-end": f"{url}\r\nX-Injected: 1",
        "number": 12,
    }
    return forms[form]


def changed_json(response: Response, **changes: object) -> Response:
    """Return an answer whose JSON object has other values; None leaves a property out."""
    body = json.loads(response.body)
    body.update(changes)
    response.body = json.dumps({key: value for key, value in body.items() if value is not None}).encode()
    return response


def redirect(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Send the client elsewhere.

    :param parameters: `status` and `location`; a sign-in page when the latter is empty.
    """
    location = str(parameters["location"])
    if not location:
        location = f"{world.urls['entra']}/{world.settings.tenant_id}/oauth2/authorize?client_id=signin"
    headers = {"Location": location, "Content-Type": "text/html"}
    return Response(int(parameters["status"]), headers, b"<html>Object moved</html>", reason="redirected")
