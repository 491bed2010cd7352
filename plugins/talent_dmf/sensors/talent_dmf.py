"""The sensor that waits until an export is finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from airflow.sdk import BaseSensorOperator, PokeReturnValue, conf
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

from talent_dmf.airflow_errors import translated_errors
from talent_dmf.api.arguments import (
    CONN_ID,
    WEEK_SECONDS,
    Rule,
    check_arguments,
    choice,
    duration,
    flag,
    having,
    number,
    optional,
    text,
)
from talent_dmf.api.choices import OnEmpty, PartialSuccess
from talent_dmf.api.dmf.status import DmfExecutionStatus
from talent_dmf.api.durations import as_duration, in_words
from talent_dmf.api.errors import ExportEmptyError, TransportError
from talent_dmf.api.words import counted
from talent_dmf.links import JOB_PAGE_XCOM_KEY, TalentDmfJobPageLink, find_job_page, keep_for_links, known_job_page
from talent_dmf.metrics import Metrics
from talent_dmf.notifications import notify_sla_missed

if TYPE_CHECKING:
    from airflow.sdk import Context

    from talent_dmf.api.dmf.models import WaitState
    from talent_dmf.api.dmf.reporting import ExportReport
    from talent_dmf.api.dmf.waiting import WaitPolicy, WatchResult
    from talent_dmf.hooks.talent_dmf import TalentDmfHook

_UNSETTLED_KEY = "unsettled_since"


class TalentDmfExecutionStatusSensor(BaseSensorOperator):
    """Waits until an execution is finished, and fails if it did not end well.

    It asks first and defers afterwards: a short export ends on the worker, because a deferral costs about three
    seconds. ``timeout``, ``poke_interval``, ``soft_fail`` and ``retries`` mean the same whether it defers or not. On a
    bad end, the task log and the exception say entity by entity what went wrong.

    :param execution_id: the execution to wait for.
    :param partial_success: whether ``PartiallySucceeded`` is a failure (``fail``) or counts (``accept``).
    :param on_empty: what to do with an export without rows: ``save`` it, ``skip`` the rest of the run, or ``fail``.
    :param time_limit: in the place of ``timeout``, where that is to be a template: a number and a unit, such as
        ``30 min``, or a ``timedelta``.
    :param sla: after this time one warning is given (see :mod:`talent_dmf.notifications`), and the wait goes on.
    :param on_late: called with the context and one sentence when ``sla`` has passed, in the task's own process.
    :param short_export_seconds: how long the worker itself waits before the task defers; not at all where the
        environment has a quota, because the triggerer's list watches all exports at once.
    :param grace_seconds: how long "execution details were not found" and ``Unknown`` are tolerated.
    :param talent_dmf_conn_id: connection to the environment.
    :param deferrable: whether to wait in the triggerer.
    :returns: XCom ``return_value``: ``execution_id``, ``status``, ``rows``, ``job_page_url``, ``entities``.
    :raises AirflowFailException: the export failed, was canceled, or succeeded in part and that counts as failure.
    :raises AirflowSensorTimeout: not finished within ``timeout``.
    """

    template_fields: Sequence[str] = ("execution_id", "time_limit", "talent_dmf_conn_id")
    operator_extra_links = (TalentDmfJobPageLink(),)
    ui_color = "#fdf3e0"
    argument_rules: ClassVar[Mapping[str, Rule]] = {
        "execution_id": text(),
        "partial_success": choice(*get_args(PartialSuccess)),
        "on_empty": choice(*get_args(OnEmpty)),
        "time_limit": optional(duration),
        "sla_after": optional(duration),
        "on_late": optional(having("__call__", "a function")),
        "short_export_seconds": number(0, WEEK_SECONDS),
        "grace_seconds": number(0, WEEK_SECONDS),
        "talent_dmf_conn_id": CONN_ID,
        "deferrable": flag,
    }

    def __init__(
        self,
        *,
        execution_id: str,
        partial_success: PartialSuccess = "fail",
        on_empty: OnEmpty = "save",
        time_limit: timedelta | str | None = None,
        sla: timedelta | str | None = None,
        on_late: Callable[[Context, str], None] | None = None,
        short_export_seconds: float = 15.0,
        grace_seconds: float = 300.0,
        talent_dmf_conn_id: str = "talent_dmf_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.execution_id = execution_id
        self.partial_success = partial_success
        self.on_empty = on_empty
        self.time_limit = time_limit
        self.sla_after: Any = sla
        self.on_late = on_late
        self._began: datetime | None = None
        self.short_export_seconds = short_export_seconds
        self.grace_seconds = grace_seconds
        self.talent_dmf_conn_id = talent_dmf_conn_id
        self.deferrable = deferrable
        check_arguments(self, self.argument_rules, templated=tuple(self.template_fields))
        self.sla_after = None if sla is None else as_duration(sla)

    @property
    def wait_policy(self) -> WaitPolicy:
        """How to wait, in the core's words."""
        # Imported where it runs, here and below: a DAG file must not pay for it.
        from talent_dmf.api.dmf.waiting import WaitPolicy

        return WaitPolicy(poke_interval_seconds=self.poke_interval, grace_seconds=self.grace_seconds)

    def execute(self, context: Context) -> Any:
        """Ask, wait on the worker for a while, then defer or go on asking."""
        self._apply_time_limit(context)
        if self.reschedule:
            return super().execute(context)
        from talent_dmf.api.dmf.models import WaitState
        from talent_dmf.api.dmf.waiting import OutOfTime

        started = self._began = datetime.now(UTC)
        deadline = started + timedelta(seconds=self.timeout)
        worker_until = (
            min(deadline, started + timedelta(seconds=self.short_export_seconds)) if self.deferrable else deadline
        )
        with self._soft_failing(), translated_errors(self.log, context):
            hook = self._hook()
            result: WatchResult
            if self.deferrable and hook.is_scarce:
                # The triggerer's list shows this execution together with all others.
                result, worker_until = OutOfTime(WaitState(started_at=started)), started
            else:
                result = self._watch_on_worker(context, hook, WaitState(started_at=started), worker_until)
                # Not before: in its first seconds the service does not know the execution.
                find_job_page(context, hook, self.execution_id, self.log, told=())
            if isinstance(result, OutOfTime) and self.deferrable and datetime.now(UTC) < deadline:
                sla_at = self._sla_at(started, after=datetime.now(UTC))
                if sla_at is None and (self._sla_at(started) or worker_until) > worker_until:
                    # It has passed while the service was asked.
                    self._say_sla_missed(context)
                self._defer(context, result.state, deadline, sla_at)
            return self._ended(context, hook, result)

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Ask once, for ``mode="reschedule"``: what must be remembered is kept in the task's state store."""
        from talent_dmf.api.dmf.models import WaitState
        from talent_dmf.api.dmf.waiting import Finished, Unsettled, observe

        with translated_errors(self.log, context):
            hook = self._hook()
            store = context["task_state_store"]
            moment = datetime.now(UTC)
            since = store.get(_UNSETTLED_KEY)
            state = WaitState(
                started_at=moment,
                unsettled_since=datetime.fromisoformat(since) if isinstance(since, str) and since else None,
            )
            decision, state = observe(hook.execution_status(self.execution_id), state, moment, self.wait_policy)
            store.set(_UNSETTLED_KEY, state.unsettled_since.isoformat() if state.unsettled_since else "")
            if isinstance(decision, Finished | Unsettled):
                return PokeReturnValue(is_done=True, xcom_value=self._ended(context, hook, decision))
            return False

    def execute_complete(
        self, context: Context, event: dict[str, Any] | None = None, job_page_url: str = ""
    ) -> dict[str, Any]:
        """Resume with what the trigger saw; anything that is not a clear answer fails (R6)."""
        from talent_dmf.api.dmf.models import ExecutionEvent, WaitState
        from talent_dmf.api.dmf.waiting import Finished, OutOfTime, Unsettled

        self._apply_time_limit(context)
        keep_for_links(context, **{JOB_PAGE_XCOM_KEY: job_page_url})
        with translated_errors(self.log, context):
            seen = ExecutionEvent.from_json(event, self.execution_id)
            hook = self._hook()
            started = self._began = datetime.fromisoformat(seen.started_at)
            since = datetime.fromisoformat(seen.unsettled_since) if seen.unsettled_since else None
            state = WaitState(started_at=started, unsettled_since=since)
            if seen.kind == "error":
                if seen.retryable:
                    raise TransportError(seen.message)
                raise AirflowFailException(seen.message)
            if seen.kind == "sla_missed":
                self._say_sla_missed(context)
                deadline = datetime.fromisoformat(seen.deadline) if seen.deadline else None
                self._defer(context, state, deadline, None)
            result: WatchResult
            status = DmfExecutionStatus.parse(seen.status)
            if seen.kind == "timed_out":
                result = OutOfTime(state)
            elif seen.kind == "finished" and status is not None:
                result = Finished(status)
            else:
                result = Unsettled(status)
            return self._ended(context, hook, result)

    def _apply_time_limit(self, context: Context) -> None:
        with translated_errors(self.log, context):
            check_arguments(self, self.argument_rules)
            # `timeout` is a number, which a template cannot be, and BaseSensorOperator reads it too.
            if self.time_limit is not None:
                self.timeout = as_duration(self.time_limit).total_seconds()

    def _hook(self) -> TalentDmfHook:
        from talent_dmf.hooks.talent_dmf import TalentDmfHook

        return TalentDmfHook(self.talent_dmf_conn_id)

    def _watch_on_worker(self, context: Context, hook: TalentDmfHook, state: WaitState, until: datetime) -> WatchResult:
        from talent_dmf.api.dmf.waiting import OutOfTime, watch

        sla_at = self._sla_at(state.started_at)
        if sla_at is not None and sla_at < until:
            result = hook.run(watch(self.execution_id, self.wait_policy, state, until=sla_at))
            if not isinstance(result, OutOfTime):
                return result
            self._say_sla_missed(context)
            state = result.state
        return hook.run(watch(self.execution_id, self.wait_policy, state, until=until))

    def _sla_at(self, started: datetime, after: datetime | None = None) -> datetime | None:
        moment = started + self.sla_after if self.sla_after is not None else None
        return None if moment is None or (after is not None and moment <= after) else moment

    def _say_sla_missed(self, context: Context) -> None:
        sentence = notify_sla_missed(context, execution_id=self.execution_id, sla=self.sla_after)
        if self.on_late is not None:
            self.on_late(context, sentence)

    def _defer(self, context: Context, state: WaitState, deadline: datetime | None, sla_at: datetime | None) -> None:
        from talent_dmf.sensors.history import earlier_waits
        from talent_dmf.triggers.talent_dmf import TalentDmfExecutionStatusTrigger

        # The trigger ends the wait itself at its deadline; the framework's own limit, looked at every 15 seconds
        # only, stands behind it in case that the triggerer is away.
        usual = earlier_waits(context)
        self.log.info("The wait for %s goes on in the triggerer%s.", self.execution_id, f"; {usual}" if usual else "")
        remaining = None if deadline is None else max(timedelta(seconds=1), deadline - datetime.now(UTC))
        self.defer(
            trigger=TalentDmfExecutionStatusTrigger(
                execution_id=self.execution_id,
                started_at=state.started_at.isoformat(),
                talent_dmf_conn_id=self.talent_dmf_conn_id,
                deadline=deadline.isoformat() if deadline else None,
                sla_at=sla_at.isoformat() if sla_at else None,
                unsettled_since=state.unsettled_since.isoformat() if state.unsettled_since else None,
                poke_interval_seconds=self.poke_interval,
                grace_seconds=self.grace_seconds,
                usual=usual,
            ),
            method_name="execute_complete",
            kwargs={JOB_PAGE_XCOM_KEY: page} if (page := known_job_page(self)) else None,
            timeout=remaining + timedelta(seconds=30) if remaining else None,
        )

    def _ended(self, context: Context, hook: TalentDmfHook, result: WatchResult) -> dict[str, Any]:
        from talent_dmf.api.dmf.reporting import ExportReport, export_error
        from talent_dmf.api.dmf.waiting import Finished, OutOfTime

        metrics = Metrics(context["ti"].dag_id)
        if self._began is not None:
            metrics.took("export_duration", datetime.now(UTC) - self._began)
        if isinstance(result, OutOfTime):
            metrics.count("executions.timed_out")
            limit = in_words(timedelta(seconds=self.timeout))
            raise AirflowSensorTimeout(
                f"Export {self.execution_id} is not finished after {limit}; it may still be running in Dynamics 365. "
                "Raise the time limit and clear this task: it goes on waiting for the same export."
            )
        status = result.status
        metrics.count(f"executions.{status.name.lower() if status else 'unknown'}")
        if isinstance(result, Finished) and status is DmfExecutionStatus.SUCCEEDED:
            report = ExportReport(entities=tuple(hook.entity_outcomes(self.execution_id)))
        else:
            report = hook.export_report(self.execution_id)
            for line in report.lines():
                self.log.warning("%s", line)
        error = export_error(self.execution_id, status, report, self.partial_success)
        if error is not None:
            raise error
        metrics.measured("rows", report.rows)
        if report.rows == 0:
            metrics.count("exports.empty")
        self._check_rows(report)
        self.log.info(
            "Export %s: %s, %s.",
            self.execution_id,
            status,
            "rows unknown" if report.rows is None else counted(report.rows, "row"),
        )
        return {
            "execution_id": self.execution_id,
            "status": str(status),
            "rows": report.rows,
            JOB_PAGE_XCOM_KEY: known_job_page(self),
            "entities": [
                {
                    "entity": entity.entity_name,
                    "rows": entity.rows,
                    "status": entity.target_status or entity.staging_status,
                }
                for entity in report.entities
            ],
        }

    def _check_rows(self, report: ExportReport) -> None:
        if report.rows != 0:
            return
        sentence = (
            f"Export {self.execution_id} holds no rows. Nothing has changed since the last incremental export, or the "
            "legal entity or a filter of the data project matches nothing: look at them if rows were expected."
        )
        if self.on_empty == "skip":
            raise AirflowSkipException(sentence)
        if self.on_empty == "fail":
            raise ExportEmptyError(sentence, execution_id=self.execution_id)
        self.log.warning("%s The package is saved all the same (`on_empty: save`).", sentence)

    def _soft_failing(self) -> _SoftFailing:
        return _SoftFailing(soft_fail=self.soft_fail, never_fail=self.never_fail)


class _SoftFailing:
    """What ``BaseSensorOperator.execute`` does with ``soft_fail`` and ``never_fail``, for our own ``execute``."""

    def __init__(self, *, soft_fail: bool, never_fail: bool) -> None:
        self._soft_fail, self._never_fail = soft_fail, never_fail

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, AirflowSkipException) or not isinstance(error, Exception):
            return
        if self._soft_fail and isinstance(error, AirflowSensorTimeout | AirflowFailException):
            raise AirflowSkipException(f"Skipped because soft_fail is set: {error}") from error
        if self._never_fail:
            raise AirflowSkipException(f"Skipped because never_fail is set: {error}") from error
