"""Who is told of an export's trouble, as Airflow's callbacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from talent_dmf.api.errors import TalentDmfError
from talent_dmf.catalogue.spec import ExportSpec

if TYPE_CHECKING:
    from talent_dmf.catalogue.notify import Notify
    from talent_dmf.notifications.exports import ExportAlerts


def alerts(spec: ExportSpec, event: str) -> ExportAlerts | None:
    """The callbacks of an export, if anybody wants to hear of an event.

    :param spec: the catalogue's entry.
    :param event: ``failed``, ``late``, ``empty`` or ``recovered``.
    """
    if not any(event in each.on for each in spec.notify):
        return None
    # Imported where it is needed, here and below: most exports leave it to others whom to tell, or tell nobody.
    from talent_dmf.notifications.exports import ExportAlerts

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
    told = alerts(spec, "failed")
    return {"on_failure_callback": told.failed} if told else {}


def when_empty(spec: ExportSpec) -> dict[str, Any]:
    """What the task that waits needs in order to tell of an export without rows.

    :param spec: the catalogue's entry.
    """
    told = alerts(spec, "empty")
    return {"on_success_callback": told.waited, "on_skipped_callback": told.empty} if told else {}


def when_late(spec: ExportSpec) -> dict[str, Any]:
    """What the task that waits needs in order to tell that it takes too long.

    :param spec: the catalogue's entry.
    """
    told = alerts(spec, "late")
    return {"on_late": told.late} if told else {}


def when_recovered(spec: ExportSpec) -> dict[str, Any]:
    """What the DAG needs in order to tell that the export works again.

    :param spec: the catalogue's entry.
    """
    told = alerts(spec, "recovered")
    return {"on_success_callback": told.recovered} if told else {}


def mistakes(notify: Sequence[Notify]) -> Iterator[str]:
    """What is wrong with channels beyond their keys: a notifier that is not there, arguments that it does not take.

    :param notify: those of the catalogue.
    """
    if not notify:
        return
    from talent_dmf.notifications.alert import Alert
    from talent_dmf.notifications.channels import make_notifier

    example = Alert(event="failed", export="example", sentence="", at="")
    for each in notify:
        try:
            if each.notifier is not None or each.mail is not None:
                make_notifier(each.channel(), example)
        except TalentDmfError as error:
            yield f"`notify`: {error.message}"
        except Exception as error:  # noqa: BLE001 - a notifier's own check, in whatever words
            yield f"`notify`: {each.notifier} does not take these `kwargs`: {type(error).__name__}: {error}"
