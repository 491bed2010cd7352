"""What an export's runs and packages mean: one state, decided by one pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from talent_dmf_ui.queries import Event, Export, Promise, Run
from talent_dmf_ui.records import Package

# States of an export. The page has a word and a mark for each.
PAUSED = "paused"
NEVER = "never"
FAILED = "failed"
LATE = "late"
RUNNING = "running"
QUEUED = "queued"
ARRIVED = "arrived"
EMPTY = "empty"
UNKNOWN = "unknown"
HIDDEN = "hidden"

# The scheduler creates a run within seconds of its time; after so long it is more likely dead than busy.
OVERDUE = timedelta(minutes=10)
_ACTIVE = ("running", "queued")
_ENDED = ("success", "failed")


class Arrival(NamedTuple):
    """What one run saved: a package for each legal entity.

    :param run_id: the run.
    :param at: when the last of them was saved.
    :param packages: map index, time and record of each.
    :param rows: of all packages; unknown if one is.
    """

    run_id: str | None
    at: datetime
    packages: tuple[tuple[int, datetime, Package], ...]
    rows: int | None

    @property
    def size_bytes(self) -> int | None:
        """Bytes of all packages; unknown if one is."""
        return _sum([package.size_bytes for _, _, package in self.packages])


@dataclass(frozen=True, slots=True)
class Assessment:
    """The state of an export.

    :param state: one of this module's states.
    :param run: the run that decides: the one that failed, is late, under way, or has ended last.
    :param retrying: a later run than the failed one is under way.
    :param not_started: late, because the due run was not even created.
    """

    state: str
    run: Run | None = None
    retrying: bool = False
    not_started: bool = False


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What was saved, newest run first.

    :param by_run: all of it.
    :param known: the same by run.
    """

    by_run: tuple[Arrival, ...] = ()
    known: Mapping[str | None, Arrival] = field(default_factory=dict)

    def of(self, run_id: str) -> Arrival | None:
        """What one run saved.

        :param run_id: the run.
        """
        return self.known.get(run_id)

    def last(self, runs: Sequence[Run]) -> Arrival | None:
        """What the last run saved that has not failed; a run that is too old to be among ``runs`` is believed.

        :param runs: the export's runs.
        """
        bad = {run.run_id for run in runs if run.state != "success"}
        return next((arrival for arrival in self.by_run if arrival.run_id not in bad), None)


def arrivals(events: Sequence[Event]) -> Arrivals:
    """Sort packages by run. A task that was cleared saved twice: its last package counts.

    :param events: the packages of one export, newest first.
    """
    by_run: dict[str | None, dict[int, Event]] = {}
    for event in events:
        of_run = by_run.get(event.run_id)
        if of_run is None:
            by_run[event.run_id] = {event.map_index: event}
        else:
            of_run.setdefault(event.map_index, event)
    found = [_arrival(run_id, of_run) for run_id, of_run in by_run.items()]
    found.sort(key=lambda arrival: arrival.at, reverse=True)
    return Arrivals(tuple(found), {arrival.run_id: arrival for arrival in found})


def _arrival(run_id: str | None, events: Mapping[int, Event]) -> Arrival:
    if len(events) == 1:
        ((index, event),) = events.items()
        return Arrival(run_id, event.at, ((index, event.at, event.package),), event.package.rows)
    packages = tuple((index, event.at, event.package) for index, event in sorted(events.items()))
    rows = _sum([package.rows for _, _, package in packages])
    return Arrival(run_id, max(at for _, at, _ in packages), packages, rows)


def assess(
    export: Export, runs: Sequence[Run], saved: Arrivals, promise: Promise | None, *, skipped: bool, now: datetime
) -> Assessment:
    """Decide an export's state; the first that fits.

    :param export: the export.
    :param runs: its runs, newest first.
    :param saved: what they saved.
    :param promise: the deadline of its newest run under way.
    :param skipped: the last run that succeeded ended early, because there were no rows.
    :param now: the present.
    """
    if export.paused:
        return Assessment(PAUSED, runs[0] if runs else None)
    ended = next((run for run in runs if run.state in _ENDED), None)
    active = next((run for run in runs if run.state in _ACTIVE), None)
    if ended is not None and ended.state == "failed":
        return Assessment(FAILED, ended, retrying=active is not None)
    if active is not None and promise is not None and (promise.missed or promise.until <= now):
        return Assessment(LATE, active)
    if active is not None:
        return Assessment(RUNNING if active.state == "running" else QUEUED, active)
    if export.next_run is not None and export.next_run < now - OVERDUE:
        return Assessment(LATE, not_started=True)
    if ended is None:
        return Assessment(NEVER if not runs else UNKNOWN, runs[0] if runs else None)
    arrival = saved.of(ended.run_id)
    if arrival is None:
        return Assessment(EMPTY if skipped else UNKNOWN, ended)
    return Assessment(EMPTY if arrival.rows == 0 else ARRIVED, ended)


def usual(values: Sequence[float]) -> float | None:
    """The median of some values, or ``None`` if there are none.

    :param values: the values.
    """
    ordered = sorted(values)
    middle = len(ordered) // 2
    if not ordered:
        return None
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
