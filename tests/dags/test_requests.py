"""What one run of the demo's export costs in requests: counted by the emulator, task by task."""

from __future__ import annotations

import sys
from collections import Counter

import pytest
from tests.dags.own_airflow import OwnAirflow
from tests.examples import REPOSITORY, WORKERS

from dmf_emulator import Emulator, Settings
from local_stack.stack import StackOptions

DAG_ID = "talent_export_workers"


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    """The requests of one run by kind, and those of saving once more as ``saving``."""
    root = tmp_path_factory.mktemp("project")
    with Emulator(Settings(seed=3).with_export_seconds(StackOptions().export_seconds)) as emulator:
        # Tokens are shared there, and with nobody who ran before.
        airflow = OwnAirflow(root, emulator, {"TMPDIR": str(root)})
        (airflow.exports / "workers.yaml").write_text(WORKERS)
        runs = airflow.run({"one": (DAG_ID, "2026-11-20T00:00:00+00:00", {})}, ["--forgetful"])
        assert runs["one"]["state"] == "success", airflow.output[-4000:]
        return counted(emulator)


def counted(emulator: Emulator) -> Counter[str]:
    requests = emulator.recorder.requests()
    counts = Counter(each.origin for each in requests)
    # Looking into the package is the last thing before saving: one request for the blob of a package of this size.
    looked = next(each.sequence for each in requests if each.origin == "blob")
    counts["saving"] = sum(each.sequence > looked for each in requests)
    counts["all"] = len(requests)
    # Shown by pytest where a test fails.
    sys.stdout.write("".join(f"{each.origin} {each.action} {each.status}\n" for each in requests))
    return counts


def test_one_export_costs_few_requests(counts: Counter[str]) -> None:
    assert counts["all"] <= 24, counts


def test_the_tasks_of_a_worker_sign_in_once(counts: Counter[str]) -> None:
    assert counts["entra"] <= 4, counts


def test_dynamics_is_asked_rarely(counts: Counter[str]) -> None:
    assert counts["dmf"] <= 8, counts


def test_a_small_file_is_saved_by_few_requests(counts: Counter[str]) -> None:
    assert counts["saving"] <= 8, counts


def test_the_documented_table_is_what_was_counted(counts: Counter[str]) -> None:
    page = (REPOSITORY / "docs" / "how-to" / "sizing.md").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith("| **all**")]
    sign_in, dynamics, blob, drive, total = (int(cell.strip(" *")) for cell in line.split("|")[2:-1])
    assert total == sign_in + dynamics + blob + drive
    assert (sign_in, blob, drive) == (counts["entra"], counts["blob"], counts["graph"] + counts["sharepoint"])
    # On a slow machine the end of the export is asked for less often.
    assert counts["dmf"] <= dynamics
