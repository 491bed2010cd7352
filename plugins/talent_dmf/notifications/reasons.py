"""Why a task failed: the last line of its log, and what notes and the Exports page say."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from talent_dmf.metrics import Metrics
from talent_dmf.notes import keep_reason

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


def say_failure(context: Context) -> None:
    """Callback of a task that has failed for good: the last line of its log is the reason, alone.

    :param context: the task's context.
    """
    # Imported where it runs: every DAG file names this function.
    from talent_dmf.notifications.alert import safe_sentence

    reason = _reason(context)
    # Once more, for errors that are none of ours, such as a timeout of Airflow's.
    keep_reason(context, safe_sentence(reason))
    Metrics(context["ti"].dag_id).count("exports.failed")
    log.error("%s", reason)


def say_retry(context: Context) -> None:
    """Callback of a task that has failed and is tried again.

    :param context: the task's context.
    """
    log.warning("%s The task is tried again.", _reason(context))


def _reason(context: Context) -> str:
    error = context.get("exception")
    return str(error) or type(error).__name__ if error is not None else "The task failed; Airflow does not say why."
