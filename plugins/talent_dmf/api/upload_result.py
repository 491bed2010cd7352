"""A file that was uploaded: looking for it, waiting for its hash, giving it its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from talent_dmf.api.drive import (
    delete_item,
    ensure_folder,
    get_item,
    get_item_by_id,
    list_children,
    put_small,
    rename_item,
)
from talent_dmf.api.errors import (
    DestinationError,
    NameConflictError,
    TransportError,
    UploadSessionLostError,
)
from talent_dmf.api.models import Destination, DriveItem
from talent_dmf.api.retrying import Patience, RetryPolicy
from talent_dmf.api.steps import Sleep, Steps

# The hash of a large file may appear later than the file (onedrive-graph.md §1.9).
_HASH_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
_LOOK_AGAIN_SECONDS = (1.0, 2.0, 5.0)
_MAX_NUMBERED = 100


def refuse_if_taken(destination: Destination, existing: DriveItem | None) -> None:
    """Refuse a name that the conflict policy does not allow to be used.

    :param destination: the name, and the policy.
    :param existing: what has the name.
    :raises NameConflictError: a file has it and the policy says fail.
    :raises DestinationError: a folder has it.
    """
    if existing is None or destination.conflict_behavior == "rename":
        return
    if existing.is_folder:
        raise DestinationError(f"{destination.path!r} is a folder in OneDrive. Choose another file name.")
    if destination.conflict_behavior == "fail":
        raise NameConflictError(
            f"{destination.path!r} exists in OneDrive already. Remove or rename it there, or set the conflict "
            "behaviour to replace or rename."
        )


def candidates(drive_id: str, placed: Destination) -> Steps[list[DriveItem]]:
    """The items that an upload may have become.

    :param drive_id: the drive.
    :param placed: where it went.
    """
    if placed.conflict_behavior != "rename":
        item = yield from get_item(drive_id, placed.path)
        return [item] if item is not None else []
    stem, dot, extension = placed.name.rpartition(".")
    if not dot:
        stem, extension = placed.name, ""
    numbered = re.compile(rf"{re.escape(stem)}(?: \d+)?{re.escape(dot + extension)}", re.I)
    listed = yield from list_children(drive_id, placed.folder)
    return [item for item in listed if numbered.fullmatch(item.name)]


def settled(drive_id: str, path: str, item: DriveItem | None, size_bytes: int) -> Steps[DriveItem | None]:
    """An item with its hash, as far as the service gives it within two minutes.

    :param drive_id: the drive.
    :param path: its path, for an answer without a body.
    :param item: what is known of it.
    :param size_bytes: the length that it should have.
    """
    for seconds in _LOOK_AGAIN_SECONDS:
        if item is not None:
            break
        item = yield from get_item(drive_id, path)
        if item is None:
            yield Sleep(seconds, f"OneDrive does not show {path!r} yet.")
    if item is None:
        return None
    for look, seconds in enumerate(_HASH_SECONDS):
        right_size = item.size_bytes == size_bytes
        if right_size and item.quick_xor_hash is not None:
            break
        if not right_size and look >= len(_LOOK_AGAIN_SECONDS):
            break
        if look:
            yield Sleep(seconds, f"OneDrive has not described {path!r} completely yet.")
        fresh = yield from get_item_by_id(drive_id, item.id)
        item = fresh or item
    return item


def take_name(
    drive_id: str, item: DriveItem, destination: Destination, policy: RetryPolicy, jitter: Callable[[], float]
) -> Steps[DriveItem]:
    """Give a file that was uploaded beside its name that name, by the conflict policy.

    :param drive_id: the drive.
    :param item: the file, complete and verified.
    :param destination: the name, and the policy.
    :param policy: how patient with a name that is blocked by somebody's open session.
    :param jitter: random numbers from 0 to 1.
    :raises NameConflictError: the name is taken and the policy says fail. The file is gone.
    :raises UploadSessionLostError: the name stays blocked. The file is gone.
    """
    try:
        return (yield from _renamed(drive_id, item, destination, Patience(policy, jitter)))
    except (DestinationError, UploadSessionLostError):
        yield from delete_item(drive_id, item.id)
        raise


def _renamed(drive_id: str, item: DriveItem, destination: Destination, patience: Patience) -> Steps[DriveItem]:
    while True:
        try:
            return (yield from rename_item(drive_id, item.id, destination.name, destination.conflict_behavior))
        except NameConflictError as taken:
            existing = yield from get_item(drive_id, destination.path)
            if existing is not None:
                if destination.conflict_behavior == "fail" or existing.is_folder:
                    raise
                if destination.conflict_behavior == "rename":
                    return (yield from _numbered(drive_id, item, destination))
            blocked = TransportError(
                f"The name {destination.name!r} is blocked by an unfinished upload.", status_code=taken.status_code
            )
        try:
            pause = patience.pause_after(blocked, "rename")
        except TransportError:
            raise UploadSessionLostError(
                f"An unfinished upload of somebody else blocks the name {destination.path!r}; it expires within about "
                "15 minutes. Try again then."
            ) from None
        if existing is not None:
            # The service did not replace it by itself; its versions go to the recycle bin.
            yield from delete_item(drive_id, existing.id)
        else:
            yield pause


def _numbered(drive_id: str, item: DriveItem, destination: Destination) -> Steps[DriveItem]:
    taken = {child.name.casefold() for child in (yield from list_children(drive_id, destination.folder))}
    stem, dot, extension = destination.name.rpartition(".")
    if not dot:
        stem, extension = destination.name, ""
    for number in range(1, _MAX_NUMBERED):
        name = f"{stem} {number}{dot}{extension}"
        if name.casefold() not in taken:
            return (yield from rename_item(drive_id, item.id, name, "fail"))
    raise NameConflictError(
        f"{destination.name!r} and {_MAX_NUMBERED} numbered names beside it are taken. Clean the folder up."
    )


def beside(destination: Destination, unique: str) -> Destination:
    """The place beside a name for an upload that cannot be opened on the name itself.

    :param destination: the place wished for.
    :param unique: a word that no other upload uses.
    """
    return replace(destination, name=f"{destination.name}.{unique}.partial", conflict_behavior="replace")


def store_empty(drive_id: str, destination: Destination) -> Steps[DriveItem]:
    """Store a file of no bytes, which an upload session cannot carry.

    :param drive_id: the drive.
    :param destination: where, and what to do if the name is taken.
    :raises NameConflictError: the name is taken and the policy says fail.
    :raises TransferMismatchError: the service holds something else.
    """
    prior = yield from get_item(drive_id, destination.path)
    try:
        item: DriveItem | None
        try:
            item = yield from put_small(drive_id, destination)
        except DestinationError as error:
            if error.status_code != 404:
                raise
            yield from ensure_folder(drive_id, destination.folder)
            item = yield from put_small(drive_id, destination)
    except TransportError:
        # The answer was lost: is the file there nevertheless?
        item = yield from get_item(drive_id, destination.path)
        if item is None or item == prior or item.size_bytes != 0:
            raise
    return item
