"""What an upload became: which item is ours, whether it is right, and what may be deleted of it.

*A path proves nothing.* Between two requests anybody may save, replace or rename a file. An item is ours if the
service named it in answer to our own session (:class:`Claim`), or if its size and quickXorHash are those of what was
sent. An item of which that cannot be told yet, because its hash is late, is neither ours nor somebody else's: the
question is left to a later try, and nothing is sent again meanwhile.

*Only what our session made is deleted*, and only in the version that it made: not an item of before that got a
version, whose history would go with it, and not one that somebody has changed since.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from talent_dmf.api.errors import DestinationError, ItemChangedError, ProtocolError, TransferMismatchError
from talent_dmf.api.graph.models import Destination, DriveItem
from talent_dmf.api.graph.upload.naming import delete_patiently
from talent_dmf.api.graph.upload.result import candidates, settled
from talent_dmf.api.retrying import Patience
from talent_dmf.api.steps import Sleep, Steps

# A file may be visible a moment later than the end of its session.
_LOOK_AGAIN_SECONDS = (1.0, 2.0, 5.0)


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
class Doubtful:
    """The session is gone and a file of the right length is there: whoever can hash the rest of the source compares it
    by ``ResumableUpload.find_finished``.
    """


def find_by_content(
    drive_id: str,
    places: Iterable[Destination],
    size_bytes: int,
    whole_hash: str | None,
    prior: tuple[str, str],
    *,
    patient: bool,
) -> Steps[tuple[DriveItem, Destination] | None]:
    """The item that an upload became, and where.

    :param drive_id: the drive.
    :param places: where it may be.
    :param size_bytes: length of what was sent.
    :param whole_hash: quickXorHash of what was sent, in base64; ``None`` to compare the length only.
    :param prior: id and version of the item that had the name before; a new version of it may be ours.
    :param patient: whether to look again if it is not there.
    :raises ProtocolError: an item of this length has no hash yet.
    """
    places = list(dict.fromkeys(places))
    for seconds in (*(_LOOK_AGAIN_SECONDS if patient else ()), 0.0):
        doubtful = ""
        for place in places:
            for item in (yield from candidates(drive_id, place)):
                if (item.id, item.etag) == prior or item.is_folder or item.size_bytes != size_bytes:
                    continue
                if whole_hash is None:
                    return item, place
                found = yield from settled(drive_id, item, size_bytes)
                if (found.size_bytes, found.quick_xor_hash) == (size_bytes, whole_hash):
                    return found, place
                if found.quick_xor_hash is None:
                    doubtful = doubtful or item.name
        if doubtful:
            raise unproven(doubtful)
        if seconds:
            yield Sleep(seconds, f"OneDrive does not show {places[0].path!r} yet.")
    return None


def unproven(path: str) -> ProtocolError:
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
    found = yield from settled(drive_id, item, size_bytes)
    if found.size_bytes == size_bytes:
        if found.quick_xor_hash == whole_hash:
            return found
        if found.quick_xor_hash is None:
            raise unproven(path)
        wrong = (
            f"The quickXorHash of {path!r} in OneDrive is {found.quick_xor_hash}, and that of the package {whole_hash}."
        )
    else:
        wrong = f"OneDrive holds {found.size_bytes} bytes of {path!r}, and {size_bytes} were sent."
    if found.id != claim.item_id or found.etag != claim.etag or not claim.etag:
        raise _changed(wrong)
    if not claim.is_new:
        raise TransferMismatchError(
            f"{wrong} This is the current version there now. The file as it was before is in its version history: "
            "restore it, if the package is not saved again."
        )
    try:
        yield from delete_patiently(drive_id, found, locks)
    except DestinationError as error:
        if error.status_code != 412:
            raise
        raise _changed(wrong) from error
    raise TransferMismatchError(f"{wrong} It was deleted there.")


def _changed(wrong: str) -> ItemChangedError:
    return ItemChangedError(
        f"{wrong} Somebody changed it after it had arrived, so it was left there. Look at it and its version history; "
        "then clear the task to save the package by the conflict behaviour."
    )
