"""Telling people of mistakes in the catalogue, whose exports do not run until they are mended."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from talent_dmf.notifications.alert import Alert, safe_sentence, ui_links
from talent_dmf.notifications.channels import Channel, reason
from talent_dmf.notifications.telling import chosen, tell

log = logging.getLogger(__name__)

# While a mistake stays, people are told of it once a day.
_AGAIN_AFTER = timedelta(days=1)
_VARIABLE = "talent_dmf_alert_catalogue"
_SHOWN = 10


def tell_mistakes(channels: Sequence[Channel], problems: Sequence[str], folder: str) -> None:
    """Tell of mistakes, from the DAG processor only and once for the same ones: the file is parsed every half minute.

    :param channels: those of all exports.
    :param problems: one sentence per mistake.
    :param folder: the catalogue's folder, as messages call it.
    """
    wanted = chosen(channels, "failed")
    if not wanted or not problems or not _in_the_dag_processor():
        return
    try:
        digest = hashlib.sha256("\n".join(problems).encode()).hexdigest()[:16]
        if _told_already(digest):
            return
        sentence = "\n".join(
            [*problems[:_SHOWN], *([f"And {len(problems) - _SHOWN} more."] if problems[_SHOWN:] else [])]
        )
        alert = Alert(
            event="catalogue",
            export=folder,
            sentence=safe_sentence(sentence),
            at=_now().isoformat(),
            links=ui_links("", ""),
        )
        told = tell(wanted, alert)
        if any(each["delivered"] for each in told):
            _keep(digest)
    except Exception as error:  # noqa: BLE001 - the import error itself is what must be seen
        log.warning("The mistakes in the catalogue could be sent to nobody: %s.", reason(error))


def _in_the_dag_processor() -> bool:
    # Its processes have a supervisor to ask for connections; so have tasks, which name the DAG that they are of. The
    # command line and a test have none, and must not send mails.
    from airflow.sdk import get_parsing_context
    from airflow.sdk.execution_time import task_runner

    return getattr(task_runner, "SUPERVISOR_COMMS", None) is not None and get_parsing_context().dag_id is None


def _told_already(digest: str) -> bool:
    from airflow.sdk import Variable

    kept = json.loads(Variable.get(_VARIABLE, default=None) or "{}")
    return kept.get("mistakes") == digest and _now() - datetime.fromisoformat(kept["at"]) < _AGAIN_AFTER


def _keep(digest: str) -> None:
    from airflow.sdk import Variable

    value = json.dumps({"mistakes": digest, "at": _now().isoformat()})
    Variable.set(_VARIABLE, value, description="The mistakes in the catalogue that people were told of last.")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
