"""What a large catalogue costs Airflow's DAG processor, with its defaults, against as many DAGs that do nothing.

    python benchmarks/many_exports.py                      # 2,000 files, two passes of each kind; about ten minutes
    python benchmarks/many_exports.py --exports 200        # about a minute
    python benchmarks/many_exports.py --busy 4             # with four processes that take all the CPU they can get

The last line of the output is one JSON object. See README.md of this folder for what is measured.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from rich.table import Table

from common import PROJECT, Report, child_environment, console

MAX_RATIO = 1.5
# Airflow's own: [core] dagbag_import_timeout and [dag_processor] dag_file_processor_timeout.
TIMEOUT_SECONDS = 50.0
_EXPORT = """\
data_project: Export Workers {number}
legal_entities: USMF
schedule: "{minute} {hour} * * *"
folder: Exports/Workers {number}
"""
_NOTHING = """\
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Asset
from airflow.providers.standard.operators.empty import EmptyOperator

TASKS = ("trigger_export", "wait_for_export", "get_package_url", "save_to_onedrive")
for number in range({first}, {last}):
    with DAG(
        f"nothing_{{number}}",
        schedule=f"{{number % 60}} {{number // 60 % 24}} * * *",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        default_args={{"retries": 3, "retry_delay": timedelta(minutes=1)}},
    ) as dag:
        first, second, third, fourth = (EmptyOperator(task_id=each) for each in TASKS)
        fourth.outlets.append(Asset(name=f"nothing_{{number}}", uri=f"x-nothing://{{number}}"))
        first >> second >> third >> fourth
    globals()[dag.dag_id] = dag
"""


def exports(root: Path, count: int) -> Path:
    """Make a project with a catalogue; returns its folder of DAG files.

    :param root: of the project.
    :param count: of exports.
    """
    folder = root / "include" / "exports"
    folder.mkdir(parents=True)
    for number in range(count):
        text = _EXPORT.format(number=number, minute=number % 60, hour=number // 60 % 24)
        (folder / f"export_{number}.yaml").write_text(text, encoding="utf-8")
    return Path(shutil.copytree(PROJECT / "dags", root / "dags"))


def nothing(root: Path, count: int) -> Path:
    """Make DAGs of four tasks that do nothing, in as many files as a catalogue's; returns the folder.

    :param root: of the project.
    :param count: of DAGs.
    """
    folder = root / "dags"
    folder.mkdir()
    files = len(list((PROJECT / "dags").rglob("*.py"))) - 1
    bounds = [count * each // files for each in range(files + 1)]
    for number, (first, last) in enumerate(pairwise(bounds)):
        (folder / f"nothing_{number:02}.py").write_text(_NOTHING.format(first=first, last=last), encoding="utf-8")
    return folder


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Let processes take all the CPU that they can get meanwhile.

    :param processes: how many.
    """
    command = [sys.executable, "-c", "while True: pass"]
    burning = [subprocess.Popen(command) for _ in range(processes)]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def measure(dags: Path, home: Path, passes: int) -> dict[str, float]:
    """Let the DAG processor pass over a folder and return what that cost and made.

    :param dags: the folder.
    :param home: an AIRFLOW_HOME with an empty database.
    :param passes: how often each file is processed.
    """
    environment = child_environment(
        home,
        AIRFLOW__CORE__DAGS_FOLDER=str(dags),
        AIRFLOW__CORE__LOAD_EXAMPLES="false",
        AIRFLOW__CORE__PLUGINS_FOLDER=str(home / "plugins"),
    )
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), monotonic()
    command = [sys.executable, "-m", "airflow", "dag-processor", "--num-runs", str(passes)]
    subprocess.run(command, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with closing(sqlite3.connect(home / "airflow.db")) as database:
        dags_made, longest = database.execute(
            "SELECT count(*), max(last_parse_duration) FROM dag WHERE NOT is_stale"
        ).fetchone()
        files, largest, stored = (
            database.execute(query).fetchone()[0]
            for query in (
                "SELECT count(DISTINCT relative_fileloc) FROM dag",
                "SELECT max(each) FROM (SELECT count(*) AS each FROM dag GROUP BY relative_fileloc)",
                "SELECT avg(length(data)) FROM serialized_dag",
            )
        )
        errors = database.execute("SELECT count(*) FROM import_error").fetchone()[0]
    cpu = sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))
    return {
        "cpu_seconds": cpu,
        "seconds": monotonic() - began,
        "dags": dags_made,
        "files": files,
        "most_in_a_file": largest,
        "longest_pass_seconds": longest or 0.0,
        "stored_bytes": stored or 0.0,
        "import_errors": errors,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 0 whether or not the goals are met.

    :param arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exports", type=int, default=2000, help="files of the catalogue (default: %(default)s)")
    parser.add_argument("--passes", type=int, default=2, help="how often each file is processed (default: %(default)s)")
    parser.add_argument("--busy", type=int, default=0, help="processes that take all the CPU they can get")
    parser.add_argument("--ours-only", action="store_true", help="without the DAGs that do nothing")
    options = parser.parse_args(arguments)
    kinds = {"exports": exports} if options.ours_only else {"exports": exports, "nothing": nothing}
    figures: dict[str, dict[str, float]] = {}
    with TemporaryDirectory(prefix="dmf-many-") as root, busy(options.busy):
        empty = Path(root, "empty")
        environment = child_environment(empty, AIRFLOW__CORE__LOAD_EXAMPLES="false")
        subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"], env=environment, capture_output=True, check=True
        )
        for name, make in kinds.items():
            project = Path(root, name)
            project.mkdir()
            home = Path(shutil.copytree(empty, project / "home"))
            (home / "airflow.cfg").unlink(missing_ok=True)
            figures[name] = measure(make(project, options.exports), home, options.passes)
    report = Report("many_exports")
    report.figures |= figures
    report.conditions |= {"exports": options.exports, "passes": options.passes, "busy": options.busy}
    report.conditions |= {"load_at_the_end": round(os.getloadavg()[0], 1)}
    ours = figures["exports"]
    report.demand("DAGs", f"{ours['dags']} of {options.exports} files", ours["dags"] == options.exports)
    longest = ours["longest_pass_seconds"]
    report.demand("longest pass of a file", f"{longest:.1f} s; below {TIMEOUT_SECONDS}", longest < TIMEOUT_SECONDS)
    if "nothing" in figures:
        for key, words in (("cpu_seconds", "CPU of all passes"), ("stored_bytes", "size of a stored DAG")):
            ratio = report.ratios[key] = ours[key] / figures["nothing"][key]
            if key == "cpu_seconds":
                report.demand(words, f"{ratio:.2f} of doing nothing; at most {MAX_RATIO}", ratio <= MAX_RATIO)
    screen = console()
    table = Table("", *figures, title=f"{options.exports} DAGs, {options.passes} passes")
    for key in ours:
        table.add_row(key.replace("_", " "), *(f"{each[key]:,.1f}" for each in figures.values()))
    screen.print(table)
    report.print(screen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
