"""What the page reads from Airflow's metadata database: plain columns, in as many queries for one export as for a
thousand.

Each is served by an index that Airflow has. Never read events by their source, XComs by their key alone, or deadlines
by their run: no index serves them, and the tables hold everybody's. Documents are fetched as text and parsed in
:mod:`talent_dmf_ui.records`, so that one that is broken cannot break a query.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.models.asset import AssetEvent, TaskOutletAssetReference
from airflow.models.callback import Callback
from airflow.models.dag import DagModel, DagTag
from airflow.models.dag_version import DagVersion
from airflow.models.dagrun import DagRun, DagRunNote
from airflow.models.deadline import Deadline
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance, TaskInstanceNote
from airflow.models.xcom import XComModel
from sqlalchemy import Text, and_, case, cast, func, select

from talent_dmf_ui import records
from talent_dmf_ui.memory import Memory

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# The tag that dags/talent_exports.py gives every export.
TAG = "talent-dmf"
RUNS_IN_OVERVIEW = 14
RUNS_IN_HISTORY = 60
MOST_EXPORTS = 5000
_MOST_ROWS = 20_000
_MOST_COMPANIES = 20
# So many ids are named in a query: a list of a thousand costs the database more than their rows do.
_FEW = 100
# A daily export has its 14 runs in it; what runs less often is read without a limit of time.
_RECENT = timedelta(days=15)
_FAILED = ("failed", "upstream_failed")

_dag, _run, _ti = DagModel.__table__.c, DagRun.__table__.c, TaskInstance.__table__.c
_serialized, _event, _deadline = SerializedDagModel.__table__.c, AssetEvent.__table__.c, Deadline.__table__.c
_outlet = TaskOutletAssetReference.__table__.c


@dataclass(frozen=True, slots=True)
class Export:
    """A DAG that is an export."""

    dag_id: str
    description: str | None
    paused: bool
    stale: bool
    cron: str | None
    cron_in_words: str | None
    next_run: datetime | None
    promised_seconds: float | None
    tags: tuple[str, ...]
    parameters: records.Parameters


class Run(NamedTuple):
    """A DAG run; its times are texts in ISO 8601, because most of them are only passed on.

    :param seconds: how long it took; ``None`` while it is under way.
    """

    id: int
    dag_id: str
    run_id: str
    state: str | None
    run_type: str
    queued_at: str | None
    start: str | None
    end: str | None
    due: str
    seconds: float | None


class Event(NamedTuple):
    """A package that was saved."""

    run_id: str | None
    map_index: int
    at: datetime
    package: records.Package


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a run."""

    task_id: str
    map_index: int
    label: str | None
    state: str | None
    start: datetime | None
    end: datetime | None
    try_number: int
    note: str | None

    @property
    def step(self) -> str:
        """Its id without the group."""
        return self.task_id.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Step:
    """The tasks of one id in a run: as many as it has companies."""

    start: datetime | None
    end: datetime | None
    tasks: int
    succeeded: int
    failed: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Promise:
    """Until when a run should have been done."""

    until: datetime
    missed: bool
    callback_state: str | None
    told: tuple[records.Told, ...] | None


# Larger than what one look needs, so that people who may read different exports do not displace each other's.
_MOST_KEPT = 2 * MOST_EXPORTS
_exports: Memory[str, Export] = Memory(_MOST_KEPT)
_runs: Memory[str, list[Run]] = Memory(_MOST_KEPT)
_events: Memory[tuple[int, int], list[Event]] = Memory(_MOST_KEPT)


def exports(session: Session, dag_ids: Collection[str], *, with_stale: bool = False) -> list[Export]:
    """The exports among some DAGs, by name.

    :param session: database session.
    :param dag_ids: ids of the DAGs that the user may read.
    :param with_stale: also those whose catalogue file is gone.
    """
    chosen = select(
        _dag.dag_id,
        _dag.description,
        _dag.is_paused,
        _dag.is_stale,
        _dag.timetable_summary,
        _dag.timetable_description,
        cast(_dag.next_dagrun_create_after, Text),
        cast(_dag.deadline, Text),
    ).join(DagTag, and_(DagTag.dag_id == _dag.dag_id, DagTag.name == TAG))
    if not with_stale:
        chosen = chosen.where(_dag.is_stale.is_(False))
    if len(dag_ids) <= _FEW:
        chosen = chosen.where(_dag.dag_id.in_(sorted(dag_ids)))
    rows = [tuple(row) for row in session.execute(chosen.order_by(_dag.dag_id)).all() if row[0] in dag_ids]
    rows = rows[: MOST_EXPORTS + 1]
    ids = [row[0] for row in rows]
    tags = _tags(session, ids)
    hashes = _hashes(session, ids)
    known = _exports.recall(
        {row[0]: (row, tags.get(row[0]), hashes.get(row[0])) for row in rows},
        lambda unread: _made_exports([row for row in rows if row[0] in set(unread)], tags, session),
    )
    return [known[dag_id] for dag_id in ids]


def _made_exports(
    rows: list[tuple[Any, ...]], tags: Mapping[str, frozenset[str]], session: Session
) -> dict[str, Export]:
    parameters = _read_parameters(session, [row[0] for row in rows])
    return {
        row[0]: Export(
            dag_id=row[0],
            description=records.text_of(row[1], longest=1000),
            paused=bool(row[2]),
            stale=bool(row[3]),
            cron=row[4],
            cron_in_words=row[5],
            next_run=moment(iso(row[6]) or "") if row[6] else None,
            promised_seconds=_promise(row[7]),
            tags=tuple(sorted(tags.get(row[0], ()))),
            parameters=parameters.get(row[0], records.Parameters()),
        )
        for row in rows
    }


def _those(column: Any, dag_ids: Collection[str]) -> Any:
    """Some exports; of many, all are read and others left out afterwards."""
    return column.in_(sorted(dag_ids)) if len(dag_ids) <= _FEW else column.in_(_all_exports())


def _all_exports() -> Any:
    return select(DagTag.dag_id).where(DagTag.name == TAG)


def _tags(session: Session, dag_ids: Collection[str]) -> dict[str, frozenset[str]]:
    tags: defaultdict[str, set[str]] = defaultdict(set)
    for dag_id, name in session.execute(
        select(DagTag.dag_id, DagTag.name).where(_those(DagTag.dag_id, dag_ids), DagTag.name != TAG)
    ).all():
        tags[dag_id].add(name)
    return {dag_id: frozenset(names) for dag_id, names in tags.items()}


def _promise(text: object) -> float | None:
    alerts = records.parse(text)
    first = alerts[0] if isinstance(alerts, list) and alerts else None
    return records.count(first.get("interval")) if isinstance(first, dict) else None


def _newest_versions(chosen: Any, dag_ids: Collection[str]) -> Any:
    newest = (
        select(DagVersion.dag_id, func.max(DagVersion.version_number).label("version_number"))
        .where(_those(DagVersion.dag_id, dag_ids))
        .group_by(DagVersion.dag_id)
        .subquery()
    )
    return chosen.join(DagVersion, DagVersion.id == _serialized.dag_version_id).join(
        newest, and_(newest.c.dag_id == DagVersion.dag_id, newest.c.version_number == DagVersion.version_number)
    )


def _hashes(session: Session, dag_ids: Collection[str]) -> dict[str, str]:
    current = _newest_versions(select(_serialized.dag_id, _serialized.dag_hash), dag_ids)
    return {row[0]: row[1] for row in session.execute(current).all()}


def _read_parameters(session: Session, dag_ids: list[str]) -> dict[str, records.Parameters]:
    current = select(
        _serialized.dag_id,
        _serialized.data[("dag", "params")],
        _serialized.data[("dag", "timetable")],
        _serialized.data_compressed,
    )
    found = {}
    for dag_id, params, timetable, compressed in session.execute(_newest_versions(current, dag_ids)):
        if params is None and compressed is not None:
            params, timetable = _decompressed(compressed)
        found[dag_id] = records.parameters(params, timetable)
    return found


def _decompressed(compressed: bytes) -> tuple[Any, Any]:
    try:
        text = zlib.decompressobj().decompress(compressed, 50_000_000)
        dag = json.loads(text)["dag"]
        return dag.get("params"), dag.get("timetable")
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError):
        return None, None


def recent_runs(session: Session, dag_ids: Collection[str], now: datetime) -> dict[str, list[Run]]:
    """The newest runs of each DAG, newest first; nothing for a DAG that has none.

    :param session: database session.
    :param dag_ids: the DAGs.
    :param now: the present.
    """

    def read(changed: list[str]) -> dict[str, list[Run]]:
        since = now - _RECENT
        found = _newest_runs(session, changed, _run.run_after >= since)
        fewer = [dag_id for dag_id in changed if len(found[dag_id]) < RUNS_IN_OVERVIEW]
        for dag_id, runs in _newest_runs(session, fewer, _run.run_after < since).items():
            found[dag_id] = [*found[dag_id], *runs][:RUNS_IN_OVERVIEW]
        return found

    return _runs.recall(_marks_of_runs(session, dag_ids, now), read)


def _marks_of_runs(session: Session, dag_ids: Collection[str], now: datetime) -> dict[str, object]:
    # A run that changes changes the last time of change. Should that be of a transaction which another one has
    # overtaken, then how many are under way or have failed.
    columns = (
        func.count(),
        func.sum(_run.id),
        cast(func.max(_run.updated_at), Text),
        func.sum(case((_run.state.in_(("queued", "running")), 1), else_=0)),
        func.sum(case((_run.state == "failed", 1), else_=0)),
    )
    enough = dict.fromkeys(dag_ids, RUNS_IN_OVERVIEW)
    return _marks(session, _run.dag_id, _all_exports(), columns, _run.run_after, enough, now)


def _marks(
    session: Session,
    group: Any,
    every_group: Any,
    columns: tuple[Any, ...],
    time: Any,
    enough: Mapping[Any, int],
    now: datetime,
) -> dict[Any, object]:
    """For each group of rows a value that is another one as soon as the rows are others.

    :param every_group: query for all groups that there are.
    :param columns: what makes the value; the first of them counts the rows.
    :param enough: groups, and so many rows that older ones than recent ones need not be looked at.
    """
    since = now - _RECENT

    def counted(wanted: Collection[Any], when: Any) -> dict[Any, tuple[Any, ...]]:
        others = enough.keys() - set(wanted)
        named = group.in_(sorted(wanted))
        if len(wanted) > _FEW >= len(others):
            named = and_(group.in_(every_group), group.not_in(sorted(others)))
        chosen = select(group, *columns).where(named, when).group_by(group)
        return {row[0]: tuple(row[1:]) for row in session.execute(chosen).all()}

    recent = counted(enough, time >= since)
    older = counted([name for name, most in enough.items() if recent.get(name, (0,))[0] < most], time < since)
    return {name: (recent.get(name), older.get(name)) for name in enough if name in recent or name in older}


def _newest_runs(session: Session, dag_ids: Collection[str], when: Any) -> defaultdict[str, list[Run]]:
    newest = func.row_number().over(partition_by=_run.dag_id, order_by=(_run.run_after.desc(), _run.id.desc()))
    chosen = select(*_run_columns(), newest.label("newest")).where(_run.dag_id.in_(sorted(dag_ids)), when, _exported())
    ranked = chosen.subquery()
    columns = list(ranked.c)[:-1]
    found: defaultdict[str, list[Run]] = defaultdict(list)
    for row in session.execute(
        select(*columns).where(ranked.c.newest <= RUNS_IN_OVERVIEW).order_by(ranked.c.dag_id, ranked.c.newest)
    ).all():
        found[row[1]].append(_as_run(row))
    return found


def history(session: Session, dag_id: str) -> list[Run]:
    """The newest runs of one DAG, newest first.

    :param session: database session.
    :param dag_id: its id.
    """
    rows = session.execute(
        select(*_run_columns())
        .where(_run.dag_id == dag_id, _exported())
        .order_by(_run.run_after.desc(), _run.id.desc())
        .limit(RUNS_IN_HISTORY)
    )
    return [_as_run(row) for row in rows]


def _exported() -> Any:
    """Runs that were to export something: one that only checks says nothing about what arrived."""
    return func.coalesce(cast(_run.conf, Text), "").not_like('%"check_only": true%')


def _run_columns() -> tuple[Any, ...]:
    # Times as text, here and for events: there are tens of thousands of them, and Airflow's own type takes ten times as
    # long for each.
    times = (_run.queued_at, _run.start_date, _run.end_date, _run.run_after)
    named = [cast(column, Text).label(column.name) for column in times]
    return (_run.id, _run.dag_id, _run.run_id, _run.state, _run.run_type, *named)


def _as_run(row: Any) -> Run:
    number, dag_id, run_id, state, run_type, *times = row
    queued_at, start, end, due = map(iso, times)
    seconds = (moment(end) - moment(start)).total_seconds() if start and end else None
    return Run(number, dag_id, run_id, state, run_type, queued_at, start, end, due or "", seconds)


def iso(text: str | None) -> str | None:
    """A time as the database writes it, in ISO 8601 with its offset.

    :param text: PostgreSQL writes the offset of its session, in hours or in hours and minutes; SQLite and MySQL keep
        UTC and write none.
    """
    if not text:
        return None
    if "+" not in text and "-" not in text[19:]:
        return f"{text[:10]}T{text[11:]}+00:00"
    return f"{text[:10]}T{text[11:]}{'' if text[-3] == ':' else ':00'}"


moment = datetime.fromisoformat


def recent_events(
    session: Session, companies: Mapping[str, int], now: datetime, *, runs: int = RUNS_IN_OVERVIEW
) -> dict[str, list[Event]]:
    """The packages that were saved last by each DAG, newest first.

    :param session: database session.
    :param companies: how many legal entities each DAG exports: so many packages has a run.
    :param now: the present.
    :param runs: of so many runs.
    """
    by_dag: defaultdict[str, list[Event]] = defaultdict(list)
    if not companies:
        return by_dag
    outlets = select(_outlet.asset_id, _outlet.dag_id).where(_those(_outlet.dag_id, companies))
    assets = {asset_id: dag_id for asset_id, dag_id in session.execute(outlets).all() if dag_id in companies}
    limits = {asset_id: runs * min(max(companies[dag_id], 1), _MOST_COMPANIES) for asset_id, dag_id in assets.items()}

    def read(changed: list[tuple[int, int]]) -> dict[tuple[int, int], list[Event]]:
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for asset_id, limit in changed:
            groups[limit].append(asset_id)
        return {
            (asset_id, limit): events
            for limit, asset_ids in groups.items()
            for asset_id, events in _read_events(session, asset_ids, limit, now).items()
        }

    # An event never changes.
    columns = (func.count(), func.sum(_event.id))
    every_asset = select(_outlet.asset_id).where(_outlet.dag_id.in_(_all_exports()))
    marks = _marks(session, _event.asset_id, every_asset, columns, _event.timestamp, limits, now)
    known = _events.recall({(asset_id, limits[asset_id]): mark for asset_id, mark in marks.items()}, read)
    for (asset_id, _), events in known.items():
        by_dag[assets[asset_id]] += events
    return by_dag


def _read_events(session: Session, asset_ids: list[int], limit: int, now: datetime) -> dict[int, list[Event]]:
    since = now - _RECENT
    found = _newest_events(session, asset_ids, limit, _event.timestamp >= since)
    fewer = [asset_id for asset_id in asset_ids if len(found[asset_id]) < limit]
    for asset_id, older in _newest_events(session, fewer, limit, _event.timestamp < since).items():
        found[asset_id] = [*found[asset_id], *older][:limit]
    packages = _read_packages(session, [event[0] for events in found.values() for event in events])
    return {
        asset_id: [
            Event(run_id, -1 if map_index is None else map_index, at, packages.get(event_id, records.Package()))
            for event_id, run_id, map_index, at in events
        ]
        for asset_id, events in found.items()
    }


def _newest_events(
    session: Session, asset_ids: list[int], limit: int, when: Any
) -> defaultdict[int, list[tuple[int, str | None, int | None, datetime]]]:
    newest = func.row_number().over(partition_by=_event.asset_id, order_by=(_event.timestamp.desc(), _event.id.desc()))
    inner = select(
        _event.id,
        _event.asset_id,
        _event.source_run_id,
        _event.source_map_index,
        cast(_event.timestamp, Text).label("at"),
        newest.label("newest"),
    )
    ranked = inner.where(_event.asset_id.in_(asset_ids), when).subquery()
    columns = list(ranked.c)[:-1]
    found: defaultdict[int, list[tuple[int, str | None, int | None, datetime]]] = defaultdict(list)
    for event_id, asset_id, run_id, map_index, at in session.execute(
        select(*columns).where(ranked.c.newest <= limit).order_by(ranked.c.asset_id, ranked.c.newest)
    ).all():
        found[asset_id].append((event_id, run_id, map_index, moment(iso(at) or "")))
    return found


def _read_packages(session: Session, event_ids: list[int]) -> dict[int, records.Package]:
    found = {}
    for part in _parts(event_ids):
        for event_id, extra in session.execute(select(_event.id, cast(_event.extra, Text)).where(_event.id.in_(part))):
            found[event_id] = records.package(extra)
    return found


def tasks(session: Session, run_ids: Iterable[int]) -> dict[int, list[Task]]:
    """The tasks of some runs.

    :param session: database session.
    :param run_ids: ``dag_run.id`` of each.
    """
    found: defaultdict[int, list[Task]] = defaultdict(list)
    for run_id, *row in session.execute(
        select(
            _run.id,
            _ti.task_id,
            _ti.map_index,
            _ti.rendered_map_index,
            _ti.state,
            _ti.start_date,
            _ti.end_date,
            _ti.try_number,
            TaskInstanceNote.content,
        )
        .join(TaskInstance, and_(_ti.dag_id == _run.dag_id, _ti.run_id == _run.run_id))
        .outerjoin(TaskInstanceNote, TaskInstanceNote.ti_id == _ti.id)
        .select_from(DagRun)
        .where(_run.id.in_(sorted(run_ids)))
        .limit(_MOST_ROWS)
    ):
        found[run_id].append(Task(*row))
    return found


def steps(session: Session, dag_id: str, run_ids: Collection[str]) -> dict[str, dict[str, Step]]:
    """When the steps of some runs of a DAG began and ended, and how their tasks ended; by run and step.

    :param session: database session.
    :param dag_id: the DAG.
    :param run_ids: ``run_id`` of each run.
    """
    found: defaultdict[str, dict[str, Step]] = defaultdict(dict)
    for run_id, task_id, *row in session.execute(
        select(
            _ti.run_id,
            _ti.task_id,
            func.min(_ti.start_date),
            func.max(_ti.end_date),
            func.count(),
            func.sum(case((_ti.state == "success", 1), else_=0)),
            func.sum(case((_ti.state.in_(_FAILED), 1), else_=0)),
            func.sum(case((_ti.state == "skipped", 1), else_=0)),
        )
        .where(_ti.dag_id == dag_id, _ti.run_id.in_(sorted(run_ids)))
        .group_by(_ti.run_id, _ti.task_id)
    ):
        found[run_id][task_id.rpartition(".")[2]] = Step(*row)
    return found


def notes(session: Session, run_ids: Iterable[int]) -> dict[int, str]:
    """The notes of some runs: the sentence that says what is wrong.

    :param session: database session.
    :param run_ids: ``dag_run.id`` of each.
    """
    found = session.execute(
        select(DagRunNote.dag_run_id, DagRunNote.content).where(DagRunNote.dag_run_id.in_(sorted(run_ids)))
    )
    return {run_id: text for run_id, content in found if (text := records.text_of(content, longest=1000))}


def xcoms(session: Session, run_ids: Iterable[int], keys: Collection[str]) -> dict[int, dict[str, dict[int, str]]]:
    """Some XComs of some runs as JSON text; by run, ``task id without group/key``, and map index.

    :param session: database session.
    :param run_ids: ``dag_run.id`` of each.
    :param keys: which XComs.
    """
    found: defaultdict[int, dict[str, dict[int, str]]] = defaultdict(dict)
    for run_id, task_id, map_index, key, value in session.execute(
        select(
            XComModel.dag_run_id,
            XComModel.task_id,
            XComModel.map_index,
            XComModel.key,
            cast(XComModel.value, Text),
        )
        .where(XComModel.dag_run_id.in_(sorted(run_ids)), XComModel.key.in_(sorted(keys)))
        .limit(_MOST_ROWS)
    ):
        found[run_id].setdefault(f"{task_id.rpartition('.')[2]}/{key}", {})[map_index] = value
    return found


def companies_of(session: Session, run_ids: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """The legal entities that were chosen when some runs were triggered; nothing for a run that took the defaults.

    :param session: database session.
    :param run_ids: ``dag_run.id`` of each.
    """
    found = {}
    for run_id, conf in session.execute(select(_run.id, cast(_run.conf, Text)).where(_run.id.in_(sorted(run_ids)))):
        chosen = records.parse(conf)
        codes = tuple(records.company_codes(chosen.get("legal_entities"))) if isinstance(chosen, dict) else ()
        if codes:
            found[run_id] = codes
    return found


def promises(session: Session, run_ids: Container[int], now: datetime) -> dict[int, Promise]:
    """The deadlines of some runs, as far as the runs are recent; a run that succeeded in time has none any more.

    :param session: database session.
    :param run_ids: ``dag_run.id`` of each.
    :param now: the present.
    """
    rows = session.execute(
        select(_deadline.dagrun_id, _deadline.deadline_time, _deadline.missed, Callback.state, Callback.output)
        .outerjoin(Callback, Callback.id == _deadline.callback_id)
        .where(_deadline.missed.in_([True, False]), _deadline.deadline_time >= now - _RECENT)
        .order_by(_deadline.deadline_time)
        .limit(_MOST_ROWS)
    )
    found: dict[int, Promise] = {}
    for run_id, until, missed, state, output in rows:
        if run_id in run_ids and run_id not in found:
            found[run_id] = Promise(until, bool(missed), state, records.told(output))
    return found


def _parts(values: list[Any], length: int = 10_000) -> Iterable[list[Any]]:
    for start in range(0, len(values), length):
        yield values[start : start + length]
