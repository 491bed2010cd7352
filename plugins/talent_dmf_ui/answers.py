"""The two documents that the page asks for: all exports, and one with its history.

Whatever a user may not read is left out here, before a query is made for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from talent_dmf.notes import FAILURE_XCOM_KEY
from talent_dmf_ui import access, queries, records, states
from talent_dmf_ui.memory import Memory
from talent_dmf_ui.queries import Export, Promise, Run, Step, Task
from talent_dmf_ui.states import Arrival, Arrivals, Assessment

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from talent_dmf_ui.access import Rights

DAG_ID_PREFIX = "talent_export_"
_FAILURES_SHOWN = 5
_COMPANIES_SHOWN = 200
# With fewer packages before it, nothing can be called unusual.
_ENOUGH = 5
# A table that grows a little every day is always the largest yet; that is not unusual.
_MARGIN = 0.1
_XCOMS = ("notified", "job_page_url", FAILURE_XCOM_KEY)
_STARTS, _WAITS = "trigger_export", "wait_for_export"
_SAVES = ("save_to_onedrive", "save_to_storage")


# What an export's packages come to, and what the page is sent of one with which nothing is the matter.
_arrivals: Memory[str, Arrivals] = Memory(2 * queries.MOST_EXPORTS)
_calm: Memory[tuple[str, tuple[bool, ...]], str] = Memory(2 * queries.MOST_EXPORTS)


@dataclass(frozen=True, slots=True)
class Permitted:
    """Of which exports the user may read what.

    :param runs: DAG runs, their notes and deadlines.
    :param files: what was saved.
    :param tasks: task instances.
    :param xcoms: XComs.
    :param logs: task logs.
    """

    runs: set[str]
    files: set[str]
    tasks: set[str]
    xcoms: set[str]
    logs: set[str]

    @classmethod
    def ask(cls, rights: Rights, dag_ids: Sequence[str]) -> Permitted:
        """Ask once for all.

        :param rights: of the user.
        :param dag_ids: the exports that the user may read.
        """
        parts = rights.among(dag_ids, (access.RUNS, access.TASKS, access.XCOMS, access.LOGS))
        return cls(
            runs=parts[access.RUNS],
            files=set(dag_ids) if rights.may_read_assets() else parts[access.XCOMS],
            tasks=parts[access.TASKS],
            xcoms=parts[access.XCOMS],
            logs=parts[access.LOGS],
        )

    def of(self, dag_id: str) -> dict[str, bool]:
        """What of one export.

        :param dag_id: the export.
        """
        return {
            "runs": dag_id in self.runs,
            "files": dag_id in self.files,
            "tasks": dag_id in self.tasks,
            "xcoms": dag_id in self.xcoms,
            "logs": dag_id in self.logs,
        }


@dataclass(slots=True)
class Facts:
    """What was read about some exports."""

    runs: dict[str, list[Run]] = field(default_factory=dict)
    saved: dict[str, Arrivals] = field(default_factory=dict)
    promises: dict[int, Promise] = field(default_factory=dict)
    tasks: dict[int, list[Task]] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)
    xcoms: dict[int, dict[str, dict[int, str]]] = field(default_factory=dict)
    companies: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def more_than_runs(self, run_id: int) -> bool:
        """Whether anything was read about a run beside itself and its packages.

        :param run_id: ``dag_run.id``.
        """
        return any(run_id in read for read in (self.promises, self.tasks, self.notes, self.xcoms, self.companies))


def overview(session: Session, rights: Rights, now: datetime) -> str:
    """All exports that a user may read, in JSON.

    :param session: database session.
    :param rights: of the user.
    :param now: the present.
    """
    exports = queries.exports(session, rights.readable_dags())
    complete, exports = len(exports) <= queries.MOST_EXPORTS, exports[: queries.MOST_EXPORTS]
    ids = [export.dag_id for export in exports]
    permitted = Permitted.ask(rights, ids)
    facts = Facts(runs=queries.recent_runs(session, permitted.runs, now))
    _read_saved(session, facts, [export for export in exports if export.dag_id in permitted.files], now)
    assessed = _assess_all(session, facts, exports, permitted, now)
    lines = _summaries(exports, assessed, facts, permitted)
    return f'{{"complete":{_json(complete)},"exports":[{",".join(lines)}]}}'


def _summaries(
    exports: Sequence[Export], assessed: Mapping[str, Assessment], facts: Facts, permitted: Permitted
) -> list[str]:
    known = {export.dag_id: export for export in exports}

    def written(dag_id: str) -> str:
        return _json(_summary(known[dag_id], assessed[dag_id], facts, permitted))

    calm: dict[tuple[str, tuple[bool, ...]], object] = {}
    for dag_id, export in known.items():
        run = assessed[dag_id].run
        if run is None or not facts.more_than_runs(run.id):
            made_of = (export, assessed[dag_id], facts.runs.get(dag_id), facts.saved.get(dag_id))
            calm[dag_id, tuple(permitted.of(dag_id).values())] = made_of
    texts = _calm.recall(calm, lambda changed: {name: written(name[0]) for name in changed})
    by_dag = {dag_id: text for (dag_id, _), text in texts.items()}
    return [by_dag.get(dag_id) or written(dag_id) for dag_id in known]


def one(session: Session, rights: Rights, dag_id: str, now: datetime) -> str | None:
    """One export with its history, in JSON; ``None`` if there is no such export for this user.

    :param session: database session.
    :param rights: of the user.
    :param dag_id: id of the DAG.
    :param now: the present.
    """
    if not rights.may_read_dag(dag_id):
        return None
    exports = queries.exports(session, {dag_id}, with_stale=True)
    if not exports:
        return None
    (export,) = exports
    permitted = Permitted.ask(rights, [dag_id])
    runs = queries.history(session, dag_id) if permitted.runs else []
    facts = Facts(runs={dag_id: runs})
    _read_saved(session, facts, exports if permitted.files else [], now, runs=queries.RUNS_IN_HISTORY)
    assessed = _assess_all(session, facts, exports, permitted, now)[dag_id]
    failed = [run.id for run in runs if run.state == "failed"]
    facts.notes |= queries.notes(session, [run.id for run in runs])
    if permitted.xcoms:
        facts.xcoms |= queries.xcoms(session, [run.id for run in runs], _XCOMS)
    shown_failures = [run for run in runs if run.state == "failed"][:_FAILURES_SHOWN]
    company_run = assessed.run or (runs[0] if runs else None)
    detailed = {run.id for run in shown_failures} | ({company_run.id} if company_run else set())
    if permitted.tasks:
        facts.tasks |= queries.tasks(session, detailed - set(facts.tasks))
    facts.companies |= queries.companies_of(session, detailed)
    steps = queries.steps(session, dag_id, [run.run_id for run in runs]) if permitted.tasks else {}
    saved = facts.saved.get(dag_id, Arrivals())
    arrival = saved.last(runs)
    document = {
        "export": _summary(export, assessed, facts, permitted),
        "stale": export.stale,
        "runs": [_run_line(export, run, steps.get(run.run_id, {}), assessed, facts, permitted) for run in runs],
        "failures": [_failure(export, run, facts, permitted) for run in shown_failures],
        "failed_runs": len(failed),
        "entities": _entities(arrival),
        "companies": _companies(export, company_run, facts) if company_run else [],
    }
    return _json(document)


def _read_saved(
    session: Session, facts: Facts, exports: Sequence[Export], now: datetime, *, runs: int = queries.RUNS_IN_OVERVIEW
) -> None:
    companies = {export.dag_id: len(export.parameters.companies) for export in exports}
    events = queries.recent_events(session, companies, now, runs=runs)
    facts.saved |= _arrivals.recall(
        events, lambda changed: {dag_id: states.arrivals(events[dag_id]) for dag_id in changed}
    )


def _assess_all(
    session: Session, facts: Facts, exports: Sequence[Export], permitted: Permitted, now: datetime
) -> dict[str, Assessment]:
    active = {
        run.id: dag_id for dag_id, runs in facts.runs.items() for run in runs if run.state in {"running", "queued"}
    }
    facts.promises = queries.promises(session, active, now) if active else {}
    # A run that succeeded and saved nothing either had nothing to save or has left no record: its tasks say which.
    readable = permitted.files & permitted.tasks
    bare = {
        run.id
        for dag_id, runs in facts.runs.items()
        if dag_id in readable
        for run in [next((run for run in runs if run.state in {"success", "failed"}), None)]
        if run is not None and run.state == "success" and facts.saved.get(dag_id, Arrivals()).of(run.run_id) is None
    }
    if bare:
        facts.tasks |= queries.tasks(session, bare)
    assessed = {export.dag_id: _assess(export, facts, permitted, now) for export in exports}
    trouble = {
        (dag_id, assessment.run.id)
        for dag_id, assessment in assessed.items()
        if assessment.run is not None and assessment.state in {states.FAILED, states.LATE}
    }
    if trouble:
        facts.notes |= queries.notes(session, [run_id for _, run_id in trouble])
        allowed = [run_id for dag_id, run_id in trouble if dag_id in permitted.tasks]
        facts.tasks |= queries.tasks(session, allowed)
        facts.companies |= queries.companies_of(session, allowed)
    linked = {run_id: dag_id for dag_id, run_id in trouble} | active
    allowed = [run_id for run_id, dag_id in linked.items() if dag_id in permitted.xcoms]
    if allowed:
        facts.xcoms |= queries.xcoms(session, allowed, _XCOMS)
    return assessed


def _assess(export: Export, facts: Facts, permitted: Permitted, now: datetime) -> Assessment:
    if export.dag_id not in permitted.runs:
        return Assessment(states.HIDDEN)
    runs = facts.runs.get(export.dag_id, [])
    promised = (promise_of(run, facts) for run in runs) if facts.promises else ()
    promise = next((each for each in promised if each is not None), None)
    ended = next((run for run in runs if run.state in {"success", "failed"}), None)
    tasks = facts.tasks.get(ended.id, []) if ended is not None else []
    waits = [task for task in tasks if task.step == _WAITS]
    skipped = bool(waits) and all(task.state == "skipped" for task in waits)
    return states.assess(export, runs, facts.saved.get(export.dag_id, Arrivals()), promise, skipped=skipped, now=now)


def promise_of(run: Run, facts: Facts) -> Promise | None:
    """Until when a run should be done. Runs of a backfill are queued together and take turns: theirs counts from their
    start.

    :param run: the run.
    :param facts: what was read.
    """
    promise = facts.promises.get(run.id)
    if promise is None or run.run_type != "backfill":
        return promise
    if run.start is None or run.queued_at is None:
        return None
    until = promise.until + (queries.moment(run.start) - queries.moment(run.queued_at))
    return replace(promise, until=until, missed=False)


def _summary(export: Export, assessed: Assessment, facts: Facts, permitted: Permitted) -> dict[str, Any]:
    dag_id = export.dag_id
    runs = facts.runs.get(dag_id, [])
    saved = facts.saved.get(dag_id, Arrivals())
    return {
        "dag_id": dag_id,
        "name": dag_id.removeprefix(DAG_ID_PREFIX),
        "description": export.description,
        "project": export.parameters.project,
        "companies": list(export.parameters.companies),
        "place": export.parameters.place,
        "tags": list(export.tags),
        "paused": export.paused,
        "schedule": {
            "cron": export.cron if export.next_run or export.cron_in_words else None,
            "words": export.cron_in_words or None,
            "timezone": export.parameters.timezone,
        },
        "next_run": _iso(export.next_run),
        "promised_seconds": export.promised_seconds,
        "state": assessed.state,
        "not_started": assessed.not_started,
        "retrying": assessed.retrying,
        "permitted": permitted.of(dag_id),
        "run": _deciding_run(export, assessed, facts, permitted),
        "arrived": _arrived(export, saved, runs),
        "usual_seconds": states.usual([r.seconds for r in runs if r.state == "success" and r.seconds is not None]),
        "last_seconds": next((run.seconds for run in runs if run.seconds is not None), None),
        "runs": [_bar(run, saved, assessed) for run in reversed(runs[: queries.RUNS_IN_OVERVIEW])],
        "last_run_id": runs[0].run_id if runs else None,
    }


def _bar(run: Run, saved: Arrivals, assessed: Assessment) -> list[Any]:
    """Short, because there are many: what came of the run, the second when it was due, how many seconds it took."""
    due = int(queries.moment(run.due).timestamp()) if run.due else None
    return [_result(run, saved, assessed), due, None if run.seconds is None else round(run.seconds)]


def _deciding_run(export: Export, assessed: Assessment, facts: Facts, permitted: Permitted) -> dict[str, Any] | None:
    run = assessed.run
    if run is None:
        return None
    tasks = facts.tasks.get(run.id, [])
    failed = _deciding_task(tasks)
    promise = promise_of(run, facts)
    ends = [task for task in tasks if task.step in _SAVES]
    return {
        "run_id": run.run_id,
        "type": run.run_type,
        "state": run.state,
        "at": run.due,
        "queued_at": run.queued_at,
        "started_at": run.start,
        "ended_at": run.end,
        "sentence": _sentence(run, tasks, facts),
        "task": _task_link(export, run, failed, facts) if failed and export.dag_id in permitted.logs else None,
        "told": _told(run, failed, promise, facts),
        "promised_until": _iso(promise.until) if promise else None,
        "job_url": _job_url(run, failed, facts),
        "companies_failed": sum(task.state in {"failed", "upstream_failed"} for task in ends),
        "companies": len(ends),
    }


def _arrived(export: Export, saved: Arrivals, runs: Sequence[Run]) -> dict[str, Any] | None:
    arrival = saved.last(runs)
    if arrival is None:
        return None
    earlier = [each.rows for each in saved.by_run if each.at < arrival.at and each.rows is not None]
    rows = arrival.rows
    unusual = None
    if rows is not None and len(earlier) >= _ENOUGH:
        low, high = min(earlier), max(earlier)
        if rows < low * (1 - _MARGIN) or rows > high * (1 + _MARGIN):
            unusual = [low, high]
    return {
        "at": _iso(arrival.at),
        "run_id": arrival.run_id,
        "rows": rows,
        "rows_before": earlier[0] if earlier else None,
        "unusual": unusual,
        "size_bytes": arrival.size_bytes,
        "files": _files(export, arrival),
        "folder_url": next((package.folder_url for _, _, package in arrival.packages if package.folder_url), None),
    }


def _files(export: Export, arrival: Arrival) -> list[dict[str, Any]]:
    return [
        {
            "name": package.name,
            "url": package.url,
            "company": _company(package.company, None, index, export.parameters.companies),
            "size_bytes": package.size_bytes,
            "rows": package.rows,
        }
        for index, _, package in arrival.packages[: records.MAX_FILES]
    ]


def _run_line(
    export: Export, run: Run, steps: Mapping[str, Step], assessed: Assessment, facts: Facts, permitted: Permitted
) -> dict[str, Any]:
    saved = facts.saved.get(export.dag_id, Arrivals())
    arrival = saved.of(run.run_id)
    wait = steps.get(_WAITS)
    save = next((steps[name] for name in _SAVES if name in steps), None)
    begun = steps[_STARTS].start if _STARTS in steps else None
    exported = wait.end if wait else None
    queued = queries.moment(run.queued_at) if run.queued_at else None
    failed = run.state == "failed"
    return {
        "run_id": run.run_id,
        "type": run.run_type,
        "state": run.state,
        "result": states.EMPTY if _skipped(run, wait) else _result(run, saved, assessed),
        "at": run.due,
        "started_at": run.start,
        "ended_at": run.end,
        "seconds": run.seconds,
        "queue_seconds": _between(queued, begun),
        "export_seconds": _between(begun, exported),
        "transfer_seconds": _between(exported, save.end) if save and save.succeeded else None,
        "companies": save.tasks if save else None,
        "companies_arrived": save.succeeded if save else None,
        "rows": arrival.rows if arrival else None,
        "size_bytes": arrival.size_bytes if arrival else None,
        "files": _files(export, arrival) if arrival else [],
        "sentence": facts.notes.get(run.id),
        "told": _told(run, None, None, facts) if failed and export.dag_id in permitted.xcoms else None,
        "job_url": _job_url(run, None, facts),
    }


def _failure(export: Export, run: Run, facts: Facts, permitted: Permitted) -> dict[str, Any]:
    tasks = facts.tasks.get(run.id, [])
    failed = _deciding_task(tasks)
    return {
        "run_id": run.run_id,
        "at": run.end or run.start or run.due,
        "sentence": _sentence(run, tasks, facts),
        "step": failed.step if failed else None,
        "company": _label(export, run, failed, facts) if failed else None,
        "task": _task_link(export, run, failed, facts) if failed and export.dag_id in permitted.logs else None,
    }


def _companies(export: Export, run: Run, facts: Facts) -> list[dict[str, Any]]:
    by_index: dict[int, list[Task]] = {}
    for task in facts.tasks.get(run.id, ()):
        if task.map_index >= 0:
            by_index.setdefault(task.map_index, []).append(task)
    saved = facts.saved.get(export.dag_id, Arrivals())
    lines = []
    for index in sorted(by_index)[:_COMPANIES_SHOWN]:
        tasks = by_index[index]
        company = _label(export, run, tasks[0], facts)
        starts, ends = [t.start for t in tasks if t.start], [t.end for t in tasks if t.end]
        now_saved = _package_of(saved.of(run.run_id), index)
        last = now_saved or _last_package(export, saved, index, company)
        lines.append(
            {
                "company": company,
                "state": _state_of_company(tasks, now_saved is not None),
                "seconds": (max(ends) - min(starts)).total_seconds() if starts and ends else None,
                "at": _iso(last[0]) if last else None,
                "rows": last[1].rows if last else None,
                "size_bytes": last[1].size_bytes if last else None,
                "name": last[1].name if last else None,
                "url": last[1].url if last else None,
                "last_good": last is not None and now_saved is None,
            }
        )
    return lines


def _state_of_company(tasks: Sequence[Task], saved: bool) -> str:
    found = {task.state for task in tasks}
    if found & {"failed", "upstream_failed"}:
        return states.FAILED
    if saved:
        return states.ARRIVED
    if any(task.state == "skipped" for task in tasks):
        return states.EMPTY
    if found <= {"success"}:
        return states.UNKNOWN
    return states.RUNNING if found & {"running", "deferred", "success", "up_for_retry"} else states.QUEUED


def _package_of(arrival: Arrival | None, index: int) -> tuple[datetime, records.Package] | None:
    for each, at, package in arrival.packages if arrival else ():
        if each == index:
            return at, package
    return None


def _last_package(
    export: Export, saved: Arrivals, index: int, company: str | None
) -> tuple[datetime, records.Package] | None:
    for arrival in saved.by_run:
        for each, at, package in arrival.packages:
            if _company(package.company, None, each, export.parameters.companies) == (company or index):
                return at, package
    return None


def _entities(arrival: Arrival | None) -> list[dict[str, Any]]:
    totals: dict[str, int | None] = {}
    for _, _, package in arrival.packages if arrival else ():
        for entity in package.entities:
            known = totals.get(entity.name, 0)
            totals[entity.name] = None if known is None or entity.rows is None else known + entity.rows
    return [{"name": name, "rows": rows} for name, rows in list(totals.items())[: records.MAX_ENTITIES]]


def _result(run: Run, saved: Arrivals, assessed: Assessment) -> str:
    """What came of a run, in the words of an export's states."""
    if run.state != "success":
        return states.LATE if run is assessed.run and assessed.state == states.LATE else run.state or states.UNKNOWN
    if run is assessed.run and assessed.state == states.EMPTY:
        return states.EMPTY
    arrival = saved.of(run.run_id)
    if arrival is None:
        return states.UNKNOWN
    return states.EMPTY if arrival.rows == 0 else states.ARRIVED


def _skipped(run: Run, wait: Step | None) -> bool:
    return run.state == "success" and wait is not None and wait.skipped == wait.tasks


def _deciding_task(tasks: Iterable[Task]) -> Task | None:
    failed = [task for task in tasks if task.state == "failed"]
    return min(failed, key=lambda task: (task.end is None, task.end, task.map_index), default=None)


def _sentence(run: Run, tasks: Iterable[Task], facts: Facts) -> str | None:
    """Why a run failed: its note, or that of the task that failed first, or the reason which that task has left."""
    if run.id in facts.notes:
        return facts.notes[run.id]
    failed = _deciding_task(tasks)
    note = records.text_of(failed.note, longest=records.MAX_SENTENCE_CHARS) if failed else None
    if note or failed is None:
        return note
    reason = facts.xcoms.get(run.id, {}).get(f"{failed.step}/{FAILURE_XCOM_KEY}", {}).get(failed.map_index)
    return records.text_of(records.parse(reason), longest=records.MAX_SENTENCE_CHARS)


def _task_link(export: Export, run: Run, task: Task, facts: Facts) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "step": task.step,
        "map_index": task.map_index,
        "company": _label(export, run, task, facts),
    }


def _told(run: Run, failed: Task | None, promise: Promise | None, facts: Facts) -> list[dict[str, Any]] | None:
    """Who was told; ``None`` if that is not recorded."""
    found: tuple[records.Told, ...] | None = promise.told if promise else None
    for key, by_index in facts.xcoms.get(run.id, {}).items():
        if key.endswith("/notified"):
            texts = [by_index[failed.map_index]] if failed and failed.map_index in by_index else by_index.values()
            for text in texts:
                more = records.told(text)
                if more is not None:
                    found = (*(found or ()), *more)
    if found is None:
        return None
    return [
        {"channel": each.channel, "target": each.target, "at": each.at, "delivered": each.delivered}
        for each in found[: records.MAX_TOLD]
    ]


def _job_url(run: Run, failed: Task | None, facts: Facts) -> str | None:
    for key, by_index in facts.xcoms.get(run.id, {}).items():
        if key.endswith("/job_page_url"):
            index = failed.map_index if failed and failed.map_index in by_index else min(by_index)
            address = records.web_address(records.parse(by_index[index]))
            if address:
                return address
    return None


def _label(export: Export, run: Run, task: Task, facts: Facts) -> str | None:
    companies = facts.companies.get(run.id, export.parameters.companies)
    return _company(None, task.label, task.map_index, companies)


def _company(recorded: str | None, label: str | None, index: int, companies: Sequence[str]) -> str | None:
    if recorded:
        return recorded
    if index < 0:
        return companies[0] if len(companies) == 1 else None
    if label and not label.isdecimal():
        return records.text_of(label)
    return companies[index] if index < len(companies) else str(index)


def _between(begin: datetime | None, end: datetime | None) -> float | None:
    if begin is None or end is None or end < begin:
        return None
    return (end - begin) / timedelta(seconds=1)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
