"""What the operators that save a package have in common: names, unpacking, receipt, retention, asset.

They differ in the place only. Everything is done in this order: look at the package, save it, save the files in it,
write the receipt, tell the assets, and last remove what is outdated. A retry of the task goes through all of it
again and finds what is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

from airflow.sdk import BaseOperator

from talent_dmf.api.choices import ConflictBehavior, Unpack
from talent_dmf.api.errors import ConfigurationError, SourceChangedError, TalentDmfError, TransferStoppedError
from talent_dmf.api.file_names import DEFAULT_FILE_NAME, DEFAULT_UNPACK_NAME, FileNameFacts, render_file_name
from talent_dmf.verdicts import verdicts

if TYPE_CHECKING:
    from airflow.sdk import Context

    from talent_dmf.api.models import PackageReference
    from talent_dmf.api.retention import Retention
    from talent_dmf.package_stream import PackageFile, PackageSource
    from talent_dmf.place import Place, SavedFile

DEFAULT_CHUNK_BYTES = 10 * 1024 * 1024
_SHOWN_NAMES = 5


class SavePackageOperator(BaseOperator):
    """Base of the operators that save a package somewhere.

    :param package: what :class:`~talent_dmf.operators.talent_dmf.TalentDmfExportedPackageUrlOperator` returned.
    :param file_name: name of the file, with the placeholders of :data:`talent_dmf.api.file_names.PLACEHOLDERS`; the
        default keeps backfills and re-runs apart.
    :param conflict_behavior: ``fail``, ``replace`` or ``rename``, if the name is taken by other content. A file that
        has the name and the very content counts as saved.
    :param definition_group_id: name of the data project, for the file name.
    :param legal_entity_id: company code, for the file name.
    :param export_result: what the status sensor returned, for the receipt and the asset: rows and entities.
    :param chunk_bytes: length of one range, a multiple of 320 KiB; twice as much memory is used, and three times
        while a file of the package is unpacked.
    :param receipt: whether ``<name>.receipt.json`` is saved beside the package: what it is, when it was made, its
        size and hashes.
    :param unpack: ``beside``: the data files of the package are saved as well; ``instead``: only they are.
    :param unpack_name: their names, with the placeholders of
        :data:`talent_dmf.api.file_names.UNPACK_PLACEHOLDERS`.
    :param keep_last: keep the newest so many exports of this DAG, data project and legal entity in the folder and
        delete older ones; needs ``receipt``, and deletes only what a receipt proves.
    :param keep_days: keep those not older than so many days; with both, an export goes only if neither keeps it.
    :param talent_dmf_conn_id: connection to the environment.
    """

    template_fields: Sequence[str] = (
        "package",
        "file_name",
        "conflict_behavior",
        "definition_group_id",
        "legal_entity_id",
        "export_result",
        "unpack",
        "unpack_name",
        "talent_dmf_conn_id",
    )
    ui_color = "#e6f4ea"

    def __init__(
        self,
        *,
        package: Any,
        file_name: str = DEFAULT_FILE_NAME,
        conflict_behavior: str = "fail",
        definition_group_id: str = "",
        legal_entity_id: str = "",
        export_result: Any = None,
        chunk_bytes: int = DEFAULT_CHUNK_BYTES,
        receipt: bool = False,
        unpack: str = "no",
        unpack_name: str = DEFAULT_UNPACK_NAME,
        keep_last: int | None = None,
        keep_days: int | None = None,
        talent_dmf_conn_id: str = "talent_dmf_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.package = package
        self.file_name = file_name
        self.conflict_behavior = conflict_behavior
        self.definition_group_id = definition_group_id
        self.legal_entity_id = legal_entity_id
        self.export_result = export_result
        self.chunk_bytes = chunk_bytes
        self.receipt = receipt
        self.unpack = unpack
        self.unpack_name = unpack_name
        self.keep_last = keep_last
        self.keep_days = keep_days
        self.talent_dmf_conn_id = talent_dmf_conn_id
        self._killed = False

    def place(self, context: Context) -> AbstractContextManager[Place]:
        """Where the package goes."""
        raise NotImplementedError

    def execute(self, context: Context) -> dict[str, Any]:
        """Bring the package to its place and prove that it is there."""
        # Imported where it runs, here and below: a DAG file must not pay for it.
        from talent_dmf.api.models import PackageReference
        from talent_dmf.api.retention import RECEIPT_SUFFIX

        with verdicts(self.log):
            retention = self._checked()
            reference = PackageReference.from_json(self.package)
            facts = self._facts(context, reference)
            package_name = render_file_name(self.file_name, facts)
            with self.place(context) as place:
                saved = self._save(place, reference, facts, package_name)
                described = self._described(place, saved)
                receipt_name = (package_name if self.unpack == "instead" else saved[0].written.name) + RECEIPT_SUFFIX
                if self.receipt:
                    place.save_text(receipt_name, self._receipt(context, reference, saved))
                self._tell_assets(context, reference, described)
                if retention:
                    self._retain(place, retention, receipt_name)
        return described

    def on_kill(self) -> None:
        """Stop between two ranges, so that no thread or session is left behind."""
        self._killed = True

    def _checked(self) -> Retention:
        for name, allowed in (("conflict_behavior", get_args(ConflictBehavior)), ("unpack", get_args(Unpack))):
            if getattr(self, name) not in allowed:
                raise ConfigurationError(
                    f"{name} {getattr(self, name)!r} is not known; use one of {', '.join(allowed)}."
                )
        from talent_dmf.api.retention import Retention

        retention = Retention(self.keep_last, self.keep_days)
        if retention and not self.receipt:
            raise ConfigurationError(
                "`keep_last` and `keep_days` need `receipt`: an old file is deleted only if its receipt proves that "
                "it was saved by this export."
            )
        return retention

    def _facts(self, context: Context, reference: PackageReference) -> FileNameFacts:
        return FileNameFacts(
            project=self.definition_group_id or "package",
            legal_entity=self.legal_entity_id or "all",
            execution_id=reference.execution_id,
            run=context["run_id"],
            interval_start=context.get("data_interval_start"),
            extracted_at=datetime.fromisoformat(reference.extracted_at),
        )

    def _stop_if_killed(self) -> None:
        if self._killed:
            raise TransferStoppedError("The transfer was stopped. A retry goes on where it stands.")

    def _save(
        self, place: Place, reference: PackageReference, facts: FileNameFacts, package_name: str
    ) -> list[SavedFile]:
        from talent_dmf.hooks.talent_dmf import TalentDmfHook
        from talent_dmf.package_stream import PackageSource

        environment = TalentDmfHook(self.talent_dmf_conn_id)
        with environment.blob_driver() as blob:
            source = PackageSource(
                blob,
                lambda: environment.fresh_package_url(reference.execution_id),
                chunk_bytes=self.chunk_bytes,
                stop_if_cancelled=self._stop_if_killed,
            )
            saved = []
            for file in self._files(source, reference, facts, package_name):
                done = place.save(source, file)
                self.log.info("Saved %r: %d bytes, %s. %s", done.written.name, file.size_bytes, done.how, done.address)
                saved.append(done)
        return saved

    def _files(
        self, source: PackageSource, reference: PackageReference, facts: FileNameFacts, package_name: str
    ) -> list[PackageFile]:
        from talent_dmf.api.retention import RECEIPT_SUFFIX
        from talent_dmf.api.unpacking import plan_unpacking
        from talent_dmf.package_stream import PackageFile

        version = source.version
        if version.size_bytes != reference.size_bytes or reference.version not in {"", version.version}:
            raise SourceChangedError(
                f"The package of execution {reference.execution_id} is not the one that was checked: it has "
                f"{version.size_bytes} bytes, and had {reference.size_bytes} then. Clear get_package_url to check it "
                "again."
            )
        whole = PackageFile(package_name, version.size_bytes, version.version)
        if self.unpack == "no":
            return [whole]
        taken = (package_name, package_name + RECEIPT_SUFFIX)
        files = [
            PackageFile(
                each.name,
                each.entry.size_bytes,
                f"{version.version} {each.entry.header_offset} {each.entry.crc32:08x}",
                slot=str(number),
                entity=each.entity,
                entry=each.entry,
            )
            for number, each in enumerate(plan_unpacking(source.contents(), self.unpack_name, facts, taken), 1)
        ]
        return files if self.unpack == "instead" else [whole, *files]

    def _described(self, place: Place, saved: list[SavedFile]) -> dict[str, Any]:
        if self.unpack == "no":
            return saved[0].described
        described = saved[0].described if self.unpack == "beside" else place.describe()
        return {
            **described,
            "files": [{"entity": each.written.entity, **each.described} for each in saved if each.written.entity],
        }

    def _receipt(self, context: Context, reference: PackageReference, saved: list[SavedFile]) -> str:
        from talent_dmf.api.retention import write_receipt

        facts = {
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
        }
        whole = None if self.unpack == "instead" else saved[0].written
        return write_receipt(whole, [each.written for each in saved], facts, datetime.now(UTC))

    def _tell_assets(self, context: Context, reference: PackageReference, described: dict[str, Any]) -> None:
        export = self.export_result if isinstance(self.export_result, dict) else {}
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = {
                "execution_id": reference.execution_id,
                **described,
                "rows": export.get("rows"),
                "entities": export.get("entities"),
                "extracted_at": reference.extracted_at,
                "data_interval_start": _iso(context.get("data_interval_start")),
                "data_interval_end": _iso(context.get("data_interval_end")),
            }

    def _retain(self, place: Place, retention: Retention, current: str) -> None:
        """Remove outdated exports. The export of this run is saved already, so nothing here fails the task."""
        from talent_dmf.api.retention import Series

        series = Series(self.dag_id, self.definition_group_id, self.legal_entity_id)
        try:
            report = place.apply_retention(series, retention, current)
        except TalentDmfError as error:
            self.log.warning("Outdated files were not deleted; the next run tries again. %s", error)
            return
        if report.deleted:
            self.log.info("Deleted what is outdated: %s.", _some(report.deleted))
        for name, reason in report.kept:
            self.log.warning("%r is outdated and was not deleted: %s.", name, reason)
        if report.unproven:
            self.log.info(
                "%d files of the folder have no receipt; whatever their age, they are left alone.", report.unproven
            )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN_NAMES])
    return shown if len(names) <= _SHOWN_NAMES else f"{shown} and {len(names) - _SHOWN_NAMES} more"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
