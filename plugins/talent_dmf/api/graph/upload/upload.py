"""One upload from its beginning to the verified file, across as many sessions as it takes.

*Nothing is visible under the final name until it is complete.* A session of SharePoint shows its file only when the
last byte is there (learn.microsoft.com ``driveItem: createUploadSession``), so the session is opened on the final
name and the service applies the conflict policy itself: ``fail`` refuses, ``replace`` adds a version, ``rename``
chooses a free name. ``fail`` is checked by a look at the name before the first byte as well, because the service has
been seen to overwrite (docs/wire/graph-onedrive.md#opening-a-session).

*A lost session* may mean a complete file, if the answer to the last range was lost or another try of the task finished
it: what is there is compared by size and hash before anything is sent again, and before a taken name is believed.
What an item is, and what may be deleted, is judged in :mod:`.verification`; how a session comes about although the name
is blocked, in :mod:`.opening`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from talent_dmf.api.errors import (
    DestinationError,
    NameConflictError,
    TalentDmfError,
    ThrottledError,
    TransportError,
    UploadSessionLostError,
)
from talent_dmf.api.graph.drive import get_drive, get_item, get_item_by_id
from talent_dmf.api.graph.models import Destination, DriveItem
from talent_dmf.api.graph.upload.naming import delete_patiently, take_name
from talent_dmf.api.graph.upload.opening import SessionOpener
from talent_dmf.api.graph.upload.record import UploadRecord
from talent_dmf.api.graph.upload.result import refuse_if_taken
from talent_dmf.api.graph.upload.session import Accepted, Completed, UploadSession
from talent_dmf.api.graph.upload.verification import Claim, Doubtful, find_by_content, verified
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.retrying import patience
from talent_dmf.api.steps import Steps, now

# Beginnings anew without the upload getting further than ever before.
_MAX_RESTARTS = 5


class ResumableUpload:
    """An upload.

    :param drive_id: the drive.
    :param destination: where, and what to do if the name is taken. Check it with ``drive_names`` before.
    :param size_bytes: length of the file, more than 0.
    :param unique: a word that no other upload uses, for names beside.
    """

    def __init__(
        self,
        drive_id: str,
        destination: Destination,
        size_bytes: int,
        *,
        unique: str,
    ) -> None:
        self.drive_id = drive_id
        self.destination = destination
        self.size_bytes = size_bytes
        self.session: UploadSession | None = None
        self.placed = destination
        self.begun = False
        self.restarts = 0
        self._opener = SessionOpener(drive_id, destination, size_bytes, unique=unique)
        self._prior: tuple[str, str] = ("", "")
        self._claim: Claim | None = None
        self._cancelled = self._may_be_complete = False
        self._furthest = 0

    def resume(self, record: UploadRecord) -> Steps[int | None]:
        """Go on with the session of an earlier try.

        :param record: what is known of it; it must fit.
        :returns: the first missing byte, or ``None`` if the session says no such thing (any more). Then look for the
            file by :meth:`find_finished`.
        :raises TransportError: the session does not answer, and has not expired.
        """
        if record.placed_name:
            self.placed = replace(self.destination, name=record.placed_name, conflict_behavior="replace")
        self._prior = (record.prior_id, record.prior_etag)
        self.begun = self._may_be_complete = True
        if record.unproven_id:
            self._claim = Claim(record.unproven_id, record.unproven_etag, record.unproven_is_new)
        if not record.upload_url:
            return None
        self.session = session = UploadSession(
            SecretUrl(record.upload_url),
            self.size_bytes,
            (yield from patience()),
            subject=self.placed.path,
            expires_at=record.expires_at,
        )
        try:
            offset = yield from session.status()
        except TransportError as failure:
            # A server that has an answer for it and no position will not find one; the others may be back in time.
            if (isinstance(failure, ThrottledError) or failure.status_code != 500) and not record.is_over(
                (yield from now())
            ):
                raise
            return None
        except TalentDmfError as refusal:
            self._lose(refusal)
            return None
        self._may_be_complete = False
        self._furthest = offset
        return offset

    def begin(self) -> Steps[int]:
        """Open a new session; one that was given up is cancelled first.

        :returns: the first missing byte: 0.
        :raises NameConflictError: the name is taken and the policy says fail.
        :raises DestinationError: the drive, its quota or the folder cannot take the file.
        :raises UploadSessionLostError: the name is blocked for longer than our patience.
        """
        # What cannot be cancelled expires by itself; if it blocks our name until then, that is noticed.
        with suppress(TransportError):
            yield from self.cancel()
        self.placed, self._claim, self._may_be_complete = self.destination, None, False
        existing = yield from get_item(self.drive_id, self.destination.path)
        refuse_if_taken(self.destination, existing)
        self._prior = (existing.id, existing.etag) if existing else ("", "")
        drive = yield from get_drive(self.drive_id)
        if drive.remaining_bytes is not None and drive.remaining_bytes < self.size_bytes:
            raise DestinationError(
                f"The drive {drive.name!r} has {drive.remaining_bytes} bytes left and the file has {self.size_bytes}. "
                "Free space or raise the quota."
            )
        self.session, self.placed = yield from self._opener.open(after_cancel=self._cancelled)
        self.begun = True
        return self.session.next_offset

    def feed(
        self, offset: int, data: bytes | bytearray | memoryview, whole_hash: str | None = None
    ) -> Steps[Accepted | Completed | Doubtful]:
        """Send a range, once; then know how the upload stands.

        :param offset: position of the first byte: what the last call named as missing.
        :param data: the bytes.
        :param whole_hash: quickXorHash of the whole file in base64, with its last range.
        :raises NameConflictError: the name was taken meanwhile and the policy says fail; nothing is left behind.
        :raises ProtocolError: a file is there of which it cannot be told yet whether it is this one.
        :raises UploadSessionLostError: sessions are lost again and again.
        :raises TransportError: our patience is exhausted; a later try may go on.
        """
        if self.session is None:
            raise UploadSessionLostError("The upload was not begun.")
        self._may_be_complete = offset + len(data) == self.size_bytes
        try:
            outcome = yield from self.session.put(offset, data)
        except UploadSessionLostError as lost:
            self._lose(lost)
            return (yield from self._begin_again(lost, whole_hash))
        except NameConflictError as taken:
            return (yield from self._name_taken(taken, whole_hash))
        if isinstance(outcome, Completed):
            self.session = None
            if outcome.item is not None:
                is_new = outcome.is_new and outcome.item.id != self._prior[0]
                self._claim = Claim(outcome.item.id, outcome.item.etag, is_new)
        elif outcome.next_offset < offset:
            self._count_restart(UploadSessionLostError("The service forgets what it had accepted."))
        elif outcome.next_offset > self._furthest:
            self._furthest, self.restarts = outcome.next_offset, 0
        return outcome

    def finish(self, item: DriveItem | None, whole_hash: str) -> Steps[DriveItem]:
        """Verify the complete file, and give it its name.

        :param item: what the last range was answered with, or what :meth:`find_finished` found.
        :param whole_hash: quickXorHash of what was read, in base64.
        :raises ProtocolError: the service gives no hash yet; the file is left there.
        :raises TransferMismatchError: size or hash differ. The item is gone, unless somebody has to do with it.
        :raises UploadSessionLostError: the file is not there, or its name stays blocked: a later try looks again.
        """
        # The file is there: a session that is open nevertheless would block its name.
        with suppress(TransportError):
            yield from self.cancel()
        if item is None:
            item = yield from self.find_finished(whole_hash)
        if item is None:
            raise UploadSessionLostError(
                f"OneDrive reported {self.placed.path!r} as complete, but it does not show it. Try again."
            )
        claim = self._claim or Claim("")
        locks = yield from patience()
        try:
            item = yield from verified(self.drive_id, item, claim, self.size_bytes, whole_hash, self.placed.path, locks)
            if self.placed != self.destination:
                item = yield from take_name(self.drive_id, item, self.destination)
        except TalentDmfError as error:
            if self.placed != self.destination and not error.retryable:
                yield from self._clear_away(item)
            raise
        return item

    def find_finished(self, whole_hash: str | None) -> Steps[DriveItem | None]:
        """The file, if it is complete although nobody told us: to be verified by :meth:`finish`.

        :param whole_hash: its quickXorHash in base64; ``None`` to compare the size only.
        :raises ProtocolError: a file is there of which it cannot be told yet whether it is this one.
        """
        if self._claim is not None:
            item = yield from get_item_by_id(self.drive_id, self._claim.item_id)
            if item is not None:
                if item.name.casefold() != self.placed.name.casefold():
                    self.placed = self.destination
                return item
            self._claim = None
        # An earlier try may have been killed after it had taken the name and before it could say so.
        found = yield from find_by_content(
            self.drive_id,
            (self.placed, self.destination),
            self.size_bytes,
            whole_hash,
            self._prior,
            patient=self._may_be_complete,
        )
        if found is None:
            return None
        item, place = found
        if whole_hash is not None:
            self.placed = place
        return item

    def cancel(self) -> Steps[bool]:
        """Give up the open session, if there is one; whether it is gone.

        :raises TransportError: it did not answer.
        """
        if self.session is None:
            return True
        session, self.session = self.session, None
        self._cancelled = True
        return (yield from session.cancel())

    def record(self, source_version: str, hash_state: tuple[int, str]) -> UploadRecord:
        """What the next try needs to go on.

        :param source_version: fingerprint or entity tag of the source.
        :param hash_state: state of the quickXorHash.
        """
        claim = self._claim or Claim("")
        return UploadRecord(
            drive_id=self.drive_id,
            folder=self.destination.folder,
            name=self.destination.name,
            conflict_behavior=self.destination.conflict_behavior,
            source_version=source_version,
            size_bytes=self.size_bytes,
            upload_url=self.session.url.reveal() if self.session else "",
            expires_at=self.session.expires_at if self.session else "",
            placed_name=self.placed.name if self.placed != self.destination else "",
            prior_id=self._prior[0],
            prior_etag=self._prior[1],
            hash_state=hash_state,
            unproven_id=claim.item_id,
            unproven_etag=claim.etag,
            unproven_is_new=claim.is_new,
        )

    def _begin_again(
        self, lost: UploadSessionLostError, whole_hash: str | None
    ) -> Steps[Accepted | Completed | Doubtful]:
        ours = yield from self._look(whole_hash)
        if isinstance(ours, Completed):
            return ours
        self._count_restart(lost)
        if ours is not None:
            return ours
        try:
            return Accepted((yield from self.begin()))
        except NameConflictError:
            # What has the name now may be our own file, visible only now.
            self._may_be_complete = True
            ours = yield from self._look(whole_hash)
            if ours is None:
                raise
            return ours

    def _look(self, whole_hash: str | None) -> Steps[Completed | Doubtful | None]:
        found = yield from self.find_finished(whole_hash)
        if found is None:
            return None
        return Doubtful() if whole_hash is None else Completed(found)

    def _lose(self, error: TalentDmfError) -> None:
        """Forget a session that does not exist any more; another one is cancelled when its successor begins."""
        if error.status_code in {404, 410}:
            # It expired, or somebody completed it: then the file may be visible a moment later only.
            self.session, self._may_be_complete = None, True

    def _count_restart(self, lost: UploadSessionLostError) -> None:
        self.restarts += 1
        if self.restarts > _MAX_RESTARTS:
            raise lost

    def _name_taken(self, taken: NameConflictError, whole_hash: str | None) -> Steps[Accepted | Completed | Doubtful]:
        # Another try of this task may have finished the file: then the name is taken by ourselves.
        ours = yield from self._look(whole_hash)
        if ours is not None:
            return ours
        if self.destination.conflict_behavior == "fail" and self.placed == self.destination:
            yield from self.cancel()
            raise taken
        # The service applies replace and rename when it assembles the file, so this name was taken in between. Its
        # offer to commit the session under other terms addresses a folder by one copy of the documentation and a file
        # by another: a file in the wrong place is worse than a second upload.
        lost = UploadSessionLostError(taken.message, status_code=taken.status_code, request_ids=taken.request_ids)
        return (yield from self._begin_again(lost, whole_hash))

    def _clear_away(self, item: DriveItem) -> Steps[None]:
        """Leave no data under a name that nobody will look for, if the service lets us."""
        # What went wrong before is what has to be told.
        with suppress(TalentDmfError):
            yield from delete_patiently(self.drive_id, item, (yield from patience()))
