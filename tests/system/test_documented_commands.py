"""The documents' commands of Airflow and its REST API, run as they stand there against a real Airflow."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from tests.documented import SYSTEM_TESTS, Block, blocks_run_by

from local_stack import LocalStack
from local_stack.stack import DAG_ID

from .conftest import PROJECT

BLOCKS = blocks_run_by(SYSTEM_TESTS)
# They would change what the other tests use.
CONNECTIONS = [block for block in BLOCKS if block.text.startswith("airflow connections add")]


@pytest.mark.parametrize("block", [block for block in BLOCKS if block not in CONNECTIONS], ids=str)
def test_it_does_what_the_page_says(stack: LocalStack, block: Block) -> None:
    if "backfill" in block.text and stack.site.database_url.startswith("sqlite"):
        pytest.skip("SQLite refuses a backfill of several days while the scheduler writes: install PostgreSQL")
    # A backfill would meet that of the other tests; a run by hand would be one more of theirs.
    text = block.text.replace("backfill create", "backfill create --dry-run")
    environment = {**stack.environment, "AIRFLOW": stack.airflow.base_url, "TOKEN": stack.airflow.sign_in()}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text.replace("curl ", "curl --fail ")],
        cwd=PROJECT, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    if "/dagRuns" in text or "backfill" in text:
        assert DAG_ID in done.stdout + text


@pytest.mark.parametrize("block", CONNECTIONS, ids=str)
def test_the_connection_can_be_added(stack: LocalStack, block: Block) -> None:
    added = re.findall(r"^airflow connections add (\w+)", block.text, re.MULTILINE)
    assert added
    text = re.sub(r"^(airflow connections add) ", r"\1 documented_", block.text, flags=re.MULTILINE)
    environment = {**stack.environment, "CLIENT_SECRET": "not-a-secret", "TEAMS_WEBHOOK": "https://teams.example/a"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in added:
        assert stack.airflow.call("GET", f"/connections/documented_{name}")["connection_id"] == f"documented_{name}"
