"""The transfer operator for every other place: a data package goes to a disk or an object store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, cast

from talent_dmf.api.arguments import Rule, check_arguments, optional, text
from talent_dmf.transfers.base import SavePackageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from talent_dmf.api.choices import ConflictBehavior
    from talent_dmf.destinations.base import DestinationFolder

_FACTS_KEY = "stored_object"


class TalentDmfToObjectStorageOperator(SavePackageOperator):
    """Saves an exported package wherever Airflow's ``ObjectStoragePath`` reaches: Azure Blob storage and Data Lake, S3,
    Google Cloud Storage, a disk of the worker.

    It reads as :class:`~talent_dmf.transfers.talent_dmf_to_onedrive.TalentDmfToOneDriveOperator` does, and unpacks,
    writes receipts and applies retention in the same way. The stored object is read back and its SHA-256 compared with
    that of what was read. Nothing is visible under the name before it is complete. A retry begins the file anew,
    because the stores' libraries do not resume; if an earlier try had stored it, nothing is sent again.

    The parameters of :class:`~talent_dmf.transfers.base.SavePackageOperator`, and:

    :param destination: URL of the folder, such as ``abfs://container/folder``, ``s3://bucket/folder`` or
        ``file:///data/exports``. Bucket or container must exist. Names follow OneDrive's rules, so that one catalogue
        serves both.
    :param conn_id: connection to the store, if it needs one.
    :returns: XCom ``return_value``: ``url``, ``name``, ``size``, ``sha256``, ``folder_url``, and with ``unpack`` also
        ``files``.
    :raises AirflowFailException: a permanent error: name taken, no such bucket, no rights, package gone.
    """

    template_fields: Sequence[str] = (*SavePackageOperator.template_fields, "destination", "conn_id")
    argument_rules: ClassVar[Mapping[str, Rule]] = {
        **SavePackageOperator.argument_rules,
        "destination": text(),
        "conn_id": optional(text(empty=True, most=200)),
    }

    def __init__(self, *, destination: str, conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.destination = destination
        self.conn_id = conn_id
        check_arguments(self, self.argument_rules, templated=tuple(self.template_fields))

    @contextmanager
    def open_folder(self, context: Context) -> Iterator[DestinationFolder]:
        """The folder that the destination means."""
        from talent_dmf.destinations.object_storage.folder import ObjectStorageFolder
        from talent_dmf.destinations.object_storage.leftovers import owner_of
        from talent_dmf.destinations.object_storage.store import DiskModes, open_folder
        from talent_dmf.destinations.progress import ProgressLog
        from talent_dmf.destinations.task_state import TaskState

        series = (self.talent_dmf_conn_id, self.definition_group_id, self.legal_entity_id)
        owner = owner_of(self.dag_id, self.task_id, *(str(word or "") for word in series))
        yield ObjectStorageFolder(
            open_folder(self.destination, self.conn_id or None, owner=owner, modes=DiskModes.configured()),
            cast("ConflictBehavior", self.conflict_behavior),
            facts=TaskState(context.get("task_state_store"), _FACTS_KEY, self.log),
            progress=ProgressLog(self.log, doing="Saving in the object store"),
        )
