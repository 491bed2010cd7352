"""The source of a transfer, read on through links that expire."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from talent_dmf.api.errors import PackageLinkExpiredError, SourceChangedError
from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.package.download_range import Source, pin
from talent_dmf.destinations.onedrive.job import Job, Tally
from talent_dmf.package_source.links import run_with_link
from talent_dmf.package_source.reader import BUFFERS, Chunk, Digests, Reader

log = logging.getLogger(__name__)

# Links in a row that the storage does not accept: then it is not a matter of age.
_MAX_REFUSED_LINKS = 3


class SourceReading:
    """One version of a source, read from wherever it is wanted, by one reader at a time.

    :param job: what is to be done.
    :param source: the version.
    :param tally: counts.
    """

    def __init__(self, job: Job, source: Source, tally: Tally) -> None:
        self._job, self._tally = job, tally
        self._digests = Digests(sha256=job.sha256)
        size = min(job.chunk_bytes, max(source.size_bytes, 1))
        self._buffers = [bytearray(size) for _ in range(BUFFERS if size < source.size_bytes else 1)]
        self._reader: Reader | None = None
        self._refused_links = 0
        self.source = source
        self.hash_state = (0, "0")

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the source, if it was wanted and all of it was read."""
        return self._digests.sha256 if self._digests.folded_bytes == self.source.size_bytes else None

    def know(self, hash_state: tuple[int, str]) -> None:
        """Take over what an earlier try has hashed.

        :param hash_state: state of the quickXorHash of the source's first bytes.
        """
        if not self._job.sha256:
            self._digests = Digests(QuickXor.from_state(hash_state))
            self.hash_state = hash_state

    def seek(self, position: int) -> None:
        """Begin to read for a position; what lies before it and is not hashed yet is read as well.

        :param position: the position in the source.
        """
        self.stop()
        self.hash_state = self._digests.quick_xor.state()
        self._reader = self._job.open_reader(
            self._job.source,
            self.source,
            self._digests,
            self._buffers,
            start=min(position, self._digests.folded_bytes),
            align=position,
        )

    def next(self, position: int, on_wait: Callable[[], None]) -> Chunk:
        """The next chunk; a link that has expired is renewed.

        :param position: what the reading is for, should it have to begin anew.
        :param on_wait: called now and then while there is none yet; may raise.
        :raises PackageLinkExpiredError: fresh links are not accepted either.
        :raises SourceChangedError: a fresh link leads to another version.
        """
        if self._reader is None:
            self.seek(position)
        while self._reader is not None:
            try:
                chunk = self._reader.next(on_wait)
            except PackageLinkExpiredError:
                self._refused_links += 1
                if self._refused_links >= _MAX_REFUSED_LINKS:
                    raise
                self.stop()
                self._renew_link()
                self.seek(position)
            else:
                self._refused_links = 0
                self.hash_state = chunk.hash_state
                return chunk
        raise AssertionError("A reader that was sought is there.")

    def whole_hash(self, on_chunk: Callable[[], None], on_wait: Callable[[], None]) -> str:
        """Read what is not hashed yet, for its hash only: the quickXorHash of the whole source in base64.

        :param on_chunk: called after each chunk.
        :param on_wait: as for :meth:`next`.
        """
        self.stop()
        size_bytes = self.source.size_bytes
        # Only the reader's thread may look at the digests while it runs, so the state that it hands over counts.
        read_bytes = self._digests.folded_bytes
        while read_bytes < size_bytes:
            chunk = self.next(size_bytes, on_wait)
            read_bytes = chunk.hash_state[0]
            self.release(chunk)
            on_chunk()
        self.stop()
        self.hash_state = self._digests.quick_xor.state()
        return self._digests.quick_xor.base64()

    def release(self, chunk: Chunk) -> None:
        """Give the memory of a chunk back."""
        if self._reader is not None:
            self._reader.release(chunk)

    def stop(self, timeout_seconds: float | None = None) -> None:
        """End the reader, if there is one.

        :param timeout_seconds: how long to wait for it at most.
        """
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.stop(timeout_seconds)

    def _renew_link(self) -> None:
        log.info("The package link is not accepted any more: fetching a fresh one.")
        self._tally.resumes += 1
        job, known = self._job, self.source
        if not known.fingerprint:
            self.source = replace(known, url=job.mint_url())
            return
        fresh = run_with_link(job.source, job.mint_url, pin)
        if fresh.version != known.version:
            raise SourceChangedError(f"The package is another one under its fresh link ({fresh.url}).")
        self.source = fresh
