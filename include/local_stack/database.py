"""The metadata database of a private Airflow: PostgreSQL where one can be had, else SQLite."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from .guard import as_user
from .processes import GuardedProcess, StackError, free_port, wait_until

ADDRESS_VARIABLE = "TALENT_DMF_DB"
SQLITE_LIMIT = (
    "SQLite, which lets one process write at a time: start no backfill of several days with it, some of its runs would "
    "be refused as 'database is locked'. With PostgreSQL installed (Debian: apt-get install postgresql) the stack "
    f"takes that, or with {ADDRESS_VARIABLE}=postgresql://user:password@host/database the one that you name."
)
_MARKER = "talent_dmf_local_stack"


@dataclass(frozen=True, slots=True)
class Database:
    """Where Airflow keeps its state.

    :param url: for SQLAlchemy.
    :param words: what to call it.
    :param limit: what it cannot do, in a sentence; empty when there is nothing to say.
    """

    url: str = field(repr=False)
    words: str
    limit: str = ""


def sqlite(path: Path) -> Database:
    """Return a database in a file.

    :param path: the file.
    """
    # Whoever writes locks the whole file, on a busy machine for longer than the five seconds of the default.
    return Database(f"sqlite:///{path}?timeout=60", "SQLite", SQLITE_LIMIT)


def named_by_address(address: str) -> Database:
    """Return the PostgreSQL database that a person names, if it is empty or was filled by a local stack.

    :param address: `postgresql://user:password@host:port/database`.
    :raises StackError: when it is none, cannot be reached, or belongs to somebody, whose connections would be
        overwritten.
    """
    parts = urlsplit(address)
    if parts.scheme.partition("+")[0] not in {"postgresql", "postgres"} or not parts.path.strip("/"):
        raise StackError(f"{ADDRESS_VARIABLE} must be of the form postgresql://user:password@host:port/database.")
    rest = address.partition("://")[2]
    psycopg = _psycopg()
    where = f"{parts.hostname or 'localhost'}{parts.path}"
    try:
        with psycopg.connect(f"postgresql://{rest}", connect_timeout=10) as connection:
            query = "SELECT tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            tables = {name for (name,) in connection.execute(query)}
            if tables and _MARKER not in tables:
                raise StackError(
                    f"The database {where} of {ADDRESS_VARIABLE} has tables that no local stack made; the demo's "
                    "connections would overwrite what is there. Name an empty database."
                )
            connection.execute(f"CREATE TABLE IF NOT EXISTS {_MARKER} ()")
    except psycopg.Error as error:
        raise StackError(
            f"The database {where} cannot be used: correct {ADDRESS_VARIABLE} or unset it.\n{str(error).strip()}"
        ) from None
    return Database(f"postgresql+psycopg2://{rest}", f"PostgreSQL at {where}")


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError:
        raise StackError("The package psycopg is missing: run make setup again.") from None
    return psycopg


def server_programs(folders: Sequence[Path] | None = None) -> Path | None:
    """Return the folder of the newest PostgreSQL server on this machine, or None when there is none.

    :param folders: where to look; PATH and Debian's place when omitted, which is in no PATH.
    """
    if folders is None:
        debian = Path("/usr/lib/postgresql").glob("*/bin")
        newest_first = sorted(debian, key=lambda path: int(path.parent.name.partition(".")[0] or 0), reverse=True)
        in_path = shutil.which("initdb")
        folders = [*newest_first, *([Path(in_path).resolve().parent] if in_path else [])]
    return next((each for each in folders if (each / "initdb").exists() and (each / "postgres").exists()), None)


class PostgresServer:
    """A PostgreSQL of the stack's own: on loopback, for one user with a password, in a folder of its own.

    PostgreSQL refuses to run as root: root's stack runs it as the user `postgres`, or as `nobody`.

    :param programs: folder of its programs.
    :param folder: where its data goes; beside it goes a note if the data has to lie elsewhere.
    :param password: of the database's user.
    :param lasting: whether the data is to survive a loss of power.
    """

    def __init__(self, programs: Path, folder: Path, password: str, *, lasting: bool) -> None:
        self._programs, self._folder, self._password, self._lasting = programs, folder, password, lasting
        self._port = free_port()
        self.user = _unprivileged_user() if os.geteuid() == 0 else None

    @property
    def database(self) -> Database:
        """The database that Airflow uses."""
        password = quote(self._password, safe="")
        url = f"postgresql+psycopg2://airflow:{password}@127.0.0.1:{self._port}/postgres"
        return Database(url, "PostgreSQL of the stack's own")

    def start(self, log_path: Path, *, detached: bool) -> GuardedProcess:
        """Start it and return when it answers.

        :param log_path: receives what it prints.
        :param detached: let it outlive this process.
        :raises StackError: when it does not come up.
        """
        data = self._prepared_data()
        settings = {
            "port": self._port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 200,
            "synchronous_commit": "off",
            "fsync": "on" if self._lasting else "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        server = GuardedProcess(
            "PostgreSQL",
            [str(self._programs / "postgres"), "-D", str(data), *options],
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            directory=data,
            log_path=log_path,
            detached=detached,
            user=self.user,
        )
        try:
            wait_until(lambda: self._answers(server), "PostgreSQL answers", timeout_seconds=30)
        except StackError:
            server.stop()
            raise
        return server

    def _answers(self, server: GuardedProcess) -> bool:
        server.require_running()
        psycopg = _psycopg()
        try:
            with psycopg.connect(
                host="127.0.0.1", port=self._port, user="airflow", dbname="postgres", password=self._password
            ):
                return True
        except psycopg.OperationalError:
            return False

    def _prepared_data(self) -> Path:
        note = self._folder.with_suffix(".elsewhere")
        data = Path(note.read_text(encoding="utf-8")) if note.exists() else self._folder
        version = data / "PG_VERSION"
        if version.exists() and self._lasting:
            made_by, here = version.read_text(encoding="utf-8").strip(), self._major_version()
            if made_by != here:
                raise StackError(f"{data} was made by PostgreSQL {made_by}, and here is {here}: run make clean.")
            return data
        forget(self._folder)
        data = self._own_folder(note)
        self._initialise(data)
        return data

    def _own_folder(self, note: Path) -> Path:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o700)
        if self.user is None:
            return self._folder
        shutil.chown(self._folder, self.user)
        reachable = subprocess.run(["test", "-w", str(self._folder)], check=False, **as_user(self.user))
        if reachable.returncode == 0:
            return self._folder
        # A checkout in root's home: nobody else can enter it.
        self._folder.rmdir()
        elsewhere = Path(tempfile.mkdtemp(prefix="talent-dmf-postgres-"))
        shutil.chown(elsewhere, self.user)
        note.write_text(str(elsewhere), encoding="utf-8")
        return elsewhere

    def _initialise(self, data: Path) -> None:
        identity = as_user(self.user) if self.user else {}
        with tempfile.NamedTemporaryFile("w") as password:  # 0600, and gone when the block is left
            password.write(self._password)
            password.flush()
            if self.user:
                shutil.chown(password.name, self.user)
            command = [str(self._programs / "initdb"), "-D", str(data), "-U", "airflow", "--auth=scram-sha-256"]
            command += [f"--pwfile={password.name}", "--encoding=UTF8", "--locale=C", "--no-sync"]
            done = subprocess.run(command, cwd=data, capture_output=True, text=True, check=False, **identity)
        if done.returncode:
            raise StackError(
                f"PostgreSQL could not make a database in {data}: mend what it says, "
                f"or name a server in {ADDRESS_VARIABLE}.\n{done.stderr.strip()[-500:]}"
            )

    def _major_version(self) -> str:
        done = subprocess.run([str(self._programs / "postgres"), "-V"], capture_output=True, text=True, check=True)
        return done.stdout.split()[2].partition(".")[0]  # postgres (PostgreSQL) 15.18 (Debian …)


def forget(folder: Path) -> None:
    """Delete what a stopped server of a folder keeps.

    :param folder: as `PostgresServer` was given it.
    """
    note = folder.with_suffix(".elsewhere")
    if note.exists():
        shutil.rmtree(note.read_text(encoding="utf-8"), ignore_errors=True)
        note.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _unprivileged_user() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise StackError(
        "PostgreSQL does not run as root, and there is neither a user postgres nor nobody: "
        "add one, or work as another user."
    )
