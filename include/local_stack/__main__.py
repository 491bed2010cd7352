"""The command line: `python -m local_stack demo|up|down|status|connections`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import textwrap
from pathlib import Path
from types import FrameType

from .airflow_env import ADMIN, write_private
from .connections import load_connections
from .database import ADDRESS_VARIABLE, forget
from .demo import run_demo
from .processes import StackError
from .rest import ApiError
from .stack import DAG_ID, PROJECT, LocalStack, StackOptions, attach, process_states, stop_detached

UP = "up"


def up(name: str = UP) -> int:
    """Start a stack that stays, unless it runs already; print where it is.

    :param name: of its folder below `.local`.
    """
    stack = attach(name)
    if stack is None:
        for state in process_states(name):
            if not state.running:
                print(f"Everything is started again, because {state.name} {state.trouble}")
        stack = LocalStack(
            StackOptions(
                name=name,
                keep_state=True,
                detached=True,
                scheduled=True,
                database=os.environ.get(ADDRESS_VARIABLE, ""),
                restarts=1,
            )
        )
        stack.start(lambda what: print(f"  {what} …", flush=True))
        stack.wait_for_dag()
        stack.airflow.unpause(DAG_ID)
    else:
        print("It runs already.")
    print(f"Airflow   {stack.site.base_url}   user {ADMIN}   password {stack.site.keys.admin_password}")
    print(f"Emulator  {stack.emulator.facts['admin_url']}   saved files in {stack.emulator.facts['user_drive_dir']}")
    print(f"Shell     . {stack.directory / 'airflow.env'}   makes the airflow command speak to it")
    database = stack.site.database
    if database is not None:
        print(f"Database  {database.limit or database.words}")
    print("Stop it with: make down")
    return 0


def down(quiet: bool, everything: bool = False, name: str = UP) -> int:
    """Stop the stack that `up` started.

    :param quiet: say nothing.
    :param everything: delete the databases of all stacks too, wherever they lie.
    :param name: of its folder below `.local`.
    """
    stopped = stop_detached(name)
    if everything:
        for kept in (PROJECT / ".local").glob("*.*"):
            if kept.suffix in {".postgres", ".elsewhere"}:
                forget(kept.with_suffix(".postgres"))
    if not quiet:
        print("Stopped." if stopped else "Nothing was running.")
    return 0


def status(name: str = UP) -> int:
    """Say what runs; exit status 0 if all is well, 4 if something is not, 3 (as of service scripts) if nothing runs.

    :param name: of the stack's folder below `.local`.
    """
    states = process_states(name)
    if not any(state.running for state in states):
        print("Not running. Start it with: make up")
        return 3
    for state in states:
        again = f", started again {state.restarts} time(s)" if state.restarts else ""
        print(f"  {state.name:24} {'runs' if state.running else 'DEAD'}{again}")
        if state.trouble:
            print(textwrap.indent(f"It {state.trouble}", "    "))
    stack = attach(name)
    if stack is None:
        print("Something is dead. Start everything again with: make up")
        return 4
    health = stack.airflow.health() or {"api_server": "does not answer"}
    ill = {name: state for name, state in health.items() if state != "healthy"}
    print(f"Airflow {stack.site.base_url} " + (f"is not healthy: {ill}" if ill else "is healthy"))
    return 4 if ill else 0


def write_connections(ready_file: Path, output: Path, template: Path) -> int:
    """Write connections for `airflow connections import`, pointing at an emulator that runs elsewhere.

    :param ready_file: what that emulator wrote when it was ready.
    :param output: where to; readable by its owner only.
    :param template: with the placeholders.
    """
    facts = json.loads(ready_file.read_text(encoding="utf-8"))
    write_private(output, json.dumps(load_connections(template, facts), indent=2))
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local_stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="run one export, show it, stop everything")
    demo.add_argument("--export-seconds", type=float, default=10.0, help="how long the export takes (default: 10)")
    demo.add_argument("--package-size", help="size of the package, such as 64MiB (default: as small as it comes)")
    up_parser = commands.add_parser("up", help="start emulator and Airflow and leave them running")
    down_parser = commands.add_parser("down", help="stop what up started")
    down_parser.add_argument("--quiet", action="store_true", help="say nothing")
    down_parser.add_argument("--delete", action="store_true", help="delete the databases too")
    status_parser = commands.add_parser("status", help="say whether it runs")
    for each in (up_parser, down_parser, status_parser):
        each.add_argument("--name", default=UP, help="folder below .local; a name for each stack (default: up)")
    connections = commands.add_parser("connections", help="write the connections of an emulator that runs elsewhere")
    connections.add_argument("--ready-file", type=Path, required=True)
    connections.add_argument("--output", type=Path, required=True)
    connections.add_argument("--template", type=Path, default=PROJECT / "include" / "connections" / "demo.json")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status.

    :param arguments: of the command line.
    """
    options = _parser().parse_args(arguments)

    # A terminal that closes and `kill` have to end as tidily as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        match options.command:
            case "demo":
                return run_demo(
                    StackOptions(
                        name="demo",
                        export_seconds=options.export_seconds,
                        package_size=options.package_size,
                        restarts=1,
                    )
                )
            case "up":
                return up(options.name)
            case "down":
                return down(options.quiet, options.delete, options.name)
            case "status":
                return status(options.name)
            case _:
                return write_connections(options.ready_file, options.output, options.template)
    except KeyboardInterrupt:
        print("Interrupted; everything that was started is stopped.", file=sys.stderr)
        return 130
    except (StackError, ApiError, TimeoutError, OSError) as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
