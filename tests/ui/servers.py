"""Airflow's API server on a seeded database, with the auth manager that a test wants."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from local_stack.airflow_env import AirflowSite, Keys
from local_stack.processes import GuardedProcess, free_port, tail, wait_until

PROJECT = Path(__file__).parents[2]
MANAGERS = {
    "simple": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
    "fab": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
}
# Of each auth manager: the people and what they are. The password of each is the name.
SIMPLE_ROLES = {"admin": "admin", "viewer": "viewer", "nobody": ""}
READ_WORKERS = ("can_read", "DAG:talent_export_workers")
READ_PAYROLL = ("can_read", "DAG:talent_export_payroll_earnings")
PARTS = [("can_read", part) for part in ("DAG Runs", "Task Instances", "XComs", "Task Logs", "Assets")]
FAB_PEOPLE = {
    "roles": {
        "One export": [
            READ_WORKERS,
            *PARTS,
            ("can_read", "Website"),
            ("menu_access", "Plugins"),
            ("can_read", "Plugins"),
        ],
        "Runs only": [READ_PAYROLL, ("can_read", "DAG Runs")],
        "Dag only": [READ_PAYROLL],
        "Nothing": [],
    },
    "people": {
        "admin": ("admin", "Admin"),
        "viewer": ("viewer", "Viewer"),
        "one": ("one", "One export"),
        "runs": ("runs", "Runs only"),
        "dag": ("dag", "Dag only"),
        "nobody": ("nobody", "Nothing"),
    },
}


def site_of(home: Path, manager: str = "fab", *, settings: Mapping[str, str] | None = None) -> AirflowSite:
    """An Airflow on the database in a folder.

    :param home: the folder; servers of several auth managers can share it.
    :param manager: which auth manager.
    :param settings: further settings.
    """
    home.mkdir(parents=True, exist_ok=True)
    passwords = home / "simple.json"
    passwords.write_text(json.dumps({name: name for name in SIMPLE_ROLES}), encoding="utf-8")
    return AirflowSite(
        project=PROJECT,
        home=home,
        keys=Keys.load_or_create(home / "keys.json"),
        api_port=free_port(),
        settings={
            "AIRFLOW__CORE__AUTH_MANAGER": MANAGERS[manager],
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{n}:{role}" for n, role in SIMPLE_ROLES.items()),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__API__WORKERS": "1",
            **(settings or {}),
        },
    )


def seed(site: AirflowSite, *arguments: str) -> None:
    """Make and fill the database.

    :param site: whose.
    :param arguments: of seeding.py.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.ui.seeding", *arguments],
        env=site.environment(),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@dataclass
class Server:
    """A running API server.

    :param site: its settings.
    :param process: the server.
    """

    site: AirflowSite
    process: GuardedProcess
    tokens: dict[str, str] = field(default_factory=dict)

    @classmethod
    def start(cls, site: AirflowSite) -> Server:
        """Start it; ``wait`` returns when it answers.

        :param site: its settings.
        """
        process = GuardedProcess(
            "API server",
            [sys.executable, "-m", "airflow", "api-server"],
            environment=site.environment(),
            directory=PROJECT,
            log_path=site.home / f"api-{site.api_port}.log",
        )
        return cls(site, process)

    def wait(self) -> Server:
        """Return when it answers."""

        def answers() -> bool:
            self.process.require_running()
            try:
                return httpx.get(f"{self.site.base_url}/api/v2/version", timeout=5).status_code == 200
            except httpx.TransportError:
                return False

        try:
            wait_until(answers, "the API server answers", timeout_seconds=180)
        except Exception as error:
            raise AssertionError(tail(self.process.log_path)) from error
        return self

    def token(self, name: str) -> str:
        """A token of one of the people; the password of each is the name.

        :param name: who.
        """
        if name not in self.tokens:
            answer = httpx.post(
                f"{self.site.base_url}/auth/token", json={"username": name, "password": name}, timeout=60
            )
            assert answer.status_code == 201, answer.text
            self.tokens[name] = answer.json()["access_token"]
        return self.tokens[name]

    def get(self, path: str, who: str | None = None, **headers: str) -> httpx.Response:
        """Ask as somebody.

        :param path: below Airflow's root.
        :param who: one of the people; anonymous if omitted.
        :param headers: further headers, with ``_`` for ``-``.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if who is not None:
            sent["Authorization"] = f"Bearer {self.token(who)}"
        return httpx.get(f"{self.site.base_url}{path}", headers=sent, timeout=60)

    def log(self) -> str:
        """What it has logged."""
        return self.process.log_path.read_text(encoding="utf-8", errors="replace")


os.environ.setdefault("NO_PROXY", "127.0.0.1")
