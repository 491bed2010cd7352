"""The page of the first hour, from its beginning to its end, in a real Airflow: each command as it stands there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.documented import FIRST_HOUR_TESTS, blocks_run_by
from tests.examples import REPOSITORY
from tests.unit.loopback import free_port

from local_stack import LocalStack
from local_stack.processes import wait_until
from local_stack.stack import StackOptions

BLOCKS = blocks_run_by(FIRST_HOUR_TESTS)
DAG_ID = "talent_export_positions_and_jobs"
# Others run these: .ci/run the demo on a fresh clone, tests/system/test_fails_fast.py what up and down are.
ELSEWHERE = ("git ", "cd ", "make ", ". .venv/bin/activate")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as somebody has it who has cloned the repository."""
    root = tmp_path_factory.mktemp("first-hour")
    shutil.copytree(REPOSITORY / "dags", root / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(REPOSITORY / "include" / "exports", root / "include" / "exports")
    return root


@pytest.fixture(scope="module")
def stack(project: Path) -> Iterator[LocalStack]:
    """What `make up` starts, with the DAGs of that project."""
    settings = {"AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags")}
    with LocalStack(StackOptions(name="system-tests-first-hour", export_seconds=1, settings=settings)) as running:
        yield running


class Shell:
    """A shell that somebody types into, which ends at the first command that fails.

    :param directory: where it begins.
    :param programs: first folder of its PATH, as an activated environment has it.
    """

    def __init__(self, directory: Path, programs: Path) -> None:
        self._process = subprocess.Popen(
            ["bash", "-e"], cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        )  # fmt: skip

    def type(self, text: str) -> str:
        """Run commands and return what they printed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{text}\necho === done\n")
        self._process.stdin.flush()
        said = []
        for line in self._process.stdout:
            if line == "=== done\n":
                return "".join(said)
            said.append(line)
        raise AssertionError(f"{text}\nended the shell:\n{''.join(said)}")

    def leave(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def shell(project: Path) -> Iterator[Shell]:
    opened = Shell(project, Path(sys.executable).parent)
    yield opened
    opened.leave()


def test_each_step_does_what_the_page_says(stack: LocalStack, project: Path, shell: Shell) -> None:
    catalogue, mails, port = project / "include" / "exports", project / "mails.txt", str(free_port())
    states = []
    for block in BLOCKS:
        lines = [line for line in block.text.splitlines(keepends=True) if not line.startswith(ELSEWHERE)]
        text = "".join(lines).replace(".local/up/airflow.env", str(stack.directory / "airflow.env"))
        if f"unpause {DAG_ID}" in text:
            stack.wait_for_dag(DAG_ID)
        said = shell.type(text.replace("8025", port))
        if "init" in text:
            assert (catalogue / "positions_and_jobs.yaml").exists(), said
        if f"trigger {DAG_ID}" in text:
            newest = stack.airflow.runs(DAG_ID, order_by="-run_after", limit=1)[0]
            states.append(stack.airflow.wait_for_run(DAG_ID, newest["dag_run_id"])["state"])
        if "Export Nobody" in text:
            wait_for_mail(mails, "Export positions_and_jobs failed")
            again = stack.airflow.trigger_run(DAG_ID)
            states.append(stack.airflow.wait_for_run(DAG_ID, again)["state"])
            wait_for_mail(mails, "Export positions_and_jobs works again")
    assert states == ["success", "failed", "success"]
    folders = {path.parent.name for path in stack.emulator.saved_files() if "Positions" in path.parts}
    assert folders == {"Positions"}


def wait_for_mail(mails: Path, subject: str) -> None:
    wait_until(lambda: f"Subject: {subject}" in mails.read_text(), f"a mail {subject!r} has come", timeout_seconds=60)
