"""The services of docker-compose.yaml, run as processes: what they say of their health, and an export through them."""

from __future__ import annotations

import json

import pytest

from local_stack.emulator import digest_of

from .cluster import Cluster
from .conftest import TWICE
from .container import wait_for

pytestmark = pytest.mark.cluster

DAG_ID = "talent_export_workers"
TASK_IDS = ["trigger_export", "wait_for_export", "get_package_url", "save_to_onedrive"]


def test_all_services_run_and_pass_their_own_health_checks(cluster: Cluster) -> None:
    # As written in the file: `up` has waited for it, and none has been restarted on the way.
    checked = [each for each in cluster.containers.values() if each.service.health_check]

    assert {each.name: each.health for each in checked} == {each.name: "healthy" for each in checked}
    assert {each.name: each.starts for each in checked} == {each.name: 1 for each in checked}
    for service, replicas in TWICE.items():
        assert len(cluster.of(service)) == replicas


def test_a_health_check_costs_a_small_part_of_what_it_may_take(cluster: Cluster) -> None:
    for container in cluster.containers.values():
        check = container.service.health_check
        if check:
            passed = [each.cpu_seconds for each in container.checks if each.passed]
            assert passed
            assert min(passed) < check.timeout / 4, container.name


def test_nothing_runs_as_root_or_may_become_it(cluster: Cluster) -> None:
    for container in cluster.containers.values():
        for process in container.processes():
            status = dict(line.split(":\t", 1) for line in open(f"/proc/{process.pid}/status") if ":\t" in line)  # noqa: SIM115
            if "airflow" in container.name:
                assert status["Uid"].split()[0] == "23456"
            assert int(status["CapBnd"], 16) == 0
            assert status["NoNewPrivs"].strip() == "1"


def test_only_volumes_and_temporary_folders_can_be_written_to(cluster: Cluster) -> None:
    (worker, _) = cluster.of("airflow-worker")
    for folder in ("/opt/airflow", "/opt/airflow/dags", "/opt/talent-dmf", "/usr"):
        outcome = worker.execute(["touch", f"{folder}/probe"])
        assert not outcome.passed
        assert "Read-only file system" in outcome.output or "Permission denied" in outcome.output
    assert worker.execute(["touch", "/opt/airflow/logs/probe", "/tmp/probe"]).passed


@pytest.fixture(scope="module")
def exports(cluster: Cluster) -> list[str]:
    """Three runs at the same time, each with a file of its own."""
    cluster.wait_for_dag(DAG_ID)
    cluster.airflow.unpause(DAG_ID)
    runs = [cluster.airflow.trigger_run(DAG_ID, {"file_name": f"cluster {number}.zip"}) for number in range(3)]
    for run in runs:
        assert cluster.airflow.wait_for_run(DAG_ID, run, timeout_seconds=300)["state"] == "success"
    return runs


def test_each_export_is_started_once_and_arrives_byte_for_byte(cluster: Cluster, exports: list[str]) -> None:
    started = [each["execution_id"] for each in cluster.emulator.state()["executions"]]
    assert len(started) == len(set(started))
    for run in exports:
        execution_id = cluster.airflow.xcoms(DAG_ID, run, "trigger_export")["return_value"]
        saved = cluster.airflow.xcoms(DAG_ID, run, "save_to_onedrive")["return_value"]
        assert execution_id in started
        path = cluster.emulator.saved_path(saved["drive_item_id"])
        assert digest_of(path) == cluster.emulator.exported_package(execution_id)


def test_a_log_is_read_from_the_worker_that_wrote_it(cluster: Cluster, exports: list[str]) -> None:
    assert "quickXorHash" in cluster.airflow.task_log(DAG_ID, exports[0], "save_to_onedrive", try_number=1)


def test_no_secret_is_in_database_broker_or_logs(cluster: Cluster, exports: list[str]) -> None:
    secrets = [
        cluster.facts["client_secret"],
        *(v for k, v in cluster.variables.items() if k.endswith(("KEY", "SECRET", "PASSWORD"))),
    ]
    (database,) = cluster.of("postgres")
    written = {"database": database.execute(["pg_dump", "--username", "airflow", "airflow"]).output}
    for path in (cluster.folder / "volumes" / "queue").rglob("*"):
        if path.is_file():
            written[path.name] = path.read_bytes().decode("latin-1")
    for path in [*(cluster.folder / "logs").iterdir(), *(cluster.folder / "volumes" / "logs").rglob("*.log")]:
        written[path.name] = path.read_text(encoding="utf-8", errors="replace")
    assert len(written["database"]) > 100_000
    for where, text in written.items():
        for secret in [*secrets, "eyJ0eXAi", "&sig=", "tempauth="]:
            assert secret not in text, where


def test_a_new_file_of_the_mounted_catalogue_is_a_dag_within_a_minute(cluster: Cluster) -> None:
    mounts = {mount.target: mount for mount in cluster.of("airflow-worker")[0].service.mounts}
    assert mounts["/opt/airflow/include/exports"].source.endswith("include/exports")
    assert mounts["/opt/airflow/dags"].read_only
    (processor,) = cluster.of("airflow-dag-processor")
    for name, most in (("REFRESH_INTERVAL", 30), ("MIN_FILE_PROCESS_INTERVAL", 30)):
        assert int(processor.environment.get(f"AIRFLOW__DAG_PROCESSOR__{name}", "30")) <= most


def test_cleanup_deletes_what_is_old_and_nothing_else(cluster: Cluster, exports: list[str]) -> None:
    (cleanup,) = cluster.of("airflow-cleanup")
    old = "/opt/airflow/logs/dag_id=gone/run_id=1/attempt=1.log"
    assert cleanup.execute(["mkdir", "-p", old.rpartition("/")[0]]).passed
    assert cleanup.execute(["touch", "--date", "400 days ago", old]).passed
    outcome = cleanup.execute(["/opt/talent-dmf/cleanup"], timeout_seconds=180)
    assert outcome.passed, outcome.output
    assert not cleanup.execute(["test", "-e", old]).passed
    assert len(cluster.airflow.runs(DAG_ID)) >= len(exports)


def test_a_killed_service_is_started_anew(cluster: Cluster) -> None:
    (redis,) = cluster.of("redis")
    before = redis.starts
    redis.kill()
    wait_for(lambda: redis.starts > before and redis.health == "healthy", "redis is back", 60)


def test_the_demo_refuses_the_database_of_a_deployment(cluster: Cluster) -> None:
    (init,) = cluster.of("airflow-scheduler")[:1]
    outcome = init.execute(
        ["env", "TALENT_DMF_DEMO=true", "python", "/opt/talent-dmf/service.py", "check", "scheduler"]
    )
    assert not outcome.passed
    (line,) = outcome.output.splitlines()
    assert "belongs to a deployment" in line
    stored = json.dumps(cluster.airflow.call("GET", "/connections"))
    assert "onedrive_default" in stored


def test_other_keys_than_those_of_the_deployment_are_named_in_one_line(cluster: Cluster) -> None:
    (worker, _) = cluster.of("airflow-worker")
    wrong = {
        "AIRFLOW__API_AUTH__JWT_SECRET=other": "JWT_SECRET differs",
        "AIRFLOW__CORE__FERNET_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=": "FERNET_KEY is not the key",
    }
    for variable, sentence in wrong.items():
        outcome = worker.execute(["env", variable, "python", "/opt/talent-dmf/service.py", "check", "scheduler"])
        assert not outcome.passed
        (line,) = outcome.output.splitlines()
        assert sentence in line
