"""One version of a source on its way to its destination: see :mod:`talent_dmf.transfer`."""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace

from talent_dmf.api.download_range import Source, pin
from talent_dmf.api.drive import get_item_by_id
from talent_dmf.api.errors import (
    PackageLinkExpiredError,
    SourceChangedError,
    TalentDmfError,
    TransferError,
    TransferMismatchError,
    TransferStoppedError,
)
from talent_dmf.api.models import DriveItem
from talent_dmf.api.quickxor import QuickXor
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.retrying import Patience
from talent_dmf.api.steps import Steps
from talent_dmf.api.upload import ResumableUpload
from talent_dmf.api.upload_record import UploadRecord
from talent_dmf.api.upload_result import store_empty
from talent_dmf.api.upload_session import Completed, UploadSession
from talent_dmf.transfer_job import Job, Tally, run_with_link
from talent_dmf.transfer_progress import Progress
from talent_dmf.transfer_reader import BUFFERS, Chunk, Digests, Reader

log = logging.getLogger(__name__)

# Links in a row that the storage does not accept: then it is not a matter of age.
_MAX_REFUSED_LINKS = 3
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
        self._job, self._source, self._tally = job, source, tally
        self._digests = Digests(sha256=job.sha256)
        size = min(job.chunk_bytes, max(source.size_bytes, 1))
        self._buffers = [bytearray(size) for _ in range(BUFFERS if size < source.size_bytes else 1)]
        self._upload = self._new_upload()
        self._saved_url, self._saved_at = "", 0.0
        self._hash_state = (0, "0")
        self.already_there = False
        self.quick_xor_hash = ""

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the source, if it was wanted and all of it was read."""
        return self._digests.sha256 if self._digests.folded_bytes == self._source.size_bytes else None

    def run(self) -> DriveItem:
        """Transfer this version.

        :raises SourceChangedError: it is not there any more, but another one is.
        :raises TransferMismatchError: what arrived is not what was sent.
        """
        job = self._job
        if self._source.size_bytes == 0:
            self.quick_xor_hash = QuickXor().base64()
            return job.target.run(store_empty(job.drive_id, job.destination))
        try:
            item = self._earlier_try() or self._new()
        except BaseException as error:
            self._leave(error)
            raise
        if job.store is not None:
            record = self._upload.record(self._source.version, self._hash_state)
            job.store.save(record.finished(item, self.quick_xor_hash))
        return item

    def _new_upload(self) -> ResumableUpload:
        job = self._job
        return ResumableUpload(
            job.drive_id,
            job.destination,
            self._source.size_bytes,
            unique=uuid.uuid4().hex[:8],
            policy=job.policy,
            jitter=job.jitter,
        )

    def _earlier_try(self) -> DriveItem | None:
        """The file, if an earlier try had completed it or left a session to go on with."""
        job = self._job
        record = job.store.load() if job.store is not None else None
        if record is None:
            return None
        if not record.fits(job.drive_id, job.destination, self._source.version, self._source.size_bytes):
            self._forget(record)
            return None
        if record.item_id:
            return self._complete_already(record)
        if not job.sha256:
            self._digests = Digests(QuickXor.from_state(record.hash_state))
        offset = job.target.run(self._upload.resume(record))
        if offset is not None:
            self._tally.resumed_from_bytes = offset
            log.info("Going on at byte %s of %s, where an earlier try stopped.", offset, self._source.size_bytes)
            return self._pump(offset)
        # The session is gone: either it expired, or only the news of its completion was lost.
        if job.target.run(self._upload.find_finished(None)) is not None:
            whole_hash = self._hash_rest()
            found = job.target.run(self._upload.find_finished(whole_hash))
            if found is not None:
                self.already_there = True
                return self._finish(found, whole_hash)
        self._upload = self._new_upload()
        return None

    def _complete_already(self, record: UploadRecord) -> DriveItem | None:
        job = self._job
        item = job.target.run(get_item_by_id(job.drive_id, record.item_id))
        if item is None or (item.size_bytes, item.quick_xor_hash) != (record.size_bytes, record.quick_xor_hash):
            return None
        if job.sha256:
            self._hash_rest()
        self.already_there, self.quick_xor_hash = True, record.quick_xor_hash
        log.info("An earlier try has saved %r already.", item.name)
        return item

    def _forget(self, record: UploadRecord) -> None:
        """Cancel a session that nobody will go on with, so that it does not block its name."""
        if record.upload_url:
            stale = UploadSession(
                SecretUrl(record.upload_url),
                record.size_bytes,
                Patience(self._job.policy, self._job.jitter),
                subject=record.name,
            )
            self._run_quietly(stale.cancel())

    def _new(self) -> DriveItem:
        """Upload from the first byte; it is read while the session is being opened."""
        reader = self._reader(0)
        try:
            position = self._job.target.run(self._upload.begin())
        except BaseException:
            reader.stop(_STOP_SECONDS)
            raise
        return self._pump(position, reader)

    def _pump(self, position: int, reader: Reader | None = None) -> DriveItem:
        """Read and upload from the first missing byte to the verified file.

        :param position: the first missing byte.
        :param reader: a reader that stands there.
        """
        target = self._job.target
        refused_links = 0
        reader = reader or self._reader(position)
        try:
            self._save(force=True)
            while True:
                try:
                    chunk = reader.next(self._stop_if_cancelled)
                except PackageLinkExpiredError:
                    refused_links += 1
                    if refused_links >= _MAX_REFUSED_LINKS:
                        raise
                    reader.stop()
                    self._fresh_link()
                    reader = self._reader(position)
                    continue
                refused_links = 0
                while chunk.offset == position:
                    self._stop_if_cancelled()
                    self._tally.bytes_sent += len(chunk.data)
                    outcome = target.run(self._upload.feed(position, chunk.data, chunk.whole_hash))
                    if isinstance(outcome, Completed):
                        reader.stop()
                        return self._finish(outcome.item, chunk.whole_hash)
                    self._tally.resumes += outcome.next_offset != chunk.end
                    position = outcome.next_offset
                self._took(chunk, position)
                if chunk.end <= position and chunk.end < self._source.size_bytes:
                    reader.release(chunk)
                else:
                    reader.stop()
                    reader = self._reader(position)
        except BaseException:
            reader.stop(_STOP_SECONDS)
            raise

    def _took(self, chunk: Chunk, position: int) -> None:
        self._hash_state = chunk.hash_state
        self._save()
        if self._job.progress is not None:
            self._job.progress(self._present(position))

    def _present(self, position: int) -> Progress:
        elapsed = self._tally.elapsed_seconds
        speed = max(0, position - self._tally.resumed_from_bytes) / elapsed if elapsed > 0 else 0.0
        rest = self._source.size_bytes - position
        return Progress(position, self._source.size_bytes, speed, rest / speed if speed else None, self._tally.resumes)

    def _finish(self, item: DriveItem | None, whole_hash: str | None) -> DriveItem:
        if whole_hash is None:
            raise TransferError(f"OneDrive completed {self._job.destination.path!r} before all of it was sent.")
        self.quick_xor_hash = whole_hash
        return self._job.target.run(self._upload.finish(item, whole_hash, require_hash=self._job.require_hash))

    def _hash_rest(self) -> str:
        """Read what is not hashed yet, for its hash only."""
        reader = self._reader(self._source.size_bytes)
        try:
            while self._digests.folded_bytes < self._source.size_bytes:
                reader.release(reader.next(self._stop_if_cancelled))
        finally:
            reader.stop()
        return self._digests.quick_xor.base64()

    def _reader(self, position: int) -> Reader:
        self._hash_state = self._digests.quick_xor.state()
        return self._job.open_reader(
            self._job.source,
            self._source,
            self._digests,
            self._buffers,
            start=min(position, self._digests.folded_bytes),
            align=position,
            policy=self._job.policy,
        )

    def _fresh_link(self) -> None:
        log.info("The package link is not accepted any more: fetching a fresh one.")
        self._tally.resumes += 1
        job, known = self._job, self._source
        if not known.fingerprint:
            self._source = replace(known, url=job.mint_url())
            return
        fresh = run_with_link(job.source, job.mint_url, lambda url: pin(url, job.policy, job.jitter))
        if fresh.version != known.version:
            raise SourceChangedError(f"The package is another one under its fresh link ({fresh.url}).")
        self._source = fresh

    def _stop_if_cancelled(self) -> None:
        if self._job.cancelled():
            raise TransferStoppedError("The transfer was stopped. A retry goes on where it stands.")

    def _save(self, *, force: bool = False) -> None:
        session, store = self._upload.session, self._job.store
        if store is None or session is None:
            return
        moment, url = self._job.clock(), session.url.reveal()
        if force or url != self._saved_url or moment - self._saved_at >= _SAVE_SECONDS:
            store.save(self._upload.record(self._source.version, self._hash_state))
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
