"""The world that the services share: no sockets, no HTTP, no faults of its own."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dmf_emulator.clock import VirtualClock
from dmf_emulator.http.exchange import Exchange
from dmf_emulator.settings import GRAPH_RESOURCE, TALENT_RESOURCE, Settings
from dmf_emulator.state.blobs import BlobStore
from dmf_emulator.state.directory import Directory
from dmf_emulator.state.drives import DriveStore
from dmf_emulator.state.executions import ExecutionPlan, ExecutionStore
from dmf_emulator.state.projects import ProjectStore
from dmf_emulator.state.recorder import Recorder
from dmf_emulator.state.tokens import TokenIssuer
from dmf_emulator.state.uploads import UploadStore


class Faults(Protocol):
    """What the services ask of the faults that are switched on.

    Faults know the world and every service; the world knows only this much of them, so that nothing runs in a circle.
    """

    def plan(self, exchange: Exchange, plan: ExecutionPlan) -> ExecutionPlan:
        """Return the plan of a new execution as the faults leave it."""

    def probe(self, exchange: Exchange, name: str, mode: str | None = None) -> Mapping[str, Any] | None:
        """Return the parameters of a fault that the service acts out itself, or None when it does not fire.

        :param name: the fault's number.
        :param mode: ask for this mode only.
        """


@dataclass(slots=True)
class World:
    """Everything that lives as long as one emulator.

    :param urls: address by origin, without trailing slash.
    :param stop: set when the emulator stops.
    """

    settings: Settings
    data_dir: Path
    urls: dict[str, str]
    clock: VirtualClock
    recorder: Recorder
    faults: Faults
    tokens: TokenIssuer
    projects: ProjectStore
    executions: ExecutionStore
    blobs: BlobStore
    directory: Directory
    drives: DriveStore
    uploads: UploadStore
    stop: threading.Event

    @property
    def changes(self) -> int:
        """Counts what a snapshot would show otherwise than before."""
        return self.drives.changes + self.executions.changes + self.projects.changes + self.clock.moves

    @property
    def dmf_resource(self) -> str:
        """The audience of finance and operations tokens: the environment URL without trailing slash."""
        return self.urls["dmf"]

    @property
    def graph_resources(self) -> frozenset[str]:
        """The audiences that Graph accepts: its public name, its own address and its app id."""
        return frozenset({GRAPH_RESOURCE, self.urls["graph"], "00000003-0000-0000-c000-000000000000"})

    @property
    def known_resources(self) -> frozenset[str]:
        """The audiences for which the tenant issues tokens, wanted or not at the other end."""
        return frozenset({
            self.dmf_resource,
            TALENT_RESOURCE,
            self.urls["sharepoint"],
            # "Microsoft Dynamics ERP": Entra still issues tokens for it, environments refuse them
            # (docs/wire/dmf-package-api.md#audience).
            "00000015-0000-0000-c000-000000000000",
            "https://management.azure.com",
            *self.graph_resources,
            *self.settings.extra_resources,
        })  # fmt: skip
