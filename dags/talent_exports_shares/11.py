"""Airflow DAGs of the exports that are this file's share of a large catalogue, as in ``../talent_exports.py``."""

from __future__ import annotations

from pathlib import Path

from talent_dmf.dag_factory import export_dags

globals().update(export_dags(Path(__file__).parents[2] / "include" / "exports", dag_file=__file__))
