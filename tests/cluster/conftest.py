"""The cluster of docker-compose.yaml for the tests that need one, started once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster, Options
from .images import PROJECT, missing

TWICE = {"airflow-worker": 2, "airflow-scheduler": 2, "airflow-triggerer": 2}


@pytest.fixture(scope="session")
def machine() -> None:
    """A machine that can run the services; under CI one that cannot is a failure."""
    if lacking := missing():
        reason = f"the services of docker-compose.yaml need {', '.join(lacking)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def cluster(machine: None) -> Iterator[Cluster]:
    options = Options(
        files=(PROJECT / "docker-compose.yaml", Path(__file__).with_name("emulator.compose.yaml")),
        replicas=TWICE,
        # Not the id that the image was made for.
        variables={"AIRFLOW_UID": "23456"},
    )
    with Cluster(options) as running:
        running.store_connections()
        yield running
