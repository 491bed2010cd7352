"""Opening an upload session although the name is blocked.

*A session left open by somebody who died* blocks its name for 15 minutes or more with the same 409 as a taken name
(docs/wire/graph-onedrive.md#one-session-for-each-file), and so does a session of our own of which the answer was lost.
One that is known is resumed. Otherwise the upload goes to a unique name beside it, is verified there, and is then
renamed by the policy; but a file that is to be replaced is waited for, because only a session on it keeps its history.
"""

from __future__ import annotations

from talent_dmf.api.errors import DestinationError, NameConflictError, TransportError
from talent_dmf.api.graph.drive import ensure_folder, get_item
from talent_dmf.api.graph.models import Destination
from talent_dmf.api.graph.upload.naming import beside, blocked, wait_while_blocked, wait_while_locked
from talent_dmf.api.graph.upload.result import refuse_if_taken
from talent_dmf.api.graph.upload.session import UploadSession, create_session
from talent_dmf.api.naming.drive_names import MAX_PATH_CHARACTERS
from talent_dmf.api.retrying import NOT_STARTED_STATUS, Patience, patience
from talent_dmf.api.steps import Sleep, Steps

# A name may stay blocked for a moment after its session was cancelled
# (docs/wire/graph-onedrive.md#one-session-for-each-file).
_AFTER_CANCEL_SECONDS = (2.0, 5.0)


class SessionOpener:
    """Opens the sessions of one upload.

    :param drive_id: the drive.
    :param destination: where, and what to do if the name is taken.
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
        self._drive_id, self._destination, self._size_bytes = drive_id, destination, size_bytes
        self._unique, self._besides = unique, 0

    def open(self, *, after_cancel: bool) -> Steps[tuple[UploadSession, Destination]]:
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
        made_folder, placed = False, self._destination
        while True:
            try:
                session = yield from create_session(self._drive_id, placed, self._size_bytes)
            except TransportError as failure:
                if not failure.sent or failure.status_code in NOT_STARTED_STATUS:
                    raise
                # A session may be open nevertheless: a refusal of the next one is then our own doing.
                yield blocks.pause_after(failure, "create upload session")
            except NameConflictError as taken:
                placed = yield from self._around(placed, taken, pauses, blocks)
            except DestinationError as error:
                if error.status_code == 404 and self._destination.folder and not made_folder:
                    made_folder = True
                    yield from ensure_folder(self._drive_id, self._destination.folder)
                else:
                    yield from wait_while_locked(placed.path, error, locks, "create upload session")
            else:
                return session, placed

    def _around(
        self, placed: Destination, taken: NameConflictError, pauses: list[float], blocks: Patience
    ) -> Steps[Destination]:
        if placed != self._destination:
            # Nobody else uses that name: a lost answer to our own request, or a session of ours that was given up.
            yield from wait_while_blocked(placed.path, taken, blocks)
            return self._beside(taken)
        existing = yield from get_item(self._drive_id, placed.path)
        refuse_if_taken(placed, existing)
        if pauses:
            yield Sleep(pauses.pop(0), f"The cancelled upload of {placed.path!r} still blocks it.")
        elif existing is not None and placed.conflict_behavior == "replace":
            yield from wait_while_blocked(placed.path, taken, blocks)
        else:
            return self._beside(taken)
        return placed

    def _beside(self, taken: NameConflictError) -> Destination:
        self._besides += 1
        word = self._unique if self._besides == 1 else f"{self._unique}-{self._besides}"
        placed = beside(self._destination, word)
        if len(placed.path) > MAX_PATH_CHARACTERS:
            raise blocked(self._destination.path, taken)
        return placed
