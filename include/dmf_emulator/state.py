"""The world that the services share: no sockets, no HTTP, no faults of its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from .blob_store import BlobStore
from .clock import VirtualClock
from .drive_store import DriveStore
from .executions import ExecutionStore
from .faults import FaultSet
from .projects import ProjectStore
from .recorder import Recorder
from .settings import GRAPH_RESOURCE, TALENT_RESOURCE, Settings
from .tokens import TokenIssuer
from .upload_store import UploadStore


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
    faults: FaultSet
    tokens: TokenIssuer
    projects: ProjectStore
    executions: ExecutionStore
    blobs: BlobStore
    drives: DriveStore
    uploads: UploadStore
    stop: threading.Event

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
            # "Microsoft Dynamics ERP": Entra still issues tokens for it, environments refuse them (S-DEP).
            "00000015-0000-0000-c000-000000000000",
            "https://management.azure.com",
            *self.graph_resources,
            *self.settings.extra_resources,
        })  # fmt: skip
