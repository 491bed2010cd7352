"""Executions of data projects: a state machine that is computed from the clock, never run.

Source: docs/wire/dmf-package-api.md#executions. A thousand executions cost nothing while nobody asks for them.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dmf_emulator.clock import VirtualClock, iso_utc
from dmf_emulator.settings import Settings
from dmf_emulator.state.projects import Project, ProjectEntity

# The emulator's own copy of the wire's words (docs/wire/dmf-package-api.md#statuses): the client must not lend its own
# to what checks it.
UNKNOWN, NOT_RUN, EXECUTING = "Unknown", "NotRun", "Executing"
SUCCEEDED, PARTIALLY_SUCCEEDED, FAILED, CANCELED = "Succeeded", "PartiallySucceeded", "Failed", "Canceled"
OUTCOMES = (SUCCEEDED, PARTIALLY_SUCCEEDED, FAILED, CANCELED, UNKNOWN)
ZERO_ID = "00000000-0000-0000-0000-000000000000"
FOREVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionPlan:
    """How an execution will go; faults change it before the execution begins.

    :param hidden_seconds: how long its id is not found…
    :param hidden_polls: …and how many status calls at least are answered so.
    :param unknown_seconds: how long its status is `Unknown` before it ends.
    :param staged_rows: False when the mapping is missing and nothing is staged.
    :param empty_url_polls: how many calls for the link are answered with an empty string.
    :param url_error_while_running: answer 400 rather than an empty string before it has ended.
    :param error_rows: rows that failed.
    :param broken_errors: the list of errors is no valid JSON.
    :param package_defect: `truncated`, `corrupt`, `zip-slip` or `missing-manifest`.
    :param details_delay_seconds: how much later than the execution its job details appear.
    :param attachments: files of each entity below `Resources/` in the package, and how they are written there.
    :param stray_entry: name of an entry of the package that belongs to no entity.
    :param delta: how an empty delta looks: `header-only`, `zero-byte` or `missing-entry`; None for a full export.
    """

    hidden_seconds: float = 0.0
    hidden_polls: int = 0
    not_run_seconds: float = 0.0
    executing_seconds: float = 0.0
    unknown_seconds: float = 0.0
    outcome: str = SUCCEEDED
    staged_rows: bool = True
    url_delay_seconds: float = 0.0
    empty_url_polls: int = 0
    url_error_while_running: bool = False
    sas_lifetime_seconds: float = 3600.0
    error_rows: int = 0
    broken_errors: bool = False
    package_exists: bool = True
    package_defect: str | None = None
    delta: str | None = None
    details_delay_seconds: float = 0.0
    attachments: int = 0
    attachment_separator: str = "/"
    attachment_folders: bool = False
    stray_entry: str = ""


@dataclass(frozen=True, slots=True)
class Edition:
    """Which making of a package a blob holds.

    :param number: 0 for the first; each later one has the time stamps of its own making.
    :param content_seed: 0 for the rows of the first; others have other rows.
    """

    number: int = 0
    content_seed: int = 0


@dataclass(slots=True)
class Execution:
    """One export.

    :param created_seconds: virtual time of the call in seconds since 1970.
    :param blob_id: GUID in the package's blob name.
    :param rows: rows by entity name.
    :param link_blob_id: GUID of the blob that the next link names; that of the package's own blob when empty.
    :param editions: by the GUID of a blob; the first edition where there is none.
    """

    execution_id: str
    project: Project
    package_name: str
    company: str
    created_seconds: float
    plan: ExecutionPlan
    blob_id: str
    rows: dict[str, int]
    link_blob_id: str = ""
    editions: dict[str, Edition] = field(default_factory=dict)
    status_polls: int = 0
    url_polls: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def not_run_from(self) -> float:
        """When it becomes visible, in seconds since 1970."""
        return self.created_seconds + self.plan.hidden_seconds

    @property
    def executing_from(self) -> float:
        """When it starts to run."""
        return self.not_run_from + self.plan.not_run_seconds

    @property
    def finished_at(self) -> float:
        """When it ends; infinity when it never does."""
        return self.executing_from + self.plan.executing_seconds + self.plan.unknown_seconds

    def status(self, now_seconds: float) -> str | None:
        """Return the status at a time, None while the execution is not visible yet.

        :param now_seconds: virtual time in seconds since 1970.
        """
        if now_seconds < self.not_run_from:
            return None
        if now_seconds < self.executing_from:
            return NOT_RUN
        if now_seconds < self.executing_from + self.plan.executing_seconds:
            return EXECUTING
        return UNKNOWN if now_seconds < self.finished_at else self.plan.outcome

    def poll_status(self, now_seconds: float) -> str | None:
        """Return the status as the status action reports it, which counts the calls."""
        with self._lock:
            self.status_polls += 1
            hidden = self.status_polls <= self.plan.hidden_polls
        return None if hidden else self.status(now_seconds)

    def poll_package(self, now_seconds: float) -> bool:
        """Say whether a call for the link finds a package; counts the calls after the end."""
        if self.status(now_seconds) not in {SUCCEEDED, PARTIALLY_SUCCEEDED} or not self.plan.package_exists:
            return False
        with self._lock:
            self.url_polls += 1
            return (
                self.url_polls > self.plan.empty_url_polls
                and now_seconds >= self.finished_at + self.plan.url_delay_seconds
            )

    def errors(self, now_seconds: float) -> list[dict[str, str]]:
        """Return the rows that failed, known once the execution has ended."""
        if now_seconds < self.finished_at:
            return []
        name = self.project.entities[0].name if self.project.entities else ""
        # RecordId may have trailing spaces and Field is often empty (docs/wire/dmf-package-api.md#execution-errors).
        return [
            {
                "RecordId": f"{number:06d} ",
                "Field": "" if number % 2 else "PERSONNELNUMBER",
                "ErrorMessage": f"Record {number} of '{name}' could not be written to the data file.",
            }
            for number in range(1, self.plan.error_rows + 1)
        ]


class ExecutionStore:
    """All executions of the environment."""

    def __init__(self, settings: Settings, clock: VirtualClock) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._executions: dict[str, Execution] = {}
        self._blobs: dict[str, Execution] = {}
        self._random = random.Random(f"executions|{settings.seed}")
        self.changes = 0

    def new_id(self, project_name: str) -> str:
        """Return an id as the server makes one: opaque, with spaces and colons.

        Source: docs/wire/dmf-package-api.md#execution-ids.
        """
        moment = datetime.fromtimestamp(self._clock.timestamp(), UTC)
        with self._lock:
            return f"{project_name}-{moment:%Y-%m-%dT%H:%M:%S}-{self._random.randrange(16**6):06X}"

    def new_guid(self) -> str:
        """Return a repeatable GUID in upper case."""
        with self._lock:
            while True:
                guid = str(uuid.UUID(int=self._random.getrandbits(128), version=4)).upper()
                # The same seed as before a restart gives the same ids.
                if guid not in self._blobs:
                    return guid

    def add(self, execution: Execution) -> None:
        """Begin an execution; one with the same id is replaced, as a re-execution does."""
        with self._lock:
            self._executions[execution.execution_id] = execution
            self._blobs[execution.blob_id] = execution
            self.changes += 1

    def restore(self, execution: Execution, blobs: Sequence[str]) -> None:
        """Put an execution of an earlier run back.

        :param blobs: GUIDs of all copies of its package.
        """
        self.add(execution)
        with self._lock:
            self._blobs |= dict.fromkeys(blobs, execution)

    def blobs_of(self, execution: Execution) -> list[str]:
        """Return the GUIDs of all copies of an execution's package."""
        with self._lock:
            return [blob_id for blob_id, owner in self._blobs.items() if owner is execution]

    def reset(self) -> None:
        """Forget all executions and their packages."""
        with self._lock:
            self._executions.clear()
            self._blobs.clear()
            self.changes += 1

    def find(self, execution_id: str) -> Execution | None:
        """Return an execution that the job history still has.

        History clean-up removes it after the retention time (docs/wire/dmf-package-api.md#retention), seven days by
        default.
        """
        with self._lock:
            execution = self._executions.get(execution_id)
        return None if execution is None or self._expired(execution) else execution

    def copy_blob(self, execution: Execution) -> str:
        """Return the GUID of another copy of an execution's package."""
        blob_id = self.new_guid()
        with self._lock:
            self._blobs[blob_id] = execution
            latest = execution.editions.get(execution.link_blob_id or execution.blob_id)
            if latest is not None:
                execution.editions[blob_id] = latest
            execution.link_blob_id = blob_id
            self.changes += 1
        return blob_id

    def remake_package(self, execution: Execution, blob_id: str, *, other_content: bool) -> None:
        """Let a blob hold the package as it is made anew, now or in a moment.

        :param blob_id: which copy.
        :param other_content: whether its rows differ, as they do when people have changed meanwhile.
        """
        with self._lock:
            number = 1 + max((each.number for each in execution.editions.values()), default=0)
            before = execution.editions.get(blob_id, Edition())
            execution.editions[blob_id] = Edition(number, number if other_content else before.content_seed)

    def find_by_blob(self, blob_id: str) -> Execution | None:
        """Return the execution whose package has this GUID; blobs go with it.

        Source: docs/wire/dmf-package-api.md#retention.
        """
        with self._lock:
            execution = self._blobs.get(blob_id.upper())
        return None if execution is None or self._expired(execution) else execution

    def delete(self, execution_id: str) -> bool:
        """Remove an execution from the history; its blob stays."""
        with self._lock:
            self.changes += 1
            return self._executions.pop(execution_id, None) is not None

    def all(self) -> list[Execution]:
        """Return the executions that are not forgotten, in order of creation."""
        with self._lock:
            executions = list(self._executions.values())
        return [execution for execution in executions if not self._expired(execution)]

    def running(self, project: Project) -> list[Execution]:
        """Return the executions of a project that have not ended."""
        now = self._clock.timestamp()
        return [each for each in self.all() if each.project.name == project.name and now < each.finished_at]

    def rows_of(self, entity: ProjectEntity, company: str) -> int:
        """Return how many rows an entity has in a company (docs/wire/dmf-package-api.md#legal-entities)."""
        rows = self._settings.rows
        return {"USMF": rows, "DEMF": rows // 2}.get(company.upper(), 0)

    def plan(self) -> ExecutionPlan:
        """Return the plan of an execution that no fault touches."""
        settings = self._settings
        return ExecutionPlan(
            hidden_seconds=settings.not_found_seconds,
            not_run_seconds=settings.not_run_seconds,
            executing_seconds=settings.executing_seconds,
            url_delay_seconds=settings.url_delay_seconds,
            sas_lifetime_seconds=settings.sas_lifetime_seconds,
            details_delay_seconds=settings.job_details_delay_seconds,
        )

    def _expired(self, execution: Execution) -> bool:
        return self._clock.timestamp() > execution.finished_at + self._settings.retention_seconds


def odata_time(timestamp_seconds: float, now_seconds: float) -> str:
    """Format a time as OData does, with 1900-01-01 for what has not happened yet.

    :param timestamp_seconds: the event, in seconds since 1970; may be infinity.
    :param now_seconds: the present.
    """
    return "1900-01-01T00:00:00Z" if timestamp_seconds > now_seconds else iso_utc(timestamp_seconds)
