"""One seeded database, and an API server with each of two auth managers beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.ui.servers import FAB_PEOPLE, Server, seed, site_of


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    home = tmp_path_factory.mktemp("airflow")
    seed(site_of(home), "states", json.dumps(FAB_PEOPLE))
    started = {manager: Server.start(site_of(home, manager)) for manager in ("simple", "fab")}
    try:
        yield {manager: server.wait() for manager, server in started.items()}
    finally:
        for server in started.values():
            server.process.stop()


@pytest.fixture(scope="session")
def simple(servers: dict[str, Server]) -> Server:
    return servers["simple"]


@pytest.fixture(scope="session")
def fab(servers: dict[str, Server]) -> Server:
    return servers["fab"]


@pytest.fixture(params=["simple", "fab"])
def server(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Server:
    return servers[request.param]
