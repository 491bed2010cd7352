"""The receipt of one export in one folder: its name, its text, and what it allows to be deleted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from talent_dmf.api.errors import NameConflictError, TalentDmfError
from talent_dmf.api.naming.drive_names import no_name_left, numbered_names
from talent_dmf.api.retention.plan import Retention, RetentionReport
from talent_dmf.api.retention.receipts import RECEIPT_SUFFIX, Receipt, Series, WrittenFile, parse_receipt, write_receipt
from talent_dmf.destinations.base import DestinationFolder
from talent_dmf.destinations.retention import apply_retention

_SHOWN_NAMES = 5


class ReceiptKeeper:
    """Keeps the receipt of one export.

    :param folder: where.
    :param series: which exports are counted together with it.
    :param execution_id: the execution.
    :param conflict_behavior: ``fail``, ``replace`` or ``rename``, if its name is taken by something else than a receipt
        that this very export left there before.
    :param log: the task's logger.
    """

    def __init__(
        self,
        folder: DestinationFolder,
        series: Series,
        execution_id: str,
        conflict_behavior: str,
        log: logging.Logger | Any,
    ) -> None:
        self._folder, self._series, self._execution_id = folder, series, execution_id
        self._conflict_behavior, self._log = conflict_behavior, log
        self._earlier: Receipt | None = None
        self.name = ""

    def find_name(self, file_name: str) -> None:
        """Choose the receipt's name.

        :param file_name: name of the file that it stands beside.
        :raises NameConflictError: the name is taken and the policy says fail.
        """
        for name in (file_name, *numbered_names(file_name)):
            self.name = name + RECEIPT_SUFFIX
            content = self._folder.read_text(self.name)
            found = parse_receipt(self.name, content) if content is not None else None
            mine = found is not None and (found.series, found.execution_id) == (self._series, self._execution_id)
            if content is None or mine or self._conflict_behavior == "replace":
                self._earlier = found if mine else None
                return
            if self._conflict_behavior == "fail":
                raise NameConflictError(
                    f"{self.name!r} exists already and is no receipt of this export. Remove or rename it, give each "
                    "export a file name of its own, or set the conflict behaviour to replace or rename."
                )
        raise no_name_left(file_name + RECEIPT_SUFFIX)

    def write(self, package: WrittenFile | None, files: Sequence[WrittenFile], facts: Mapping[str, Any]) -> None:
        """Save the receipt.

        :param package: the package, unless only its files were saved.
        :param files: everything that was saved, the package included.
        :param facts: what else is known.
        """
        ours = {_content(file) for file in self._earlier.files if not file.found} if self._earlier else set()
        # What was found in its place is ours if the receipt of an earlier try says so.
        proven = [replace(file, found=file.found and _content(file) not in ours) for file in files]
        text = write_receipt(
            package, proven, self._series, {"execution_id": self._execution_id, **facts}, datetime.now(UTC)
        )
        self._folder.save_text(self.name, text)

    def retain(self, retention: Retention) -> None:
        """Remove outdated exports. The export of this run is saved already, so nothing here fails the task.

        :param retention: what is kept.
        """
        report = RetentionReport()
        try:
            apply_retention(self._folder, self._series, retention, self.name, report)
        except TalentDmfError as error:
            self._log.warning(
                "What is outdated was not deleted%s; the next run tries again. %s",
                " completely" if report.deleted else "",
                error,
            )
        if report.deleted:
            self._log.info("Deleted what is outdated: %s.", _some(report.deleted))
        for name, reason in report.kept:
            self._log.warning("%r is outdated and was not deleted: %s.", name, reason)
        if report.unproven:
            self._log.info(
                "%d files of the folder have no receipt; whatever their age, they are left alone.", report.unproven
            )


def _content(file: WrittenFile) -> tuple[str, int, str]:
    return file.name, file.size_bytes, file.quick_xor_hash


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN_NAMES])
    return shown if len(names) <= _SHOWN_NAMES else f"{shown} and {len(names) - _SHOWN_NAMES} more"
