"""Looking up an Airflow connection, when "not found" may mean that nobody could look.

Airflow passes over a secrets backend that fails and then says that the connection is not defined: in a task whose API
server answers with an error, and in an API server whose database is away, which answers 404
(docs/wire/airflow.md#connections). Taken for the truth, a moment without a database would end an export for good, and
blame the connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from airflow.sdk.exceptions import AirflowNotFoundException

from talent_dmf.api.errors import TransportError

T = TypeVar("T")


def looked_up(get: Callable[[], T]) -> T:
    """What a lookup finds; it is repeated once if it finds nothing.

    :param get: looks up a connection.
    :raises AirflowNotFoundException: it is not defined.
    :raises TransportError: that could not be found out; a later try can.
    """
    try:
        return get()
    except AirflowNotFoundException:
        comms = _comms()
        if comms is None:
            raise
    try:
        answer = comms.send(_question())
    except Exception as error:
        raise _unsure(error) from error
    _check(answer)
    return get()


async def alooked_up(get: Callable[[], Awaitable[T]]) -> T:
    """:func:`looked_up` for the triggerer.

    :param get: looks up a connection.
    :raises AirflowNotFoundException: it is not defined.
    :raises TransportError: that could not be found out; a later try can.
    """
    try:
        return await get()
    except AirflowNotFoundException:
        comms = _comms()
        if comms is None:
            raise
    try:
        answer = await comms.asend(_question())
    except Exception as error:
        raise _unsure(error) from error
    _check(answer)
    return await get()


def _comms() -> Any:
    """What a task or a trigger speaks to Airflow through; ``None`` in other processes."""
    from airflow.sdk.execution_time import task_runner

    return getattr(task_runner, "SUPERVISOR_COMMS", None)


def _question() -> Any:
    # Answered from the database or not at all: the one who passes it on repeats it as long as Airflow's settings say
    # (`[workers] execution_api_retries`), so that an answer means that the database is there.
    from airflow.sdk.execution_time.comms import GetDRCount

    return GetDRCount(dag_id="talent_dmf")


def _check(answer: Any) -> None:
    if type(answer).__name__ != "DRCount":
        raise _unsure(answer)


def _unsure(error: Any) -> TransportError:
    return TransportError(
        "Airflow could not look the connection up: its API server or database is away "
        f"({type(error).__name__}). See their logs if a later try ends alike."
    )
