"""What is known of an upload between two tries of a task."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from talent_dmf.api.graph.models import Destination, DriveItem

_VERSION = 2


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """An upload that was begun or completed. It holds the upload URL, a secret: keep it sealed only.

    :param drive_id: the drive.
    :param folder: folder of the destination.
    :param name: name wished for.
    :param conflict_behavior: the policy.
    :param source_version: fingerprint or entity tag of the source.
    :param size_bytes: its length.
    :param upload_url: upload URL of the open session; ``""`` once the file is complete.
    :param expires_at: when the service drops the session, as it wrote it.
    :param placed_name: name that the session writes to, if it is not ``name``.
    :param prior_id: item that had the name before the upload began.
    :param prior_etag: its version.
    :param hash_state: state of the quickXorHash of the source's first bytes.
    :param unproven_id: the complete item, while it is not verified.
    :param unproven_etag: its version when the service named it.
    :param unproven_is_new: whether the upload made it, and not only a version of it.
    :param item_id: the complete and verified item.
    :param quick_xor_hash: its hash.
    """

    drive_id: str
    folder: str
    name: str
    conflict_behavior: str
    source_version: str
    size_bytes: int
    upload_url: str = ""
    expires_at: str = ""
    placed_name: str = ""
    prior_id: str = ""
    prior_etag: str = ""
    hash_state: tuple[int, str] = (0, "0")
    unproven_id: str = ""
    unproven_etag: str = ""
    unproven_is_new: bool = False
    item_id: str = ""
    quick_xor_hash: str = ""

    def __repr__(self) -> str:
        return f"<UploadRecord of {self.name!r}, hashed {self.hash_state[0]} of {self.size_bytes} bytes>"

    def fits(self, drive_id: str, destination: Destination, source_version: str, size_bytes: int) -> bool:
        """Whether it is about the same version of the same source and the same destination."""
        mine = (self.drive_id, self.folder, self.name, self.conflict_behavior, self.source_version, self.size_bytes)
        wanted = (drive_id, destination.folder, destination.name, destination.conflict_behavior)
        return bool(self.source_version) and mine == (*wanted, source_version, size_bytes)

    def is_over(self, moment: datetime) -> bool:
        """Whether the session has expired; one that has never said when is not waited for.

        :param moment: present time, aware.
        """
        try:
            expires = datetime.fromisoformat(self.expires_at)
        except ValueError:
            return True
        return moment >= (expires if expires.tzinfo else expires.replace(tzinfo=UTC))

    def finished(self, item: DriveItem, quick_xor_hash: str) -> UploadRecord:
        """The record of the completed upload: nothing secret is left in it."""
        return replace(
            self, upload_url="", expires_at="", unproven_id="", item_id=item.id, quick_xor_hash=quick_xor_hash
        )

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON, to be sealed."""
        return {**asdict(self), "hash_state": list(self.hash_state), "version": _VERSION}

    @classmethod
    def from_json(cls, raw: object) -> UploadRecord | None:
        """The record that was stored, or ``None`` if this release cannot read it: the upload then begins anew.

        :param raw: what :meth:`to_json` gave.
        """
        if not isinstance(raw, dict) or raw.get("version") != _VERSION:
            return None
        known = {name: raw[name] for name in cls.__dataclass_fields__ if name in raw}
        try:
            length, folded = known.pop("hash_state", (0, "0"))
            return cls(**known, hash_state=(int(length), str(folded)))
        except (TypeError, ValueError):
            return None
