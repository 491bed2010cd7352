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


def looked_up(looked_for: str, get: Callable[[], T]) -> T:
    """What a lookup finds; it is repeated once if it finds nothing.

    :param looked_for: the connection, in words.
    :param get: looks it up.
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
        raise _unsure(looked_for) from error
    _check(looked_for, answer)
    return get()


async def alooked_up(looked_for: str, get: Callable[[], Awaitable[T]]) -> T:
    """:func:`looked_up` for the triggerer.

    :param looked_for: the connection, in words.
    :param get: looks it up.
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
        raise _unsure(looked_for) from error
    _check(looked_for, answer)
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


def _check(looked_for: str, answer: Any) -> None:
    from airflow.sdk.execution_time.comms import DRCount

    if not isinstance(answer, DRCount):
        raise _unsure(looked_for)


def _unsure(looked_for: str) -> TransportError:
    return TransportError(
        f"Airflow could not look up {looked_for}: its API server or its database is away. Look into their logs if this "
        "lasts."
    )
