"""DAGs of catalogues that a test makes up."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import BaseOperator

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Make a project with the repository's DAG files and a catalogue of the test's own; returns its DAG folder."""

    def make(**exports: str) -> Path:
        folder = tmp_path / "include" / "exports"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in exports.items():
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return Path(shutil.copytree(REPOSITORY / "dags", tmp_path / "dags", dirs_exist_ok=True))

    return make


@pytest.fixture
def bag(project: Callable[..., Path]) -> Callable[..., DagBag]:
    """Parse a project made of the given catalogue files, as the DAG processor does."""

    def parse(**exports: str) -> DagBag:
        return DagBag(str(project(**exports)))

    return parse


def seconds_of(interval: timedelta | float) -> float:
    """A deadline's interval in seconds: it is a number in Airflow 3.3, a `timedelta` in 3.2."""
    return interval.total_seconds() if isinstance(interval, timedelta) else interval


def rendered(task: BaseOperator, **context: Any) -> Any:
    """A copy of a task with its template fields rendered; what other tasks return is left out."""
    copied = deepcopy(task)
    for name in ("execution_id", "package", "export_result"):
        if hasattr(copied, name):
            setattr(copied, name, None)
    copied.render_template_fields(context)
    return copied
