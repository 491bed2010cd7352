"""Many exports at once within a small quota: no request is one too many, whatever lists the environment takes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from tests.integration.conftest import environment_connection

from dmf_emulator import Emulator, Settings
from talent_dmf.api.dmf.execution_ids import dated_prefix
from talent_dmf.api.dmf.models import ExportRequest
from talent_dmf.hooks.talent_dmf import TalentDmfHook
from talent_dmf.package_source.source import FileReading, PackageSource
from talent_dmf.triggers.talent_dmf import TalentDmfExecutionStatusTrigger

EXPORTS = 20
# Human Resources' 500 requests, 300 seconds of work and 25 at once in 300 seconds, for 100 exports; here for 20, and
# thirty times as fast.
QUOTA = {"requests": 100, "execution_seconds": 10.0, "concurrent": 25, "window_seconds": 10.0}
PREFIX = dated_prefix("https://airflow.example", date(2026, 11, 27))


@pytest.fixture(params=["wildcard", "no wildcard", "no list"])
def environment(request: pytest.FixtureRequest, set_connection: Any) -> Iterator[tuple[Emulator, str]]:
    settings = Settings(
        seed=4, not_found_seconds=0.1, not_run_seconds=0.2, executing_seconds=1.0, url_delay_seconds=0.0,
        wildcard_filters=request.param == "wildcard",
    )  # fmt: skip
    with Emulator(settings) as running:
        (project, *_) = running.state.projects.all()
        for number in range(EXPORTS):
            running.state.projects.put(replace(project, name=f"Project {number}"))
        running.faults.add("dmf.F27", mode="human-resources", request_seconds=0.02, export_seconds=0.1, **QUOTA)
        if request.param == "no list":
            running.faults.add("dmf.F29", status=403)
        lengths = random.Random(5)
        for number in range(EXPORTS):
            seconds = lengths.uniform(3.0, 12.0)
            running.faults.add("dmf.F9", mode="queue", not_run_seconds=seconds, times=1, after=number)
        set_connection("talent_dmf_default", environment_connection(running, quota=QUOTA))
        yield running, request.param


def start(number: int) -> str:
    request = ExportRequest(f"Project {number}", "p.zip", "USMF", f"{PREFIX}budget-{number}")
    return TalentDmfHook().start_export(request).execution_id


async def waited_for(execution_id: str) -> dict[str, Any]:
    trigger = TalentDmfExecutionStatusTrigger(
        execution_id=execution_id, started_at=datetime.now(UTC).isoformat(), poke_interval_seconds=1.0
    )
    events = trigger.run()
    try:
        return dict((await anext(events)).payload)
    finally:
        await events.aclose()


def save(execution_id: str) -> int:
    hook = TalentDmfHook()
    hook.entity_outcomes(execution_id)
    reference = hook.find_package(execution_id, timeout_seconds=60)
    with hook.blob_driver() as blob:
        source = PackageSource(blob, hook.package_urls(execution_id), chunk_bytes=327_680)
        with closing(FileReading(source, source.whole("p.zip"))) as reading:
            assert sum(len(chunk.data) for chunk in reading.chunks()) == reference.size_bytes
    return reference.size_bytes


async def run_all(pool: ThreadPoolExecutor) -> list[int]:
    loop = asyncio.get_running_loop()

    async def one(number: int) -> int:
        execution_id = await loop.run_in_executor(pool, start, number)
        event = await waited_for(execution_id)
        assert (event["kind"], event["status"]) == ("finished", "Succeeded"), event
        return await loop.run_in_executor(pool, save, execution_id)

    return await asyncio.gather(*(one(number) for number in range(EXPORTS)))


def test_many_exports_at_once_keep_to_the_quota(environment: tuple[Emulator, str]) -> None:
    emulator, lists = environment
    with ThreadPoolExecutor(EXPORTS) as pool:
        sizes = asyncio.run(run_all(pool))
    assert len(sizes) == EXPORTS
    assert all(sizes)
    requests = emulator.recorder.requests(origin="dmf")
    assert [each.action for each in requests if each.status == 429] == []
    assert len({each.execution_id for each in requests if each.action == "ExportToPackage"}) == EXPORTS
    if lists != "no list":
        assert [each for each in requests if "$select=JobId" in each.path]
