"""Who is told of an export's trouble, as Airflow's callbacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from talent_dmf.api.errors import TalentDmfError
from talent_dmf.catalogue.spec import ExportSpec
from talent_dmf.notifications.alert import Alert
from talent_dmf.notifications.channels import make_notifier
from talent_dmf.notifications.exports import ExportAlerts

if TYPE_CHECKING:
    from talent_dmf.catalogue.notify import Notify

_EXAMPLE = Alert(event="failed", export="example", sentence="", at="")


def alerts(spec: ExportSpec) -> ExportAlerts:
    """The callbacks of an export.

    :param spec: the catalogue's entry.
    """
    return ExportAlerts(spec.name, channels(spec.notify), several=len(spec.legal_entities) > 1)


def channels(notify: Sequence[Notify]) -> list[dict[str, Any]]:
    """The channels as JSON values.

    :param notify: those of the catalogue.
    """
    return [each.channel() for each in notify]


def when_failed(spec: ExportSpec) -> dict[str, Any]:
    """What every task of an export needs in order to tell of its failure; nothing if nobody wants to know.

    :param spec: the catalogue's entry.
    """
    told = alerts(spec)
    return {"on_failure_callback": told.failed} if told.wanted("failed") else {}


def when_empty(spec: ExportSpec) -> dict[str, Any]:
    """What the task that waits needs in order to tell of an export without rows.

    :param spec: the catalogue's entry.
    """
    told = alerts(spec)
    return {"on_success_callback": told.waited, "on_skipped_callback": told.empty} if told.wanted("empty") else {}


def when_late(spec: ExportSpec) -> dict[str, Any]:
    """What the task that waits needs in order to tell that it takes too long.

    :param spec: the catalogue's entry.
    """
    told = alerts(spec)
    return {"on_late": told.late} if told.wanted("late") else {}


def when_recovered(spec: ExportSpec) -> dict[str, Any]:
    """What the DAG needs in order to tell that the export works again.

    :param spec: the catalogue's entry.
    """
    told = alerts(spec)
    return {"on_success_callback": told.recovered} if told.wanted("recovered") else {}


def mistakes(notify: Sequence[Notify]) -> Iterator[str]:
    """What is wrong with channels beyond their keys: a notifier that is not there, arguments that it does not take.

    :param notify: those of the catalogue.
    """
    for each in notify:
        try:
            if each.notifier is not None or each.mail is not None:
                make_notifier(each.channel(), _EXAMPLE)
        except TalentDmfError as error:
            yield f"`notify`: {error.message}"
        except Exception as error:  # noqa: BLE001 - a notifier's own check, in whatever words
            yield f"`notify`: {each.notifier} does not take these `kwargs`: {type(error).__name__}: {error}"
