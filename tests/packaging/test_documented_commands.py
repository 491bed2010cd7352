"""Every command and setting in the documents is one: those that need no Airflow are run here, from the text itself."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.cli.cli_parser import get_parser
from airflow.configuration import retrieve_configuration_description
from airflow.sdk import Connection
from tests.documented import RUN_BY, Block, blocks
from tests.examples import REPOSITORY

HERE = [block for block in blocks() if RUN_BY.get(block.kind or "") == "the tests of the documents"]


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_a_shell_understands_it_and_somebody_runs_it(block: Block) -> None:
    checked = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert block.kind, "say in tests/documented.py who runs it"


@pytest.mark.parametrize("block", HERE, ids=str)
def test_it_runs(block: Block) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(REPOSITORY / "plugins")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def airflow_commands() -> list[list[str]]:
    joined = [block.text.replace("\\\n", " ") for block in blocks() if block.kind == "airflow"]
    lines = [shlex.split(line) for text in joined for line in text.splitlines() if line.startswith("airflow ")]
    # What stands within a sentence, but for names of pages and placeholders.
    for page in sorted({block.page for block in blocks()}):
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
