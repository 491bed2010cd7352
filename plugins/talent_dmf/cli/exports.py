"""Commands about single exports: run one, see how it stands, why it failed, and fetch its package."""

from __future__ import annotations

import argparse
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talent_dmf.api.errors import ConfigurationError
from talent_dmf.api.words import counted
from talent_dmf.cli.connections import connection_id
from talent_dmf.cli.output import Output, size_in_words

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

# A person waits for it.
_PACKAGE_TIMEOUT_SECONDS = 120.0


class SingleRun:
    """Runs operators one after the other without a scheduler, as tasks of one run; nothing is stored but their results.

    :param name: id of the run.
    """

    def __init__(self, name: str) -> None:
        self.run_id = name
        self.start_date = self.run_after = datetime.now(UTC)
        self.dag_id, self.map_index, self.try_number, self.max_tries = "talent_dmf_command_line", -1, 1, 0
        self.task_id = ""
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep what a task pushes beside its result."""
        self.pushed[key] = value

    def execute(self, operator: BaseOperator) -> Any:
        """Run one operator.

        :param operator: not deferrable.
        :returns: what it returns.
        """
        self.task_id = operator.task_id
        context: dict[str, Any] = {"ti": self, "dag_run": self, "run_id": self.run_id, "params": {}}
        # Airflow wraps `execute` in a warning for calls from outside of its task runner; what it wraps is the method.
        execute: Any = getattr(type(operator).execute, "__wrapped__", type(operator).execute)
        return execute(operator, context)


def export(options: argparse.Namespace, output: Output) -> int:
    """Run one export now, with the operators that a DAG would use, and save its package on this machine.

    :returns: 0 if the package is saved and checked.
    """
    from talent_dmf.api.durations import parse_duration
    from talent_dmf.operators.talent_dmf import TalentDmfExportToPackageOperator
    from talent_dmf.sensors.talent_dmf import TalentDmfExecutionStatusSensor

    limit = parse_duration(options.time_limit)
    folder, conn_id = _folder(options.to), connection_id(options)
    run = SingleRun(f"command_line__{datetime.now(UTC):%Y%m%dT%H%M%SZ}_{uuid.uuid4().hex[:8]}")
    with output.progress(f"Exporting {options.project}, {options.company}") as bar:
        execution_id = run.execute(
            TalentDmfExportToPackageOperator(
                task_id="trigger_export",
                definition_group_id=options.project,
                package_name="package.zip",
                legal_entity_id=options.company,
                talent_dmf_conn_id=conn_id,
                deferrable=False,
            )
        )
        output.line(f"Execution {execution_id} is started.")
        bar.update(bar.task_ids[0], description="Waiting for Dynamics 365")
        finished = run.execute(
            TalentDmfExecutionStatusSensor(
                task_id="wait_for_export",
                execution_id=execution_id,
                timeout=limit.total_seconds(),
                talent_dmf_conn_id=conn_id,
                deferrable=False,
            )
        )
        saved = _save(run, execution_id, conn_id, folder, (options.project, options.company), bar)
    rows = finished.get("rows") if isinstance(finished, dict) else None
    output.line(
        f"Saved {saved['url']}: {size_in_words(saved['size'])}, "
        f"{'an unknown number of rows' if rows is None else counted(rows, 'row')}."
    )
    output.result({"execution_id": execution_id, "rows": rows, **saved})
    return 0


def fetch(options: argparse.Namespace, output: Output) -> int:
    """Save the package of an execution that is finished; Dynamics 365 keeps it for 7 days.

    :returns: 0 if the package is saved and checked.
    """
    from talent_dmf.hooks.talent_dmf import TalentDmfHook

    folder, conn_id = _folder(options.to), connection_id(options)
    found = TalentDmfHook(conn_id).execution_status(options.execution)
    if found is None or found.is_running:
        raise ConfigurationError(
            f"Execution {options.execution} {'is not known to the environment' if found is None else 'is running'}: "
            "there is no package of it. Check the id with `talent-dmf status`."
        )
    with output.progress(f"Fetching the package of {options.execution}") as bar:
        saved = _save(SingleRun("command_line"), options.execution, conn_id, folder, ("package", ""), bar)
    output.line(f"Saved {saved['url']}: {size_in_words(saved['size'])}.")
    output.result({"execution_id": options.execution, **saved})
    return 0


def _save(
    run: SingleRun, execution_id: str, conn_id: str, folder: str, names: tuple[str, str], bar: Any
) -> dict[str, Any]:
    from talent_dmf.operators.talent_dmf import TalentDmfExportedPackageUrlOperator
    from talent_dmf.transfers.talent_dmf_to_object_storage import TalentDmfToObjectStorageOperator

    package = run.execute(
        TalentDmfExportedPackageUrlOperator(
            task_id="get_package_url",
            execution_id=execution_id,
            package_timeout_seconds=_PACKAGE_TIMEOUT_SECONDS,
            talent_dmf_conn_id=conn_id,
        )
    )
    bar.update(bar.task_ids[0], description=f"Saving {size_in_words(package['size_bytes'])}")
    saved: dict[str, Any] = run.execute(
        TalentDmfToObjectStorageOperator(
            task_id="save",
            package=package,
            destination=folder,
            file_name="{project}_{legal_entity}_{execution_id}.zip" if names[1] else "{execution_id}.zip",
            definition_group_id=names[0],
            legal_entity_id=names[1],
            talent_dmf_conn_id=conn_id,
        )
    )
    return saved


def _folder(folder: Path) -> str:
    if not folder.is_dir():
        raise ConfigurationError(f"{str(folder)!r} is not a folder; make it first, or choose another with --to.")
    return folder.resolve().as_uri()


def status(options: argparse.Namespace, output: Output) -> int:
    """Say how an execution stands.

    :returns: 0 if the environment knows it.
    """
    from talent_dmf.hooks.talent_dmf import TalentDmfHook

    found = TalentDmfHook(connection_id(options)).execution_status(options.execution)
    word = found.value if found is not None else None
    output.line(
        word or f"The environment does not know execution {options.execution}; it keeps them for 7 days or more."
    )
    output.result({"execution_id": options.execution, "status": word})
    return 0 if word else 1


def explain(options: argparse.Namespace, output: Output) -> int:
    """Say how an execution went, entity by entity, with its messages; values in them are masked.

    :returns: 0 if the environment knows it.
    """
    from talent_dmf.hooks.talent_dmf import TalentDmfHook

    hook = TalentDmfHook(connection_id(options))
    found = hook.execution_status(options.execution)
    if found is None:
        raise ConfigurationError(
            f"The environment does not know execution {options.execution}. Check the id and the connection; the job "
            "history may have been cleaned up."
        )
    report = hook.export_report(options.execution)
    output.line(f"Execution {options.execution}: {found.value}.")
    for line in report.lines():
        output.line(line)
    output.result({
        "execution_id": options.execution,
        "status": found.value,
        "rows": report.rows,
        "entities": [
            {"name": each.entity_name, "staging": each.staging_status, "target": each.target_status, "rows": each.rows}
            for each in report.entities
        ],
        "lines": report.lines(),
    })  # fmt: skip
    return 0
