"""Faults of Graph, upload sessions and downloads: onedrive-graph.md §6."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from . import dmf_answers
from .blob import blob_error, expired
from .clock import iso_utc
from .exchange import Exchange
from .fault_effects import cut, reset_instead, retry_after, slow
from .fault_types import Choice, FaultDefinition, Mode, Parameters
from .graph import unauthenticated
from .graph_answers import drive_error, name_exists, session_not_found, throttled
from .http_message import Response
from .upload_sessions import token_refused

if TYPE_CHECKING:
    from .state import World

_BOTH = ("graph", "sharepoint")
_RANGES = ("uploadRange",)
_SESSION_CALLS = ("uploadRange", "uploadStatus")
_CREATE = ("createUploadSession",)
_CREATE_AND_RANGES = (*_CREATE, *_RANGES)


def _throttled(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    return throttled(exchange.origin, retry_after(world, parameters))


def _unavailable(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    return drive_error(
        exchange.origin, 503, "serviceNotAvailable", "The service is temporarily unavailable.",
        headers={"Retry-After": f"{parameters['retry_after']:g}"},
    )  # fmt: skip


def _unavailable_html(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    return dmf_answers.gateway_error(503, "Service Unavailable")


def _unavailable_then_gone(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    session = world.uploads.find(exchange.session_id)
    if session is not None:
        world.uploads.close(session)
    return dmf_answers.gateway_error(503, "Service Unavailable")


def _server_error(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    status = int(parameters["status"])
    message = "An unexpected error occurred processing your request."
    return drive_error(exchange.origin, status, "generalException", message)


def _stored_but_503(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    answer = _unavailable(world, exchange, {"retry_after": 1})
    answer.verdict = "stored, answered 503"
    return answer


def _session_missing(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    return session_not_found("session-not-found-fault")


def _session_killed(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    session = world.uploads.find(exchange.session_id)
    if session is not None:
        world.uploads.close(session)
    return session_not_found("session-not-found-fault")


def _token_refused(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    status = int(parameters["status"])
    session = world.uploads.find(exchange.session_id)
    if session is not None:
        # For this session there is no way back; a new one for the same file may be opened.
        session.refused_status = status
    return token_refused(status)


def _idle(world: World, exchange: Exchange, parameters: Parameters) -> Response | None:
    session = world.uploads.find(exchange.session_id)
    if session is not None:
        session.expires_seconds = world.clock.timestamp()
    return None


def _locked(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    return drive_error(exchange.origin, 423, "resourceLocked", "The resource you are attempting to access is locked")


def _open_elsewhere(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    return name_exists(exchange.origin, "An upload session already exists for this file.")


def _changed_meanwhile(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    return drive_error(
        exchange.origin, 412, "preconditionFailed", "ETag does not match current item's value", inner="resourceModified"
    )


def _quota(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    return drive_error(exchange.origin, 507, "quotaLimitReached", "The user's storage quota has been exceeded.")


def _too_large(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    return drive_error(exchange.origin, 413, "requestEntityTooLarge", "The file is larger than the service allows.")


def _bad_token(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    return unauthenticated(world, exchange.origin, "token-expired")


def _denied(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    return drive_error(exchange.origin, 403, "accessDenied", "Access denied")


def _without_body(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    response.body = b""
    response.headers.pop("Content-Type", None)
    return response


def _other_ranges(ranges: list[str] | None, response: Response) -> Response:
    body = json.loads(response.body)
    if response.status == 202:
        body.pop("nextExpectedRanges", None)
        if ranges is not None:
            body["nextExpectedRanges"] = ranges
    response.body = json.dumps(body).encode()
    return response


def _blob_busy(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    return blob_error(
        world, 503, "ServerBusy", "The server is currently unable to receive requests. Please retry your request."
    )


def _blob_expired(world: World, exchange: Exchange, parameters: Parameters) -> Response:
    return expired(world, exchange.request.parameters.get("st", ""), iso_utc(world.clock.timestamp() - 1))


def _other_etag(world: World, exchange: Exchange, parameters: Parameters) -> Response | None:
    """As if the package had been written anew: `If-Match` fails, and other readers see another tag."""
    if "if-match" in exchange.request.headers:
        return blob_error(
            world, 412, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.",
            head=exchange.request.method == "HEAD",
        )  # fmt: skip
    return None


def _retagged(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    response.headers["ETag"] = '"0x8DFFFFFFFFFFFFF"'
    return response


def _short(world: World, exchange: Exchange, response: Response, parameters: Parameters) -> Response:
    """End the body early in an orderly way: the connection closes before Content-Length is reached."""
    missing = min(int(parameters["missing_bytes"]), response.declared_length_bytes)
    length = response.declared_length_bytes
    pieces = chain(response.stream if response.stream is not None else (response.body,))

    def kept() -> object:
        left = length - missing
        for piece in pieces:
            if left <= 0:
                return
            yield memoryview(piece)[:left]
            left -= len(piece)

    return replace(response, stream=kept(), body=b"", length_bytes=length, verdict="short-body")  # type: ignore[arg-type]


def _answer(
    effect: object, origins: tuple[str, ...], actions: tuple[str, ...], times: int | None = 1, **parameters: object
) -> Mode:
    return Mode(stage="answer", origins=origins, actions=actions, answer=effect, times=times, parameters=parameters)  # type: ignore[arg-type]


def _final(effect: object, times: int | None, **parameters: object) -> Mode:
    return Mode(
        stage="answer", origins=("sharepoint",), actions=_RANGES, answer=effect, times=times,  # type: ignore[arg-type]
        final_only=True, parameters=parameters,
    )  # fmt: skip


def _reply(
    effect: object,
    actions: tuple[str, ...] = _RANGES,
    times: int | None = 1,
    *,
    final: bool = False,
    origins: tuple[str, ...] = ("sharepoint",),
    **parameters: object,
) -> Mode:
    return Mode(
        stage="reply", origins=origins, actions=actions, reply=effect, times=times, final_only=final,  # type: ignore[arg-type]
        parameters=parameters,
    )  # fmt: skip


_RETRY = {"retry_after": 1, "form": Choice(("seconds", "date", "none"))}
_ITEM_CALLS = ("getItem", "uploadRange", "putContent", "listChildren")

DRIVE_FAULTS: tuple[FaultDefinition, ...] = (
    FaultDefinition(
        "drive.F1", "drive-throttled", "429 with Retry-After (1, 41, 315 were seen), as a date, or without",
        "learn Q&A 648796",
        {"answer": Mode(
                stage="answer", origins=_BOTH, actions=_CREATE_AND_RANGES, answer=_throttled, times=1, parameters=_RETRY
            )},
    ),
    FaultDefinition(
        "drive.F2", "drive-unavailable", "503 in JSON with Retry-After, in HTML without, or followed by 404",
        "odad#1165, odad#757",
        {
            "json": _answer(_unavailable, _BOTH, _CREATE_AND_RANGES, retry_after=30),
            "html": _answer(_unavailable_html, _BOTH, _CREATE_AND_RANGES),
            "then-gone": _answer(_unavailable_then_gone, ("sharepoint",), _RANGES),
        },
    ),
    FaultDefinition(
        "drive.F3", "drive-server-error", "500, 502 or 504 once, or 500 on the last range for ever", "odad#1640",
        {
            "once": _answer(_server_error, _BOTH, _CREATE_AND_RANGES, status=Choice((500, 502, 504))),
            "final": _final(_server_error, None, status=Choice((500, 502, 504))),
        },
    ),
    FaultDefinition(
        "drive.F4", "stored-but-failed", "the range is stored, yet answered 503 or with a reset", "odad#64",
        {"503": _reply(_stored_but_503), "reset": _reply(reset_instead)},
    ),
    FaultDefinition(
        "drive.F5", "reset-mid-range", "reset in the middle of a range: nothing kept, or an unaligned part",
        "CUS against odad#75",
        {
            name: Mode(
                stage="probe", origins=("sharepoint",), actions=_RANGES, times=1, parameters={"after_bytes": 100_000}
            )
            for name in ("nothing", "partial")
        },
    ),
    FaultDefinition(
        "drive.F6", "final-answer-lost", "the file is saved, its answer is lost, the session is 404",
        "xagent PR 2341, CUS 404",
        {"reset": _reply(reset_instead, final=True)},
    ),
    FaultDefinition(
        "drive.F7", "session-missing", "404 on the first range, then fine; or for ever",
        "rclone, abraunegg#3859",
        {
            "once": _answer(_session_missing, ("sharepoint",), _RANGES),
            "forever": _answer(_session_killed, ("sharepoint",), _SESSION_CALLS),
        },
    ),
    FaultDefinition(
        "drive.F8", "upload-token-expired", "the session's token is refused with 401 or 403 from now on",
        "odad#1073, PR 3860",
        {"refused": _answer(_token_refused, ("sharepoint",), _SESSION_CALLS, status=Choice((401, 403)))},
    ),
    FaultDefinition(
        "drive.F9", "session-expired", "the session has been idle for 15 minutes", "odad#1260",
        {"idle": _answer(_idle, ("sharepoint",), _SESSION_CALLS)},
    ),
    FaultDefinition(
        "drive.F10", "stale-session", "a dead client has left a session open for the file", "gd#5812",
        {
            "open": Mode(
                stage="probe", origins=_BOTH, actions=_CREATE, times=1, parameters={"seconds": 900.0}
            )
        },
    ),
    FaultDefinition(
        "drive.F11", "late-conflict", "409 on the last range: the name was created meanwhile", "CUS",
        {"created": Mode(stage="probe", origins=("sharepoint",), actions=_RANGES, times=1, final_only=True)},
    ),
    FaultDefinition(
        "drive.F12", "locked", "423 locked, 409 open in Office, or 412 changed, at create",
        "errors.md, msgraph-sdk-java#366",
        {
            "locked": _answer(_locked, _BOTH, _CREATE),
            "open-in-office": _answer(_open_elsewhere, _BOTH, _CREATE),
            "changed": _answer(_changed_meanwhile, _BOTH, _CREATE),
        },
    ),
    FaultDefinition(
        "drive.F13", "no-space", "507 at create or on the last range; 413 for a file too large",
        "CUS, O365#326",
        {
            "create": _answer(_quota, _BOTH, _CREATE, None),
            "final": _final(_quota, None),
            "too-large": _answer(_too_large, _BOTH, _CREATE_AND_RANGES, None),
        },
    ),
    FaultDefinition(
        "drive.F14", "graph-token-rejected", "401 InvalidAuthenticationToken once", "errors.md",
        {"answer": _answer(_bad_token, ("graph",), _CREATE)},
    ),
    FaultDefinition(
        "drive.F15", "access-denied", "403 accessDenied", "odad#665, #838",
        {"answer": _answer(_denied, _BOTH, (), None)},
    ),
    FaultDefinition(
        "drive.F16", "thin-answers", "201 without a body; 202 without ranges or with an empty list",
        "java#1806, odad#14, #41, #71",
        {
            "no-body": _reply(_without_body, final=True),
            "no-ranges": _reply(lambda w, e, r, p: _other_ranges(None, r), times=None),
            "empty-ranges": _reply(lambda w, e, r, p: _other_ranges([], r), times=None),
        },
    ),
    FaultDefinition(
        "drive.F17", "wrong-facts", "the hash is missing for a while or wrong, or the size is wrong",
        "hashes.md, odad#1704, #1314",
        {
            "missing-hash": Mode(stage="probe", origins=_BOTH, actions=_ITEM_CALLS, times=2),
            "wrong-hash": Mode(stage="probe", origins=_BOTH, actions=_ITEM_CALLS),
            "wrong-size": Mode(stage="probe", origins=_BOTH, actions=_ITEM_CALLS),
        },
    ),
    FaultDefinition(
        "drive.F18", "silent-truncation", "a simple upload is stored cut short and answered as a success", "odad#1366",
        {
            "truncated": Mode(
                stage="probe", origins=_BOTH, actions=("putContent",), times=1, parameters={"keep_bytes": 100}
            )
        },
    ),
    FaultDefinition(
        "drive.F19", "slow", "the answer stalls in the middle, drips, or comes late", "§4.2",
        {
            "stall": _reply(
                slow, (), 1, origins=("blob", "graph", "sharepoint"), after_bytes=1000, stall_seconds=3600.0
            ),
            "drip": _reply(slow, (), None, origins=("blob", "graph", "sharepoint"), bytes_per_second=1000),
            "latency": _reply(slow, (), None, origins=("blob", "graph", "sharepoint"), latency_seconds=1.0),
        },
    ),
    FaultDefinition(
        "drive.F20", "blob-trouble",
        "the download ends short, is cut, expires, changes, ignores its range, or is busy", "measured",
        {
            "short-body": _reply(_short, ("GetBlob",), 1, origins=("blob",), missing_bytes=1000),
            "cut": _reply(cut, ("GetBlob",), 1, origins=("blob",), after_bytes=1000),
            "expired": _answer(_blob_expired, ("blob",), ()),
            "changed": _answer(_other_etag, ("blob",), (), None),
            "retagged": _reply(_retagged, ("GetBlob", "HeadBlob"), 1, origins=("blob",)),
            "ignores-range": Mode(stage="probe", origins=("blob",), actions=("GetBlob",), times=1),
            "busy": _answer(_blob_busy, ("blob",), ()),
        },
    ),
)  # fmt: skip
