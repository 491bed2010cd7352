"""What hinders a service is said in one line before it starts; checks that need running services: test_cluster.py."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from .cluster import fresh_variables
from .compose import load
from .images import PROJECT


def free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """That of the scheduler, with a database that nobody answers for."""
    scheduler = load([PROJECT / "docker-compose.yaml"], fresh_variables(tmp_path)).services["airflow-scheduler"]
    nowhere = free_address()
    values = {name: value.replace("@postgres/", f"@{nowhere}/") for name, value in scheduler.environment.items()}
    (tmp_path / "logs").mkdir()
    values |= {"AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path / "logs"), "TALENT_DMF_START_WAIT_SECONDS": "0"}
    return {"PATH": os.environ["PATH"], **values}


def said(environment: dict[str, str], *command: str, within: Sequence[str] = ()) -> str:
    program = [*within, sys.executable, str(PROJECT / "deploy" / "service.py"), "check", *(command or ("scheduler",))]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    for name, value in environment.items():
        assert not name.endswith(("KEY", "SECRET")) or not value or value not in line
    return line


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("AIRFLOW__CORE__FERNET_KEY", "FERNET_KEY"),
        ("AIRFLOW__API__SECRET_KEY", "API_SECRET_KEY"),
        ("AIRFLOW__API_AUTH__JWT_SECRET", "JWT_SECRET"),
        ("AIRFLOW__CELERY__BROKER_URL", "REDIS_PASSWORD"),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "POSTGRES_PASSWORD"),
    ],
)
def test_a_missing_key_is_named(environment: dict[str, str], name: str, key: str) -> None:
    assert f"set {key} in .env" in said({**environment, name: ""})


@pytest.mark.parametrize("name", ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CELERY__RESULT_BACKEND"])
def test_an_address_without_a_driver_is_refused(environment: dict[str, str], name: str) -> None:
    bare = environment[name].replace("+psycopg2", "")
    assert "names no driver: write postgresql+psycopg2://" in said({**environment, name: bare})


@pytest.mark.parametrize("password", ["a/b", "a#b", "a?b"])
def test_a_password_that_breaks_the_address_is_told_without_showing_it(
    environment: dict[str, str], password: str
) -> None:
    line = said({**environment, "AIRFLOW__CELERY__BROKER_URL": f"redis://:{password}@redis:6379/0"})
    assert "[celery] broker_url" in line
    assert password not in line


@pytest.mark.parametrize("key", ["short", "ü" * 44, "A" * 43])
def test_what_is_no_fernet_key_is_told(environment: dict[str, str], key: str) -> None:
    assert "FERNET_KEY is no Fernet key" in said({**environment, "AIRFLOW__CORE__FERNET_KEY": key})


def test_a_command_that_cannot_give_a_key_is_named(environment: dict[str, str]) -> None:
    del environment["AIRFLOW__CORE__FERNET_KEY"]
    line = said({**environment, "AIRFLOW__CORE__FERNET_KEY_CMD": "cat /run/secrets/no_such_key"})
    assert "AIRFLOW__CORE__FERNET_KEY_CMD does not work" in line


def test_logs_that_cannot_be_written_are_told(environment: dict[str, str], tmp_path: Path) -> None:
    assert "Nothing can be written" in said(
        {**environment, "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path / "gone")}
    )


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("used", "sentence"), [("28M", "is full (4 MiB are free)"), ("32M", "logs: No space left on device.")]
)
def test_a_full_disk_is_told(machine: None, environment: dict[str, str], used: str, sentence: str) -> None:
    logs = environment["AIRFLOW__LOGGING__BASE_LOG_FOLDER"]
    # Seen by this process and its children only.
    mounted = f'mount -t tmpfs -o size=32m none "$0" && head --bytes {used} /dev/zero > "$0/used" && exec "$@"'
    assert sentence in said(environment, "scheduler", within=["unshare", "--mount", "sh", "-c", mounted, logs])


def test_a_database_that_does_not_answer_is_named(environment: dict[str, str]) -> None:
    assert "does not answer: look whether the service `postgres` runs" in said(environment)


def test_what_is_no_service_is_not_checked(environment: dict[str, str]) -> None:
    program = [sys.executable, str(PROJECT / "deploy" / "service.py"), "check", "bash", "-c", "true"]
    assert subprocess.run(program, env={"PATH": environment["PATH"]}, check=False).returncode == 0
