"""One upload from its beginning to the verified file, across as many sessions as it takes.

*Nothing is visible under the final name until it is complete.* A session of SharePoint shows its file only when the
last byte is there (learn.microsoft.com ``driveItem: createUploadSession``), so the session is opened on the final
name and the service applies the conflict policy itself: ``fail`` refuses, ``replace`` adds a version, ``rename``
chooses a free name. ``fail`` is checked by a look at the name before the first byte as well, because the service has
been seen to overwrite (microsoft-graph-docs#3276).

*A session left open by somebody who died* blocks its name for 15 minutes or more with the same 409 as a taken name
(onedrive-api-docs#747, microsoft-graph-docs#17631). One of our own is known and resumed. One whose URL nobody knows
is not waited for: the upload goes to a unique name beside it, is verified there, and is then renamed by the policy.

*A lost session* may mean a complete file, if the answer to the last range was lost: the file is looked for and
compared by size and hash before anything is sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from talent_dmf.api.drive import delete_item, ensure_folder, get_drive, get_item
from talent_dmf.api.errors import (
    DestinationError,
    NameConflictError,
    ProtocolError,
    TransferMismatchError,
    TransportError,
    UploadSessionLostError,
)
from talent_dmf.api.models import Destination, DriveItem
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.retrying import Patience, RetryPolicy
from talent_dmf.api.steps import Sleep, Steps
from talent_dmf.api.upload_record import UploadRecord
from talent_dmf.api.upload_result import beside, candidates, refuse_if_taken, settled, take_name
from talent_dmf.api.upload_session import Accepted, Completed, UploadSession, create_session

# Beginnings anew without the upload getting further than ever before.
_MAX_RESTARTS = 5
# A name may stay blocked for a moment after its session was cancelled (onedrive-api-docs#989).
_AFTER_CANCEL_SECONDS = (2.0, 5.0)


class ResumableUpload:
    """An upload.

    :param drive_id: the drive.
    :param destination: where, and what to do if the name is taken. Check it with ``drive_names`` before.
    :param size_bytes: length of the file, more than 0.
    :param unique: a word that no other upload uses, for the name beside.
    :param policy: how patient.
    :param jitter: random numbers from 0 to 1.
    """

    def __init__(
        self,
        drive_id: str,
        destination: Destination,
        size_bytes: int,
        *,
        unique: str,
        policy: RetryPolicy,
        jitter: Callable[[], float],
    ) -> None:
        self.drive_id = drive_id
        self.destination = destination
        self.size_bytes = size_bytes
        self.session: UploadSession | None = None
        self.placed = destination
        self.restarts = 0
        self._beside = beside(destination, unique)
        self._policy, self._jitter = policy, jitter
        self._prior: tuple[str, str] = ("", "")
        self._cancelled = False
        self._furthest = 0

    def resume(self, record: UploadRecord) -> Steps[int | None]:
        """Go on with the session of an earlier try.

        :param record: what is known of it; it must fit.
        :returns: the first missing byte, or ``None`` if the session is gone.
        """
        if record.placed_name:
            self.placed = replace(self._beside, name=record.placed_name)
        self._prior = (record.prior_id, record.prior_etag)
        session = UploadSession(
            SecretUrl(record.upload_url),
            self.size_bytes,
            Patience(self._policy, self._jitter),
            subject=self.placed.path,
            expires_at=record.expires_at,
        )
        try:
            offset = yield from session.status()
        except UploadSessionLostError:
            return None
        self.session, self._furthest = session, offset
        return offset

    def begin(self) -> Steps[int]:
        """Open a new session.

        :returns: the first missing byte: 0.
        :raises NameConflictError: the name is taken and the policy says fail.
        :raises DestinationError: the drive, its quota or the folder cannot take the file.
        """
        self.session, self.placed = None, self.destination
        existing = yield from get_item(self.drive_id, self.destination.path)
        refuse_if_taken(self.destination, existing)
        self._prior = (existing.id, existing.etag) if existing else ("", "")
        drive = yield from get_drive(self.drive_id)
        if drive.remaining_bytes is not None and drive.remaining_bytes < self.size_bytes:
            raise DestinationError(
                f"The drive {drive.name!r} has {drive.remaining_bytes} bytes left and the file has {self.size_bytes}. "
                "Free space or raise the quota."
            )
        self.session = yield from self._create()
        return self.session.next_offset

    def feed(
        self, offset: int, data: bytes | bytearray | memoryview, whole_hash: str | None = None
    ) -> Steps[Accepted | Completed]:
        """Send a range, once; then know how the upload stands.

        :param offset: position of the first byte: what the last call named as missing.
        :param data: the bytes.
        :param whole_hash: quickXorHash of the whole file in base64, with its last range.
        :raises NameConflictError: the name was taken meanwhile and the policy says fail; nothing is left behind.
        :raises UploadSessionLostError: sessions are lost again and again.
        :raises TransportError: our patience is exhausted; a later try may go on.
        """
        if self.session is None:
            raise UploadSessionLostError("The upload was not begun.")
        last = offset + len(data) == self.size_bytes
        try:
            outcome = yield from self.session.put(offset, data)
        except UploadSessionLostError as lost:
            if last and whole_hash is not None:
                found = yield from self.find_finished(whole_hash)
                if found is not None:
                    return Completed(found)
            return (yield from self._begin_again(lost))
        except NameConflictError as taken:
            return (yield from self._name_taken(taken))
        except TransportError as failure:
            if last and (failure.status_code or 0) >= 500:
                # The service cannot assemble what it has: the next try had better begin with a new session.
                yield from self.cancel()
            raise
        if isinstance(outcome, Accepted):
            if outcome.next_offset < offset:
                self._count_restart(UploadSessionLostError("The service forgets what it had accepted."))
            elif outcome.next_offset > self._furthest:
                self._furthest, self.restarts = outcome.next_offset, 0
        return outcome

    def finish(self, item: DriveItem | None, whole_hash: str, *, require_hash: bool = True) -> Steps[DriveItem]:
        """Verify the complete file, and give it its name.

        :param item: what the last range was answered with.
        :param whole_hash: quickXorHash of what was read, in base64.
        :param require_hash: whether a file that the service gives no hash for counts as unverified.
        :raises ProtocolError: the service gives no hash; the file is left there.
        :raises TransferMismatchError: size or hash differ, or the file is not there. The item is gone,
            unless it is a new version of a file that was there before.
        """
        found = yield from settled(self.drive_id, self.placed.path, item, self.size_bytes)
        if found is None:
            raise TransferMismatchError(
                f"OneDrive reported {self.placed.path!r} as complete, but it is not there. Try again."
            )
        if found.size_bytes != self.size_bytes:
            yield from self._undo(found)
            raise TransferMismatchError(
                f"OneDrive holds {found.size_bytes} bytes of {self.placed.path!r}, and {self.size_bytes} were sent. "
                f"{self._left(found)}"
            )
        if found.quick_xor_hash is None and require_hash:
            # It is left there: a later try finds it, and its hash may have appeared by then.
            raise ProtocolError(
                f"OneDrive gives no quickXorHash for {self.placed.path!r} yet, so it is not verified; its size "
                "is right. Try again later, or switch the check of the hash off for this destination."
            )
        if found.quick_xor_hash not in {None, whole_hash}:
            yield from self._undo(found)
            raise TransferMismatchError(
                f"The quickXorHash of {self.placed.path!r} in OneDrive is {found.quick_xor_hash}, and that of the "
                f"package {whole_hash}. {self._left(found)}"
            )
        if self.placed != self.destination:
            found = yield from take_name(self.drive_id, found, self.destination, self._policy, self._jitter)
        return found

    def find_finished(self, whole_hash: str | None) -> Steps[DriveItem | None]:
        """The file, if it is complete although nobody told us.

        :param whole_hash: its quickXorHash in base64; ``None`` to compare the size only.
        """
        # An earlier try may have been killed after it had taken the name and before it could say so.
        for place in dict.fromkeys((self.placed, self.destination)):
            for item in (yield from candidates(self.drive_id, place)):
                if (item.id, item.etag) == self._prior or item.size_bytes != self.size_bytes:
                    continue
                found: DriveItem | None = item
                if whole_hash is not None:
                    found = yield from settled(self.drive_id, place.path, item, self.size_bytes)
                if found is not None and whole_hash in {None, found.quick_xor_hash}:
                    self.placed = place
                    return found
        return None

    def cancel(self) -> Steps[bool]:
        """Give up the open session, if there is one; whether it is gone."""
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
        )

    def _create(self) -> Steps[UploadSession]:
        patience = Patience(self._policy, self._jitter)
        pauses = list(_AFTER_CANCEL_SECONDS if self._cancelled else ())
        made_folder = False
        while True:
            try:
                return (
                    yield from create_session(
                        self.drive_id, self.placed, self.size_bytes, Patience(self._policy, self._jitter)
                    )
                )
            except NameConflictError:
                if self.placed != self.destination:
                    raise
                refuse_if_taken(self.destination, (yield from get_item(self.drive_id, self.destination.path)))
                if pauses:
                    yield Sleep(pauses.pop(0), f"The cancelled upload of {self.destination.path!r} still blocks it.")
                else:
                    self.placed = self._beside
            except DestinationError as error:
                if error.status_code == 404 and self.destination.folder and not made_folder:
                    made_folder = True
                    yield from ensure_folder(self.drive_id, self.destination.folder)
                elif error.status_code == 423:
                    yield from self._wait_for_lock(patience, error)
                else:
                    raise

    def _wait_for_lock(self, patience: Patience, error: DestinationError) -> Steps[None]:
        locked = TransportError(f"{self.destination.path!r} is locked.", status_code=error.status_code)
        try:
            pause = patience.pause_after(locked, "create upload session")
        except TransportError:
            raise error from None
        yield pause

    def _begin_again(self, lost: UploadSessionLostError) -> Steps[Accepted]:
        self.session = None
        self._count_restart(lost)
        return Accepted((yield from self.begin()))

    def _count_restart(self, lost: UploadSessionLostError) -> None:
        self.restarts += 1
        if self.restarts > _MAX_RESTARTS:
            raise lost

    def _name_taken(self, taken: NameConflictError) -> Steps[Accepted]:
        if self.destination.conflict_behavior == "fail":
            yield from self.cancel()
            raise taken
        # The service applies replace and rename when it assembles the file, so this name was taken in between. Its
        # offer to commit the session under other terms addresses a folder by one copy of the documentation and a file
        # by another: a file in the wrong place is worse than a second upload.
        yield from self.cancel()
        lost = UploadSessionLostError(taken.message, status_code=taken.status_code, request_ids=taken.request_ids)
        return (yield from self._begin_again(lost))

    def _undo(self, found: DriveItem) -> Steps[None]:
        if not self._is_version(found):
            yield from delete_item(self.drive_id, found.id)

    def _is_version(self, found: DriveItem) -> bool:
        return bool(self._prior[0]) and found.id == self._prior[0]

    def _left(self, found: DriveItem) -> str:
        if self._is_version(found):
            return "The file as it was before is in its version history."
        return "It was deleted there."
