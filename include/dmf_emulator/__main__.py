"""`python -m dmf_emulator`: run the emulator until it is told to stop."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from dmf_emulator.admin.scenario import Scenario
from dmf_emulator.emulator import Emulator
from dmf_emulator.faults import CATALOGUE
from dmf_emulator.http.message import is_whole_number
from dmf_emulator.settings import ORIGINS, EmulatorError, Pace, Settings, parse_size_bytes


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise EmulatorError(f"{message}; see --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m dmf_emulator",
        description="Stand-in for Entra ID, Dynamics 365 data management, Azure Blob, Graph and SharePoint.",
    )
    parser.add_argument("--data-dir", type=Path, help="where saved files and ca.pem go (default: a temporary folder)")
    parser.add_argument(
        "--ready-file", type=Path, help="JSON file with all addresses, written when all listeners accept"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    parser.add_argument("--public-host", help="host name that clients use, when it is another one")
    parser.add_argument(
        "--host-names", default="", metavar="SUFFIX|addresses",
        help="one host name per origin, such as graph.SUFFIX, or addresses: an address of 127.0.0.0/8 for each",
    )  # fmt: skip
    for origin in ORIGINS:
        parser.add_argument(
            f"--{origin}-port", type=_port, default=0, metavar="PORT", help=f"port of {origin} (default: a free one)"
        )
    parser.add_argument(
        "--export-seconds", type=_seconds, default=10.0, metavar="SECONDS",
        help="time from the export call to the link (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--package-size", metavar="SIZE", help="size of each package, such as 64KiB or 2GB")
    parser.add_argument("--rows", type=int, default=100, help="rows of company USMF (default: %(default)s)")
    parser.add_argument("--scenario", type=Path, help="YAML file with settings, clock and faults")
    parser.add_argument(
        "--seed", type=int, default=1, help="makes ids, data and faults repeatable (default: %(default)s)"
    )
    parser.add_argument(
        "--pace", action="append", default=[], metavar="ORIGIN=PACE",
        help="pace of an origin, such as blob=50MB/s or graph=50MB/s,20ms,buffer=64KiB; may be repeated",
    )  # fmt: skip
    parser.add_argument("--discard-uploads", action="store_true", help="keep size and hash of saved files only")
    parser.add_argument("--no-tls", action="store_true", help="plain http, for benchmarks only")
    parser.add_argument("--list-faults", action="store_true", help="show all faults and exit")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the emulator until SIGTERM or SIGINT.

    :param arguments: command line without the program; `sys.argv` when omitted.
    :returns: 0 after a clean stop, 2 when it cannot start.
    """
    try:
        options = _parser().parse_args(arguments)
        if options.list_faults:
            _list_faults()
            return 0
        settings = _settings(options)
        scenario = None if options.scenario is None else Scenario.read(options.scenario)
        emulator = Emulator(settings, scenario)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        with emulator:
            if options.ready_file is not None:
                _write_ready_file(options.ready_file, emulator)
            _announce(emulator)
            stop.wait()
    except EmulatorError as error:
        print(f"dmf_emulator: {error}", file=sys.stderr)
        return 2
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    pacing: dict[str, Pace] = {}
    for text in options.pace:
        origin, equals, pace = text.partition("=")
        if not equals:
            raise EmulatorError(f"{text!r} is no pace: write ORIGIN=PACE, such as blob=50MB/s")
        pacing[origin] = Pace.parse(pace)
    size_bytes = None if options.package_size is None else parse_size_bytes(options.package_size)
    if not 0 <= options.rows <= 1_000_000:
        raise EmulatorError(f"--rows is {options.rows}: choose 0 to 1000000")
    settings = Settings(
        data_dir=options.data_dir,
        host=options.host,
        public_host=options.public_host,
        host_names=options.host_names,
        ports={origin: getattr(options, f"{origin}_port") for origin in ORIGINS},
        tls=not options.no_tls,
        seed=options.seed,
        discard_uploads=options.discard_uploads,
        package_size_bytes=size_bytes,
        rows=options.rows,
        pacing=pacing,
    )
    return settings.with_export_seconds(options.export_seconds)


def _port(text: str) -> int:
    if not is_whole_number(text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: choose 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from error
    if not 0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0")
    return seconds


def _write_ready_file(path: Path, emulator: Emulator) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(emulator.connection_info(), indent=2) + "\n", encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise EmulatorError(f"cannot write the ready file {path}: {error.strerror}") from error


def _announce(emulator: Emulator) -> None:
    lines = ["DMF emulator is ready"]
    lines += [f"  {origin:<11}{url}" for origin, url in emulator.state.urls.items()]
    lines += [f"  {'CA':<11}{emulator.ca_file}", f"  {'drives':<11}{emulator.data_dir / 'drive'}"]
    _print(lines)


def _list_faults() -> None:
    lines = []
    for fault in CATALOGUE:
        lines.append(f"{fault.name:<10} {fault.alias:<28} {fault.summary}")
        for name, mode in fault.modes.items():
            parameters = ", ".join(mode.parameters) or "no parameters"
            lines.append(f"{'':<10} {'':<28}   mode {name}: {parameters}")
    _print(lines)


def _print(lines: Sequence[str]) -> None:
    """Print to a reader that may have left, as `| head` does; the emulator itself goes on."""
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
