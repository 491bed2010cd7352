"""How the errors of this package become Airflow's: a verdict is not retried, weather is (R8)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from talent_dmf.api.errors import TalentDmfError


@contextmanager
def verdicts(log: logging.Logger | Any) -> Iterator[None]:
    """Let retryable errors pass, so that Airflow retries the task, and turn every other one into
    ``AirflowFailException`` with the same sentence and the same notes.

    :param log: the task's logger; the service's own answer goes there at debug level, redacted.
    :raises AirflowFailException: the error is a verdict.
    """
    try:
        yield
    except TalentDmfError as error:
        if error.detail:
            log.debug("The service answered: %s", error.detail)
        if error.retryable:
            raise
        verdict = AirflowFailException(str(error))
        for note in getattr(error, "__notes__", ()):
            verdict.add_note(note)
        raise verdict from error
