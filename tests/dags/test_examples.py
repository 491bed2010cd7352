"""The examples run as they are written: ``example_dags/``, README's DAG, ``airflow dags test`` on the catalogue's."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from tests.dags import run_dags
from tests.dags.conftest import REPOSITORY
from tests.dags.own_airflow import empty_database
from tests.examples import WORKERS
from tests.integration.conftest import drive_connection, environment_connection

from dmf_emulator import Emulator, Settings

SETTINGS = Settings(seed=3, not_found_seconds=0.0, not_run_seconds=0.0, executing_seconds=0.0, url_delay_seconds=0.0)
# Each example, and what it is given. The one that converts needs files, which the one before it has saved.
PLAN = {
    "my_export": {},
    "example_export_to_onedrive": {},
    "example_export_to_object_storage": {"destination": "file://STORE"},
    "example_package_to_parquet": {"folder": "file://STORE"},
    "example_taskflow": {},
    "talent_export_example_two_companies": {},
}


@dataclass(frozen=True)
class Outcome:
    """What the examples left."""

    runs: dict[str, dict[str, Any]]
    command: subprocess.CompletedProcess[str]
    drive: Path
    store: Path
    output: str


def write_dags(root: Path) -> Path:
    """A DAGs folder with the examples, README's DAG and a catalogue."""
    dags = root / "dags"
    dags.mkdir()
    for path in (*(REPOSITORY / "example_dags").glob("*"), REPOSITORY / "dags" / "talent_exports.py"):
        (dags / path.name).symlink_to(path)
    (example,) = re.findall(r"^```python\n(.*?)^```", (REPOSITORY / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (dags / "readme.py").write_text(example)
    (root / "include" / "exports").mkdir(parents=True)
    (root / "include" / "exports" / "workers.yaml").write_text(WORKERS)
    return dags


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """Run all of them once, in an Airflow of their own."""
    root = tmp_path_factory.mktemp("examples")
    home, store = root / "airflow", root / "store"
    dags = write_dags(root)
    with Emulator(SETTINGS) as emulator:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "PYTHONPATH": str(REPOSITORY / "plugins"),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_TALENT_DMF_DEFAULT": json.dumps(environment_connection(emulator)),
            "AIRFLOW_CONN_ONEDRIVE_DEFAULT": json.dumps(drive_connection(emulator)),
        }

        def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, *command], env=environment, capture_output=True, text=True, check=False, **options
            )

        home.mkdir()
        shutil.copy(empty_database(), home / "airflow.db")
        plan = [
            {"dag_id": dag_id, "logical_date": None, "conf": conf}
            for dag_id, conf in json.loads(json.dumps(PLAN).replace("STORE", str(store))).items()
        ]
        done = run(run_dags.__file__, input=json.dumps(plan))
        marked = [line for line in done.stdout.splitlines() if line.startswith(run_dags.MARK)]
        assert marked, (done.stdout + done.stderr)[-4000:]
        results = json.loads(marked[-1].removeprefix(run_dags.MARK))
        command = run("-m", "airflow", "dags", "test", "talent_export_workers", "2026-11-20")
        drive = Path(emulator.connection_info()["user_drive_dir"])
        yield Outcome(dict(zip(PLAN, results, strict=True)), command, drive, store, done.stdout + done.stderr)


@pytest.mark.parametrize("dag_id", PLAN)
def test_it_succeeds(outcome: Outcome, dag_id: str) -> None:
    run = outcome.runs[dag_id]
    assert run["state"] == "success", outcome.output[-6000:]
    assert set(run["tasks"].values()) == {"success"}


def test_every_example_is_run(tmp_path: Path) -> None:
    there = set(DagBag(str(write_dags(tmp_path))).dags)
    assert there - {"talent_export_workers"} == set(PLAN)


def test_what_a_function_gets_is_a_plain_dictionary(outcome: Outcome) -> None:
    sentence = outcome.runs["example_taskflow"]["xcoms"]["report[-1].return_value"]
    assert re.fullmatch(r"taskflow .+\.zip has \d+ bytes; in Dynamics 365 the export is Succeeded\.", sentence)


def test_every_data_file_became_a_parquet_file(outcome: Outcome) -> None:
    written = outcome.runs["example_package_to_parquet"]["xcoms"]["convert[-1].return_value"]
    data_files = sorted(path.stem for path in outcome.store.iterdir() if path.suffix == ".csv")
    assert data_files
    assert [Path(name).stem for name in written] == data_files


def test_airflow_dags_test_works_on_a_dag_of_the_catalogue(outcome: Outcome) -> None:
    assert outcome.command.returncode == 0, (outcome.command.stdout + outcome.command.stderr)[-4000:]
    saved = [path.name for path in (outcome.drive / "Exports" / "Workers").iterdir()]
    assert len(saved) == 1
    # The deadline is left out of the test, not out of the DAG.
    assert "DeadlineAlert" not in outcome.command.stderr
