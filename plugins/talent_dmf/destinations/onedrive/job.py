"""What a transfer is to do, and what it has done: see :mod:`talent_dmf.destinations.onedrive.pump`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from talent_dmf.api.graph.models import Destination
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.destinations.onedrive.session_store import SessionStore
from talent_dmf.destinations.progress import Progress
from talent_dmf.package_source.reader import OpenReader, Reader
from talent_dmf.transport.drivers import SyncDriver


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be done, and with what; the parameters are those of ``PackagePump``."""

    source: SyncDriver
    target: SyncDriver
    mint_url: Callable[[], SecretUrl]
    drive_id: str
    destination: Destination
    chunk_bytes: int
    progress: Callable[[Progress], None] | None
    store: SessionStore | None
    sha256: bool
    cancelled: Callable[[], bool]
    clock: Callable[[], float]
    open_reader: OpenReader = Reader


@dataclass(slots=True)
class Tally:
    """What a run did, over all its attempts.

    :param clock: monotonic seconds.
    """

    clock: Callable[[], float]
    began: float = field(init=False)
    bytes_sent: int = 0
    resumes: int = 0
    resumed_from_bytes: int = 0

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def elapsed_seconds(self) -> float:
        """Time since the run began."""
        return self.clock() - self.began
