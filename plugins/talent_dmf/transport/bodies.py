"""Reading an answer: into memory that is already there if the protocol gave some, else within bounds.

Neither library unpacks anything itself: 400 KB of gzip would become 300 MB before anybody could say no. Both hand over
the bytes of the wire, and :class:`Body` unpacks them piece by piece, the same for worker and triggerer.
"""

from __future__ import annotations

import http.client
import time
import zlib
from collections.abc import Mapping
from typing import Protocol

import requests
import urllib3

from talent_dmf.api.errors import ProtocolError, TransportError
from talent_dmf.api.parsing import MAX_ANSWER_BYTES, MAX_REFUSAL_BYTES
from talent_dmf.api.steps import BRIEF_SECONDS, Request, Response

# What is asked for; what comes in another coding is left as it is, and understood by nobody.
ACCEPTED_CODINGS = "gzip, deflate"
# From the first byte to the last, however slowly they drip; a silence has its own limit.
ANSWER_SECONDS = 900.0
_PIECE_BYTES = 64 * 1024
# Of what is read into memory that is there: what a break costs at most, and how often the time is looked at.
_STRETCH_BYTES = 256 * 1024


class Body:
    """The body of one answer, unpacked as it comes.

    A refusal is cut at 256 KiB: it is read for its sentence. Any other answer may have 16 MiB.

    :param operation: the request in words.
    :param status: HTTP status.
    :param headers: headers with lower-case names.
    :param seconds: how long it may take, from its first byte to its last.
    """

    def __init__(
        self, operation: str, status: int, headers: Mapping[str, str], seconds: float = ANSWER_SECONDS
    ) -> None:
        self._operation, self._status, self._seconds = operation, status, seconds
        self._is_refusal = not 200 <= status < 300
        self._limit = MAX_REFUSAL_BYTES if self._is_refusal else MAX_ANSWER_BYTES
        self._pieces: list[bytes] = []
        self._length = 0
        self._unpacker = _unpacker(headers.get("content-encoding", ""))
        self._ends = time.monotonic() + seconds

    def feed(self, piece: bytes) -> bool:
        """Take bytes from the wire; whether more are wanted.

        :raises ProtocolError: the answer is too long.
        :raises TransportError: it takes too long, or cannot be unpacked.
        """
        if time.monotonic() > self._ends:
            raise TransportError(
                f"{self._operation}: the answer did not end within {_in_words(self._seconds)}. Try again later.",
                status_code=self._status,
            )
        if self._unpacker is None:
            return self._keep(piece)
        try:
            while piece:
                if not self._keep(self._unpacker.decompress(piece, _PIECE_BYTES)):
                    return False
                piece = self._unpacker.unconsumed_tail
                if self._unpacker.eof:
                    piece = self._unpacker.unused_data
                    self._unpacker = zlib.decompressobj(31)
        except zlib.error as error:
            # Announced as packed, and sent as it is; or the rest behind a packed one.
            if self._length:
                return True
            raise TransportError(
                f"{self._operation}: the answer is announced as compressed and cannot be unpacked. Try again; "
                "if that repeats, look whether a proxy changes it.",
                status_code=self._status,
                detail=str(error),
            ) from None
        return True

    def _keep(self, piece: bytes) -> bool:
        left = self._limit - self._length
        if len(piece) > left and not self._is_refusal:
            raise ProtocolError(
                f"{self._operation}: the answer is longer than {self._limit // 1024**2} MiB, unpacked; it was not read "
                "further. Please report it.",
                status_code=self._status,
            )
        self._pieces.append(piece[:left])
        self._length += len(self._pieces[-1])
        return len(piece) <= left

    @property
    def content(self) -> bytes:
        """What was read."""
        return b"".join(self._pieces)


class _Unpacker(Protocol):
    """What :func:`zlib.decompressobj` gives."""

    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class _Deflate:
    """``deflate`` is a zlib stream by the standard, and a bare one from servers that read it otherwise."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj()
        self._began = False

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        try:
            unpacked = self._inner.decompress(data, max_length)
        except zlib.error:
            if self._began:
                raise
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
            unpacked = self._inner.decompress(data, max_length)
        self._began = True
        return unpacked

    @property
    def unconsumed_tail(self) -> bytes:
        return self._inner.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return b""


def _unpacker(coding: str) -> _Unpacker | None:
    match coding.strip().lower():
        case "gzip" | "x-gzip":
            return zlib.decompressobj(31)
        case "deflate":
            return _Deflate()
        case _:
            return None


def answer_seconds(request: Request) -> float:
    """How long the answer to a request may take, from its first byte to its last.

    :param request: the request.
    """
    return BRIEF_SECONDS if request.hurried else ANSWER_SECONDS


def lower_names(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with lower-case names."""
    return {name.lower(): text for name, text in headers.items()}


def read_answer(request: Request, raw: requests.Response) -> Response:
    """Read an answer to its end.

    :param request: what was asked for. Its buffer receives the body of a 2xx answer as it came over the wire: it must
        be as long as the service says, so it is not unpacked.
    :param raw: the answer, none of whose body was read yet.
    :raises urllib3.exceptions.HTTPError: the body ends too early, or makes no sense.
    :raises OSError: the connection broke.
    :raises ProtocolError: it is too long.
    :raises TransportError: it takes too long, or cannot be unpacked.
    """
    headers = lower_names(raw.headers)
    if request.into is None or not 200 <= raw.status_code < 300:
        body = Body(request.operation, raw.status_code, headers, answer_seconds(request))
        for piece in raw.raw.stream(_PIECE_BYTES, decode_content=False):
            if not body.feed(piece):
                break
        return Response(raw.status_code, headers, body.content, len(body.content))
    return Response(raw.status_code, headers, b"", _fill(raw, request.into, request.operation))


def _fill(raw: requests.Response, into: memoryview, operation: str) -> int:
    """Read a body into memory; the bytes read, with one more if there are more than fit."""
    body = OpenBody(raw, operation)
    filled = body.readinto(into)
    # Either it has ended, or it broke off, which is said now.
    return filled + body.readinto(into[filled:] if filled < len(into) else memoryview(bytearray(1)))


class OpenBody:
    """The rest of the body of an answer: a :class:`talent_dmf.api.steps.Stream`.

    urllib3's ``readinto`` reads into a new object of that size and copies it. The answer of ``http.client`` that it
    wraps reads from the socket into the memory itself, which saves a third of what the reading costs. A urllib3 that
    wraps another one is read by its public means; a test tells when that begins.

    :param raw: the answer, none of whose body was read yet.
    :param operation: the request in words.
    """

    def __init__(self, raw: requests.Response, operation: str) -> None:
        self._raw, self._operation = raw, operation
        self._failure: Exception | None = None

    def readinto(self, into: memoryview, /) -> int:
        """Fill a buffer. What has come before a break counts; the next call raises the break.

        :raises urllib3.exceptions.HTTPError: the body ends too early, or makes no sense.
        :raises OSError: the connection broke.
        :raises TransportError: it takes too long.
        """
        ends = time.monotonic() + ANSWER_SECONDS
        filled = 0
        while self._failure is None and filled < len(into):
            try:
                count = self._read(into[filled : filled + _STRETCH_BYTES])
                _check_time(ends, self._operation)
            except (urllib3.exceptions.HTTPError, OSError, TransportError) as failure:
                self._failure = failure
                self.close()
            else:
                filled += count
                if not count:
                    break
        if self._failure is not None and not filled:
            raise self._failure
        return filled

    def close(self) -> None:
        """Give the rest up, and the connection unless nothing is left."""
        self._raw.close()

    def _read(self, into: memoryview) -> int:
        raw: urllib3.HTTPResponse = self._raw.raw
        body = _wrapped(raw)
        if body is None:
            piece = raw.read(len(into), decode_content=False)
            into[: len(piece)] = piece
            return len(piece)
        try:
            count = body.readinto(into)
        except TimeoutError as error:
            raise urllib3.exceptions.TimeoutError(str(error)) from error
        except http.client.HTTPException as error:
            raise urllib3.exceptions.ProtocolError(str(error)) from error
        if body.length and not count:
            raise urllib3.exceptions.IncompleteRead(0, body.length)
        if body.isclosed():
            # Read to its end: urllib3 did not see that, and would close the connection rather than use it again.
            raw.release_conn()
        return count


def _wrapped(raw: urllib3.HTTPResponse) -> http.client.HTTPResponse | None:
    body = getattr(raw, "_fp", None)
    return body if isinstance(body, http.client.HTTPResponse) else None


def _check_time(ends: float, operation: str) -> None:
    if time.monotonic() > ends:
        raise TransportError(
            f"{operation}: the answer did not end within {_in_words(ANSWER_SECONDS)}. Try again later."
        )


def _in_words(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
