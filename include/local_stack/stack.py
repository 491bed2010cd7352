"""The stack: one emulator, one Airflow and its database, started, fed with connections, and stopped together.

Airflow's components are processes of their own, and not the children of `airflow standalone`: that goes on when one of
them is dead, and mixes what they print.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import psutil

from .airflow_env import ADMIN, PREFERRED_API_PORT, AirflowSite, Keys, write_private
from .connections import load_connections, with_extra_as_text
from .database import Database, PostgresServer, forget, named_by_address, server_programs, sqlite
from .emulator import EmulatorAdmin
from .processes import (
    GaveUp,
    GuardedProcess,
    StackError,
    find_session,
    first_error,
    free_port,
    restarts_of,
    stop_session,
    wait_until,
    why_it_ended,
)
from .rest import AirflowApi

PROJECT = Path(__file__).resolve().parents[2]
DAG_ID = "talent_export_workers"
BOOT_TIMEOUT_SECONDS = 180.0
COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
PROGRAMS = ("scheduler", "dag-processor", "api-server", "triggerer")

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """What can be chosen about a stack.

    :param name: its folder under `.local`; two stacks of different names can run at the same time.
    :param export_seconds: how long an export takes in the emulator.
    :param package_size: size of each package, as the emulator takes it ("64MiB"); as small as it comes when None.
    :param emulator_arguments: further arguments of the emulator, such as a scenario.
    :param scheduler_idle_seconds: pause of an idle scheduler.
    :param scheduled: let the DAGs' schedules start runs too; a DAG that is unpaused runs its last interval at once.
    :param settings: further `AIRFLOW__SECTION__KEY` values.
    :param environment: further variables, for emulator and Airflow.
    :param database: address of a PostgreSQL database, or "sqlite"; PostgreSQL where there is one, else SQLite, when
        empty.
    :param restarts: how often a component of Airflow that dies is started again.
    :param keep_state: go on with the database that an earlier stack of this name left.
    :param detached: let the stack outlive this process; `stop_detached` ends it.
    """

    name: str = "stack"
    export_seconds: float = 10.0
    package_size: str | None = None
    emulator_arguments: Sequence[str] = ()
    scheduler_idle_seconds: float = 0.1
    scheduled: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    database: str = field(default="", repr=False)
    restarts: int = 0
    keep_state: bool = False
    detached: bool = False


class LocalStack:
    """Emulator and Airflow on free loopback ports, with all their state in one folder.

    A context manager; `start` and `stop` do the same by hand.

    :param options: what to start.
    """

    def __init__(self, options: StackOptions | None = None) -> None:
        self.options = options or StackOptions()
        self.directory = PROJECT / ".local" / self.options.name
        self.emulator_log = self.directory / "emulator.log"
        self.airflow_logs = {name: self.directory / f"airflow-{name}.log" for name in PROGRAMS}
        self.drive_directory = self.directory / "emulator"
        self._state_path = self.directory / "stack.json"
        self._connections_path = self.directory / "connections.json"
        self._processes: list[GuardedProcess] = []
        self._facts: dict[str, Any] = {}
        self._told_restarts: dict[str, int] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @cached_property
    def keys(self) -> Keys:
        """The keys and passwords of this stack."""
        return Keys.load_or_create(self.directory / "keys.json")

    @cached_property
    def site(self) -> AirflowSite:
        """The private Airflow: settings, keys, addresses."""
        return AirflowSite(
            project=PROJECT,
            home=self.directory / "airflow",
            keys=self.keys,
            api_port=free_port(PREFERRED_API_PORT if self.options.detached else 0),
            scheduler_idle_seconds=self.options.scheduler_idle_seconds,
            database=self.database,
            settings={"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": str(self.options.scheduled), **self.options.settings},
        )

    @cached_property
    def database(self) -> Database:
        """Where this Airflow keeps its state."""
        if self.options.database == "sqlite" or (not self.options.database and self._server is None):
            return sqlite(self.directory / "airflow" / "airflow.db")
        return named_by_address(self.options.database) if self._server is None else self._server.database

    @property
    def _database_folder(self) -> Path:
        return self.directory.with_name(f"{self.options.name}.postgres")

    @cached_property
    def _server(self) -> PostgresServer | None:
        programs = None if self.options.database else server_programs()
        if programs is None:
            return None
        return PostgresServer(programs, self._database_folder, self.keys.database, lasting=self.options.keep_state)

    @cached_property
    def environment(self) -> dict[str, str]:
        """The environment in which a command speaks to this Airflow."""
        return {**self.site.environment(), **self.options.environment}

    @cached_property
    def airflow(self) -> AirflowApi:
        """Airflow's REST API, signed in as the administrator."""
        return AirflowApi(self.site.base_url, ADMIN, self.site.keys.admin_password)

    @cached_property
    def emulator(self) -> EmulatorAdmin:
        """The emulator's own API, for what no real service would tell."""
        return EmulatorAdmin(self._facts)

    @property
    def connections(self) -> dict[str, dict[str, Any]]:
        """The connections that point at the emulator."""
        return load_connections(PROJECT / "include" / "connections" / "demo.json", self._facts)

    def start(self, progress: Progress = lambda _: None) -> None:
        """Start both and return when Airflow is healthy and has its connections.

        :param progress: called with what is being waited for.
        :raises StackError: when something does not come up; nothing is left running then.
        """
        stop_detached(self.options.name)
        if not self.options.keep_state:
            shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)  # keys, passwords, connections, logs
        try:
            self._start(progress)
        except BaseException:
            self.stop()
            raise

    def _start(self, progress: Progress) -> None:
        progress("starting the emulator of Dynamics 365 and OneDrive")
        emulator = self._start_emulator()
        progress(f"starting Airflow on {self._start_database()}")
        self.site.prepare()
        self._migrate()
        for program in PROGRAMS:
            command = [sys.executable, "-m", "airflow", program]
            self._spawn(f"Airflow's {program}", command, self.airflow_logs[program], restarts=self.options.restarts)
        if self.options.detached:
            # Written before anything is waited for, so that `down` finds also what never became ready.
            self._write_state()

        def ready() -> dict[str, Any] | None:
            emulator.require_running()
            return self._read_ready_file()

        self._facts = wait_until(ready, "the emulator is ready", timeout_seconds=30)
        self._wait_for_health(progress)
        self.airflow.wake_execution_api(timeout_seconds=BOOT_TIMEOUT_SECONDS)
        progress("storing the connections")
        write_private(self._connections_path, json.dumps(self.connections, indent=2))
        self.airflow.store_connections(with_extra_as_text(self.connections))
        self.site.write_shell_file(self.directory / "airflow.env")
        if self.options.detached:
            self._write_state()

    def _start_database(self) -> str:
        if self._server is not None:
            log_path = self.directory / "postgres.log"
            self._processes.append(self._server.start(log_path, detached=self.options.detached))
        return self.database.words

    def _migrate(self) -> None:
        done = self.command("db", "migrate")
        if done.returncode:
            log_path = self.directory / "airflow-db.log"
            write_private(log_path, done.stdout + done.stderr)
            raise StackError(
                f"Airflow could not prepare its database: run make clean and try again. The first error follows.\n"
                f"{first_error(log_path)}"
            )

    def _wait_for_health(self, progress: Progress) -> None:
        def healthy() -> bool:
            self.check(progress)
            health = self.airflow.health()
            return all(health.get(component) == "healthy" for component in COMPONENTS)

        try:
            wait_until(healthy, "Airflow is healthy", timeout_seconds=BOOT_TIMEOUT_SECONDS)
        except GaveUp as error:
            health = self.airflow.health()
            ill = [name for name in COMPONENTS if health.get(name) != "healthy"]
            logs = [self.airflow_logs.get(name.replace("_", "-")) for name in ill]
            errors = "\n".join(first_error(log) for log in logs if log is not None)
            raise StackError(
                f"{error}. Not healthy: {', '.join(ill)}; run make down and try again. "
                f"The first errors follow.\n{errors}"
            ) from error

    def check(self, progress: Progress = lambda _: None) -> None:
        """Look whether everything still runs.

        :param progress: called for a component that died and was started again, with its first error.
        :raises StackError: when something is dead for good, with its first error.
        """
        for process in self._processes:
            process.require_running()
            restarts = restarts_of(process.log_path)
            if restarts > self._told_restarts.get(process.name, 0):
                self._told_restarts[process.name] = restarts
                progress(f"{process.name} is started again: it {why_it_ended(process.log_path)}")

    def _start_emulator(self) -> GuardedProcess:
        ready_file = self.directory / "emulator-ready.json"
        ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "dmf_emulator", "--data-dir", str(self.drive_directory)]
        command += ["--ready-file", str(ready_file), "--export-seconds", str(self.options.export_seconds)]
        if self.options.package_size:
            command += ["--package-size", self.options.package_size]
        return self._spawn("the emulator", [*command, *self.options.emulator_arguments], self.emulator_log)

    def _read_ready_file(self) -> dict[str, Any] | None:
        try:
            return dict(json.loads((self.directory / "emulator-ready.json").read_text(encoding="utf-8")))
        except (FileNotFoundError, json.JSONDecodeError):
            return None  # not there yet, or half written

    def _spawn(self, name: str, command: Sequence[str], log_path: Path, *, restarts: int = 0) -> GuardedProcess:
        process = GuardedProcess(
            name,
            command,
            environment=self.environment,
            directory=PROJECT,
            log_path=log_path,
            detached=self.options.detached,
            restarts=restarts,
        )
        self._processes.append(process)
        return process

    def _write_state(self) -> None:
        state = {
            "processes": [
                {"name": process.name, "log": str(process.log_path), **process.identity} for process in self._processes
            ],
            "api_port": self.site.api_port,
            "database": {"url": self.database.url, "words": self.database.words, "limit": self.database.limit},
            "facts": self._facts,
        }
        write_private(self._state_path, json.dumps(state))

    def stop(self) -> None:
        """Stop both, Airflow first; harmless when they do not run."""
        for client in ("airflow", "emulator"):
            # A server that is asked to stop waits for its clients to hang up.
            if client in self.__dict__:
                self.__dict__.pop(client).close()
        for process in reversed(self._processes):
            process.stop()
        self._processes.clear()
        if self.__dict__.get("_server") is not None and not self.options.keep_state:
            forget(self._database_folder)
        self._state_path.unlink(missing_ok=True)

    def wait_for_dag(self, dag_id: str = DAG_ID, *, timeout_seconds: float = 60) -> None:
        """Return when Airflow has stored a DAG.

        :param dag_id: its id.
        :param timeout_seconds: when to give up.
        :raises StackError: with the import errors, if it never appears.
        """

        def there() -> bool:
            # The other files are none of our business, unless the DAG stays away as well.
            self.check()
            return self.airflow.has_dag(dag_id) or bool(self.airflow.import_errors())

        what = f"the DAG {dag_id} is there"
        try:
            wait_until(there, what, timeout_seconds=timeout_seconds)
            wait_until(lambda: self.airflow.has_dag(dag_id), what, timeout_seconds=min(10, timeout_seconds))
        except GaveUp as error:
            found = "\n".join(f"{each['filename']}:\n{each['stack_trace']}" for each in self.airflow.import_errors())
            raise StackError(f"{error}\n{found or first_error(self.airflow_logs['dag-processor'])}") from error

    def command(self, *arguments: str, timeout_seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the `airflow` command against this Airflow and return what it printed.

        :param arguments: as in `airflow ARGUMENTS…`.
        :param timeout_seconds: when to give up.
        """
        return subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.environment,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )

    def airflow_processes(self, marker: str = "") -> list[psutil.Process]:
        """Return Airflow's processes.

        :param marker: only those whose command line contains this, such as "triggerer".
        """
        found = []
        for process in self._processes:
            for member in process.members() if process.name.startswith("Airflow's") else ():
                try:
                    command_line = " ".join(member.cmdline())
                except psutil.NoSuchProcess:
                    continue
                if command_line and marker in command_line:
                    found.append(member)
        return found


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What became of a process of a detached stack.

    :param name: as messages call it.
    :param running: whether it runs.
    :param restarts: how often it died and was started again.
    :param log_path: what it printed.
    """

    name: str
    running: bool
    restarts: int
    log_path: Path

    @property
    def trouble(self) -> str:
        """Why a process died, or an empty text: words that follow its name."""
        return why_it_ended(self.log_path) if self.restarts or not self.running else ""


def process_states(name: str) -> list[ProcessState]:
    """Return what became of the processes of a detached stack; none when it was never started, or was stopped.

    :param name: as in `StackOptions`.
    """
    state = _read_state(name) or {"processes": []}
    return [
        ProcessState(each["name"], find_session(each) is not None, restarts_of(Path(each["log"])), Path(each["log"]))
        for each in state["processes"]
    ]


def attach(name: str) -> LocalStack | None:
    """Return the detached stack of a name as far as its API goes, or None when some of it does not run.

    :param name: as in `StackOptions`.
    """
    stack = LocalStack(StackOptions(name=name, keep_state=True, detached=True))
    state = _read_state(name)
    if state is None or not all(find_session(identity) for identity in state["processes"]):
        return None
    stack._facts = state["facts"]
    stack.__dict__["site"] = AirflowSite(
        project=PROJECT,
        home=stack.directory / "airflow",
        keys=stack.keys,
        api_port=int(state["api_port"]),
        database=Database(**state["database"]),
    )
    return stack


def stop_detached(name: str) -> bool:
    """Stop the detached stack of a name.

    :param name: as in `StackOptions`.
    :returns: whether anything was running.
    """
    state = _read_state(name)
    if state is None:
        return False
    running = [stop_session(identity) for identity in reversed(state["processes"])]
    (PROJECT / ".local" / name / "stack.json").unlink(missing_ok=True)
    return any(running)


def _read_state(name: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads((PROJECT / ".local" / name / "stack.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
