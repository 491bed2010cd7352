"""Azure Blob storage, as far as reading a package by its link goes.

Sources: docs/wire/dmf-package-api.md#reading-the-blob, docs/wire/dmf-package-api.md#package-link; Azure Storage REST
reference "Get Blob", "Specifying the range header" and "Specifying conditional headers".
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from xml.sax.saxutils import escape

from dmf_emulator.clock import iso_utc
from dmf_emulator.http.exchange import Exchange, Handler
from dmf_emulator.http.message import Refusal, Response
from dmf_emulator.packages import Package
from dmf_emulator.state.blobs import CONTAINER
from dmf_emulator.state.executions import PARTIALLY_SUCCEEDED, SUCCEEDED, Execution
from dmf_emulator.state.world import World

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})\Z")
_VERSION = "2014-02-14"
# Storage computes Content-MD5 for blobs that were written in one piece; larger ones have none. It is also the limit of
# a range whose own MD5 is asked for.
_MD5_LIMIT_BYTES = 4 * 1024 * 1024


def blob_error(
    world: World, status: int, code: str, message: str, *, detail: str = "", head: bool = False, reason: str = ""
) -> Response:
    """Return an error as Azure Storage spells it: XML, and the code in a header for HEAD.

    :param detail: text of `AuthenticationErrorDetail`.
    """
    request_id = str(uuid.uuid4())
    text = f"{message}\nRequestId:{request_id}\nTime:{iso_utc(world.clock.timestamp(), digits=6)}"
    extra = f"<AuthenticationErrorDetail>{escape(detail)}</AuthenticationErrorDetail>" if detail else ""
    body = (
        f'\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code>'
        f"<Message>{escape(text)}</Message>{extra}</Error>"
    ).encode()
    headers = {"Content-Type": "application/xml", "x-ms-error-code": code, "x-ms-request-id": request_id,
               "x-ms-version": _VERSION}  # fmt: skip
    return Response(status, headers, b"" if head else body, reason=reason or code)


def authentication_failed(world: World, detail: str, reason: str, *, head: bool = False) -> Response:
    """Return error J: 403 for a link that is expired or not genuine."""
    return blob_error(
        world, 403, "AuthenticationFailed",
        "Server failed to authenticate the request. Make sure the value of Authorization header is formed "
        "correctly including the signature.",
        detail=detail, head=head, reason=reason,
    )  # fmt: skip


def expired(world: World, start: str, expiry: str, *, head: bool = False) -> Response:
    """Return the 403 of an expired link (docs/wire/dmf-package-api.md#reading-the-blob)."""
    now = format_datetime(world.clock.now(), usegmt=True)
    detail = f"Signature not valid in the specified time frame: Start [{start}] - Expiry [{expiry}] - Current [{now}]"
    return authentication_failed(world, detail, "sas-expired", head=head)


def blob_missing(world: World, *, head: bool = False) -> Response:
    """Return 404: never written, or deleted after seven days (docs/wire/dmf-package-api.md#retention)."""
    return blob_error(world, 404, "BlobNotFound", "The specified blob does not exist.", head=head)


class BlobService:
    """The blob endpoint of the environment's storage account."""

    def __init__(self, world: World) -> None:
        self._world = world

    def finish(self, exchange: Exchange, response: Response) -> None:
        """Give the client its own id back, as all of Azure Storage does, beside the service's."""
        response.headers.setdefault("x-ms-request-id", str(uuid.uuid4()))
        own = exchange.request.headers.get("x-ms-client-request-id", "")
        if own and len(own) <= 1024:
            response.headers["x-ms-client-request-id"] = own

    def identify(self, exchange: Exchange) -> Handler:
        """Find the package that is asked for."""
        request = exchange.request
        segments = request.segments
        head = request.method == "HEAD"
        exchange.action = {"GET": "GetBlob", "HEAD": "HeadBlob"}.get(request.method, request.method)
        if len(segments) < 3 or segments[0] != CONTAINER:
            raise Refusal(
                blob_error(self._world, 404, "ResourceNotFound", "The specified resource does not exist.", head=head)
            )
        name = "/".join(segments[1:])
        execution = self._world.executions.find_by_blob(segments[1].strip("{}"))
        if execution is not None:
            exchange.execution_id = execution.execution_id
            exchange.definition_group_id = execution.project.name
            exchange.legal_entity_id = execution.company
        return lambda: self._read(exchange, name, execution)

    def _read(self, exchange: Exchange, name: str, execution: Execution | None) -> Response:
        world, request = self._world, exchange.request
        head = request.method == "HEAD"
        self._check_link(exchange, name)
        if request.method not in {"GET", "HEAD"}:
            # "SAS error codes": links permit reading only.
            raise Refusal(
                blob_error(
                    world, 403, "AuthorizationPermissionMismatch",
                    "This request is not authorized to perform this operation using this permission.",
                    reason="not-permitted",
                )
            )  # fmt: skip
        ended = execution is not None and execution.status(world.clock.timestamp()) in {SUCCEEDED, PARTIALLY_SUCCEEDED}
        if missing := sorted({"comp", "restype", "snapshot", "versionid"} & set(request.parameters)):
            raise Refusal(
                blob_error(
                    world, 501, "notSupported", f"The emulator does not imitate the parameter {missing[0]}.", head=head,
                    reason="not-supported",
                )
            )  # fmt: skip
        blob_id = request.segments[1].strip("{}").upper()
        if execution is None or not ended or name != world.blobs.blob_name(execution, blob_id):
            raise Refusal(blob_missing(world, head=head))
        etag = world.blobs.etag(execution, blob_id)
        package = world.blobs.package(execution, blob_id)
        modified = datetime.fromtimestamp(execution.finished_at, UTC).replace(microsecond=0)
        headers = {
            "Content-Type": "application/octet-stream",
            "ETag": etag,
            "Last-Modified": format_datetime(modified, usegmt=True),
            "Accept-Ranges": "bytes",
            "x-ms-blob-type": "BlockBlob",
            "x-ms-lease-status": "unlocked",
            "x-ms-lease-state": "available",
            "x-ms-server-encrypted": "true",
            "x-ms-creation-time": format_datetime(modified, usegmt=True),
            "x-ms-request-id": str(uuid.uuid4()),
            "x-ms-version": request.headers.get("x-ms-version", _VERSION),
            "Date": format_datetime(world.clock.now(), usegmt=True),
        }
        self._check_conditions(exchange, etag, modified)
        return self._body(exchange, package, headers)

    def _check_link(self, exchange: Exchange, name: str) -> None:
        request = exchange.request
        head, parameters = request.method == "HEAD", request.parameters
        if "sig" not in parameters and "authorization" not in request.headers:
            # An anonymous request does not learn that the blob exists.
            raise Refusal(
                blob_error(
                    self._world, 404, "ResourceNotFound", "The specified resource does not exist.", head=head,
                    reason="anonymous",
                )
            )  # fmt: skip
        problem = self._world.blobs.signature_problem(name, parameters)
        if problem == "time":
            raise Refusal(expired(self._world, parameters.get("st", ""), parameters.get("se", ""), head=head))
        if problem is not None:
            raise Refusal(
                authentication_failed(
                    self._world, "Signature did not match. String to sign used was hidden.", "sas-invalid", head=head
                )
            )

    def _check_conditions(self, exchange: Exchange, etag: str, modified: datetime) -> None:
        headers, head = exchange.request.headers, exchange.request.method == "HEAD"
        failed = Refusal(
            blob_error(
                self._world, 412, "ConditionNotMet",
                "The condition specified using HTTP conditional header(s) is not met.", head=head,
            )
        )  # fmt: skip
        unchanged = Refusal(Response(304, {"ETag": etag, "x-ms-error-code": "ConditionNotMet"}, reason="not-modified"))
        if "if-match" in headers and not _etag_listed(headers["if-match"], etag):
            raise failed
        if headers.get("if-none-match", "").strip() == "*":
            # A read that asks for nothing to be there; as Azurite answers it.
            raise Refusal(
                blob_error(
                    self._world, 400, "UnsatisfiableCondition",
                    "The request includes an unsatisfiable condition for this operation.", head=head,
                )
            )  # fmt: skip
        if "if-none-match" in headers and _etag_listed(headers["if-none-match"], etag):
            raise unchanged
        # Without meaning beside If-None-Match (RFC 9110, 13.1.3).
        since = None if "if-none-match" in headers else _moment(headers.get("if-modified-since"))
        if since is not None and modified <= since:
            raise unchanged
        since = _moment(headers.get("if-unmodified-since"))
        if since is not None and modified > since:
            raise failed

    def _body(self, exchange: Exchange, package: Package, headers: dict[str, str]) -> Response:
        request = exchange.request
        # x-ms-range wins over Range; HEAD (Get Blob Properties) knows no ranges.
        text = request.headers.get("x-ms-range") or request.headers.get("range") or ""
        match = _RANGE.match(text.strip()) if request.method == "GET" else None
        if match is not None and match[2] and int(match[2]) < int(match[1]):
            match = None
        if match is not None and self._world.faults.probe(exchange, "drive.F20", "ignores-range") is not None:
            match = None
        md5 = base64.b64encode(package.md5()).decode() if package.size <= _MD5_LIMIT_BYTES else ""
        if match is None:
            # A range that is not understood or ends before it begins is ignored (RFC 9110, 14.2).
            if md5:
                headers["Content-MD5"] = md5
            return Response(200, headers, stream=package.read(0, package.size), length_bytes=package.size)
        first = int(match[1])
        last = min(int(match[2]) if match[2] else package.size - 1, package.size - 1)
        if first >= package.size:
            refused = blob_error(
                self._world, 416, "InvalidRange", "The range specified is invalid for the current size of the resource."
            )
            refused.headers["Content-Range"] = f"bytes */{package.size}"
            return refused
        if md5:
            headers["x-ms-blob-content-md5"] = md5
        headers["Content-Range"] = f"bytes {first}-{last}/{package.size}"
        length = last - first + 1
        if request.headers.get("x-ms-range-get-content-md5", "").lower() == "true":
            if length > _MD5_LIMIT_BYTES:
                return blob_error(self._world, 400, "OutOfRangeInput", "One of the request inputs is out of range.")
            headers["Content-MD5"] = _md5(package.read(first, length))
        return Response(206, headers, stream=package.read(first, length), length_bytes=length)


def _etag_listed(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in {part.strip() for part in header.split(",")}


def _md5(blocks: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for block in blocks:
        digest.update(block)
    return base64.b64encode(digest.digest()).decode()


def _moment(header: str | None) -> datetime | None:
    try:
        return None if header is None else parsedate_to_datetime(header).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
