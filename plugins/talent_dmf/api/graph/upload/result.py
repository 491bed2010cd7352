"""What is under a name: whether it may be used, what an upload may have become, and files without content."""

from __future__ import annotations

import re

from talent_dmf.api.errors import DestinationError, NameConflictError, TransportError
from talent_dmf.api.graph.drive import ensure_folder, get_item, get_item_by_id, list_children, put_small
from talent_dmf.api.graph.models import Destination, DriveItem
from talent_dmf.api.steps import Sleep, Steps

# The hash of a large file may appear later than the file (docs/wire/graph-onedrive.md#hashes).
_HASH_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
# A wrong size is not waited out for as long: a file appears complete, and only its description may be late.
_WRONG_SIZE_LOOKS = 3


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


def settled(drive_id: str, item: DriveItem, size_bytes: int) -> Steps[DriveItem]:
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


def store_empty(drive_id: str, destination: Destination) -> Steps[DriveItem]:
    """Store a file of no bytes, which an upload session cannot carry.

    :param drive_id: the drive.
    :param destination: where, and what to do if the name is taken.
    :raises NameConflictError: the name is taken and the policy says fail.
    :raises TransferMismatchError: the service holds something else.
    """
    prior = yield from get_item(drive_id, destination.path)
    # The service has been seen to overwrite where it should have failed
    # (docs/wire/graph-onedrive.md#opening-a-session).
    refuse_if_taken(destination, prior)
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
