"""The command line: `python -m local_stack demo|up|down|status|connections`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from types import FrameType

from .airflow_env import ADMIN, write_private
from .connections import load_connections
from .demo import run_demo
from .processes import StackError
from .rest import ApiError
from .stack import DAG_ID, PROJECT, LocalStack, StackOptions, attach, stop_detached

UP = "up"


def up() -> int:
    """Start a stack that stays, unless it runs already; print where it is."""
    stack = attach(UP)
    if stack is None:
        stack = LocalStack(StackOptions(name=UP, keep_state=True, detached=True, scheduled=True))
        stack.start(lambda what: print(f"  {what} …", flush=True))
        stack.wait_for_dag()
        stack.airflow.unpause(DAG_ID)
    else:
        print("It runs already.")
    print(f"Airflow   {stack.site.base_url}   user {ADMIN}   password {stack.site.keys.admin_password}")
    print(f"Emulator  {stack.emulator.facts['admin_url']}   saved files in {stack.emulator.facts['user_drive_dir']}")
    print(f"Shell     . {stack.directory / 'airflow.env'}   makes the airflow command speak to it")
    print("Stop it with: make down")
    return 0


def down(quiet: bool) -> int:
    """Stop the stack that `up` started.

    :param quiet: say nothing.
    """
    stopped = stop_detached(UP)
    if not quiet:
        print("Stopped." if stopped else "Nothing was running.")
    return 0


def status() -> int:
    """Say whether the stack of `up` runs; exit status 0 if so, 3 if not, as service scripts have it."""
    stack = attach(UP)
    if stack is None:
        print("Not running. Start it with: make up")
        return 3
    print(f"Airflow {stack.site.base_url}")
    for component, state in stack.airflow.health().items():
        print(f"  {component:14} {state}")
    return 0


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


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status.

    :param arguments: of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m local_stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="run one export, show it, stop everything")
    demo.add_argument("--export-seconds", type=float, default=10.0, help="how long the export takes (default: 10)")
    demo.add_argument("--package-size", help="size of the package, such as 64MiB (default: as small as it comes)")
    commands.add_parser("up", help="start emulator and Airflow and leave them running")
    commands.add_parser("down", help="stop what up started").add_argument("--quiet", action="store_true")
    commands.add_parser("status", help="say whether it runs")
    connections = commands.add_parser("connections", help="write the connections of an emulator that runs elsewhere")
    connections.add_argument("--ready-file", type=Path, required=True)
    connections.add_argument("--output", type=Path, required=True)
    connections.add_argument("--template", type=Path, default=PROJECT / "include" / "connections" / "demo.json")
    options = parser.parse_args(arguments)

    # A terminal that closes and `kill` have to end as tidily as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        match options.command:
            case "demo":
                return run_demo(
                    StackOptions(name="demo", export_seconds=options.export_seconds, package_size=options.package_size)
                )
            case "up":
                return up()
            case "down":
                return down(options.quiet)
            case "status":
                return status()
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
