"""A file that is complete and verified, as another person will see it (docs/wire/graph-onedrive.md#state-of-a-file)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from talent_dmf.api.errors import DestinationError, ItemChangedError, ProtocolError, TalentDmfError
from talent_dmf.api.graph.drive import check_in_request, get_state, read_item
from talent_dmf.api.graph.errors import Refusal, meaning
from talent_dmf.api.graph.models import DriveItem
from talent_dmf.api.steps import Sleep, Steps, send

# A file may be described as pending for a moment after it was saved.
_SEEN_SECONDS = (1.0, 2.0, 5.0, 10.0, 15.0)


def seen_by_others(
    drive_id: str, item: DriveItem, whole_hash: str, notices: list[str], folder: str | None = None
) -> Steps[DriveItem]:
    """A file that is complete and verified, once nothing says that another person will see something else
    (docs/wire/graph-onedrive.md#state-of-a-file).

    A file that stays checked out, because its library demands that, is checked in. A draft is left to whoever publishes
    or approves in its library, and said; so is a file that has another name or place by now.

    :param drive_id: the drive.
    :param item: the file.
    :param whole_hash: its quickXorHash in base64.
    :param notices: takes note of what could not be found out, and of what a person should know.
    :param folder: path of the folder that it was saved in, below the drive's root.
    :returns: the file with the name and the address that it has by now.
    :raises ItemChangedError: it is gone, or its content is another one: by the library or by somebody.
    :raises DestinationError: malware was found in it, or it cannot be checked in.
    :raises ProtocolError: others will see it later only.
    """
    for seconds in (*_SEEN_SECONDS, 0.0):
        try:
            response = yield from send(get_state(drive_id, item.id))
        except TalentDmfError as error:
            notices.append(f"Whether others see {item.name!r} could not be found out: {error.message}")
            return item
        if response.status in {404, 410}:
            raise _removed(item)
        raw = response.json() if response.ok else None
        if not isinstance(raw, dict) or raw.get("id") != item.id:
            if not response.ok and meaning("look at", response) is Refusal.MALWARE:
                raise _infected(item)
            notices.append(f"Whether others see {item.name!r} could not be found out (HTTP {response.status}).")
            return item
        seen = read_item(raw)
        _check_content(item, seen, whole_hash, raw)
        publication = raw.get("publication")
        level = str(publication.get("level")).casefold() if isinstance(publication, dict) else ""
        if level == "checkout":
            yield from _check_in(drive_id, item, checked_in=seconds != _SEEN_SECONDS[0])
        elif not _is_pending(raw.get("pendingOperations")):
            notices += _remarks(item, seen, raw, level, folder)
            return replace(item, name=seen.name or item.name, web_url=seen.web_url or item.web_url)
        if seconds:
            yield Sleep(seconds, f"Others do not see {item.name!r} as it is yet.")
    raise ProtocolError(
        f"OneDrive has {item.name!r}, verified, and shows others what was there before until a pending operation is "
        "over. Try again later: nothing will be sent again."
    )


def _is_pending(operations: Any) -> bool:
    """Whether an operation is named that may change the content: one that is null is over."""
    if isinstance(operations, dict):
        return any(value is not None for name, value in operations.items() if not name.startswith("@"))
    return bool(operations)


def _removed(item: DriveItem) -> ItemChangedError:
    return ItemChangedError(
        f"OneDrive had {item.name!r}, verified, and does not show it any more: somebody or a policy of the "
        "tenant removed it. Look into the recycle bin and the quarantine; then clear the task to save it again."
    )


def _infected(item: DriveItem) -> DestinationError:
    return DestinationError(
        f"OneDrive found malware in {item.name!r} and lets nobody open it. Look at the data with your security team."
    )


def _check_content(item: DriveItem, seen: DriveItem, whole_hash: str, raw: Mapping[str, Any]) -> None:
    # A facet stands for what it says by being there, whatever is in it (learn.microsoft.com "Deleted facet").
    if raw.get("malware") is not None:
        raise _infected(item)
    if raw.get("deleted") is not None:
        raise _removed(item)
    if seen.size_bytes not in {-1, item.size_bytes} or seen.quick_xor_hash not in {None, whole_hash}:
        raise ItemChangedError(
            f"{item.name!r} is not what was saved any more: it has {seen.size_bytes} bytes, and had {item.size_bytes}. "
            "The library or somebody changed it. Look at its version history, where what was saved is; then save in a "
            "folder that leaves files as they are."
        )


def _remarks(item: DriveItem, seen: DriveItem, raw: Mapping[str, Any], level: str, folder: str | None) -> Iterator[str]:
    """What a person should know who looks for the file."""
    if level == "draft":
        yield (
            f"{item.name!r} is a draft in its library: who may not see drafts there sees nothing, or the version "
            "before, until somebody publishes or approves it."
        )
    if seen.name and seen.name != item.name:
        yield f"{item.name!r} is called {seen.name!r} by now: the library or somebody renamed it."
    parent = raw.get("parentReference")
    _, root, path = str(parent.get("path") if isinstance(parent, dict) else "").partition("root:")
    if folder is None or not root:
        return
    if _folder_key(folder) not in {_folder_key(path), _folder_key(unquote(path))}:
        yield f"{item.name!r} is in {path[:400]!r} by now, not in {folder!r}: somebody or a rule moved it."


def _folder_key(path: str) -> str:
    return unicodedata.normalize("NFC", path).strip("/").casefold()


def _check_in(drive_id: str, item: DriveItem, *, checked_in: bool) -> Steps[None]:
    refused = checked_in
    if not checked_in:
        response = yield from send(check_in_request(drive_id, item.id))
        refused = not response.ok
    if refused:
        raise DestinationError(
            f"OneDrive has {item.name!r}, verified, but checked out: nobody else sees it. Its library demands that "
            "files are checked out, and did not let us check it in. Do it there, or turn that setting off."
        )
