"""The services of docker-compose.yaml as processes of this machine, without an engine, in a network of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from local_stack.connections import with_extra_as_text
from local_stack.emulator import EmulatorAdmin
from local_stack.rest import AirflowApi

from . import namespaces
from .compose import Project, load, read_env_file
from .container import Container, wait_for
from .images import PROJECT, image_of

API = "airflow-apiserver"
START_SECONDS = 600.0


@dataclass(frozen=True)
class Options:
    """What can be chosen about a cluster.

    :param name: of its folder under `.local`.
    :param files: compose files, the later ones over the earlier ones.
    :param replicas: how many containers of a service; 1 of those that are not named.
    :param variables: what `.env` would hold.
    :param without: services that are not started.
    :param small_logs_mib: size of the volume of the logs, so that it can be filled; that of the disk when None.
    """

    name: str = "cluster"
    files: Sequence[Path] = (PROJECT / "docker-compose.yaml",)
    replicas: Mapping[str, int] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    without: Sequence[str] = ()
    small_logs_mib: int | None = None


def fresh_variables(folder: Path, *arguments: str) -> dict[str, str]:
    """Return what `make env` writes.

    :param folder: where to.
    :param arguments: further ones of the command.
    """
    path = folder / ".env"
    path.unlink(missing_ok=True)
    command = ["python3", str(PROJECT / "deploy" / "make_env.py"), "--output", str(path), *arguments]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return read_env_file(path)


def install_provider(folder: Path) -> None:
    """Install the provider as the Dockerfile does, from the same files: the package, not a link to it.

    :param folder: where to, for the containers to import it from.
    """
    with tempfile.TemporaryDirectory() as sources:
        (Path(sources) / "plugins").mkdir()
        for name in ("pyproject.toml", "LICENSE", "plugins/README.md"):
            shutil.copy(PROJECT / name, Path(sources) / name)
        shutil.copytree(PROJECT / "plugins" / "talent_dmf", Path(sources) / "plugins" / "talent_dmf")
        python = PROJECT / ".venv" / "bin" / "python"
        command = [str(python.with_name("uv")), "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
        options = ["--python", str(python), "--target", str(folder), "--compile-bytecode"]
        subprocess.run([*command, *options, sources], check=True)


class Cluster:
    """All containers of a project. A context manager.

    :param options: what to start.
    """

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.folder = PROJECT / ".local" / self.options.name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.variables = {**fresh_variables(self.folder), **self.options.variables}
        self.project: Project = load(self.options.files, self.variables)
        self.containers: dict[str, Container] = {}
        self._admin: EmulatorAdmin | None = None

    def __enter__(self) -> Self:
        try:
            self.up()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def create(self) -> None:
        """Make the containers with their networks and names."""
        install_provider(self.folder / "site")
        namespaces.enter()
        if self.options.small_logs_mib:
            namespaces.mount_memory(self.folder / "volumes" / "logs", self.options.small_logs_mib)
        number = 0
        for service in self.project.services.values():
            for replica in range(self.options.replicas.get(service.name, 1)):
                if service.name in self.options.without:
                    continue
                container = Container(
                    service, image_of(service.image, self.folder / "site"), replica + 1, number, self.folder
                )
                self.containers[container.name] = container
                number += 1
        names = []
        for container in self.containers.values():
            first = [container.service.name] if container.name.endswith("-1") else []
            # The first name is the one by which a container calls itself.
            names.append((container.address, [container.hostname, *first, container.name]))
        namespaces.use_names(self.folder / "hosts", names)

    def up(self, timeout_seconds: float = START_SECONDS) -> None:
        """Start all services, each when what it depends on is as it demands.

        :param timeout_seconds: when to give up.
        :raises TimeoutError: when a service does not come up.
        """
        if not self.containers:
            self.create()
        problems: list[Exception] = []

        def start(container: Container) -> None:
            try:
                for other, condition in container.service.depends_on.items():
                    self._wait_for_condition(other, condition, timeout_seconds)
                container.start()
            except (OSError, RuntimeError, TimeoutError) as error:
                problems.append(error)

        threads = [threading.Thread(target=start, args=(each,), daemon=True) for each in self.containers.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if problems:
            raise problems[0]
        checked = [each for each in self.containers.values() if each.service.health_check]
        for container in checked:
            self._wait(lambda each=container: each.health == "healthy", f"{container.name} is healthy", timeout_seconds)

    def _wait_for_condition(self, name: str, condition: str, timeout_seconds: float) -> None:
        for container in self.of(name):
            met = {
                "service_started": lambda each=container: each.starts > 0,
                "service_healthy": lambda each=container: each.health == "healthy",
                "service_completed_successfully": lambda each=container: each.exit_status == 0,
            }[condition]
            self._wait(met, f"{container.name} {condition}", timeout_seconds)

    def _wait(self, condition: Any, what: str, timeout_seconds: float) -> None:
        def met() -> bool:
            for container in self.containers.values():
                if container.service.restart == "no" and container.exit_status not in {None, 0}:
                    raise RuntimeError(
                        f"{container.name} ended with {container.exit_status}:\n{container.log()[-3000:]}"
                    )
            return bool(condition())

        try:
            wait_for(met, what, timeout_seconds)
        except TimeoutError as error:
            logs = "\n".join(
                f"== {each.name}: {each.health}\n{each.log()[-1500:]}" for each in self.containers.values()
            )
            raise TimeoutError(f"{error}\n{logs}") from None

    def of(self, service: str) -> list[Container]:
        """Return the containers of a service.

        :param service: its name.
        """
        return [each for each in self.containers.values() if each.service.name == service]

    @cached_property
    def airflow(self) -> AirflowApi:
        """Airflow's REST API, signed in as the administrator."""
        user = self.variables.get("ADMIN_USER", "admin")
        return AirflowApi(f"http://{API}:8080", user, self.variables["ADMIN_PASSWORD"])

    @property
    def facts(self) -> dict[str, Any]:
        """What the emulator tells since its last start, with paths of this side."""
        volume = self.folder / "volumes" / "emulator"
        facts = json.loads((volume / "ready.json").read_text(encoding="utf-8"))
        return {
            name: str(volume) + value.removeprefix("/data") if str(value).startswith("/data") else value
            for name, value in facts.items()
        }

    @property
    def emulator(self) -> EmulatorAdmin:
        """The emulator's own API, which asks other machines for a token: another one after each start."""
        facts = self.facts
        if self._admin is None or self._admin.facts != facts:
            self._admin = EmulatorAdmin(facts)
            self._admin._client.headers["Authorization"] = f"Bearer {facts['admin_token']}"
        return self._admin

    def store_connections(self) -> None:
        """Store the connections to the emulator in Airflow's database, as a person would."""
        connections = json.loads((PROJECT / "deploy" / "demo-connections.json").read_text(encoding="utf-8"))
        self.airflow.store_connections(with_extra_as_text(connections))

    def wait_for_dag(self, dag_id: str, timeout_seconds: float = 120) -> None:
        """Return once Airflow has stored a DAG.

        :param dag_id: its id.
        :param timeout_seconds: when to give up.
        """
        self._wait(lambda: self.airflow.has_dag(dag_id), f"the DAG {dag_id} is there", timeout_seconds)

    def query(self, statement: str, *, separator: str = "|") -> list[list[str]]:
        """Return the rows of a statement in Airflow's database.

        :param statement: SQL.
        :param separator: between columns.
        """
        (database,) = self.of("postgres")
        command = ["psql", "--username", "airflow", "--dbname", "airflow", "--no-align", "--tuples-only"]
        outcome = database.execute([*command, "--field-separator", separator, "--command", statement])
        if not outcome.passed:
            raise RuntimeError(outcome.output)
        return [line.split(separator) for line in outcome.output.splitlines() if line]

    def remove(self) -> None:
        """End everything."""
        if self._admin is not None:
            self._admin.close()
        if "airflow" in self.__dict__:
            self.__dict__.pop("airflow").close()
        for container in self.containers.values():
            container.remove()
        self.containers.clear()
