"""Nothing secret was written anywhere while the exports ran: logs, metadata database, what Airflow printed (R9)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import NullPool, create_engine, inspect, text
from tests.otlp import Collector

from local_stack import LocalStack

from .conftest import TASK_IDS, DeferredRun, FinishedRun

# Signatures of package links, pre-authenticated upload addresses, bearer tokens with and without their header.
PATTERNS = {
    "signature": rb"[?&]sig(=|%3D)",
    "upload address": rb"tempauth",
    "bearer token": rb"[Bb]earer\s+[A-Za-z0-9_-]{16,}",
    "token": rb"eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
}


@pytest.fixture(scope="module", autouse=True)
def everything_has_run(
    run_with_params: FinishedRun, deferred_run: DeferredRun, backfilled_runs: list[FinishedRun]
) -> list[FinishedRun]:
    return [run_with_params, deferred_run.finished, *backfilled_runs]


@pytest.fixture(scope="module")
def forbidden(stack: LocalStack) -> re.Pattern[bytes]:
    values = [str(stack.emulator.facts[name]).encode() for name in ("client_secret", "user_password")]
    return re.compile(b"|".join([*PATTERNS.values(), *map(re.escape, values)]))


def findings(text: bytes, forbidden: re.Pattern[bytes]) -> list[bytes]:
    return [text[max(0, match.start() - 60) : match.start() + 20] for match in forbidden.finditer(text)]


def cells(database_url: str) -> Iterator[tuple[str, bytes]]:
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.connect() as connection:
        for table in inspect(engine).get_table_names():
            cursor = connection.execute(text(f'SELECT * FROM "{table}"'))  # noqa: S608 - the names are the database's own
            for row in cursor.mappings():
                for column, value in row.items():
                    if value is not None:
                        # PostgreSQL gives JSON as what it means.
                        shown = value if isinstance(value, str | bytes) else json.dumps(value, default=str)
                        yield f"{table}.{column}", shown.encode() if isinstance(shown, str) else shown


def test_the_search_finds_what_is_there(stack: LocalStack, forbidden: re.Pattern[bytes]) -> None:
    assert findings((stack.directory / "connections.json").read_bytes(), forbidden)
    signed_in = stack.airflow.sign_in()
    for planted in ("https://h/c/b.zip?sv=1&sig=abc", "https://h/u?tempauth=x", f"Authorization: Bearer {signed_in}"):
        assert findings(planted.encode(), forbidden)


def test_task_logs_as_the_api_shows_them(everything_has_run: list[FinishedRun], forbidden: re.Pattern[bytes]) -> None:
    logs = {(run.run["dag_run_id"], task_id): run.log(task_id) for run in everything_has_run for task_id in TASK_IDS}
    assert all(logs.values())
    assert {key: found for key, log in logs.items() if (found := findings(log.encode(), forbidden))} == {}


def test_log_files(stack: LocalStack, forbidden: re.Pattern[bytes]) -> None:
    files = [path for path in stack.site.logs_path.rglob("*") if path.is_file()]
    assert len(files) >= 5 * len(TASK_IDS)
    assert {path.name: found for path in files if (found := findings(path.read_bytes(), forbidden))} == {}


def test_metadata_database(stack: LocalStack, forbidden: re.Pattern[bytes]) -> None:
    seen = set()
    found = []
    for place, value in cells(stack.site.database_url):
        seen.add(place)
        found += [(place, excerpt) for excerpt in findings(value, forbidden)]
    assert {"xcom.value", "connection.password", "rendered_task_instance_fields.rendered_fields"} <= seen
    assert found == []


def test_what_airflow_printed(stack: LocalStack, forbidden: re.Pattern[bytes]) -> None:
    printed = b"".join(path.read_bytes() for path in stack.airflow_logs.values())
    assert b"trigger_export" in printed
    assert findings(printed, forbidden) == []


def test_metrics(otel: Collector, forbidden: re.Pattern[bytes]) -> None:
    sent = b"".join(otel.bodies())
    assert b"talent_dmf.exports.saved" in sent
    assert findings(sent, forbidden) == []


def test_key_and_password_files_are_for_the_owner_only(stack: LocalStack) -> None:
    private = ["keys.json", "connections.json", "airflow.env", "airflow/passwords.json"]
    private += [path.name for path in stack.airflow_logs.values()]
    assert {name: (stack.directory / name).stat().st_mode & 0o077 for name in private} == dict.fromkeys(private, 0)
    assert stack.directory.stat().st_mode & 0o077 == 0
