"""A connection that Airflow does not find, while Airflow is well and while it is not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ConnectionResult, DRCount, ErrorResponse, GetConnection, GetDRCount

from talent_dmf.api.errors import ConfigurationError, TransportError
from talent_dmf.connection_lookup import alooked_up, looked_up
from talent_dmf.hooks.settings import existing

NOT_FOUND = ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": "c"})
AWAY = ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500})
FOUND = ConnectionResult(
    conn_id="c",
    conn_type="talent_dmf",
    host="env.example",
    **dict.fromkeys(("schema", "login", "password", "port", "extra")),
)
ALIVE = DRCount(count=0)


class Supervisor:
    """What a task's process speaks to: it answers in turn."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []  # type: ignore[var-annotated]

    def send(self, message: Any) -> Any:
        self.asked.append(type(message))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def asend(self, message: Any) -> Any:
        return self.send(message)


@pytest.fixture(params=["task", "trigger"])
def look(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Looks up a connection as Airflow does it in a task and in a trigger, with these answers."""
    from airflow.sdk.execution_time import supervisor
    from airflow.sdk.execution_time.secrets.execution_api import ExecutionAPISecretsBackend

    monkeypatch.setattr(supervisor, "ensure_secrets_backend_loaded", lambda: [ExecutionAPISecretsBackend()])

    def looking(*answers: Any) -> tuple[Any, Supervisor]:
        comms = Supervisor(*answers)
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
        if request.param == "task":
            return lambda: looked_up("connection 'c'", lambda: Connection.get("c")), comms
        return lambda: asyncio.run(alooked_up("connection 'c'", lambda: Connection.async_get("c"))), comms

    return looking


def test_a_connection_that_is_there_costs_one_question(look: Any) -> None:
    get, comms = look(FOUND)
    assert get().host == "env.example"
    assert comms.asked == [GetConnection]


@pytest.mark.parametrize("first", [NOT_FOUND, AWAY, OSError("the socket broke")])
def test_it_is_found_once_the_database_is_back(look: Any, first: Any) -> None:
    get, comms = look(first, ALIVE, FOUND)
    assert get().host == "env.example"
    assert comms.asked == [GetConnection, GetDRCount, GetConnection]


def test_it_is_not_there_if_a_database_that_answers_does_not_know_it(look: Any) -> None:
    get, _ = look(NOT_FOUND, ALIVE, NOT_FOUND)
    with pytest.raises(AirflowNotFoundException):
        get()


@pytest.mark.parametrize("second", [AWAY, OSError("the socket broke"), None])
def test_nothing_is_said_of_it_while_nobody_can_look(look: Any, second: Any) -> None:
    get, comms = look(NOT_FOUND, second)
    with pytest.raises(
        TransportError, match="could not look up connection 'c': its API server or its database is away"
    ) as raised:
        get()
    assert raised.value.retryable
    assert comms.asked == [GetConnection, GetDRCount]


def test_outside_of_a_task_not_found_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS", raising=False)

    def get(conn_id: str) -> Connection:
        raise AirflowNotFoundException(conn_id)

    async def aget() -> Connection:
        raise AirflowNotFoundException("c")

    with pytest.raises(ConfigurationError, match="Connection 'c' is not defined"):
        existing("c", "talent_dmf", get)
    with pytest.raises(AirflowNotFoundException):
        asyncio.run(alooked_up("connection 'c'", aget))
