"""Starts that the tasks of one machine tell each other of, because the job history does not know them in their first
seconds (docs/wire/dmf-package-api.md#not-found-at-first)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from talent_dmf.api.errors import TalentDmfError, TransportError
from talent_dmf.transport.shared_notes import SharedNotes

_KEY = "starts"
# As long as a call may take, and as long as an execution may stay unknown after it.
_STARTING_SECONDS, _STARTED_SECONDS = 300.0, 60.0
_MOST_STARTS = 500


class RecentStarts:
    """The starts of one environment.

    :param notes: where they are told.
    :param clock: seconds since the epoch.
    """

    def __init__(self, notes: SharedNotes, clock: Callable[[], float] = time.time) -> None:
        self._notes, self._clock = notes, clock

    @contextmanager
    def starting(self, project: str, execution_id: str) -> Iterator[tuple[str, ...]]:
        """Tell that an execution is about to be started, and then that it was.

        :param project: name of the data project.
        :param execution_id: its id.
        :yields: ids under which others have begun to start executions of the project before.
        """
        beside = self._tell(project, execution_id, _STARTING_SECONDS)
        try:
            yield beside
        except TalentDmfError as error:
            # Of an answer that was lost nobody knows what became.
            if not (isinstance(error, TransportError) and error.sent):
                self._tell(project, execution_id, 0.0)
            raise
        self._tell(project, execution_id, _STARTED_SECONDS)

    def _tell(self, project: str, execution_id: str, seconds: float) -> tuple[str, ...]:
        others: list[str] = []

        def change(told: dict[str, Any]) -> dict[str, Any]:
            # Read while nobody else tells anything: what was told before was told at an earlier moment.
            moment = self._clock()
            starts = [each for each in _list(told.get(_KEY)) if self._is_recent(each, moment, execution_id)]
            others.extend(str(each["id"]) for each in starts if each.get("project") == project.casefold())
            if seconds:
                starts.append({"project": project.casefold(), "id": execution_id, "until": moment + seconds})
            return {**told, _KEY: starts[-_MOST_STARTS:]}

        self._notes.change(change)
        return tuple(others)

    @staticmethod
    def _is_recent(start: Any, moment: float, execution_id: str) -> bool:
        until = start.get("until") if isinstance(start, dict) else None
        # A clock that was set back must not make a start recent for ever.
        recent = isinstance(until, int | float) and moment < until <= moment + _STARTING_SECONDS
        return recent and start.get("id") != execution_id


def _list(told: Any) -> list[Any]:
    return told if isinstance(told, list) else []
