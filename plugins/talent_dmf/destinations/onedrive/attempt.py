"""One version of a source on its way to its destination: see :mod:`talent_dmf.destinations.onedrive.pump`."""

from __future__ import annotations

import logging
import uuid

from talent_dmf.api.errors import (
    NameConflictError,
    SourceChangedError,
    TalentDmfError,
    TransferError,
    TransferMismatchError,
    TransferStoppedError,
)
from talent_dmf.api.graph.drive import get_item_by_id
from talent_dmf.api.graph.models import DriveItem
from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.graph.upload.record import UploadRecord
from talent_dmf.api.graph.upload.result import settled, store_empty
from talent_dmf.api.graph.upload.session import Completed, cancel_session
from talent_dmf.api.graph.upload.upload import ResumableUpload
from talent_dmf.api.graph.upload.verification import Doubtful, unproven
from talent_dmf.api.package.download_range import Source
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.steps import Steps
from talent_dmf.destinations.onedrive.job import Job, Tally
from talent_dmf.destinations.onedrive.reading import SourceReading
from talent_dmf.destinations.progress import Progress

log = logging.getLogger(__name__)

# The session is the truth, so what is kept may be some seconds old: the bytes in between are read again for the
# hash, and not sent.
_SAVE_SECONDS = 5.0
# Whoever kills the task waits about a minute.
_STOP_SECONDS = 20.0


class Attempt:
    """One upload of one version of the source, over as many sessions and links as it takes.

    :param job: what is to be done.
    :param source: the version.
    :param tally: counts.
    """

    def __init__(self, job: Job, source: Source, tally: Tally) -> None:
        self._job, self._tally = job, tally
        self._version, self._size_bytes = source.version, source.size_bytes
        self._reading = SourceReading(job, source, tally)
        self._upload = ResumableUpload(
            job.drive_id,
            job.destination,
            source.size_bytes,
            unique=uuid.uuid4().hex[:8],
        )
        self._saved_url, self._saved_at = "", 0.0
        self.already_there = False
        self.quick_xor_hash = ""

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the source, if it was wanted and all of it was read."""
        return self._reading.sha256

    def run(self) -> DriveItem:
        """Transfer this version.

        :raises SourceChangedError: it is not there any more, but another one is.
        :raises TransferMismatchError: what arrived is not what was sent.
        """
        job = self._job
        if self._size_bytes == 0:
            self.quick_xor_hash = QuickXor().base64()
            return job.target.run(store_empty(job.drive_id, job.destination))
        try:
            item = self._earlier_try() or self._new()
        except BaseException as error:
            self._reading.stop(_STOP_SECONDS)
            self._leave(error)
            raise
        if job.store is not None:
            record = self._upload.record(self._version, self._reading.hash_state)
            job.store.save(record.finished(item, self.quick_xor_hash))
        return item

    def _earlier_try(self) -> DriveItem | None:
        """The file, if an earlier try had completed it or left a session to go on with."""
        job = self._job
        record = job.store.load() if job.store is not None else None
        if record is None:
            return None
        if not record.fits(job.drive_id, job.destination, self._version, self._size_bytes):
            self._forget(record)
            return None
        if record.item_id:
            return self._complete_already(record)
        self._reading.know(record.hash_state)
        offset = job.target.run(self._upload.resume(record))
        if offset is None:
            # The session is gone: either it expired, or only the news of its completion was lost.
            return self._complete_unheard()
        self._tally.resumed_from_bytes = offset
        log.info("Going on at byte %s of %s, where an earlier try stopped.", offset, self._size_bytes)
        return self._pump(offset)

    def _complete_already(self, record: UploadRecord) -> DriveItem | None:
        job = self._job
        item = job.target.run(get_item_by_id(job.drive_id, record.item_id))
        if item is None:
            return None
        item = job.target.run(settled(job.drive_id, item, record.size_bytes))
        if item.size_bytes != record.size_bytes:
            return None
        if item.quick_xor_hash is None:
            raise unproven(job.destination.path)
        if item.quick_xor_hash != record.quick_xor_hash:
            return None
        if job.sha256:
            self._whole_hash()
        self.already_there, self.quick_xor_hash = True, record.quick_xor_hash
        log.info("An earlier try has saved %r already.", item.name)
        return item

    def _complete_unheard(self) -> DriveItem | None:
        """The file, if somebody's session for it has completed without our being told."""
        target = self._job.target
        if target.run(self._upload.find_finished(None)) is None:
            return None
        whole_hash = self._whole_hash()
        found = target.run(self._upload.find_finished(whole_hash))
        if found is None:
            return None
        item = self._finish(found, whole_hash)
        self.already_there = True
        return item

    def _forget(self, record: UploadRecord) -> None:
        """Cancel a session that nobody will go on with, so that it does not block its name."""
        if record.upload_url:
            self._run_quietly(cancel_session(SecretUrl(record.upload_url)))

    def _new(self) -> DriveItem:
        """Upload from the first byte; it is read while the session is being opened."""
        self._reading.seek(0)
        try:
            position = self._job.target.run(self._upload.begin())
        except NameConflictError:
            if not self._upload.begun:
                raise
            # What has the name may be what an earlier session of ours became, visible only now.
            item = self._complete_unheard()
            if item is None:
                raise
            return item
        return self._pump(position)

    def _pump(self, position: int) -> DriveItem:
        """Read and upload from the first missing byte to the verified file.

        :param position: the first missing byte.
        """
        reading = self._reading
        self._save(force=True)
        while True:
            chunk = reading.next(position, self._stop_if_cancelled)
            while chunk.offset == position:
                self._stop_if_cancelled()
                self._tally.bytes_sent += len(chunk.data)
                outcome = self._job.target.run(self._upload.feed(position, chunk.data, chunk.whole_hash))
                if isinstance(outcome, Completed):
                    reading.stop()
                    return self._finish(outcome.item, chunk.whole_hash)
                if isinstance(outcome, Doubtful):
                    return self._complete_unheard() or self._new()
                self._tally.resumes += outcome.next_offset != chunk.end
                position = outcome.next_offset
            self._save()
            if self._job.progress is not None:
                self._job.progress(self._present(position))
            if chunk.end <= position and chunk.end < self._size_bytes:
                reading.release(chunk)
            else:
                reading.seek(position)

    def _present(self, position: int) -> Progress:
        elapsed = self._tally.elapsed_seconds
        speed = max(0, position - self._tally.resumed_from_bytes) / elapsed if elapsed > 0 else 0.0
        rest = self._size_bytes - position
        return Progress(position, self._size_bytes, speed, rest / speed if speed else None, self._tally.resumes)

    def _finish(self, item: DriveItem | None, whole_hash: str | None) -> DriveItem:
        if whole_hash is None:
            raise TransferError(f"OneDrive completed {self._job.destination.path!r} before all of it was sent.")
        self.quick_xor_hash = whole_hash
        # Whoever is killed while the service still computes its hash must not send all of it again.
        self._save(force=True)
        return self._job.target.run(self._upload.finish(item, whole_hash))

    def _whole_hash(self) -> str:
        def after_chunk() -> None:
            self._stop_if_cancelled()
            self._save()

        return self._reading.whole_hash(after_chunk, self._stop_if_cancelled)

    def _stop_if_cancelled(self) -> None:
        if self._job.cancelled():
            raise TransferStoppedError("The transfer was stopped. A retry goes on where it stands.")

    def _save(self, *, force: bool = False) -> None:
        store = self._job.store
        if store is None or not self._upload.begun:
            return
        session = self._upload.session
        moment, url = self._job.clock(), session.url.reveal() if session is not None else ""
        if force or url != self._saved_url or moment - self._saved_at >= _SAVE_SECONDS:
            store.save(self._upload.record(self._version, self._reading.hash_state))
            self._saved_url, self._saved_at = url, moment

    def _leave(self, error: BaseException) -> None:
        """Keep the session for the next try if there will be one, and cancel it otherwise."""
        store = self._job.store
        verdict = isinstance(error, TalentDmfError) and not error.retryable and not self._job.cancelled()
        useless = isinstance(error, (SourceChangedError, TransferMismatchError))
        if store is not None and not verdict and not useless:
            self._save(force=True)
            return
        if store is not None:
            store.clear()
        self._run_quietly(self._upload.cancel())

    def _run_quietly(self, steps: Steps[bool]) -> None:
        try:
            gone = self._job.target.run(steps)
        except TalentDmfError as error:
            log.warning("An upload session could not be cancelled; it expires by itself within a day. %s", error)
        else:
            if not gone:
                log.warning("An upload session could not be cancelled; it expires by itself within a day.")
