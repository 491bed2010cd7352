"""The four tasks of an export, wired."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator, literal

from talent_dmf.airflow_errors import translated_errors
from talent_dmf.api.choices import LONGEST_TIME_LIMIT
from talent_dmf.api.dmf.execution_ids import check_legal_entity
from talent_dmf.catalogue.destinations import destination_of
from talent_dmf.catalogue.spec import ExportSpec
from talent_dmf.dag_factory.alerts import when_empty, when_failed, when_late
from talent_dmf.dag_factory.timetable import check_times
from talent_dmf.notifications.reasons import say_failure, say_retry
from talent_dmf.operators.talent_dmf import TalentDmfExportedPackageUrlOperator, TalentDmfExportToPackageOperator
from talent_dmf.sensors.talent_dmf import TalentDmfExecutionStatusSensor

if TYPE_CHECKING:
    from airflow.sdk import Context

    from talent_dmf.transfers.base import SavePackageOperator

# The form's time limit, as the operators' template fields take a duration.
TIME_LIMIT = "{{ params.time_limit_minutes }} min"
# Longest time that a worker is busy with starting an export, when it does not wait for other executions itself.
_STARTING = timedelta(hours=1)


def _data(value: Any) -> Any:
    """A value of the catalogue, for a field that Airflow renders: it is no template, whatever stands in it."""
    return literal(value)


def default_args(spec: ExportSpec) -> dict[str, Any]:
    """What all tasks of the export share.

    :param spec: the catalogue's entry.
    """
    return {
        "owner": spec.owner,
        "pool": spec.pool,
        "retries": spec.retries,
        "retry_delay": spec.retry_delay,
        "retry_exponential_backoff": True,
        "max_retry_delay": spec.max_retry_delay,
    }


def callbacks(spec: ExportSpec) -> dict[str, Any]:
    """What a task of the export calls when it fails.

    They are no part of the DAG's ``default_args``, of which Airflow stores the source code of each function with each
    DAG: looking for it costs the DAG processor as much as a tenth of the DAG.

    :param spec: the catalogue's entry.
    """
    return {
        "on_retry_callback": say_retry,
        # The reason last, so that it is the log's last line.
        "on_failure_callback": [*when_failed(spec).values(), say_failure],
    }


def add_tasks(spec: ExportSpec) -> None:
    """Add an export's tasks to the DAG that is being made: once for one legal entity, in a mapped group for several.

    :param spec: the catalogue's entry.
    """
    if len(spec.legal_entities) == 1:
        export_tasks(spec, "{{ params.legal_entity }}")
        return
    # Imported where it is needed: airflow.sdk.task_group costs as much as the rest of the DAG file together.
    from airflow.sdk import task_group

    # In the grid, a mapped task is called by its company.
    default_args = {"map_index_template": "{{ params.legal_entities[ti.map_index] | upper }}"}
    companies = LegalEntitiesOperator(
        task_id="legal_entities", execution_timeout=timedelta(minutes=30), **callbacks(spec)
    )
    task_group(group_id="export", default_args=default_args)(export_tasks).partial(spec=spec, first=companies).expand(
        legal_entity=companies.output
    )


def export_tasks(spec: ExportSpec, legal_entity: Any, first: LegalEntitiesOperator | None = None) -> None:
    """The four tasks that export one legal entity.

    A value of the catalogue is data and stands as a literal in a field that Airflow renders. The form's values are
    rendered into their fields once, and what they hold is not rendered again.

    :param spec: the catalogue's entry.
    :param legal_entity: a company code as a template, or what stands for it in a mapped group.
    :param first: the task before the group, which checks all of them in a check-only run.
    """
    trigger_export = start_task(spec, legal_entity, check_only=first is None)
    execution_id: Any = trigger_export.output
    wait_for_export = TalentDmfExecutionStatusSensor(
        task_id="wait_for_export",
        execution_id=execution_id,
        partial_success=spec.partial_success,
        on_empty=spec.on_empty,
        sla=spec.sla,
        time_limit=TIME_LIMIT,
        poke_interval=spec.poke_interval.total_seconds(),
        talent_dmf_conn_id=_data(spec.talent_dmf_conn_id),
        deferrable=spec.deferrable,
        execution_timeout=LONGEST_TIME_LIMIT + _STARTING,
        **callbacks(spec),
        **when_empty(spec),
        **when_late(spec),
    )
    get_package_url = TalentDmfExportedPackageUrlOperator(
        task_id="get_package_url",
        execution_id=execution_id,
        talent_dmf_conn_id=_data(spec.talent_dmf_conn_id),
        execution_timeout=timedelta(minutes=20),
        **callbacks(spec),
    )
    # What can be known about saving is checked before the export is spent.
    save_package = trigger_export.before = save_task(spec, legal_entity, get_package_url.output, wait_for_export.output)
    trigger_export.also_checks = partial(check_times, spec)
    if first is not None:
        first.export = trigger_export
    trigger_export >> wait_for_export >> get_package_url >> save_package


def start_task(spec: ExportSpec, legal_entity: Any, *, check_only: bool) -> TalentDmfExportToPackageOperator:
    """The task that starts the export.

    :param spec: the catalogue's entry.
    :param legal_entity: as for :func:`export_tasks`.
    :param check_only: whether this is the task that checks in a check-only run.
    """
    return TalentDmfExportToPackageOperator(
        task_id="trigger_export",
        definition_group_id="{{ params.data_project }}",
        package_name="{{ params.package_name }}",
        legal_entity_id=legal_entity,
        busy=spec.busy,
        busy_timeout=TIME_LIMIT,
        incremental=spec.incremental,
        backfill="{{ params.backfill }}" if spec.incremental else False,
        check_only="{{ params.check_only }}" if check_only else False,
        talent_dmf_conn_id=_data(spec.talent_dmf_conn_id),
        deferrable=spec.deferrable,
        # The wait for other executions ends by the form's time limit; this is for a worker that hangs.
        execution_timeout=_STARTING if spec.deferrable else LONGEST_TIME_LIMIT + _STARTING,
        # Two exports of one data project at a time disturb each other. Nobody starts one between another's look and
        # start: no other legal entity of the run, and no other run (a backfill makes several at once).
        max_active_tis_per_dagrun=1,
        max_active_tis_per_dag=1,
        **callbacks(spec),
    )


def save_task(spec: ExportSpec, legal_entity: Any, package: Any, export_result: Any) -> SavePackageOperator:
    """The task that saves the package.

    :param spec: the catalogue's entry.
    :param legal_entity: as for :func:`export_tasks`.
    :param package: what get_package_url returns.
    :param export_result: what wait_for_export returns.
    """
    return save_operator(spec)(
        package=package,
        definition_group_id="{{ params.data_project }}",
        legal_entity_id=legal_entity,
        export_result=export_result,
        file_name="{{ params.file_name }}",
        conflict_behavior="{{ params.conflict_behavior }}",
        receipt=spec.receipt,
        check_package=spec.check_package,
        unpack=spec.unpack,
        unpack_name=_data(spec.unpack_name),
        keep_last=spec.keep_last,
        keep_days=spec.keep_days,
        talent_dmf_conn_id=_data(spec.talent_dmf_conn_id),
        outlets=[package_asset(spec)],
        execution_timeout=spec.transfer_time_limit,
        **callbacks(spec),
    )


def package_asset(spec: ExportSpec) -> Asset:
    """The asset that stands for the saved package, for DAGs that are to run after it.

    :param spec: the catalogue's entry.
    """
    return Asset(name=f"talent_{spec.name}_package", uri=f"x-talent-dmf://{spec.name}/package", group="talent")


def save_operator(spec: ExportSpec) -> Callable[..., SavePackageOperator]:
    """What makes the task that saves the package: the operator for the destination that the catalogue names, with all
    that is said about this destination. What is said about the package is left to add.

    :param spec: the catalogue's entry.
    """
    kind = destination_of(spec)
    module, name = kind.operator
    # Imported where it is needed: a DAG has one of them.
    operator: Callable[..., SavePackageOperator] = getattr(import_module(module), name)
    arguments = {key: _data(value) for key, value in kind.arguments(spec).items()}
    return partial(
        operator,
        task_id=kind.task_id,
        **{kind.field.name: f"{{{{ params.{kind.field.name} or '' }}}}"},
        **arguments,
    )


class LegalEntitiesOperator(BaseOperator):
    """Passes the run's legal entities on to the group of tasks that is mapped over them.

    In a check-only run it checks the export of all of them, and passes none on.

    :returns: XCom ``return_value``: the company codes.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # The operator that starts the exports, which knows what they need.
        self.export: TalentDmfExportToPackageOperator | None = None

    def execute(self, context: Context) -> list[str]:
        """Read them from the run's parameters, each once; to Dynamics 365 ``usmf`` is ``USMF``."""
        with translated_errors(self.log, context):
            params = context["params"]
            codes = list(dict.fromkeys(check_legal_entity(str(code)) for code in params["legal_entities"]))
            if self.export is None or params.get("check_only") is not True:
                return codes
            from talent_dmf.operators.checks import report

            self.log.info("%s", report(self.export.findings_for(codes, context), context, self.log))
            return []
