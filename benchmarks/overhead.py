"""What our tasks add to a DAG run: an export's run without the export's own time, against a run that does nothing.

    python benchmarks/overhead.py            # a real `airflow standalone`, about ten minutes
    python benchmarks/overhead.py --quick    # one kind of run, two pairs

The last line of the output is one JSON object. See README.md of this folder for what is measured and what is not.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from rich.console import Console
from rich.table import Table

from common import PROJECT, Figure, Report, console
from local_stack import LocalStack
from local_stack.stack import StackOptions

OURS, NOTHING = "talent_export_workers", "noop_export"
MAX_RATIO = 1.15


@dataclass(frozen=True, slots=True)
class Variant:
    """One kind of run.

    :param name: its name.
    :param words: what it is.
    :param export_seconds: how long the export takes, from the call to the link.
    :param defers: whether the wait is long enough to be deferred; the run that does nothing defers as well then.
    :param idle_seconds: pause of the idle scheduler; Airflow's own is 1 s.
    """

    name: str
    words: str
    export_seconds: float
    defers: bool
    idle_seconds: float


VARIANTS = (
    Variant("short", "10 s export, waited for on the worker", 10.0, False, 1.0),
    Variant("deferred", "30 s export, deferred once", 30.0, True, 1.0),
    Variant("instant", "export done at once: no time of its own to hide in", 0.0, False, 1.0),
    Variant("brisk", "10 s export, scheduler that idles 0.1 s only", 10.0, False, 0.1),
)
# An export of the emulator's project, without a timetable.
SPEC = {
    "description": "All workers of one company.",
    "data_project": "Export Workers",
    "legal_entities": "USMF",
    "package_name": "talent_package.zip",
    "folder": "Exports/Workers",
}


@contextmanager
def dags_folder() -> Iterator[Path]:
    """Make a DAGs folder with the project's DAG file, an export without timetable, and the DAG that does nothing."""
    with TemporaryDirectory(prefix="dmf-overhead-") as root:
        dags, exports = Path(root, "dags"), Path(root, "include", "exports")
        dags.mkdir()
        exports.mkdir(parents=True)
        shutil.copy(PROJECT / "dags" / "talent_exports.py", dags)
        shutil.copy(Path(__file__).with_name("noop_dag.py"), dags)
        (exports / "workers.yaml").write_text(yaml.safe_dump(SPEC), encoding="utf-8")
        yield dags


def seconds_of_run(stack: LocalStack, dag_id: str, conf: dict[str, object]) -> float:
    """Run a DAG and return the time from its request to its end, by Airflow's own record.

    :param stack: where.
    :param dag_id: which.
    :param conf: params of the run.
    """
    run_id = stack.airflow.trigger_run(dag_id, conf)
    run = stack.airflow.wait_for_run(dag_id, run_id, poll_seconds=0.5)
    if run["state"] != "success":
        raise RuntimeError(f"{dag_id} {run_id} ended as {run['state']}; the logs are in {stack.site.logs_path}.")
    begin, end = (datetime.fromisoformat(run[name]) for name in ("queued_at", "end_date"))
    return (end - begin).total_seconds()


def measure(variant: Variant, pairs: int) -> tuple[Figure, Figure]:
    """Return our seconds without those of the export, and the seconds of doing nothing, run by run.

    :param variant: the kind of run.
    :param pairs: how many runs of each, in turn; one pair more warms up.
    """
    ours, nothing = [], []
    with dags_folder() as dags:
        options = StackOptions(
            name="overhead",
            export_seconds=variant.export_seconds,
            scheduler_idle_seconds=variant.idle_seconds,
            settings={"AIRFLOW__CORE__DAGS_FOLDER": str(dags)},
        )
        with LocalStack(options) as stack:
            for dag_id in (OURS, NOTHING):
                stack.wait_for_dag(dag_id)
                stack.airflow.unpause(dag_id)
            for number in range(pairs + 1):
                print(f"{variant.name}: pair {number} of {pairs} …", file=sys.stderr)
                turn: list[tuple[str, dict[str, object]]] = [(OURS, {}), (NOTHING, {"defer": variant.defers})]
                # Each of them comes first in every other pair.
                seconds = {dag: seconds_of_run(stack, dag, conf) for dag, conf in turn[:: 1 if number % 2 else -1]}
                if number:
                    ours.append(seconds[OURS] - variant.export_seconds)
                    nothing.append(seconds[NOTHING])
    return Figure(tuple(ours)), Figure(tuple(nothing))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 0 whether or not the goal is met.

    :param arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7, help="runs of each DAG, in turn (default: %(default)s)")
    names = [variant.name for variant in VARIANTS]
    parser.add_argument("--only", choices=names, action="append", help="this kind of run only; may be repeated")
    parser.add_argument("--quick", action="store_true", help="short exports only, two pairs")
    options = parser.parse_args(arguments)
    if options.quick:
        options.pairs, options.only = 2, ["short"]
    report, screen = Report("overhead"), console()
    chosen = [variant for variant in VARIANTS if options.only is None or variant.name in options.only]
    measured = {variant: measure(variant, options.pairs) for variant in chosen}
    show(screen, measured)
    for variant, (ours, nothing) in measured.items():
        ratio = ours.median / nothing.median
        report.figures[variant.name] = {"seconds": ours.as_json(), "meaning": variant.words}
        report.peers[variant.name] = {"noop_seconds": nothing.as_json()}
        report.ratios[variant.name] = ratio
        if variant.name in {"short", "deferred"}:
            report.demand(
                f"{variant.name} run", f"{ratio:.2f} of doing nothing; at most {MAX_RATIO}", ratio <= MAX_RATIO
            )
    report.conditions |= {"pairs": options.pairs}
    report.print(screen)
    return 0


def show(screen: Console, measured: dict[Variant, tuple[Figure, Figure]]) -> None:
    """Print all kinds of runs.

    :param screen: where to.
    :param measured: ours and doing nothing, by kind.
    """
    table = Table("", "our run without the export's time, s", "run that does nothing, s", "ratio", title="DAG runs")
    for variant, (ours, nothing) in measured.items():
        table.add_row(variant.words, ours.shown(), nothing.shown(), f"{ours.median / nothing.median:.2f}")
    screen.print(table)


if __name__ == "__main__":
    sys.exit(main())
