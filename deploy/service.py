"""Start-up check and health check of the containers: `service.py check COMMAND…`, `service.py health NAME`.

Airflow's own commands import Airflow first, which costs a small machine several CPU seconds at each check. This needs
the interpreter and the driver only.
"""

from __future__ import annotations

import base64
import hmac
import http.client
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import unquote, urlsplit

WAIT_SECONDS = 60.0
LEAST_FREE_BYTES = 64 * 1024 * 1024
SERVICES = ("api-server", "scheduler", "dag-processor", "triggerer", "celery", "db")
# Which line of .env a setting comes from.
SETTINGS = {
    ("core", "fernet_key"): "FERNET_KEY",
    ("database", "sql_alchemy_conn"): "POSTGRES_PASSWORD",
    ("celery", "result_backend"): "POSTGRES_PASSWORD",
    ("celery", "broker_url"): "REDIS_PASSWORD",
    ("api", "secret_key"): "API_SECRET_KEY",
    ("api_auth", "jwt_secret"): "JWT_SECRET",
}
# What the API server and the others prove to each other with: who they are, and that a log may be read; and what each
# reads the connections with, which the database tells only once there is one.
SHARED_KEYS = (("api", "secret_key"), ("api_auth", "jwt_secret"), ("core", "fernet_key"))
DEMO_MARK = "the demo of talent-dmf"
LETTERS = "write the password in it with letters, digits and - . _ ~ only, or percent-encoded"


class CannotStart(Exception):
    """What hinders the service, and what to do, in one sentence."""


class NotYet(Exception):
    """What may come up within the next seconds."""


def setting(section: str, key: str) -> str:
    """Return a setting as Airflow finds it: the variable, or what the command of the variable `…_CMD` prints.

    :param section: of Airflow's configuration.
    :param key: within it.
    :raises CannotStart: when the command fails.
    """
    name = f"AIRFLOW__{section.upper()}__{key.upper()}"
    if name in os.environ or f"{name}_CMD" not in os.environ:
        return os.environ.get(name, "")
    command = os.environ[f"{name}_CMD"]
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotStart(
            f"{name}_CMD does not work: `{command}` says {done.stderr.strip()[:200]!r}. Correct the command, or the "
            "file that it reads."
        )
    return done.stdout


def required_settings() -> dict[tuple[str, str], str]:
    """Return the settings that every service needs.

    :raises CannotStart: when one is missing.
    """
    found = {}
    for (section, key), variable in SETTINGS.items():
        value = setting(section, key)
        if not value.strip():
            raise CannotStart(
                f"[{section}] {key} is not set: run `make env`, or set {variable} in .env "
                f"(with secrets as files: secrets/{variable.lower()})."
            )
        found[section, key] = value
    return found


def address(url: str, what: str) -> Any:
    """Return the parts of an address.

    :param url: the address.
    :param what: the setting that holds it, for the message.
    :raises CannotStart: when it is none, or names no driver.
    """
    try:
        parts = urlsplit(url.removeprefix("db+"))
        _ = parts.port
    except ValueError:
        raise CannotStart(f"{what} is no address: {LETTERS}.") from None
    if not parts.hostname:
        raise CannotStart(f"{what} names no host: {LETTERS}.")
    if parts.scheme in {"postgresql", "postgres"}:
        raise CannotStart(
            f"{what} names no driver: write postgresql+psycopg2:// instead of {parts.scheme}://, "
            "which means another driver."
        )
    return parts


def check_fernet_key(key: str) -> None:
    """Refuse what is no Fernet key; several, separated by commas, are allowed while keys are rotated.

    :param key: the setting.
    """
    for part in key.split(","):
        try:
            usable = len(base64.urlsafe_b64decode(part.strip())) == 32
        except ValueError:
            usable = False
        if not usable:
            raise CannotStart(
                "FERNET_KEY is no Fernet key, which is 32 bytes in URL-safe base64: make one by `make env`."
            )


def check_logs(folder: str) -> None:
    """Refuse a log folder that is full, or that belongs to somebody else.

    :param folder: where the task logs go.
    """
    probe = os.path.join(folder, f".probe-{uuid.uuid4().hex}")
    try:
        with open(probe, "wb") as file:
            file.write(b"\0" * 4096)
        os.unlink(probe)
        free_bytes = shutil.disk_usage(folder).free
    except PermissionError:
        raise CannotStart(
            f"User {os.getuid()} may not write to the volume of the logs, {folder}, which was made under another "
            "AIRFLOW_UID: set that one again, or hand the volume over as docs/how-to/deploy-compose.md says."
        ) from None
    except OSError as error:
        raise CannotStart(
            f"Nothing can be written to the volume of the logs, {folder}: {error.strerror}. Mount it so that it can be "
            "written to, or make room."
        ) from None
    if free_bytes < LEAST_FREE_BYTES:
        raise CannotStart(
            f"The disk of the logs, {folder}, is full ({free_bytes // 1024**2} MiB are free): make room, "
            "or lower KEEP_DAYS in .env."
        )


def connect(url: str) -> Any:
    """Return a connection to the database.

    :param url: in SQLAlchemy's form.
    :raises CannotStart: when it refuses the password or does not know the database.
    :raises NotYet: when it does not answer.
    """
    import psycopg2

    parts = address(url, "[database] sql_alchemy_conn")
    where = f"{parts.hostname}:{parts.port or 5432}"
    try:
        return psycopg2.connect(
            host=parts.hostname,
            port=parts.port or 5432,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            dbname=parts.path.lstrip("/"),
            connect_timeout=5,
        )
    except psycopg2.OperationalError as error:
        text = str(error)
        if "authentication failed" in text:
            raise CannotStart(
                f"The database at {where} refuses the password: POSTGRES_PASSWORD is not the one that the volume "
                "`database` was made with. Set that one again, or rotate it as docs/how-to/deploy-compose.md says."
            ) from None
        if "does not exist" in text:
            raise CannotStart(
                f"The server at {where} has no database {parts.path.lstrip('/')!r}, or does not know the user: create "
                "them, or correct [database] sql_alchemy_conn."
            ) from None
        raise NotYet(f"The database at {where} does not answer: look whether the service `postgres` runs.") from None


def ping_broker(url: str) -> None:
    """Ask the broker whether it is there.

    :param url: of the broker.
    :raises CannotStart: when it refuses the password.
    :raises NotYet: when it does not answer.
    """
    parts = address(url, "[celery] broker_url")
    if parts.scheme not in {"redis", "rediss"}:
        return
    import redis

    where = f"{parts.hostname}:{parts.port or 6379}"
    try:
        redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5).ping()
    except redis.AuthenticationError:
        raise CannotStart(
            f"The broker at {where} refuses the password: REDIS_PASSWORD differs between services: give all the same."
        ) from None
    except redis.RedisError:
        raise NotYet(f"The broker at {where} does not answer: look whether the service `redis` runs.") from None


def patiently(action: Callable[[], Any]) -> Any:
    """Return what an action returns, once what it needs has come up.

    :param action: raises `NotYet` until then.
    :raises CannotStart: when it did not come up in time.
    """
    deadline = time.monotonic() + float(os.environ.get("TALENT_DMF_START_WAIT_SECONDS", WAIT_SECONDS))
    while True:
        try:
            return action()
        except NotYet as error:
            if time.monotonic() > deadline:
                raise CannotStart(str(error)) from None
        time.sleep(1)


def check_key_of_database(connection: Any, key: str) -> None:
    """Refuse a Fernet key that does not open what the database holds.

    :param connection: to the database.
    :param key: the setting.
    """
    from cryptography.fernet import Fernet, InvalidToken, MultiFernet

    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('connection') IS NOT NULL AND to_regclass('variable') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return
        cursor.execute(
            "(SELECT password FROM connection WHERE is_encrypted AND password <> '' LIMIT 1) UNION ALL "
            "(SELECT extra FROM connection WHERE is_extra_encrypted AND extra <> '' LIMIT 1) UNION ALL "
            "(SELECT val FROM variable WHERE is_encrypted AND val <> '' LIMIT 1)"
        )
        stored = [row[0] for row in cursor.fetchall()]
    keys = MultiFernet([Fernet(part.strip()) for part in key.split(",")])
    for value in stored:
        try:
            keys.decrypt(value.encode())
        except InvalidToken:
            raise CannotStart(
                "FERNET_KEY is not the key that the connections in the database were stored with: set that one again; "
                "to change keys, see docs/how-to/deploy-compose.md."
            ) from None


def check_token(url: str, secret: str) -> None:
    """Refuse a JWT secret that the API server does not share. An API server that is not up yet is not waited for.

    :param url: of the execution API.
    :param secret: the setting.
    """
    import jwt

    parts = urlsplit(url)
    now = int(time.time())
    claims = {
        "sub": str(uuid.uuid4()),
        "aud": "urn:airflow.apache.org:task",
        "iss": os.environ.get("AIRFLOW__API_AUTH__JWT_ISSUER", ""),
        "iat": now,
        "nbf": now,
        "exp": now + 60,
    }
    with warnings.catch_warnings():
        # A short secret is a warning of its own in each service's log.
        warnings.simplefilter("ignore")
        token = jwt.encode(claims, secret, algorithm="HS512")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        with closing(kind(parts.hostname or "", parts.port, timeout=5)) as server:
            path = f"{parts.path.rstrip('/')}/variables/talent-dmf-no-such-variable"
            server.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = server.getresponse()
            refused = answer.status in {401, 403} and b"Invalid auth token" in answer.read(4096)
    except (OSError, http.client.HTTPException):
        return
    if refused:
        raise CannotStart(
            f"JWT_SECRET differs from the one of the API server at {parts.netloc}: every service needs the same, "
            "so start them all anew after it was changed."
        )


def fingerprint(key: str) -> str:
    """Return what tells two keys apart and tells nobody what they are.

    :param key: the setting, too long to be guessed.
    """
    return hmac.new(key.encode(), b"talent-dmf: is it the same key?", "sha256").hexdigest()[:32]


def keep_fingerprints(connection: Any, keys: Mapping[str, str]) -> None:
    """Let the other services compare their keys with those of the API server.

    :param connection: to the database.
    :param keys: by the name of their line in .env.
    """
    with connection, connection.cursor() as cursor:
        # Two API servers may start at once.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('talent_dmf_key'))")
        cursor.execute("CREATE TABLE IF NOT EXISTS talent_dmf_key (name text PRIMARY KEY, fingerprint text NOT NULL)")
        for name, key in keys.items():
            cursor.execute(
                "INSERT INTO talent_dmf_key VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET fingerprint = "
                "excluded.fingerprint",
                (name, fingerprint(key)),
            )


def compare_fingerprints(connection: Any, keys: Mapping[str, str]) -> None:
    """Refuse keys that the API server does not share. One that is being started anew with others is waited for.

    :param connection: to the database.
    :param keys: by the name of their line in .env.
    :raises NotYet: when one differs.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('talent_dmf_key') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return
        cursor.execute("SELECT name, fingerprint FROM talent_dmf_key")
        kept = dict(cursor.fetchall())
    for name, key in keys.items():
        if kept.get(name, fingerprint(key)) != fingerprint(key):
            raise NotYet(
                f"{name} differs from the one that the API server was started with: every service needs the same, so "
                "start them all anew after it was changed."
            )


def give_up_lost_tasks(connection: Any, hostname: str) -> int:
    """Let the scheduler see at once that tasks which ran in this container's earlier life do not run any more.

    A container keeps its name when it is restarted, and its processes do not survive that. Without this the scheduler
    waits for the whole `task_instance_heartbeat_timeout`, which has to be longer than an API server may be away.

    :param connection: to the database.
    :param hostname: of this container.
    :returns: how many tasks.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('task_instance') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(
            "UPDATE task_instance SET last_heartbeat_at = now() - interval '1 day' "
            "WHERE state IN ('running', 'restarting') AND hostname = %s",
            (hostname,),
        )
        return int(cursor.rowcount)


def check_demo(connection: Any) -> None:
    """Refuse to run the demo on a database that is not the demo's own; an empty one becomes its own.

    :param connection: to the database.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
        )
        if cursor.fetchone()[0] == DEMO_MARK:
            return
        cursor.execute("SELECT to_regclass('connection') IS NOT NULL")
        if cursor.fetchone()[0]:
            raise CannotStart(
                "This database belongs to a deployment, and the demo changes nothing in it: run the demo as the "
                "project of docker-compose.demo.yaml, without another project name."
            )
        cursor.execute(
            "DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE %%I IS %%L', current_database(), %s); END $$", (DEMO_MARK,)
        )


def check(command: Sequence[str]) -> None:
    """Refuse to start what cannot work.

    :param command: the arguments of `airflow`; what is no service is not checked.
    :raises CannotStart: with the reason.
    """
    if not command or command[0] not in SERVICES:
        return
    found = required_settings()
    for section, key in (("database", "sql_alchemy_conn"), ("celery", "result_backend"), ("celery", "broker_url")):
        address(found[section, key], f"[{section}] {key}")
    check_fernet_key(found["core", "fernet_key"])
    check_logs(os.environ.get("AIRFLOW__LOGGING__BASE_LOG_FOLDER", "/opt/airflow/logs"))
    with closing(patiently(lambda: connect(found["database", "sql_alchemy_conn"]))) as connection:
        if os.environ.get("TALENT_DMF_DEMO"):
            check_demo(connection)
        check_key_of_database(connection, found["core", "fernet_key"])
        keys = {SETTINGS[name]: found[name] for name in SHARED_KEYS}
        if command[0] == "api-server":
            keep_fingerprints(connection, keys)
        elif command[0] != "db":
            patiently(lambda: compare_fingerprints(connection, keys))
        if command[0] in {"scheduler", "celery"}:
            patiently(lambda: ping_broker(found["celery", "broker_url"]))
            check_token(setting("core", "execution_api_server_url"), found["api_auth", "jwt_secret"])
        if command[0] == "celery" and (lost := give_up_lost_tasks(connection, socket.getfqdn())):
            print(f"Tasks that ran here when this container was killed: {lost}; the scheduler will start them anew.")


def healthy_worker() -> bool:
    """Whether the Celery worker of this container answers."""
    from celery import Celery

    app = Celery(broker=setting("celery", "broker_url"))
    name = f"celery@{socket.gethostname()}"
    return bool(app.control.ping(destination=[name], timeout=10, limit=1))


def healthy_job(job_type: str, within_seconds: float = 60.0) -> bool:
    """Whether the component of this container has shown that it lives.

    :param job_type: as Airflow's database calls it.
    :param within_seconds: how long ago at most.
    """
    with closing(connect(setting("database", "sql_alchemy_conn"))) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM job WHERE job_type = %s AND hostname = %s AND state = 'running' "
            "AND latest_heartbeat > now() - %s * interval '1 second'",
            (job_type, socket.getfqdn(), within_seconds),
        )
        return bool(cursor.fetchone()[0])


def main(arguments: Sequence[str]) -> int:
    """Run one of the two commands and return its exit status.

    :param arguments: of the command line.
    """
    what, rest = arguments[0], list(arguments[1:])
    try:
        if what == "check":
            check(rest)
            return 0
        alive = healthy_worker() if rest == ["worker"] else healthy_job(rest[0])
    except (CannotStart, NotYet) as error:
        print(f"{rest[0]} cannot start: {error}" if what == "check" else str(error), file=sys.stderr)
        return 1
    if not alive:
        print(f"{rest[0]} on {socket.gethostname()} gives no sign of life", file=sys.stderr)
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
