"""What the images of the compose files hold, taken from this machine: there is no engine that could build or pull them.

PostgreSQL and Redis are Debian's, Airflow and its providers are those of requirements-cluster.txt.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).parents[2]
VENV = PROJECT / ".venv-cluster"
HERE = Path(__file__).parent
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """An image, as far as starting its containers goes.

    :param entrypoint: what runs the command.
    :param command: what is run when the service names nothing.
    :param environment: of the image.
    :param user: user id and group id, when the service names none.
    :param binds: host path by path in the container, read-only.
    :param folders: folders that belong to the image, with the owner and mode that a new volume takes from them.
    :param directory: working directory.
    """

    entrypoint: Sequence[str]
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: tuple[int, int] = (0, 0)
    binds: Mapping[str, Path] = field(default_factory=dict)
    folders: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    directory: str = "/"


def _ids(name: str) -> tuple[int, int]:
    entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid


def postgres_programs() -> Path:
    """The folder of Debian's newest PostgreSQL server."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


def _postgres() -> Image:
    user = _ids("postgres")
    return Image(
        entrypoint=["/bin/sh", "/entrypoint"],
        environment={"PATH": f"{postgres_programs()}:{_PATH}", "PGDATA": "/var/lib/postgresql/data"},
        user=user,
        binds={"/entrypoint": HERE / "postgres_entrypoint.sh"},
        folders={"/var/lib/postgresql/data": (*user, 0o700)},
    )


def _redis() -> Image:
    return Image(
        entrypoint=[],
        environment={"PATH": _PATH},
        user=_ids("redis"),
        folders={"/data": (*_ids("redis"), 0o755)},
        directory="/data",
    )


def _python(folder: str) -> dict[str, Path]:
    # The interpreter of a virtual environment is a link to one that may lie in a folder nobody else can enter.
    return {sys.base_prefix: Path(sys.base_prefix), str(VENV): VENV, folder: PROJECT / "deploy"}


def _airflow(site: Path) -> Image:
    plugins = PROJECT / "plugins"
    kept = [path for path in plugins.iterdir() if path.name != "talent_dmf" and not path.name.endswith(".egg-info")]
    return Image(
        entrypoint=["/opt/talent-dmf/start"],
        environment={
            "PATH": f"{VENV}/bin:{_PATH}",
            "AIRFLOW_HOME": "/opt/airflow",
            "PYTHONPATH": "/opt/site",
            "PYTHONUNBUFFERED": "1",
        },
        user=(50000, 0),
        binds={
            **_python("/opt/talent-dmf"),
            "/opt/site": site,
            "/entrypoint": HERE / "airflow_entrypoint.sh",
            "/opt/airflow/config": PROJECT / "deploy" / "config",
            "/opt/airflow/dags": PROJECT / "dags",
            "/opt/airflow/include/exports": PROJECT / "include" / "exports",
            **{f"/opt/airflow/plugins/{path.name}": path for path in kept if path.name != "__pycache__"},
        },
        folders={"/opt/airflow/logs": (50000, 0, 0o775)},
        directory="/opt/airflow",
    )


def _emulator() -> Image:
    program = "import sys; from dmf_emulator.__main__ import command; sys.exit(command())"
    options = "--host 0.0.0.0 --data-dir /data --ready-file /data/ready.json"
    return Image(
        entrypoint=["python", "-c", program, *options.split()],
        environment={"PATH": f"{VENV}/bin:{_PATH}", "PYTHONPATH": "/app", "PYTHONUNBUFFERED": "1"},
        user=(10001, 10001),
        binds={**_python("/opt/talent-dmf"), "/app/dmf_emulator": PROJECT / "include" / "dmf_emulator"},
        folders={"/data": (10001, 10001, 0o755)},
        directory="/app",
    )


def image_of(name: str, site: Path) -> Image:
    """Return the image that a compose file names.

    :param name: with tag or digest.
    :param site: where the provider is installed.
    """
    match name.partition(":")[0].partition("@")[0]:
        case "postgres":
            return _postgres()
        case "redis":
            return _redis()
        case "dmf-emulator":
            return _emulator()
        case "talent-dmf-airflow":
            return _airflow(site)
        case other:
            raise ValueError(f"{other} is no image that this machine can stand in for")


def missing() -> list[str]:
    """Return what this machine lacks to run the services, in words."""
    programs = {"bwrap": "bubblewrap", "ip": "iproute2", "nsenter": "util-linux", "redis-server": "redis-server"}
    found = {name for name in programs for folder in _PATH.split(":") if os.access(f"{folder}/{name}", os.X_OK)}
    lacking = [package for name, package in programs.items() if name not in found]
    if not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        lacking.append("postgresql")
    if not (VENV / "bin" / "airflow").exists():
        lacking.append(f"{VENV.name} (make test-cluster makes it)")
    if os.geteuid() != 0:
        lacking.append("root, for namespaces of their own")
    return lacking
