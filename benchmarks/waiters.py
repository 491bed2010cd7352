"""The measured process of `waiting.py`: many waits in one event loop, as in a triggerer, which tells what it used.

`python waiters.py KIND` reads one line of JSON from its standard input, what to wait for, and writes three: that it is
ready (before it reads), what it used in the measured window, and when it saw each export finish.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

Wait = Callable[[str], Awaitable[None]]
TERMINAL = frozenset({"Succeeded", "PartiallySucceeded", "Failed", "Canceled"})
STATUS_ACTION = "DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities.GetExecutionSummaryStatus"
# The wait is put this far into the past: its pauses have grown to the full poll interval by then, as its peers' are.
AGE_SECONDS = 3600.0
failed_polls: list[str] = []


def our_trigger(task: dict[str, Any]) -> Wait:
    """Return the wait of this project's trigger."""
    from talent_dmf.triggers.talent_dmf import TalentDmfExecutionStatusTrigger

    started_at = (datetime.now(UTC) - timedelta(seconds=AGE_SECONDS)).isoformat()

    async def wait(execution_id: str) -> None:
        trigger = TalentDmfExecutionStatusTrigger(
            execution_id=execution_id, started_at=started_at, poke_interval_seconds=task["interval_seconds"]
        )
        async for event in trigger.run():
            if event.payload["kind"] != "finished":
                failed_polls.append(json.dumps(event.payload))

    return wait


def msgraph_sensor(task: dict[str, Any]) -> Wait:
    """Return the wait of the azure provider's MSGraphSensor: a trigger for each poll, and one for each pause.

    Between the two, the sensor resumes on a worker; that is left out here, in its favour.
    """
    from airflow.providers.microsoft.azure.triggers.msgraph import MSGraphTrigger
    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

    pause = timedelta(seconds=task["interval_seconds"])

    async def wait(execution_id: str) -> None:
        while True:
            poll = MSGraphTrigger(
                url=STATUS_ACTION,
                method="POST",
                data={"executionId": execution_id},
                conn_id="msgraph_peer",
                timeout=3600.0,
            )
            async for event in poll.run():
                if event.payload["status"] != "success":
                    failed_polls.append(str(event.payload))
                elif json.loads(event.payload["response"])["value"] in TERMINAL:
                    return
            async for _ in TimeDeltaTrigger(pause).run():
                pass

    return wait


def http_trigger(task: dict[str, Any]) -> Wait:
    """Return the wait of the http provider's HttpTrigger, repeated.

    Its HttpSensorTrigger would do so itself, but sees nothing in an answer but 404. The token is given: the provider
    has no way to get one.
    """
    from airflow.providers.http.triggers.http import HttpResponseSerializer, HttpTrigger

    headers = {"Authorization": f"Bearer {task['token']}", "Content-Type": "application/json"}

    async def wait(execution_id: str) -> None:
        while True:
            poll = HttpTrigger(
                http_conn_id="http_peer",
                method="POST",
                endpoint=f"data/{STATUS_ACTION}",
                headers=headers,
                data=json.dumps({"executionId": execution_id}),
            )
            async for event in poll.run():
                if event.payload["status"] != "success":
                    failed_polls.append(str(event.payload))
                elif HttpResponseSerializer.deserialize(event.payload["response"]).json()["value"] in TERMINAL:
                    return
            await asyncio.sleep(task["interval_seconds"])

    return wait


def our_driver(task: dict[str, Any]) -> Wait:
    """Return the wait of this project's asynchronous driver, without Airflow."""
    from talent_dmf.api.dmf.models import WaitState
    from talent_dmf.api.dmf.waiting import Finished, WaitPolicy, watch
    from talent_dmf.auth.identity import Identity
    from talent_dmf.auth.tokens import tokens_for
    from talent_dmf.transport.drivers import AsyncDriver
    from talent_dmf.transport.tls import TlsSettings

    facts = task["facts"]
    identity = Identity(
        scope=f"{facts['dmf_resource']}/.default",
        tenant_id=facts["tenant_id"],
        client_id=facts["client_id"],
        client_secret=facts["client_secret"],
        authority=facts["entra_url"],
        tls=TlsSettings(verify=facts["ca_file"]),
    )
    driver = AsyncDriver(base_url=facts["dmf_url"], token=tokens_for(identity), tls=identity.tls)
    policy = WaitPolicy(poke_interval_seconds=task["interval_seconds"])
    state = WaitState(started_at=datetime.now(UTC) - timedelta(seconds=AGE_SECONDS))

    async def wait(execution_id: str) -> None:
        result = await driver.run(watch(execution_id, policy, state))
        if not isinstance(result, Finished):
            failed_polls.append(repr(result))

    return wait


KINDS: dict[str, Callable[[dict[str, Any]], Wait]] = {
    "ours": our_trigger,
    "msgraph": msgraph_sensor,
    "http": http_trigger,
    "driver": our_driver,
}
_IMPORTS = {
    "ours": "talent_dmf.triggers.talent_dmf",
    "msgraph": "airflow.providers.microsoft.azure.triggers.msgraph",
    "http": "airflow.providers.http.triggers.http",
    "driver": "talent_dmf.auth.tokens",
}


def tell(**facts: Any) -> None:
    """Write one line of JSON.

    :param facts: what it says.
    """
    print(json.dumps(facts), flush=True)


def rss_bytes() -> int:
    """Return the resident memory of this process."""
    return int(psutil.Process().memory_info().rss)


async def measure(make_wait: Callable[[dict[str, Any]], Wait], task: dict[str, Any]) -> None:
    """Wait for all executions; measure from the end of the warm-up for the length of the window.

    :param make_wait: makes the wait of the kind that is measured.
    :param task: what the parent wrote.
    """
    wait = make_wait(task)
    seen: dict[str, float] = {}

    async def observed(execution_id: str) -> None:
        await wait(execution_id)
        seen[execution_id] = time.time()

    async def later(share: float, execution_id: str) -> None:
        # All at the same moment, which a triggerer that takes over does to them, chokes the pools of the peers.
        if not task["at_once"]:
            await asyncio.sleep(share * task["interval_seconds"])
        await observed(execution_id)

    first, *others = task["execution_ids"]
    # Started in another order than the exports were: how late an end is seen must not depend on that order.
    random.Random(1).shuffle(others)
    # What is needed once, such as token, TLS settings and pool, is no cost of each wait.
    waits = [asyncio.create_task(observed(first))]
    await asyncio.sleep(task["interval_seconds"] * 0.6)
    gc.collect()
    base_rss = rss_bytes()
    started = time.monotonic()
    waits += [asyncio.create_task(later(number / len(others), each)) for number, each in enumerate(others)]
    await asyncio.sleep(task["interval_seconds"] + task["warm_up_seconds"])
    begin, cpu_begin = time.monotonic(), time.process_time()
    await asyncio.sleep(task["window_seconds"])
    end, cpu_end = time.monotonic(), time.process_time()
    tell(
        started=started if task["at_once"] else started + task["interval_seconds"],
        begin=begin,
        end=end,
        cpu_seconds=cpu_end - cpu_begin,
        base_rss_bytes=base_rss,
        rss_bytes=rss_bytes(),
    )
    if task["until_finished"]:
        _, pending = await asyncio.wait(waits, timeout=task["patience_seconds"])
    else:
        pending = set(waits)
    for each in pending:
        each.cancel()
    outcomes = await asyncio.gather(*waits, return_exceptions=True)
    errors = [repr(each) for each in outcomes if isinstance(each, Exception)]
    tell(seen=seen, failed_polls=len(failed_polls), examples=(errors + failed_polls)[:3], errors=len(errors))


def main() -> None:
    """Import, say so, read the task, measure."""
    kind = sys.argv[1]
    logging.disable(logging.WARNING)
    __import__(_IMPORTS[kind])
    tell(ready=os.getpid())
    task = json.loads(sys.stdin.readline())
    os.environ.update(task["environment"])
    asyncio.run(measure(KINDS[kind], task))


if __name__ == "__main__":
    main()
