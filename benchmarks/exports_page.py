"""The Exports page with 1,000 exports and 10,000 runs: server time of the table and of a history.

The database is seeded as real runs leave it behind (tests/ui/seeding.py); Airflow's own API server answers over HTTP,
once on SQLite and, where its programs are installed, once on PostgreSQL. The first answer after the server's start,
which reads everything, is reported apart: later ones read what has changed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.table import Table

from common import PROJECT, Figure, Report, console

sys.path.insert(0, str(PROJECT))

from tests.ui.servers import Server, seed, site_of

from local_stack.database import PostgresServer, server_programs

TABLE_GOAL_MS, HISTORY_GOAL_MS = 300.0, 500.0


@contextmanager
def served(kind: str, folder: Path, exports: int, runs: int) -> Iterator[Server]:
    """A seeded Airflow.

    :param kind: ``SQLite`` or ``PostgreSQL``.
    :param folder: an empty one.
    :param exports: how many exports.
    :param runs: of each.
    """
    settings, database = {}, None
    if kind == "PostgreSQL":
        programs = server_programs()
        if programs is None:
            raise SystemExit("PostgreSQL is not installed.")
        server = PostgresServer(programs, folder / "postgres", "benchmark", lasting=False)
        database = server.start(folder / "postgres.log", detached=False)
        settings["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = server.database.url
    site = site_of(folder / "airflow", "simple", settings=settings)
    started: Server | None = None
    try:
        seed(site, "many", str(exports), str(runs))
        started = Server.start(site)
        yield started.wait()
    finally:
        for process in (started and started.process, database):
            if process is not None:
                process.stop()


def ask(server: Server, path: str) -> tuple[float, float, float, int]:
    """Ask once: server time, CPU time of the server in it, and whole time in milliseconds, and bytes.

    :param server: whom.
    :param path: below the page's root.
    """
    headers = {"Authorization": f"Bearer {server.token('viewer')}"}
    started = time.perf_counter()
    answer = httpx.get(f"{server.site.base_url}/talent-exports/{path}", headers=headers, timeout=120)
    whole = (time.perf_counter() - started) * 1000
    answer.raise_for_status()
    taken, cpu = map(float, re.findall(r"(?:app|cpu);dur=([0-9.]+)", answer.headers["server-timing"]))
    return taken, cpu, whole, len(answer.content)


def measure(kind: str, exports: int, runs: int, requests: int) -> dict[str, Any]:
    """Serve a database of one kind and ask for table and histories.

    :param kind: ``SQLite`` or ``PostgreSQL``.
    :param exports: how many exports.
    :param runs: of each.
    :param requests: how many of each kind.
    """
    folder = Path(tempfile.mkdtemp(prefix="exports-page-"))
    try:
        with served(kind, folder, exports, runs) as server:
            first, _, _, size = ask(server, "api/exports")
            tables = [ask(server, "api/exports") for _ in range(requests)]
            wanted = [number * exports // requests for number in range(requests)]
            histories = [ask(server, f"api/exports/talent_export_bench_{number:04}") for number in wanted]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "first_ms": first,
        "table_ms": Figure(tuple(each[0] for each in tables)),
        "table_cpu_ms": Figure(tuple(each[1] for each in tables)),
        "table_with_http_ms": Figure(tuple(each[2] for each in tables)),
        "history_ms": Figure(tuple(each[0] for each in histories)),
        "table_bytes": size,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 0 whether or not the goals are met.

    :param arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exports", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=10, help="of each export (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=15, help="of each kind (default: %(default)s)")
    options = parser.parse_args(arguments)
    report, screen = Report("exports_page"), console()
    heads = ("database", "first, ms", "table, ms", "CPU of it, ms", "with HTTP, ms", "history, ms", "table, kB")
    table = Table(*heads, title="Server time")
    for kind in ["SQLite", *(["PostgreSQL"] if server_programs() else [])]:
        found = measure(kind, options.exports, options.runs, options.requests)
        listed, history = found["table_ms"], found["history_ms"]
        shown = [found[name].shown(0) for name in ("table_ms", "table_cpu_ms", "table_with_http_ms", "history_ms")]
        table.add_row(kind, f"{found['first_ms']:.0f}", *shown, f"{found['table_bytes'] / 1000:.0f}")
        report.figures[kind] = {
            name: value.as_json() if isinstance(value, Figure) else value for name, value in found.items()
        }
        for name, figure, goal in (("table", listed, TABLE_GOAL_MS), ("history", history, HISTORY_GOAL_MS)):
            report.demand(f"{name}, {kind}", f"{figure.median:.0f} ms; under {goal:.0f}", figure.median < goal)
    screen.print(table)
    report.conditions |= {
        "exports": options.exports,
        "runs": options.exports * options.runs,
        "requests": options.requests,
    }
    report.print(screen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
