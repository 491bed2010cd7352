"""Drives, folders and files; files lie on disk under the same names, for a person to open.

Nothing here knows HTTP. Names are compared without case, as OneDrive does (docs/wire/graph-onedrive.md#addressing).
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmf_emulator.clock import VirtualClock, iso_utc
from dmf_emulator.settings import EmulatorError, Settings
from dmf_emulator.state.directory import Directory, Site, User
from dmf_emulator.state.quickxor import QuickXorHash

_DISK_NAME_BYTES = 255
# What of an item outlives a restart beside its bytes.
_KEPT = (
    "item_id", "name", "created_seconds", "modified_seconds", "size_bytes", "quick_xor_hash", "version",
    "content_version", "checked_out", "published", "created_by_client", "modified_by_client",
)  # fmt: skip


@dataclass(slots=True, eq=False)
class Item:
    """A file or folder.

    :param parent: None for the root of a drive.
    :param size_bytes: of a file; a folder's is the sum below it.
    :param quick_xor_hash: base64; empty for folders and for files of no bytes, which have none
        (docs/wire/graph-onedrive.md#hashes).
    :param version: counts all changes, for the eTag.
    :param content_version: counts changes of content, for the cTag.
    :param checked_out: whether only the one who wrote it sees its newest content.
    :param published: how often it was checked in.
    """

    item_id: str
    drive: Drive
    parent: Item | None
    name: str
    is_folder: bool
    created_seconds: float
    modified_seconds: float
    size_bytes: int = 0
    quick_xor_hash: str = ""
    version: int = 1
    content_version: int = 1
    checked_out: bool = False
    published: int = 0
    created_by_client: str = ""
    modified_by_client: str = ""
    children: dict[str, Item] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The decoded path below the root, without a leading slash; empty for the root."""
        if self.parent is None:
            return ""
        return f"{self.parent.path}/{self.name}".lstrip("/")

    @property
    def path_on_disk(self) -> Path:
        """Where its bytes lie, unless they are discarded."""
        if self.parent is None:
            return self.drive.folder
        return self.parent.path_on_disk / disk_name(self.name)

    @property
    def total_bytes(self) -> int:
        """The size of a file, or of all files below a folder."""
        return sum(child.total_bytes for child in self.children.values()) if self.is_folder else self.size_bytes


@dataclass(slots=True, eq=False)
class Drive:
    """One drive: a user's OneDrive or a site's library.

    :param kind: `business` or `documentLibrary`.
    :param owner: principal name of the user, or name of the site.
    :param site_path: path of its site on the SharePoint origin.
    :param folder: where it lies on disk.
    """

    drive_id: str
    name: str
    kind: str
    owner: str
    site_path: str
    folder: Path
    root: Item = field(init=False)


class DriveStore:
    """All drives of the tenant.

    :param settings: for seed and quota.
    :param folder: where files are kept.
    :param directory: whose drives there are.
    :param known: what an earlier run knew of the items, as `facts` gives it.
    """

    def __init__(
        self,
        settings: Settings,
        clock: VirtualClock,
        folder: Path,
        directory: Directory,
        known: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._clock = clock
        self._random = random.Random(f"drives|{settings.seed}")
        self.discard = settings.discard_uploads
        self.quota_bytes = settings.quota_bytes
        self._requires_check_out = settings.library_requires_check_out
        self.lock = threading.RLock()
        self.changes = 0
        self._known = {path: dict(facts) for path, facts in (known or {}).items()}
        self._items: dict[str, Item] = {}
        self._folders: set[str] = set()
        first, *others = directory.users
        self.user_drive = self._create("OneDrive", "business", first.principal_name, folder / "OneDrive")
        self.libraries = tuple(
            self._create(name, "documentLibrary", directory.sites[0].name, folder / name) for name in settings.libraries
        )
        self.site_drive = self.libraries[0]
        self.drives = (
            self.user_drive,
            *self.libraries,
            *(
                self._create("OneDrive", "business", user.principal_name, folder / f"OneDrive - {user.principal_name}")
                for user in others
            ),
            *(
                self._create(name, "documentLibrary", site.name, folder / f"{site.name} - {name}")
                for site in directory.sites[1:]
                for name in settings.libraries
            ),
        )

    def of_user(self, user: User) -> Drive:
        """Return a user's OneDrive."""
        owned = (each for each in self.drives if each.kind == "business" and each.owner == user.principal_name)
        return next(owned)

    def of_site(self, site: Site) -> tuple[Drive, ...]:
        """Return the libraries of a site; the first is its default drive."""
        return tuple(each for each in self.drives if each.kind == "documentLibrary" and each.owner == site.name)

    def reset(self) -> None:
        """Remove all files and folders of all drives."""
        with self.lock:
            for drive in self.drives:
                for child in list(drive.root.children.values()):
                    self.delete(child)

    def facts(self) -> dict[str, dict[str, Any]]:
        """Return what cannot be read from the disk, by drive and path: ids, tags and times of each item."""
        with self.lock:
            return {
                f"{drive.drive_id}/{item.path}": {
                    **{name: getattr(item, name) for name in _KEPT},
                    "disk_seconds": item.path_on_disk.stat().st_mtime,
                }
                for drive in self.drives
                for item in self._walk(drive.root)
                if not self.discard and item.path_on_disk.exists()
            }

    def find_drive(self, drive_id: str) -> Drive | None:
        """Return a drive by id."""
        return next((drive for drive in self.drives if drive.drive_id == drive_id), None)

    def find_item(self, drive: Drive, item_id: str) -> Item | None:
        """Return an item by id; `root` names the root."""
        if item_id.lower() == "root":
            return drive.root
        item = self._items.get(item_id.upper())
        return item if item is not None and item.drive is drive else None

    def find_path(self, start: Item, names: list[str]) -> Item | None:
        """Return the item at a path below another one.

        :param names: decoded path segments.
        """
        item: Item | None = start
        for name in names:
            item = item.children.get(name.casefold()) if item is not None and item.is_folder else None
        return item

    def used_bytes(self, drive: Drive) -> int:
        """Return how much of the quota is used."""
        with self.lock:
            return drive.root.total_bytes

    def create_folder(self, parent: Item, name: str) -> Item:
        """Create a folder; the caller has made sure that the name is free."""
        with self.lock:
            item = self._add(parent, name, is_folder=True)
            if not self.discard:
                item.path_on_disk.mkdir(parents=True, exist_ok=True)
            return item

    def put_file(
        self, parent: Item, name: str, content: Path | None, size_bytes: int, quick_xor_hash: str
    ) -> tuple[Item, bool]:
        """Create a file or replace its content; say whether it is new.

        :param content: complete temporary file that becomes the file; None when bytes are discarded.
        """
        with self.lock:
            item = parent.children.get(name.casefold())
            is_new = item is None
            if item is None:
                item = self._add(parent, name, is_folder=False)
            else:
                item.content_version += 1
                self.touch(item)
            item.checked_out = self._requires_check_out and parent.drive.kind == "documentLibrary"
            item.published += not item.checked_out
            item.size_bytes = size_bytes
            item.quick_xor_hash = quick_xor_hash if size_bytes else ""
            if content is not None:
                item.path_on_disk.parent.mkdir(parents=True, exist_ok=True)
                # The file appears under its name only when it is complete.
                os.replace(content, item.path_on_disk)
            return item, is_new

    def move(self, item: Item, parent: Item, name: str) -> None:
        """Rename or move an item; the caller has made sure that the name is free."""
        with self.lock:
            before = item.path_on_disk
            if item.parent is not None:
                del item.parent.children[item.name.casefold()]
            item.parent, item.name = parent, name
            parent.children[name.casefold()] = item
            self.touch(item)
            if not self.discard and before.exists():
                os.replace(before, item.path_on_disk)

    def check_in(self, item: Item) -> None:
        """Let everybody see the newest content."""
        with self.lock:
            item.published += item.checked_out
            item.checked_out = False
            self.touch(item)

    def check_out(self, item: Item) -> None:
        """Keep the next content from others until it is checked in."""
        with self.lock:
            item.checked_out = True
            self.touch(item)

    def is_within(self, item: Item | None, folder: Item) -> bool:
        """Whether an item is a folder or lies somewhere below it."""
        while item is not None and item is not folder:
            item = item.parent
        return item is folder

    def delete(self, item: Item) -> None:
        """Remove an item and all below it."""
        with self.lock:
            if item.parent is None:
                return
            self.changes += 1
            if item.path_on_disk.is_dir():
                shutil.rmtree(item.path_on_disk)
            else:
                item.path_on_disk.unlink(missing_ok=True)
            for each in list(self._walk(item)):
                del self._items[each.item_id]
            del item.parent.children[item.name.casefold()]

    def files(self, drive: Drive) -> list[Item]:
        """Return all files of a drive, by path."""
        with self.lock:
            return sorted((each for each in self._walk(drive.root) if not each.is_folder), key=lambda each: each.path)

    def _create(self, name: str, kind: str, owner: str, folder: Path) -> Drive:
        encoded = base64.urlsafe_b64encode(self._random.randbytes(48)).decode().rstrip("=")
        if folder.name.casefold() in self._folders:
            raise EmulatorError(f"two drives would be kept in the folder {folder.name!r}: name the library otherwise")
        self._folders.add(folder.name.casefold())
        path = f"/personal/{re.sub('[@.]', '_', owner)}" if kind == "business" else f"/sites/{owner}"
        drive = Drive(f"b!{encoded}", name, kind, owner, path, folder)
        if not self.discard:
            drive.folder.mkdir(parents=True, exist_ok=True)
        now = self._clock.timestamp()
        drive.root = Item(
            self._new_id(), drive, None, "root", is_folder=True, created_seconds=now, modified_seconds=now
        )
        self._items[drive.root.item_id] = drive.root
        if not self.discard:
            self._load(drive.root)
        return drive

    def _load(self, parent: Item) -> None:
        """Take in what an earlier run has left on disk, with the ids and tags it had."""
        names = {disk_name(str(facts["name"])): str(facts["name"]) for facts in self._known.values()}
        for path in sorted(parent.path_on_disk.iterdir()):
            item = self._add(parent, names.get(path.name, path.name), is_folder=path.is_dir())
            status = path.stat()
            item.created_seconds = item.modified_seconds = status.st_mtime
            facts = self._known.get(f"{parent.drive.drive_id}/{item.path}")
            unchanged = facts is not None and facts["disk_seconds"] == status.st_mtime
            if facts is not None:
                del self._items[item.item_id]
                for name in _KEPT:
                    setattr(item, name, facts[name])
                self._items[item.item_id] = item
            if path.is_dir():
                self._load(item)
            elif not unchanged or item.size_bytes != status.st_size:
                self._read_content(item, path)
                if facts is not None:
                    # Somebody has written the file on disk meanwhile.
                    item.content_version += 1
                    self.touch(item)

    def _read_content(self, item: Item, path: Path) -> None:
        digest = QuickXorHash()
        with path.open("rb") as file:
            while block := file.read(1024 * 1024):
                digest.update(block)
        item.size_bytes = path.stat().st_size
        item.quick_xor_hash = digest.base64() if item.size_bytes else ""

    def _add(self, parent: Item, name: str, *, is_folder: bool) -> Item:
        now = self._clock.timestamp()
        item = Item(self._new_id(), parent.drive, parent, name, is_folder, created_seconds=now, modified_seconds=now)
        parent.children[name.casefold()] = item
        self._items[item.item_id] = item
        self.changes += 1
        return item

    def touch(self, item: Item) -> None:
        """Note that something of an item has changed: its eTag is another one, whatever it was."""
        self.changes += 1
        item.version += 1
        item.modified_seconds = self._clock.timestamp()
        item.modified_by_client = ""

    def _new_id(self) -> str:
        while (identifier := "01" + base64.b32encode(self._random.randbytes(20)).decode()) in self._items:
            # The same seed as before a restart gives the same ids.
            continue
        return identifier

    def _walk(self, item: Item) -> Iterator[Item]:
        yield item
        for child in item.children.values():
            yield from self._walk(child)


def disk_name(name: str) -> str:
    """Return the name under which a file lies on disk: its own, unless the disk has no room for so many bytes.

    OneDrive counts characters, most disks count bytes.
    """
    encoded = name.encode()
    if len(encoded) <= _DISK_NAME_BYTES:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:16]
    return f"{encoded[: _DISK_NAME_BYTES - 17].decode(errors='ignore')}-{digest}"


def item_time(client_time: str, timestamp_seconds: float) -> str:
    """Return the time a client has set, or else the service's own.

    :param client_time: as the client sent it; empty when it did not.
    """
    return client_time or iso_utc(timestamp_seconds)
