"""Why a task failed, as the last line of its log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


def say_failure(context: Context) -> None:
    """Callback of a task that has failed for good: the last line of its log is the reason, alone.

    :param context: the task's context.
    """
    log.error("%s", _reason(context))


def say_retry(context: Context) -> None:
    """Callback of a task that has failed and is tried again.

    :param context: the task's context.
    """
    log.warning("%s The task is tried again.", _reason(context))


def _reason(context: Context) -> str:
    error = context.get("exception")
    return str(error) or type(error).__name__ if error is not None else "The task failed; Airflow does not say why."
