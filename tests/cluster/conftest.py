"""The cluster of docker-compose.yaml for the tests that need one, started once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.emulator.witnesses.azurite_server import CONTAINER, Azurite, azurite

from . import namespaces
from .cluster import Cluster, Options
from .images import PROJECT, missing
from .storm import TWICE, catalogue

# Three that are left alone, and three for the storm: each is started once by all tests together.
DAG_IDS = [f"talent_export_storm_{number:02d}" for number in range(6)]
CALM, STORMY = DAG_IDS[:3], DAG_IDS[3:]


@pytest.fixture(scope="session")
def machine() -> None:
    """A machine that can run the services; under CI one that cannot is a failure."""
    if lacking := missing():
        reason = f"the services of docker-compose.yaml need {', '.join(lacking)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def log_store(machine: None, request: pytest.FixtureRequest) -> Iterator[Azurite]:
    """Where the logs of the tasks go: a Blob storage of its own, in the network of the services."""
    cache = request.config.cache
    assert cache is not None, "Azurite is kept in pytest's cache: do not switch that off"
    # Only here it is still the machine's network that things are installed from.
    with azurite(cache.mkdir("azurite"), host=namespaces.OUTSIDE, before_start=namespaces.enter) as store:
        yield store


@pytest.fixture(scope="session")
def cluster(log_store: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    exports = tmp_path_factory.mktemp("exports")
    catalogue(exports, len(DAG_IDS), retry_delay="5 s")
    here = Path(__file__).parent
    options = Options(
        files=(PROJECT / "docker-compose.yaml", here / "emulator.compose.yaml", here / "remote_logs.compose.yaml"),
        replicas=TWICE,
        variables={
            # Not the id that the image was made for.
            "AIRFLOW_UID": "23456",
            "CATALOGUE_DIR": str(exports),
            "LOG_CONTAINER": CONTAINER,
            "LOG_CONNECTION": json.dumps({"conn_type": "wasb", "extra": {"connection_string": log_store.connection}}),
        },
    )
    with Cluster(options) as running:
        running.store_connections()
        yield running
