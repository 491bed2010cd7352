"""The pump: a file of a package goes to OneDrive while it is being read, in constant memory.

One thread reads ahead (:mod:`talent_dmf.package_source.reader`), the caller's thread uploads; small buffers go round
between them, and a range is sent while it is still being read (:mod:`.range_body`). The reading leg is pinned to one
content, the writing leg follows the server's truth (:mod:`talent_dmf.api.graph.upload.upload`), and whenever the two
disagree the reader starts at the byte that the server misses. A file is therefore never a mixture, and no byte is
believed to be there that the server did not confirm.

A later try of the same task goes on where the server stands. The quickXorHash of the first ``S`` bytes is kept with
the session; the source is read from ``min(S, next missing byte)`` on, so the hash is right without reading the file
again. With ``sha256`` the source is read from its beginning, because that hash cannot be continued; what OneDrive
has is still not sent again.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from talent_dmf.api.errors import (
    NameConflictError,
    SourceChangedError,
    TalentDmfError,
    TransferError,
    TransferMismatchError,
)
from talent_dmf.api.graph.drive import get_item_by_id
from talent_dmf.api.graph.models import DriveItem, UploadTarget
from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.graph.upload.ranges import RangeLengths
from talent_dmf.api.graph.upload.session import Accepted, Completed, cancel_session, check_fragment_bytes
from talent_dmf.api.graph.upload.upload import (
    HashNeeded,
    ResumableUpload,
    SeenBefore,
    UploadRecord,
    store_empty,
    unverified,
    with_hash,
)
from talent_dmf.api.graph.visibility import seen_by_others
from talent_dmf.api.naming.drive_names import check_path
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.steps import Steps
from talent_dmf.destinations.onedrive.range_body import BrokenOffError, RangeBody, StalledError
from talent_dmf.destinations.onedrive.session_store import SessionStore
from talent_dmf.destinations.progress import Progress
from talent_dmf.package_source.source import FileReading, PackageFile, PackageSource
from talent_dmf.transport.drivers import SyncDriver

log = logging.getLogger(__name__)

# The session is the truth, so what is kept may be some seconds old: the bytes in between are read again for the
# hash, and not sent.
_SAVE_SECONDS = 5.0
# Whoever kills the task waits about a minute.
_STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class TransferResult:
    """A transfer that is complete and verified.

    :param item: the file.
    :param quick_xor_hash: quickXorHash of what was read, in base64; equal to that of the file.
    :param sha256: SHA-256 of what was read, in hexadecimal, if it was wanted.
    :param size_bytes: length of the file.
    :param source_version: fingerprint of the content that was read.
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


def check_seen(
    run: Callable[[Steps[DriveItem]], DriveItem], drive_id: str, item: DriveItem, quick_xor_hash: str, folder: str
) -> DriveItem:
    """The file, once nothing says that others see something else; what cannot be found out is in the log.

    :param run: runs steps against Microsoft Graph.
    :param drive_id: the drive.
    :param item: the file, verified.
    :param quick_xor_hash: of its content.
    :param folder: path of the folder that it was saved in.
    :raises TransferError: others do not see it as it was saved.
    """
    notices: list[str] = []
    seen = run(seen_by_others(drive_id, item, quick_xor_hash, notices, folder))
    for notice in notices:
        log.warning("%s", notice)
    return seen


def cancel_quietly(run: Callable[[Steps[bool]], bool], url: SecretUrl) -> None:
    """Cancel an upload session that nobody goes on with; one that stays is said and passed over.

    :param run: runs steps against Microsoft Graph.
    :param url: its upload URL.
    """
    _run_quietly(run, cancel_session(url))


def _run_quietly(run: Callable[[Steps[bool]], bool], steps: Steps[bool]) -> None:
    try:
        gone = run(steps)
    except TalentDmfError as error:
        log.warning("An upload session could not be cancelled; it expires by itself within a day. %s", error)
    else:
        if not gone:
            log.warning("An upload session could not be cancelled; it expires by itself within a day.")


def _clear_quietly(run: Callable[[Steps[None]], None], steps: Steps[None]) -> None:
    try:
        run(steps)
    except TalentDmfError as error:
        log.warning(
            "An upload that could not get its name may lie beside it, as a file that ends in .partial: delete it by "
            "hand. %s",
            error,
        )


class PackagePump:
    """Brings one file of a package to its destination. For one use.

    :param source: the package.
    :param file: the package itself, or a file in it.
    :param graph: driver for Microsoft Graph.
    :param drive_id: the drive.
    :param target: folder, name and conflict policy.
    :param progress: receives how far it is, after each range, in the caller's thread.
    :param session_store: keeps the session for a later try; without it an upload that fails is cancelled.
    :param sha256: whether to compute that hash as well, for a receipt.
    :param last_try: whether no later try will follow, so that a session is cancelled in any case.
    :param seen: what was known of the destination a moment ago.
    :param clock: monotonic seconds.
    :raises DestinationError: OneDrive does not accept the folder or the name.
    :raises ConfigurationError: the chunk size cannot work.
    """

    def __init__(
        self,
        source: PackageSource,
        file: PackageFile,
        graph: SyncDriver,
        *,
        drive_id: str,
        target: UploadTarget,
        progress: Callable[[Progress], None] | None = None,
        session_store: SessionStore | None = None,
        sha256: bool = False,
        last_try: bool = False,
        seen: SeenBefore | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_path(target.folder, target.name)
        check_fragment_bytes(source.chunk_bytes)
        self._file, self._stop = file, source.stop
        self._run, self._drive_id, self._target = graph.run, drive_id, target
        self._progress, self._store, self._sha256, self._clock = progress, session_store, sha256, clock
        self._last_try = last_try
        self._reading = FileReading(source, file, sha256=sha256)
        self._upload = ResumableUpload(drive_id, target, file.size_bytes, unique=uuid.uuid4().hex[:8], seen=seen)
        self._saved_url, self._saved_at = "", 0.0
        self._lengths = RangeLengths(source.piece_bytes, source.chunk_bytes)
        self._bytes_sent = self._resumes = self._resumed_from_bytes = 0
        self._already_there, self._quick_xor_hash = False, ""
        self._began = clock()

    def run(self) -> TransferResult:
        """Transfer the file.

        :raises SourceChangedError: the package is not there any more, but another one is.
        :raises TransferMismatchError: what arrived is not what was sent.
        :raises TransferError: it cannot be done; ``retryable`` says whether a later try may succeed.
        :raises TransportError: a service did not answer for longer than our patience.
        """
        item = self._save_file()
        return TransferResult(
            item=item,
            quick_xor_hash=self._quick_xor_hash,
            sha256=self._reading.sha256,
            size_bytes=self._file.size_bytes,
            source_version=self._file.version,
            bytes_sent=self._bytes_sent,
            resumed_from_bytes=self._resumed_from_bytes,
            resumes=self._resumes + self._reading.renewed_links,
            duration_seconds=self._clock() - self._began,
            already_there=self._already_there,
        )

    def _save_file(self) -> DriveItem:
        if self._file.size_bytes == 0:
            self._quick_xor_hash = QuickXor().base64()
            item = self._run(store_empty(self._drive_id, self._target))
            return check_seen(self._run, self._drive_id, item, self._quick_xor_hash, self._target.folder)
        try:
            item = self._earlier_try() or self._new()
            item = check_seen(self._run, self._drive_id, item, self._quick_xor_hash, self._target.folder)
        except BaseException as error:
            self._reading.close(_STOP_SECONDS)
            self._leave(error)
            raise
        if self._store is not None:
            record = self._upload.record(self._file.version, self._reading.hash_state, self._reading.checked_bytes)
            self._store.save(record.finished(item, self._quick_xor_hash))
        return item

    def _earlier_try(self) -> DriveItem | None:
        """The file, if an earlier try had completed it or left a session to go on with."""
        record = self._store.load() if self._store is not None else None
        if record is None:
            return None
        if not record.fits(self._drive_id, self._target, self._file.version, self._file.size_bytes):
            self._forget(record)
            return None
        if record.item_id:
            return self._complete_already(record)
        self._reading.know(record.hash_state, record.checked_bytes)
        offset = self._run(self._upload.resume(record))
        if offset is None:
            # The session is gone: either it expired, or only the news of its completion was lost.
            return self._completed_by_another()
        self._resumed_from_bytes = offset
        log.info("Going on at byte %s of %s, where an earlier try stopped.", offset, self._file.size_bytes)
        return self._pump(offset)

    def _complete_already(self, record: UploadRecord) -> DriveItem | None:
        item = self._run(get_item_by_id(self._drive_id, record.item_id))
        if item is None:
            return None
        item = self._run(with_hash(self._drive_id, item, record.size_bytes))
        if item.size_bytes != record.size_bytes:
            return None
        if item.quick_xor_hash is None:
            raise unverified(self._target.path)
        if item.quick_xor_hash != record.quick_xor_hash:
            return None
        if self._sha256:
            self._whole_hash()
        self._already_there, self._quick_xor_hash = True, record.quick_xor_hash
        log.info("An earlier try has saved %r already.", item.name)
        return item

    def _completed_by_another(self) -> DriveItem | None:
        """The file, if somebody's session for it has completed without our knowledge."""
        if self._run(self._upload.find_finished(None)) is None:
            return None
        whole_hash = self._whole_hash()
        found = self._run(self._upload.find_finished(whole_hash))
        if found is None:
            return None
        item = self._finish(found, whole_hash)
        self._already_there = True
        return item

    def _forget(self, record: UploadRecord) -> None:
        """Cancel a session that nobody will go on with, so that it does not block its name."""
        if record.upload_url:
            cancel_quietly(self._run, SecretUrl(record.upload_url))

    def _new(self) -> DriveItem:
        """Upload from the first byte; it is read while the session is being opened."""
        self._reading.seek(0)
        try:
            position = self._run(self._upload.begin())
        except NameConflictError:
            if not self._upload.begun:
                raise
            # What has the name may be what an earlier session of ours became, visible only now.
            item = self._completed_by_another()
            if item is None:
                raise
            return item
        for notice in self._upload.notices:
            log.warning("%s", notice)
        return self._pump(position)

    def _pump(self, position: int) -> DriveItem:
        """Read and upload from the first missing byte to the verified file.

        :param position: the first missing byte.
        """
        reading = self._reading
        self._save(force=True)
        while True:
            began = self._clock()
            body = self._next_range(position)
            outcome = self._send(body)
            self._bytes_sent += body.sent_to - position
            if isinstance(outcome, Completed):
                reading.close()
                return self._finish(outcome.item, body.whole_hash())
            if isinstance(outcome, HashNeeded):
                return self._completed_by_another() or self._new()
            position = outcome.next_offset
            if position == body.end:
                self._lengths.passed(len(body), self._clock() - began)
            else:
                self._lengths.broke(len(body))
                self._resumes += 1
            if not position == body.end == body.sent_to:
                reading.seek(position)
            self._save()
            if self._progress is not None:
                self._progress(self._present(position))

    def _next_range(self, position: int) -> RangeBody:
        """The range that begins at the first missing byte, when its first piece is there.

        :param position: the byte.
        """
        first = self._reading.chunk_at(position, on_skip=self._save)
        self._stop.check()
        end = min(position + self._lengths.next_bytes(), self._file.size_bytes)
        return RangeBody(self._reading, first, end, self._stop.check, self._clock)

    def _send(self, body: RangeBody) -> Accepted | Completed | HashNeeded:
        try:
            return self._run(self._upload.feed(body.offset, body, body.whole_hash))
        except BrokenOffError as broken:
            if not isinstance(broken.cause, StalledError):
                raise broken.cause from None
        log.info("The package comes too slowly for a range of %s bytes: sending shorter ones.", len(body))
        self._lengths.stalled()
        # The reader has its own patience. What it gives now is read again, from where the session stands.
        self._reading.next(body.sent_to)
        return self._run(self._upload.ask())

    def _present(self, position: int) -> Progress:
        elapsed = self._clock() - self._began
        speed = max(0, position - self._resumed_from_bytes) / elapsed if elapsed > 0 else 0.0
        rest = self._file.size_bytes - position
        return Progress(
            position,
            self._file.size_bytes,
            speed,
            rest / speed if speed else None,
            self._resumes + self._reading.renewed_links,
        )

    def _finish(self, item: DriveItem | None, whole_hash: str | None) -> DriveItem:
        if whole_hash is None:
            raise TransferError(
                f"OneDrive completed {self._target.path!r} before all of it was sent. Look at the file there."
            )
        self._quick_xor_hash = whole_hash
        # Whoever is killed while the service still computes its hash must not send all of it again.
        self._save(force=True)
        return self._run(self._upload.finish(item, whole_hash))

    def _whole_hash(self) -> str:
        def after_chunk() -> None:
            self._stop.check()
            self._save()

        return self._reading.whole_hash(after_chunk)

    def _save(self, *, force: bool = False) -> None:
        store = self._store
        if store is None or not self._upload.begun:
            return
        session = self._upload.session
        moment, url = self._clock(), session.url.reveal() if session is not None else ""
        if force or url != self._saved_url or moment - self._saved_at >= _SAVE_SECONDS:
            store.save(self._upload.record(self._file.version, self._reading.hash_state, self._reading.checked_bytes))
            self._saved_url, self._saved_at = url, moment

    def _leave(self, error: BaseException) -> None:
        """Keep the session for the next try if there will be one. Otherwise cancel it, and delete the file if it is
        complete and could not get its name.
        """
        store = self._store
        final = isinstance(error, TalentDmfError) and not error.retryable and not self._stop.is_set
        # Nobody will go on with the session that the last try leaves, and it would block the name.
        last = self._last_try and (self._upload.session is not None or self._upload.may_lie_beside)
        useless = isinstance(error, (SourceChangedError, TransferMismatchError))
        if store is not None and not final and not useless and not last:
            self._save(force=True)
            return
        if store is not None:
            store.clear()
        _run_quietly(self._run, self._upload.cancel())
        _clear_quietly(self._run, self._upload.clear_beside())
