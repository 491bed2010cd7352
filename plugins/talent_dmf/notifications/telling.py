"""Telling everybody who is to be told. It never raises, and it never takes long: the export is what matters."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from talent_dmf.notifications.alert import Alert
from talent_dmf.notifications.channels import Channel, name_of, reason, send, target_of

log = logging.getLogger(__name__)

# Longest time in seconds that one channel may take.
PATIENCE_SECONDS = 45.0
_MEMORY = "talent_dmf_alert__"


def chosen(channels: Iterable[Channel], event: str) -> list[Channel]:
    """The channels that want to hear of an event.

    :param channels: all of an export.
    :param event: ``failed``, ``late``, ``empty`` or ``recovered``.
    """
    return [channel for channel in channels if event in channel["on"]]


def tell(channels: Iterable[Channel], alert: Alert) -> list[dict[str, Any]]:
    """Send an alert through channels, one after the other.

    :param channels: where to.
    :param alert: what.
    :returns: who was told: ``channel``, ``target``, ``at``, and ``delivered``; nothing secret.
    """
    return [_told(channel, alert, _bounded(channel, alert)) for channel in channels]


async def atell(channels: Iterable[Channel], alert: Alert) -> list[dict[str, Any]]:
    """:func:`tell` for the triggerer, whose event loop goes on meanwhile.

    :param channels: where to.
    :param alert: what.
    """
    told = []
    for channel in channels:
        error: BaseException | None = None
        try:
            await asyncio.wait_for(asyncio.to_thread(send, channel, alert), PATIENCE_SECONDS)
        except Exception as caught:  # noqa: BLE001 - an alert that fails harms nothing
            error = caught
        told.append(_told(channel, alert, error))
    return told


def remember(export: str, event: str) -> None:
    """Keep in a Variable that people were told of trouble, so that they can be told of its end.

    :param export: name of the export.
    :param event: of what they were told.
    """
    value = json.dumps({"event": event, "at": datetime.now(UTC).isoformat(timespec="seconds")})
    try:
        from airflow.sdk import Variable

        Variable.set(f"{_MEMORY}{export}", value, description="Open alert; deleted when the export works again.")
    except Exception as error:  # noqa: BLE001 - see above
        log.warning("It could not be noted that people were told about export %s: %s.", export, reason(error))


def recall(export: str) -> Mapping[str, Any] | None:
    """What people were told of and did not see end, or ``None``.

    :param export: name of the export.
    """
    from airflow.sdk import Variable

    try:
        kept = Variable.get(f"{_MEMORY}{export}", default=None)
        found = json.loads(kept) if kept else None
    except Exception as error:  # noqa: BLE001 - see above
        log.warning("It could not be read whether people were told about export %s: %s.", export, reason(error))
        return None
    return found if isinstance(found, dict) else None


def forget(export: str) -> None:
    """Delete what :func:`remember` kept.

    :param export: name of the export.
    """
    from airflow.sdk import Variable

    try:
        Variable.delete(f"{_MEMORY}{export}")
    except Exception as error:  # noqa: BLE001 - see above
        log.warning("The note that people were told about export %s could not be deleted: %s.", export, reason(error))


def _bounded(channel: Channel, alert: Alert) -> BaseException | None:
    """Send in a thread that is left alone when it takes too long."""
    outcome: list[BaseException] = []

    def work() -> None:
        try:
            send(channel, alert)
        except BaseException as error:  # noqa: BLE001 - also a library that exits: nothing may end the task
            outcome.append(error)

    thread = threading.Thread(target=work, name=f"alert by {name_of(channel)}", daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return TimeoutError() if thread.is_alive() else next(iter(outcome), None)


def _told(channel: Channel, alert: Alert, error: BaseException | None) -> dict[str, Any]:
    name, target = name_of(channel), target_of(channel)
    if error is None:
        log.info("Told %s by %s: %s.", target, name, alert.title)
    else:
        log.warning(
            "%s could not be notified by %s (%s): %s. The export itself is not touched by this.",
            target,
            name,
            alert.title,
            reason(error),
        )
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    return {"channel": name, "target": target, "at": moment, "delivered": error is None}
