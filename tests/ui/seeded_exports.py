"""Exports and their runs, as the page shows them: one for each picture that it has, or many of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime.now(UTC).replace(microsecond=0)
HTML = "<img src=x onerror=\"document.title='executed'\"><script>document.title='executed'</script>"


@dataclass(frozen=True)
class SeededRun:
    """One run of an export.

    :param hours_ago: when it was due.
    :param state: of the DAG run.
    :param seconds: how long it took, or has been running for.
    :param rows: of each company's package; ``None`` for a company that saved none.
    :param failed_step: the step that failed, of the last company.
    :param note: of the run.
    :param task_note: of the failed task.
    :param notified: XCom of the failed task.
    :param extra: of the asset event, in place of what the operators write.
    :param deadline: hours from now until the deadline of the run.
    """

    hours_ago: float
    state: str = "success"
    seconds: float = 600
    rows: Sequence[int | None] = (1000,)
    failed_step: str | None = None
    skipped: bool = False
    note: str | None = None
    task_note: str | None = None
    notified: Any = None
    extra: Any = None
    job_url: Any = "https://contoso.operations.dynamics.com/?mi=DM_JobHistory"
    deadline: float | None = None
    run_type: str = "scheduled"
    tasks: bool = True
    check_only: bool = False


@dataclass(frozen=True)
class SeededExport:
    """One export.

    :param name: its name in the catalogue.
    :param next_hours: when the next run is due, from now.
    :param dag_id: another id than the name gives.
    :param export: whether the DAG is an export at all.
    """

    name: str
    project: str = "Export Workers"
    companies: Sequence[str] = ("USMF",)
    runs: Sequence[SeededRun] = ()
    paused: bool = False
    stale: bool = False
    next_hours: float | None = 5
    tags: Sequence[str] = ("human-resources",)
    dag_id: str | None = None
    export: bool = True

    @property
    def id(self) -> str:
        """Id of the DAG."""
        return self.dag_id or f"talent_export_{self.name}"


def daily(count: int, *, rows: int = 1000, first_hours_ago: float = 3, **fields: Any) -> list[SeededRun]:
    """Successful runs, one a day, the newest first.

    :param count: how many.
    :param rows: of the newest; each before it had one less.
    :param first_hours_ago: when the newest was due.
    """
    return [
        SeededRun(first_hours_ago + 24 * day, rows=(max(rows - day, 0),), seconds=600 + 7 * (day % 5), **fields)
        for day in range(count)
    ]


FULL = (
    "OneDrive refused the file: the library “HR Exports” is full (507). The package is kept in Dynamics 365 for 7 days."
)


def every_state() -> list[SeededExport]:
    """An export for each picture that the page has."""
    return [*_failed_or_late(), *_at_work(), *_well(), *_little_to_show(), *_odd()]


def _failed_or_late() -> list[SeededExport]:
    """Runs that failed, and those that nobody would wait for any more."""
    told = [
        {"channel": "teams", "target": "HR Integrations", "at": (NOW - timedelta(hours=2)).isoformat()},
        {"channel": "mail", "target": "hr-ops@contoso.com", "at": None, "error": "mail server silent"},
    ]
    failed = SeededRun(3, "failed", rows=(None,), failed_step="save_to_onedrive", note=FULL, notified=told)
    companies = ("USMF", "DEMF", "FRRT")
    one_failed = SeededRun(
        4,
        "failed",
        rows=(3120, 880, None),
        failed_step="wait_for_export",
        task_note="Company FRRT: entity “Position hierarchy” ended with errors in 12 of 310 rows.",
    )
    return [
        SeededExport("payroll_earnings", "Export Payroll earnings", runs=[failed, *daily(13, first_hours_ago=27)]),
        SeededExport(
            "positions",
            "Export Positions",
            companies,
            [one_failed, *(SeededRun(28 + 24 * day, rows=(3118 - day, 880, 310)) for day in range(12))],
        ),
        SeededExport(
            "compensation",
            "Export Fixed compensation",
            runs=[
                SeededRun(2, "running", 6700, rows=(None,), deadline=-0.5),
                *daily(13, rows=41007, first_hours_ago=26),
            ],
        ),
        SeededExport("not_started", "Export Not started", runs=daily(5, first_hours_ago=25), next_hours=-1),
    ]


def _at_work() -> list[SeededExport]:
    """Runs that are at work, and what they will be compared with."""
    return [
        SeededExport(
            "leave_balances",
            "Export Leave balances",
            runs=[SeededRun(0.1, "running", 360, rows=(None,), deadline=2), *daily(13, rows=6120, first_hours_ago=1)],
        ),
        SeededExport(
            "benefits", "Export Benefits", runs=[SeededRun(0.15, "queued", 540, rows=(None,)), *daily(9, rows=12088)]
        ),
    ]


def _well() -> list[SeededExport]:
    """Exports that are well, with more or fewer rows than before."""
    return [
        SeededExport("workers", "Export Workers", runs=daily(30, rows=41208)),
        SeededExport(
            "courses", "Export Courses", runs=[SeededRun(6, rows=(1702,)), *daily(13, rows=2760, first_hours_ago=30)]
        ),
        SeededExport(
            "departments",
            "Export Departments",
            ("USMF", "DEMF", "FRRT", "GBSI"),
            [
                SeededRun(0.2, "failed", 5, rows=(None,) * 4, run_type="manual", tasks=False, check_only=True),
                *(SeededRun(7 + 24 * day, rows=(120, 60, 52, 34)) for day in range(10)),
            ],
        ),
        SeededExport(
            "worker_delta",
            "Export Worker delta (incremental)",
            runs=[SeededRun(2, rows=(None,), skipped=True), *daily(6, rows=14, first_hours_ago=8)],
        ),
        SeededExport(
            "empty_package", "Export Empty", runs=[SeededRun(2, rows=(0,)), *daily(6, rows=3, first_hours_ago=26)]
        ),
    ]


def _little_to_show() -> list[SeededExport]:
    """Exports of before there were records, and those that do not run."""
    return [
        SeededExport(
            "legacy_workers",
            "Export Workers (old)",
            runs=[SeededRun(4 + 24 * day, rows=(None,), job_url=None, tasks=day > 0) for day in range(3)],
        ),
        SeededExport("applicants", "Export Applicants", runs=daily(10, rows=530, first_hours_ago=360), paused=True),
        SeededExport("onboarding", "Export Onboarding checklist", next_hours=7),
        SeededExport("gone", "Export Gone", runs=daily(3), stale=True),
        SeededExport("not_an_export", dag_id="unrelated", runs=daily(2), export=False),
    ]


def _odd() -> list[SeededExport]:
    """What nobody would write, and somebody may."""
    return [
        SeededExport(
            "odd_records",
            HTML,
            tags=["odd"],
            runs=[
                SeededRun(1, extra={"rows": "many", "size": -1, "name": HTML, "web_url": "javascript:alert(1)"}),
                SeededRun(25, extra=["not", "an", "object"]),
                SeededRun(49, extra={"rows": float("nan"), "entities": "none"}),
                SeededRun(73, extra={"rows": True, "entities": [{"entity": HTML, "rows": 1e400}]}),
            ],
        ),
        SeededExport(
            "odd_failure",
            "=cmd|' /C calc'!A0",
            tags=["odd"],
            runs=[
                SeededRun(
                    1,
                    "failed",
                    rows=(None,),
                    failed_step="wait_for_export",
                    note=HTML,
                    notified={"who": "knows"},
                    job_url="javascript:alert(1)",
                )
            ],
        ),
        SeededExport("a" * 200, "Export " + "long name " * 20, runs=daily(2, rows=1_000_000), tags=["odd"]),
    ]


def many(exports: int, runs: int) -> list[SeededExport]:
    """So many healthy exports, and a hundredth that failed.

    :param exports: how many.
    :param runs: of each.
    """
    return [
        SeededExport(
            f"bench_{number:04}",
            f"Export Bench {number:04}",
            runs=[
                SeededRun(3, "failed", rows=(None,), failed_step="wait_for_export", note=FULL)
                if number % 100 == 0
                else SeededRun(3, rows=(5000,)),
                *daily(runs - 1, rows=5000, first_hours_ago=27),
            ],
        )
        for number in range(exports)
    ]
