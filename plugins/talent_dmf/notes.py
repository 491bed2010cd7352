"""What a task leaves for people to read beside its run: the reason of its failure, or what is remarkable about the run.

A task cannot write Airflow's notes. It leaves XComs, which the Exports page reads and a listener copies into the notes
(docs/adr/0013-notes.md). Whatever happens here must not take the place of what the task does.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context

# Keys that no other task uses by chance: what stands under them becomes a note.
FAILURE_XCOM_KEY = "talent_dmf_failure"
NOTICE_XCOM_KEY = "talent_dmf_notice"
_LONGEST = 4000


def keep_reason(context: Mapping[str, Any] | Context | None, sentence: str) -> None:
    """Keep the reason of a failure.

    :param context: the failed task's context; without one, nothing is kept.
    :param sentence: the reason.
    """
    _keep(context, FAILURE_XCOM_KEY, sentence)


def keep_notice(context: Mapping[str, Any] | Context | None, sentence: str) -> None:
    """Keep what people should know of a run that succeeds.

    :param context: the task's context; without one, nothing is kept.
    :param sentence: what they should know.
    """
    _keep(context, NOTICE_XCOM_KEY, sentence)


def _keep(context: Mapping[str, Any] | Context | None, key: str, sentence: str) -> None:
    if context is not None:
        with suppress(Exception):
            context["ti"].xcom_push(key=key, value=sentence[:_LONGEST])
