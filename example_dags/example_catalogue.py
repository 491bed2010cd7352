"""One Airflow DAG for each file of a folder, as the catalogue has them, wherever the package is installed.

Airflow looks into files alone that name both words, "airflow" and "dag".
"""

from __future__ import annotations

from pathlib import Path

from talent_dmf.dag_factory import export_dags

globals().update(export_dags(Path(__file__).with_name("exports")))
