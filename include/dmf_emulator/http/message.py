"""Requests and responses as they stand on the wire, apart from who answers them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, unquote

from dmf_emulator.http.body import Body, MalformedRequest, Wire
from dmf_emulator.http.pacing import Pacer

REASONS = {
    100: "Continue", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
    301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified", 307: "Temporary Redirect",
    308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 407: "Proxy Authentication Required", 408: "Request Timeout", 409: "Conflict",
    411: "Length Required", 412: "Precondition Failed", 413: "Request Entity Too Large",
    415: "Unsupported Media Type", 416: "Requested Range Not Satisfiable", 423: "Locked", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout", 507: "Insufficient Storage",
}  # fmt: skip


@dataclass(slots=True)
class Request:
    """One HTTP request.

    :param path: the path as sent, percent-encoded.
    :param query: the query as sent, without the question mark.
    :param headers: values by lower-case name.
    :param header_names: the names as sent.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    header_names: tuple[str, ...]
    body: Body
    keep_alive: bool = True
    _content: bytes | None = field(default=None, repr=False)

    @property
    def parameters(self) -> dict[str, str]:
        """The query's parameters, decoded; the last of a repeated name wins."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def repeated_option(self) -> str:
        """The first option of OData that the query has more than once; empty when there is none."""
        names = [name for name, _ in parse_qsl(self.query, keep_blank_values=True) if name.startswith("$")]
        return next((name for name in names if names.count(name) > 1), "")

    @property
    def segments(self) -> list[str]:
        """The path's segments, decoded."""
        return [unquote(segment) for segment in self.path.strip("/").split("/")]

    def content(self) -> bytes:
        """Return the whole body; may be called again."""
        if self._content is None:
            self._content = self.body.read()
        return self._content


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """What happens to an answer on its way; the answer itself is the service's.

    :param reset: reset the connection instead of answering.
    :param withhold_seconds: keep the answer back this long, or until the client leaves.
    :param cut_after_bytes: reset the connection after this many bytes of the body.
    :param stall_after_bytes: pause once after this many bytes of the body…
    :param stall_seconds: …for this long.
    :param bytes_per_second: drip the body at this rate.
    """

    reset: bool = False
    withhold_seconds: float = 0.0
    cut_after_bytes: int | None = None
    stall_after_bytes: int | None = None
    stall_seconds: float = 0.0
    bytes_per_second: int | None = None

    @property
    def leaves_body_alone(self) -> bool:
        """Whether the body may be sent in one piece."""
        return replace(self, withhold_seconds=0.0) == Transport()


def _nothing() -> None:
    """Nobody needs to know."""


@dataclass(slots=True)
class Response:
    """One HTTP response.

    :param body: the body, when it is at hand.
    :param stream: the body in pieces, when it is not; `length_bytes` then says how long it is.
    :param length_bytes: the declared length, when it differs from that of `body`.
    :param reason: a word for the recorder on why the answer is what it is.
    :param leaves: called once, when the answer begins to leave or never will.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    stream: Iterable[bytes | memoryview] | None = None
    length_bytes: int | None = None
    transport: Transport = Transport()
    reason: str = ""
    leaves: Callable[[], None] = _nothing

    @property
    def declared_length_bytes(self) -> int:
        """The Content-Length to send."""
        return len(self.body) if self.length_bytes is None else self.length_bytes

    def compress(self) -> None:
        """Code a JSON body with gzip."""
        if self.stream is None and self.body and self._is_json and "Content-Encoding" not in self.headers:
            self.body = gzip.compress(self.body, compresslevel=1)
            self.headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}

    def use_chunks(self) -> None:
        """Send a JSON body in two chunks, without its length."""
        if self.stream is None and len(self.body) > 1 and self._is_json:
            middle = len(self.body) // 2
            parts = (self.body[:middle], self.body[middle:], b"")
            self.body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
            self.headers["Transfer-Encoding"] = "chunked"

    @property
    def _is_json(self) -> bool:
        return self.headers.get("Content-Type", "").startswith("application/json")

    def head(self, *, keep_alive: bool) -> bytes:
        """Return the status line and headers.

        :param keep_alive: whether the connection goes on after this response.
        """
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.status not in {204, 304} and not {"Content-Length", "Transfer-Encoding"} & set(self.headers):
            lines.append(f"Content-Length: {self.declared_length_bytes}")
        if not keep_alive:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


class Refusal(Exception):
    """A service ends its handling with an answer that says no.

    :param response: the documented answer.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(f"refused with {response.status}")
        self.response = response


def json_response(
    status: int,
    value: object,
    headers: Mapping[str, str] | None = None,
    *,
    content_type: str = "application/json",
    reason: str = "",
) -> Response:
    """Return a response with a JSON body.

    :param value: what to serialise.
    :param headers: further headers.
    """
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, {"Content-Type": content_type, **(headers or {})}, body, reason=reason)


def is_whole_number(text: str) -> bool:
    """Whether a text is a number from 0 that any service could mean; Python refuses to read endless digits."""
    return text.isascii() and text.isdigit() and len(text) < 19


def json_object(content: bytes) -> dict[str, Any] | None:
    """Return the JSON object in `content`, or None when it holds none.

    Stricter than Python's parser: NaN, half surrogate pairs and endless nesting are no JSON to the services.
    """
    try:
        value = json.loads(content, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def parse_head(head: bytes, wire: Wire, pacer: Pacer) -> Request:
    """Turn the head of a request into a request.

    :param head: the bytes up to the empty line.
    :param wire: where the body comes from.
    :param pacer: the pace of the body.
    :raises MalformedRequest: when the head is no HTTP/1.1.
    """
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1.") or not parts[0].isalpha():
        raise MalformedRequest(400, "the request line is malformed")
    headers: dict[str, str] = {}
    names: list[str] = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise MalformedRequest(400, "a header line is malformed")
        names.append(name)
        key = name.lower()
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    target = parts[1]
    if target.lower().startswith(("http://", "https://")):
        target = "/" + target.split("/", 3)[3] if target.count("/") > 2 else "/"
    path, _, query = target.partition("?")
    connection = headers.get("connection", "").lower()
    keep_alive = "keep-alive" in connection if parts[2] == "HTTP/1.0" else "close" not in connection
    body = Body(wire, _declared_length(headers), headers.get("expect", "").lower() == "100-continue", pacer)
    return Request(parts[0], path, query, headers, tuple(names), body, keep_alive)


def _declared_length(headers: Mapping[str, str]) -> int | None:
    coding = headers.get("transfer-encoding", "").lower()
    text = headers.get("content-length")
    if coding:
        if coding != "chunked" or text is not None:
            raise MalformedRequest(400, "the transfer coding is not understood")
        return None
    if text is None:
        return 0
    if not is_whole_number(text):
        raise MalformedRequest(400, "the Content-Length is no number")
    return int(text)
