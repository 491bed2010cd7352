"""The SharePoint origin: upload session addresses, download addresses and the drive API.

Source: docs/wire/graph-onedrive.md#upload-sessions.
"""

from __future__ import annotations

import contextlib
import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from dmf_emulator.clock import http_date, iso_utc
from dmf_emulator.graph.answers import drive_error, invalid_request, item_not_found, name_exists, session_not_found
from dmf_emulator.graph.calls import with_wrong_facts
from dmf_emulator.graph.conflicts import chosen_name, save_session
from dmf_emulator.graph.items import etag, item_json
from dmf_emulator.graph.options import names_tag
from dmf_emulator.graph.service import DriveApi
from dmf_emulator.http.body import BLOCK_BYTES, ConnectionEnded
from dmf_emulator.http.exchange import Exchange, Handler
from dmf_emulator.http.message import Refusal, Request, Response, Transport, json_response
from dmf_emulator.state.drives import Item
from dmf_emulator.state.tokens import TokenRefused
from dmf_emulator.state.uploads import MAX_RANGE_BYTES, UNIT_BYTES, UploadSession
from dmf_emulator.state.world import World

_SESSION_PATH = re.compile(r"/(?:.*/)?_api/v2\.0/drives/[^/]+/items/[^/]+/uploadSession\Z")
_DOWNLOAD_PATH = re.compile(r"/(?:.*/)?_layouts/15/download\.aspx\Z")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})\Z")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")
_ACTIONS = {"PUT": "uploadRange", "GET": "uploadStatus", "DELETE": "uploadCancel", "POST": "uploadCommit"}


@dataclass(frozen=True, slots=True)
class Range:
    """A Content-Range: first and last byte, and the total."""

    first: int
    last: int
    total: int

    @property
    def length(self) -> int:
        """How many bytes the range has."""
        return self.last - self.first + 1


class SharePointService:
    """What lives at `*.sharepoint.com`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._api = DriveApi(world, "sharepoint", r"/(?:.*?/)?_api/v2\.0/")

    def identify(self, exchange: Exchange) -> Handler:
        """Tell sessions, downloads and the drive API apart."""
        request = exchange.request
        if _SESSION_PATH.match(request.path):
            exchange.action = _ACTIONS.get(request.method, request.method)
            exchange.session_id = unquote(request.parameters.get("guid", "")).strip("'")
            wanted = _parse_content_range(request.headers.get("content-range", ""))
            exchange.is_final = wanted is not None and wanted.last + 1 == wanted.total
            return lambda: self._session(exchange, wanted)
        if _DOWNLOAD_PATH.match(request.path) and request.method in {"GET", "HEAD"}:
            exchange.action = "download"
            return lambda: self._download(exchange)
        return self._api.identify(exchange)

    def finish(self, exchange: Exchange, response: Response) -> None:
        """Add the request ids, also to the answers of sessions."""
        self._api.finish(exchange, response)

    def _session(self, exchange: Exchange, wanted: Range | None) -> Response:
        world, request = self._world, exchange.request
        session = world.uploads.find(exchange.session_id)
        if session is None:
            raise Refusal(session_not_found())
        if request.method == "PUT" and "authorization" in request.headers:
            # With the Authorization header the PUT call may end in a 401 (docs/wire/graph-onedrive.md#session-address).
            # That says nothing of the other calls, and rclone asks for the position with its token.
            raise Refusal(
                drive_error(
                    "sharepoint", 401, "unauthenticated", "Authentication failed", reason="bearer-on-upload-url"
                )
            )
        if session.refused_status or request.parameters.get("tempauth") != session.token:
            raise Refusal(token_refused(session.refused_status or 401))
        if world.uploads.token_expired(session):
            session.refused_status = 401
            raise Refusal(token_refused(401))
        if request.method == "GET":
            return self._progress(session, 200)
        if request.method == "DELETE":
            world.uploads.close(session)
            return Response(204)
        if request.method == "POST":
            with self._held(session):
                return self._commit_deferred(exchange, session)
        if request.method == "PUT":
            with self._held(session):
                return self._put(exchange, session, wanted)
        raise Refusal(invalid_request("sharepoint", "The HTTP method is not supported here."))

    @contextlib.contextmanager
    def _held(self, session: UploadSession) -> Iterator[None]:
        """Let one request at a time write into a session that has not ended while it waited."""
        with session.lock:
            if self._world.uploads.find(session.session_id) is not session:
                raise Refusal(session_not_found())
            yield

    def _put(self, exchange: Exchange, session: UploadSession, wanted: Range | None) -> Response:
        world = self._world
        wanted = _checked(exchange, session, wanted)
        is_final = wanted.last + 1 == wanted.total
        # A range that ends on a multiple completes one that was broken in the middle
        # (docs/wire/graph-onedrive.md#partial-ranges), as rclone does it.
        if not is_final and wanted.length % UNIT_BYTES and (wanted.last + 1) % UNIT_BYTES:
            if world.settings.strict_fragments:
                raise Refusal(invalid_request("sharepoint", "The fragment size is not a multiple of 320 KiB."))
            session.misaligned = True
        session.total_bytes = wanted.total
        _receive(world, exchange, session, wanted)
        if world.uploads.find(session.session_id) is not session:
            # It was cancelled, or has expired, while the range came; nothing of it is left.
            if session.content_path is not None:
                session.content_path.unlink(missing_ok=True)
            raise Refusal(session_not_found())
        world.uploads.accepted(session)
        if not is_final:
            return self._progress(session, 202)
        if session.misaligned or world.faults.probe(exchange, "drive.F3") is not None:
            # Only now, after all the work (docs/wire/graph-onedrive.md#ranges).
            raise Refusal(
                drive_error(
                    "sharepoint", 500, "generalException", "An unexpected error occurred processing your request."
                )
            )
        if session.defer_commit:
            return self._progress(session, 202)
        return self._save(exchange, session)

    def _commit_deferred(self, exchange: Exchange, session: UploadSession) -> Response:
        """Complete a session with `deferCommit`: a POST of no bytes (docs/wire/graph-onedrive.md#deferred-commit)."""
        if not session.is_received or exchange.request.body.length_bytes != 0:
            raise Refusal(invalid_request("sharepoint", "The upload session is not complete."))
        if session.misaligned:
            raise Refusal(
                drive_error(
                    "sharepoint", 500, "generalException", "An unexpected error occurred processing your request."
                )
            )
        return self._save(exchange, session)

    def _save(self, exchange: Exchange, session: UploadSession) -> Response:
        world = self._world
        if world.faults.probe(exchange, "drive.F11") is not None:
            raise Refusal(name_exists("sharepoint"))
        with world.drives.lock:
            # A name that was taken meanwhile ends in 409 and keeps the session
            # (docs/wire/graph-onedrive.md#late-conflict).
            name = chosen_name("sharepoint", session.parent, session.name, session.conflict_behavior)
            item, is_new = save_session(world, "sharepoint", session, session.parent, name)
            body = item_json(world, item, "sharepoint")
        for fault in ("drive.F17", "drive.F26"):
            shown = world.faults.probe(exchange, fault)
            body = body if shown is None else with_wrong_facts(body, shown)
        return json_response(201 if is_new else 200, body)

    def _progress(self, session: UploadSession, status: int) -> Response:
        return json_response(
            status,
            {
                "expirationDateTime": iso_utc(session.expires_seconds, digits=3),
                "nextExpectedRanges": self._world.uploads.next_ranges(session),
            },
        )

    def _download(self, exchange: Exchange) -> Response:
        world, request = self._world, exchange.request
        try:
            item_id = world.tokens.read_download_token(request.parameters.get("tempauth", ""))
        except TokenRefused as refused:
            raise Refusal(token_refused(401)) from refused
        found = (world.drives.find_item(drive, item_id) for drive in world.drives.drives)
        item = next((each for each in found if each is not None), None)
        if item is None or item.is_folder:
            raise Refusal(item_not_found("sharepoint"))
        if world.drives.discard:
            refused_response = item_not_found("sharepoint")
            refused_response.reason = "content-discarded"
            raise Refusal(refused_response)
        return _file_response(item, request)


def _file_response(item: Item, request: Request) -> Response:
    modified = http_date(item.modified_seconds)
    plain = item.name.encode("ascii", "replace").decode().replace('"', "'").replace("?", "_")
    headers = {
        "Content-Type": mimetypes.guess_type(item.name)[0] or "application/octet-stream",
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(item.name)}",
        "Last-Modified": modified,
        "ETag": etag(item),
        "Accept-Ranges": "bytes",
    }
    if names_tag(request.headers.get("if-none-match", ""), etag(item)):
        return Response(304, headers, reason="not-modified")
    size_bytes = item.size_bytes
    # Only GET has ranges (RFC 9110, 14.2).
    match = _RANGE.match(request.headers.get("range", "")) if request.method == "GET" else None
    if match is not None and match[1] and match[2] and int(match[2]) < int(match[1]):
        # One that ends before it begins is ignored (RFC 9110, 14.1.1).
        match = None
    # A range of another version would be a mixture (RFC 9110, 13.1.5).
    other_version = request.headers.get("if-range", etag(item)).strip() not in {etag(item), modified}
    if match is None or not (match[1] or match[2]) or other_version:
        return Response(200, headers, stream=_read(item.path_on_disk, 0, size_bytes), length_bytes=size_bytes)
    # "bytes=-5" are the last five (RFC 9110, 14.1.2).
    first = int(match[1]) if match[1] else max(0, size_bytes - int(match[2]))
    last = min(int(match[2] or size_bytes - 1), size_bytes - 1) if match[1] else size_bytes - 1
    if first > last:
        return Response(416, {"Content-Range": f"bytes */{size_bytes}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{size_bytes}"
    length = last - first + 1
    return Response(206, headers, stream=_read(item.path_on_disk, first, length), length_bytes=length)


def _read(path: Path, offset: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while length > 0 and (block := file.read(min(length, BLOCK_BYTES))):
            length -= len(block)
            yield block


def token_refused(status: int) -> Response:
    """Return the answer to a `tempauth` that is no longer accepted.

    :param status: 401 with `expiredToken` or SharePoint's own 403 (docs/wire/graph-onedrive.md#life-of-a-session).
    """
    if status == 403:
        headers = {"X-MSDAVEXT_Error": "917656; Access denied. Before opening files in this location, you must first "
                   "browse to the web site and select the option to login automatically."}  # fmt: skip
        return drive_error(
            "sharepoint", 403, "accessDenied", "Access denied", headers=headers, reason="tempauth-refused"
        )
    return drive_error(
        "sharepoint", 401, "unauthenticated", "The access token has expired. It's valid for 24 hours.",
        inner="expiredToken", reason="tempauth-refused",
    )  # fmt: skip


def _receive(world: World, exchange: Exchange, session: UploadSession, wanted: Range) -> None:
    """Take in the bytes of a range; all of them count, or none.

    If the connection breaks, all bytes of the request are ignored (docs/wire/graph-onedrive.md#partial-ranges). Fault
    drive.F5 resets the connection in the middle, and its mode `partial` keeps what had arrived, as observed.

    :raises Refusal: when the fault resets the connection.
    :raises ConnectionEnded: when the client does.
    """
    cut = world.faults.probe(exchange, "drive.F5")
    limit = wanted.length if cut is None else min(int(cut["after_bytes"]), wanted.length - 1)
    digest, accepted_bytes = session.digest.copy(), session.received_bytes
    taken = 0
    file = session.open_content()
    try:
        for block in exchange.request.body.blocks():
            kept = block[: limit - taken]
            digest.update(kept)
            if file is not None:
                file.write(kept)
            taken += len(kept)
            if cut is not None and taken >= limit:
                if cut["mode"] == "partial":
                    session.digest, session.received_bytes = digest, accepted_bytes + taken
                exchange.request.body.finished = True
                raise Refusal(Response(0, transport=Transport(reset=True), reason="reset-mid-range"))
    finally:
        if file is not None:
            file.close()
    if taken != wanted.length:
        raise ConnectionEnded
    session.digest, session.received_bytes = digest, accepted_bytes + taken


def _parse_content_range(header: str) -> Range | None:
    match = _CONTENT_RANGE.match(header.strip())
    return None if match is None else Range(int(match[1]), int(match[2]), int(match[3]))


def _checked(exchange: Exchange, session: UploadSession, wanted: Range | None) -> Range:
    """Refuse a range as the service does; with the messages that were observed (docs/wire/graph-onedrive.md#ranges)."""
    body = exchange.request.body
    if body.chunked:
        raise Refusal(
            invalid_request(
                "sharepoint", "The size of the provided stream is not known. Cannot continue.", reason="chunked"
            )
        )
    if wanted is None or wanted.last < wanted.first or wanted.last >= wanted.total:
        raise Refusal(
            invalid_request(
                "sharepoint", "The Content-Range header is missing or malformed.", reason="bad-content-range"
            )
        )
    if wanted.length != body.length_bytes:
        message = "The Content-Range header length does not match the provided number of bytes."
        raise Refusal(invalid_request("sharepoint", message, reason="length-mismatch"))
    if session.total_bytes is not None and session.total_bytes != wanted.total:
        message = (
            f"The current upload session is for {session.total_bytes} total bytes, but the current fragment "
            f"declares a total of {wanted.total}"
        )
        raise Refusal(invalid_request("sharepoint", message, inner="fragmentLengthMismatch", reason="total-mismatch"))
    if wanted.length >= MAX_RANGE_BYTES:
        raise Refusal(
            drive_error("sharepoint", 413, "invalidRequest", "The request is too large: send less than 60 MiB.")
        )
    if wanted.first != session.received_bytes:
        inner = "fragmentOverlap" if wanted.first < session.received_bytes else "fragmentOutOfOrder"
        message = "The uploaded fragment overlaps with data that has already been received."
        if inner == "fragmentOutOfOrder":
            message = "The uploaded fragment is not contiguous with the data that has been received."
        raise Refusal(drive_error("sharepoint", 416, "invalidRange", message, inner=inner, reason=inner))
    return wanted
