"""One upload from its beginning to the verified file, across as many sessions as it takes.

*Nothing is visible under the final name until it is complete.* A session of SharePoint shows its file only when the
last byte is there (learn.microsoft.com ``driveItem: createUploadSession``), so the session is opened on the final name
and the service applies the conflict policy itself: ``fail`` refuses, ``replace`` adds a version, ``rename`` chooses a
free name. ``fail`` is checked by a look at the name before the first byte as well, because the service has been seen to
overwrite (microsoftgraph/microsoft-graph-docs#3276).

*A session left open by somebody who died* blocks its name for 15 minutes or more with the same 409 as a taken name
(OneDrive/onedrive-api-docs#747, microsoftgraph/microsoft-graph-docs#17631), and so does a session of our own of which
the answer was lost. One that is known is resumed. Otherwise the upload goes to a unique name beside it, is verified
there, and is then renamed by the policy; but a file that is to be replaced is waited for, because only a session on it
keeps its history.

*A lost session* may mean a complete file, if the answer to the last range was lost or another try of the task finished
it: what is there is compared by size and hash before anything is sent again, and before a taken name is believed.

*A path proves nothing.* Between two requests anybody may save, replace or rename a file. An item is ours if the service
named it in answer to our own session (:class:`Claim`), or if its size and quickXorHash are those of what was sent. An
item of which that is not known yet, because its hash is late, is neither ours nor somebody else's: the question is left
to a later try, and nothing is sent again meanwhile.

*Nothing of somebody else is deleted or overwritten.* Only what our session made is deleted, and only in the version
that it made: not an item of before that got a version, whose history would go with it, and not one that somebody has
changed since. For a name, Microsoft Graph would replace a file by a renamed one, but the file that was there would go
to the recycle bin with all its versions: a file that appeared under the name meanwhile sends the upload back to its
beginning.

The wire of one session is in :mod:`.session`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import (
    DestinationBusyError,
    DestinationError,
    ItemChangedError,
    NameConflictError,
    ProtocolError,
    TalentDmfError,
    ThrottledError,
    TransferMismatchError,
    TransportError,
    UploadSessionLostError,
)
from talent_dmf.api.graph.drive import (
    delete_item,
    ensure_folder,
    get_drive,
    get_item,
    get_item_by_id,
    list_children,
    put_small,
    rename_item,
)
from talent_dmf.api.graph.models import Drive, DriveItem, UploadTarget
from talent_dmf.api.graph.upload.session import Accepted, Completed, UploadSession, create_session
from talent_dmf.api.naming.drive_names import MAX_SESSION_PATH_CHARACTERS, no_name_left, numbered_names
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.retrying import NOT_STARTED_STATUS, Patience, patience
from talent_dmf.api.steps import Pieces, Sleep, Steps, hurried, now
from talent_dmf.api.words import counted

# Beginnings anew without the upload getting further than ever before.
_MAX_RESTARTS = 5
# A name may stay blocked for a moment after its session was cancelled (OneDrive/onedrive-api-docs#989).
_AFTER_CANCEL_SECONDS = (2.0, 5.0)
# A file may be visible a moment later than the end of its session.
_LOOK_AGAIN_SECONDS = (1.0, 2.0, 5.0)
# The hash of a large file may appear later than the file (docs/wire/graph-onedrive.md#hashes).
_HASH_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
# A wrong size is not waited out for as long: a file appears complete, and only its description may be late.
_WRONG_SIZE_LOOKS = 3
# Of one name: learn.microsoft.com, "Restrictions and limitations in OneDrive and SharePoint".
_MAX_NAME_CHARACTERS = 255
_RECORD_VERSION = 3


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """An upload that was begun or completed. It holds the upload URL, a secret: keep it encrypted only.

    :param drive_id: the drive.
    :param folder: folder of the destination.
    :param name: name wished for.
    :param conflict_behavior: the policy.
    :param source_version: fingerprint or entity tag of the source.
    :param size_bytes: its length.
    :param upload_url: upload URL of the open session; ``""`` once the file is complete.
    :param expires_at: when the service drops the session, as it wrote it.
    :param session_name: name that the session writes to, if it is not ``name``.
    :param prior_id: item that had the name before the upload began.
    :param prior_etag: its version.
    :param hash_state: state of the quickXorHash of the source's first bytes.
    :param checked_bytes: position before which every entry of the package was checked.
    :param unverified_id: the complete item, while it is not verified.
    :param unverified_etag: its version when the service named it.
    :param unverified_is_new: whether the upload made it, and not only a version of it.
    :param item_id: the complete and verified item.
    :param quick_xor_hash: its hash.
    """

    drive_id: str
    folder: str
    name: str
    conflict_behavior: str
    source_version: str
    size_bytes: int
    upload_url: str = ""
    expires_at: str = ""
    session_name: str = ""
    prior_id: str = ""
    prior_etag: str = ""
    hash_state: tuple[int, str] = (0, "0")
    checked_bytes: int = 0
    unverified_id: str = ""
    unverified_etag: str = ""
    unverified_is_new: bool = False
    item_id: str = ""
    quick_xor_hash: str = ""

    def __repr__(self) -> str:
        return f"<UploadRecord of {self.name!r}, hashed {self.hash_state[0]} of {self.size_bytes} bytes>"

    def fits(self, drive_id: str, target: UploadTarget, source_version: str, size_bytes: int) -> bool:
        """Whether it is about the same version of the same source and the same destination."""
        mine = (self.drive_id, self.folder, self.name, self.conflict_behavior, self.source_version, self.size_bytes)
        wanted = (drive_id, target.folder, target.name, target.conflict_behavior)
        return bool(self.source_version) and mine == (*wanted, source_version, size_bytes)

    def is_over(self, moment: datetime) -> bool:
        """Whether the session has expired; one that has never said when is not waited for.

        :param moment: present time, aware.
        """
        try:
            expires = datetime.fromisoformat(self.expires_at)
        except ValueError:
            return True
        return moment >= (expires if expires.tzinfo else expires.replace(tzinfo=UTC))

    def finished(self, item: DriveItem, quick_xor_hash: str) -> UploadRecord:
        """The record of the completed upload: nothing secret is left in it."""
        return replace(
            self, upload_url="", expires_at="", unverified_id="", item_id=item.id, quick_xor_hash=quick_xor_hash
        )

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON, to be encrypted."""
        return {**asdict(self), "hash_state": list(self.hash_state), "version": _RECORD_VERSION}

    @classmethod
    def from_json(cls, raw: object) -> UploadRecord | None:
        """The record that was stored, or ``None`` if this release cannot read it: the upload then begins anew.

        :param raw: what :meth:`to_json` gave.
        """
        if not isinstance(raw, dict) or raw.get("version") != _RECORD_VERSION:
            return None
        known = {name: raw[name] for name in cls.__dataclass_fields__ if name in raw}
        try:
            length, folded = known.pop("hash_state", (0, "0"))
            checked_bytes = int(known.pop("checked_bytes", 0))
            return cls(**known, hash_state=(int(length), str(folded)), checked_bytes=checked_bytes)
        except (TypeError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Claim:
    """The item that the service named in answer to our own session.

    :param item_id: the item.
    :param etag: its version then.
    :param is_new: whether it did not exist before.
    """

    item_id: str
    etag: str = ""
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class HashNeeded:
    """The session is gone and a file of the right length is there: whoever can hash the rest of the source compares it
    by ``ResumableUpload.find_finished``.
    """


@dataclass(frozen=True, slots=True)
class SeenBefore:
    """What whoever saves a file has just asked the service.

    :param drive: the drive, with what its quota leaves.
    :param item: what has the file's name.
    """

    drive: Drive
    item: DriveItem | None


class ResumableUpload:
    """An upload.

    :param drive_id: the drive.
    :param target: where, and what to do if the name is taken. Check it with ``drive_names`` before.
    :param size_bytes: length of the file, more than 0.
    :param unique: a word that no other upload uses, for names beside.
    :param seen: what was known of the destination a moment ago; what is left out is asked for.
    """

    def __init__(
        self,
        drive_id: str,
        target: UploadTarget,
        size_bytes: int,
        *,
        unique: str,
        seen: SeenBefore | None = None,
    ) -> None:
        self.drive_id = drive_id
        self.target = target
        self.size_bytes = size_bytes
        self.session: UploadSession | None = None
        self.session_target = target
        self.begun = False
        self.restarts = 0
        # What could not be found out and did not matter, for the log.
        self.notices: list[str] = []
        self._opener = SessionOpener(drive_id, target, size_bytes, unique=unique)
        self._seen = seen
        self._prior: tuple[str, str] = ("", "")
        self._claim: Claim | None = None
        self._cancelled = self._may_be_complete = self._left_a_session = False
        self._furthest = 0

    def resume(self, record: UploadRecord) -> Steps[int | None]:
        """Go on with the session of an earlier try.

        :param record: what is known of it; it must fit.
        :returns: the first missing byte, or ``None`` if the session says no such thing (any more). Then look for the
            file by :meth:`find_finished`.
        :raises TransportError: the session does not answer, and has not expired.
        """
        if record.session_name:
            self.session_target = replace(self.target, name=record.session_name, conflict_behavior="replace")
        self._prior = (record.prior_id, record.prior_etag)
        self.begun = self._may_be_complete = True
        if record.unverified_id:
            self._claim = Claim(record.unverified_id, record.unverified_etag, record.unverified_is_new)
        if not record.upload_url:
            return None
        self.session = session = UploadSession(
            SecretUrl(record.upload_url),
            self.size_bytes,
            (yield from patience()),
            subject=self.session_target.path,
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
        self.session_target, self._claim, self._may_be_complete = self.target, None, False
        # Known for the first session only: meanwhile somebody may have been here.
        seen, self._seen = self._seen, None
        existing = seen.item if seen else (yield from get_item(self.drive_id, self.target.path))
        refuse_if_taken(self.target, existing)
        self._prior = (existing.id, existing.etag) if existing else ("", "")
        yield from self._look_at_quota(seen.drive if seen else None)
        self.session, self.session_target = yield from self._opener.open(after_cancel=self._cancelled)
        self.begun = True
        return self.session.next_offset

    def _look_at_quota(self, known: Drive | None) -> Steps[None]:
        """Refuse a file that does not fit. What the quota leaves only informs: a drive may be unreadable by its id
        although its items are not (docs/wire/graph-onedrive.md#drive-by-its-id).
        """
        try:
            drive = known or (yield from hurried(get_drive(self.drive_id)))
        except TalentDmfError as error:
            self.notices.append(f"What the drive's quota leaves is not known: {error.message}")
            return
        if drive.remaining_bytes is not None and drive.remaining_bytes < self.size_bytes:
            raise DestinationError(
                f"The drive {drive.name!r} has {drive.remaining_bytes} bytes left and the file has {self.size_bytes}. "
                "Free space or raise the quota."
            )

    def feed(
        self,
        offset: int,
        data: bytes | bytearray | memoryview | Pieces,
        whole_hash: Callable[[], str | None] = lambda: None,
    ) -> Steps[Accepted | Completed | HashNeeded]:
        """Send a range, once; then know how the upload stands.

        :param offset: position of the first byte: what the last call named as missing.
        :param data: the bytes, or pieces of them.
        :param whole_hash: quickXorHash of the whole file in base64, with its last range; asked for when that was sent.
        :raises NameConflictError: the name was taken meanwhile and the policy says fail; nothing is left behind.
        :raises ProtocolError: a file is there of which it is not known yet whether it is this one.
        :raises UploadSessionLostError: sessions are lost again and again.
        :raises TransportError: our patience is exhausted; a later try may go on.
        """
        if self.session is None:
            raise UploadSessionLostError("The upload was not begun. Please report it.")
        self._may_be_complete = offset + len(data) == self.size_bytes
        try:
            outcome = yield from self.session.put(offset, data)
        except UploadSessionLostError as lost:
            self._lose(lost)
            return (yield from self._begin_again(lost, whole_hash()))
        except NameConflictError as taken:
            return (yield from self._name_taken(taken, whole_hash()))
        except TransportError as failure:
            return (yield from self._leave_session(failure, whole_hash()))
        if isinstance(outcome, Completed):
            self.session = None
            if outcome.item is not None:
                is_new = outcome.is_new and outcome.item.id != self._prior[0]
                self._claim = Claim(outcome.item.id, outcome.item.etag, is_new)
        elif outcome.next_offset < offset:
            self._count_restart(
                UploadSessionLostError(
                    f"OneDrive forgets what it had accepted of {self.session_target.path!r}. Try again later."
                )
            )
        elif outcome.next_offset > self._furthest:
            self._furthest, self.restarts = outcome.next_offset, 0
        return outcome

    def ask(self) -> Steps[Accepted | Completed | HashNeeded]:
        """Know how the upload stands, when a range was broken off because its bytes did not come.

        :raises TransportError: the session does not answer.
        """
        assert self.session is not None
        # Its last byte was not sent.
        self._may_be_complete = False
        try:
            return Accepted((yield from self.session.status()))
        except UploadSessionLostError as lost:
            self._lose(lost)
            return (yield from self._begin_again(lost, None))

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
                f"OneDrive reported {self.session_target.path!r} as complete, but it does not show it. Try again."
            )
        claim = self._claim or Claim("")
        locks = yield from patience()
        try:
            item = yield from verified(
                self.drive_id, item, claim, self.size_bytes, whole_hash, self.session_target.path, locks
            )
            if self.session_target != self.target:
                item = yield from take_name(self.drive_id, item, self.target)
                self.session_target = self.target
        except TalentDmfError as error:
            if self.session_target != self.target and not error.retryable:
                yield from self._clear_away(item)
            raise
        return item

    def find_finished(self, whole_hash: str | None) -> Steps[DriveItem | None]:
        """The file, if it is complete although no answer said so: to be verified by :meth:`finish`.

        :param whole_hash: its quickXorHash in base64; ``None`` to compare the size only.
        :raises ProtocolError: a file is there of which it is not known yet whether it is this one.
        """
        if self._claim is not None:
            item = yield from get_item_by_id(self.drive_id, self._claim.item_id)
            if item is not None:
                if item.name.casefold() != self.session_target.name.casefold():
                    self.session_target = self.target
                return item
            self._claim = None
        # An earlier try may have been killed after it had taken the name and before it could say so.
        found = yield from find_by_content(
            self.drive_id,
            (self.session_target, self.target),
            self.size_bytes,
            whole_hash,
            self._prior,
            patient=self._may_be_complete,
        )
        if found is None:
            return None
        item, where = found
        if whole_hash is not None:
            self.session_target = where
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

    @property
    def may_lie_beside(self) -> bool:
        """Whether the file may be complete under a name beside its own, which nobody else looks for."""
        complete = self._claim is not None or self._may_be_complete
        return self.begun and complete and self.session_target != self.target

    def clear_beside(self) -> Steps[None]:
        """Delete the complete file that could not get its name, because no later try will give it to it.

        :raises TalentDmfError: it could not be looked for.
        """
        if self.may_lie_beside:
            item = yield from get_item(self.drive_id, self.session_target.path)
            if item is not None:
                yield from self._clear_away(item)

    def record(self, source_version: str, hash_state: tuple[int, str], checked_bytes: int = 0) -> UploadRecord:
        """What the next try needs to go on.

        :param source_version: fingerprint or entity tag of the source.
        :param hash_state: state of the quickXorHash.
        :param checked_bytes: position before which every entry of the package was checked.
        """
        claim = self._claim or Claim("")
        return UploadRecord(
            drive_id=self.drive_id,
            folder=self.target.folder,
            name=self.target.name,
            conflict_behavior=self.target.conflict_behavior,
            source_version=source_version,
            size_bytes=self.size_bytes,
            upload_url=self.session.url.reveal() if self.session else "",
            expires_at=self.session.expires_at if self.session else "",
            session_name=self.session_target.name if self.session_target != self.target else "",
            prior_id=self._prior[0],
            prior_etag=self._prior[1],
            hash_state=hash_state,
            checked_bytes=checked_bytes,
            unverified_id=claim.item_id,
            unverified_etag=claim.etag,
            unverified_is_new=claim.is_new,
        )

    def _begin_again(
        self, lost: UploadSessionLostError, whole_hash: str | None
    ) -> Steps[Accepted | Completed | HashNeeded]:
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

    def _leave_session(
        self, failure: TransportError, whole_hash: str | None
    ) -> Steps[Accepted | Completed | HashNeeded]:
        """Go on in a fresh session, once, if the service answers and takes a range in this one no more."""
        elsewhere = isinstance(failure, DestinationBusyError | ThrottledError) or failure.status_code is None
        if elsewhere or self._left_a_session:
            raise failure
        self._left_a_session = True
        return (yield from self._begin_again(UploadSessionLostError(failure.message), whole_hash))

    def _look(self, whole_hash: str | None) -> Steps[Completed | HashNeeded | None]:
        found = yield from self.find_finished(whole_hash)
        if found is None:
            return None
        return HashNeeded() if whole_hash is None else Completed(found)

    def _lose(self, error: TalentDmfError) -> None:
        """Forget a session that does not exist any more; another one is cancelled when its successor begins."""
        if error.status_code in {404, 410}:
            # It expired, or somebody completed it: then the file may be visible a moment later only.
            self.session, self._may_be_complete = None, True

    def _count_restart(self, lost: UploadSessionLostError) -> None:
        self.restarts += 1
        if self.restarts > _MAX_RESTARTS:
            raise lost

    def _name_taken(self, taken: NameConflictError, whole_hash: str | None) -> Steps[Accepted | Completed | HashNeeded]:
        # Another try of this task may have finished the file: then the name is taken by ourselves.
        ours = yield from self._look(whole_hash)
        if ours is not None:
            return ours
        if self.target.conflict_behavior == "fail" and self.session_target == self.target:
            yield from self.cancel()
            raise taken
        # The service applies replace and rename when it assembles the file, so this name was taken in between. Its
        # offer to commit the session under other terms addresses a folder by one copy of the documentation and a file
        # by another: a file in the wrong place is worse than a second upload.
        lost = UploadSessionLostError(taken.message, status_code=taken.status_code, request_ids=taken.request_ids)
        return (yield from self._begin_again(lost, whole_hash))

    def _clear_away(self, item: DriveItem) -> Steps[None]:
        """Leave no data under a name that nobody will look for, if the service lets us."""
        # What went wrong before is what has to be said.
        with suppress(TalentDmfError):
            yield from delete_patiently(self.drive_id, item, (yield from patience()))


class SessionOpener:
    """Opens the sessions of one upload.

    :param drive_id: the drive.
    :param target: where, and what to do if the name is taken.
    :param size_bytes: length of the file, more than 0.
    :param unique: a word that no other upload uses, for names beside.
    """

    def __init__(
        self,
        drive_id: str,
        target: UploadTarget,
        size_bytes: int,
        *,
        unique: str,
    ) -> None:
        self._drive_id, self._target, self._size_bytes = drive_id, target, size_bytes
        self._unique, self._besides = unique, 0

    def open(self, *, after_cancel: bool) -> Steps[tuple[UploadSession, UploadTarget]]:
        """Open a session, on the name or beside it.

        :param after_cancel: whether a session of ours was cancelled before, which may block the name for a moment.
        :returns: the session, and where it writes to.
        :raises NameConflictError: the name is taken and the policy says fail.
        :raises DestinationError: the folder cannot take the file.
        :raises UploadSessionLostError: the name is blocked for longer than our patience.
        :raises TransportError: it stays locked, or no answer comes.
        """
        blocks, locks = (yield from patience()), (yield from patience())
        pauses = list(_AFTER_CANCEL_SECONDS if after_cancel else ())
        made_folder, target = False, self._target
        while True:
            try:
                session = yield from create_session(self._drive_id, target, self._size_bytes)
            except DestinationBusyError as busy:
                yield locks.pause_after(busy, "Create upload session")
            except TransportError as failure:
                if not failure.sent or failure.status_code in NOT_STARTED_STATUS:
                    raise
                # A session may be open nevertheless: a refusal of the next one is then our own doing.
                yield blocks.pause_after(failure, "Create upload session")
            except NameConflictError as taken:
                target = yield from self._around(target, taken, pauses, blocks)
            except DestinationError as error:
                if error.status_code == 404 and self._target.folder and not made_folder:
                    made_folder = True
                    yield from ensure_folder(self._drive_id, self._target.folder)
                else:
                    raise
            else:
                return session, target

    def _around(
        self, target: UploadTarget, taken: NameConflictError, pauses: list[float], blocks: Patience
    ) -> Steps[UploadTarget]:
        if target != self._target:
            # Nobody else uses that name: a lost answer to our own request, or a session of ours that was given up.
            yield from wait_while_blocked(target.path, taken, blocks)
            return self._beside(taken)
        existing = yield from get_item(self._drive_id, target.path)
        refuse_if_taken(target, existing)
        if pauses:
            yield Sleep(pauses.pop(0), f"The cancelled upload of {target.path!r} still blocks it.")
        elif existing is not None and target.conflict_behavior == "replace":
            yield from wait_while_blocked(target.path, taken, blocks)
        else:
            return self._beside(taken)
        return target

    def _beside(self, taken: NameConflictError) -> UploadTarget:
        self._besides += 1
        word = self._unique if self._besides == 1 else f"{self._unique}-{self._besides}"
        target = name_beside(self._target, word)
        if len(target.path) > MAX_SESSION_PATH_CHARACTERS:
            raise blocked(self._target.path, taken)
        return target


def name_beside(target: UploadTarget, unique: str) -> UploadTarget:
    """The place beside a name for an upload that cannot be opened on the name itself.

    :param target: the place wished for.
    :param unique: a word that no other upload uses.
    """
    suffix = f".{unique}.partial"
    folder_characters = len(target.path) - len(target.name)
    room = min(MAX_SESSION_PATH_CHARACTERS - folder_characters, _MAX_NAME_CHARACTERS) - len(suffix)
    name = f"{target.name[: max(room, 0)]}{suffix}".lstrip(".")
    return replace(target, name=name, conflict_behavior="replace")


def blocked(path: str, cause: TransportError | NameConflictError) -> UploadSessionLostError:
    """The error for a name that an unfinished upload or an open document blocks for longer than our patience.

    :param path: the name.
    :param cause: the answer behind it.
    """
    return UploadSessionLostError(
        f"The name {path!r} is blocked by an unfinished upload, which expires within about 15 minutes, or because "
        "somebody has the file open. Try again then.",
        status_code=cause.status_code,
        request_ids=cause.request_ids,
    )


def wait_while_blocked(path: str, taken: NameConflictError, waiting: Patience) -> Steps[None]:
    """Pause for a name that is refused although the policy allows it.

    :param path: the name.
    :param taken: the refusal.
    :param waiting: how long.
    :raises UploadSessionLostError: patience is exhausted; a later try may succeed.
    """
    try:
        pause = waiting.pause_after(TransportError(f"The name {path!r} is blocked. Try again later."), "Upload")
    except TransportError:
        raise blocked(path, taken) from None
    yield pause


def delete_patiently(drive_id: str, item: DriveItem, waiting: Patience) -> Steps[None]:
    """Delete exactly this version of an item, also if it is locked for a while.

    :param drive_id: the drive.
    :param item: the item, in the version that may be deleted.
    :param waiting: how long.
    :raises DestinationError: it is another version by now (409 or 412).
    :raises TransportError: it stays locked.
    """
    while True:
        try:
            return (yield from delete_item(drive_id, item.id, etag=item.etag))
        except DestinationBusyError as busy:
            yield waiting.pause_after(busy, "Delete")


def take_name(drive_id: str, item: DriveItem, target: UploadTarget) -> Steps[DriveItem]:
    """Give a file that was uploaded beside its name that name, by the conflict policy.

    :param drive_id: the drive.
    :param item: the file, complete and verified.
    :param target: the name, and the policy.
    :raises NameConflictError: the name is taken and the policy says fail.
    :raises UploadSessionLostError: the name stays blocked, and the file is still there for a later try. Or another
        file has the name by now, which must get a version: then ours is gone.
    :raises TransportError: the file stays locked.
    """
    blocks, locks = (yield from patience()), (yield from patience())
    wanted: ConflictBehavior = "rename" if target.conflict_behavior == "rename" else "fail"
    while True:
        try:
            return (yield from _renamed(drive_id, item, target.name, wanted, locks))
        except NameConflictError as taken:
            if wanted == "rename":
                return (yield from _numbered(drive_id, item, target, locks))
            existing = yield from get_item(drive_id, target.path)
            if existing is not None and existing.id == item.id:
                return existing
            if existing is not None and (target.conflict_behavior == "fail" or existing.is_folder):
                raise
            if existing is None:
                yield from wait_while_blocked(target.path, taken, blocks)
                continue
        yield from delete_patiently(drive_id, item, locks)
        raise UploadSessionLostError(
            f"Somebody saved {target.path!r} meanwhile. Try again: the package then becomes a new version of it."
        )


def _renamed(
    drive_id: str, item: DriveItem, name: str, conflict_behavior: ConflictBehavior, locks: Patience
) -> Steps[DriveItem]:
    while True:
        try:
            return (yield from rename_item(drive_id, item.id, name, conflict_behavior))
        except DestinationBusyError as busy:
            yield locks.pause_after(busy, "Rename")


def _numbered(drive_id: str, item: DriveItem, target: UploadTarget, locks: Patience) -> Steps[DriveItem]:
    taken = {child.name.casefold() for child in (yield from list_children(drive_id, target.folder))}
    for name in numbered_names(target.name):
        if name.casefold() in taken:
            continue
        try:
            return (yield from _renamed(drive_id, item, name, "fail", locks))
        except NameConflictError:
            # Somebody was faster, or it is blocked as well: the next one is as good.
            continue
    raise no_name_left(target.path)


def refuse_if_taken(target: UploadTarget, existing: DriveItem | None) -> None:
    """Refuse a name that the conflict policy does not allow to be used.

    :param target: the name, and the policy.
    :param existing: what has the name.
    :raises NameConflictError: a file has it and the policy says fail.
    :raises DestinationError: a folder has it.
    """
    if existing is None or target.conflict_behavior == "rename":
        return
    if existing.is_folder:
        raise DestinationError(f"{target.path!r} is a folder in OneDrive. Choose another file name.")
    if target.conflict_behavior == "fail":
        raise NameConflictError(
            f"{target.path!r} exists in OneDrive already. Remove or rename it there, or set the conflict "
            "behaviour to replace or rename."
        )


def candidates(drive_id: str, target: UploadTarget) -> Steps[list[DriveItem]]:
    """The items that an upload may have become.

    :param drive_id: the drive.
    :param target: where it went.
    """
    if target.conflict_behavior != "rename":
        item = yield from get_item(drive_id, target.path)
        return [item] if item is not None else []
    stem, dot, extension = target.name.rpartition(".")
    if not dot:
        stem, extension = target.name, ""
    numbered = re.compile(rf"{re.escape(stem)}(?: \d+)?{re.escape(dot + extension)}", re.I)
    listed = yield from list_children(drive_id, target.folder)
    return [item for item in listed if numbered.fullmatch(item.name)]


def with_hash(drive_id: str, item: DriveItem, size_bytes: int) -> Steps[DriveItem]:
    """An item with its hash, as far as the service gives it within two minutes.

    :param drive_id: the drive.
    :param item: what is known of it.
    :param size_bytes: the length that it should have.
    """
    for look, seconds in enumerate(_HASH_SECONDS):
        right_size = item.size_bytes == size_bytes
        if right_size and item.quick_xor_hash is not None:
            break
        if not right_size and look >= _WRONG_SIZE_LOOKS:
            break
        if look:
            yield Sleep(seconds, f"OneDrive has not described {item.name!r} completely yet.")
        item = (yield from get_item_by_id(drive_id, item.id)) or item
    return item


def store_empty(drive_id: str, target: UploadTarget) -> Steps[DriveItem]:
    """Store a file of no bytes, which an upload session cannot carry.

    :param drive_id: the drive.
    :param target: where, and what to do if the name is taken.
    :raises NameConflictError: the name is taken and the policy says fail.
    :raises TransferMismatchError: the service holds something else.
    """
    prior = yield from get_item(drive_id, target.path)
    # The service has been seen to overwrite where it should have failed
    # (docs/wire/graph-onedrive.md#opening-a-session).
    refuse_if_taken(target, prior)
    try:
        item: DriveItem | None
        try:
            item = yield from put_small(drive_id, target)
        except DestinationError as error:
            if error.status_code != 404:
                raise
            yield from ensure_folder(drive_id, target.folder)
            item = yield from put_small(drive_id, target)
    except TransportError:
        # The answer was lost: is the file there nevertheless?
        item = yield from get_item(drive_id, target.path)
        if item is None or item == prior or item.size_bytes != 0:
            raise
    return item


def find_by_content(
    drive_id: str,
    targets: Iterable[UploadTarget],
    size_bytes: int,
    whole_hash: str | None,
    prior: tuple[str, str],
    *,
    patient: bool,
) -> Steps[tuple[DriveItem, UploadTarget] | None]:
    """The item that an upload became, and where.

    :param drive_id: the drive.
    :param targets: where it may be.
    :param size_bytes: length of what was sent.
    :param whole_hash: quickXorHash of what was sent, in base64; ``None`` to compare the length only.
    :param prior: id and version of the item that had the name before; a new version of it may be ours.
    :param patient: whether to look again if it is not there.
    :raises ProtocolError: an item of this length has no hash yet.
    """
    looked_at = list(dict.fromkeys(targets))
    for seconds in (*(_LOOK_AGAIN_SECONDS if patient else ()), 0.0):
        without_hash = ""
        for target in looked_at:
            for item in (yield from candidates(drive_id, target)):
                if (item.id, item.etag) == prior or item.is_folder or item.size_bytes != size_bytes:
                    continue
                if whole_hash is None:
                    return item, target
                found = yield from with_hash(drive_id, item, size_bytes)
                if (found.size_bytes, found.quick_xor_hash) == (size_bytes, whole_hash):
                    return found, target
                if found.quick_xor_hash is None:
                    without_hash = without_hash or item.name
        if without_hash:
            raise unverified(without_hash)
        if seconds:
            yield Sleep(seconds, f"OneDrive does not show {looked_at[0].path!r} yet.")
    return None


def unverified(path: str) -> ProtocolError:
    """The error for a file of which the service gives no hash yet: it is left there for a later try.

    :param path: the file.
    """
    return ProtocolError(
        f"OneDrive gives no quickXorHash for {path!r} yet, so it is not verified; its size is right. Try again later: "
        "nothing will be sent again."
    )


def verified(
    drive_id: str, item: DriveItem, claim: Claim, size_bytes: int, whole_hash: str, path: str, locks: Patience
) -> Steps[DriveItem]:
    """An item, once it is proved to be what was sent.

    :param drive_id: the drive.
    :param item: the item.
    :param claim: what our session was answered with.
    :param size_bytes: length of what was sent.
    :param whole_hash: its quickXorHash in base64.
    :param path: where it is, for messages.
    :param locks: how patient with a wrong item that is locked.
    :raises ProtocolError: the service gives no hash yet; the file is left there.
    :raises ItemChangedError: somebody changed it; it is left there.
    :raises TransferMismatchError: it is wrong. It is gone, unless it is a version of somebody's file.
    :raises TransportError: it is wrong, and could not be deleted yet.
    """
    found = yield from with_hash(drive_id, item, size_bytes)
    if found.size_bytes == size_bytes:
        if found.quick_xor_hash == whole_hash:
            return found
        if found.quick_xor_hash is None:
            raise unverified(path)
        wrong = (
            f"The quickXorHash of {path!r} in OneDrive is {found.quick_xor_hash}, and that of the package {whole_hash}."
        )
    else:
        wrong = f"OneDrive holds {counted(found.size_bytes, 'byte')} of {path!r}, where {size_bytes} should be."
    if found.id != claim.item_id or found.etag != claim.etag or not claim.etag:
        raise _changed(wrong)
    if not claim.is_new:
        raise TransferMismatchError(
            f"{wrong} What arrived is the current version there now. The file as it was before is in its version "
            "history: restore it, if the package is not saved again."
        )
    try:
        yield from delete_patiently(drive_id, found, locks)
    except DestinationError as error:
        if error.status_code not in {409, 412}:
            raise
        raise _changed(wrong) from error
    raise TransferMismatchError(f"{wrong} It was deleted there; a retry sends it again.")


def _changed(wrong: str) -> ItemChangedError:
    return ItemChangedError(
        f"{wrong} Somebody changed it after it had arrived, so it was left there. Look at it and its version history; "
        "then clear the task to save the package by the conflict behaviour."
    )
