"""Operators and functions side by side: what a task returns goes into a function as a plain dictionary.

Connections: `talent_dmf_default` and `onedrive_default`.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import dag, task

from talent_dmf.hooks.talent_dmf import TalentDmfHook
from talent_dmf.operators.talent_dmf import TalentDmfExportedPackageUrlOperator, TalentDmfExportToPackageOperator
from talent_dmf.sensors.talent_dmf import TalentDmfExecutionStatusSensor
from talent_dmf.transfers.talent_dmf_to_onedrive import TalentDmfToOneDriveOperator

log = logging.getLogger(__name__)


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), tags=["example"], doc_md=__doc__)
def example_taskflow() -> None:
    """Export, save, and say what was saved."""
    export = TalentDmfExportToPackageOperator(
        task_id="export", definition_group_id="Export Workers", package_name="workers.zip", legal_entity_id="USMF"
    )
    wait = TalentDmfExecutionStatusSensor(task_id="wait", execution_id=export.output, deferrable=True)
    package = TalentDmfExportedPackageUrlOperator(task_id="package", execution_id=export.output)
    save = TalentDmfToOneDriveOperator(
        task_id="save", package=package.output, folder="Exports/Examples", file_name="taskflow {run}.zip"
    )
    wait >> package

    @task
    def report(execution_id: str, saved: dict[str, Any]) -> str:
        status = TalentDmfHook().execution_status(execution_id)
        sentence = f"{saved['name']} has {saved['size']} bytes; in Dynamics 365 the export is {status}."
        log.info(sentence)
        return sentence

    report(export.output, save.output)


example_taskflow()
