"""The emulator on real sockets and TLS, and Airflow connections that point at it."""

from __future__ import annotations

import asyncio
import importlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import BaseTrigger
from tests.integration.exported_package import ExportedPackage
from tests.integration.records import DagRunRecord, StateStore, TaskInstanceRecord
from tests.integration.remote_stores import KINDS, RemoteStore, running_store
from tests.integration.saving_task import SavingTask

from dmf_emulator import Emulator, Settings

QUICK = Settings(seed=7, not_found_seconds=0.0, not_run_seconds=0.0, executing_seconds=0.3, url_delay_seconds=0.0)
# For tests of what comes after the export.
INSTANT = QUICK.changed({"executing_seconds": 0.0})


@pytest.fixture(scope="session")
def shared_emulator() -> Iterator[Emulator]:
    with Emulator(QUICK) as running:
        yield running


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Iterator[Emulator]:
    """The emulator without the faults of the last test."""
    shared_emulator.faults.clear()
    shared_emulator.recorder.clear()
    yield shared_emulator
    shared_emulator.faults.clear()


@pytest.fixture(scope="module")
def big_emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulator with the `SETTINGS` of the test module."""
    with Emulator(request.module.SETTINGS) as running:
        yield running


@pytest.fixture
def exported(big_emulator: Emulator) -> Iterator[ExportedPackage]:
    """A package at that emulator, without what the last test left."""
    big_emulator.faults.clear()
    big_emulator.recorder.clear()
    made = ExportedPackage(big_emulator)
    made.export(str(uuid.uuid4()))
    yield made
    big_emulator.faults.clear()
    made.close()
    for session in big_emulator.state.uploads.all():
        big_emulator.state.uploads.close(session)
    assert not [thread for thread in threading.enumerate() if thread.name == "package-reader"]


def environment_connection(emulator: Emulator, **extra: Any) -> dict[str, Any]:
    info = emulator.connection_info()
    facts = {"tenant_id": info["tenant_id"], "authority": info["entra_url"], "verify": str(info["ca_file"]), **extra}
    return {
        "conn_type": "talent_dmf",
        "host": info["dmf_url"],
        "login": info["client_id"],
        "password": info["client_secret"],
        "extra": {name: value for name, value in facts.items() if value is not None},
    }


def drive_connection(emulator: Emulator, **extra: Any) -> dict[str, Any]:
    info = emulator.connection_info()
    facts = {
        "tenant_id": info["tenant_id"],
        "authority": info["entra_url"],
        "base_url": f"{info['graph_url']}/v1.0",
        "scopes": "https://graph.microsoft.com/.default",
        "verify": str(info["ca_file"]),
        "user": info["user_principal_name"],
        **extra,
    }
    return {
        "conn_type": "msgraph",
        "login": info["client_id"],
        "password": info["client_secret"],
        "extra": {name: value for name, value in facts.items() if value is not None},
    }


@pytest.fixture
def set_connection(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dict[str, Any]], None]:
    """Define an Airflow connection for the test."""

    def define(conn_id: str, connection: dict[str, Any]) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))

    return define


@pytest.fixture
def connections(emulator: Emulator, set_connection: Callable[[str, dict[str, Any]], None]) -> Emulator:
    """The two connections of a working set-up."""
    set_connection("talent_dmf_default", environment_connection(emulator))
    set_connection("onedrive_default", drive_connection(emulator))
    return emulator


# Not for the session: rclone's server, once used, keeps a processor busy.
@pytest.fixture(scope="module", params=KINDS)
def remote_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteStore]:
    """Each of the object stores, on sockets."""
    cache = request.config.cache
    assert cache is not None, "Azurite is kept in pytest's cache: do not switch that off"
    with running_store(request.param, tmp_path_factory.mktemp("store"), cache.mkdir("azurite")) as store:
        yield store


@pytest.fixture
def places(
    big_emulator: Emulator, set_connection: Callable[[str, dict[str, Any]], None], tmp_path: Path
) -> Iterator[Callable[[str], SavingTask]]:
    """Makes an export at that emulator and a task that saves it in a `drive` or on a `disk`."""
    big_emulator.faults.clear()
    set_connection("talent_dmf_default", environment_connection(big_emulator))
    set_connection("onedrive_default", drive_connection(big_emulator))
    yield lambda kind: SavingTask(big_emulator, kind, tmp_path)
    big_emulator.faults.clear()


@pytest.fixture(params=["drive", "disk"])
def saving_task(request: pytest.FixtureRequest, places: Callable[[str], SavingTask]) -> SavingTask:
    """The same in each place."""
    return places(request.param)


@pytest.fixture
def context() -> dict[str, Any]:
    """What an operator finds in its context, for one run."""
    return {
        "ti": TaskInstanceRecord(),
        "dag_run": DagRunRecord(),
        "task_state_store": StateStore(),
        "run_id": DagRunRecord.run_id,
        "params": {},
    }


def carried_over(deferred: TaskDeferred) -> tuple[str, BaseTrigger]:
    """What the triggerer makes of a deferral: the trigger anew, from its class path and JSON arguments."""
    path, kwargs = deferred.trigger.serialize()
    module, _, name = path.rpartition(".")
    return deferred.method_name, getattr(importlib.import_module(module), name)(**json.loads(json.dumps(kwargs)))


def first_event(trigger: BaseTrigger) -> dict[str, Any]:
    """Run a trigger in an event loop of its own, as the triggerer does, until it speaks."""

    async def run() -> Any:
        events = trigger.run()
        try:
            return (await anext(events)).payload
        finally:
            await events.aclose()

    return json.loads(json.dumps(asyncio.run(run())))


def run_to_end(operator: BaseOperator, context: dict[str, Any]) -> tuple[Any, int]:
    """Execute an operator as worker and triggerer would, and count its deferrals."""
    deferrals = 0
    step: Callable[[], Any] = partial(operator.execute, context)
    while True:
        try:
            return step(), deferrals
        except TaskDeferred as deferred:
            deferrals += 1
            method, trigger = carried_over(deferred)
            passed = {**(deferred.kwargs or {}), "event": first_event(trigger)}
            step = partial(operator.resume_execution, method, passed, context)
