"""What a transfer costs: time, memory and CPU from the storage to OneDrive, beside rclone, curl and O365.

    python benchmarks/transfer.py            # three runs each, peers in between; about five minutes
    python benchmarks/transfer.py --quick    # 256 MiB, one run each: does it work?
    python benchmarks/transfer.py --without-peers    # what the check of the content costs, and no peers

The last line of the output is one JSON object. See README.md of this folder for what is measured and what is not.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from common import EmulatorProcess, Figure, Report, console, figures_of
from dmf_emulator.state.quickxor import QuickXorHash
from talent_dmf.api.package.checking import PackageCheck
from talent_dmf.api.package.directory import PackageEntry
from talent_dmf.package_source.inflating import INFLATING
from transfer_measure import ContenderError
from transfer_peers import (
    CHUNK_BYTES,
    CONTENDERS,
    EXECUTION_ID,
    NAMES,
    VERIFIES,
    Stage,
    missing,
    names_of,
    open_stage,
    python_process,
    scratch_folder,
    start_up_seconds,
)

MIB = 1024 * 1024
GIB = 1024 * MIB
PACE_BYTES_PER_SECOND = 50_000_000
LATENCY_SECONDS = 0.02
SOCKET_BUFFER = "64KiB"
# Of what the slower leg alone takes, for the larger file; the smaller one is compared with rclone.
MAX_PACED = 1.02
MAX_ADDED_MIB = 60.0
MAX_GROWTH_MIB = 10.0
# Ours divided by theirs, at most. One PUT of curl is shown and is no goal: OneDrive refuses one of more than 250 MB.
# The check of a package's content, which is on by default: with it divided by without it.
MAX_CHECKED, MAX_CHECKED_PACED = 1.15, 1.02
OURS = ("ours", "ours_checked")
# How many packages one process transfers at once; what they do together, of what one does alone.
AT_ONCE = (1, 8)
MIN_AT_ONCE = 0.95
MAX_RATIOS = {"rclone": 1.0, "curl_ranges": 1.0, "o365": 0.2}


@dataclass(frozen=True, slots=True)
class Reference:
    """What the file must be in the end.

    :param size_bytes: its length.
    :param quick_xor_hash: in base64.
    """

    size_bytes: int
    quick_xor_hash: str


@contextmanager
def stage(size_bytes: int, pace: str = "") -> Iterator[Stage]:
    """An emulator with a package, and another one that keeps size and hash of what it is given, not the bytes.

    :param size_bytes: length of the package.
    :param pace: of both legs; as fast as it can when empty.
    """
    arguments = ["--discard-uploads", "--export-seconds", "0", "--package-size", str(size_bytes)]
    for origin in ("blob", "sharepoint") if pace else ():
        arguments += ["--pace", f"{origin}={pace}"]
    # One PUT of any size is accepted, so that curl can show what it can do.
    settings = {"simple_upload_limit_bytes": 1024**4}
    with (
        EmulatorProcess(settings, arguments) as source,
        EmulatorProcess(settings, arguments) as target,
        scratch_folder() as folder,
    ):
        yield open_stage(source, target, size_bytes, Path(folder))


def reference(at: Stage) -> Reference:
    """Read the package and hash it with the emulator's own implementation."""
    digest, size_bytes = QuickXorHash(), 0
    with at.source.client.stream("GET", at.package_url) as answer:
        for block in answer.iter_raw(1 << 20):
            digest.update(block)
            size_bytes += len(block)
    return Reference(size_bytes, digest.base64())


def run(kind: str, at: Stage, name: str, expected: Reference | None = None) -> dict[str, float]:
    """Let one contender do one transfer, and look at the file afterwards.

    :param kind: who.
    :param at: where.
    :param name: of the file, a new one.
    :param expected: what the file must be; only its length is compared when omitted.
    :raises ContenderError: it failed, or the file is not what it must be.
    """
    emulator_cpu = at.cpu_seconds()
    idle = start_up_seconds(kind, at)
    usage = CONTENDERS[kind](at, name)
    emulator_cpu = at.cpu_seconds() - emulator_cpu
    item = at.graph("GET", f"root:/{name}")
    found = Reference(item["size"], item["file"]["hashes"].get("quickXorHash", ""))
    if found.size_bytes != at.size_bytes or expected not in {None, found}:
        raise ContenderError(f"{NAMES[kind]} left {found}, and it should be {expected or at.size_bytes}")
    told = json.loads(usage.output) if kind in {*OURS, "o365"} else {}
    gib = at.size_bytes / GIB
    seconds = told.pop("seconds", usage.wall_seconds - idle)
    return {
        "seconds": seconds,
        "mb_per_second": at.size_bytes / 1e6 / seconds,
        "process_seconds": usage.wall_seconds,
        "cpu_seconds_per_gib": usage.cpu_seconds / gib,
        "emulator_cpu_seconds_per_gib": emulator_cpu / gib,
        "peak_mib": usage.peak_mib,
        "load_average": os.getloadavg()[0],
        **told,
    }


def interleaved(kinds: Sequence[str], at: Stage, runs: int) -> dict[str, list[dict[str, float]]]:
    """Let several contenders take turns.

    :param kinds: who.
    :param at: where.
    :param runs: how often each.
    """
    expected = reference(at)
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for number in range(runs):
        for kind in kinds:
            say(f"{at.size_bytes // MIB} MiB, run {number + 1} of {runs}: {NAMES[kind]} …")
            found[kind].append(run(kind, at, f"{kind}-{number}.zip", expected))
    return found


def say(text: str) -> None:
    """Tell a person who waits."""
    print(text, file=sys.stderr, flush=True)


def show(screen: Console, title: str, runs: dict[str, list[dict[str, float]]]) -> None:
    """Print the figures of several contenders.

    :param screen: where to.
    :param title: what was done.
    :param runs: of each of them.
    """
    table = Table("", "s", "MB/s", "CPU s/GiB", "peak MiB", "verifies", title=title)
    for kind, each in runs.items():
        figures = figures_of(each)
        cells = [
            figures[name].shown(digits)
            for name, digits in (("seconds", 2), ("mb_per_second", 0), ("cpu_seconds_per_gib", 2), ("peak_mib", 0))
        ]
        table.add_row(NAMES[kind], *cells, VERIFIES[kind])
    screen.print(table)


def paced(report: Report, screen: Console, options: argparse.Namespace) -> None:
    """Both legs at 50 MB/s and 20 ms: as fast as the slower of them, and one range.

    :param report: receives the figures.
    :param screen: where to print.
    :param options: of the command line.
    """
    pace = f"{PACE_BYTES_PER_SECOND // 1_000_000}MB/s,{LATENCY_SECONDS * 1000:g}ms,buffer={SOCKET_BUFFER}"
    for size_bytes in options.paced_sizes:
        # The peers' turn with the small file only: they do not become faster with a large one.
        peers = [kind for kind in ("rclone",) if kind in options.peers and size_bytes == options.paced_sizes[0]]
        with stage(size_bytes, pace) as at:
            runs = interleaved([*OURS, *peers], at, options.runs)
        title = f"{size_bytes // MIB} MiB, each leg paced to {pace}"
        show(screen, title, runs)
        # A request for each range, and its pause, on either leg: they are equally slow.
        leg = size_bytes / PACE_BYTES_PER_SECOND + -(-size_bytes // CHUNK_BYTES) * LATENCY_SECONDS
        name = f"paced_{size_bytes // MIB}_mib"
        figures = figures_of(runs["ours"])
        report.figures[name] = {key: figure.as_json() for key, figure in figures.items()}
        price_of_check(report, name, runs, MAX_CHECKED_PACED)
        for kind in peers:
            report.peers[f"{name}_{kind}"] = {k: f.as_json() for k, f in figures_of(runs[kind]).items()}
        found = figures["seconds"]
        report.ratios[f"{name}_vs_slower_leg"] = found.median / leg
        for kind in peers:
            theirs = figures_of(runs[kind])["seconds"]
            shown = f"{found.shown()} s; at most the {theirs.shown()} s of {NAMES[kind]}"
            report.demand(f"{name}_vs_{kind}", shown, found.median <= theirs.median)
        if size_bytes == options.paced_sizes[-1]:
            shown = f"{found.shown()} s; {MAX_PACED * leg:.2f} allowed ({MAX_PACED} × {leg:.2f})"
            report.demand(name, shown, found.median <= MAX_PACED * leg)


def unpaced(report: Report, screen: Console, options: argparse.Namespace) -> None:
    """As fast as the machine can, beside the peers.

    :param report: receives the figures.
    :param screen: where to print.
    :param options: of the command line.
    """
    absent = missing() if options.peers else {}
    with stage(options.size) as at:
        runs = interleaved([*OURS, *options.peers], at, options.runs)
    show(screen, f"{options.size // MIB} MiB, unpaced", runs)
    figures = {kind: figures_of(each) for kind, each in runs.items()}
    report.figures["unpaced"] = {name: figure.as_json() for name, figure in figures["ours"].items()}
    price_of_check(report, "unpaced", runs, MAX_CHECKED)
    for kind in [*options.peers, *absent]:
        goal, limit = f"unpaced_vs_{kind}", MAX_RATIOS.get(kind)
        if kind in absent and limit is not None:
            report.demand(goal, f"not measured: {absent[kind]}", False)
        if kind in absent:
            continue
        report.peers[kind] = {name: figure.as_json() for name, figure in figures[kind].items()}
        # Runs that followed each other are compared: what else the machine did meanwhile hit both.
        pairs = zip(runs["ours"], runs[kind], strict=True)
        ratio = Figure(tuple(mine["seconds"] / theirs["seconds"] for mine, theirs in pairs))
        report.ratios[goal] = ratio.median
        if limit is not None:
            report.demand(goal, f"{ratio.shown()} of {NAMES[kind]}; at most {limit}", ratio.median <= limit)
        cpu = figures["ours"]["cpu_seconds_per_gib"].median / figures[kind]["cpu_seconds_per_gib"].median
        report.ratios[f"cpu_vs_{kind}"] = cpu
        if kind == "curl_ranges":
            report.demand(f"cpu_vs_{kind}", f"{cpu:.2f} of {NAMES[kind]}; at most 1", cpu <= 1)


def price_of_check(report: Report, name: str, runs: dict[str, list[dict[str, float]]], most: float) -> None:
    """Compare the transfers with the check of the content with those without it that went before each of them.

    :param report: receives the figures.
    :param name: what was measured.
    :param runs: of both.
    :param most: allowed ratio.
    """
    report.figures[f"{name}_checked"] = {
        key: figure.as_json() for key, figure in figures_of(runs["ours_checked"]).items()
    }
    pairs = zip(runs["ours_checked"], runs["ours"], strict=True)
    ratio = Figure(tuple(checked["seconds"] / plain["seconds"] for checked, plain in pairs))
    report.ratios[f"{name}_checked_vs_unchecked"] = ratio.median
    report.demand(f"{name}_check", f"{ratio.shown()} of the time without it; at most {most}", ratio.median <= most)


def check_alone(report: Report, screen: Console, options: argparse.Namespace) -> None:
    """How fast the check itself is, in one thread: the emulator stores its large file, and Dynamics 365 deflates.

    :param report: receives the figures.
    :param screen: where to print.
    :param options: of the command line.
    """
    table = Table("content", "MB/s of the package", "MB/s unpacked", title="The check alone, one thread")
    for (name, content, method), library in itertools.product(contents(), dict.fromkeys((INFLATING, zlib))):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", method) as file:
            file.writestr("Workers.csv", content)
            info = file.infolist()[0]
        packed = memoryview(archive.getvalue())
        entry = PackageEntry(
            info.filename,
            info.file_size,
            info.compress_size,
            header_offset=info.header_offset,
            method=info.compress_type,
            crc32=info.CRC,
        )
        took = []
        for _ in range(options.runs):
            check, began = PackageCheck([entry], library=library), time.perf_counter()
            for start in range(0, len(packed), CHUNK_BYTES):
                check.feed(start, packed[start : start + CHUNK_BYTES])
            check.finish()
            took.append(time.perf_counter() - began)
        speed, ratio = len(packed) / 1e6 / Figure(tuple(took)).median, len(content) / len(packed)
        by = library.__name__.rpartition(".")[2]
        report.figures[f"check_{name.replace(' ', '_')}_{by}"] = {"mb_per_second": round(speed, 1)}
        table.add_row(f"{name}, 1:{ratio:.0f}, {by}", f"{speed:.0f}", f"{speed * ratio:.0f}")
    screen.print(table)


def contents() -> Iterator[tuple[str, bytes, int]]:
    """What a package may hold: a name, the bytes, and how the zip packs them."""
    random = os.urandom(32 * MIB)
    yield "stored", random, zipfile.ZIP_STORED
    rows = (b"%d;Worker %d;USMF;2026-01-01;%d\r\n" % (n, n, n * 7919 % 100_003) for n in range(700_000))
    yield "deflated csv", b"".join(rows), zipfile.ZIP_DEFLATED
    tags = (
        b"<HCMWORKERENTITY><PERSONNELNUMBER>%d</PERSONNELNUMBER><NAME>Worker %d</NAME><BIRTHDATE>19%02d-01-01T00:00:00"
        b"</BIRTHDATE><STATUS>Employed</STATUS></HCMWORKERENTITY>\n" % (n, n * 7919 % 100_003, n * 31 % 100)
        for n in range(300_000)
    )
    yield "deflated xml", b"".join(tags), zipfile.ZIP_DEFLATED
    yield "deflated xlsx", random, zipfile.ZIP_DEFLATED


def memory(report: Report, screen: Console, options: argparse.Namespace) -> None:
    """The same memory for a small and for a large package.

    :param report: receives the figures.
    :param screen: where to print.
    :param options: of the command line.
    """
    added: dict[int, float] = {}
    table = Table("size", "after import, MiB", "added, MiB", "s", title="Memory of this project's process")
    for size_bytes in options.memory_sizes:
        say(f"{size_bytes // MIB} MiB: memory …")
        with stage(size_bytes) as at:
            found = run("ours", at, f"{EXECUTION_ID}.zip")
        added[size_bytes] = found["added_mib"]
        report.figures[f"memory_{size_bytes // MIB}_mib"] = {name: round(value, 3) for name, value in found.items()}
        cells = (found["baseline_mib"], found["added_mib"], found["seconds"])
        table.add_row(f"{size_bytes // MIB} MiB", *(f"{cell:.1f}" for cell in cells))
    screen.print(table)
    most, growth = max(added.values()), max(added.values()) - min(added.values())
    report.demand("memory", f"{most:.1f} MiB more than after import; at most {MAX_ADDED_MIB:g}", most <= MAX_ADDED_MIB)
    report.demand(
        "constant memory",
        f"{growth:.1f} MiB between {' and '.join(str(size // MIB) for size in added)} MiB; at most {MAX_GROWTH_MIB:g}",
        growth <= MAX_GROWTH_MIB,
    )


def at_once(report: Report, screen: Console, options: argparse.Namespace) -> None:
    """Several packages at once in one process, beside one of as many bytes.

    :param report: receives the figures.
    :param screen: where to print.
    :param options: of the command line.
    """
    runs: dict[str, list[dict[str, float]]] = {f"{packages}": [] for packages in AT_ONCE}
    with ExitStack() as opened:
        stages = {each: opened.enter_context(stage(options.size // each)) for each in AT_ONCE}
        for number, packages in itertools.product(range(options.runs), AT_ONCE):
            say(f"{packages} × {options.size // packages // MIB} MiB at once, run {number + 1} of {options.runs} …")
            runs[f"{packages}"].append(run_at_once(packages, stages[packages], f"at-once-{number}.zip"))
    table = Table(
        "packages at once", "MB/s", "added MiB", "CPU s/GiB", title=f"{options.size // MIB} MiB in one process"
    )
    for kind, each in runs.items():
        figures = figures_of(each)
        report.figures[f"at_once_{kind}"] = {name: figure.as_json() for name, figure in figures.items()}
        names = (("mb_per_second", 0), ("added_mib", 1), ("cpu_seconds_per_gib", 2))
        table.add_row(kind, *(figures[name].shown(digits) for name, digits in names))
    screen.print(table)
    one, most = (runs[f"{packages}"] for packages in (AT_ONCE[0], AT_ONCE[-1]))
    ratio = Figure(tuple(b["mb_per_second"] / a["mb_per_second"] for a, b in zip(one, most, strict=True)))
    report.ratios["at_once_throughput"] = ratio.median
    shown = f"{ratio.shown()} of one; at least {MIN_AT_ONCE}"
    report.demand(f"throughput of {AT_ONCE[-1]} at once", shown, ratio.median >= MIN_AT_ONCE)
    added = Figure(tuple(b["added_mib"] / a["added_mib"] / AT_ONCE[-1] for a, b in zip(one, most, strict=True)))
    shown = f"{added.shown()} of {AT_ONCE[-1]} × that of one; at most 1"
    report.demand(f"memory of {AT_ONCE[-1]} at once", shown, added.median <= 1)


def run_at_once(packages: int, at: Stage, name: str) -> dict[str, float]:
    """Let one process transfer several packages, and look at the files.

    :param packages: how many.
    :param at: where.
    :param name: of the first file, a new one.
    :raises ContenderError: a file is not what it must be.
    """
    usage = python_process("ours", packages=packages)(at, name)
    found = json.loads(usage.output)
    for each in names_of(name, packages):
        item = at.graph("GET", f"root:/{each}")
        if item["size"] != at.size_bytes:
            raise ContenderError(f"{each} has {item['size']} bytes, and it should have {at.size_bytes}")
    gib = packages * at.size_bytes / GIB
    return {
        "mb_per_second": packages * at.size_bytes / 1e6 / found["seconds"],
        "cpu_seconds_per_gib": usage.cpu_seconds / gib,
        "added_mib": found["added_mib"],
        "seconds": found["seconds"],
        "load_average": os.getloadavg()[0],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 0 whether or not the goals are met.

    :param arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mib", type=int, default=1024, help="size of the unpaced package (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each (default: %(default)s)")
    parser.add_argument(
        "--only", choices=["paced", "unpaced", "memory", "check_alone", "at_once"], help="measure one part only"
    )
    parser.add_argument("--without-peers", action="store_true", help="measure this project only")
    parser.add_argument("--quick", action="store_true", help="small and short, one run each")
    options = parser.parse_args(arguments)
    options.paced_sizes, options.memory_sizes = [256 * MIB, GIB], [256 * MIB, 4 * GIB]
    if options.quick:
        options.size_mib, options.runs = 256, 1
        options.paced_sizes, options.memory_sizes = [256 * MIB], [128 * MIB, GIB]
    options.size = options.size_mib * MIB
    absent = missing()
    options.peers = [kind for kind in CONTENDERS if kind not in {*OURS, *absent} and not options.without_peers]
    report, screen = Report("transfer"), console()
    for part in (check_alone, unpaced, paced, memory, at_once):
        if options.only in {None, part.__name__}:
            part(report, screen, options)
    report.conditions |= {"runs": options.runs, "size_mib": options.size_mib, "chunk_bytes": CHUNK_BYTES}
    report.print(screen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
