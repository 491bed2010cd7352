"""Shows mistakes in the catalogue ``include/exports`` as an import error of this file, and makes no DAG.

Airflow takes all DAGs of a file away when the file has an import error. So mistakes are reported here, and the DAGs of
the exports that are in order stay where they are, in talent_exports.py.
"""

from __future__ import annotations

from pathlib import Path

from talent_dmf.dag_factory import check_exports

check_exports(Path(__file__).resolve().parents[1] / "include" / "exports")
