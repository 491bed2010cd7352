"""What a catalogue entry means for Airflow: timetable, deadline, defaults of the tasks, trigger form, page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast, get_args

from airflow.sdk import Asset, BaseOperator, CronTriggerTimetable, Param
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from talent_dmf.airflow_errors import verdicts
from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.dmf.execution_ids import check_legal_entity
from talent_dmf.api.naming.file_names import OF_ONE_COMPANY, PLACEHOLDERS
from talent_dmf.catalogue.schedules import in_words
from talent_dmf.catalogue.spec import ExportSpec
from talent_dmf.notifications import report_missed_deadline

if TYPE_CHECKING:
    from airflow.sdk import BaseSensorOperator, Context

    from talent_dmf.transfers.base import SavePackageOperator

_COMPANY_CODE = "^[A-Za-z0-9]{1,4}$"
# What is exported has no section: Airflow shows such fields opened, and folds sections.
_WHERE, _HOW = "Destination", "Waiting"
LONGEST_WAIT = timedelta(days=7)


def timetable(spec: ExportSpec) -> CronTriggerTimetable | None:
    """When the export runs. The data interval ends when the run is due; Airflow's own ``@daily`` would have an interval
    without length.

    :param spec: the catalogue's entry.
    """
    schedule = spec.schedule
    if schedule is None:
        return None
    return CronTriggerTimetable(schedule.cron, schedule.timezone, interval=schedule.interval)


def deadline(spec: ExportSpec) -> DeadlineAlert:
    """The promise that a run is done in time, counted from when it is queued: counted from its date, a backfill would
    always be late.

    :param spec: the catalogue's entry.
    """
    # As a number: Airflow 3.3.2 stores a timedelta as an object and takes that for seconds when a run is cleared whose
    # deadline is still ahead, so that no failed run could be cleared (docs/wire/airflow.md#deadlines).
    seconds: Any = spec.sla.total_seconds()
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=seconds,
        callback=AsyncCallback(report_missed_deadline, kwargs={"export": spec.name, "sla": in_words(spec.sla)}),
    )


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


def package_asset(spec: ExportSpec) -> Asset:
    """The asset that stands for the saved package, for DAGs that are to run after it.

    :param spec: the catalogue's entry.
    """
    return Asset(name=f"talent_{spec.name}_package", uri=f"x-talent-dmf://{spec.name}/package", group="talent")


def trigger_form(spec: ExportSpec) -> dict[str, Param]:
    """The parameters of an export's DAG; Airflow checks them against their schema, in the UI and in the REST API.

    :param spec: the catalogue's entry, which gives the defaults.
    """
    return {
        "data_project": Param(
            spec.data_project,
            type="string",
            minLength=1,
            title="Data project",
            description="Name of the export project in Dynamics 365 (Data management), exactly as it is there.",
        ),
        **_companies(spec),
        "package_name": Param(
            spec.package_name,
            type="string",
            minLength=5,
            pattern=r"\.[zZ][iI][pP]$",
            title="Package name",
            description="File name that Dynamics 365 gives the package in its own storage; it ends in .zip.",
        ),
        **_place(spec),
        "file_name": _file_name(spec),
        "conflict_behavior": Param(
            spec.conflict_behavior,
            type="string",
            enum=list(get_args(ConflictBehavior)),
            title="If the name is taken",
            description="fail, replace (the file gets a new version) or rename (the new file gets a number).",
            section=_WHERE,
        ),
        "time_limit_minutes": Param(
            max(1, int(spec.time_limit.total_seconds() // 60)),
            type="integer",
            minimum=1,
            maximum=LONGEST_WAIT // timedelta(minutes=1),
            title="Time limit in minutes",
            description="How long the export may take in Dynamics 365 before the run gives up waiting for it.",
            section=_HOW,
        ),
    }


def _file_name(spec: ExportSpec) -> Param:
    needed, hint = "", ""
    known = ", ".join("{" + name + "}" for name in PLACEHOLDERS)
    if len(spec.legal_entities) > 1:
        needed, hint = f"(?=.*{OF_ONE_COMPANY})", " {legal_entity} or {execution_id} is needed."
    return Param(
        spec.file_name,
        type="string",
        minLength=1,
        pattern=f'^{needed}[^"*:<>?/\\\\|]*$',
        title="File name",
        description=f"Placeholders: {known}. They keep runs apart.{hint}",
        section=_WHERE,
    )


def _place(spec: ExportSpec) -> dict[str, Param]:
    if spec.destination is not None:
        return {
            "destination": Param(
                spec.destination,
                type="string",
                # Shown and not changed: whoever may trigger a run must not write wherever the worker can.
                enum=[spec.destination],
                title="Destination",
                description="Folder in the object store, as the catalogue names it; only there can it be changed.",
                section=_WHERE,
            )
        }
    return {
        "folder": Param(
            spec.folder,
            # The UI sends null for a field that was emptied.
            type=["null", "string"],
            pattern=r'^[^"*:<>?\\|]*$',
            title="Destination folder",
            description="Folder of the drive, such as Exports/Workers; made if missing. Empty: the root.",
            section=_WHERE,
        )
    }


def _companies(spec: ExportSpec) -> dict[str, Param]:
    if len(spec.legal_entities) == 1:
        return {
            "legal_entity": Param(
                spec.legal_entities[0],
                type="string",
                pattern=_COMPANY_CODE,
                title="Legal entity",
                description="Company code, such as USMF.",
            )
        }
    return {
        "legal_entities": Param(
            list(spec.legal_entities),
            type="array",
            items={"type": "string", "pattern": _COMPANY_CODE},
            minItems=1,
            uniqueItems=True,
            examples=list(spec.legal_entities),
            title="Legal entities",
            description="Company codes. They are exported one after the other, each into a file of its own.",
        )
    }


def save_operator(spec: ExportSpec) -> Callable[..., SavePackageOperator]:
    """What makes the task that saves the package: the operator for the place that the catalogue names, with all that
    is said about this place. What is said about the package is left to add.

    :param spec: the catalogue's entry.
    """
    # Imported where they are needed: a DAG has one of them.
    if spec.destination is not None:
        from talent_dmf.transfers.talent_dmf_to_object_storage import TalentDmfToObjectStorageOperator

        return partial(
            TalentDmfToObjectStorageOperator,
            task_id="save_to_storage",
            destination="{{ params.destination }}",
            conn_id=spec.destination_conn_id,
        )
    from talent_dmf.transfers.talent_dmf_to_onedrive import TalentDmfToOneDriveOperator

    return partial(
        TalentDmfToOneDriveOperator,
        task_id="save_to_onedrive",
        folder="{{ params.folder or '' }}",
        **spec.drive_choice,
        onedrive_conn_id=spec.onedrive_conn_id,
    )


def for_each_legal_entity(spec: ExportSpec, tasks: Callable[[ExportSpec, Any], None]) -> None:
    """Add an export's tasks to the DAG: once for one legal entity, in a mapped group for several.

    :param spec: the catalogue's entry.
    :param tasks: adds the tasks for a company code, or for what stands for it.
    """
    if len(spec.legal_entities) == 1:
        tasks(spec, "{{ params.legal_entity }}")
        return
    # Imported where it is needed: airflow.sdk.task_group costs as much as the rest of the DAG file together.
    from airflow.sdk import task_group

    companies = LegalEntitiesOperator(task_id="legal_entities", execution_timeout=timedelta(minutes=5))
    task_group(group_id="export")(tasks).partial(spec=spec).expand(legal_entity=companies.output)


class LegalEntitiesOperator(BaseOperator):
    """Passes the run's legal entities on to the group of tasks that is mapped over them.

    :returns: XCom ``return_value``: the company codes.
    """

    def execute(self, context: Context) -> list[str]:
        """Read them from the run's parameters, each once; to Dynamics 365 ``usmf`` is ``USMF``."""
        with verdicts(self.log):
            return list(dict.fromkeys(check_legal_entity(str(code)) for code in context["params"]["legal_entities"]))


def apply_time_limit(context: Context) -> None:
    """Give the sensor the form's time limit; ``timeout`` is a number, which a template cannot be.

    :param context: task context of the sensor, before it is executed.
    """
    sensor = cast("BaseSensorOperator", context["task"])
    sensor.timeout = context["params"]["time_limit_minutes"] * 60


def page(spec: ExportSpec) -> str:
    """What Airflow shows as the DAG's documentation, in Markdown.

    :param spec: the catalogue's entry.
    """
    when = "only when it is triggered"
    if spec.schedule is not None:
        when = f"by `{spec.schedule.cron}` ({spec.schedule.timezone})"
    save, kind = (
        ("save_to_onedrive", "OneDrive") if spec.destination is None else ("save_to_storage", "the object store")
    )
    return f"""\
{spec.description or f"Exports the data project {spec.data_project}."}

| | |
|---|---|
| Exports | data project **{spec.data_project}** of legal entity {", ".join(spec.legal_entities)} |
| Saves it in | `{spec.destination or spec.folder or "/"}`: {_what_is_saved(spec)} |
| Keeps | {_what_is_kept(spec)} |
| Runs | {when}; expected to be done {in_words(spec.sla)} after it is queued |
| Defined in | `include/exports/{spec.name}.yaml` |

**Steps.** `trigger_export` starts the export (a retry finds the one that is running and never starts a second);
`wait_for_export` waits until Dynamics 365 has finished; `get_package_url` finds the package; `{save}` moves it to
{kind} and checks what arrived.

**A backfill exports today's data.** Dynamics 365 exports its present state, whatever date the run is for. File names
therefore carry both: the run's interval and the time of extraction.

**If a run fails,** the last line of the failed task's log says what is wrong and what to do. To wait longer for the
same export, clear `wait_for_export` and what follows. To export anew, clear `trigger_export`. An incremental export is
consumed when it runs: while the package exists (7 days), clear the later tasks and not the first.
More in `docs/how-to/run-book.md`.
"""


def _what_is_saved(spec: ExportSpec) -> str:
    package, files = f"the package as `{spec.file_name}`", f"its data files as `{spec.unpack_name}`"
    return {"no": package, "beside": f"{package} and {files}", "instead": files}[spec.unpack]


def _what_is_kept(spec: ExportSpec) -> str:
    rules = []
    if spec.keep_last is not None:
        rules.append(f"the newest {spec.keep_last} exports")
    if spec.keep_days is not None:
        rules.append(f"exports of the last {spec.keep_days} days")
    return f"{' and '.join(rules)}; deletes older ones that its receipts prove" if rules else "everything"
