"""Which environment and which drive a command talks to: an Airflow connection, or the options of the command.

Options make a connection of this process alone. A secret is never an option, because every user of a machine can read
the arguments of its processes: it is taken from an environment variable, or asked for.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys

from talent_dmf.api.errors import ConfigurationError

SECRET_VARIABLE = "TALENT_DMF_CLIENT_SECRET"  # noqa: S105 - the name of a variable
_OWN_ID = "talent_dmf_command_line"


def add_connection_options(parser: argparse.ArgumentParser) -> None:
    """Let a command take an environment.

    :param parser: the command's.
    """
    group = parser.add_argument_group("environment")
    group.add_argument(
        "--conn-id", default="talent_dmf_default", help="Airflow connection (default: talent_dmf_default)"
    )
    group.add_argument("--environment", metavar="URL", help="instead of a connection: the environment's address")
    group.add_argument("--tenant", help="Microsoft Entra tenant, as GUID or domain name")
    group.add_argument("--client-id", help=f"application (client) id; its secret is read from ${SECRET_VARIABLE}")
    group.add_argument("--authority", help="only for national clouds, AD FS or an emulator")
    group.add_argument("--verify", metavar="FILE", help="CA bundle (PEM), if the environment's is not a public one")


def connection_id(options: argparse.Namespace) -> str:
    """The connection that a command is to use, which the options may just have made.

    :param options: as parsed.
    :raises ConfigurationError: the options do not suffice, or there is no such connection.
    """
    if not options.environment:
        make_known(options.conn_id)
        return str(options.conn_id)
    absent = [f"--{name.replace('_', '-')}" for name in ("tenant", "client_id") if not getattr(options, name)]
    if absent:
        raise ConfigurationError(f"--environment needs {' and '.join(absent)} as well.")
    secret = os.environ.get(SECRET_VARIABLE) or _ask_secret(options.client_id)
    extra = {"tenant_id": options.tenant, "authority": options.authority, "verify": options.verify}
    connection = {
        "conn_type": "talent_dmf",
        "host": options.environment,
        "login": options.client_id,
        "password": secret,
        "extra": {name: value for name, value in extra.items() if value},
    }
    os.environ[f"AIRFLOW_CONN_{_OWN_ID.upper()}"] = json.dumps(connection)
    return _OWN_ID


def _ask_secret(client_id: str) -> str:
    if not sys.stdin.isatty():
        raise ConfigurationError(f"The client secret is missing: set the environment variable {SECRET_VARIABLE}.")
    return getpass.getpass(f"Client secret of application {client_id}: ")


def make_known(conn_id: str) -> None:
    """Make a connection of Airflow's database known to this process: outside of a task, Airflow's SDK looks in
    environment variables and secrets backends only.

    :param conn_id: its id.
    """
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    if variable in os.environ:
        return
    from airflow.models.connection import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        stored = Connection.get_connection_from_secrets(conn_id)
    except AirflowNotFoundException:
        return
    except SQLAlchemyError as error:
        raise ConfigurationError(
            f"Airflow's database cannot be asked for the connection {conn_id!r} ({type(error).__name__}). Run "
            f"`airflow db migrate`, set {variable}, or name the environment with --environment."
        ) from None
    os.environ[variable] = stored.as_json()
