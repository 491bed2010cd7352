"""Drives and what lies in them, as Microsoft Graph describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from talent_dmf.api.choices import ConflictBehavior


@dataclass(frozen=True, slots=True)
class UploadTarget:
    """Where a file goes in a drive.

    :param folder: path of the folder below the drive's root, segments separated by ``/``; ``""`` is the root.
    :param name: file name.
    :param conflict_behavior: what to do if the name is taken: ``fail``, ``replace`` (a new version) or ``rename``.
    """

    folder: str
    name: str
    conflict_behavior: ConflictBehavior = "fail"

    @property
    def path(self) -> str:
        """Path of the file below the drive's root, not encoded."""
        folder = self.folder.strip("/")
        return f"{folder}/{self.name}" if folder else self.name


@dataclass(frozen=True, slots=True)
class Drive:
    """A document library, as Graph describes it.

    :param remaining_bytes: what its quota leaves, or ``None`` if the service does not say.
    :param drive_type: ``business`` is somebody's OneDrive, ``documentLibrary`` the library of a site or group.
    """

    id: str
    name: str
    web_url: str
    remaining_bytes: int | None = None
    drive_type: str = ""


@dataclass(frozen=True, slots=True)
class DriveItem:
    """A file in a drive, as Graph describes it.

    :param size_bytes: length in bytes; -1 if the service does not say.
    :param quick_xor_hash: base64 of the service's quickXorHash, or ``None`` while it has none.
    :param is_folder: whether it is a folder instead.
    """

    id: str
    name: str
    size_bytes: int
    web_url: str
    etag: str = ""
    quick_xor_hash: str | None = None
    is_folder: bool = False

    def to_json(self) -> dict[str, Any]:
        """The item as plain JSON, for an XCom, in the names that the DAG's readers know."""
        return {
            "drive_item_id": self.id,
            "name": self.name,
            "size": self.size_bytes,
            "web_url": self.web_url,
            "quick_xor_hash": self.quick_xor_hash,
        }
