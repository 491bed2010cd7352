"""Operators for the DMF package REST API: start an export, find its package."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from airflow.sdk import BaseOperator, conf, literal
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped

from talent_dmf.airflow_errors import translated_errors
from talent_dmf.api import arguments
from talent_dmf.api.arguments import (
    Rule,
    check_arguments,
    choice,
    duration,
    flag,
    flag_or_word,
    having,
    number,
    optional,
    text,
)
from talent_dmf.api.dmf.execution_ids import MAX_LENGTH, check_legal_entity, dated_prefix, new_execution_id
from talent_dmf.api.durations import as_duration, in_words
from talent_dmf.api.errors import (
    ConfigurationError,
    ExportBusyError,
    NotYetItsTurnError,
    ProtocolError,
    TalentDmfError,
    WaitTimeoutError,
)
from talent_dmf.api.naming.file_names import check_package_name
from talent_dmf.links import JOB_PAGE_XCOM_KEY, TalentDmfJobPageLink, find_job_page, keep_for_links
from talent_dmf.metrics import Metrics
from talent_dmf.notes import keep_notice
from talent_dmf.operators.turns import Turn
from talent_dmf.runs import is_backfill

if TYPE_CHECKING:
    from airflow.sdk import Context

    from talent_dmf.api.dmf.models import ExportRequest
    from talent_dmf.api.dmf.starting import StartPolicy
    from talent_dmf.api.findings import Finding
    from talent_dmf.hooks.talent_dmf import TalentDmfHook
    from talent_dmf.lineage import Lineage

CONN_ID = "talent_dmf_default"


class SavesLater(Protocol):
    """The operator that is going to save the package: :class:`~talent_dmf.transfers.base.SavePackageOperator`."""

    template_fields: Collection[str]
    package: Any
    export_result: Any

    def render_template(self, content: Any, context: Context) -> Any:
        """Fill in a template."""

    def check_before_export(self, context: Context, execution_id: str) -> None:
        """Check what can be checked before the export is spent."""

    def findings(self, context: Context, execution_ids: Mapping[str, str]) -> Iterator[Finding]:
        """The same, told row by row, and without anything that stays."""
        ...


def _hook(conn_id: str) -> TalentDmfHook:
    # Imported where it runs: parsing a DAG file must not pay for msal, requests and aiohttp.
    from talent_dmf.hooks.talent_dmf import TalentDmfHook

    return TalentDmfHook(conn_id)


def rendered_in(context: Context, task: SavesLater) -> SavesLater:
    """A copy of a task, with those of its fields rendered that need nothing of a task before it.

    :param context: the context of the task that asks.
    :param task: the task.
    """
    copied = copy(task)
    for name in set(task.template_fields) - {"package", "export_result"}:
        setattr(copied, name, task.render_template(getattr(task, name), context))
    copied.package = copied.export_result = None
    return copied


@dataclass(frozen=True)
class Patience:
    """How long a task goes on waiting for other executions.

    :param deadline: when it gives up.
    :param execution_id: the execution that it has waited for last.
    :param forgotten: whether Dynamics 365 does not know that one any more.
    """

    deadline: datetime
    execution_id: str | None = None
    forgotten: bool = False


class TalentDmfExportToPackageOperator(BaseOperator):
    """Starts an export of a data project with ``ExportToPackage``, exactly once.

    The execution id is made before the call, from DAG, run, map index, project, legal entity and generation. A retry
    asks for that id first and adopts what it finds; it never starts a second export. Clearing the task begins a new
    generation: that exports anew. An id whose execution has failed for good is replaced.

    While another execution of the same data project is running, the task waits for it without a worker slot (or fails,
    with ``busy="fail"``): two exports of one project at a time disturb each other. Mapped over legal entities, with
    ``max_active_tis_per_dagrun=1``, each is started only when the one before has reached its end, whatever that is.
    Executions that others start in the very same seconds cannot be seen: the job history does not know them yet.

    :param definition_group_id: the data project's *name*.
    :param package_name: file name that the service gives the package.
    :param legal_entity_id: company code, such as ``USMF``.
    :param execution_id: an id of your own; made if ``None``.
    :param re_execute: the API's ``reExecute``.
    :param busy: ``wait`` or ``fail`` while another execution of the project is running.
    :param busy_timeout: longest wait for other executions; as text, a number and a unit such as ``30 min``, so that it
        may be a template.
    :param before: the operator that will save the package. What can be known about it (names, destination, rights) is
        checked before the export is started: an incremental export that cannot be saved is data lost.
    :param incremental: whether the data project exports changes only: then a backfill is refused, because its first
        run would take all changes.
    :param backfill: whether such a backfill is wanted all the same; as text, ``True``, so that it may be a template.
    :param check_only: whether nothing is exported: connections, data project, legal entity, destination and name are
        looked at, a table in the log says what was found, and the tasks after this one are skipped; as text, ``True``,
        so that it may be a template.
    :param talent_dmf_conn_id: connection to the environment.
    :param deferrable: whether a wait for another execution leaves the worker.
    :returns: XCom ``return_value``: the execution id. XCom ``job_page_url``: its page in Dynamics 365, if the
        execution was started by an earlier try; the service does not know a fresh one, so the status sensor asks.
    :raises AirflowFailException: a permanent error: no such data project, no rights, no valid connection.
    """

    template_fields: Sequence[str] = (
        "definition_group_id",
        "package_name",
        "legal_entity_id",
        "execution_id",
        "busy_timeout",
        "backfill",
        "check_only",
        "talent_dmf_conn_id",
    )
    operator_extra_links = (TalentDmfJobPageLink(),)
    ui_color = "#e8f0fb"
    argument_rules: ClassVar[Mapping[str, Rule]] = {
        "definition_group_id": text(),
        "package_name": text(),
        "legal_entity_id": text(),
        "execution_id": optional(text(most=MAX_LENGTH)),
        "re_execute": flag,
        "busy": choice("wait", "fail"),
        "busy_timeout": duration,
        "before": optional(having("check_before_export", "the operator that saves the package")),
        "incremental": flag,
        "backfill": flag_or_word,
        "check_only": flag_or_word,
        "talent_dmf_conn_id": arguments.CONN_ID,
        "deferrable": flag,
    }

    def __init__(
        self,
        *,
        definition_group_id: str,
        package_name: str,
        legal_entity_id: str,
        execution_id: str | None = None,
        re_execute: bool = False,
        busy: Literal["wait", "fail"] = "wait",
        busy_timeout: timedelta | str = timedelta(hours=6),
        before: SavesLater | None = None,
        incremental: bool = False,
        backfill: bool | str = False,
        check_only: bool | str = False,
        talent_dmf_conn_id: str = CONN_ID,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.definition_group_id = definition_group_id
        self.package_name = package_name
        self.legal_entity_id = legal_entity_id
        self.execution_id = execution_id
        self.re_execute = re_execute
        self.busy = busy
        self.busy_timeout = busy_timeout
        self.before: Any = before
        self.incremental = incremental
        self.backfill = backfill
        self.check_only = check_only
        # What a check looks at beside all this, as whoever makes the DAG knows it: schedule and time limits.
        self.also_checks: Callable[[Context], Sequence[Finding]] | None = None
        self.talent_dmf_conn_id = talent_dmf_conn_id
        self.deferrable = deferrable
        check_arguments(self, self.argument_rules, templated=tuple(self.template_fields))

    def execute(self, context: Context) -> str:
        """Start the export, or find the one that an earlier try has started."""
        with translated_errors(self.log, context):
            if str(self.check_only) == "True":
                from talent_dmf.operators.checks import report

                self.log.info("%s", report(self.findings(context), context, self.log))
                raise DownstreamTasksSkipped(tasks=sorted(self.downstream_task_ids))
            return self._start(context, Patience(datetime.now(UTC) + as_duration(self.busy_timeout)))

    def findings(self, context: Context, companies: Sequence[str] | None = None) -> Iterator[Finding]:
        """Look at everything that this export needs, and change nothing; the fields must be rendered.

        :param context: the task's context.
        :param companies: company codes; this operator's own if ``None``.
        """
        from talent_dmf.operators.checks import export_findings

        check_arguments(self, self.argument_rules)
        codes = [self.legal_entity_id] if companies is None else list(companies)
        before = copy(self.before)
        if before is not None:
            # In a mapped task it is known to nobody else; rendered it is already.
            before.legal_entity_id = literal(codes[0])
            before = rendered_in(context, before)
        yield from export_findings(self, before, codes, context, self.also_checks(context) if self.also_checks else ())

    def findings_for(self, companies: Sequence[str], context: Context) -> Iterator[Finding]:
        """The same for an operator whose fields are templates still.

        :param companies: company codes.
        :param context: what the templates need.
        """
        ready = copy(self)
        ready.legal_entity_id = literal(companies[0])  # type: ignore[assignment]
        for name in self.template_fields:
            setattr(ready, name, self.render_template(getattr(ready, name), context))
        yield from ready.findings(context, companies)

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Go on after a wait for another execution."""
        from talent_dmf.api.dmf.models import ExecutionEvent

        with translated_errors(self.log, context):
            if not isinstance(event, dict) or not event.get("execution_id"):
                raise ProtocolError(
                    f"The wait for another execution of data project {self.definition_group_id!r} was resumed without "
                    "a readable event. Retry the task."
                )
            seen = ExecutionEvent.from_json(event, str(event["execution_id"]))
            if seen.kind == "error" and not seen.retryable:
                raise AirflowFailException(seen.message)
            deadline = datetime.fromisoformat(seen.deadline or seen.started_at)
            patience = Patience(deadline, seen.execution_id, forgotten=seen.kind == "unsettled")
            return self._start(context, patience)

    def _start(self, context: Context, patience: Patience) -> str:
        from talent_dmf.api.dmf.models import ExportRequest

        check_arguments(self, self.argument_rules)
        hook = _hook(self.talent_dmf_conn_id)
        request = ExportRequest(
            definition_group_id=self._project(),
            package_name=self.package_name,
            legal_entity_id=check_legal_entity(self.legal_entity_id),
            execution_id=self._id_of_all_tries(context, hook),
            re_execute=self.re_execute,
        )
        self._check_before(context, hook, request)
        turn = Turn(context["ti"])
        turn.announce(request.execution_id)
        while True:
            try:
                started = hook.start_export(request, self._policy(context, turn, patience))
                break
            except ExportBusyError as busy:
                patience = self._wait_for_other(hook, busy, patience)
        turn.started(started.execution_id)
        self._say_backfill(context)
        self.log.info(
            "Export of data project %r for legal entity %s %s as execution %s.",
            request.definition_group_id,
            request.legal_entity_id,
            "was found, started before," if started.adopted else "started",
            started.execution_id,
        )
        if not started.adopted:
            Metrics(context["ti"].dag_id, request.legal_entity_id).count("exports.started")
            # The tasks after this one ask for its page: the service does not know what has just begun.
            keep_for_links(context, **{JOB_PAGE_XCOM_KEY: ""})
        else:
            find_job_page(context, hook, started.execution_id, self.log, told=())
        return started.execution_id

    def _check_before(self, context: Context, hook: TalentDmfHook, request: ExportRequest) -> None:
        """Refuse what cannot end well, before the export is spent; one that was started already is spent."""
        check_package_name(request.package_name)
        try:
            self._refuse_backfill(context)
            if self.before is not None:
                rendered_in(context, self.before).check_before_export(context, request.execution_id)
        except TalentDmfError as error:
            if context["ti"].try_number == 1 or hook.execution_status(request.execution_id) is None:
                raise
            self.log.warning("%s The export was started already, so it is waited for.", error.message)

    def _say_backfill(self, context: Context) -> None:
        """Say of a run of a backfill that its rows are of today: neither the dialog nor the run's date does."""
        if not is_backfill(context):
            return
        due = context.get("data_interval_end")
        sentence = (
            f"This run of a backfill{f' for {due:%Y-%m-%d}' if due else ''} exports the data of today, "
            f"{datetime.now(UTC):%Y-%m-%d}: Dynamics 365 exports its present state, whatever date a run is for."
        )
        self.log.warning("%s", sentence)
        keep_notice(context, sentence)

    def _refuse_backfill(self, context: Context) -> None:
        if is_backfill(context) and self.incremental and str(self.backfill) != "True":
            raise ConfigurationError(
                f"Data project {self.definition_group_id!r} exports changes only, so the first run of a backfill would "
                "take all of them and the others none; a backfill exports the data of today in any case. To do it "
                'all the same, create the backfill with the run configuration {"backfill": true}.'
            )

    def _policy(self, context: Context, turn: Turn, patience: Patience) -> StartPolicy:
        from talent_dmf.api.dmf.starting import StartPolicy

        started, perhaps = turn.before()
        if patience.forgotten:
            started = tuple(each for each in started if each != patience.execution_id)
        tried_before = context["ti"].try_number > 1
        return StartPolicy(
            tried_before=tried_before,
            # Airflow lets a try run once, and the id holds what tells this generation from every other.
            is_first_try=not tried_before and not self.execution_id,
            started_before=started,
            perhaps_started_before=perhaps,
            given_up=(patience.execution_id or "") if patience.forgotten else "",
        )

    def _project(self) -> str:
        project = self.definition_group_id.strip()
        if not project:
            raise AirflowFailException(
                "The data project's name is empty; set `definition_group_id` to the project's name."
            )
        return project

    def _id_of_all_tries(self, context: Context, hook: TalentDmfHook) -> str:
        if context["ti"].try_number > 1 and not self.execution_id:
            # An earlier try may have run before an upgrade from a release whose ids had no date.
            before = self._execution_id(context, dated=False)
            if hook.execution_status(before) is not None:
                return before
        return self._execution_id(context)

    def _execution_id(self, context: Context, *, dated: bool = True) -> str:
        if self.execution_id:
            return self.execution_id
        ti, dag_run = context["ti"], context["dag_run"]
        # start_date tells this run from one of the same id in another or a reset Airflow; it changes only when a
        # finished run is cleared. max_tries changes only when the task itself is cleared (Airflow sets it to
        # try_number + retries), so retries share an id and a clear exports anew.
        started = dag_run.start_date
        deployment = conf.get("api", "base_url", fallback="")
        prefix = {"prefix": dated_prefix(deployment, started.astimezone(UTC).date())} if started and dated else {}
        return new_execution_id(
            self.definition_group_id.strip(),
            self.legal_entity_id.strip().upper(),
            ti.dag_id,
            ti.run_id,
            ti.task_id,
            ti.map_index,
            started.isoformat() if started else "",
            ti.max_tries,
            **prefix,
        )

    def _wait_for_other(self, hook: TalentDmfHook, busy: ExportBusyError, patience: Patience) -> Patience:
        from talent_dmf.api.dmf.models import WaitState
        from talent_dmf.api.dmf.waiting import Unsettled, WaitPolicy, watch
        from talent_dmf.triggers.talent_dmf import TalentDmfExecutionStatusTrigger

        its_turn = not isinstance(busy, NotYetItsTurnError)
        if self.busy == "fail" and its_turn:
            raise busy
        moment = datetime.now(UTC)
        if not its_turn and busy.execution_id != patience.execution_id:
            # Each export before this one may take its time.
            patience = Patience(moment + as_duration(self.busy_timeout), busy.execution_id)
        if moment >= patience.deadline:
            raise WaitTimeoutError(
                f"Data project {self.definition_group_id!r} has been busy with other executions for longer "
                f"than {in_words(as_duration(self.busy_timeout))}, the last one {busy.execution_id}. Look at it under "
                "Data management > Job history."
            )
        self.log.info("%s The task waits for it.", busy.message)
        if self.deferrable:
            self.defer(
                trigger=TalentDmfExecutionStatusTrigger(
                    execution_id=busy.execution_id,
                    started_at=moment.isoformat(),
                    deadline=patience.deadline.isoformat(),
                    talent_dmf_conn_id=self.talent_dmf_conn_id,
                ),
                method_name="resume",
            )
        result = hook.run(watch(busy.execution_id, WaitPolicy(), WaitState(started_at=moment), until=patience.deadline))
        return Patience(patience.deadline, busy.execution_id, forgotten=isinstance(result, Unsettled))


class TalentDmfExportedPackageUrlOperator(BaseOperator):
    """Waits until the package of a finished export exists, reads its size and contents by ranged reads, and passes on
    where it lies, without the signature that opens it: XComs are readable by every viewer and are not masked.

    An entity of which the package holds no data file is reported in the log: as empty if Dynamics 365 says that no rows
    of it were exported, as unknown if it says nothing. If it says that there were rows, the task fails.

    :param execution_id: the finished execution.
    :param package_timeout_seconds: longest wait for the package: ``GetExportedPackageUrl`` answers an empty string for
        a while even after success.
    :param talent_dmf_conn_id: connection to the environment.
    :returns: XCom ``return_value``: ``execution_id``, ``host``, ``path``, ``size_bytes``, ``etag``, ``expires_at``,
        ``extracted_at``, ``entities``, ``without_file``, ``job_page_url``.
    :raises AirflowFailException: there is no package, or it is not the package that it should be.
    """

    template_fields: Sequence[str] = ("execution_id", "talent_dmf_conn_id")
    operator_extra_links = (TalentDmfJobPageLink(),)
    ui_color = "#e8f0fb"

    argument_rules: ClassVar[Mapping[str, Rule]] = {
        "execution_id": text(),
        "package_timeout_seconds": number(0, arguments.WEEK_SECONDS),
        "talent_dmf_conn_id": arguments.CONN_ID,
    }

    def __init__(
        self,
        *,
        execution_id: str,
        package_timeout_seconds: float = 600.0,
        talent_dmf_conn_id: str = CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.execution_id = execution_id
        self.package_timeout_seconds = package_timeout_seconds
        self._lineage: Lineage | None = None
        self.talent_dmf_conn_id = talent_dmf_conn_id
        check_arguments(self, self.argument_rules, templated=tuple(self.template_fields))

    def execute(self, context: Context) -> dict[str, Any]:
        """Find the package and look into it."""
        from talent_dmf.api.package.reference import missing_files
        from talent_dmf.lineage import Lineage

        with translated_errors(self.log, context):
            check_arguments(self, self.argument_rules)
            hook = _hook(self.talent_dmf_conn_id)
            page = find_job_page(context, hook, self.execution_id, self.log)
            reference, contents = hook.look_into_package(
                self.execution_id, timeout_seconds=self.package_timeout_seconds
            )
            self._lineage = Lineage(
                hook.settings.base_url,
                contents.definition_group_id,
                self.execution_id,
                columns={entity.name: entity.fields for entity in contents.entities},
            )
            if reference.without_file:
                outcomes = hook.entity_outcomes(self.execution_id)
                self.log.warning("%s", missing_files(reference, [(each.entity_name, each.rows) for each in outcomes]))
        self.log.info(
            "Package of execution %s: %d bytes, data files: %s.",
            self.execution_id,
            reference.size_bytes,
            ", ".join(reference.entities) or "none",
        )
        return {**reference.to_json(), JOB_PAGE_XCOM_KEY: page}

    def get_openlineage_facets_on_complete(self, _: Any) -> Any:
        """What the openlineage provider asks for: the entities with their columns."""
        from talent_dmf.lineage import operator_lineage

        return operator_lineage(self._lineage) if self._lineage is not None else None
