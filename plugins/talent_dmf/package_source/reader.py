"""The reading leg of a transfer: one thread that fills a few buffers in turn, and hashes what it read."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.package.download_range import Source, read_range
from talent_dmf.transport.drivers import SyncDriver

# One is filled and one is sent; the third keeps either leg from waiting for a moment of the other (docs/adr/0009).
BUFFERS = 3
_POLL_SECONDS = 0.5


class Digests:
    """The hashes of a source, folded while its bytes pass, each byte once however often it is read.

    :param quick_xor: quickXorHash of the first bytes; the rest is still to come.
    :param sha256: whether that hash is wanted as well. It cannot be continued in another process, so with it the
        source is read from its beginning.
    """

    def __init__(self, quick_xor: QuickXor | None = None, *, sha256: bool = False) -> None:
        self._sha256 = hashlib.sha256() if sha256 else None
        self.quick_xor = QuickXor() if quick_xor is None or sha256 else quick_xor

    @property
    def folded_bytes(self) -> int:
        """How many bytes from the beginning have been hashed."""
        return self.quick_xor.length_bytes

    @property
    def sha256(self) -> str | None:
        """The SHA-256 so far, in hexadecimal, if wanted."""
        return self._sha256.hexdigest() if self._sha256 is not None else None

    def fold(self, offset: int, data: memoryview) -> None:
        """Hash what is new in a range.

        :param offset: position of the range in the source; not beyond what has been hashed.
        :param data: its bytes.
        :raises ValueError: bytes in between are missing.
        """
        known = self.folded_bytes - offset
        if known < 0:
            raise ValueError(f"Bytes {self.folded_bytes} to {offset} of the source were not hashed.")
        fresh = data[known:]
        self.quick_xor.update(fresh)
        if self._sha256 is not None:
            self._sha256.update(fresh)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A range of the source in memory.

    :param offset: position of its first byte.
    :param data: its bytes; valid until the chunk is released.
    :param hash_state: state of the quickXorHash after it (or further, if the source is read again).
    :param whole_hash: quickXorHash of the whole source in base64, with its last chunk.
    :param buffer: what to release.
    """

    offset: int
    data: memoryview
    hash_state: tuple[int, str]
    whole_hash: str | None
    buffer: bytearray

    @property
    def end(self) -> int:
        """Position after its last byte."""
        return self.offset + len(self.data)


class Reader:
    """Reads a source ahead in a thread of its own.

    :param driver: runs the requests; used by this thread only until :meth:`stop`.
    :param source: what to read.
    :param digests: take note of every byte; not to be touched by others until :meth:`stop`.
    :param buffers: memory, all of one length.
    :param start: position to read from.
    :param align: position that a chunk shall begin at, at ``start`` or behind it.
    """

    def __init__(
        self,
        driver: SyncDriver,
        source: Source,
        digests: Digests,
        buffers: list[bytearray],
        *,
        start: int,
        align: int,
    ) -> None:
        self._driver, self._source, self._digests = driver, source, digests
        self._chunk_bytes = len(buffers[0])
        self._start, self._first_bytes = start, (align - start) % self._chunk_bytes or self._chunk_bytes
        self._free: queue.SimpleQueue[bytearray | None] = queue.SimpleQueue()
        self._filled: queue.SimpleQueue[Chunk | BaseException] = queue.SimpleQueue()
        for buffer in buffers:
            self._free.put(buffer)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="package-reader", daemon=True)
        self._thread.start()

    def next(self, on_wait: Callable[[], None] = lambda: None) -> Chunk:
        """The next chunk, in order.

        :param on_wait: called now and then while there is none yet; may raise.
        :raises TalentDmfError: whatever went wrong at its place in the source.
        """
        while True:
            try:
                filled = self._filled.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                on_wait()
                continue
            if isinstance(filled, BaseException):
                raise filled
            return filled

    def release(self, chunk: Chunk) -> None:
        """Give the memory of a chunk back."""
        self._free.put(chunk.buffer)

    def stop(self, timeout_seconds: float | None = None) -> None:
        """End the thread after the range that it is reading; wait for it.

        :param timeout_seconds: how long at most. Whoever is being killed has no time to sit out a storage that asks
            for five minutes of patience; the thread then ends by itself, and touches nothing that is still in use.
        """
        self._stopped.set()
        self._free.put(None)
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        try:
            offset, wanted = self._start, self._first_bytes
            while offset < self._source.size_bytes and not self._stopped.is_set():
                buffer = self._free.get()
                if buffer is None or self._stopped.is_set():
                    return
                data = memoryview(buffer)[: min(wanted, self._source.size_bytes - offset)]
                self._fill(offset, data)
                self._digests.fold(offset, data)
                self._filled.put(self._chunk(offset, data, buffer))
                offset, wanted = offset + len(data), self._chunk_bytes
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits for the chunk
            self._filled.put(error)

    def _fill(self, offset: int, data: memoryview) -> None:
        self._driver.run(read_range(self._source, offset, data))

    def _chunk(self, offset: int, data: memoryview, buffer: bytearray) -> Chunk:
        quick_xor = self._digests.quick_xor
        whole = quick_xor.base64() if quick_xor.length_bytes == self._source.size_bytes else None
        return Chunk(offset, data, quick_xor.state(), whole, buffer)


class OpenReader(Protocol):
    """Makes a reader; :class:`Reader` itself is one. Another one may read a file inside of the source."""

    def __call__(
        self,
        driver: SyncDriver,
        source: Source,
        digests: Digests,
        buffers: list[bytearray],
        *,
        start: int,
        align: int,
    ) -> Reader:
        """Begin to read; the parameters are those of :class:`Reader`."""
        ...
