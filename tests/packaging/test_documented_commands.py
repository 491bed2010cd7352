"""Every command and setting in the documents is one: those that need no Airflow are run here, from the text itself."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.cli.cli_parser import get_parser
from airflow.configuration import retrieve_configuration_description
from airflow.sdk import Connection
from tests import documented
from tests.documented import (
    CI,
    DOCUMENT_TESTS,
    FIRST_HOUR_TESTS,
    PAGES,
    RUN_BY,
    RUN_BY_NOBODY,
    SYSTEM_TESTS,
    Block,
    blocks,
    blocks_run_by,
)
from tests.examples import REPOSITORY

COPIED = ("deploy", "Makefile", ".env.example")


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_a_shell_understands_it_and_somebody_runs_it(block: Block) -> None:
    checked = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert block.runner or not block.runnable.strip(), "say in tests/documented.py who runs it, or why nobody does"


@pytest.mark.parametrize("runner", sorted({*RUN_BY.values(), FIRST_HOUR_TESTS} - {CI}))
def test_who_is_said_to_run_commands_does(runner: str) -> None:
    name = next(name for name, value in vars(documented).items() if value is runner)
    source = (REPOSITORY / runner.partition(",")[0]).read_text(encoding="utf-8")
    assert f"blocks_run_by({name})" in source


def test_ci_runs_the_lines_that_it_is_said_to_run() -> None:
    lines = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    said = [line for block in blocks_run_by(CI) for line in block.runnable.splitlines()]
    assert said
    assert [line for line in said if line not in lines] == []


@pytest.mark.parametrize("kind", RUN_BY_NOBODY)
def test_no_reason_is_given_for_a_command_that_is_not_there(kind: str) -> None:
    assert any(f"\n{kind}" in f"\n{block.text}" for block in blocks())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_commands_stand_in_blocks_that_say_so(page: Path) -> None:
    programs = "|".join(sorted({re.escape(kind.split()[0]) for kind in (*RUN_BY, *RUN_BY_NOBODY)} - {"export"}))
    elsewhere = re.findall(r"^```(?:text|)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    indented = re.findall(r"\n\n((?: {4}.*\n)+)", page.read_text())
    assert re.findall(rf"^ *(?:\$ )?(?:{programs}) .*$", "\n".join((*elsewhere, *indented)), re.MULTILINE) == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository as far as commands need it: what they write does not get into the checkout."""
    for path in REPOSITORY.iterdir():
        if path.name in COPIED:
            (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
        elif not path.name.startswith("."):
            (tmp_path / path.name).symlink_to(path)
    return tmp_path


@pytest.mark.parametrize("block", blocks_run_by(DOCUMENT_TESTS), ids=str)
def test_it_runs(block: Block, copy: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(REPOSITORY / "plugins")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.runnable],
        cwd=copy, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def airflow_commands() -> list[list[str]]:
    joined = [block.text.replace("\\\n", " ") for block in blocks_run_by(SYSTEM_TESTS)]
    lines = [shlex.split(line) for text in joined for line in text.splitlines() if line.startswith("airflow ")]
    # What stands within a sentence, but for names of pages and placeholders.
    for page in PAGES:
        lines += [shlex.split(each) for each in re.findall(r"`(airflow [a-z][^`…<]*)`", page.read_text())]
    return lines


@pytest.mark.parametrize("command", airflow_commands(), ids=" ".join)
def test_airflow_has_this_command(command: list[str]) -> None:
    # Within a sentence a command stands without its arguments.
    within_a_sentence = not any(each.startswith(("-", "talent_")) for each in command)
    if within_a_sentence:
        with pytest.raises(SystemExit) as left:
            get_parser().parse_args([*command[1:], "--help"])
        assert left.value.code == 0
    else:
        get_parser().parse_args(command[1:])


@pytest.mark.parametrize("block", [each for each in blocks("ini") if each.text.startswith("[")], ids=str)
def test_airflow_knows_these_settings(block: Block) -> None:
    known = retrieve_configuration_description(include_providers=True)
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block.text)
    for section in parser.sections():
        assert [name for name in parser[section] if name not in known[section]["options"]] == []


@pytest.mark.parametrize("block", [each for each in blocks("json") if "conn_type" in each.text], ids=str)
def test_airflow_reads_this_connection(block: Block) -> None:
    connection = Connection.from_json(block.text)
    assert connection.conn_type == json.loads(block.text)["conn_type"]
