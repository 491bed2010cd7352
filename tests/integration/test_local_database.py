"""The local stack's databases: a PostgreSQL of its own, one that is named, and SQLite with its limit said."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text

from local_stack.database import ADDRESS_VARIABLE, PostgresServer, forget, named_by_address, server_programs, sqlite
from local_stack.processes import StackError

PROGRAMS = server_programs()
needs_a_server = pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL is not installed: apt-get install postgresql")


def server(folder: Path, password: str, *, lasting: bool = False) -> PostgresServer:
    assert PROGRAMS is not None
    return PostgresServer(PROGRAMS, folder, password, lasting=lasting)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("stack") / "postgres"
    yield folder
    forget(folder)


@pytest.fixture(scope="module")
def password() -> str:
    return "with / and @ " + secrets.token_urlsafe(8)


@pytest.fixture(scope="module")
def address(folder: Path, password: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    running = server(folder, password)
    process = running.start(tmp_path_factory.mktemp("log") / "postgres.log", detached=False)
    yield running.database.url
    process.stop()


@needs_a_server
class TestTheServer:
    def test_it_answers_under_the_address_that_airflow_gets(self, address: str) -> None:
        with create_engine(address).connect() as connection:
            assert connection.execute(text("SELECT current_user, version()")).one()[0] == "airflow"

    def test_nobody_gets_in_without_the_password(self, address: str) -> None:
        port = int(address.rpartition(":")[2].partition("/")[0])
        for wrong in ("", "guessed"):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(host="127.0.0.1", port=port, user="airflow", dbname="postgres", password=wrong)

    def test_its_data_lasts_if_it_is_to_last(self, tmp_path: Path, password: str) -> None:
        folder = tmp_path / "lasting"
        try:
            for statement in ("CREATE TABLE kept (x int)", "SELECT x FROM kept"):
                running = server(folder, password, lasting=True)
                process = running.start(tmp_path / "postgres.log", detached=False)
                try:
                    with create_engine(running.database.url).begin() as connection:
                        connection.execute(text(statement))
                finally:
                    process.stop()
        finally:
            forget(folder)
        assert not folder.exists()


def plain(address: str) -> str:
    return address.replace("+psycopg2", "")


@needs_a_server
class TestAnAddress:
    def test_an_empty_database_is_taken_and_later_known_again(self, address: str) -> None:
        with create_engine(address, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("CREATE DATABASE empty"))
        named = plain(address).replace("/postgres", "/empty")
        assert named_by_address(named).limit == ""
        with create_engine(named.replace("postgresql:", "postgresql+psycopg2:")).begin() as connection:
            connection.execute(text("CREATE TABLE connection (conn_id text)"))
        assert named_by_address(named).url == named.replace("postgresql:", "postgresql+psycopg2:")

    def test_the_database_of_a_real_airflow_is_refused(self, address: str, password: str) -> None:
        with create_engine(address, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("CREATE DATABASE theirs"))
        named = plain(address).replace("/postgres", "/theirs")
        with create_engine(named.replace("postgresql:", "postgresql+psycopg2:")).begin() as connection:
            connection.execute(text("CREATE TABLE connection (conn_id text)"))
        with pytest.raises(StackError, match="Name an empty database") as caught:
            named_by_address(named)
        assert password not in str(caught.value)

    def test_one_that_does_not_answer(self) -> None:
        with pytest.raises(StackError, match=f"127.0.0.1/x cannot be used: correct {ADDRESS_VARIABLE}") as caught:
            named_by_address("postgresql://me:hidden@127.0.0.1:1/x")
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("address", ["mysql://u:p@h/d", "postgresql://u:p@h", "localhost", "/var/lib/db"])
def test_an_address_of_another_form(address: str) -> None:
    with pytest.raises(StackError, match="must be of the form postgresql://"):
        named_by_address(address)


def test_the_limit_of_sqlite_is_said(tmp_path: Path) -> None:
    assert "backfill" in sqlite(tmp_path / "x.db").limit


def test_a_machine_without_a_server(tmp_path: Path) -> None:
    (tmp_path / "initdb").touch()
    assert server_programs([tmp_path, tmp_path / "none"]) is None
    (tmp_path / "postgres").touch()
    assert server_programs([tmp_path]) == tmp_path


def test_an_address_is_no_part_of_what_is_shown(tmp_path: Path) -> None:
    assert "secret" not in repr(sqlite(tmp_path / "secret.db"))
