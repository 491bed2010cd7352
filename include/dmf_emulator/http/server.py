"""Listeners, connections and the raw control over answers that faults need."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count

from dmf_emulator.http.body import BLOCK_BYTES, ConnectionEnded, MalformedRequest, Wire
from dmf_emulator.http.message import Request, Response, json_response, parse_head
from dmf_emulator.http.pacing import Pacer
from dmf_emulator.settings import EmulatorError, Pace

# A body that nobody wants is read to the end so that the client sees the answer, but not for ever.
_MAX_DRAIN_BYTES = 64 * 1024 * 1024
_connection_ids = count(1)

Answer = Callable[[Request, int, float], Response]


class Listener:
    """One origin: a listening socket and its connections, a thread each.

    :param origin: the origin's name.
    :param answer: what answers a request; it is given the connection's number and the time of arrival on the
        monotonic clock as well.
    :param pace: how fast the origin is.
    :param host: address to bind.
    :param port: port to bind, 0 for a free one.
    :param context: TLS settings, None for plain http.
    :raises EmulatorError: when the address cannot be bound.
    """

    def __init__(
        self, origin: str, answer: Answer, pace: Pace, host: str, port: int, context: ssl.SSLContext | None
    ) -> None:
        self.origin = origin
        self._answer = answer
        self._context = context
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._connections: dict[int, socket.socket] = {}
        self._threads: set[threading.Thread] = set()
        self.pace = pace
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._set_buffers(self._socket)
            self._socket.bind((host, port))
            self._socket.listen(1024)
        except OSError as error:
            self._socket.close()
            raise EmulatorError(
                f"cannot listen on {host}:{port} for {origin}: {error.strerror or error}; "
                f"choose another port with --{origin}-port"
            ) from error
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name=f"emulator-{origin}", daemon=True)

    def start(self) -> None:
        """Begin to accept connections."""
        self._thread.start()

    def stop(self) -> None:
        """Close the listener and every connection, and wait for their threads."""
        self._stop.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            sockets, threads = list(self._connections.values()), list(self._threads)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in (self._thread, *threads):
            if thread.is_alive():
                thread.join(timeout=5)

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        with self._lock:
            return len(self._connections)

    def _set_buffers(self, sock: socket.socket) -> None:
        if self.pace.socket_buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.pace.socket_buffer_bytes)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.pace.socket_buffer_bytes)

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                sock, _ = self._socket.accept()
            except OSError:
                if self._stop.is_set():
                    return
                # Out of file descriptors, or a connection gone before it was accepted: the next may work.
                self._stop.wait(0.05)
                continue
            connection_id = next(_connection_ids)
            thread = threading.Thread(
                target=self._serve, args=(sock, connection_id), name=f"{self.origin}-{connection_id}", daemon=True
            )
            with self._lock:
                self._connections[connection_id] = sock
                self._threads.add(thread)
            thread.start()

    def _serve(self, sock: socket.socket, connection_id: int) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._set_buffers(sock)
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                with self._lock:
                    self._connections[connection_id] = sock
                sock.do_handshake()
            if not self._stop.is_set():
                self._converse(sock, connection_id)
        except (OSError, ConnectionEnded):
            # The peer went away or did not trust our certificate: its own business, and it knows.
            return
        finally:
            with contextlib.suppress(OSError):
                sock.close()
            with self._lock:
                self._connections.pop(connection_id, None)
                self._threads.discard(threading.current_thread())

    def _converse(self, sock: socket.socket, connection_id: int) -> None:
        wire = Wire(sock)
        while not self._stop.is_set():
            try:
                head = wire.read_head()
                if head is None:
                    return
                arrived_seconds = time.monotonic()
                pacer = Pacer(self.pace.bytes_per_second, self._stop)
                request = parse_head(head, wire, pacer)
                response = self._answer(request, connection_id, arrived_seconds)
                if not self._reply(sock, request, response):
                    return
            except MalformedRequest as error:
                body = json_response(error.status, {"error": {"code": "BadRequest", "message": str(error)}})
                sock.sendall(body.head(keep_alive=False) + body.body)
                return

    def _reply(self, sock: socket.socket, request: Request, response: Response) -> bool:
        """Send the answer when its time has come; say whether the connection goes on."""
        try:
            if self.pace.latency_seconds:
                self._stop.wait(self.pace.latency_seconds)
            keep_alive = request.keep_alive and self._finish_body(request)
            withhold_seconds = response.transport.withhold_seconds
            withheld = bool(withhold_seconds) and not self._withhold(sock, withhold_seconds)
        finally:
            response.leaves()
        return not withheld and self._send(sock, request, response, keep_alive) and keep_alive

    def _finish_body(self, request: Request) -> bool:
        body = request.body
        if body.finished:
            return True
        if body.waits_for_continue or (body.length_bytes or 0) > _MAX_DRAIN_BYTES:
            return False
        return body.drain(_MAX_DRAIN_BYTES)

    def _send(self, sock: socket.socket, request: Request, response: Response, keep_alive: bool) -> bool:
        transport = response.transport
        if transport.reset:
            reset(sock)
            return False
        head = response.head(keep_alive=keep_alive)
        if request.method == "HEAD":
            sock.sendall(head)
            return True
        if response.stream is None and not self.pace.bytes_per_second and transport.leaves_body_alone:
            sock.sendall(head + response.body)
            return True
        sock.sendall(head)
        return self._send_body(sock, response)

    def _send_body(self, sock: socket.socket, response: Response) -> bool:
        transport = response.transport
        rates = [rate for rate in (self.pace.bytes_per_second, transport.bytes_per_second) if rate]
        pacer = Pacer(min(rates, default=None), self._stop)
        sent_bytes = 0
        for piece in _pieces(response, pacer.slice_bytes):
            view = memoryview(piece)
            if transport.stall_seconds and transport.stall_after_bytes is not None:
                before = transport.stall_after_bytes - sent_bytes
                if 0 <= before < len(view):
                    sock.sendall(view[:before])
                    if not self._withhold(sock, transport.stall_seconds):
                        return False
                    sent_bytes, view = sent_bytes + before, view[before:]
            if transport.cut_after_bytes is not None and sent_bytes + len(view) >= transport.cut_after_bytes:
                sock.sendall(view[: transport.cut_after_bytes - sent_bytes])
                reset(sock)
                return False
            sock.sendall(view)
            sent_bytes += len(view)
            pacer.passed(len(view))
            if self._stop.is_set():
                return False
        # A body that is shorter than declared can only end with the connection.
        return sent_bytes == response.declared_length_bytes

    def _withhold(self, sock: socket.socket, seconds: float) -> bool:
        """Wait without answering; False when the client has left or the emulator stops."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stop.is_set():
            readable, _, _ = select.select([sock], [], [], min(left, 0.05))
            if readable:
                # TLS clients that leave send a close alert first; either way nothing more will be asked here.
                return False
        return not self._stop.is_set()


def _pieces(response: Response, slice_bytes: int | None) -> Iterator[bytes | memoryview]:
    pieces = (response.body,) if response.stream is None else response.stream
    for piece in pieces:
        if slice_bytes is None and len(piece) <= BLOCK_BYTES * 8:
            yield piece
            continue
        view, step = memoryview(piece), slice_bytes or BLOCK_BYTES * 8
        for start in range(0, len(view), step):
            yield view[start : start + step]


def reset(sock: socket.socket) -> None:
    """Close a connection with a TCP reset, as a failing gateway does.

    :param sock: the connected socket.
    """
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
