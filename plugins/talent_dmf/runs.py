"""What kind of run a task belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context

BACKFILL, MANUAL = "backfill", "manual"


def is_backfill(context: Mapping[str, Any] | Context) -> bool:
    """Whether a run is one of a backfill.

    :param context: a task's.
    """
    return _run_type(context) == BACKFILL


def is_manual(context: Mapping[str, Any] | Context) -> bool:
    """Whether a run was triggered by hand.

    :param context: a task's.
    """
    return _run_type(context) == MANUAL


def only_checks(context: Mapping[str, Any] | Context) -> bool:
    """Whether a run only checks: by the form, or by what it was triggered with.

    :param context: of a task, or of a DAG's callback.
    """
    params, conf = context.get("params") or {}, getattr(context.get("dag_run"), "conf", None) or {}
    return any(isinstance(each, Mapping) and each.get("check_only") is True for each in (params, conf))


def _run_type(context: Mapping[str, Any] | Context) -> str:
    # A word, or a member of an enum of Airflow's, which is written with the enum's name.
    return str(getattr(context.get("dag_run"), "run_type", "")).rpartition(".")[2].lower()
