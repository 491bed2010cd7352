"""The command line: what can be chosen, and what is printed."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dmf_emulator.admin.scenario import Scenario
from dmf_emulator.emulator import Emulator
from dmf_emulator.faults import CATALOGUE
from dmf_emulator.http.message import is_whole_number
from dmf_emulator.settings import MOST_ROWS, ORIGINS, EmulatorError, Pace, Settings, parse_size_bytes
from dmf_emulator.version import VERSION


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise EmulatorError(f"{message}; see --help")


# In the order of the origins: the same at each start, so that other programs can be configured once.
FIXED_PORTS = dict(zip(ORIGINS, range(7440, 7440 + len(ORIGINS)), strict=True))


def _parser(program: str, *, fixed_ports: bool) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        description="Stand-in for Entra ID, Dynamics 365 data management, Azure Blob, Graph and SharePoint.",
        epilog="A flag that is given beats the scenario, which beats the defaults.",
    )
    parser.add_argument("--version", action="version", version=f"dmf-emulator {VERSION}")
    parser.add_argument("--scenario", type=Path, help="YAML file with settings, data projects, clock and faults")
    parser.add_argument("--list-faults", action="store_true", help="show all faults and exit")
    _add_places(parser, fixed_ports=fixed_ports)
    # What is not given is None: only what is given beats the scenario.
    parser.add_argument(
        "--export-seconds", type=_seconds, metavar="SECONDS",
        help="time from the export call to the link (default: 10)",
    )  # fmt: skip
    parser.add_argument("--package-size", metavar="SIZE", help="size of each package, such as 64KiB or 2GB")
    parser.add_argument("--rows", type=int, help="rows of company USMF (default: 100)")
    parser.add_argument("--seed", type=int, help="makes ids, data and faults repeatable (default: 1)")
    parser.add_argument(
        "--pace", action="append", metavar="ORIGIN=PACE",
        help="pace of an origin, such as blob=50MB/s or graph=50MB/s,20ms,buffer=64KiB; may be repeated",
    )  # fmt: skip
    parser.add_argument("--discard-uploads", action="store_true", help="keep size and hash of saved files only")
    return parser


def _add_places(parser: argparse.ArgumentParser, *, fixed_ports: bool) -> None:
    parser.add_argument(
        "--data-dir", type=Path,
        help="where saved files, the certificate authority and the state are kept between starts (default: a temporary "
        "folder, removed at the end)",
    )  # fmt: skip
    parser.add_argument(
        "--ready-file", type=Path, help="JSON file with all addresses, written when all listeners accept"
    )
    parser.add_argument("--host", help="address to bind (default: 127.0.0.1)")
    parser.add_argument("--public-host", help="host name that clients use, when it is another one")
    parser.add_argument(
        "--host-names", metavar="SUFFIX|addresses",
        help="one host name per origin, such as graph.SUFFIX, or addresses: an address of 127.0.0.0/8 for each",
    )  # fmt: skip
    for origin in ORIGINS:
        default = FIXED_PORTS[origin] if fixed_ports else 0
        parser.add_argument(
            f"--{origin}-port", type=_port, default=default, metavar="PORT",
            help=f"port of {origin} (default: {default or 'a free one'}; 0: a free one)",
        )  # fmt: skip
    parser.add_argument("--cert", type=Path, help="PEM file of a server certificate to use, with --key")
    parser.add_argument("--key", type=Path, help="PEM file of its private key")
    parser.add_argument("--admin-token", help="what the admin API asks for (default: nothing on this machine)")
    parser.add_argument("--no-tls", action="store_true", help="plain http, for benchmarks only")


def main(
    arguments: Sequence[str] | None = None, *, program: str = "python -m dmf_emulator", fixed_ports: bool = False
) -> int:
    """Run the emulator until SIGTERM or SIGINT.

    :param arguments: command line without the program; `sys.argv` when omitted.
    :param program: how it was called.
    :param fixed_ports: whether the ports are the same at each start unless they are chosen.
    :returns: 0 after a clean stop, 2 when it cannot start.
    """
    try:
        options = _parser(program, fixed_ports=fixed_ports).parse_args(arguments)
        if options.list_faults:
            _list_faults()
            return 0
        scenario = Scenario() if options.scenario is None else Scenario.read(options.scenario)
        settings = _settings(options, scenario)
        emulator = Emulator(settings, replace(scenario, settings={}))
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        if options.ready_file is not None:
            _forget_ready_file(options.ready_file)
        with emulator:
            if options.ready_file is not None:
                _write_ready_file(options.ready_file, emulator)
            _announce(emulator)
            stop.wait()
    except EmulatorError as error:
        print(f"{program.rpartition(' ')[2].replace('-', '_')}: {error}", file=sys.stderr)
        return 2
    return 0


def _settings(options: argparse.Namespace, scenario: Scenario) -> Settings:
    given: dict[str, Any] = {
        "data_dir": options.data_dir,
        "host": options.host,
        "public_host": options.public_host,
        "host_names": options.host_names,
        "certificate": options.cert,
        "certificate_key": options.key,
        "admin_token": options.admin_token,
        "seed": options.seed,
        "rows": options.rows,
        "package_size_bytes": None if options.package_size is None else parse_size_bytes(options.package_size),
        "pacing": None if options.pace is None else dict(_pace(text) for text in options.pace),
        "tls": False if options.no_tls else None,
        "discard_uploads": True if options.discard_uploads else None,
    }
    ports = {origin: getattr(options, f"{origin}_port") for origin in ORIGINS}
    if options.rows is not None and not 0 <= options.rows <= MOST_ROWS:
        raise EmulatorError(f"--rows is {options.rows}: choose 0 to {MOST_ROWS}")
    settings = Settings(ports=ports).with_export_seconds(10).changed(scenario.settings)
    settings = replace(settings, **{name: value for name, value in given.items() if value is not None})
    return settings if options.export_seconds is None else settings.with_export_seconds(options.export_seconds)


def _pace(text: str) -> tuple[str, Pace]:
    origin, equals, pace = text.partition("=")
    if not equals:
        raise EmulatorError(f"{text!r} is no pace: write ORIGIN=PACE, such as blob=50MB/s")
    return origin, Pace.parse(pace)


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


def _forget_ready_file(path: Path) -> None:
    """Remove what an earlier start has left: whoever waits for the file waits for this start."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise EmulatorError(f"cannot write the ready file {path}: {error.strerror}") from error


def _write_ready_file(path: Path, emulator: Emulator) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # The admin token is in it.
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if emulator.admin_token else 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(emulator.connection_info(), indent=2) + "\n")
        os.replace(partial, path)
    except OSError as error:
        raise EmulatorError(f"cannot write the ready file {path}: {error.strerror}") from error


def _announce(emulator: Emulator) -> None:
    lines = ["DMF emulator is ready"]
    lines += [f"  {origin:<11}{url}" for origin, url in emulator.state.urls.items()]
    lines += [f"  {'CA':<11}{emulator.ca_file}", f"  {'drives':<11}{emulator.data_dir / 'drive'}"]
    if emulator.admin_token:
        lines += [f"  {'admin':<11}{emulator.admin_url}/?token={emulator.admin_token}"]
    if emulator.listens_to_others:
        lines += [
            "  Warning: other machines can reach it. It is a fake with known passwords: no real data belongs here."
        ]
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
