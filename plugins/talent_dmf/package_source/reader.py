"""The reading leg of a transfer: one thread that fills small buffers while it reads, and hashes what it read."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.package.directory import PackageEntry
from talent_dmf.api.package.download_range import REQUEST_BYTES, PackageReading, Source
from talent_dmf.api.package.unpacking import EntryDecoder, find_data
from talent_dmf.package_source.checker import Checker
from talent_dmf.transport.drivers import SyncDriver

# zlib copies what it has not consumed yet, so it gets small pieces.
_PIECE_BYTES = 64 * 1024
# What is read is handed on in pieces of this length, of which the ranges of an upload are made: a whole number of the
# units that it takes and of what the hash is folded by. At most so many wait for whoever sends them (docs/adr/0014).
PIECE_BYTES = 1280 * 1024
PIECES = 13
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


class Content(Protocol):
    """The bytes that a reader reads, wherever they come from."""

    size_bytes: int

    def fill(self, offset: int, data: memoryview) -> None:
        """Read a range.

        :param offset: position of its first byte; not before the end of the range that was read last.
        :param data: buffer to fill completely.
        :raises PackageLinkExpiredError: the storage does not accept the link any more.
        :raises SourceChangedError: the package is another one.
        """
        ...

    def close(self) -> None:
        """Read no more."""
        ...


class PackageContent:
    """A whole package.

    :param driver: runs the requests; used by nobody else meanwhile.
    :param package: the copy that is read.
    :param request_bytes: most that one request asks for.
    """

    def __init__(self, driver: SyncDriver, package: Source, request_bytes: int = REQUEST_BYTES) -> None:
        self._driver = driver
        self._reading = PackageReading(package, package.size_bytes, request_bytes)
        self.size_bytes = package.size_bytes

    def fill(self, offset: int, data: memoryview) -> None:
        """Read a range of it."""
        self._driver.run(self._reading.read(offset, data))

    def close(self) -> None:
        """Read no more."""
        self._reading.close()


class EntryContent:
    """A file inside of a package, unpacked, and checked before its last byte is given out.

    Wherever the reading begins, the file is unpacked from its own beginning: its checksum is over all of it.

    :param driver: runs the requests; used by nobody else meanwhile.
    :param package: the copy that is read.
    :param entry: the file.
    :param request_bytes: most that one request asks for.
    """

    def __init__(
        self, driver: SyncDriver, package: Source, entry: PackageEntry, request_bytes: int = REQUEST_BYTES
    ) -> None:
        self._driver, self._package, self._entry, self._request_bytes = driver, package, entry, request_bytes
        self.size_bytes = entry.size_bytes
        self._decoder = EntryDecoder(entry)
        self._packed = bytearray(min(_PIECE_BYTES, max(entry.compressed_bytes, 1)))
        self._reading: PackageReading | None = None
        self._data_offset = self._taken_bytes = 0

    def fill(self, offset: int, data: memoryview) -> None:
        """Unpack a range of it.

        :raises PackageInvalidError: it is damaged.
        """
        while self._decoder.position < offset:
            # What was read before: its bytes are of no use, its checksum is.
            self._decoder.fill(data[: min(len(data), offset - self._decoder.position)], self._more)
        self._decoder.fill(data, self._more)

    def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.close()

    def _more(self) -> memoryview:
        length = min(len(self._packed), self._entry.compressed_bytes - self._taken_bytes)
        if not length:
            return memoryview(b"")
        if self._reading is None:
            self._data_offset = self._driver.run(find_data(self._package, self._entry))
            end = self._data_offset + self._entry.compressed_bytes
            self._reading = PackageReading(self._package, end, self._request_bytes)
        into = memoryview(self._packed)[:length]
        self._driver.run(self._reading.read(self._data_offset + self._taken_bytes, into))
        self._taken_bytes += length
        return into


class Reader:
    """Reads a content ahead in a thread of its own.

    :param content: what to read; used by this thread only until :meth:`stop`.
    :param digests: take note of every byte; not to be touched by others until :meth:`stop`.
    :param piece_bytes: length of a chunk.
    :param pieces: most chunks that are in memory at a time; what was used last is used first, so that a leg that is as
        fast as the other one needs two.
    :param start: position to read from.
    :param align: position that a chunk shall begin at, at ``start`` or behind it.
    :param checker: checks what was read, beside whoever sends it.
    """

    def __init__(
        self,
        content: Content,
        digests: Digests,
        *,
        piece_bytes: int,
        pieces: int,
        start: int,
        align: int,
        checker: Checker | None = None,
    ) -> None:
        self._content, self._digests, self._checker = content, digests, checker
        self._shared: set[int] = set()
        self._lock = threading.Lock()
        self._piece_bytes, self._unused_pieces = piece_bytes, pieces
        self._start, self._first_bytes = start, (align - start) % piece_bytes or piece_bytes
        self._free: queue.LifoQueue[bytearray | None] = queue.LifoQueue()
        self._filled: queue.SimpleQueue[Chunk | BaseException] = queue.SimpleQueue()
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
        self._give_back(chunk.buffer)

    def _give_back(self, buffer: bytearray) -> None:
        """Memory is free again when neither the sender nor the checker needs it."""
        with self._lock:
            if id(buffer) in self._shared:
                self._shared.discard(id(buffer))
                return
        self._free.put(buffer)

    def stop(self, timeout_seconds: float | None = None) -> None:
        """End the thread after the piece that it is reading; wait for it.

        :param timeout_seconds: how long at most. Whoever is being killed has no time to sit out a storage that asks
            for five minutes of patience; the thread then ends by itself, and touches nothing that is still in use.
        """
        self._stopped.set()
        self._free.put(None)
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        try:
            offset, wanted = self._start, self._first_bytes
            while offset < self._content.size_bytes and not self._stopped.is_set():
                buffer = self._buffer()
                if buffer is None or self._stopped.is_set():
                    return
                data = memoryview(buffer)[: min(wanted, self._content.size_bytes - offset)]
                self._content.fill(offset, data)
                self._digests.fold(offset, data)
                if self._checker is not None:
                    with self._lock:
                        self._shared.add(id(buffer))
                    self._checker.offer(offset, data, partial(self._give_back, buffer))
                self._filled.put(self._chunk(offset, data, buffer))
                offset, wanted = offset + len(data), self._piece_bytes
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits for the chunk
            self._filled.put(error)
        finally:
            self._content.close()

    def _buffer(self) -> bytearray | None:
        """Memory for a piece; none any more if nobody wants one."""
        if self._unused_pieces and self._free.empty():
            self._unused_pieces -= 1
            return bytearray(self._piece_bytes)
        return self._free.get()

    def _chunk(self, offset: int, data: memoryview, buffer: bytearray) -> Chunk:
        quick_xor = self._digests.quick_xor
        whole = quick_xor.base64() if quick_xor.length_bytes == self._content.size_bytes else None
        return Chunk(offset, data, quick_xor.state(), whole, buffer)
