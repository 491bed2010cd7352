"""Many exports started at once within an environment's quota, by the tasks of the DAGs: for tests and a benchmark.

Times may be made shorter, all of them alike: the quota's window, the exports' lengths, the interval of polls.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred
from tests.integration.conftest import carried_over
from tests.integration.records import DagRunRecord, StateStore, TaskInstanceRecord

from dmf_emulator import Emulator, Settings
from dmf_emulator.state.recorder import Record
from talent_dmf.operators.talent_dmf import TalentDmfExportedPackageUrlOperator, TalentDmfExportToPackageOperator
from talent_dmf.sensors.talent_dmf import TalentDmfExecutionStatusSensor
from talent_dmf.transfers.talent_dmf_to_object_storage import TalentDmfToObjectStorageOperator

Lists = Literal["wildcard", "no wildcard", "no list"]
LISTS: tuple[Lists, ...] = ("wildcard", "no wildcard", "no list")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is exported.

    :param exports: how many, all started at once.
    :param faster: by how much all times are shorter.
    :param quota_share: which part of Human Resources' quota the environment gives.
    :param lists: which lists it takes.
    """

    exports: int = 100
    faster: float = 1.0
    quota_share: float = 1.0
    lists: Lists = "wildcard"

    @property
    def quota(self) -> dict[str, float]:
        """Of Human Resources: 500 requests, 300 seconds of work and 25 at once in 300 seconds."""
        return {
            "requests": int(500 * self.quota_share),
            "execution_seconds": 300.0 / self.faster,
            "concurrent": 25,
            "window_seconds": 300.0 / self.faster,
        }

    @property
    def poke_interval(self) -> float:
        """The catalogue's own; a list is asked for twice as often, which a shorter time has to say."""
        return 60.0 if self.faster == 1.0 else 30.0 / self.faster

    def lengths(self) -> list[float]:
        """How long each export takes: 1 to 10 minutes, the same in every run."""
        chance = random.Random(5)
        return [chance.uniform(60.0, 600.0) / self.faster for _ in range(self.exports)]


@contextmanager
def running_environment(plan: Plan) -> Iterator[Emulator]:
    """An environment with a data project for each export.

    :param plan: what is exported.
    """
    second = 1.0 / plan.faster
    settings = Settings(
        seed=4, not_found_seconds=2 * second, not_run_seconds=0.0, executing_seconds=4 * second,
        url_delay_seconds=2 * second, wildcard_filters=plan.lists != "no wildcard", recorder_limit=1_000_000,
    )  # fmt: skip
    with Emulator(settings) as running:
        (project, *_) = running.state.projects.all()
        for number in range(plan.exports):
            running.state.projects.put(replace(project, name=f"Project {number}"))
        # What the service works on a request is not known; a second for a start is.
        costs = {"request_seconds": 0.2 * second, "export_seconds": 1.0 * second}
        running.faults.add("dmf.F27", mode="human-resources", **costs, **plan.quota)
        if plan.lists == "no list":
            running.faults.add("dmf.F29", status=403)
        for number, seconds in enumerate(plan.lengths()):
            running.faults.add("dmf.F9", mode="queue", not_run_seconds=seconds, times=1, after=number)
        yield running


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the exports.

    :param sizes: of each saved file, in bytes.
    :param late_seconds: of each, the time from its end to the moment when its wait was over.
    :param requests: all that the environment received.
    :param took_seconds: time from the first start to the last file.
    """

    sizes: list[int]
    late_seconds: list[float]
    requests: Sequence[Record]
    took_seconds: float

    @property
    def refused(self) -> list[str]:
        """What was answered 429."""
        return [each.action for each in self.requests if each.status == 429]

    @property
    def started(self) -> int:
        """How many executions were started."""
        return len({each.execution_id for each in self.requests if each.action == "ExportToPackage"})

    @property
    def lists(self) -> int:
        """How many requests were made for lists of many executions."""
        return sum(_is_list(each) for each in self.requests)

    def of_each(self) -> Counter[str]:
        """How many requests were made for each export, by its id, without what only watched: lists of many, and where
        there were none, the polls in their place but for the last one."""
        counts = Counter(_execution_of(each) for each in self.requests if not _is_list(each))
        if all(each.status == 403 for each in self.requests if _is_list(each)):
            polls = Counter(each.execution_id for each in self.requests if each.action == "GetExecutionSummaryStatus")
            counts -= Counter({execution_id: count - 1 for execution_id, count in polls.items()})
        return counts

    def by_operation(self) -> Counter[str]:
        """How many requests were made, by what they are for."""
        return Counter("list of many" if _is_list(each) else each.action for each in self.requests)


def _execution_of(request: Record) -> str:
    found = request.execution_id or re.search(r"JobId\+eq\+%27(.+?)%27", request.path)
    assert found, request.path
    return found if isinstance(found, str) else found[1]


def _is_list(request: Record) -> bool:
    return "$select=JobId" in request.path


@dataclass
class TaskInstance(TaskInstanceRecord):
    """One that reads what the task before it has pushed."""

    before: TaskInstance | None = None

    def xcom_pull(self, *, task_ids: str, key: str = "return_value", **_: Any) -> Any:
        assert self.before is not None
        assert task_ids == self.before.task_id
        return self.before.pushed.get(key)


class Export:
    """One export, task by task, as a worker and a triggerer run them.

    :param number: which.
    :param plan: what is exported.
    :param folder: where it is saved.
    :param conn_id: connection to the environment.
    :param pool: threads that stand for workers.
    """

    def __init__(self, number: int, plan: Plan, folder: Path, conn_id: str, pool: ThreadPoolExecutor) -> None:
        self._number, self._plan, self._folder, self._conn_id, self._pool = number, plan, folder, conn_id, pool
        self.seen_at = 0.0
        self.execution_id = ""
        self._before: TaskInstance | None = None

    async def run(self) -> int:
        """Run the four tasks and return the size of the file."""
        common = {"talent_dmf_conn_id": self._conn_id, "deferrable": True}
        project = f"Project {self._number}"
        self.execution_id = await self._task(
            TalentDmfExportToPackageOperator(
                task_id="trigger_export", definition_group_id=project, package_name="p.zip", legal_entity_id="USMF",
                **common,
            )
        )  # fmt: skip
        result = await self._task(
            TalentDmfExecutionStatusSensor(
                task_id="wait_for_export", execution_id=self.execution_id, timeout=7200.0,
                poke_interval=self._plan.poke_interval, **common,
            )
        )  # fmt: skip
        self.seen_at = time.time()
        assert result["status"] == "Succeeded"
        package = await self._task(
            TalentDmfExportedPackageUrlOperator(
                task_id="get_package_url", execution_id=self.execution_id, talent_dmf_conn_id=self._conn_id
            )
        )
        saved = await self._task(
            TalentDmfToObjectStorageOperator(
                task_id="save", package=package, destination=f"file://{self._folder}", file_name=f"{project}.zip",
                definition_group_id=project, legal_entity_id="USMF", export_result=result,
                talent_dmf_conn_id=self._conn_id,
            )
        )  # fmt: skip
        assert saved["size"] == package["size_bytes"]
        return (self._folder / f"{project}.zip").stat().st_size

    async def _task(self, operator: BaseOperator) -> Any:
        run_id, before = f"manual__{self._number}", self._before
        self._before = TaskInstance(run_id=run_id, task_id=operator.task_id, before=before)
        context = {
            "ti": self._before,
            "task": SimpleNamespace(upstream_task_ids={before.task_id} if before else set()),
            "dag_run": DagRunRecord(run_id=run_id),
            "task_state_store": StateStore(),
            "run_id": run_id,
            "params": {},
        }
        loop = asyncio.get_running_loop()
        step: Callable[[], Any] = partial(operator.execute, context)
        while True:
            try:
                result = await loop.run_in_executor(self._pool, step)
                self._before.xcom_push("return_value", result)
                return result
            except TaskDeferred as deferred:
                method, trigger = carried_over(deferred)
            events = trigger.run()
            try:
                event = (await anext(events)).payload  # type: ignore[union-attr]
            finally:
                await events.aclose()
            step = partial(operator.resume_execution, method, {"event": event}, context)


def export_all(plan: Plan, emulator: Emulator, folder: Path, conn_id: str = "talent_dmf_default") -> Outcome:
    """Start all exports at once, and wait until they are saved.

    :param plan: what is exported.
    :param emulator: the environment.
    :param folder: where to save.
    :param conn_id: connection to the environment.
    """
    began = time.monotonic()

    async def run(pool: ThreadPoolExecutor) -> tuple[list[Export], list[int]]:
        exports = [Export(number, plan, folder, conn_id, pool) for number in range(plan.exports)]
        return exports, list(await asyncio.gather(*(each.run() for each in exports)))

    with ThreadPoolExecutor(plan.exports) as pool:
        exports, sizes = asyncio.run(run(pool))
    ends = {each.execution_id: each.finished_at for each in emulator.state.executions.all()}
    late = [each.seen_at - ends[each.execution_id] for each in exports]
    return Outcome(sizes, late, emulator.recorder.requests(origin="dmf"), time.monotonic() - began)
