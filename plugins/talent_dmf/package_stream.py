"""A package, or a file inside of one, as a stream of chunks that outlives its link.

A thread reads ahead (:mod:`talent_dmf.transfer_reader`) in two buffers, whatever the length. When the storage does not
accept the link any more, a fresh one is fetched and the stream goes on at the same byte of the same version.
"""

from __future__ import annotations

import functools
import logging
import random
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace

from talent_dmf.api.download_range import Source, probe, read_range
from talent_dmf.api.errors import PackageLinkExpiredError
from talent_dmf.api.package import PackageContents, PackageEntry, read_package
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.unpacking import EntryDecoder, find_data
from talent_dmf.drivers import SyncDriver
from talent_dmf.transfer import run_with_link
from talent_dmf.transfer_reader import BUFFERS, Chunk, Digests, OpenReader, Reader

log = logging.getLogger(__name__)

_MAX_REFUSED_LINKS = 3
# zlib copies what it has not consumed yet, so it gets small bites.
_BITE_BYTES = 64 * 1024


class Links:
    """Signed URLs of one package for several files in it: one is used until it is refused.

    :param mint_url: gives a fresh one.
    """

    def __init__(self, mint_url: Callable[[], SecretUrl]) -> None:
        self._mint_url = mint_url
        self._current: SecretUrl | None = None

    def fresh(self) -> SecretUrl:
        """A fresh one."""
        self._current = self._mint_url()
        return self._current

    def for_one_use(self) -> Callable[[], SecretUrl]:
        """Gives the one at hand when it is first called, and fresh ones from then on."""
        at_hand = [self._current] if self._current is not None else []

        def link() -> SecretUrl:
            return at_hand.pop() if at_hand else self.fresh()

        return link


@dataclass(frozen=True, slots=True)
class PackageFile:
    """Something to be saved: a package, or a file in it.

    :param name: name that it shall have.
    :param size_bytes: its length.
    :param etag: its version: that of the package, and for a file in it, which one.
    :param slot: tells the files of one task apart, the same in each of its tries.
    :param open_reader: reads it.
    :param entity: label of the entity, for a file in a package.
    """

    name: str
    size_bytes: int
    etag: str
    slot: str = ""
    open_reader: OpenReader = Reader
    entity: str = ""


class PackageSource:
    """A package in its storage.

    :param driver: for the storage; used by nobody else meanwhile.
    :param mint_url: gives a fresh signed URL of it.
    :param chunk_bytes: length of a chunk; two are kept in memory, three while a file is unpacked.
    :param stop_if_cancelled: called between chunks; may raise.
    :param policy: how patient with the storage.
    """

    def __init__(
        self,
        driver: SyncDriver,
        mint_url: Callable[[], SecretUrl],
        *,
        chunk_bytes: int,
        stop_if_cancelled: Callable[[], None] = lambda: None,
        policy: RetryPolicy | None = None,
    ) -> None:
        self.driver, self.links, self.chunk_bytes = driver, Links(mint_url), chunk_bytes
        self.stop_if_cancelled, self.policy = stop_if_cancelled, policy or RetryPolicy()

    def look(self) -> Source:
        """Its length and version."""
        return run_with_link(self.driver, self.links.fresh, probe)

    def contents(self, version: Source) -> PackageContents:
        """What it holds.

        :param version: which version of it.
        :raises PackageInvalidError: it is no package, or damaged.
        """
        return run_with_link(
            self.driver,
            self.links.for_one_use(),
            lambda url: read_package(replace(version, url=url), self.policy, random.random),
        )

    def chunks(self, file: PackageFile, digests: Digests) -> Generator[Chunk, None, None]:
        """The bytes of a file, in order; a chunk is valid until the next one is asked for.

        Close the generator: a thread reads behind it.

        :param file: which.
        :param digests: take note of every byte.
        :raises PackageLinkExpiredError: the storage does not accept fresh links either.
        :raises SourceChangedError: the package is not the same any more.
        """
        link = self.links.for_one_use()
        size = min(self.chunk_bytes, max(file.size_bytes, 1))
        buffers = [bytearray(size) for _ in range(BUFFERS if size < file.size_bytes else 1)]
        position, refused = 0, 0
        while position < file.size_bytes:
            source = Source(link(), file.size_bytes, file.etag)
            reader = file.open_reader(
                self.driver, source, digests, buffers, start=position, align=position, policy=self.policy
            )
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

    :param package: the package, in the version that is meant.
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
        policy: RetryPolicy,
        package: Source,
        entry: PackageEntry,
    ) -> None:
        self._package, self._entry = replace(package, url=source.url), entry
        self._decoder = EntryDecoder(entry)
        self._packed = bytearray(min(len(buffers[0]), max(entry.compressed_bytes, 1)))
        self._bites_left = memoryview(b"")
        self._data_offset, self._taken = -1, 0
        super().__init__(driver, source, digests, buffers, start=start, align=align, policy=policy)

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
            self._data_offset = self._driver.run(find_data(self._package, self._entry, self._policy, random.random))
        into = memoryview(self._packed)[:length]
        self._driver.run(read_range(self._package, self._data_offset + self._taken, into, self._policy, random.random))
        self._taken += length
        return into


def entry_reader(package: Source, entry: PackageEntry) -> OpenReader:
    """Opens readers of a file inside of a package.

    :param package: the package, in the version that is meant.
    :param entry: the file.
    """
    return functools.partial(EntryReader, package=package, entry=entry)
