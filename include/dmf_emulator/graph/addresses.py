"""The two ways in which the drive API addresses items: by id and by path.

Source: docs/wire/graph-onedrive.md#addressing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

_DRIVE = re.compile(
    r"(?:me/drive(?=/|\Z)"
    r"|(?:me|users/[^/:]+|sites/[^/:]+|sites/[^/:]+:/[^:]*:|groups/[^/:]+)/drives/(?P<nested>[^/:]+)"
    r"|users/(?P<user>[^/:]+)/drive(?=/|\Z)"
    r"|sites/(?P<site>[^/:]+(?::/[^:]*:)?)/drive(?=/|\Z)"
    r"|groups/(?P<group>[^/:]+)/drive(?=/|\Z)"
    r"|drives/(?P<drive>[^/:]+))"
)
_ITEM = re.compile(
    r"/(?:root|items/(?P<item>[^/:]+))(?::/?(?P<path>[^:]*)(?::(?P<after_path>/[^:]*)?)?|(?P<after_id>/[^:]*))?\Z"
)
_COLLECTION = re.compile(
    r"(?:(?P<me>me)|(?P<owner>users|sites|groups)/(?P<id>[^/:]+(?::/[^:]*:?)?))(?P<drives>/drives)?\Z"
)


@dataclass(frozen=True, slots=True)
class DriveAddress:
    """Which drive, item and facet of it a path names.

    :param owner: `me`, `user`, `site`, `group` or `drive`.
    :param owner_id: decoded; empty for `me`.
    :param item_id: None when the drive itself is meant; `root` for its root.
    :param names: decoded path segments below the item.
    :param facet: what follows, such as `children`; empty for the item.
    """

    owner: str
    owner_id: str
    item_id: str | None
    names: tuple[str, ...]
    facet: str


@dataclass(frozen=True, slots=True)
class OwnerAddress:
    """A user, site or group, or its list of drives."""

    owner: str
    owner_id: str
    lists_drives: bool


def _decoded_colons(path: str) -> str:
    """Return a path whose colons and slashes around an item's path are no longer encoded, as some clients send them.

    A name can hold neither of them, so nothing else can be meant.
    """
    start = re.search(r"/(?:root|items/[^/:]+?)(%3A|:)(?=/|%2F)", path, re.IGNORECASE)
    if start is None:
        return path
    head, rest = path[: start.start(1)], path[start.end() :]
    rest = re.sub(r"%2F", "/", rest, flags=re.IGNORECASE)
    return f"{head}:{re.sub(r'%3A(?=/|$)', ':', rest, flags=re.IGNORECASE)}"


def parse_address(path: str) -> DriveAddress | OwnerAddress | None:
    """Take a path apart; None when it is none of the drive API.

    :param path: percent-encoded, below the version segment, without slashes at its ends.
    """
    path = _decoded_colons(path)
    drive = _DRIVE.match(path)
    if drive is None:
        collection = _COLLECTION.match(path)
        if collection is None:
            return None
        owner = "me" if collection["me"] else collection["owner"].removesuffix("s")
        return OwnerAddress(owner, unquote(collection["id"] or ""), bool(collection["drives"]))
    owner, owner_id = "me", ""
    for name in ("user", "site", "group", "drive", "nested"):
        if drive[name]:
            owner, owner_id = ("drive" if name == "nested" else name), unquote(drive[name])
    rest = path[drive.end() :]
    if not rest:
        return DriveAddress(owner, owner_id, None, (), "")
    item = _ITEM.match(rest)
    if item is None:
        return None
    names = tuple(unquote(name) for name in (item["path"] or "").split("/") if name)
    facet = (item["after_path"] or item["after_id"] or "").strip("/")
    return DriveAddress(owner, owner_id, unquote(item["item"] or "root"), names, facet)
