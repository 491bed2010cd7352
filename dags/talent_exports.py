"""One Airflow DAG per file of the catalogue ``include/exports``.

Each exports from Dynamics 365, waits, finds the package and saves it. What is exported stands in the catalogue. How it
is done stands in the package: ``talent_dmf.dag_factory.tasks`` wires the four tasks, ``talent_dmf.dag_factory.exports``
makes a DAG of them. A file of the catalogue that cannot be used is passed over here; ``talent_exports_check.py`` shows
what is wrong with it. The files of ``talent_exports_shares`` share a catalogue of more than 64 exports with this one.
"""

from __future__ import annotations

from pathlib import Path

from talent_dmf.dag_factory import export_dags

globals().update(export_dags(Path(__file__).parents[1] / "include" / "exports", dag_file=__file__))
