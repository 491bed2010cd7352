"""The tutorial's export, task by task: start, wait, find the package, save it in OneDrive.

Connections: `talent_dmf_default` and `onedrive_default`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from talent_dmf.operators.talent_dmf import TalentDmfExportedPackageUrlOperator, TalentDmfExportToPackageOperator
from talent_dmf.sensors.talent_dmf import TalentDmfExecutionStatusSensor
from talent_dmf.transfers.talent_dmf_to_onedrive import TalentDmfToOneDriveOperator

with DAG(
    "example_export_to_onedrive",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    default_args={"retries": 3, "retry_delay": timedelta(minutes=2)},
    tags=["example"],
    doc_md=__doc__,
):
    export = TalentDmfExportToPackageOperator(
        task_id="export", definition_group_id="Export Workers", package_name="workers.zip", legal_entity_id="USMF"
    )
    wait = TalentDmfExecutionStatusSensor(
        task_id="wait", execution_id=export.output, deferrable=True, timeout=timedelta(hours=4).total_seconds()
    )
    package = TalentDmfExportedPackageUrlOperator(task_id="package", execution_id=export.output)
    save = TalentDmfToOneDriveOperator(
        task_id="save", package=package.output, folder="Exports/Examples", file_name="{run}.zip"
    )
    wait >> package
