"""How others wait for many exports: each export by itself, a status request every so many seconds."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from tests.integration.exports_at_once import Outcome, Plan

    from dmf_emulator import Emulator

_ACTIONS = "data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."
_TERMINAL = frozenset({"Succeeded", "PartiallySucceeded", "Failed", "Canceled"})


@dataclass(frozen=True, slots=True)
class Peer:
    """A way to wait.

    :param title: who does so.
    :param interval_seconds: between two status requests for one export.
    """

    title: str
    interval_seconds: float


# Microsoft's tutorial for Human Resources and microsoft/Recurring-Integrations-Scheduler ask every five seconds, the
# Logic App of microsoft/Dynamics-AX-Integration every fifteen, a sensor of Airflow every minute (`poke_interval`).
PEERS = {
    "every_5_s": Peer("each polled every 5 s", 5.0),
    "every_15_s": Peer("each polled every 15 s", 15.0),
    "every_60_s": Peer("each polled every 60 s", 60.0),
}


class _Client:
    def __init__(self, emulator: Emulator, client: httpx.AsyncClient, token: str) -> None:
        self._root = emulator.connection_info()["dmf_url"]
        self._client, self._token = client, token

    async def call(self, action: str, **body: Any) -> Any:
        """Call an action, as often as it is refused with 429, each time after the pause that the service asks for."""
        while True:
            try:
                answer = await self._client.post(
                    f"{self._root}/{_ACTIONS}{action}", json=body, headers={"Authorization": f"Bearer {self._token}"}
                )
            except httpx.ConnectError:
                # Of a machine that is busy with something else; nothing was sent.
                continue
            if answer.status_code != 429:
                return answer.json().get("value")
            await asyncio.sleep(float(answer.headers["Retry-After"]))


async def _export(client: _Client, project: str, interval_seconds: float, blob: httpx.AsyncClient) -> Any:
    """Start an export, wait for it, and fetch its package.

    :returns: its id, when its end was seen, and the size of its package.
    """
    execution_id = await client.call(
        "ExportToPackage",
        definitionGroupId=project,
        packageName="p.zip",
        executionId="",
        reExecute=False,
        legalEntityId="USMF",
    )
    while await client.call("GetExecutionSummaryStatus", executionId=execution_id) not in _TERMINAL:  # noqa: ASYNC110
        await asyncio.sleep(interval_seconds)
    seen_at = time.time()
    while not (url := await client.call("GetExportedPackageUrl", executionId=execution_id)):  # noqa: ASYNC110
        await asyncio.sleep(interval_seconds)
    return execution_id, seen_at, len((await blob.get(url)).content)


def single_polling(peer: Peer, plan: Plan, emulator: Emulator) -> Outcome:
    """Export as others do: all started at once, each polled by itself; a 429 is waited for as the service asks.

    :param peer: who.
    :param plan: what is exported.
    :param emulator: the environment.
    """
    from tests.integration.exports_at_once import Outcome

    info = emulator.connection_info()
    began = time.monotonic()

    async def run() -> list[Any]:
        options: dict[str, Any] = {"verify": str(info["ca_file"]), "trust_env": False, "timeout": 120.0}
        async with httpx.AsyncClient(**options, limits=httpx.Limits(max_connections=25)) as http:
            answer = await http.post(
                f"{info['entra_url']}/{info['tenant_id']}/oauth2/v2.0/token",
                data={
                    "grant_type": "client_credentials",
                    "client_id": info["client_id"],
                    "client_secret": info["client_secret"],
                    "scope": f"{info['dmf_resource']}/.default",
                },
            )
            client = _Client(emulator, http, answer.raise_for_status().json()["access_token"])
            interval = peer.interval_seconds / plan.faster
            return await asyncio.gather(
                *(_export(client, f"Project {number}", interval, http) for number in range(plan.exports))
            )

    exports = asyncio.run(run())
    ends = {each.execution_id: each.finished_at for each in emulator.state.executions.all()}
    late = [seen_at - ends[execution_id] for execution_id, seen_at, _ in exports]
    sizes = [size for _, _, size in exports]
    return Outcome(sizes, late, emulator.recorder.requests(origin="dmf"), time.monotonic() - began)
