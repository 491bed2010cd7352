"""The environment of a private Airflow: its settings, keys, ports and admin password."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .database import Database, sqlite
from .processes import free_port

ADMIN = "admin"
PREFERRED_API_PORT = 8080


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on.

    :param path: where to.
    :param text: what.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of one Airflow, made for it alone."""

    fernet: str = field(repr=False)
    jwt: str = field(repr=False)
    session: str = field(repr=False)
    admin_password: str = field(repr=False)
    database: str = field(repr=False, default="")

    @classmethod
    def load_or_create(cls, path: Path) -> Keys:
        """Return the keys that a file holds; make them when there is no such file.

        A database is bound to its Fernet key, so both have to live equally long.

        :param path: JSON file, readable by its owner only.
        """
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        values = {
            "fernet": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "jwt": secrets.token_urlsafe(48),
            "session": secrets.token_urlsafe(32),
            "admin_password": secrets.token_urlsafe(12),
            "database": secrets.token_urlsafe(16),
            **kept,
        }
        if values != kept:
            write_private(path, json.dumps(values))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class AirflowSite:
    """One private Airflow: where it lives, where it listens, how it is set.

    :param project: the project's folder.
    :param home: its AIRFLOW_HOME.
    :param keys: its keys.
    :param api_port: port of API and UI.
    :param scheduler_idle_seconds: pause of an idle scheduler; Airflow's own second per hop would rule a short run.
    :param database: where it keeps its state; an SQLite file in its home when omitted.
    :param settings: further `AIRFLOW__SECTION__KEY` values, which win.
    """

    project: Path
    home: Path
    keys: Keys = field(repr=False)
    api_port: int
    scheduler_idle_seconds: float = 0.1
    database: Database | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        """Address of UI and REST API."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def database_url(self) -> str:
        """Address of the metadata database, for SQLAlchemy; it holds a password."""
        return (self.database or sqlite(self.home / "airflow.db")).url

    @property
    def logs_path(self) -> Path:
        """Folder of the task logs."""
        return self.home / "logs"

    def prepare(self) -> None:
        """Write what Airflow reads at its start."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        write_private(self._passwords_path, json.dumps({ADMIN: self.keys.admin_password}))
        # As in the image: the scheduler imports once what the tasks need.
        (self.home / "config").mkdir(exist_ok=True)
        settings = self.project / "deploy" / "config" / "airflow_local_settings.py"
        (self.home / "config" / settings.name).write_bytes(settings.read_bytes())

    @property
    def _passwords_path(self) -> Path:
        return self.home / "passwords.json"

    def _settings(self) -> dict[str, str]:
        auth_manager = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.project / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.project / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__FERNET_KEY": self.keys.fernet,
            "AIRFLOW__CORE__AUTH_MANAGER": auth_manager,
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords_path),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.base_url}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database_url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.api_port),
            "AIRFLOW__API__BASE_URL": self.base_url,
            "AIRFLOW__API__SECRET_KEY": self.keys.session,
            "AIRFLOW__API_AUTH__JWT_SECRET": self.keys.jwt,
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.logs_path),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_HOST": "127.0.0.1",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": str(self.scheduler_idle_seconds),
            # Five seconds are too short where everything shares a few cores.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
            # Nothing but loopback: Airflow would report its version and sizes to its makers.
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            **self.settings,
        }

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the whole environment for a command of this Airflow.

        :param base: what to build upon; this process' environment when omitted. Its Airflow settings are left out:
            they belong to another Airflow.
        """
        inherited = os.environ if base is None else base
        environment = {
            name: value
            for name, value in inherited.items()
            if not name.startswith("AIRFLOW") and name not in {"PYTHONDONTWRITEBYTECODE", "_AIRFLOW__AS_LIBRARY"}
        }
        # `airflow standalone` looks its components up in PATH. `bin` of the running interpreter, links not resolved.
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)])
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(self.project / "include"), inherited.get("PYTHONPATH", "")])
        )
        environment["PYTHONUNBUFFERED"] = "1"
        for name in ("NO_PROXY", "no_proxy"):
            environment[name] = ",".join(filter(None, [inherited.get(name, ""), "127.0.0.1", "localhost"]))
        environment.update(self._settings())
        return environment

    def write_shell_file(self, path: Path) -> None:
        """Write the settings as shell exports, so that `. FILE` makes the `airflow` command speak to this Airflow.

        :param path: where to; readable by its owner only.
        """
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self._settings().items()]
        write_private(path, "\n".join(lines) + "\n")
