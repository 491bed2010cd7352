"""What is said when an export is late.

Two clocks run. The deadline alert of the DAG watches the whole run, from queued to done, and its callback runs in the
triggerer; the sensor's own ``sla`` watches the wait alone, inside the task. Both write a log line of the logger
``talent_dmf.notifications``; the deadline also tells whoever the catalogue names (docs/how-to/alerts.md).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from talent_dmf.api.durations import in_words
from talent_dmf.links import JOB_PAGE_XCOM_KEY
from talent_dmf.metrics import Metrics
from talent_dmf.runs import BACKFILL

if TYPE_CHECKING:
    from airflow.sdk import Context

    from talent_dmf.notifications.channels import Channel

log = logging.getLogger("talent_dmf.notifications")

# States of a DAG run, as the REST API spells them.
_RUN_FAILED = "failed"
_RUN_SUCCEEDED = "success"
_RUN_QUEUED, _RUN_RUNNING = "queued", "running"


def deadline_sentence(context: Mapping[str, Any], *, export: str, sla: str) -> tuple[int, str]:
    """What a missed deadline means.

    Airflow 3.3 lets the deadline of a run that has already failed pass as well (docs/wire/airflow.md#deadlines), so the
    run's state decides what is said: a failure has been reported as one and is not late too.

    :param context: ``dag_run`` and ``deadline``, as Airflow hands them to a deadline callback.
    :param export: name of the export.
    :param sla: the promised duration, in words.
    :returns: log level and sentence.
    """
    run = context.get("dag_run") or {}
    run_id, state = run.get("dag_run_id") or run.get("run_id") or "?", run.get("state")
    if run.get("run_type") == BACKFILL and state in {_RUN_QUEUED, _RUN_RUNNING}:
        # Runs of a backfill are queued together and take turns: what waits for its turn is not late. Each is late by
        # the clock of its own wait, which begins when it does.
        return logging.INFO, (
            f"Export {export}, run {run_id} of a backfill: not finished {sla} after it was queued (state: {state}). "
            "The runs of a backfill wait for each other; each is late only when it has waited that long itself."
        )
    if state == _RUN_SUCCEEDED:
        return logging.INFO, f"Export {export}, run {run_id}: succeeded, but not within {sla}."
    if state == _RUN_FAILED:
        return logging.INFO, (
            f"Export {export}, run {run_id}: failed before its deadline of {sla} after it was queued; see the failed "
            "task's log."
        )
    return logging.ERROR, (
        f"Export {export}, run {run_id}: not finished {sla} after it was queued (state: {state or 'unknown'}). The run "
        "goes on; see the log of wait_for_export."
    )


async def report_missed_deadline(
    context: Mapping[str, Any], export: str, sla: str, channels: Sequence[Channel] = ()
) -> str | None:
    """Callback of the DAG's deadline alert; runs in the triggerer.

    :param context: ``dag_run`` and ``deadline``, as Airflow hands them over.
    :param export: name of the export.
    :param sla: the promised duration, in words.
    :param channels: who is to be told of it, see :mod:`talent_dmf.notifications.channels`.
    :returns: who was told, in JSON, which Airflow keeps with the deadline; ``None`` if nobody was to be told. It must
        be a text: over anything else the whole triggerer ends (docs/wire/airflow.md#deadlines).
    """
    # Imported where it runs, here and below: every DAG file names this function.
    from talent_dmf.notifications.alert import Alert, safe_sentence
    from talent_dmf.notifications.channels import reason
    from talent_dmf.notifications.telling import atell, chosen, remember

    level, sentence = deadline_sentence(context, export=export, sla=sla)
    log.log(level, "%s", sentence)
    if level == logging.ERROR:
        run = context.get("dag_run") or {}
        Metrics(str(run.get("dag_id") or ""), in_triggerer=True).count("late.runs")
    wanted = chosen(channels, "late")
    if level != logging.ERROR or not wanted:
        return None
    try:
        if chosen(channels, "recovered"):
            # First: on a busy machine the run may be over before its links are known and everybody is told.
            await asyncio.to_thread(remember, export, "late")
        run = context.get("dag_run") or {}
        dag_id, run_id = str(run.get("dag_id") or ""), str(run.get("dag_run_id") or run.get("run_id") or "")
        alert = Alert(
            event="late",
            export=export,
            sentence=safe_sentence(sentence),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            dag_id=dag_id,
            run_id=run_id,
            links=await asyncio.to_thread(_links, dag_id, run_id),
        )
        return json.dumps(await atell(wanted, alert))
    except Exception as error:  # noqa: BLE001 - an alert that fails harms nothing
        log.warning("The alert that export %s is late was not completed: %s.", export, reason(error))
        return None


def _links(dag_id: str, run_id: str) -> dict[str, str]:
    from talent_dmf.notifications.alert import ui_links
    from talent_dmf.notifications.channels import reason

    links = ui_links(dag_id, run_id, "wait_for_export")
    try:
        from airflow.sdk.execution_time.xcom import XCom

        page = XCom.get_one(key=JOB_PAGE_XCOM_KEY, dag_id=dag_id, run_id=run_id, task_id="wait_for_export")
    except Exception as error:  # noqa: BLE001 - a link only informs
        log.debug("The page of the execution is not known: %s", reason(error))
        return links
    return {**links, "Dynamics 365": page} if isinstance(page, str) and page.startswith("https://") else links


def notify_sla_missed(context: Context, *, execution_id: str, sla: timedelta | None) -> str:
    """Say that the wait for an export takes longer than promised. The sensor calls it once per wait.

    :param context: the sensor's task context.
    :param execution_id: the execution that is waited for.
    :param sla: the promised duration.
    :returns: the sentence that was said.
    """
    ti = context["ti"]
    after = f" after {in_words(sla)}" if sla is not None else " in time"
    sentence = (
        f"Export {ti.dag_id}, run {ti.run_id}: execution {execution_id} is not finished{after}. The wait goes on."
    )
    log.error("%s", sentence)
    Metrics(ti.dag_id).count("late.waits")
    return sentence
