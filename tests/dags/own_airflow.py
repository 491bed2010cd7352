"""An Airflow of a test's own: runs the DAGs of a catalogue with ``dag.test()``, in a process of their own."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.dags import run_dags
from tests.dags.conftest import REPOSITORY
from tests.integration.conftest import drive_connection, environment_connection

from dmf_emulator import Emulator

# Name of a run: DAG, logical date, configuration.
Plan = Mapping[str, tuple[str, str | None, dict[str, Any]]]


@cache
def empty_database() -> Path:
    """Return a SQLite database as `airflow db migrate` leaves it, made once for all tests of a process."""
    home = Path(tempfile.mkdtemp(prefix="empty-airflow-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "AIRFLOW_HOME": str(home)}
    environment["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=environment, check=True, capture_output=True)
    return home / "airflow.db"


@dataclass
class OwnAirflow:
    """What several runs did, and what they wrote.

    :param root: the project: ``dags/``, ``include/exports/`` and Airflow's home.
    :param emulator: what it exports from and saves in.
    :param settings: environment variables beside those of every such Airflow.
    """

    root: Path
    emulator: Emulator
    settings: dict[str, str] = field(default_factory=dict)
    output: str = ""

    def __post_init__(self) -> None:
        self.exports.mkdir(parents=True)
        self.home.mkdir()
        self.dags.mkdir()
        for path in (REPOSITORY / "dags").glob("*.py"):
            (self.dags / path.name).symlink_to(path)

    @property
    def exports(self) -> Path:
        """Folder of the catalogue."""
        return self.root / "include" / "exports"

    @property
    def dags(self) -> Path:
        """Folder of the DAG files: those of the repository, and what a test adds."""
        return self.root / "dags"

    @property
    def home(self) -> Path:
        """Airflow's home."""
        return self.root / "airflow"

    @property
    def drive(self) -> Path:
        """The drive's files."""
        return Path(self.emulator.connection_info()["user_drive_dir"])

    def run(self, plan: Plan, arguments: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        """Make the runs, one after the other.

        :param plan: what to run, by a name for each.
        :param arguments: of ``run_dags``.
        :returns: what each left in the metadata database, by its name.
        """
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONPATH": str(REPOSITORY / "plugins"),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.root / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_TALENT_DMF_DEFAULT": json.dumps(environment_connection(self.emulator)),
            "AIRFLOW_CONN_ONEDRIVE_DEFAULT": json.dumps(drive_connection(self.emulator)),
            **self.settings,
        }
        shutil.copy(empty_database(), self.home / "airflow.db")
        asked = [{"dag_id": dag_id, "logical_date": date, "conf": conf} for dag_id, date, conf in plan.values()]
        done = subprocess.run(
            [sys.executable, run_dags.__file__, *arguments],
            env=environment,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=False,
        )
        self.output = done.stdout + done.stderr
        marked = [line for line in done.stdout.splitlines() if line.startswith(run_dags.MARK)]
        assert marked, self.output[-4000:]
        return dict(zip(plan, json.loads(marked[-1].removeprefix(run_dags.MARK)), strict=True))
