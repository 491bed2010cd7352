"""The exports of a storm: a catalogue of them, their data projects, their runs."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.cluster.cluster import Cluster
from tests.cluster.container import Container, wait_for

# Without a mapping an export never ends.
ENTITY = {"EntityName": "Workers", "AutoGenerateMapping": "Yes"}
_OVER = "'success', 'failed', 'upstream_failed', 'skipped', 'removed'"
TWICE = {"airflow-worker": 2, "airflow-scheduler": 2, "airflow-triggerer": 2}


def catalogue(folder: Path, exports: int, *, retry_delay: str = "1 min") -> None:
    """Write a catalogue of exports that can run at the same time: each has a data project of its own.

    :param folder: where to.
    :param exports: how many.
    :param retry_delay: as the catalogue writes it.
    """
    folder.chmod(0o755)
    for number in range(exports):
        text = f"data_project: Storm {number:02d}\nlegal_entities: USMF\nfolder: Exports/Storm\npoke_interval: 5 s\n"
        path = folder / f"storm_{number:02d}.yaml"
        path.write_text(f"{text}retry_delay: {retry_delay}\n", encoding="utf-8")
        path.chmod(0o644)


@dataclass
class Run:
    """One run of one export."""

    dag_id: str
    run_id: str
    state: str = "queued"

    @property
    def over(self) -> bool:
        """Whether it has reached its end."""
        return self.state in {"success", "failed"}

    @property
    def data_project(self) -> str:
        """Of the export."""
        return f"Storm {self.dag_id.rpartition('_')[2]}"


@dataclass(frozen=True)
class Recovery:
    """What became of one deed.

    :param deed: its name.
    :param seconds: until what it hit went on.
    :param note: what was hit.
    """

    deed: str
    seconds: float
    note: str


@dataclass
class Storm:
    """Runs of some exports, and what is done to them.

    :param cluster: that carries them.
    :param dag_ids: what is run.
    :param seed: decides which of several is hit.
    :param say: told what happens.
    """

    cluster: Cluster
    dag_ids: Sequence[str]
    seed: int = 1
    say: Callable[[str], None] = print
    runs: list[Run] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def prepare(self) -> None:
        """Make the data projects in Dynamics 365, and wait for the DAGs."""
        facts = self.cluster.facts
        with httpx.Client(
            verify=ssl.create_default_context(cafile=facts["ca_file"]), trust_env=False, timeout=60
        ) as client:
            form = {"grant_type": "client_credentials", "client_id": facts["client_id"]}
            form |= {"client_secret": facts["client_secret"], "scope": f"{facts['dmf_resource']}/.default"}
            answer = client.post(f"{facts['authority']}/oauth2/v2.0/token", data=form)
            headers = {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}
            for dag_id in self.dag_ids:
                project = Run(dag_id, "").data_project
                for name, row in (
                    ("DataManagementDefinitionGroups", {"Name": project, "OperationType": "Export"}),
                    ("DataManagementDefinitionGroupDetails", {"DefinitionGroupId": project, **ENTITY}),
                ):
                    client.post(f"{facts['dmf_url']}/data/{name}", json=row, headers=headers).raise_for_status()
        for dag_id in self.dag_ids:
            self.cluster.wait_for_dag(dag_id, timeout_seconds=180)
            self.cluster.airflow.unpause(dag_id)

    def start(self) -> None:
        """Start one run of each export that has none under way."""
        self._read_states()
        busy = {run.dag_id for run in self.runs if not run.over}
        for dag_id in self.dag_ids:
            if dag_id not in busy:
                self.runs.append(Run(dag_id, self.cluster.airflow.trigger_run(dag_id)))

    def keep_up(self) -> None:
        """Start again what is over when less than half of the exports are under way: a deed needs something to hit."""
        self._read_states()
        if sum(not run.over for run in self.runs) < len(self.dag_ids) / 2:
            self.start()

    def do(self, deed: Callable[[Storm], Recovery]) -> None:
        """Do something to what carries the exports, and wait until it has gone on.

        :param deed: from `DEEDS`.
        """
        recovery = deed(self)
        self.recoveries.append(recovery)
        self.say(f"{recovery.deed:18} {recovery.seconds:6.1f} s  {recovery.note}")

    def wait(self, timeout_seconds: float) -> None:
        """Return when all runs are over.

        :param timeout_seconds: when to give up.
        :raises TimeoutError: with the states, when one is not over in time.
        """

        def over() -> bool:
            self._read_states()
            return all(run.over for run in self.runs)

        try:
            wait_for(over, "all exports are over", timeout_seconds)
        except TimeoutError as error:
            rest = [run.dag_id for run in self.runs if not run.over]
            tasks = self.tasks(f"state IS NULL OR state NOT IN ({_OVER})")
            raise TimeoutError(f"{error}: {rest}\n{tasks}") from None

    def _read_states(self) -> None:
        if not self.runs:
            return
        names = ", ".join(f"'{run.run_id}'" for run in self.runs)
        rows = self.cluster.query(f"SELECT dag_id, run_id, state FROM dag_run WHERE run_id IN ({names})")
        states = {(dag_id, run_id): state for dag_id, run_id, state in rows}
        for run in self.runs:
            run.state = states.get((run.dag_id, run.run_id), "lost")

    def tasks(self, condition: str) -> list[list[str]]:
        """Return id, DAG, task, state, try and host of task instances of the runs.

        :param condition: in SQL.
        """
        names = ", ".join(f"'{run.run_id}'" for run in self.runs)
        return self.cluster.query(
            "SELECT id, dag_id, task_id, state, try_number, hostname FROM task_instance "
            f"WHERE run_id IN ({names}) AND dag_id LIKE 'talent_export_storm_%' AND ({condition})"
        )

    def running(self, task_id: str, timeout_seconds: float = 300) -> list[list[str]]:
        """Return the running instances of a task; none when none will run any more.

        :param task_id: which task.
        :param timeout_seconds: how long to look for one.
        """
        return self.seen(f"task_id = '{task_id}' AND state = 'running' AND hostname <> ''", task_id, timeout_seconds)

    def seen(self, condition: str, task_id: str = "%", timeout_seconds: float = 300) -> list[list[str]]:
        """Return task instances once there are some that are as demanded; none when there will be none any more.

        :param condition: in SQL.
        :param task_id: which tasks can be so, as a pattern of SQL.
        :param timeout_seconds: how long to look for one.
        """
        deadline = time.monotonic() + timeout_seconds
        left = f"task_id LIKE '{task_id}' AND (state IS NULL OR state NOT IN ({_OVER}))"
        while time.monotonic() < deadline and self.tasks(left):
            if found := self.tasks(condition):
                return found
            time.sleep(0.1)
        return []

    def container(self, hostname: str) -> Container:
        """Return the container that calls itself so.

        :param hostname: its name.
        """
        (found,) = [each for each in self.cluster.containers.values() if each.hostname == hostname]
        return found
