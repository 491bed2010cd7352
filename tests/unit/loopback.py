"""A real HTTP server on the loopback interface that answers from a table, over TLS if asked, and keeps what it got."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

from talent_dmf.api.steps import Response


class Mishap(Enum):
    """What happens in the place of an answer."""

    RESET = "the connection breaks after the request was read"
    SILENCE = "nothing is answered"
    TRUNCATED = "half of what was promised"


@dataclass
class Received:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    client_port: int = 0


Answer: TypeAlias = Response | Mishap
Answers: TypeAlias = list[Answer] | Callable[[Received], Answer]


@dataclass
class Loopback:
    """The server.

    :param answers: the table, one answer per request; or a function of the request.
    """

    url: str
    answers: Answers
    received: list[Received] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def next(self, request: Received) -> Answer:
        self.received.append(request)
        if callable(self.answers):
            return self.answers(request)
        return self.answers.pop(0) if self.answers else Response(599, {}, b"nothing in the table")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet for head and body, at once: otherwise each answer waits for a delayed acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    loopback: Loopback

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): text for name, text in self.headers.items()}
        body, port = self.rfile.read(length), self.client_address[1]
        given = self.loopback.next(Received(self.command, self.path, headers, body, port))
        if given is Mishap.RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        if given is Mishap.SILENCE:
            self.loopback.over.wait(10)
            self.close_connection = True
            return
        if given is Mishap.TRUNCATED:
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"12345")
            self.close_connection = True
            return
        assert isinstance(given, Response)
        self.send_response(given.status)
        for name, text in given.headers.items():
            self.send_header(name, text)
        if "Content-Length" not in given.headers:
            self.send_header("Content-Length", str(len(given.body)))
        self.end_headers()
        self.wfile.write(given.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def log_message(self, *args: object) -> None:
        """Nothing: the tests look at what was received."""


class _Server(ThreadingHTTPServer):
    # Of more connections at once than this, some would wait a second for their second SYN.
    request_queue_size = 128


@contextmanager
def serve(answers: Answers, tls: ssl.SSLContext | None = None) -> Iterator[Loopback]:
    """Run a server on a free port.

    :param tls: server context, for https.
    """
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "http" if tls is None else "https"
    loopback = handler.loopback = Loopback(f"{scheme}://127.0.0.1:{server.server_port}", answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    try:
        yield loopback
    finally:
        loopback.over.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
