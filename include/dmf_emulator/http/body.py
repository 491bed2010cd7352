"""Reading requests from a socket, as fast as it gives them."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator

from dmf_emulator.http.pacing import Pacer

MAX_HEAD_BYTES = 64 * 1024
# Python would read a sign, `0x` and underscores as well.
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
# 160 × 2048: whole periods of QuickXorHash, and one upload unit of 320 KiB.
BLOCK_BYTES = 327_680


class MalformedRequest(Exception):
    """Bytes that are no HTTP/1.1 request; the connection cannot go on.

    :param status: the status to answer before closing.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ConnectionEnded(Exception):
    """The peer went away in the middle of something."""


class Wire:
    """Buffered reading from one connected socket, plain or TLS.

    :param sock: the connected socket, in blocking mode.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._pending = b""
        self._block: bytearray | None = None

    def read_head(self) -> bytes | None:
        """Return the bytes up to the empty line that ends a request's head, or None when the peer is done.

        :raises MalformedRequest: when the head is too long.
        :raises ConnectionEnded: when the peer stops in the middle.
        """
        data = self._pending.lstrip(b"\r\n")
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > MAX_HEAD_BYTES:
                raise MalformedRequest(431, "the request head is too long")
            more = self._receive()
            if not more:
                if data:
                    raise ConnectionEnded
                return None
            data += more
        self._pending = data[end + 4 :]
        return data[:end]

    def read_line(self) -> bytes:
        """Return one line without its line end.

        :raises ConnectionEnded: when the peer stops in the middle.
        """
        while (end := self._pending.find(b"\r\n")) < 0:
            more = self._receive()
            if not more or len(self._pending) > MAX_HEAD_BYTES:
                raise ConnectionEnded
            self._pending += more
        line, self._pending = self._pending[:end], self._pending[end + 2 :]
        return line

    def read_into(self, view: memoryview) -> int:
        """Fill part of the view; return how many bytes.

        :param view: where to put the bytes.
        :raises ConnectionEnded: when the peer stops.
        """
        if self._pending:
            count = min(len(view), len(self._pending))
            view[:count] = self._pending[:count]
            self._pending = self._pending[count:]
            return count
        try:
            count = self.sock.recv_into(view)
        except OSError as error:
            raise ConnectionEnded from error
        if not count:
            raise ConnectionEnded
        return count

    def _receive(self) -> bytes:
        try:
            return self.sock.recv(MAX_HEAD_BYTES)
        except OSError as error:
            raise ConnectionEnded from error

    def send(self, data: bytes) -> None:
        """Send a few bytes.

        :raises ConnectionEnded: when the peer has left.
        """
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise ConnectionEnded from error

    def block(self) -> memoryview:
        """Return this connection's one reused buffer."""
        if self._block is None:
            self._block = bytearray(BLOCK_BYTES)
        return memoryview(self._block)


class Body:
    """A request's body, read while it arrives.

    :param wire: the connection.
    :param length_bytes: the declared Content-Length; None when the body is chunked.
    :param expects_continue: whether the client waits for `100 Continue`.
    :param pacer: holds the reading to the origin's bandwidth.
    """

    def __init__(self, wire: Wire, length_bytes: int | None, expects_continue: bool, pacer: Pacer) -> None:
        self._wire = wire
        self.length_bytes = length_bytes
        self.received_bytes = 0
        self._left_bytes = length_bytes or 0
        self._expects_continue = expects_continue
        self.finished = length_bytes == 0
        self.pacer = pacer
        self._blocks: Iterator[memoryview] | None = None

    @property
    def chunked(self) -> bool:
        """Whether the client used chunked transfer coding."""
        return self.length_bytes is None

    def blocks(self) -> Iterator[memoryview]:
        """Yield the body in blocks of up to 320 KiB, each valid until the next one is asked for.

        Whoever asks again goes on where the one before has stopped.

        :raises ConnectionEnded: when the client stops in the middle.
        :raises MalformedRequest: when chunked coding is broken.
        """
        if self._blocks is None:
            self._blocks = self._read_blocks()
        return self._blocks

    def _read_blocks(self) -> Iterator[memoryview]:
        if self._expects_continue and not self.finished:
            self._wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._expects_continue = False
        if not self.chunked:
            yield from self._counted()
            self.finished = True
            return
        while not self.finished:
            text = self._wire.read_line().split(b";")[0].strip()
            if not _CHUNK_SIZE.fullmatch(text):
                raise MalformedRequest(400, "a chunk has no size")
            size = int(text, 16)
            self._left_bytes = size
            yield from self._counted()
            if size:
                self._wire.read_line()
                continue
            while self._wire.read_line():
                pass
            self.finished = True

    def read(self, limit_bytes: int = 4 * 1024 * 1024) -> bytes:
        """Return the whole body.

        :param limit_bytes: the most that is kept; longer bodies are refused.
        :raises MalformedRequest: when the body is longer.
        """
        whole = bytearray()
        for block in self.blocks():
            whole += block
            if len(whole) > limit_bytes:
                raise MalformedRequest(413, "the request body is too long")
        return bytes(whole)

    def drain(self, limit_bytes: int) -> bool:
        """Read the rest of the body and forget it, so that the connection can go on; False when that is too much."""
        first_bytes = self.received_bytes
        return all(self.received_bytes - first_bytes <= limit_bytes for _ in self.blocks())

    @property
    def waits_for_continue(self) -> bool:
        """Whether the client has not sent its body because it still waits for `100 Continue`."""
        return self._expects_continue and not self.finished

    def _counted(self) -> Iterator[memoryview]:
        block = self._wire.block()
        slice_bytes = self.pacer.slice_bytes or BLOCK_BYTES
        while self._left_bytes:
            wanted = min(self._left_bytes, BLOCK_BYTES, slice_bytes)
            filled = 0
            while filled < wanted:
                try:
                    count = self._wire.read_into(block[filled:wanted])
                except ConnectionEnded:
                    if filled:
                        self._left_bytes -= filled
                        self.received_bytes += filled
                        yield block[:filled]
                    raise
                filled += count
            self._left_bytes -= filled
            self.received_bytes += filled
            self.pacer.passed(filled)
            yield block[:filled]


class HeldBody(Body):
    """A body that is at hand already: that of a request within another one.

    :param content: all of it.
    """

    def __init__(self, content: bytes) -> None:
        # Nothing of the wire is needed: there is no connection to read from.
        self._content = content
        self.length_bytes = len(content)
        self.received_bytes = 0
        self.finished = not content
        self._expects_continue = False
        self.pacer = Pacer(None, threading.Event())

    def blocks(self) -> Iterator[memoryview]:
        """Yield the body once."""
        if not self.finished:
            self.finished = True
            self.received_bytes = len(self._content)
            yield memoryview(self._content)
