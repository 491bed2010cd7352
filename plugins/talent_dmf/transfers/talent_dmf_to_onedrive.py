"""The transfer operator: a data package goes from Dynamics 365 to OneDrive for Business."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, cast

from talent_dmf.api.arguments import CONN_ID, Rule, check_arguments, optional, text
from talent_dmf.api.graph.upload.ranges import MAX_FRAGMENT_BYTES
from talent_dmf.transfers.base import SavePackageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from talent_dmf.api.choices import ConflictBehavior
    from talent_dmf.api.findings import Finding
    from talent_dmf.destinations.base import DestinationFolder
    from talent_dmf.destinations.onedrive.session_store import SessionStore
    from talent_dmf.destinations.task_state import TaskState
    from talent_dmf.hooks.onedrive import OneDriveHook

_SESSION_KEY = "upload_session"
_SETTLE_SECONDS = 30.0


class TalentDmfToOneDriveOperator(SavePackageOperator):
    """Saves an exported package in OneDrive for Business or a SharePoint library, verified and resumable.

    It fetches a fresh signed URL by the execution id, so an expired link cannot fail a retry. It reads and uploads at
    the same time in constant memory. A retry, even after the worker was killed, goes on where OneDrive stands. It
    succeeds only if size and quickXorHash in OneDrive are those of the package.

    The parameters of :class:`~talent_dmf.transfers.base.SavePackageOperator`, and:

    :param chunk_bytes: longest range of an upload, a multiple of 320 KiB below 60 MiB. A range is sent while it is
        read, and is as long as what passes in ten seconds, so memory does not depend on it.
    :param folder: path of the folder below the drive's root, made if missing; ``""`` is the root.
    :param drive_id: id of the drive, or one of the next three; without any, the connection says whose drive.
    :param user: user principal name or id whose OneDrive is meant.
    :param site: SharePoint site: id, or ``hostname:/sites/name``.
    :param group: id of a Microsoft 365 group.
    :param library: name of a library of the site or group, if not the default one.
    :param onedrive_conn_id: connection to Microsoft Graph.
    :returns: XCom ``return_value``: ``drive_item_id``, ``web_url``, ``name``, ``size``, ``quick_xor_hash``,
        ``folder_url``; with ``unpack`` also ``files``, and with ``instead`` the first five are those of the folder.
    :raises AirflowFailException: a permanent error: name taken, folder impossible, no rights, no quota, package gone.
    """

    template_fields: Sequence[str] = (
        *SavePackageOperator.template_fields,
        "folder",
        "drive_id",
        "user",
        "site",
        "group",
        "library",
        "onedrive_conn_id",
    )
    argument_rules: ClassVar[Mapping[str, Rule]] = {
        **SavePackageOperator.argument_rules,
        "folder": optional(text(empty=True)),
        **dict.fromkeys(("drive_id", "user", "site", "group", "library"), optional(text(empty=True))),
        "onedrive_conn_id": CONN_ID,
    }

    def __init__(
        self,
        *,
        folder: str = "",
        drive_id: str | None = None,
        user: str | None = None,
        site: str | None = None,
        group: str | None = None,
        library: str | None = None,
        onedrive_conn_id: str = "onedrive_default",
        chunk_bytes: int = MAX_FRAGMENT_BYTES,
        **kwargs: Any,
    ) -> None:
        super().__init__(chunk_bytes=chunk_bytes, **kwargs)
        self.folder = folder
        self.drive_id = drive_id
        self.user = user
        self.site = site
        self.group = group
        self.library = library
        self.onedrive_conn_id = onedrive_conn_id
        check_arguments(self, self.argument_rules, templated=tuple(self.template_fields))

    def check_name(self, name: str) -> None:
        """Check a file's name and path without asking anybody."""
        from talent_dmf.api.naming.drive_names import check_path

        check_path(self.folder or "", name)

    def check_connection(self) -> Finding | None:
        """Whether the connection signs in, and finds the drive."""
        from talent_dmf.api.findings import Finding
        from talent_dmf.hooks.onedrive import OneDriveHook

        works, words = OneDriveHook(self.onedrive_conn_id).test_connection(self._chosen_drive())
        return Finding(f"connection {self.onedrive_conn_id}", "ok" if works else "failed", words)

    def _chosen_drive(self) -> dict[str, str | None]:
        return {name: getattr(self, name) for name in ("drive_id", "user", "site", "group", "library")}

    @contextmanager
    def open_folder(self, context: Context) -> Iterator[DestinationFolder]:
        """The folder in the drive that is meant."""
        from talent_dmf.destinations.onedrive.folder import OneDriveFolder
        from talent_dmf.destinations.progress import ProgressLog
        from talent_dmf.destinations.task_state import TaskState
        from talent_dmf.hooks.onedrive import OneDriveHook

        graph = OneDriveHook(self.onedrive_conn_id)
        state = TaskState(context.get("task_state_store"), _SESSION_KEY, self.log)
        try:
            yield OneDriveFolder(
                graph,
                graph.resolve_drive(graph.target(**self._chosen_drive())),
                self.folder or "",
                cast("ConflictBehavior", self.conflict_behavior),
                stores=lambda slot: self._session_store(context, graph, state, slot),
                sha256=self.receipt,
                progress=ProgressLog(self.log),
                last_try=context["ti"].try_number > context["ti"].max_tries,
            )
        finally:
            # A try that failed has just left its place for the next one.
            state.settle(_SETTLE_SECONDS)

    def _session_store(self, context: Context, graph: OneDriveHook, state: TaskState, slot: str) -> SessionStore | None:
        from talent_dmf.auth.encryption import Encryption
        from talent_dmf.destinations.onedrive.session_store import EncryptedSessionStore

        secret = graph.settings.identity.encryption_secret
        if not secret:
            self.log.info("The connection has no secret of its own: a retry of this task uploads from the beginning.")
            return None
        if context.get("task_state_store") is None:
            return None
        encryption = Encryption(secret, f"{self.onedrive_conn_id}/{self.dag_id}/{self.task_id}")
        return EncryptedSessionStore(state, slot, encryption)
