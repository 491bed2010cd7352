"""What the faults of Graph, upload sessions and downloads do; `drive_catalogue` names them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

from dmf_emulator.blob.service import blob_error
from dmf_emulator.blob.service import expired as link_expired
from dmf_emulator.clock import iso_utc
from dmf_emulator.dmf import answers as dmf_answers
from dmf_emulator.faults.definitions import Parameters
from dmf_emulator.faults.effects import changed_json, odd_address, retry_after
from dmf_emulator.graph import answers as graph_answers
from dmf_emulator.graph.answers import drive_error, name_exists, session_not_found
from dmf_emulator.graph.service import unauthenticated
from dmf_emulator.graph.sharepoint import token_refused as token_refused_answer
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.http.message import Response
from dmf_emulator.state.world import World


def throttled(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 429."""
    return graph_answers.throttled(exchange.origin, retry_after(world, parameters))


def unavailable(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 503 in JSON with Retry-After."""
    return drive_error(
        exchange.origin, 503, "serviceNotAvailable", "The service is temporarily unavailable.",
        headers={"Retry-After": f"{parameters['retry_after']:g}"},
    )  # fmt: skip


def unavailable_html(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 503 as a gateway does."""
    return dmf_answers.gateway_error(503, "Service Unavailable")


def unavailable_then_gone(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 503 and forget the session."""
    session = world.uploads.find(exchange.session_id)
    if session is not None:
        world.uploads.close(session)
    return dmf_answers.gateway_error(503, "Service Unavailable")


def server_error(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer `generalException`."""
    status = int(parameters["status"])
    message = "An unexpected error occurred processing your request."
    return drive_error(exchange.origin, status, "generalException", message)


def stored_but_503(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """Let the range be stored, then say that it was not."""
    answer = unavailable(world, exchange, {"retry_after": 1})
    answer.reason = "stored, answered 503"
    return answer


def session_missing(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 404 although the session is there."""
    return session_not_found("session-not-found-fault")


def session_killed(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 404 and forget the session."""
    session = world.uploads.find(exchange.session_id)
    if session is not None:
        world.uploads.close(session)
    return session_not_found("session-not-found-fault")


def token_refused(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Refuse the session's token from now on."""
    status = int(parameters["status"])
    session = world.uploads.find(exchange.session_id)
    if session is not None:
        # For this session there is no way back; a new one for the same file may be opened.
        session.refused_status = status
    return token_refused_answer(status)


def idle(world: World, exchange: Exchange, parameters: Parameters) -> Response | None:
    """Let the session run out, then let the service answer."""
    session = world.uploads.find(exchange.session_id)
    if session is not None:
        session.expires_seconds = world.clock.timestamp()
    return None


def locked(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 423."""
    return drive_error(exchange.origin, 423, "resourceLocked", "The resource you are attempting to access is locked")


def open_elsewhere(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer the 409 of a file that is open in Office."""
    return name_exists(exchange.origin, "An upload session already exists for this file.")


def changed_meanwhile(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 412."""
    return drive_error(
        exchange.origin, 412, "preconditionFailed", "ETag does not match current item's value", inner="resourceModified"
    )


def quota(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 507."""
    return drive_error(exchange.origin, 507, "quotaLimitReached", "The user's storage quota has been exceeded.")


def too_large(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 413."""
    return drive_error(exchange.origin, 413, "requestEntityTooLarge", "The file is larger than the service allows.")


def bad_token(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 401 for a bearer token that is good."""
    return unauthenticated(world, exchange.origin, "token-expired")


def denied(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 403."""
    return drive_error(exchange.origin, 403, "accessDenied", "Access denied")


def without_body(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """Leave the body out of a success."""
    response.body = b""
    response.headers.pop("Content-Type", None)
    return response


def other_ranges(ranges: list[str] | None, response: Response) -> Response:
    """Show other ranges in a 202, or none.

    :param ranges: None leaves the property out.
    """
    body = json.loads(response.body)
    if response.status == 202:
        body.pop("nextExpectedRanges", None)
        if ranges is not None:
            body["nextExpectedRanges"] = ranges
    response.body = json.dumps(body).encode()
    return response


def blob_busy(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 503 as Azure Storage does."""
    return blob_error(
        world, 503, "ServerBusy", "The server is currently unable to receive requests. Please retry your request."
    )


def blob_expired(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer the 403 of an expired link."""
    return link_expired(world, exchange.request.parameters.get("st", ""), iso_utc(world.clock.timestamp() - 1))


def other_etag(world: World, exchange: Exchange, parameters: Parameters) -> Response | None:
    """As if the package had been written anew: `If-Match` fails, and other readers see another tag."""
    if "if-match" in exchange.request.headers:
        return blob_error(
            world, 412, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.",
            head=exchange.request.method == "HEAD",
        )  # fmt: skip
    return None


def retagged(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """Show another entity tag."""
    response.headers["ETag"] = '"0x8DFFFFFFFFFFFFF"'
    return response


def short(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """End the body early in an orderly way: the connection closes before Content-Length is reached."""
    length = response.declared_length_bytes
    pieces = response.stream if response.stream is not None else (response.body,)

    def kept() -> Iterator[memoryview]:
        left = length - int(parameters["missing_bytes"])
        for piece in pieces:
            if left <= 0:
                return
            yield memoryview(piece)[:left]
            left -= len(piece)

    return replace(response, stream=kept(), body=b"", length_bytes=length, reason="short-body")


def by_drive_id(world: World, exchange: Exchange, parameters: Parameters) -> bool:
    """Whether the drive is asked for by its own id rather than as a user's or a site's."""
    return re.match(r"/(?:.*/)?drives/[^/]+/?\Z", exchange.request.path) is not None


def drive_unreadable(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 404 `UnknownError`, or 403, for a drive whose items can be reached."""
    if int(parameters["status"]) == 403:
        return drive_error(exchange.origin, 403, "accessDenied", "Access denied")
    return drive_error(exchange.origin, 404, "UnknownError", "404 FILE NOT FOUND")


def odd_quota(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """Show a quota that says nothing, or nothing sensible."""
    shown = {
        "missing": None, "empty": {}, "null": {"remaining": None, "total": None}, "zero": {"remaining": 0, "total": 0},
        "text": {"remaining": "much"}, "negative": {"remaining": -1},
    }  # fmt: skip
    return changed_json(response, quota=shown[str(parameters["quota"])])


def modified(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer 409 `resourceModified`, which passes when the same request is sent again."""
    return drive_error(
        exchange.origin, 409, "resourceModified",
        "The resource has changed since the caller last read it; usually an eTag mismatch",
    )  # fmt: skip


def locked_otherwise(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Answer a locked file in the ways that were reported besides 423 `resourceLocked`."""
    message = "The resource you are attempting to access is locked"
    form = parameters["form"]
    if form == "access-denied-423":
        return drive_error(exchange.origin, 423, "accessDenied", message)
    if form == "not-allowed":
        return drive_error(exchange.origin, 403, "notAllowed", message, inner="resourceLocked")
    status = {"locked-403": 403, "locked-409": 409}[str(form)]
    return drive_error(exchange.origin, status, "resourceLocked", message)


def odd_upload_url(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """Name another address than the session's."""
    url = json.loads(response.body)["uploadUrl"]
    return changed_json(response, uploadUrl=odd_address(url, parameters["form"]))


def odd_next_link(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """Name a next page that is none: the same again, another list, or another address.

    :param parameters: `form`: `same-page`, `other-list`, `sharepoint`, or one of an address.
    """
    body = json.loads(response.body)
    if not isinstance(body.get("value"), list):
        return response
    request, form = exchange.request, str(parameters["form"])
    own = f"{world.urls[exchange.origin]}{request.path}?{request.query}"
    if form == "same-page":
        link: object = own
    elif form == "other-list":
        link = f"{world.urls[exchange.origin]}{request.path.rpartition('/')[0]}/other?{request.query}"
    elif form == "sharepoint":
        link = f"{world.urls['sharepoint']}/_api/v2.0/{request.path.partition('/v1.0/')[2]}?$skiptoken=x"
    else:
        link = odd_address(own, form)
    return changed_json(response, **{"@odata.nextLink": link})


def infected(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    """Refuse the content of a file in which malware was found."""
    return drive_error(
        exchange.origin, 403, "malwareDetected", "Malware was detected in the requested resource.", reason="malware"
    )
