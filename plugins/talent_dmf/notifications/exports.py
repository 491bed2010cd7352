"""The callbacks of an export's DAG and tasks: they turn what Airflow says into an alert."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from talent_dmf.links import JOB_PAGE_XCOM_KEY, known_job_page
from talent_dmf.notifications.alert import WORDS, Alert, safe_sentence, ui_links
from talent_dmf.notifications.channels import Channel, reason
from talent_dmf.notifications.telling import chosen, forget, recall, remember, tell
from talent_dmf.runs import is_backfill, only_checks

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

# XCom key under which a task says who was told: a list of channel, target, at, delivered.
NOTIFIED_XCOM_KEY = "notified"
_ENDED_FROM_OUTSIDE = (
    "The task's process was ended from outside: out of memory, or its worker went away. See its log, then clear it."
)


@dataclass(frozen=True)
class ExportAlerts:
    """What to say about the runs of one export, and to whom.

    :param export: name of the export.
    :param channels: where to, see :mod:`talent_dmf.notifications.channels`.
    :param several: whether it exports several legal entities, so that an alert has to say which.
    """

    export: str
    channels: Sequence[Channel]
    several: bool = False

    def wanted(self, event: str) -> bool:
        """Whether anybody wants to hear of an event.

        :param event: ``failed``, ``late``, ``empty`` or ``recovered``.
        """
        return bool(chosen(self.channels, event))

    def failed(self, context: Context) -> None:
        """``on_failure_callback`` of the tasks: called once, when no try is left.

        :param context: the task's.
        """
        error = context.get("exception")
        words = f"{error}" if error is not None else _ENDED_FROM_OUTSIDE
        if isinstance(error, BaseException) and not str(error):
            words = type(error).__name__
        self._tell("failed", words, context)

    def waited(self, context: Context) -> None:
        """``on_success_callback`` of the task that waits: whether the export holds rows is known then.

        :param context: the task's.
        """
        try:
            result = context["ti"].xcom_pull(task_ids=context["ti"].task_id, map_indexes=_map_index(context))
        except Exception as error:  # noqa: BLE001 - an alert that fails harms nothing
            log.warning("It could not be read whether the export holds rows: %s.", reason(error))
            return
        if isinstance(result, dict) and result.get("rows") == 0:
            self.empty(context)

    def empty(self, context: Context) -> None:
        """``on_skipped_callback`` of the task that waits: it skips the rest only if there are no rows.

        :param context: the task's.
        """
        self._tell(
            "empty",
            "The export holds no rows: nothing has changed since the last incremental export, or the legal entity or a "
            "filter of the data project matches nothing.",
            context,
        )

    def late(self, context: Context, sentence: str) -> None:
        """``on_late`` of the task that waits. Of all runs but those of a backfill the deadline tells, which counts from
        the queue.

        :param context: the task's.
        :param sentence: what the task says itself.
        """
        if is_backfill(context):
            self._tell("late", sentence, context)

    def recovered(self, context: Context) -> None:
        """``on_success_callback`` of the DAG: a run has succeeded after people were told of trouble.

        :param context: the run's, as the DAG processor hands it over.
        """
        # A run that only checked proves no export.
        before = None if only_checks(context) else recall(self.export)
        if before is None:
            return
        try:
            run_id = str(context.get("run_id") or "")
            dag_id = str(getattr(context.get("dag"), "dag_id", ""))
            alert = Alert(
                event="recovered",
                export=self.export,
                sentence=safe_sentence(
                    f"Run {run_id} succeeded. The trouble told of at {before.get('at', 'an earlier time')} is over."
                ),
                at=_now(),
                dag_id=dag_id,
                run_id=run_id,
                links=ui_links(dag_id, run_id),
            )
            tell(chosen(self.channels, "recovered"), alert)
        except Exception as error:  # noqa: BLE001 - see above
            log.warning("No alert could be made of the run: %s.", reason(error))
        forget(self.export)

    def _tell(self, event: str, words: str, context: Context) -> None:
        if only_checks(context):
            # Whoever triggered it is looking at it.
            return
        try:
            alert = self._alert(event, words, context)
            told = tell(chosen(self.channels, event), alert)
            if not told:
                return
            if event in {"failed", "late"} and self.wanted("recovered"):
                remember(self.export, event)
            context["ti"].xcom_push(key=NOTIFIED_XCOM_KEY, value=told)
        except Exception as error:  # noqa: BLE001 - an alert that fails harms nothing
            log.warning("The alert that export %s %s was not completed: %s.", self.export, WORDS[event], reason(error))

    def _alert(self, event: str, words: str, context: Context) -> Alert:
        ti = context["ti"]
        index = _map_index(context)
        links = ui_links(ti.dag_id, ti.run_id, ti.task_id, index, ti.try_number)
        page = _job_page(context)
        return Alert(
            event=event,
            export=self.export,
            sentence=safe_sentence(words),
            at=_now(),
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            company=_company(context) if self.several else "",
            links={**links, "Dynamics 365": page} if page else links,
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _map_index(context: Context) -> int:
    index = getattr(context["ti"], "map_index", None)
    return index if isinstance(index, int) else -1


def _company(context: Context) -> str:
    """The company code of a mapped task, as the operators hold it; empty if it is not known."""
    task: Any = context.get("task") or getattr(context["ti"], "task", None)
    code = getattr(task, "legal_entity_id", None)
    if isinstance(code, str) and code and "{" not in code:
        return code
    companies: Any = _pulled(context, "legal_entities", "return_value", -1)
    index = _map_index(context)
    if isinstance(companies, list | tuple) and 0 <= index < len(companies):
        return str(companies[index])
    return ""


def _job_page(context: Context) -> str:
    task_id = context["ti"].task_id
    group = f"{task_id.rpartition('.')[0]}." if "." in task_id else ""
    page: Any = known_job_page(context.get("task"))
    if page:
        return str(page)
    if task_id not in {f"{group}trigger_export", f"{group}wait_for_export"}:
        page = _pulled(context, f"{group}wait_for_export", JOB_PAGE_XCOM_KEY, _map_index(context))
    return page if isinstance(page, str) and page.startswith("https://") else ""


def _pulled(context: Mapping[str, Any] | Context, task_id: str, key: str, index: int) -> Any:
    try:
        return context["ti"].xcom_pull(task_ids=task_id, key=key, map_indexes=index)
    except Exception as error:  # noqa: BLE001 - a link only informs
        log.debug("XCom %s of %s could not be read: %s", key, task_id, reason(error))
        return None
