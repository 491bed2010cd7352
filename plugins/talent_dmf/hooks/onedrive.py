"""The hook for OneDrive for Business and SharePoint libraries through Microsoft Graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from talent_dmf.api.arguments import checked_call, holding, mapping, number, optional, text
from talent_dmf.api.errors import ItemChangedError, TalentDmfError
from talent_dmf.api.graph.drive import DriveTarget, get_item, put_small, read_file, resolve_drive
from talent_dmf.api.graph.models import Drive, DriveItem, UploadTarget
from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.graph.visibility import seen_by_others
from talent_dmf.hooks.service import CONNECTION, ServiceHook, signed_in
from talent_dmf.hooks.settings import TESTING_POLICY, DriveSettings, drive_settings

if TYPE_CHECKING:
    from airflow.sdk import Connection


_MAX_TEXT_BYTES = 4 * 1024 * 1024


def _content(value: object) -> str | None:
    fits = isinstance(value, str) and len(value) <= _MAX_TEXT_BYTES
    return None if fits else f"must be a text of at most {_MAX_TEXT_BYTES} characters"


class OneDriveHook(ServiceHook[DriveSettings]):
    """Saves files in OneDrive for Business and SharePoint.

    :param onedrive_conn_id: connection of type ``msgraph``, as the azure provider defines it: login is the client id,
        password the client secret, extras ``tenant_id``, ``authority``, ``certificate_*``, ``scopes``, ``base_url``,
        ``proxies``, ``verify``, ``drive_id``; and ours: ``user``, ``site``, ``group``, ``library``.
    """

    conn_name_attr = "onedrive_conn_id"
    default_conn_name = "onedrive_default"
    # The connection type belongs to the azure provider; one connection serves its operators and ours.
    conn_type = "msgraph"
    hook_name = "OneDrive for Business"

    def __init__(self, onedrive_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(onedrive_conn_id, **kwargs)

    @checked_call(connection=CONNECTION)
    def read_connection(self, connection: Connection) -> DriveSettings:
        """Graph, who signs in, and whose drive is meant."""
        return drive_settings(connection)

    @checked_call(chosen=mapping(optional(text(empty=True))))
    def target(self, **chosen: str | None) -> DriveTarget:
        """Whose drive is meant: what a task chooses, or else what the connection names.

        :param chosen: ``drive_id``, ``user``, ``site``, ``group`` or ``library``.
        :raises ConfigurationError: none or several of them.
        """
        given = {name: value for name, value in chosen.items() if value}
        return DriveTarget(**(given or dict(self.settings.target)))

    @checked_call(target=holding("drive_id", "library", what="a DriveTarget"))
    def resolve_drive(self, target: DriveTarget) -> Drive:
        """The drive that a target means, with what its quota leaves."""
        return self.run(resolve_drive(target))

    @checked_call(drive_id=text(), path=text(empty=True))
    def get_item(self, drive_id: str, path: str) -> DriveItem | None:
        """The file or folder at a path below the drive's root, or ``None``."""
        return self.run(get_item(drive_id, path))

    @checked_call(
        drive_item_id=text(),
        drive_id=optional(text()),
        quick_xor_hash=optional(text()),
        max_bytes=number(1, 2**31, whole=True),
    )
    def read_file(
        self,
        drive_item_id: str,
        *,
        drive_id: str | None = None,
        quick_xor_hash: str | None = None,
        max_bytes: int = 64 * 1024 * 1024,
    ) -> bytes:
        """The content of a file, verified: what an export has saved, for whoever goes on with it.

        :param drive_item_id: the file, as the transfer operator returns it and the asset's event says.
        :param drive_id: its drive; that of the connection if ``None``.
        :param quick_xor_hash: what the file must have, base64: the one that was saved, and no later version of it.
        :param max_bytes: a longer file is not read, because all of it is held in memory.
        :raises DestinationError: there is no such file, or it is too long.
        :raises ItemChangedError: it is another version.
        :raises TransferMismatchError: what came is not what is there.
        """
        drive = drive_id or self.resolve_drive(self.target()).id
        item, content = self.run(read_file(drive, drive_item_id, most_bytes=max_bytes))
        if quick_xor_hash is not None and QuickXor(content).base64() != quick_xor_hash:
            raise ItemChangedError(
                f"{item.name!r} in OneDrive is not the version that was saved: somebody has replaced it since. Use "
                "the asset event of the last export, or look into the file's version history."
            )
        return content

    @checked_call(drive_id=text(), target=holding("path", "conflict_behavior", what="an UploadTarget"), text=_content)
    def save_text(self, drive_id: str, target: UploadTarget, text: str) -> DriveItem:
        """Save a short text as a file, in UTF-8.

        :param drive_id: the drive.
        :param target: folder, name and conflict policy.
        :param text: a few kilobytes at most.
        :raises TransferMismatchError: the service kept something else than the text.
        :raises TransferError: others do not see it as it was saved.
        """
        content, notices = text.encode(), list[str]()
        item = self.run(put_small(drive_id, target, content))
        item = self.run(seen_by_others(drive_id, item, QuickXor(content).base64(), notices, target.folder))
        for notice in notices:
            self.log.warning("%s", notice)
        return item

    @checked_call(chosen=optional(mapping(optional(text(empty=True)))))
    def test_connection(self, chosen: Mapping[str, str | None] | None = None) -> tuple[bool, str]:
        """Say whether the connection works and, if not, what is wrong and what to do.

        :param chosen: the drive that a task chooses, as for :meth:`target`; that of the connection if ``None``.
        """
        self._policy = TESTING_POLICY
        try:
            signed_in(self.settings.identity).token()
            if not self.settings.target and not any((chosen or {}).values()):
                return True, (
                    "Signed in. The connection names no drive: set the extra `user`, `site`, `group` or `drive_id`, or "
                    "name one in each task."
                )
            drive = self.resolve_drive(self.target(**(chosen or {})))
        except TalentDmfError as error:
            return False, str(error)
        if drive.remaining_bytes is not None and drive.remaining_bytes < 10 * 1024 * 1024:
            left = f"{drive.remaining_bytes} bytes are left"
            return False, f"Signed in, but drive {drive.name!r} is full: {left}. Free space, or raise the quota."
        left = "" if drive.remaining_bytes is None else f", {drive.remaining_bytes / 1024**3:.1f} GiB are left"
        return (
            True,
            f"Signed in; drive {drive.name!r} can be read{left}. Whether it can be written shows a check of an export.",
        )
