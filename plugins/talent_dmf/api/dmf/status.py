"""The statuses of a DMF execution: the only room that names them (R1).

Source: ``DMFExecutionSummaryStatus``, learn.microsoft.com
``/dynamics365/fin-ops-core/dev-itpro/data-entities/data-management-api``; meanings from the training module
``data-package-api-finance-operations``, unit 3.
"""

from __future__ import annotations

from enum import StrEnum


class DmfExecutionStatus(StrEnum):
    """What ``GetExecutionSummaryStatus`` answers."""

    UNKNOWN = "Unknown"
    NOT_RUN = "NotRun"
    EXECUTING = "Executing"
    SUCCEEDED = "Succeeded"
    PARTIALLY_SUCCEEDED = "PartiallySucceeded"
    FAILED = "Failed"
    CANCELED = "Canceled"

    @classmethod
    def parse(cls, raw: object) -> DmfExecutionStatus | None:
        """The status that a service's word means, or ``None`` for a word that the contract does not know.

        :param raw: the ``value`` of the answer.
        """
        if not isinstance(raw, str):
            return None
        return _BY_WORD.get(raw.strip().lower())

    @property
    def is_terminal(self) -> bool:
        """Whether it never changes again. ``Unknown`` is not: clients measured against real environments poll on
        (docs/wire/dmf-package-api.md#statuses)."""
        return self in _TERMINAL

    @property
    def is_running(self) -> bool:
        """Whether the export is queued or at work."""
        return self in _RUNNING

    @property
    def has_package(self) -> bool:
        """Whether a package normally exists at this status."""
        return self in _WITH_PACKAGE


_BY_WORD = {status.value.lower(): status for status in DmfExecutionStatus}
_TERMINAL = frozenset(
    {
        DmfExecutionStatus.SUCCEEDED,
        DmfExecutionStatus.PARTIALLY_SUCCEEDED,
        DmfExecutionStatus.FAILED,
        DmfExecutionStatus.CANCELED,
    }
)
_RUNNING = frozenset({DmfExecutionStatus.NOT_RUN, DmfExecutionStatus.EXECUTING})
_WITH_PACKAGE = frozenset({DmfExecutionStatus.SUCCEEDED, DmfExecutionStatus.PARTIALLY_SUCCEEDED})
