"""The azure provider's own test of a `msgraph` connection, which is what the *Test* button of the UI runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.microsoft.azure.hooks.msgraph import KiotaRequestAdapterHook
from tests.emulator.wire import Wire

from local_stack.connections import load_connections

PROJECT = Path(__file__).parents[3]
# Both spellings of the address that people write.
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
