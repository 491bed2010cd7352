"""The name of an upload: a place beside it while it is blocked, and taking it afterwards.

*Nothing of somebody else is deleted or overwritten for a name.* Microsoft Graph would replace a file by a renamed one,
but the file that was there would go to the recycle bin with all its versions: only a session on the file itself keeps
them. A file that appeared under the name meanwhile therefore sends the upload back to its beginning.
"""

from __future__ import annotations

from dataclasses import replace

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import DestinationError, NameConflictError, TransportError, UploadSessionLostError
from talent_dmf.api.graph.drive import delete_item, get_item, list_children, rename_item
from talent_dmf.api.graph.models import Destination, DriveItem
from talent_dmf.api.graph.upload.session import locked
from talent_dmf.api.naming.drive_names import MAX_PATH_CHARACTERS, numbered_name
from talent_dmf.api.retrying import Patience, patience
from talent_dmf.api.steps import Steps

_MAX_NUMBERED = 100
# Of one name: learn.microsoft.com, "Restrictions and limitations in OneDrive and SharePoint".
_MAX_NAME_CHARACTERS = 255


def beside(destination: Destination, unique: str) -> Destination:
    """The place beside a name for an upload that cannot be opened on the name itself.

    :param destination: the place wished for.
    :param unique: a word that no other upload uses.
    """
    suffix = f".{unique}.partial"
    folder_characters = len(destination.path) - len(destination.name)
    room = min(MAX_PATH_CHARACTERS - folder_characters, _MAX_NAME_CHARACTERS) - len(suffix)
    name = f"{destination.name[: max(room, 0)]}{suffix}".lstrip(".")
    return replace(destination, name=name, conflict_behavior="replace")


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
        pause = waiting.pause_after(TransportError(f"The name {path!r} is blocked."), "upload")
    except TransportError:
        raise blocked(path, taken) from None
    yield pause


def wait_while_locked(path: str, error: DestinationError, waiting: Patience, operation: str) -> Steps[None]:
    """Pause for a file that somebody has open; raise whatever else is the matter.

    :param path: the file.
    :param error: the refusal.
    :param waiting: how long.
    :param operation: what is tried, in words.
    :raises DestinationError: the refusal is about something else.
    :raises TransportError: it stays locked.
    """
    if error.status_code != 423:
        raise error
    yield waiting.pause_after(locked(path, error.request_ids), operation)


def delete_patiently(drive_id: str, item: DriveItem, waiting: Patience) -> Steps[None]:
    """Delete exactly this version of an item, also if it is locked for a while.

    :param drive_id: the drive.
    :param item: the item, in the version that may be deleted.
    :param waiting: how long.
    :raises DestinationError: it is another version by now (412).
    :raises TransportError: it stays locked.
    """
    while True:
        try:
            return (yield from delete_item(drive_id, item.id, etag=item.etag))
        except DestinationError as error:
            yield from wait_while_locked(item.name, error, waiting, "delete")


def take_name(drive_id: str, item: DriveItem, destination: Destination) -> Steps[DriveItem]:
    """Give a file that was uploaded beside its name that name, by the conflict policy.

    :param drive_id: the drive.
    :param item: the file, complete and verified.
    :param destination: the name, and the policy.
    :raises NameConflictError: the name is taken and the policy says fail.
    :raises UploadSessionLostError: the name stays blocked, and the file is still there for a later try. Or another
        file has the name by now, which must get a version: then ours is gone.
    :raises TransportError: the file stays locked.
    """
    blocks, locks = (yield from patience()), (yield from patience())
    wanted: ConflictBehavior = "rename" if destination.conflict_behavior == "rename" else "fail"
    while True:
        try:
            return (yield from _renamed(drive_id, item, destination.name, wanted, locks))
        except NameConflictError as taken:
            if wanted == "rename":
                return (yield from _numbered(drive_id, item, destination, locks))
            existing = yield from get_item(drive_id, destination.path)
            if existing is not None and existing.id == item.id:
                return existing
            if existing is not None and (destination.conflict_behavior == "fail" or existing.is_folder):
                raise
            if existing is None:
                yield from wait_while_blocked(destination.path, taken, blocks)
                continue
        yield from delete_patiently(drive_id, item, locks)
        raise UploadSessionLostError(
            f"Somebody saved {destination.path!r} meanwhile. Try again: the package then becomes a new version of it."
        )


def _renamed(
    drive_id: str, item: DriveItem, name: str, conflict_behavior: ConflictBehavior, locks: Patience
) -> Steps[DriveItem]:
    while True:
        try:
            return (yield from rename_item(drive_id, item.id, name, conflict_behavior))
        except NameConflictError:
            raise
        except DestinationError as error:
            yield from wait_while_locked(item.name, error, locks, "rename")


def _numbered(drive_id: str, item: DriveItem, destination: Destination, locks: Patience) -> Steps[DriveItem]:
    taken = {child.name.casefold() for child in (yield from list_children(drive_id, destination.folder))}
    for number in range(1, _MAX_NUMBERED):
        name = numbered_name(destination.name, number)
        if name.casefold() in taken:
            continue
        try:
            return (yield from _renamed(drive_id, item, name, "fail", locks))
        except NameConflictError:
            # Somebody was faster, or it is blocked as well: the next one is as good.
            continue
    raise NameConflictError(
        f"{destination.name!r} and {_MAX_NUMBERED} numbered names beside it are taken. Clean the folder up."
    )
