"""Microsoft Graph's drive calls, except the upload session.

Paths are percent-encoded segment by segment; the colons around them stay (learn.microsoft.com
``/graph/onedrive-addressing-driveitems``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn
from urllib.parse import quote, unquote

from talent_dmf.api.addresses import link_for_people, parse_address, same_list
from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import (
    AuthenticationError,
    ConfigurationError,
    DestinationBusyError,
    DestinationError,
    NameConflictError,
    ProtocolError,
    TalentDmfError,
    TransferMismatchError,
)
from talent_dmf.api.graph.errors import graph_error
from talent_dmf.api.graph.models import Drive, DriveItem, UploadTarget
from talent_dmf.api.graph.pasted_addresses import check_no_address, site_address
from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.naming.drive_names import folder_segments
from talent_dmf.api.paging import read_list
from talent_dmf.api.parsing import whole_number
from talent_dmf.api.retrying import patience
from talent_dmf.api.steps import Request, Response, Sleep, Steps, hurried, send
from talent_dmf.api.words import counted

CONFLICT_KEY = "@microsoft.graph.conflictBehavior"
_MAX_TEXT_CHARACTERS = 1024
_PIECE_BYTES = 8 * 1024 * 1024
_SIZE_SECONDS = (0.5, 1.0, 2.0)
# A user as mail programs write it: mailto:jo@contoso.com, Jo Doe <jo@contoso.com>.
_MAILBOX = re.compile(r"(?:mailto:|[^<>@]*<)([^\s<>@:]+@[^\s<>@]+?)>?")


@dataclass(frozen=True, slots=True)
class DriveTarget:
    """Whose drive: exactly one of the first four.

    :param drive_id: id of a drive, ``b!…``.
    :param user: user principal name or object id; means the user's OneDrive.
    :param site: SharePoint site: its id, ``hostname:/sites/name``, a hostname for the root site, or the address of one
        of its pages, as the browser shows it.
    :param group: object id of a Microsoft 365 group or team.
    :param library: name of a document library of the site or group, if not the default one.
    """

    drive_id: str | None = None
    user: str | None = None
    site: str | None = None
    group: str | None = None
    library: str | None = None

    def __post_init__(self) -> None:
        for name in ("drive_id", "user", "site", "group", "library"):
            object.__setattr__(self, name, (getattr(self, name) or "").strip() or None)
        if self.user and (mailbox := _MAILBOX.fullmatch(self.user)):
            object.__setattr__(self, "user", mailbox[1])
        given = [name for name in ("drive_id", "user", "site", "group") if getattr(self, name)]
        if len(given) != 1:
            raise ConfigurationError(
                f"The destination names {' and '.join(given) if given else 'no drive'}. Give exactly one of drive_id, "
                "user, site or group."
            )
        if self.library and given[0] not in {"site", "group"}:
            raise ConfigurationError("A library can be chosen for a site or a group only: name the site, not a drive.")
        if self.site:
            object.__setattr__(self, "site", site_address(self.site, self.library))
        else:
            check_no_address(given[0], getattr(self, given[0]))

    def __str__(self) -> str:
        name = next(name for name in ("drive_id", "user", "site", "group") if getattr(self, name))
        return f"{name.replace('_', ' ')} {getattr(self, name)}" + (f", library {self.library}" if self.library else "")


def resolve_drive(target: DriveTarget) -> Steps[Drive]:
    """Find the drive that a target means.

    :raises DestinationError: it does not exist, or the application cannot see it.
    :raises PermissionDeniedError: the application lacks the permission.
    """
    if target.drive_id:
        return (yield from _drive_by_id(target.drive_id))
    if target.user:
        owner = f"/users/{_quoted(target.user)}"
    elif target.group:
        owner = f"/groups/{_quoted(target.group)}"
    else:
        owner = f"/sites/{yield from _site_id(target.site or '')}"
    if target.library:
        return (yield from _library(owner, target))
    response = yield from send(Request("GET", f"{owner}/drive", operation="Resolve drive"))
    return _drive(_object("find the drive of", response, str(target)))


def _drive_by_id(drive_id: str) -> Steps[Drive]:
    """The drive with an id. It may be unreadable by it although its items can be read
    (docs/wire/graph-onedrive.md#drive-by-its-id), whatever the answer: then no more than its id is known.
    """
    try:
        return (yield from hurried(get_drive(drive_id)))
    except AuthenticationError:
        raise
    except TalentDmfError as refusal:
        response = yield from send(Request("GET", item_url(drive_id, ""), operation="Look at drive"))
        if not response.ok:
            raise refusal
        return Drive(id=drive_id, name="", web_url="")


def _site_id(site: str) -> Steps[str]:
    host, colon, path = site.partition(":")
    if "," in site:
        return quote(site, safe=",")
    encoded = "/".join(_quoted(segment) for segment in folder_segments(path))
    url = f"/sites/{_quoted(host)}:/{encoded}" if colon and encoded else f"/sites/{_quoted(host)}"
    response = yield from send(Request("GET", url, operation="Resolve site"))
    found = _object("find the site", response, site)
    return quote(str(found.get("id", "")), safe=",")


def _library(owner: str, target: DriveTarget) -> Steps[Drive]:
    drives = yield from read_list(
        f"{owner}/drives",
        f"list the libraries of {target}",
        partial(graph_error, "list the libraries of", subject=str(target)),
    )
    wanted = (target.library or "").casefold()
    for raw in drives:
        if str(raw.get("name", "")).casefold() == wanted and _text(raw.get("id")):
            return _drive(raw)
    names = ", ".join(sorted(str(raw.get("name")) for raw in drives)) or "none"
    raise DestinationError(
        f"There is no library {target.library!r} at {target.site or target.group}. It has: {names}. Correct the name."
    )


def get_drive(drive_id: str) -> Steps[Drive]:
    """The drive with an id, with what its quota leaves.

    :raises DestinationError: it does not exist, or the application cannot see it.
    """
    response = yield from send(Request("GET", f"/drives/{_quoted(drive_id)}", operation="Read drive"))
    return _drive(_object("find the drive", response, drive_id))


def get_item(drive_id: str, path: str) -> Steps[DriveItem | None]:
    """The file or folder at a path, or ``None``.

    :param drive_id: the drive.
    :param path: path below the root, not encoded.
    :raises PermissionDeniedError: the application lacks the permission.
    """
    response = yield from send(Request("GET", item_url(drive_id, path), operation="Look at destination"))
    if response.status == 404:
        return None
    return read_item(_object("look at", response, path))


def get_item_by_id(drive_id: str, item_id: str) -> Steps[DriveItem | None]:
    """The file or folder with an id, or ``None``."""
    url = f"/drives/{_quoted(drive_id)}/items/{_quoted(item_id)}"
    response = yield from send(Request("GET", url, operation="Look at saved file"))
    if response.status == 404:
        return None
    return read_item(_object("look at", response, item_id))


def get_state(drive_id: str, item_id: str) -> Request:
    """The request for what a service says about a file beside its content; some of it is shown only when selected.

    :param drive_id: the drive.
    :param item_id: the file.
    """
    url = f"/drives/{_quoted(drive_id)}/items/{_quoted(item_id)}"
    select = "id,name,size,eTag,webUrl,file,parentReference,publication,malware,deleted,pendingOperations"
    return Request("GET", f"{url}?$select={select}", operation="Look at saved file")


def check_in_request(drive_id: str, item_id: str) -> Request:
    """The request that checks a file in, as a version that all readers see where the library has drafts
    (learn.microsoft.com ``driveItem: checkin``).

    :param drive_id: the drive.
    :param item_id: the file.
    """
    url = f"/drives/{_quoted(drive_id)}/items/{_quoted(item_id)}/checkin"
    return Request("POST", url, operation="Check in", json={"checkInAs": "published", "comment": "Saved by an export"})


def list_children(drive_id: str, folder: str) -> Steps[list[DriveItem]]:
    """The files and folders in a folder; none if the folder does not exist.

    :param drive_id: the drive.
    :param folder: path below the root, not encoded; ``""`` is the root.
    """
    listed = yield from read_list(
        item_url(drive_id, folder, "children"),
        f"list {folder or '/'!r}",
        partial(graph_error, "list", subject=folder or "/"),
        belongs=_is_page_of_folder,
        absent_ok=True,
    )
    return [read_item(raw) for raw in listed]


def ensure_folder(drive_id: str, folder: str) -> Steps[bool]:
    """Make a folder and those above it, if they are missing.

    Segment by segment, because creating it along with a file is not promised (docs/wire/graph-onedrive.md#folders); the
    last one first, because mostly no other one is missing, and often not even that.

    :param drive_id: the drive.
    :param folder: path below the root, not encoded.
    :returns: whether the folder was made.
    :raises DestinationError: a file has the name of one of the folders, or the drive does not exist.
    """
    segments = folder_segments(folder)
    if not segments:
        return False
    response = yield from _make_folder(drive_id, segments)
    if response.ok or response.status == 409:
        return response.ok
    for depth in range(1, len(segments) + 1):
        response = yield from _make_folder(drive_id, segments[:depth])
        # Somebody, perhaps a lost answer of our own, made it before.
        if response.status != 409:
            _object("create the folder", response, "/".join(segments[:depth]))
    return response.ok


def _make_folder(drive_id: str, segments: Sequence[str]) -> Steps[Response]:
    return send(
        Request(
            "POST",
            item_url(drive_id, "/".join(segments[:-1]), "children"),
            operation="Create folder",
            json={"name": segments[-1], "folder": {}, CONFLICT_KEY: "fail"},
        )
    )


def deepest_folder(drive_id: str, folder: str) -> Steps[str]:
    """Path of a folder, or of the nearest one above it that exists.

    :param drive_id: the drive.
    :param folder: path below the root, not encoded.
    :raises DestinationError: a file has the name of one of the folders.
    """
    segments = folder_segments(folder)
    for depth in range(len(segments), 0, -1):
        path = "/".join(segments[:depth])
        item = yield from get_item(drive_id, path)
        if item is None:
            continue
        if not item.is_folder:
            raise DestinationError(
                f"{path!r} is a file in the drive, so no folder {folder!r} can be made. Remove the file, or name "
                "another folder."
            )
        return path
    return ""


def rename_item(drive_id: str, item_id: str, name: str, conflict_behavior: ConflictBehavior) -> Steps[DriveItem]:
    """Give an item another name in its folder.

    :raises NameConflictError: the name is taken.
    """
    response = yield from send(
        Request(
            "PATCH",
            f"/drives/{_quoted(drive_id)}/items/{_quoted(item_id)}",
            operation="Rename",
            json={"name": name, CONFLICT_KEY: conflict_behavior},
        )
    )
    return read_item(_object("rename the upload to", response, name))


def delete_item(drive_id: str, item_id: str, *, etag: str = "") -> Steps[None]:
    """Delete an item, to the recycle bin; well done also if it is gone already.

    :param drive_id: the drive.
    :param item_id: the item.
    :param etag: its version, if no other one may be deleted.
    """
    url = f"/drives/{_quoted(drive_id)}/items/{_quoted(item_id)}"
    headers = {"If-Match": etag} if etag else {}
    response = yield from send(Request("DELETE", url, operation="Delete", headers=headers))
    if not response.ok and response.status != 404:
        raise graph_error("delete", response, item_id)


def put_small(drive_id: str, target: UploadTarget, content: bytes = b"") -> Steps[DriveItem]:
    """Store a small file in one request.

    Only for what a session cannot carry (0 bytes) and for texts of a few kilobytes: Business has stored a truncated
    file after a broken request (docs/wire/graph-onedrive.md#simple-upload), so the size is compared.

    :raises NameConflictError: the name is taken and the policy says fail.
    :raises TransferMismatchError: the service holds something else.
    """
    url = item_url(drive_id, target.path, "content")
    request = Request(
        "PUT",
        f"{url}?{quote(CONFLICT_KEY)}={target.conflict_behavior}",
        operation="Upload small file",
        content=content,
        headers={"Content-Type": "application/octet-stream"},
        # A second copy or a refusal of our own first one would follow from blind repetition.
        idempotent=target.conflict_behavior == "replace",
    )
    waiting = yield from patience()
    while True:
        response = yield from send(request)
        try:
            item = read_item(_object("save", response, target.path))
        except DestinationBusyError as busy:
            yield waiting.pause_after(busy, "save")
        except NameConflictError as taken:
            if target.conflict_behavior != "replace":
                raise
            # Refused although the policy allows it: an unfinished upload, or somebody has it open.
            blocked = DestinationBusyError(
                f"The name {target.path!r} is blocked by an unfinished upload, or because somebody has the file open. "
                "Try again later.",
                status_code=taken.status_code,
                request_ids=taken.request_ids,
            )
            yield waiting.pause_after(blocked, "save")
        else:
            return (yield from _with_right_size(drive_id, item, target.path, len(content)))


def _with_right_size(drive_id: str, item: DriveItem, path: str, size_bytes: int) -> Steps[DriveItem]:
    """The item, once its size is that of what was sent: the first answer has been seen to be wrong
    (docs/wire/graph-onedrive.md#hashes).
    """
    for seconds in _SIZE_SECONDS:
        if item.size_bytes == size_bytes:
            break
        yield Sleep(
            seconds,
            f"OneDrive says that {path!r} has {counted(item.size_bytes, 'byte')}, where {size_bytes} should be.",
        )
        item = (yield from get_item_by_id(drive_id, item.id)) or item
    if item.size_bytes != size_bytes:
        raise TransferMismatchError(
            f"OneDrive holds {counted(item.size_bytes, 'byte')} of {path!r}, where {size_bytes} should be. "
            "Remove the file there and try again."
        )
    return item


def read_content(drive_id: str, item_id: str, name: str) -> Steps[bytes | None]:
    """The content of a small file, or ``None`` if it is gone: other tasks clean up the same folder.

    The service answers with the address of it (learn.microsoft.com ``driveItem: download``), which takes no bearer
    token.

    :param drive_id: the drive.
    :param item_id: the file.
    :param name: its name, for messages.
    :raises ProtocolError: the service does not give it.
    """
    url = f"/drives/{_quoted(drive_id)}/items/{_quoted(item_id)}/content"
    response = yield from send(Request("GET", url, operation="Read file"))
    location = response.headers.get("location", "")
    if response.status in {301, 302, 303, 307, 308} and location:
        response = yield from send(Request("GET", location, operation="Read file", authorize=False))
    if response.status == 404:
        return None
    if response.status != 200:
        raise ProtocolError(
            f"OneDrive does not give the content of {name!r}. Look at the file there.",
            status_code=response.status,
            request_ids=response.request_ids,
        )
    return response.body


def read_file(drive_id: str, item_id: str, *, most_bytes: int) -> Steps[tuple[DriveItem, bytes]]:
    """A file, whole and verified: by its size, and by its hash where the service gives one.

    The service answers with an address (learn.microsoft.com ``driveItem: download``), which takes ranges.

    :param drive_id: the drive.
    :param item_id: the file.
    :param most_bytes: a longer file is not read.
    :raises DestinationError: there is no such file, or it is too long.
    :raises TransferMismatchError: what came is not what is there.
    """
    item = yield from get_item_by_id(drive_id, item_id)
    if item is None or item.is_folder:
        raise DestinationError(
            f"There is no file with the id {item_id[:100]!r} in the drive (any more): look where it was moved, or name "
            "another."
        )
    if not 0 <= item.size_bytes <= most_bytes:
        raise DestinationError(
            f"{item.name!r} has {item.size_bytes} bytes, and at most {most_bytes} are read here. Raise `max_bytes`, "
            "or read a smaller one."
        )
    content = yield from _content(drive_id, item)
    if len(content) != item.size_bytes or item.quick_xor_hash not in {None, QuickXor(content).base64()}:
        raise TransferMismatchError(
            f"What was read of {item.name!r} is not what is in the drive: {len(content)} bytes of {item.size_bytes}, "
            "or another hash. It may have been replaced while it was read: try again."
        )
    return item, content


def _content(drive_id: str, item: DriveItem) -> Steps[bytes]:
    url = f"/drives/{_quoted(drive_id)}/items/{_quoted(item.id)}/content"
    response = yield from send(Request("GET", url, operation="Read file"))
    if response.ok:
        return response.body
    location = response.headers.get("location", "")
    if not 300 <= response.status < 400 or not location:
        _refuse("read", response, item.name)
    content = bytearray()
    while len(content) < item.size_bytes:
        last = min(len(content) + _PIECE_BYTES, item.size_bytes) - 1
        wanted = {"Range": f"bytes={len(content)}-{last}"}
        piece = yield from send(Request("GET", location, operation="Read file", headers=wanted, authorize=False))
        if not piece.ok or not piece.body:
            _refuse("read", piece, item.name)
        content += piece.body
    return bytes(content)


def item_url(drive_id: str, path: str, action: str = "") -> str:
    """URL, relative to the API's root, of the item at a path.

    :param drive_id: the drive.
    :param path: path below the root, not encoded; ``""`` is the root.
    :param action: what follows the path, such as ``children``.
    """
    encoded = "/".join(_quoted(segment) for segment in folder_segments(path))
    root = f"/drives/{_quoted(drive_id)}/root"
    if not encoded:
        return f"{root}/{action}" if action else root
    return f"{root}:/{encoded}:/{action}" if action else f"{root}:/{encoded}"


def read_item(raw: Mapping[str, Any]) -> DriveItem:
    """The item that a JSON object of Graph describes.

    :param raw: a ``driveItem``.
    """
    file = raw.get("file")
    hashes = file.get("hashes") if isinstance(file, dict) else None
    size = whole_number(raw.get("size"))
    hashed = hashes.get("quickXorHash") if isinstance(hashes, dict) else None
    return DriveItem(
        id=_text(raw.get("id")),
        name=_text(raw.get("name")),
        size_bytes=-1 if size is None else size,
        web_url=link_for_people(raw.get("webUrl")) or "",
        etag=_text(raw.get("eTag")),
        quick_xor_hash=_text(hashed) or None,
        is_folder=raw.get("folder") is not None,
    )


def _drive(raw: Mapping[str, Any]) -> Drive:
    quota = raw.get("quota")
    remaining = quota.get("remaining") if isinstance(quota, dict) else None
    return Drive(
        id=_text(raw.get("id")),
        name=_text(raw.get("name")),
        web_url=link_for_people(raw.get("webUrl")) or "",
        remaining_bytes=whole_number(remaining),
        drive_type=_text(raw.get("driveType")),
    )


def _is_page_of_folder(asked: str, following: str, rows: list[dict[str, Any]]) -> bool:
    """Whether an address names a further page of a folder: Graph spells folders by path or by id."""
    if same_list(asked, following):
        return True
    first, second = parse_address(asked), parse_address(following)
    if first is None or second is None or first.origin != second.origin:
        return False
    paths = [unquote(each.path).casefold() for each in (first, second)]
    parents = {_text(reference.get("id")) for raw in rows if isinstance(reference := raw.get("parentReference"), dict)}
    return all(path.rpartition("/")[2] == "children" for path in paths) and any(
        parent and parent.casefold() in paths[1] for parent in parents
    )


def _object(words: str, response: Response, subject: str) -> dict[str, Any]:
    body = response.json() if response.ok else None
    if not isinstance(body, dict) or not _text(body.get("id")):
        _refuse(words, response, subject)
    return body


def _refuse(words: str, response: Response, subject: str) -> NoReturn:
    raise graph_error(words, response, subject)


def _text(value: object) -> str:
    """A text of an answer; ``""`` for anything else, and for what no id, name or tag is as long as."""
    return value if isinstance(value, str) and len(value) <= _MAX_TEXT_CHARACTERS else ""


def _quoted(segment: str) -> str:
    return quote(segment, safe="!@,")
