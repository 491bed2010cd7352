"""Many exports at once within a small quota: no request is one too many, whatever lists the environment takes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import environment_connection
from tests.integration.exports_at_once import LISTS, Lists, Outcome, Plan, export_all, running_environment

# A fifth of the exports and of the quota, and thirty times as fast; benchmarks/budget.py has the whole.
EXPORTS, FASTER, SHARE = 20, 30.0, 0.2
MOST_REQUESTS = 6


def outcome_of(lists: Lists, folder: Path, patch: pytest.MonkeyPatch) -> Outcome:
    plan, conn_id = Plan(EXPORTS, FASTER, SHARE, lists), f"environment_{LISTS.index(lists)}"
    with running_environment(plan) as emulator:
        connection: dict[str, Any] = environment_connection(emulator, quota=plan.quota)
        patch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        (folder / conn_id).mkdir()
        return export_all(plan, emulator, folder / conn_id, conn_id)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Lists, Outcome]]:
    """All kinds of environments at the same time: most of it is waiting."""
    folder = tmp_path_factory.mktemp("saved")
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor() as pool:
        # The tasks of one machine share what they know, in a folder of this test's own.
        patch.setenv("AIRFLOW__TALENT_DMF__SHARE_TOKENS", "True")
        patch.setattr(tempfile, "tempdir", str(folder))
        found = {lists: pool.submit(outcome_of, lists, folder, patch) for lists in LISTS}
        yield {lists: each.result() for lists, each in found.items()}


@pytest.mark.parametrize("lists", LISTS)
def test_many_exports_at_once_keep_to_the_quota(outcomes: dict[Lists, Outcome], lists: Lists) -> None:
    outcome = outcomes[lists]
    assert len(outcome.sizes) == outcome.started == EXPORTS
    assert all(outcome.sizes)
    assert outcome.refused == []
    assert max(outcome.of_each().values()) <= MOST_REQUESTS, outcome.by_operation()
    if lists != "no list":
        assert outcome.lists >= 2
