"""How the errors of this package become Airflow's: what trying again cannot change is not retried (R8)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSensorTimeout

from talent_dmf.api.errors import TalentDmfError
from talent_dmf.api.redaction import redact
from talent_dmf.notes import keep_reason

if TYPE_CHECKING:
    from talent_dmf.api.findings import Finding


@contextmanager
def translated_errors(log: logging.Logger | Any, context: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Let retryable errors pass, so that Airflow retries the task, and turn every other one into
    ``AirflowFailException`` with the same sentence and the same notes.

    :param log: the task's logger; the service's own answer goes there at debug level, redacted.
    :param context: the task's context; the sentence is kept there as an XCom, before Airflow learns of the failure.
    :raises AirflowFailException: trying again would not change it.
    """
    try:
        yield
    except TalentDmfError as error:
        if error.detail:
            log.debug("The service answered: %s", error.detail)
        _remember(context, error)
        if error.retryable:
            raise
        failure = AirflowFailException(str(error))
        for note in getattr(error, "__notes__", ()):
            failure.add_note(note)
        log.debug("What led to it:", exc_info=error)
        # The sentence says it; a chain of tracebacks would hide it.
        raise failure from None
    except (AirflowFailException, AirflowSensorTimeout) as error:
        _remember(context, error)
        raise


def _remember(context: Mapping[str, Any] | None, error: Exception) -> None:
    keep_reason(context, str(error))
    if isinstance(context, dict):
        # `airflow dags test` of Airflow 3.2 does not let callbacks know why a task has failed.
        context.setdefault("exception", error)


def found(check: str, look: Callable[[], str]) -> Finding:
    """What a look at something finds.

    :param check: what is looked at.
    :param look: returns what it found, or raises what is wrong.
    """
    from talent_dmf.api.findings import Finding

    try:
        return Finding(check, "ok", look())
    except TalentDmfError as error:
        return Finding(check, "failed", str(error))
    except AirflowException as error:
        # Such as a connection that is not defined.
        return Finding(check, "failed", redact(str(error)))
