"""The transfer operator: a data package goes from Dynamics 365 to OneDrive for Business."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from talent_dmf.api.errors import ConfigurationError, SourceChangedError
from talent_dmf.api.file_names import DEFAULT_FILE_NAME, FileNameFacts, render_file_name
from talent_dmf.api.models import Destination, PackageReference
from talent_dmf.links import OneDriveItemLink
from talent_dmf.verdicts import verdicts

if TYPE_CHECKING:
    from airflow.sdk import Context

    from talent_dmf.hooks.onedrive import OneDriveHook
    from talent_dmf.hooks.talent_dmf import TalentDmfHook
    from talent_dmf.sealing import SessionStore
    from talent_dmf.transfer import TransferResult

DEFAULT_CHUNK_BYTES = 10 * 1024 * 1024
CONFLICT_BEHAVIORS = ("fail", "replace", "rename")
_SESSION_KEY = "upload_session"


class TalentDmfToOneDriveOperator(BaseOperator):
    """Saves an exported package in OneDrive for Business or a SharePoint library, verified and resumable.

    It fetches a fresh signed URL by the execution id, so an expired link cannot fail a retry. It reads and uploads at
    the same time in constant memory. A retry, even after the worker was killed, goes on where OneDrive stands. It
    succeeds only if size and quickXorHash in OneDrive are those of the package.

    :param package: what :class:`~talent_dmf.operators.talent_dmf.TalentDmfExportedPackageUrlOperator` returned.
    :param folder: path of the folder below the drive's root, made if missing; ``""`` is the root.
    :param file_name: name of the file, with the placeholders of :data:`talent_dmf.api.file_names.PLACEHOLDERS`; the
        default keeps backfills and re-runs apart.
    :param conflict_behavior: ``fail``, ``replace`` (a new version) or ``rename``, if the name is taken.
    :param definition_group_id: name of the data project, for the file name.
    :param legal_entity_id: company code, for the file name.
    :param export_result: what the status sensor returned, for the receipt and the asset: rows and entities.
    :param drive_id: id of the drive, or one of the next three; without any, the connection says whose drive.
    :param user: user principal name or id whose OneDrive is meant.
    :param site: SharePoint site: id, or ``hostname:/sites/name``.
    :param group: id of a Microsoft 365 group.
    :param library: name of a library of the site or group, if not the default one.
    :param chunk_bytes: length of one range, a multiple of 320 KiB; twice as much memory is used.
    :param receipt: whether ``<name>.receipt.json`` is saved beside the package: what it is, when it was made, its
        size and hashes.
    :param talent_dmf_conn_id: connection to the environment.
    :param onedrive_conn_id: connection to Microsoft Graph.
    :returns: XCom ``return_value``: ``drive_item_id``, ``web_url``, ``name``, ``size``, ``quick_xor_hash``.
    :raises AirflowFailException: a verdict: name taken, folder impossible, no rights, no quota, package gone.
    """

    template_fields: Sequence[str] = (
        "package",
        "folder",
        "file_name",
        "conflict_behavior",
        "definition_group_id",
        "legal_entity_id",
        "export_result",
        "drive_id",
        "user",
        "site",
        "group",
        "library",
        "talent_dmf_conn_id",
        "onedrive_conn_id",
    )
    operator_extra_links = (OneDriveItemLink(),)
    ui_color = "#e6f4ea"

    def __init__(
        self,
        *,
        package: Any,
        folder: str = "",
        file_name: str = DEFAULT_FILE_NAME,
        conflict_behavior: str = "fail",
        definition_group_id: str = "",
        legal_entity_id: str = "",
        export_result: Any = None,
        drive_id: str | None = None,
        user: str | None = None,
        site: str | None = None,
        group: str | None = None,
        library: str | None = None,
        chunk_bytes: int = DEFAULT_CHUNK_BYTES,
        receipt: bool = False,
        talent_dmf_conn_id: str = "talent_dmf_default",
        onedrive_conn_id: str = "onedrive_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.package = package
        self.folder = folder
        self.file_name = file_name
        self.conflict_behavior = conflict_behavior
        self.definition_group_id = definition_group_id
        self.legal_entity_id = legal_entity_id
        self.export_result = export_result
        self.drive_id = drive_id
        self.user = user
        self.site = site
        self.group = group
        self.library = library
        self.chunk_bytes = chunk_bytes
        self.receipt = receipt
        self.talent_dmf_conn_id = talent_dmf_conn_id
        self.onedrive_conn_id = onedrive_conn_id
        self._killed = False

    def execute(self, context: Context) -> dict[str, Any]:
        """Bring the package to its destination and prove that it is there."""
        from talent_dmf.hooks.onedrive import OneDriveHook
        from talent_dmf.hooks.talent_dmf import TalentDmfHook

        with verdicts(self.log):
            reference = PackageReference.from_json(self.package)
            destination = self._destination(context, reference)
            environment = TalentDmfHook(self.talent_dmf_conn_id)
            graph = OneDriveHook(self.onedrive_conn_id)
            result = self._transfer(context, environment, graph, reference, destination)
        item = result.item
        self.log.info(
            "Saved %r: %d bytes in %.1f s (%.1f MB/s), quickXorHash %s verified%s. %s",
            item.name,
            result.size_bytes,
            result.duration_seconds,
            result.bytes_sent / 1e6 / max(result.duration_seconds, 1e-3),
            result.quick_xor_hash,
            f", taken up at byte {result.resumed_from_bytes}" if result.resumed_from_bytes else "",
            item.web_url,
        )
        saved = item.to_json()
        self._tell_assets(context, reference, saved)
        return saved

    def on_kill(self) -> None:
        """Stop between two ranges, so that no thread or session is left behind."""
        self._killed = True

    def _destination(self, context: Context, reference: PackageReference) -> Destination:
        if self.conflict_behavior not in CONFLICT_BEHAVIORS:
            raise ConfigurationError(
                f"conflict_behavior {self.conflict_behavior!r} is not known; use one of "
                f"{', '.join(CONFLICT_BEHAVIORS)}."
            )
        facts = FileNameFacts(
            project=self.definition_group_id or "package",
            legal_entity=self.legal_entity_id or "all",
            execution_id=reference.execution_id,
            run=context["run_id"],
            interval_start=context.get("data_interval_start"),
            extracted_at=datetime.fromisoformat(reference.extracted_at),
        )
        name = render_file_name(self.file_name, facts)
        return Destination(self.folder, name, self.conflict_behavior)  # type: ignore[arg-type]

    def _transfer(
        self,
        context: Context,
        environment: TalentDmfHook,
        graph: OneDriveHook,
        reference: PackageReference,
        destination: Destination,
    ) -> TransferResult:
        from talent_dmf.transfer import PackagePump, ProgressLog

        chosen = {name: getattr(self, name) for name in ("drive_id", "user", "site", "group", "library")}
        drive = graph.resolve_drive(graph.target(**chosen))
        with environment.blob_driver() as blob:
            pump = PackagePump(
                blob,
                graph.get_conn(),
                mint_url=lambda: environment.fresh_package_url(reference.execution_id),
                drive_id=drive.id,
                destination=destination,
                chunk_bytes=self.chunk_bytes,
                progress=ProgressLog(self.log),
                session_store=self._session_store(context, graph),
                sha256=self.receipt,
                cancelled=lambda: self._killed,
            )
            result = pump.run()
        if result.size_bytes != reference.size_bytes:
            raise SourceChangedError(
                f"The package of execution {reference.execution_id} has {result.size_bytes} bytes now and had "
                f"{reference.size_bytes} when it was checked. Clear get_package_url to check it again."
            )
        if self.receipt:
            graph.save_text(
                drive.id, self._receipt_destination(destination, result), self._receipt(context, reference, result)
            )
        return result

    def _session_store(self, context: Context, graph: OneDriveHook) -> SessionStore | None:
        from talent_dmf.sealing import SealedSessionStore, Sealer

        secret = graph.settings.identity.sealing_secret
        if not secret:
            self.log.info("The connection has no secret of its own: a retry of this task uploads from the beginning.")
            return None
        store = context["task_state_store"]

        def read() -> str | None:
            sealed = store.get(_SESSION_KEY)
            return sealed if isinstance(sealed, str) and sealed else None

        def write(sealed: str | None) -> None:
            try:
                store.set(_SESSION_KEY, sealed or "")
            except Exception as error:  # noqa: BLE001 - a transfer that works is worth more than its resume
                self.log.warning("The upload's place could not be kept for a retry: %s", type(error).__name__)

        return SealedSessionStore(read, write, Sealer(secret, f"{self.onedrive_conn_id}/{self.dag_id}/{self.task_id}"))

    def _receipt_destination(self, destination: Destination, result: TransferResult) -> Destination:
        return Destination(destination.folder, f"{result.item.name}.receipt.json", "replace")

    def _receipt(self, context: Context, reference: PackageReference, result: TransferResult) -> str:
        facts = {
            "file": result.item.name,
            "size_bytes": result.size_bytes,
            "quick_xor_hash": result.quick_xor_hash,
            "sha256": result.sha256,
            "execution_id": reference.execution_id,
            "definition_group_id": self.definition_group_id,
            "legal_entity_id": self.legal_entity_id,
            "extracted_at": reference.extracted_at,
            "data_interval_start": _iso(context.get("data_interval_start")),
            "data_interval_end": _iso(context.get("data_interval_end")),
            "dag_id": self.dag_id,
            "run_id": context["run_id"],
            "data_files": list(reference.entities),
            "export": self.export_result,
            "saved_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"

    def _tell_assets(self, context: Context, reference: PackageReference, saved: dict[str, Any]) -> None:
        if not self.outlets:
            return
        export = self.export_result if isinstance(self.export_result, dict) else {}
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = {
                "execution_id": reference.execution_id,
                **saved,
                "rows": export.get("rows"),
                "entities": export.get("entities"),
                "extracted_at": reference.extracted_at,
                "data_interval_start": _iso(context.get("data_interval_start")),
                "data_interval_end": _iso(context.get("data_interval_end")),
            }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
