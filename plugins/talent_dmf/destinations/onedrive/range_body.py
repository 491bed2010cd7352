"""The body of one range of an upload: the pieces of the package, as they are read.

Nothing is waited for but the first piece, so filling and draining a range costs nothing, and no range lies in memory.
Each piece was hashed before it is handed on, so what is sent is what the hash is of. Whatever keeps a piece from coming
ends the request in its middle: a range that is not whole is never accepted as one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from talent_dmf.package_source.reader import Chunk
from talent_dmf.package_source.source import FileReading

# Services wait about two minutes for the rest of a request. Whoever has waited so long for a piece gives the request
# up, and asks where the session stands.
STALL_SECONDS = 30.0


class BrokenOffError(Exception):
    """The bytes of a range did not come. No failure of the request, so that nobody takes it for one.

    :param cause: why not.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


class StalledError(Exception):
    """The next piece is late."""


class RangeBody:
    """A range, from a piece that is there already. For one sending.

    :param reading: gives the other pieces.
    :param first: the piece that it begins with.
    :param end: position after its last byte: after a whole number of pieces, or at the end of the file.
    :param check_stop: called before each further piece; may raise.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        reading: FileReading,
        first: Chunk,
        end: int,
        check_stop: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reading, self._first = reading, first
        self._check_stop, self._clock = check_stop, clock
        self.offset, self.end = first.offset, end
        # Position after the last byte that was sent.
        self.sent_to = first.offset
        self._whole_hash: str | None = None

    def __len__(self) -> int:
        return self.end - self.offset

    def whole_hash(self) -> str | None:
        """QuickXorHash of the whole file in base64, when its last piece has come."""
        return self._whole_hash

    def __iter__(self) -> Iterator[memoryview]:
        chunk = self._first
        while True:
            self._whole_hash = chunk.whole_hash
            yield chunk.data
            self.sent_to = chunk.end
            self._reading.release(chunk)
            if chunk.end >= self.end:
                return
            try:
                chunk = self._next(chunk.end)
            except BaseException as error:
                raise BrokenOffError(error) from error

    def _next(self, position: int) -> Chunk:
        self._check_stop()
        late = self._clock() + STALL_SECONDS

        def waiting() -> None:
            if self._clock() >= late:
                raise StalledError

        return self._reading.chunk_at(position, waiting)
