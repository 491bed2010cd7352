"""The services of docker-compose.yaml, run as processes: what they say of their health, and an export through them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.emulator.witnesses.azurite_server import Azurite

from .cluster import Cluster
from .conftest import CALM, STORMY, TWICE
from .container import wait_for
from .storm import DEEDS, Run, Storm, faults_of, leaks

pytestmark = pytest.mark.cluster


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
def exports(cluster: Cluster) -> list[Run]:
    """Three exports at the same time, over both workers."""
    storm = Storm(cluster, CALM)
    storm.prepare()
    storm.start()
    storm.wait(timeout_seconds=600)
    return storm.runs


def test_each_export_is_started_once_and_arrives_byte_for_byte(cluster: Cluster, exports: list[Run]) -> None:
    assert [run.state for run in exports] == ["success"] * 3
    assert faults_of(cluster, exports) == []


def test_a_log_is_kept_in_blob_storage_and_read_from_there(
    cluster: Cluster, exports: list[Run], log_store: Azurite
) -> None:
    run = exports[0]
    folder = f"dag_id={run.dag_id}/run_id={run.run_id}/task_id=save_to_onedrive"

    def kept() -> list[str]:
        blobs = log_store.text_of_all()
        return [text for name, text in blobs.items() if name.startswith(f"wasb-airflow-logs/{folder}/")]

    # A task's process sends its log when it ends, which is after its state is known.
    wait_for(lambda: bool(kept()), "the log is kept", 60)
    (text,) = kept()
    assert "quickXorHash" in text
    local = cluster.folder / "volumes" / "logs" / folder
    wait_for(lambda: not list(local.glob("*.log")), "it is kept nowhere else", 60)
    log = cluster.airflow.task_log(run.dag_id, run.run_id, "save_to_onedrive", try_number=1)
    assert "quickXorHash" in log


def test_no_secret_is_in_database_broker_or_logs(cluster: Cluster, exports: list[Run], log_store: Azurite) -> None:
    assert leaks(cluster, log_store.text_of_all()) == []


def test_a_new_file_of_the_mounted_catalogue_is_a_dag_within_a_minute(cluster: Cluster) -> None:
    mounts = {mount.target: mount for mount in cluster.of("airflow-worker")[0].service.mounts}
    assert mounts["/opt/airflow/dags"].read_only
    new = Path(mounts["/opt/airflow/include/exports"].source) / "added_later.yaml"
    new.write_text("data_project: Export Workers\nlegal_entities: USMF\n", encoding="utf-8")
    cluster.wait_for_dag("talent_export_added_later", timeout_seconds=120)
    (processor,) = cluster.of("airflow-dag-processor")
    for name, most in (("REFRESH_INTERVAL", 30), ("MIN_FILE_PROCESS_INTERVAL", 30)):
        assert int(processor.environment.get(f"AIRFLOW__DAG_PROCESSOR__{name}", "30")) <= most


def test_a_storm_costs_no_export(cluster: Cluster, log_store: Azurite) -> None:
    # A short one: python -m tests.cluster.storm does more to more of them.
    storm = Storm(cluster, STORMY)
    storm.prepare()
    storm.start()
    storm.do(DEEDS["redis"])
    storm.do(DEEDS["worker-in-upload"])
    storm.wait(timeout_seconds=600)
    assert [each.note.endswith("any more") for each in storm.recoveries] == [False, False]
    assert [run.state for run in storm.runs] == ["success"] * len(STORMY)
    assert faults_of(cluster, storm.runs) == []
    assert leaks(cluster, log_store.text_of_all()) == []


def test_cleanup_deletes_what_is_old_and_nothing_else(cluster: Cluster, exports: list[Run]) -> None:
    (cleanup,) = cluster.of("airflow-cleanup")
    old = "/opt/airflow/logs/dag_id=gone/run_id=1/attempt=1.log"
    assert cleanup.execute(["mkdir", "-p", old.rpartition("/")[0]]).passed
    assert cleanup.execute(["touch", "--date", "400 days ago", old]).passed
    outcome = cleanup.execute(["/opt/talent-dmf/cleanup"], timeout_seconds=180)
    assert outcome.passed, outcome.output
    assert not cleanup.execute(["test", "-e", old]).passed
    assert all(cluster.airflow.runs(run.dag_id) for run in exports)


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
    other = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    wrong = {
        "AIRFLOW__API_AUTH__JWT_SECRET=other": "JWT_SECRET differs",
        "AIRFLOW__API__SECRET_KEY=other": "API_SECRET_KEY differs",
        f"AIRFLOW__CORE__FERNET_KEY={other}": "FERNET_KEY is not the key",
        f"AIRFLOW__CORE__FERNET_KEY={other},{cluster.variables['FERNET_KEY']}": "FERNET_KEY differs",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=postgresql+psycopg2://airflow:other@postgres/airflow": "at postgres:5432 "
        "refuses the password",
        "AIRFLOW__CELERY__BROKER_URL=redis://:other@redis:6379/0": "The broker at redis:6379 refuses the password",
        "AIRFLOW__CELERY__BROKER_URL=redis://:other@redis:6380/0": "The broker at redis:6380 does not answer",
        "AIRFLOW__CELERY__BROKER_URL=redis://:other@nowhere:6379/0": "The broker at nowhere:6379 does not answer",
    }
    for variable, sentence in wrong.items():
        outcome = worker.execute(
            [
                "env",
                "TALENT_DMF_START_WAIT_SECONDS=0",
                variable,
                "python",
                "/opt/talent-dmf/service.py",
                "check",
                "scheduler",
            ]
        )
        assert not outcome.passed
        (line,) = outcome.output.splitlines()
        assert line.startswith("scheduler cannot start: ")
        assert sentence in line
        assert other not in line
