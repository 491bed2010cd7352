"""What has to hold after a storm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tests.cluster.cluster import Cluster

from local_stack.emulator import digest_of

if TYPE_CHECKING:
    from .exports import Run

# How tokens and signed links begin.
SIGNS = ("eyJ0eXAi", "eyJhbGci", "&sig=", "tempauth=")


def faults_of(cluster: Cluster, runs: Sequence[Run]) -> list[str]:
    """Return what is wrong with runs that are over: each export is started once, and each file is its package.

    :param cluster: that carried them.
    :param runs: which runs.
    """
    executions = cluster.emulator.state()["executions"]
    projects = Counter(each["project"] for each in executions)
    wanted = Counter(run.data_project for run in runs)
    faults = [
        f"{project} was exported {projects[project]} times, not {times}"
        for project, times in wanted.items()
        if projects[project] != times
    ]
    for run in runs:
        if run.state != "success":
            faults.append(f"{run.dag_id} is {run.state}")
            continue
        execution_id = cluster.airflow.xcoms(run.dag_id, run.run_id, "trigger_export")["return_value"]
        saved = cluster.airflow.xcoms(run.dag_id, run.run_id, "save_to_onedrive")["return_value"]
        path = cluster.emulator.saved_path(saved["drive_item_id"])
        if digest_of(path) != cluster.emulator.exported_package(execution_id):
            faults.append(f"{path.name} is not the package of {execution_id}")
    stuck = cluster.query(
        "SELECT dag_id, task_id, task_instance.state FROM task_instance JOIN dag_run USING (dag_id, run_id) "
        "WHERE dag_run.state IN "
        "('success', 'failed') AND task_instance.state IN ('running', 'queued', 'scheduled', 'deferred', 'restarting')"
    )
    return faults + [f"stuck: {row}" for row in stuck]


def leaks(cluster: Cluster, more: Mapping[str, str] | None = None) -> list[str]:
    """Return where a secret was written: database, broker, logs of tasks and services.

    :param cluster: that ran exports.
    :param more: texts that are kept elsewhere, such as remote logs, by name.
    """
    endings = ("KEY", "SECRET", "PASSWORD")
    secrets = [cluster.facts["client_secret"], *(v for k, v in cluster.variables.items() if k.endswith(endings))]
    (database,) = cluster.of("postgres")
    dumped = database.execute(["pg_dump", "--username", "airflow", "airflow"]).output
    assert len(dumped) > 100_000, dumped[-500:]
    written = {"database": dumped, **(more or {})}
    logs = [*(cluster.folder / "logs").iterdir(), *(cluster.folder / "volumes" / "logs").rglob("*.log")]
    for path in [*logs, *(cluster.folder / "volumes" / "queue").rglob("*")]:
        if path.is_file():
            written[str(path.relative_to(cluster.folder))] = path.read_bytes().decode("latin-1")
    return [
        f"{where} holds {secret[:8]}…"
        for where, text in written.items()
        for secret in [*secrets, *SIGNS]
        # What the services send each other is made for one task and a short time, and the broker keeps it no longer.
        if secret in text and not (secret in SIGNS[:2] and "queue" in where)
    ]
