"""The azure provider's own test of a `msgraph` connection, which is what the *Test* button of the UI runs."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.microsoft.azure.hooks.msgraph import KiotaRequestAdapterHook
from airflow.providers.microsoft.azure.operators.msgraph import MSGraphAsyncOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from tests.emulator.wire import Wire

from local_stack.connections import load_connections

PROJECT = Path(__file__).parents[3]
# Both spellings of the address that people write.
_calls = count()
ADDRESSES = ["as the demo has it", "with a slash"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_connection_of_the_demo_passes_its_own_test(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    connection = load_connections(PROJECT / "include" / "connections" / "demo.json", wire.info)["onedrive_default"]
    if address == "with a slash":
        connection["extra"]["base_url"] += "/"
    # A name of its own each time: the hook keeps what it has built, by name.
    conn_id = f"onedrive_{len(address)}"
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
    assert KiotaRequestAdapterHook(conn_id).test_connection() == (True, "Connection successfully tested")


def test_a_wrong_secret_does_not_pass(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    connection: dict[str, Any] = load_connections(PROJECT / "include" / "connections" / "demo.json", wire.info)[
        "onedrive_default"
    ]
    monkeypatch.setenv("AIRFLOW_CONN_ONEDRIVE_WRONG", json.dumps({**connection, "password": "wrong"}))
    passed, message = KiotaRequestAdapterHook("onedrive_wrong").test_connection()
    assert not passed
    assert "AADSTS7000215" in message


def graph_call(wire: Wire, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> Any:
    """Run the provider's operator as a worker and the triggerer do: deferred, with each of its pages."""
    connection = load_connections(PROJECT / "include" / "connections" / "demo.json", wire.info)["onedrive_default"]
    # A name of its own each time: the hook keeps its client by name, and the client its event loop.
    conn_id = f"onedrive_call_{next(_calls)}"
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
    with DAG("witness", schedule=None):
        operator = MSGraphAsyncOperator(task_id="operator", conn_id=conn_id, do_xcom_push=False, **arguments)
    context: Any = {"ti": TaskInstance(), "task": operator}

    async def event_of(trigger: Any) -> dict[str, Any]:
        async for event in trigger.run():
            return dict(event.payload)
        raise AssertionError("the trigger ended without an event")

    resume: Any = lambda: operator.execute(context)  # noqa: E731 - the first of several
    while True:
        try:
            return resume()
        except TaskDeferred as deferred:
            event = asyncio.run(event_of(deferred.trigger))
            method, kwargs = getattr(operator, deferred.method_name), deferred.kwargs or {}
            resume = partial(method, context, event=event, **kwargs)


class TaskInstance:
    """What the operator asks of its task instance: the pages before, which nobody has stored."""

    dag_id = task_id = run_id = "witness"
    map_index = -1

    def xcom_pull(self, **_: Any) -> None:
        return None

    def xcom_push(self, **_: Any) -> None:
        return None


def test_the_operator_of_the_provider_reads_the_drive(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.zip", "b.zip", "c.zip"):
        wire.graph("PUT", f"{wire.drive}/root:/{name}:/content", data=b"x")
    drive = graph_call(wire, monkeypatch, url=f"drives/{wire.info['user_drive_id']}")
    assert drive["id"] == wire.info["user_drive_id"]
    item = graph_call(wire, monkeypatch, url=f"drives/{wire.info['user_drive_id']}/root:/b.zip")
    assert (item["name"], item["size"]) == ("b.zip", 1)


def test_the_operator_of_the_provider_is_told_what_is_wrong(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Exception, match="could not be found"):
        graph_call(wire, monkeypatch, url=f"drives/{wire.info['user_drive_id']}/root:/none.zip")
