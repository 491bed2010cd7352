"""One DAG per file of the catalogue ``include/exports``: export from Dynamics 365, wait, find the package, save it.

Wiring only. What is exported stands in the catalogue; what is done stands in the package ``talent_dmf``.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, get_parsing_context

from talent_dmf.catalogue.spec import ExportSpec, load_catalogue
from talent_dmf.dag_factory import parts
from talent_dmf.operators.talent_dmf import TalentDmfExportedPackageUrlOperator, TalentDmfExportToPackageOperator
from talent_dmf.sensors.talent_dmf import TalentDmfExecutionStatusSensor


def export_tasks(spec: ExportSpec, legal_entity: Any) -> None:
    """The four tasks that export one legal entity: a company code, or what stands for it in a mapped group."""
    trigger_export = TalentDmfExportToPackageOperator(
        task_id="trigger_export",
        definition_group_id="{{ params.data_project }}",
        package_name="{{ params.package_name }}",
        legal_entity_id=legal_entity,
        busy=spec.busy,
        busy_timeout=spec.time_limit,
        talent_dmf_conn_id=spec.talent_dmf_conn_id,
        deferrable=spec.deferrable,
        execution_timeout=spec.time_limit + timedelta(minutes=15),
        # One legal entity after the other: two exports of one data project at a time disturb each other.
        max_active_tis_per_dagrun=1,
    )
    wait_for_export = TalentDmfExecutionStatusSensor(
        task_id="wait_for_export",
        execution_id=trigger_export.output,
        partial_success=spec.partial_success,
        on_empty=spec.on_empty,
        sla=spec.sla,
        pre_execute=parts.apply_time_limit,
        poke_interval=spec.poke_interval.total_seconds(),
        talent_dmf_conn_id=spec.talent_dmf_conn_id,
        deferrable=spec.deferrable,
        execution_timeout=parts.LONGEST_WAIT,
    )
    get_package_url = TalentDmfExportedPackageUrlOperator(
        task_id="get_package_url",
        execution_id=trigger_export.output,
        talent_dmf_conn_id=spec.talent_dmf_conn_id,
        execution_timeout=timedelta(minutes=20),
    )
    save_package = parts.save_operator(spec)(
        package=get_package_url.output,
        definition_group_id="{{ params.data_project }}",
        legal_entity_id=legal_entity,
        export_result=wait_for_export.output,
        file_name="{{ params.file_name }}",
        conflict_behavior="{{ params.conflict_behavior }}",
        receipt=spec.receipt,
        unpack=spec.unpack,
        unpack_name=spec.unpack_name,
        keep_last=spec.keep_last,
        keep_days=spec.keep_days,
        talent_dmf_conn_id=spec.talent_dmf_conn_id,
        outlets=[parts.package_asset(spec)],
        execution_timeout=spec.transfer_time_limit,
    )
    trigger_export >> wait_for_export >> get_package_url >> save_package


# Before a task, Airflow says which DAG it wants; the other files are not read then. A file that cannot be used is told
# by talent_exports_check.py: an import error of this file would take all of its DAGs away.
for spec in load_catalogue(Path(__file__).parents[1] / "include/exports", only=get_parsing_context().dag_id).exports:
    with DAG(
        spec.dag_id,
        description=spec.description,
        doc_md=parts.page(spec),
        schedule=parts.timetable(spec),
        start_date=datetime.combine(spec.start_date, time(), UTC),
        catchup=False,
        max_active_runs=1,
        tags=["talent-dmf", *spec.tags],
        params=parts.trigger_form(spec),
        deadline=parts.deadline(spec),
        default_args=parts.default_args(spec),
    ):
        parts.for_each_legal_entity(spec, export_tasks)
