"""``talent-dmf``: its commands and their options.

Exit status: 0 done, 1 something is wrong (one sentence on standard error says what), 2 the call itself is wrong.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from talent_dmf import __version__
from talent_dmf.cli.connections import add_connection_options
from talent_dmf.cli.output import Output

Command = Callable[[argparse.Namespace, Output], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    :param arguments: the command line without the program's name; that of the process if ``None``.
    :returns: exit status.
    """
    options = _parser().parse_args(arguments)
    output = Output(as_json=options.json)
    from airflow.sdk.exceptions import AirflowException

    from talent_dmf.api.errors import TalentDmfError

    try:
        with _airflows_log(shown=options.verbose):
            return int(options.run(options, output))
    except (TalentDmfError, AirflowException) as error:
        output.error(str(error))
        output.result({"error": str(error)})
        return 1
    except KeyboardInterrupt:
        output.error("Interrupted. An export that was started goes on in Dynamics 365.")
        return 130


@contextmanager
def _airflows_log(*, shown: bool) -> Iterator[None]:
    """Keep what Airflow logs off standard output, which belongs to the command's result.

    :param shown: whether it is written to standard error.
    """
    import structlog

    level = logging.INFO if shown else logging.CRITICAL
    before, root = structlog.get_config(), logging.getLogger()
    handlers, root.handlers = root.handlers, [logging.StreamHandler(sys.stderr)] if shown else [logging.NullHandler()]
    structlog.configure(
        processors=[structlog.dev.ConsoleRenderer(colors=False)],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
        root.handlers = handlers


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="talent-dmf",
        description="Exports data packages of Dynamics 365 with the operators of Airflow, outside of a scheduler.",
    )
    parser.add_argument("--version", action="version", version=f"talent-dmf {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_catalogue_commands, _environment_commands, _export_commands, _migration_command):
        add(commands)
    return parser


def _command(commands: argparse._SubParsersAction, name: str, run: str, about: str) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument("--verbose", action="store_true", help="show what is being done, on standard error")
    parser.set_defaults(run=_imported_late(run))
    return parser


def _imported_late(path: str) -> Command:
    """A command's function, imported when it runs: `--help` must not wait for Airflow.

    :param path: module of this package and name of the function, as ``module:function``.
    """

    def run(options: argparse.Namespace, output: Output) -> int:
        from importlib import import_module

        module, _, name = path.partition(":")
        command: Command = getattr(import_module(f"talent_dmf.cli.{module}"), name)
        return command(options, output)

    return run


def _catalogue_commands(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    init = _command(commands, "init", "init:init", "Write a catalogue file for an export of your environment.")
    init.add_argument("--project", help="data project to export; asked for if it is not given")
    init.add_argument("--company", action="append", help="legal entity, such as USMF; may be given several times")
    init.add_argument("--folder", default="", help="folder in OneDrive (default: the root)")
    init.add_argument("--cron", help="schedule, such as '30 6 * * MON-FRI' (default: none)")
    init.add_argument("--timezone", default="UTC", help="time zone of the schedule (default: UTC)")
    init.add_argument("--output", type=Path, default=Path("include/exports"), help="folder of the catalogue")
    init.add_argument("--force", action="store_true", help="replace the file if it exists")
    add_connection_options(init)
    check = _command(commands, "check", "catalogue:check", "Check catalogue files.")
    check.add_argument("paths", nargs="*", type=Path, help="files or folders (default: include/exports)")
    check.add_argument(
        "--online", action="store_true", help="look at all that the exports need as well; nothing is exported"
    )
    check.add_argument("--conn-id", help="check against this connection instead of each file's own")
    check.add_argument("--for", dest="for_environment", metavar="NAME", help="only as this environment sees them")
    schema = _command(commands, "schema", "catalogue:schema", "Print the JSON Schema of a catalogue file, for editors.")
    schema.add_argument("--shared", action="store_true", help="of _defaults.yaml and _environments/NAME.yaml")
    pools = _command(commands, "pools", "pools:pools", "Make the pools that the exports name and Airflow lacks.")
    pools.add_argument("paths", nargs="*", type=Path, help="files or folders (default: include/exports)")
    pools.add_argument("--for", dest="for_environment", metavar="NAME", help="as this environment sees the exports")
    pools.add_argument("--slots", type=int, default=8, help="slots of a pool without pool_slots (default: 8)")
    pools.add_argument("--update", action="store_true", help="give pools that are there the slots of pool_slots")


def _environment_commands(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    test = _command(commands, "test-connection", "environment:test_connection", "Test the connections of an export.")
    test.add_argument("--drive-conn-id", help="test this connection to OneDrive as well")
    add_connection_options(test)
    projects = _command(commands, "projects", "environment:projects", "List the data projects of an environment.")
    add_connection_options(projects)


def _export_commands(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    export = _command(commands, "export", "exports:export", "Run one export now and save its package.")
    export.add_argument("project", help="name of the data project")
    export.add_argument("company", help="legal entity, such as USMF")
    export.add_argument("--to", type=Path, default=Path(), metavar="FOLDER", help="folder on this machine (default: .)")
    export.add_argument("--time-limit", default="4 h", help="longest wait for the export (default: 4 h)")
    add_connection_options(export)
    for name, run, about in (
        ("status", "exports:status", "Say how an execution stands."),
        ("explain", "exports:explain", "Say why an execution failed, entity by entity."),
    ):
        parser = _command(commands, name, run, about)
        parser.add_argument("execution", help="execution id, as the tasks log it")
        add_connection_options(parser)
    fetch = _command(commands, "fetch", "exports:fetch", "Save the package of an execution that is finished.")
    fetch.add_argument("execution", help="execution id, as the tasks log it")
    fetch.add_argument("--to", type=Path, default=Path(), metavar="FOLDER", help="folder on this machine (default: .)")
    add_connection_options(fetch)


def _migration_command(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    about = "Write catalogue files from a Logic App, a Recurring Integrations Scheduler job or a Data Factory pipeline."
    migrate = _command(commands, "migrate", "migration.command:migrate", about)
    migrate.add_argument(
        "files", nargs="+", type=Path, help="workflow or template (JSON), Schedule.xml, pipeline (JSON)"
    )
    migrate.add_argument("--parameters", type=Path, help="parameters file of an ARM template (JSON)")
    migrate.add_argument("--output", type=Path, default=Path("include/exports"), help="folder of the catalogue")
    migrate.add_argument("--force", action="store_true", help="replace files that exist")


if __name__ == "__main__":
    sys.exit(main())
