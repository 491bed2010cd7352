"""What many exports started at once cost an environment with Human Resources' quota, against single polling.

    python benchmarks/budget.py           # 100 exports, twelve times as fast as in life: about 10 minutes
    python benchmarks/budget.py --full    # in life's own time: about 40 minutes
    python benchmarks/budget.py --quick   # 20 exports, a fifth of the quota, thirty times as fast: does it work?

The last line of the output is one JSON object. See README.md of this folder for what is measured and what is not.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from rich.table import Table

from budget_peers import PEERS, single_polling
from common import PROJECT, Report, console

sys.path[:0] = [str(PROJECT), str(PROJECT / "plugins")]

OURS = ("wildcard", "no wildcard", "no list")
NAMES = {
    "wildcard": "ours",
    "no wildcard": "ours, wildcards refused",
    "no list": "ours, lists refused",
    **{name: peer.title for name, peer in PEERS.items()},
}
MOST_REQUESTS, LATEST_SECONDS = 6, 60.0
SHOWN = {
    "requests": ("requests, all", 0),
    "watching": ("of them lists, or polls without news", 0),
    "requests_per_export": ("the others, for each export", 1),
    "most_requests_for_one": ("the others, most for one", 0),
    "refused": ("answered 429", 0),
    "saved": ("exports saved", 0),
    "late_median_seconds": ("end seen late, s: median", 0),
    "late_max_seconds": ("end seen late, s: most", 0),
    "minutes": ("minutes from the first start to the last file", 1),
}


def measure(contender: str, exports: int, faster: float, share: float) -> dict[str, float]:
    """Let one contender export, in a process of its own, and return its figures; times are those of life.

    :param contender: which.
    :param exports: how many.
    :param faster: by how much all times are shorter.
    :param share: which part of the quota there is.
    """
    with tempfile.TemporaryDirectory(prefix="dmf-budget-") as name:
        folder = Path(name)
        # What the processes of a machine share is this run's own.
        tempfile.tempdir = str(folder)
        os.environ |= {"AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__TALENT_DMF__SHARE_TOKENS": "True"}
        os.environ |= {"AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR", "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        logging.disable(logging.WARNING)
        from tests.integration.conftest import environment_connection
        from tests.integration.exports_at_once import Plan, export_all, running_environment

        plan = Plan(exports, faster, share, contender if contender in OURS else "wildcard")
        with running_environment(plan) as emulator:
            if contender in PEERS:
                outcome = single_polling(PEERS[contender], plan, emulator)
            else:
                connection: dict[str, Any] = environment_connection(emulator, quota=plan.quota)
                os.environ["AIRFLOW_CONN_TALENT_DMF_DEFAULT"] = json.dumps(connection)
                (folder / "saved").mkdir()
                outcome = export_all(plan, emulator, folder / "saved")
    counts = outcome.of_each()
    return {
        "requests_per_export": sum(counts.values()) / exports,
        "most_requests_for_one": max(counts.values()),
        "watching": len(outcome.requests) - sum(counts.values()),
        "requests": len(outcome.requests),
        "refused": len(outcome.refused),
        "saved": sum(size > 0 for size in outcome.sizes),
        "late_median_seconds": statistics.median(outcome.late_seconds) * faster,
        "late_max_seconds": max(outcome.late_seconds) * faster,
        "minutes": outcome.took_seconds * faster / 60,
    }


def measure_all(contenders: Sequence[str], exports: int, faster: float, share: float) -> dict[str, dict[str, float]]:
    """Let contenders export at the same time, each in a process of its own; the parameters are those of `measure`."""
    if not contenders:
        return {}
    with ProcessPoolExecutor(
        len(contenders), mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1
    ) as processes:
        started = {each: processes.submit(measure, each, exports, faster, share) for each in contenders}
        found = {}
        for contender, each in started.items():
            found[contender] = each.result()
            print(f"{NAMES[contender]}: {json.dumps(found[contender])}", file=sys.stderr, flush=True)
    return found


def judge(report: Report, found: dict[str, dict[str, float]], exports: int) -> None:
    """Compare what was found with the goals.

    :param report: receives them.
    :param found: figures by contender.
    :param exports: how many exports were started.
    """
    for contender in OURS:
        figures, name = found[contender], NAMES[contender]
        most, late = figures["most_requests_for_one"], figures["late_max_seconds"]
        report.demand(f"{name}: saved", f"{figures['saved']:.0f} of {exports}", figures["saved"] == exports)
        report.demand(f"{name}: answered 429", f"{figures['refused']:.0f}; none", not figures["refused"])
        report.demand(
            f"{name}: requests for one export", f"{most:.0f} at most; {MOST_REQUESTS} allowed", most <= MOST_REQUESTS
        )
        report.demand(
            f"{name}: end seen", f"{late:.0f} s late at most; {LATEST_SECONDS:.0f} allowed", late <= LATEST_SECONDS
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 0 whether or not the goals are met.

    :param arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exports", type=int, default=100, help="started at once (default: %(default)s)")
    parser.add_argument("--full", action="store_true", help="in life's own time")
    parser.add_argument("--quick", action="store_true", help="20 exports, a fifth of the quota, thirty times as fast")
    parser.add_argument("--only", choices=[*OURS, *PEERS], nargs="+", help="some of the contenders")
    options = parser.parse_args(arguments)
    exports, faster, share = options.exports, 1.0 if options.full else 12.0, 1.0
    if options.quick:
        exports, faster, share = 20, 30.0, 0.2
    contenders = options.only or list(NAMES)
    found: dict[str, dict[str, float]] = {}
    # Nearly all of it is waiting.
    for group in (OURS, PEERS):
        found |= measure_all([each for each in contenders if each in group], exports, faster, share)
    report, screen = Report("budget"), console()
    table = Table("", *(NAMES[each] for each in found), title=f"{exports} exports started at once")
    for name, (words, digits) in SHOWN.items():
        table.add_row(words, *(f"{figures[name]:.{digits}f}" for figures in found.values()))
    screen.print(table)
    report.figures = {each: found[each] for each in OURS if each in found}
    report.peers = {each: found[each] for each in PEERS if each in found}
    if set(OURS) <= set(found):
        judge(report, found, exports)
        for peer, figures in report.peers.items():
            report.ratios[f"requests_vs_{peer}"] = found["wildcard"]["requests"] / figures["requests"]
    report.conditions |= {"exports": exports, "faster": faster, "quota_share": share}
    report.print(screen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
