"""The documents' commands of Airflow and its REST API, run as they stand there against a real Airflow."""

from __future__ import annotations

import os
import subprocess

import pytest
from tests.documented import Block, blocks

from local_stack import LocalStack
from local_stack.stack import DAG_ID

from .conftest import PROJECT

# The third asks the environment of a real company; the first changes what the other tests use.
ELSEWHERE = ("airflow connections add", "contoso.operations.dynamics.com/data")
HERE = [b for b in blocks() if b.kind in {"airflow", "curl"} and not any(each in b.text for each in ELSEWHERE)]


@pytest.mark.parametrize("block", HERE, ids=str)
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


def test_the_documented_connections_can_be_added(stack: LocalStack) -> None:
    (block,) = [each for each in blocks() if each.text.startswith("airflow connections add talent_dmf_default")]
    names = {"talent_dmf_default": "documented_dmf", "onedrive_default": "documented_drive"}
    text = block.text
    for name, other in names.items():
        text = text.replace(name, other)
    environment = {**stack.environment, "CLIENT_SECRET": "not-a-secret"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for conn_id in names.values():
        assert stack.airflow.call("GET", f"/connections/{conn_id}")["connection_id"] == conn_id
