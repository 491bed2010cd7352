"""A package, or a file inside of one, as a stream of chunks that outlives its link.

A thread reads ahead (:mod:`.reader`) in a few buffers, however long the package is. When the storage does not accept
the link any more, a fresh one is fetched and the stream goes on at the same byte. A fresh link may name another copy of
the package, with another entity tag, so two copies are compared by the fingerprint of their content.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from talent_dmf.api.errors import PackageLinkExpiredError, SourceChangedError, TransferStoppedError
from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.package.checking import PackageCheck
from talent_dmf.api.package.directory import PackageContents, PackageEntry, read_package
from talent_dmf.api.package.download_range import REQUEST_BYTES, Source, pin
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.package_source.checker import Checker
from talent_dmf.package_source.inflating import INFLATING
from talent_dmf.package_source.links import run_with_link
from talent_dmf.package_source.reader import (
    PIECE_BYTES,
    PIECES,
    Chunk,
    Content,
    Digests,
    EntryContent,
    PackageContent,
    Reader,
)
from talent_dmf.transport.drivers import SyncDriver

log = logging.getLogger(__name__)

# Links in a row that the storage does not accept: then it is not a matter of age.
_MAX_REFUSED_LINKS = 3


class StopSignal:
    """The wish that a transfer ends between two ranges."""

    def __init__(self) -> None:
        self.is_set = False

    def set(self) -> None:
        """Wish it."""
        self.is_set = True

    def check(self) -> None:
        """Go on, unless somebody wishes otherwise.

        :raises TransferStoppedError: somebody does.
        """
        if self.is_set:
            raise TransferStoppedError("The transfer was stopped. A retry goes on where this try was stopped.")


@dataclass(frozen=True, slots=True)
class PackageFile:
    """Something to be saved: a package, or a file in it.

    :param name: name that it shall have.
    :param size_bytes: its length.
    :param version: identifies its content: the package's fingerprint, and for a file in it, which one.
    :param slot: keeps the files of one task apart, the same in each of its tries.
    :param entity: label of the entity, for a file in a package.
    :param entry: where it lies in the package, for a file in it.
    :param replaces: whether it takes the place of what this task has saved under the name a moment ago, out of a
        package that was made anew since.
    """

    name: str
    size_bytes: int
    version: str
    slot: str = ""
    entity: str = ""
    entry: PackageEntry | None = None
    replaces: bool = False


class PackageSource:
    """A package in its storage, pinned to one content.

    :param driver: for the storage; used by nobody else meanwhile.
    :param fresh_url: gives a fresh signed URL of it, perhaps of another copy.
    :param chunk_bytes: most that whoever saves it sends at a time.
    :param stop: asked between chunks.
    :param check_entries: whether the checksums of everything in a package are checked while it passes as a whole, and
        its last chunk is held back until they are right.
    :param request_bytes: most that one request asks for.
    """

    def __init__(
        self,
        driver: SyncDriver,
        fresh_url: Callable[[], SecretUrl],
        *,
        chunk_bytes: int,
        stop: StopSignal | None = None,
        check_entries: bool = False,
        request_bytes: int = REQUEST_BYTES,
    ) -> None:
        self.driver, self.chunk_bytes, self.check_entries = driver, chunk_bytes, check_entries
        self._request_bytes = request_bytes
        self.stop = stop or StopSignal()
        self._fresh_url = fresh_url
        self._pinned: Source | None = None
        self._contents: tuple[str, PackageContents] | None = None

    @property
    def version(self) -> Source:
        """The copy that is read at present. All copies that are read have one content."""
        return self._pinned or self.begin_anew()

    def begin_anew(self) -> Source:
        """Pin whatever copy a fresh link leads to, whether or not it is like the one that was read."""
        try:
            self._pinned = run_with_link(self.driver, self._fresh_url, pin)
        except SourceChangedError:
            # Made anew between its length and its end: what is there now is looked at.
            self._pinned = run_with_link(self.driver, self._fresh_url, pin)
        return self._pinned

    def renew(self) -> Source:
        """Go on with a fresh link to the same content.

        :raises SourceChangedError: it leads to another content.
        """
        known, self._pinned = self._pinned, None
        fresh = self.begin_anew()
        if known is not None and fresh.version != known.version:
            self._pinned = known
            raise SourceChangedError(
                "The package was made anew while it was read. A retry reads the new one from the beginning."
            )
        return fresh

    def contents(self) -> PackageContents:
        """What it holds.

        :raises PackageInvalidError: it is no package, or damaged.
        """
        known = self._contents
        if known is not None and known[0] == self.version.version:
            return known[1]
        try:
            contents = self.driver.run(read_package(self.version))
        except PackageLinkExpiredError:
            contents = self.driver.run(read_package(self.renew()))
        self._contents = self.version.version, contents
        return contents

    @property
    def fingerprint(self) -> str:
        """What the package holds, as far as it was looked into: two that hold the same have the same."""
        return self._contents[1].fingerprint if self._contents is not None else ""

    def whole(self, name: str) -> PackageFile:
        """The package itself as something to be saved.

        :param name: name that it shall have.
        """
        return PackageFile(name, self.version.size_bytes, self.version.version)

    def open(self, file: PackageFile) -> Content:
        """The bytes of a file, in the present copy.

        :param file: which.
        """
        if file.entry is None:
            return PackageContent(self.driver, self.version, self._request_bytes)
        return EntryContent(self.driver, self.version, file.entry, self._request_bytes)

    @property
    def piece_bytes(self) -> int:
        """Length of a chunk."""
        return min(PIECE_BYTES, self.chunk_bytes)

    def digests(self, file: PackageFile, *, sha256: bool = False) -> Digests:
        """The hashes of a file; it is read for that.

        :param file: which.
        :param sha256: whether that hash is wanted as well.
        """
        with closing(FileReading(self, file, sha256=sha256)) as reading:
            reading.whole_hash(self.stop.check)
        return reading.digests


class FileReading:
    """The reading of one file, from wherever it is wanted, by one reader at a time, through as many links as it takes.

    :param package: where it lies.
    :param file: which.
    :param sha256: whether that hash is wanted as well.
    """

    def __init__(self, package: PackageSource, file: PackageFile, *, sha256: bool = False) -> None:
        self._package, self._file = package, file
        self.digests = Digests(sha256=sha256)
        self._piece_bytes = min(package.piece_bytes, max(file.size_bytes, 1))
        self._reader: Reader | None = None
        self._checker: Checker | None = None
        self._check: PackageCheck | None = None
        if package.check_entries and file.entry is None and file.size_bytes:
            self._check = PackageCheck(package.contents().entries, library=INFLATING)
        self._refused_links = 0
        self.renewed_links = 0
        self.hash_state = self.digests.quick_xor.state()

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the file, if it was wanted and all of it was read."""
        return self.digests.sha256 if self.digests.folded_bytes == self._file.size_bytes else None

    @property
    def checked_bytes(self) -> int:
        """Position before which every entry of the package was checked."""
        return self._check.checked_bytes if self._check is not None else 0

    def know(self, hash_state: tuple[int, str], checked_bytes: int = 0) -> None:
        """Take over what an earlier try has hashed and checked; a SHA-256 cannot be continued.

        :param hash_state: state of the quickXorHash of the file's first bytes.
        :param checked_bytes: position before which it has checked every entry of the package.
        """
        if self._check is not None:
            self._check = PackageCheck(self._package.contents().entries, checked_bytes, library=INFLATING)
        if self.digests.sha256 is None:
            self.digests = Digests(QuickXor.from_state(hash_state))
            self.hash_state = hash_state

    def seek(self, position: int) -> None:
        """Begin to read for a position; what lies before it and is not hashed yet is read as well.

        :param position: the position in the file.
        """
        self.close()
        self.hash_state = self.digests.quick_xor.state()
        start = min(position, self.digests.folded_bytes)
        if self._check is not None:
            start = min(start, self._check.position)
            self._checker = Checker(self._check)
        content = self._package.open(self._file)
        self._reader = Reader(
            content,
            self.digests,
            piece_bytes=self._piece_bytes,
            pieces=PIECES,
            start=start,
            align=position,
            checker=self._checker,
        )

    def next(self, position: int, on_wait: Callable[[], None] = lambda: None) -> Chunk:
        """The next chunk; a link that has expired is renewed.

        :param position: what the reading is for, should it have to begin anew.
        :param on_wait: called now and then while there is none yet; may raise.
        :raises PackageLinkExpiredError: fresh links are not accepted either.
        :raises SourceChangedError: a fresh link leads to another content.
        :raises TransferStoppedError: somebody wishes that the transfer ends.
        """

        def waiting() -> None:
            self._package.stop.check()
            on_wait()

        while True:
            if self._reader is None:
                self.seek(position)
            assert self._reader is not None
            try:
                chunk = self._reader.next(waiting)
            except PackageLinkExpiredError:
                self._refused_links += 1
                if self._refused_links >= _MAX_REFUSED_LINKS:
                    raise
                self.close()
                log.info("The package link is not accepted any more: fetching a fresh one.")
                self.renewed_links += 1
                self._package.renew()
            else:
                self._refused_links = 0
                self._hold_back(chunk)
                self.hash_state = chunk.hash_state
                return chunk

    def chunk_at(
        self, position: int, on_wait: Callable[[], None] = lambda: None, on_skip: Callable[[], None] = lambda: None
    ) -> Chunk:
        """The chunk that begins at a position. What is read before it, for the hash or the check only, is passed over.

        :param position: the position in the file.
        :param on_wait: as for :meth:`next`.
        :param on_skip: called after each chunk that is passed over.
        """
        while True:
            chunk = self.next(position, on_wait)
            if chunk.offset == position:
                return chunk
            self.release(chunk)
            if chunk.end > position:
                self.seek(position)
            on_skip()

    def _hold_back(self, chunk: Chunk) -> None:
        """Give the last chunk out only when everything in the package has been found right."""
        checker, check = self._checker, self._check
        if checker is None or check is None:
            return
        checker.look()
        if chunk.end == self._file.size_bytes:
            checker.wait(self._package.stop.check)
            check.finish()

    def chunks(self) -> Iterator[Chunk]:
        """The whole file, in order; a chunk is valid until the next one is asked for.

        :raises PackageLinkExpiredError: the storage does not accept fresh links either.
        :raises SourceChangedError: the package is not the same any more.
        :raises TransferStoppedError: somebody wishes that the transfer ends.
        """
        position = 0
        while position < self._file.size_bytes:
            chunk = self.chunk_at(position)
            self._package.stop.check()
            yield chunk
            position = chunk.end
            self.release(chunk)

    def whole_hash(self, on_chunk: Callable[[], None]) -> str:
        """Read what is not hashed yet, for its hash only: the quickXorHash of the whole file in base64.

        :param on_chunk: called after each chunk.
        """
        self.close()
        # Only the reader's thread may look at the digests while it runs, so the state that it hands over counts.
        read_bytes = self.digests.folded_bytes
        while read_bytes < self._file.size_bytes:
            chunk = self.next(self._file.size_bytes)
            read_bytes = chunk.hash_state[0]
            self.release(chunk)
            on_chunk()
        self.close()
        self.hash_state = self.digests.quick_xor.state()
        return self.digests.quick_xor.base64()

    def release(self, chunk: Chunk) -> None:
        """Give the memory of a chunk back."""
        if self._reader is not None:
            self._reader.release(chunk)

    def close(self, timeout_seconds: float | None = None) -> None:
        """End the reader, if there is one.

        :param timeout_seconds: how long to wait for it at most.
        """
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.stop(timeout_seconds)
        checker, self._checker = self._checker, None
        if checker is not None:
            checker.stop(timeout_seconds)
