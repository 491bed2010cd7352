"""A package, or a file inside of one, as a stream of chunks that outlives its link.

A thread reads ahead (:mod:`.reader`) in a few buffers, however long it is. When the storage does not accept the link
any more, a fresh one is fetched and the stream goes on at the same byte. A fresh link may name another copy of the
package, with another entity tag, so copies are told by the fingerprint of their content.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from talent_dmf.api.errors import PackageLinkExpiredError, SourceChangedError
from talent_dmf.api.package.directory import PackageContents, PackageEntry, read_package
from talent_dmf.api.package.download_range import Source, pin, read_range
from talent_dmf.api.package.unpacking import EntryDecoder, find_data
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.package_source.links import run_with_link
from talent_dmf.package_source.reader import BUFFERS, Chunk, Digests, OpenReader, Reader
from talent_dmf.transport.drivers import SyncDriver

log = logging.getLogger(__name__)

_MAX_REFUSED_LINKS = 3
# zlib copies what it has not consumed yet, so it gets small bites.
_BITE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class PackageFile:
    """Something to be saved: a package, or a file in it.

    :param name: name that it shall have.
    :param size_bytes: its length.
    :param version: what its content is told by: the package's fingerprint, and for a file in it, which one.
    :param slot: tells the files of one task apart, the same in each of its tries.
    :param entity: label of the entity, for a file in a package.
    :param entry: where it lies in the package, for a file in it.
    """

    name: str
    size_bytes: int
    version: str
    slot: str = ""
    entity: str = ""
    entry: PackageEntry | None = None


class PackageSource:
    """A package in its storage, pinned to one content.

    :param driver: for the storage; used by nobody else meanwhile.
    :param mint_url: gives a fresh signed URL of it, perhaps of another copy.
    :param chunk_bytes: length of a chunk; two are kept in memory, three while a file is unpacked.
    :param stop_if_cancelled: called between chunks; may raise.
    """

    def __init__(
        self,
        driver: SyncDriver,
        mint_url: Callable[[], SecretUrl],
        *,
        chunk_bytes: int,
        stop_if_cancelled: Callable[[], None] = lambda: None,
    ) -> None:
        self.driver, self.mint_url, self.chunk_bytes = driver, mint_url, chunk_bytes
        self.stop_if_cancelled = stop_if_cancelled
        self._pinned: Source | None = None

    @property
    def version(self) -> Source:
        """The copy that is read at present. All copies that are read have one content."""
        return self._pinned or self._pin_afresh()

    def _pin_afresh(self) -> Source:
        fresh = run_with_link(self.driver, self.mint_url, pin)
        if self._pinned is not None and fresh.version != self._pinned.version:
            raise SourceChangedError("The package is another one under its fresh link.")
        self._pinned = fresh
        return fresh

    def contents(self) -> PackageContents:
        """What it holds.

        :raises PackageInvalidError: it is no package, or damaged.
        """
        try:
            return self.driver.run(read_package(self.version))
        except PackageLinkExpiredError:
            return self.driver.run(read_package(self._pin_afresh()))

    def links(self) -> Callable[[], SecretUrl]:
        """Gives the link at hand when it is first called, and fresh ones from then on: many files share one."""
        used: list[Source] = []

        def link() -> SecretUrl:
            used.append(self._pin_afresh() if used else self.version)
            return used[-1].url

        return link

    def opener(self, file: PackageFile) -> OpenReader:
        """Opens readers of a file, which read the present copy.

        :param file: which.
        """
        entry = file.entry
        if entry is None:
            return Reader

        def open_reader(*arguments: Any, **options: Any) -> Reader:
            return EntryReader(*arguments, package=self.version, entry=entry, **options)

        return open_reader

    def chunks(self, file: PackageFile, digests: Digests) -> Generator[Chunk, None, None]:
        """The bytes of a file, in order; a chunk is valid until the next one is asked for.

        Close the generator: a thread reads behind it.

        :param file: which.
        :param digests: take note of every byte.
        :raises PackageLinkExpiredError: the storage does not accept fresh links either.
        :raises SourceChangedError: the package is not the same any more.
        """
        link, open_reader = self.links(), self.opener(file)
        size = min(self.chunk_bytes, max(file.size_bytes, 1))
        buffers = [bytearray(size) for _ in range(BUFFERS if size < file.size_bytes else 1)]
        position, refused = 0, 0
        while position < file.size_bytes:
            link()
            source = self.version
            if file.entry is not None:
                source = replace(source, size_bytes=file.size_bytes)
            reader = open_reader(self.driver, source, digests, buffers, start=position, align=position)
            try:
                while position < file.size_bytes:
                    chunk = reader.next(self.stop_if_cancelled)
                    self.stop_if_cancelled()
                    refused = 0
                    yield chunk
                    position = chunk.end
                    reader.release(chunk)
            except PackageLinkExpiredError:
                refused += 1
                if refused >= _MAX_REFUSED_LINKS:
                    raise
                log.info("The package link is not accepted any more: fetching a fresh one.")
            finally:
                reader.stop()

    def digests(self, file: PackageFile, *, sha256: bool = False) -> Digests:
        """The hashes of a file; it is read for that.

        :param file: which.
        :param sha256: whether that hash is wanted as well.
        """
        digests = Digests(sha256=sha256)
        with closing(self.chunks(file, digests)) as chunks:
            for _ in chunks:
                pass
        return digests


class EntryReader(Reader):
    """Reads a file inside of a package ahead, unpacks it, and checks it before its last byte is given out.

    Wherever the reading begins, the file is unpacked from its own beginning: its checksum is over all of it. The
    parameters are those of :class:`Reader`, where ``source`` has the length of the file, and these two:

    :param package: the copy of the package that the link leads to.
    :param entry: the file.
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
        package: Source,
        entry: PackageEntry,
    ) -> None:
        self._package, self._entry = package, entry
        self._decoder = EntryDecoder(entry)
        self._packed = bytearray(min(len(buffers[0]), max(entry.compressed_bytes, 1)))
        self._bites_left = memoryview(b"")
        self._data_offset, self._taken = -1, 0
        super().__init__(driver, source, digests, buffers, start=start, align=align)

    def _fill(self, offset: int, data: memoryview) -> None:
        while self._decoder.position < offset:
            # What was read before: its bytes are of no use, its checksum is.
            self._decoder.fill(data[: min(len(data), offset - self._decoder.position)], self._more)
        self._decoder.fill(data, self._more)

    def _more(self) -> memoryview:
        if not self._bites_left:
            self._bites_left = self._fetch()
        bite, self._bites_left = self._bites_left[:_BITE_BYTES], self._bites_left[_BITE_BYTES:]
        return bite

    def _fetch(self) -> memoryview:
        length = min(len(self._packed), self._entry.compressed_bytes - self._taken)
        if not length:
            return memoryview(b"")
        if self._data_offset < 0:
            self._data_offset = self._driver.run(find_data(self._package, self._entry))
        into = memoryview(self._packed)[:length]
        self._driver.run(read_range(self._package, self._data_offset + self._taken, into))
        self._taken += length
        return into
