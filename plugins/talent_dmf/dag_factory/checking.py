"""Whether the export of a catalogue file would work, asked outside of a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from talent_dmf.api.findings import Finding
from talent_dmf.catalogue.spec import ExportSpec
from talent_dmf.dag_factory.exports import export_dag
from talent_dmf.operators.talent_dmf import TalentDmfExportToPackageOperator


def check_export(spec: ExportSpec) -> list[Finding]:
    """Look at everything that an export needs, with the operators of its DAG, and change nothing.

    :param spec: the catalogue's entry.
    """
    dag = export_dag(spec)
    export = next(task for task in dag.tasks if isinstance(task, TalentDmfExportToPackageOperator))
    context: Any = {
        "params": {name: dag.params[name] for name in dag.params},
        # No run: what only a run knows stays unknown.
        "run_id": "",
        "ti": SimpleNamespace(try_number=1, max_tries=0),
    }
    return list(export.findings_for(spec.legal_entities, context))
