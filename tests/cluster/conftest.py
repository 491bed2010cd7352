"""The cluster of docker-compose.yaml for the tests that need one, started once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster, Options
from .images import PROJECT, missing
from .storm import TWICE, catalogue

DAG_IDS = [f"talent_export_storm_{number:02d}" for number in range(3)]


@pytest.fixture(scope="session")
def machine() -> None:
    """A machine that can run the services; under CI one that cannot is a failure."""
    if lacking := missing():
        reason = f"the services of docker-compose.yaml need {', '.join(lacking)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def cluster(machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    exports = tmp_path_factory.mktemp("exports")
    catalogue(exports, len(DAG_IDS), retry_delay="5 s")
    options = Options(
        files=(PROJECT / "docker-compose.yaml", Path(__file__).with_name("emulator.compose.yaml")),
        replicas=TWICE,
        # Not the id that the image was made for.
        variables={"AIRFLOW_UID": "23456", "CATALOGUE_DIR": str(exports)},
    )
    with Cluster(options) as running:
        running.store_connections()
        yield running
