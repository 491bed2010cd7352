"""An export that is saved in an object store: Azure Blob Storage, S3, Google Cloud Storage or a disk.

The destination is a parameter of the run; the connection to the store is `conn_id` of the last task.
Connections: `talent_dmf_default`, and the store's own.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from talent_dmf.operators.talent_dmf import TalentDmfExportedPackageUrlOperator, TalentDmfExportToPackageOperator
from talent_dmf.sensors.talent_dmf import TalentDmfExecutionStatusSensor
from talent_dmf.transfers.talent_dmf_to_object_storage import TalentDmfToObjectStorageOperator

with DAG(
    "example_export_to_object_storage",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    default_args={"retries": 3, "retry_delay": timedelta(minutes=2)},
    params={"destination": Param("abfs://exports/workers", type="string", title="Folder in the object store")},
    tags=["example"],
    doc_md=__doc__,
):
    export = TalentDmfExportToPackageOperator(
        task_id="export", definition_group_id="Export Workers CSV", package_name="workers.zip", legal_entity_id="USMF"
    )
    wait = TalentDmfExecutionStatusSensor(task_id="wait", execution_id=export.output, deferrable=True)
    package = TalentDmfExportedPackageUrlOperator(task_id="package", execution_id=export.output)
    save = TalentDmfToObjectStorageOperator(
        task_id="save",
        package=package.output,
        destination="{{ params.destination }}",
        conn_id=None,
        unpack="beside",
        receipt=True,
    )
    wait >> package
