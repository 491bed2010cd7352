"""What it costs to wait: many exports in one triggerer's event loop, and many more in the bare asynchronous driver.

    python benchmarks/waiting.py            # 1,000 exports, three runs each, peers in between; then 10,000 waits
    python benchmarks/waiting.py --quick    # a tenth of it, one run each: does it work?

The last line of the output is one JSON object. See README.md of this folder for what is measured and what is not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from common import Figure, Report, console, figures_of
from waiting_run import Plan, run

PEERS = {"msgraph": "MSGraphSensor (azure provider)", "http": "HttpTrigger (http provider)"}
NAMES = {"ours": "TalentDmfExecutionStatusTrigger", **PEERS, "driver": "AsyncDriver alone"}
MAX_CPU_SHARE = 0.5
MAX_WAIT_KB = 20.0
GRACE_SECONDS = 1.0

SHOWN = {
    "cpu_ms_per_poll": ("CPU per poll, ms", 2),
    "cpu_ms_per_export_minute": ("CPU per waiting export, ms a minute", 1),
    "core_used": ("share of one core", 2),
    "polls_per_second": ("polls a second", 0),
    "lists_per_minute": ("lists a minute", 0),
    "rss_kb_per_export": ("memory per waiting export, KiB", 1),
    "connections_peak": ("connections open at most", 0),
    "connections_made": ("connections made", 0),
    "token_requests": ("token requests", 0),
    "lateness_max_seconds": ("detected late, s: most", 2),
    "lateness_p99_seconds": ("detected late, s: 99 %", 2),
    "longest_gap_seconds": ("longest time without a poll, s", 2),
    "failed_polls": ("failed polls", 0),
    "never_seen": ("exports never seen to finish", 0),
}


def show(screen: Console, title: str, columns: dict[str, dict[str, Figure]]) -> None:
    """Print figures side by side.

    :param screen: where to.
    :param title: above the table.
    :param columns: figures by kind.
    """
    table = Table("", *(NAMES[kind] for kind in columns), title=title)
    for name, (words, digits) in SHOWN.items():
        if any(name in figures for figures in columns.values()):
            cells = (figures[name].shown(digits) if name in figures else "" for figures in columns.values())
            table.add_row(words, *cells)
    screen.print(table)


def triggers(report: Report, screen: Console, options: argparse.Namespace) -> None:
    """Measure our trigger and its peers in turn.

    :param report: receives the figures.
    :param screen: where to print.
    :param options: of the command line.
    """
    kinds = ["ours", *PEERS]
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for number in range(options.runs):
        for kind in kinds:
            print(f"run {number + 1} of {options.runs}: {NAMES[kind]} …", file=sys.stderr)
            plan = Plan(
                kind, options.exports, options.interval, options.interval, options.window, True, options.at_once
            )
            runs[kind].append(run(plan))
    figures = {kind: figures_of(each) for kind, each in runs.items()}
    show(screen, f"{options.exports} exports waiting in one event loop, polled every {options.interval:g} s", figures)
    ours = figures["ours"]
    report.figures["trigger"] = {name: figure.as_json() for name, figure in ours.items()}
    for kind in PEERS:
        report.peers[kind] = {name: figure.as_json() for name, figure in figures[kind].items()}
        # Runs that followed each other are compared: what else the machine did meanwhile hit both.
        ratio = Figure(
            tuple(
                mine["cpu_ms_per_export_minute"] / theirs["cpu_ms_per_export_minute"]
                for mine, theirs in zip(runs["ours"], runs[kind], strict=True)
            )
        )
        report.ratios[f"cpu_vs_{kind}"] = ratio.median
        report.demand(
            f"CPU of a waiting export against {NAMES[kind]}",
            f"{ratio.shown()} of theirs; at most {MAX_CPU_SHARE}",
            ratio.median <= MAX_CPU_SHARE,
        )
    tokens = max(ours["token_requests"].values)
    report.demand("token requests", f"{tokens:.0f}; exactly 1", set(ours["token_requests"].values) == {1.0})
    late, bound = max(ours["lateness_max_seconds"].values), options.interval + GRACE_SECONDS
    missed = max(ours["never_seen"].values)
    report.demand("detection", f"{late:.2f} s late at most; {bound:g} s allowed", late <= bound and not missed)


def driver(report: Report, screen: Console, options: argparse.Namespace) -> None:
    """Measure the driver without Airflow.

    :param report: receives the figures.
    :param screen: where to print.
    :param options: of the command line.
    """
    interval = options.driver_interval
    runs = []
    for number in range(options.runs):
        print(f"run {number + 1} of {options.runs}: {NAMES['driver']} …", file=sys.stderr)
        runs.append(run(Plan("driver", options.waits, interval, 0.0, interval * 2, False, options.at_once)))
    figures = figures_of(runs)
    show(screen, f"{options.waits} waits in the driver alone on one core, every {interval:g} s", {"driver": figures})
    report.figures["driver"] = {name: figure.as_json() for name, figure in figures.items()}
    gap, bound = max(figures["longest_gap_seconds"].values), interval + GRACE_SECONDS
    report.demand("no missed poll", f"{gap:.2f} s without a poll at most; {bound:g} s allowed", gap <= bound)
    memory = max(figures["rss_kb_per_export"].values)
    report.demand("memory per wait", f"{memory:.1f} KiB; under {MAX_WAIT_KB:g}", memory < MAX_WAIT_KB)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 0 whether or not the goals are met.

    :param arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exports", type=int, default=1000, help="waiting exports (default: %(default)s)")
    parser.add_argument("--interval", type=float, default=5.0, help="poll interval in s (default: %(default)s)")
    parser.add_argument("--window", type=float, default=30.0, help="measured time in s (default: %(default)s)")
    parser.add_argument("--waits", type=int, default=10_000, help="waits of the driver alone (default: %(default)s)")
    parser.add_argument(
        "--driver-interval", type=float, default=30.0, help="their poll interval in s (default: %(default)s)"
    )
    parser.add_argument("--runs", type=int, default=3, help="runs of each (default: %(default)s)")
    parser.add_argument("--at-once", action="store_true", help="start all waits at the same moment")
    parser.add_argument("--only", choices=["trigger", "driver"], help="measure one part only")
    parser.add_argument("--quick", action="store_true", help="small and short, one run each")
    options = parser.parse_args(arguments)
    if options.quick:
        options.exports, options.window, options.runs = 100, 10.0, 1
        options.waits, options.driver_interval = 1000, 10.0
    report, screen = Report("waiting"), console()
    if options.only != "driver":
        triggers(report, screen, options)
    if options.only != "trigger":
        driver(report, screen, options)
    report.conditions |= {
        name: getattr(options, name)
        for name in ("exports", "interval", "window", "waits", "driver_interval", "runs", "at_once")
    }
    report.print(screen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
