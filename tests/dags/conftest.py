"""DAGs of catalogues that a test makes up."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

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
