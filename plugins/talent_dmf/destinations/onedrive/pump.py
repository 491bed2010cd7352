"""The pump: a package goes from its signed URL to OneDrive while it is being read, in constant memory.

One thread reads ahead (:mod:`talent_dmf.package_source.reader`), the caller's thread uploads; three buffers go round
between them. The reading leg is pinned to one version of the source, the writing leg follows the server's truth
(:mod:`talent_dmf.api.graph.upload.upload`), and whenever the two disagree the reader starts at the byte that the server
misses. A file is therefore never a mixture, and no byte is believed to be there that the server did not confirm.

A later try of the same task goes on where the server stands. The quickXorHash of the first ``S`` bytes is kept with
the session; the source is read from ``min(S, next missing byte)`` on, so the hash is right without reading the file
again. With ``sha256`` the source is read from its beginning, because that hash cannot be continued; what OneDrive
has is still not sent again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from talent_dmf.api.errors import PackageReplacedError, SourceChangedError, TransferMismatchError
from talent_dmf.api.graph.models import Destination, DriveItem
from talent_dmf.api.graph.upload.session import DEFAULT_FRAGMENT_BYTES, check_fragment_bytes
from talent_dmf.api.naming.drive_names import check_path
from talent_dmf.api.package.download_range import Source, pin
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.destinations.onedrive.attempt import Attempt
from talent_dmf.destinations.onedrive.job import Job, Tally
from talent_dmf.destinations.onedrive.session_store import SessionStore
from talent_dmf.destinations.progress import Progress, ProgressLog
from talent_dmf.package_source.links import run_with_link
from talent_dmf.package_source.reader import OpenReader, Reader
from talent_dmf.transport.drivers import SyncDriver

__all__ = ["PackagePump", "Progress", "ProgressLog", "TransferResult"]

log = logging.getLogger(__name__)

# Versions of the source that are begun, and uploads of a version that are compared with it.
_MAX_VERSIONS = 3
_MAX_UPLOADS = 2


@dataclass(frozen=True, slots=True)
class TransferResult:
    """A transfer that is complete and verified.

    :param item: the file.
    :param quick_xor_hash: quickXorHash of what was read, in base64; equal to that of the file.
    :param sha256: SHA-256 of what was read, in hexadecimal, if it was wanted.
    :param size_bytes: length of the file.
    :param source_version: fingerprint of the content that was read, or its entity tag.
    :param bytes_sent: bytes sent in this try, repetitions included.
    :param resumed_from_bytes: where this try took up the session of an earlier one; 0 if it did not.
    :param resumes: how often this try had to find its place again.
    :param duration_seconds: time from the first request to the verified file.
    :param already_there: whether an earlier try had completed it, so that nothing was to be done.
    """

    item: DriveItem
    quick_xor_hash: str
    sha256: str | None
    size_bytes: int
    source_version: str
    bytes_sent: int
    resumed_from_bytes: int
    resumes: int
    duration_seconds: float
    already_there: bool = False


class PackagePump:
    """Brings one package to its destination. For one use.

    :param source: driver for the storage; nobody else uses it meanwhile.
    :param target: driver for Microsoft Graph.
    :param mint_url: gives a fresh signed URL of the package; called in the caller's thread.
    :param drive_id: the drive.
    :param destination: folder, name and conflict policy.
    :param size_bytes: length of the package, if known.
    :param etag: its version, if known; otherwise whatever version there is now.
    :param version: the package as it was checked, in the place of both; its link is used first, and another package is
        not taken.
    :param chunk_bytes: length of one range, a multiple of 320 KiB; three of them are kept in memory.
    :param progress: is told after each range, in the caller's thread.
    :param session_store: keeps the session for a later try; without it an upload that fails is cancelled.
    :param sha256: whether to compute that hash as well, for a receipt.
    :param cancelled: asked between ranges; ends the transfer when it says yes.
    :param clock: monotonic seconds.
    :param open_reader: reads a file inside of the package instead of the package; ``size_bytes`` and ``etag`` are then
        those of this file, and a package that changes ends the transfer.
    :raises DestinationError: OneDrive does not accept the folder or the name.
    :raises ConfigurationError: the chunk size cannot work.
    """

    def __init__(
        self,
        source: SyncDriver,
        target: SyncDriver,
        *,
        mint_url: Callable[[], SecretUrl],
        drive_id: str,
        destination: Destination,
        size_bytes: int | None = None,
        etag: str | None = None,
        version: Source | None = None,
        chunk_bytes: int = DEFAULT_FRAGMENT_BYTES,
        progress: Callable[[Progress], None] | None = None,
        session_store: SessionStore | None = None,
        sha256: bool = False,
        cancelled: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        open_reader: OpenReader = Reader,
    ) -> None:
        check_path(destination.folder, destination.name)
        self._size_bytes, self._etag, self._version = size_bytes, etag, version
        self._job = Job(
            source=source,
            target=target,
            mint_url=mint_url,
            drive_id=drive_id,
            destination=destination,
            chunk_bytes=check_fragment_bytes(chunk_bytes),
            progress=progress,
            store=session_store,
            sha256=sha256,
            cancelled=cancelled,
            clock=clock,
            open_reader=open_reader,
        )

    def run(self) -> TransferResult:
        """Transfer the package.

        :raises PackageReplacedError: the package is not the one that was given as checked.
        :raises TransferError: it cannot be done; ``retryable`` says whether a later try may succeed.
        :raises TransportError: a service did not answer for longer than our patience.
        """
        job = self._job
        tally = Tally(job.clock)
        source = self._first_version()
        versions = uploads = 1
        while True:
            attempt = Attempt(job, source, tally)
            try:
                item = attempt.run()
            except SourceChangedError:
                versions += 1
                if versions > _MAX_VERSIONS or job.open_reader is not Reader:
                    raise
                log.warning("The package changed while it was read: starting over with its present version.")
                source = self._present_version()
                checked = self._version
                if checked is not None and source.version != checked.version:
                    raise PackageReplacedError.told_by(source.size_bytes, checked.size_bytes) from None
            except TransferMismatchError as mismatch:
                uploads += 1
                if uploads > _MAX_UPLOADS or not mismatch.retryable:
                    raise
                log.warning("%s Uploading once more.", mismatch.message)
            else:
                return TransferResult(
                    item=item,
                    quick_xor_hash=attempt.quick_xor_hash,
                    sha256=attempt.sha256,
                    size_bytes=source.size_bytes,
                    source_version=source.version,
                    bytes_sent=tally.bytes_sent,
                    resumed_from_bytes=tally.resumed_from_bytes,
                    resumes=tally.resumes,
                    duration_seconds=tally.elapsed_seconds,
                    already_there=attempt.already_there,
                )

    def _present_version(self) -> Source:
        job = self._job
        return run_with_link(job.source, job.mint_url, pin)

    def _first_version(self) -> Source:
        job = self._job
        if self._version is not None:
            return self._version
        if self._size_bytes is None or not self._etag:
            return self._present_version()
        return Source(job.mint_url(), self._size_bytes, self._etag)
