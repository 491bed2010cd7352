"""What the operators that save a package have in common: names, unpacking, receipt, retention, asset.

They differ in the destination only. Everything is done in this order: look at the package, save it, save the files in
it, write the receipt, describe the assets, and last remove what is outdated. A retry of the task goes through all of it
again and finds what is done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from airflow.sdk import BaseOperator

from talent_dmf.airflow_errors import found, translated_errors
from talent_dmf.api.arguments import (
    CONN_ID,
    Rule,
    check_arguments,
    choice,
    flag,
    number,
    optional,
    text,
    text_or_number,
)
from talent_dmf.api.choices import MAX_KEEP_DAYS, ConflictBehavior, Unpack
from talent_dmf.api.errors import ConfigurationError, NameConflictError, TalentDmfError
from talent_dmf.api.naming.file_names import DEFAULT_FILE_NAME, DEFAULT_UNPACK_NAME, FileNameFacts, render_file_name
from talent_dmf.api.words import counted
from talent_dmf.links import (
    JOB_PAGE_XCOM_KEY,
    SavedFileLink,
    SavedFolderLink,
    TalentDmfJobPageLink,
    find_job_page,
    folder_address,
    keep_for_links,
)
from talent_dmf.metrics import Metrics
from talent_dmf.runs import is_backfill, is_manual

if TYPE_CHECKING:
    from airflow.sdk import Context

    from talent_dmf.api.findings import Finding
    from talent_dmf.api.package.reference import PackageReference
    from talent_dmf.api.retention.plan import Retention
    from talent_dmf.api.retention.receipts import Series
    from talent_dmf.destinations.base import DestinationFolder, SavedFile
    from talent_dmf.hooks.talent_dmf import TalentDmfHook
    from talent_dmf.lineage import Lineage
    from talent_dmf.package_source.source import PackageFile, PackageSource, StopSignal

DEFAULT_CHUNK_BYTES = 10 * 1024 * 1024


class SavePackageOperator(BaseOperator):
    """Base of the operators that save a package somewhere.

    :param package: what :class:`~talent_dmf.operators.talent_dmf.TalentDmfExportedPackageUrlOperator` returned.
    :param file_name: name of the file, with the placeholders of
        :data:`talent_dmf.api.naming.file_names.PLACEHOLDERS`; the default keeps backfills and re-runs apart.
    :param conflict_behavior: ``fail``, ``replace`` or ``rename``, if the name is taken by other content. A file that
        has the name and the very content counts as saved.
    :param definition_group_id: name of the data project, for the file name.
    :param legal_entity_id: company code, for the file name.
    :param export_result: what the status sensor returned, for the receipt and the asset: rows and entities.
    :param chunk_bytes: most that the destination is sent at a time.
    :param receipt: whether ``<name>.receipt.json`` is saved beside the package: what it is, when it was made, its
        size and hashes.
    :param check_package: whether the checksums of everything in the package are checked before its last bytes are sent,
        so that a damaged package never becomes visible.
    :param unpack: ``beside``: the data files of the package are saved as well; ``instead``: only they are.
    :param unpack_name: their names, with the placeholders of
        :data:`talent_dmf.api.naming.file_names.UNPACK_PLACEHOLDERS`.
    :param keep_last: keep the newest so many exports of this task, environment, data project and legal entity in the
        folder and delete older ones; needs ``receipt``, and deletes only what a receipt proves.
    :param keep_days: keep those made not more than so many days ago; with both, an export goes only if neither keeps
        it.
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
    operator_extra_links = (SavedFileLink(), SavedFolderLink(), TalentDmfJobPageLink())
    ui_color = "#e6f4ea"
    argument_rules: ClassVar[Mapping[str, Rule]] = {
        "file_name": text(),
        "conflict_behavior": choice(*get_args(ConflictBehavior)),
        "definition_group_id": optional(text_or_number),
        "legal_entity_id": optional(text_or_number),
        "chunk_bytes": number(1, 2**31, whole=True),
        "receipt": flag,
        "check_package": flag,
        "unpack": choice(*get_args(Unpack)),
        "unpack_name": text(),
        "keep_last": optional(number(1, 10**9, whole=True)),
        "keep_days": optional(number(1, MAX_KEEP_DAYS, whole=True)),
        "talent_dmf_conn_id": CONN_ID,
    }

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
        check_package: bool = True,
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
        self.check_package = check_package
        self.unpack = unpack
        self.unpack_name = unpack_name
        self.keep_last = keep_last
        self.keep_days = keep_days
        self.talent_dmf_conn_id = talent_dmf_conn_id
        self._stop: StopSignal | None = None
        self._lineage: Lineage | None = None
        check_arguments(self, SavePackageOperator.argument_rules, templated=tuple(self.template_fields))

    def open_folder(self, context: Context) -> AbstractContextManager[DestinationFolder]:
        """The folder that the package goes to."""
        raise NotImplementedError

    def execute(self, context: Context) -> dict[str, Any]:
        """Bring the package to its folder and prove that it is there."""
        # Imported where it runs, here and below: a DAG file must not pay for it.
        from talent_dmf.api.package.reference import PackageReference
        from talent_dmf.api.retention.receipts import RECEIPT_SUFFIX
        from talent_dmf.destinations.receipts import ReceiptKeeper
        from talent_dmf.destinations.saving import save_files
        from talent_dmf.hooks.talent_dmf import TalentDmfHook

        began = datetime.now(UTC)
        with translated_errors(self.log, context):
            retention = self._checked()
            reference = PackageReference.from_json(self.package)
            facts = self._facts(context, reference)
            package_name = render_file_name(self.file_name, facts)
            environment = TalentDmfHook(self.talent_dmf_conn_id)
            series = self._series(environment)
            find_job_page(
                context, environment, reference.execution_id, self.log, told=(self.package, self.export_result)
            )
            with self.open_folder(context) as folder, self._package(environment, reference) as source:
                receipts = ReceiptKeeper(folder, series, reference.execution_id, self.conflict_behavior, self.log)
                plan = partial(self._files, environment, source, reference, facts, package_name)
                files = save_files(source, plan, lambda file: file)
                for name in (package_name + RECEIPT_SUFFIX, *(file.name for file in files)):
                    folder.check(name)
                if self.receipt:
                    receipts.find_name(package_name)
                saved = save_files(
                    source,
                    plan,
                    lambda file: self._save(folder, source, file),
                    lambda done: "" if done.written.found else done.written.name,
                    self._take_back,
                    self._drop,
                )
                described = self._described(folder, saved)
                if self.receipt:
                    if self.unpack != "instead" and saved[0].written.name != package_name:
                        receipts.find_name(saved[0].written.name)
                    written = [each.written for each in saved]
                    whole = None if self.unpack == "instead" else written[0]
                    receipts.write(whole, written, self._facts_for_receipt(context, reference))
                self._describe_assets(context, reference, described)
                if retention:
                    receipts.retain(retention)
        keep_for_links(context, return_value=described)
        self._measure(context, began, saved)
        self._lineage = self._lineage_of(environment.settings.base_url, reference, saved)
        return described

    def _series(self, environment: TalentDmfHook) -> Series:
        from talent_dmf.api.retention.receipts import Series

        names = (self.dag_id, self.task_id, self.definition_group_id, self.legal_entity_id)
        return Series(environment.settings.base_url, *names)

    def check_before_export(self, context: Context, execution_id: str) -> None:
        """Check what can be checked before the export is spent: values, names, destination, whether the name is free.

        :param context: the context of the task that is going to start the export.
        :param execution_id: the id under which it will.
        :raises TalentDmfError: the package could not be saved.
        """
        self.check_names(context, execution_id)
        with self.open_folder(context) as folder:
            folder.check_writable()
            self._check_free(folder, self._name_before(context, execution_id))

    def findings(self, context: Context, execution_ids: Mapping[str, str]) -> Iterator[Finding]:
        """The same as :meth:`check_before_export`, told row by row, and without anything that stays.

        :param context: the context of the task that asks; a ``run_id`` of ``""`` means that there is no run yet.
        :param execution_ids: an execution id for each legal entity of the export.
        """
        from talent_dmf.api.findings import Finding

        alike = [self._for_company(code) for code in execution_ids]
        named = list(zip(alike, execution_ids.values(), strict=True))
        yield found("file name", lambda: self._names_in_words([each.check_names(context, id_) for each, id_ in named]))
        connection = self.check_connection()
        if connection is not None:
            yield connection
        if connection is not None and connection.result == "failed":
            yield Finding("destination", "not checked", "First mend the connection.")
            return
        with ExitStack() as opened:
            folders: list[DestinationFolder] = []

            def look() -> str:
                folders.append(opened.enter_context(self.open_folder(context)))
                return folders[0].check_writable(leaves_nothing=True)

            yield found("destination", look)
            if folders:
                names = [each.known_name(context, id_) for each, id_ in named]
                yield found("name is free", lambda: self._are_free(folders[0], names))

    def check_connection(self) -> Finding | None:
        """Whether the destination's connection answers and signs in; ``None`` where that shows with the destination."""
        return None

    def known_name(self, context: Context, execution_id: str) -> str | None:
        """The file's name, as far as it is known before the export; ``None`` if it is not.

        :param context: as in :meth:`findings`.
        :param execution_id: as in :meth:`check_before_export`.
        """
        later = ["{extracted}", "{execution_id}"] + ([] if context["run_id"] else ["{run}", "{interval}"])
        return None if any(each in self.file_name for each in later) else self._name_before(context, execution_id)

    def _for_company(self, code: str) -> SavePackageOperator:
        alike = copy(self)
        alike.legal_entity_id = code
        return alike

    def _names_in_words(self, names: Sequence[str]) -> str:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return f"Such as {names[0]!r}{more}."

    def _are_free(self, folder: DestinationFolder, names: Sequence[str | None]) -> str:
        known = [name for name in names if name is not None]
        if self.conflict_behavior != "fail":
            return f"A name that is taken is no fault (`conflict_behavior: {self.conflict_behavior}`)."
        if self.unpack == "instead" or not known:
            return "Each export has a name of its own, which is known when it is made."
        for name in known:
            self._check_free(folder, name)
        return "It is." if len(known) == 1 else f"All {len(known)} are."

    def _check_free(self, folder: DestinationFolder, name: str) -> None:
        is_final = "{extracted}" not in self.file_name and "{execution_id}" not in self.file_name
        if is_final and self.conflict_behavior == "fail" and self.unpack != "instead" and folder.has(name):
            raise NameConflictError(
                f"{name!r} exists already in the destination, so nothing was exported. Remove or rename it, give "
                "each export a file name of its own, or set the conflict behaviour to replace or rename."
            )

    def _name_before(self, context: Context, execution_id: str) -> str:
        return render_file_name(self.file_name, self._facts_before(context, execution_id))

    def check_names(self, context: Context, execution_id: str) -> str:
        """Check the values and the names, without asking anybody.

        :param context: as in :meth:`check_before_export`.
        :param execution_id: the same.
        :returns: the file's name, as it would be now.
        :raises TalentDmfError: a value or a name cannot be.
        """
        from talent_dmf.api.naming.file_names import MAX_NAME_CHARACTERS, fill_template
        from talent_dmf.api.retention.receipts import RECEIPT_SUFFIX

        self._checked()
        facts = self._facts_before(context, execution_id)
        name = render_file_name(self.file_name, facts)
        # Whatever the entities are called, their files' names are not shorter than these.
        sample = {**facts.values(), "entity": "E", "stem": "E", "suffix": ".csv"}
        names = [name, *([fill_template(self.unpack_name, sample)] if self.unpack != "no" else [])]
        for each in [*names, *([name + RECEIPT_SUFFIX] if self.receipt else [])]:
            if len(each) > MAX_NAME_CHARACTERS:
                raise ConfigurationError(
                    f"The name {each[:60]!r}… has {len(each)} characters and OneDrive accepts at most "
                    f"{MAX_NAME_CHARACTERS}; shorten `file_name` or `unpack_name`."
                )
            self.check_name(each)
        return name

    def check_name(self, name: str) -> None:
        """Check a file's name without asking anybody.

        :param name: the name.
        :raises DestinationError: no file can have it there.
        """
        from talent_dmf.api.naming.drive_names import check_name

        check_name(name)

    def _facts_before(self, context: Context, execution_id: str) -> FileNameFacts:
        return FileNameFacts(
            project=self.definition_group_id or "package",
            legal_entity=self.legal_entity_id or "all",
            execution_id=execution_id,
            run=context["run_id"] or "run",
            interval_start=_chosen_interval_start(context),
            extracted_at=datetime.now(UTC),
        )

    def on_kill(self) -> None:
        """Stop between two ranges, so that no thread or session is left behind."""
        if self._stop is not None:
            self._stop.set()

    def _checked(self) -> Retention:
        # A template that is rendered to native objects makes a number of `100`.
        self.definition_group_id = str(self.definition_group_id or "")
        self.legal_entity_id = str(self.legal_entity_id or "")
        check_arguments(self, self.argument_rules)
        try:
            json.dumps(self.export_result)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"`export_result` must be what the status sensor returned (its XCom), and is something else: {error}."
            ) from None
        return self._retention()

    def _retention(self) -> Retention:
        from talent_dmf.api.retention.plan import Retention

        retention = Retention(self.keep_last, self.keep_days)
        if retention and not self.receipt:
            raise ConfigurationError(
                "`keep_last` and `keep_days` need `receipt`: an old file is deleted only if its receipt proves that "
                "it was saved by this export."
            )
        if retention and not (self.definition_group_id and self.legal_entity_id):
            raise ConfigurationError(
                "`keep_last` and `keep_days` need `definition_group_id` and `legal_entity_id`: the exports of each are "
                "counted for themselves."
            )
        return retention

    def _facts(self, context: Context, reference: PackageReference) -> FileNameFacts:
        return FileNameFacts(
            project=self.definition_group_id or "package",
            legal_entity=self.legal_entity_id or "all",
            execution_id=reference.execution_id,
            run=context["run_id"],
            interval_start=_chosen_interval_start(context),
            extracted_at=datetime.fromisoformat(reference.extracted_at),
        )

    @contextmanager
    def _package(self, environment: TalentDmfHook, reference: PackageReference) -> Iterator[PackageSource]:
        from talent_dmf.package_source.source import PackageSource, StopSignal

        self._stop = StopSignal()
        with environment.blob_driver() as blob:
            yield PackageSource(
                blob,
                environment.package_urls(reference.execution_id),
                chunk_bytes=self.chunk_bytes,
                stop=self._stop,
                check_entries=self.check_package,
            )

    def _save(self, folder: DestinationFolder, source: PackageSource, file: PackageFile) -> SavedFile:
        done = folder.save(source, file)
        self.log.info("Saved %r: %d bytes, %s. %s", done.written.name, file.size_bytes, done.how, done.address)
        return done

    def _take_back(self, saved: SavedFile) -> None:
        if saved.take_back is None:
            return
        try:
            saved.take_back()
        except TalentDmfError as error:
            self.log.warning("%r could not be deleted again: delete it by hand. %s", saved.written.name, error)

    def _drop(self, saved: SavedFile) -> None:
        """Delete a file that only the package as it was before held, or say that it is there."""
        if saved.written.found:
            return
        self._take_back(saved)
        if saved.take_back is None:
            self.log.warning(
                "%r was in the package before it was made anew, and is not in it any more; all other files are of the "
                "new one. Delete it by hand.",
                saved.written.name,
            )

    def _check_anew(self, environment: TalentDmfHook, source: PackageSource, reference: PackageReference) -> None:
        """Check a package that was made anew, as ``get_package_url`` has checked the one before.

        :raises PackageInvalidError: it is not the package that it should be.
        """
        from talent_dmf.api.package.reference import missing_files

        contents = source.contents()
        self.log.info("The package was made anew since get_package_url looked at it: it was checked again.")
        if contents.without_file:
            outcomes = environment.entity_outcomes(reference.execution_id)
            rows = [(each.entity_name, each.rows) for each in outcomes]
            self.log.warning("%s", missing_files(replace(reference, without_file=contents.without_file), rows))

    def _files(
        self,
        environment: TalentDmfHook,
        source: PackageSource,
        reference: PackageReference,
        facts: FileNameFacts,
        package_name: str,
    ) -> list[PackageFile]:
        from talent_dmf.api.package.unpacking import plan_unpacking
        from talent_dmf.api.retention.receipts import RECEIPT_SUFFIX
        from talent_dmf.package_source.source import PackageFile

        version = source.version
        if version.size_bytes != reference.size_bytes or reference.version not in {"", version.version}:
            self._check_anew(environment, source, reference)
        whole = source.whole(package_name)
        if self.unpack == "no":
            return [whole]
        contents = source.contents()
        left = (*contents.attachments, *contents.unclaimed)
        if left:
            self.log.warning(
                "Not unpacked: %s that no entity has as its data file, such as %r: attachments of records, or what the "
                "manifest does not name%s.",
                counted(len(left), "file"),
                left[0],
                "" if self.unpack == "beside" else "; the package keeps them, for 7 days in Dynamics 365",
            )
        taken = (package_name, package_name + RECEIPT_SUFFIX)
        files = [
            PackageFile(
                each.name,
                each.entry.size_bytes,
                f"{contents.fingerprint} {each.entry.name}",
                slot=str(number),
                entity=each.entity,
                entry=each.entry,
            )
            for number, each in enumerate(plan_unpacking(contents, self.unpack_name, facts, taken), 1)
        ]
        return files if self.unpack == "instead" else [whole, *files]

    def _described(self, folder: DestinationFolder, saved: list[SavedFile]) -> dict[str, Any]:
        if self.unpack == "instead":
            described = folder.describe()
            described["folder_url"] = described.get("web_url") or described.get("url")
        else:
            described = {**saved[0].described, "folder_url": folder_address(saved[0].address)}
        if self.unpack == "no":
            return described
        return {
            **described,
            "files": [{"entity": each.written.entity, **each.described} for each in saved if each.written.entity],
        }

    def _facts_for_receipt(self, context: Context, reference: PackageReference) -> dict[str, Any]:
        """What a receipt says beside the files."""
        return {
            "extracted_at": reference.extracted_at,
            "data_interval_start": _iso(context.get("data_interval_start")),
            "data_interval_end": _iso(context.get("data_interval_end")),
            "run_id": context["run_id"],
            "data_files": list(reference.entities),
            "export": _without_page(self.export_result),
        }

    def get_openlineage_facets_on_complete(self, _: Any) -> Any:
        """What the openlineage provider asks for: which entities became which files."""
        from talent_dmf.lineage import operator_lineage

        return operator_lineage(self._lineage) if self._lineage is not None else None

    def _lineage_of(self, environment: str, reference: PackageReference, saved: Sequence[SavedFile]) -> Lineage:
        from talent_dmf.lineage import Lineage, LinkedFile, rows_of

        return Lineage(
            environment,
            self.definition_group_id,
            reference.execution_id,
            rows=rows_of(self.export_result),
            files=[LinkedFile(each.address, each.written.size_bytes, each.written.entity or "") for each in saved],
        )

    def _measure(self, context: Context, began: datetime, saved: Sequence[SavedFile]) -> None:
        metrics = Metrics(context["ti"].dag_id, self.legal_entity_id)
        metrics.count("exports.saved")
        metrics.took("transfer_duration", datetime.now(UTC) - began)
        metrics.measured("bytes", sum(each.written.size_bytes for each in saved))
        due = getattr(context.get("dag_run"), "run_after", None)
        if due is not None and not is_backfill(context):
            metrics.took("arrival_delay", datetime.now(UTC) - due)

    def _describe_assets(self, context: Context, reference: PackageReference, described: dict[str, Any]) -> None:
        export = self.export_result if isinstance(self.export_result, dict) else {}
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = {
                "execution_id": reference.execution_id,
                "data_project": self.definition_group_id or None,
                "legal_entity": self.legal_entity_id or None,
                **described,
                "rows": export.get("rows"),
                "entities": export.get("entities"),
                "extracted_at": reference.extracted_at,
                "data_interval_start": _iso(context.get("data_interval_start")),
                "data_interval_end": _iso(context.get("data_interval_end")),
            }


def _chosen_interval_start(context: Context) -> datetime | None:
    """Start of the run's data interval, if the schedule or a person has chosen it.

    The trigger form fills in the present second, and a name with the same second of the day before would say nothing: a
    schedule is due at full minutes, and so is what a person writes.
    """
    end = context.get("data_interval_end")
    if is_manual(context) and end is not None and (end.second or end.microsecond):
        return None
    return context.get("data_interval_start")


def _without_page(export: Any) -> Any:
    # A receipt is for programs, and what stands in it stays.
    if not isinstance(export, dict):
        return export
    return {key: value for key, value in export.items() if key != JOB_PAGE_XCOM_KEY}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
