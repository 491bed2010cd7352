"""Whose turn it is: the executions that the task instances of one mapped task have started in one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from talent_dmf.api.arguments import moment

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol as TaskInstance

# XCom key under which each task instance says what it starts, before it does.
TURN_XCOM_KEY = "turn"
# Workers' clocks may differ by this much.
_CLOCKS = timedelta(minutes=2)


class Turn:
    """One task instance's place among those of its mapped task.

    Each tells the others, by an XCom, under which id it is going to start an execution, and then that it has started
    it. The XCom outlives a failed try, so an execution whose answer was lost is known to the others as well. They run
    one at a time (``max_active_tis_per_dagrun=1``), so none can begin between another's look and start.

    :param ti: the task instance.
    """

    def __init__(self, ti: TaskInstance) -> None:
        self._ti = ti
        self._mapped = ti.map_index is not None and ti.map_index >= 0

    def announce(self, execution_id: str) -> None:
        """Say under which id an execution is going to be started."""
        self._say(execution_id, started=False)

    def started(self, execution_id: str) -> None:
        """Say which execution was started."""
        self._say(execution_id, started=True)

    def before(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Ids of executions of the other task instances that may not have ended: those that were started, and those
        of which that is not known. The last one began when all before it had ended, so no earlier one is named.
        """
        if not self._mapped:
            return (), ()
        others = [each for each in self._said() if each["map_index"] != self._ti.map_index]
        last = max((each["at"] for each in others if each["started"]), default=None)
        recent = [each for each in others if last is None or each["at"] >= last - _CLOCKS]
        return (
            tuple(each["execution_id"] for each in recent if each["started"]),
            tuple(each["execution_id"] for each in recent if not each["started"]),
        )

    def _say(self, execution_id: str, *, started: bool) -> None:
        if self._mapped:
            self._ti.xcom_push(
                key=TURN_XCOM_KEY,
                value={
                    "map_index": self._ti.map_index,
                    "execution_id": execution_id,
                    "started": started,
                    "at": datetime.now(UTC).isoformat(),
                },
            )

    def _said(self) -> Iterator[dict[str, Any]]:
        # Without map_indexes, Airflow gives those of all, and a single one by itself.
        pulled = self._ti.xcom_pull(task_ids=self._ti.task_id, key=TURN_XCOM_KEY)
        for each in pulled if isinstance(pulled, list) else [pulled]:
            if isinstance(each, Mapping) and moment(each.get("at")) is None:
                yield {**each, "at": datetime.fromisoformat(str(each["at"]))}
