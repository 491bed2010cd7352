"""A package in the emulator's storage, drivers that trust its certificates, and what was saved."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from dmf_emulator.state.recorder import Record
from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.dmf import actions
from talent_dmf.api.dmf.models import ExportRequest
from talent_dmf.api.graph.models import UploadTarget
from talent_dmf.api.graph.upload.ranges import FRAGMENT_UNIT_BYTES
from talent_dmf.api.graph.upload.upload import UploadRecord
from talent_dmf.api.naming.drive_names import check_path
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.destinations.onedrive.pump import PackagePump, TransferResult
from talent_dmf.destinations.progress import Progress
from talent_dmf.destinations.saving import save_files
from talent_dmf.package_source.source import PackageFile, PackageSource, StopSignal
from talent_dmf.transport.drivers import SyncDriver
from talent_dmf.transport.tls import TlsSettings

CHUNK_BYTES = FRAGMENT_UNIT_BYTES
# Real waits would make the tests slow: pauses are counted, not slept.
QUICK_POLICY = RetryPolicy(base_seconds=1.0, max_attempts=6)


class StaticToken:
    """A token source that asks Entra ID once."""

    def __init__(self, emulator: Any, scope: str) -> None:
        self._emulator, self._scope, self._token = emulator, scope, ""

    def token(self, refused: str | None = None) -> str:
        if not self._token or refused:
            info = self._emulator.connection_info()
            answer = requests.post(
                f"{info['authority']}/oauth2/v2.0/token",
                data={
                    "grant_type": "client_credentials",
                    "client_id": info["client_id"],
                    "client_secret": info["client_secret"],
                    "scope": f"{self._scope}/.default",
                },
                verify=info["ca_file"],
                timeout=10,
            )
            self._token = answer.json()["access_token"]
        return self._token

    def cached_token(self) -> str | None:
        return self._token or None


@dataclass
class StandIn:
    """An emulator that runs in another process: where it is, and nothing else."""

    info: dict[str, Any]

    def connection_info(self) -> dict[str, Any]:
        return self.info


@dataclass
class MemoryStore:
    """A session store that survives nothing but the test."""

    kept: list[UploadRecord] = field(default_factory=list)

    def load(self) -> UploadRecord | None:
        return UploadRecord.from_json(self.kept[-1].to_json()) if self.kept else None

    def save(self, record: UploadRecord) -> None:
        self.kept.append(record)

    def clear(self) -> None:
        self.kept.clear()


class Asked(StopSignal):
    """A stop signal that asks somebody."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask

    @property
    def is_set(self) -> bool:  # type: ignore[override]
        return self._ask()


@dataclass
class Transfer:
    """A file of a package on its way, as the operators send it."""

    package: PackageSource
    plan: Callable[[], list[PackageFile]]
    send: Callable[[PackageFile], TransferResult]

    def run(self) -> TransferResult:
        return save_files(self.package, self.plan, self.send)[0]


class ExportedPackage:
    """A package that was exported, drivers that reach it and the drive, and what was saved there."""

    def __init__(self, emulator: Any) -> None:
        self.emulator = emulator
        self.info = emulator.connection_info()
        self.pauses: list[float] = []
        self.links = 0
        self.execution_id = ""
        self._drivers: list[SyncDriver] = []
        self.dmf = self.driver(self.info["dmf_url"], StaticToken(emulator, self.info["dmf_resource"]))
        self.blob = self.driver("")
        self.graph = self.graph_driver()
        self.drive_id = self.info["user_drive_id"]

    def driver(
        self,
        base_url: str,
        token: StaticToken | None = None,
        timeout_seconds: float = 10.0,
        sleep: Callable[[float], None] | None = None,
        policy: RetryPolicy = QUICK_POLICY,
    ) -> SyncDriver:
        made = SyncDriver(
            base_url=base_url,
            token=token,
            tls=TlsSettings(verify=str(self.info["ca_file"])),
            policy=policy,
            timeout_seconds=timeout_seconds,
            sleep=sleep or self.pauses.append,
        )
        self._drivers.append(made)
        return made

    def graph_driver(self, **options: Any) -> SyncDriver:
        token = StaticToken(self.emulator, "https://graph.microsoft.com")
        return self.driver(f"{self.info['graph_url']}/v1.0", token, **options)

    def close(self) -> None:
        for driver in self._drivers:
            driver.close()

    def export(self, execution_id: str, legal_entity_id: str = "USMF") -> None:
        """Have a package made; with the emulator's waits set to nothing it is there at once."""
        asked = ExportRequest("Export Workers", "workers", legal_entity_id, execution_id)
        self.dmf.run(actions.export_to_package(asked))
        self.execution_id = execution_id

    def fresh_link(self) -> SecretUrl:
        self.links += 1
        url = self.dmf.run(actions.exported_package_url(self.execution_id))
        assert url is not None
        return url

    def package(self) -> bytes:
        """What is in the storage, read in one go by other means."""
        url = self.fresh_link().reveal()
        self.links -= 1
        return requests.get(url, verify=self.info["ca_file"], timeout=10).content

    def source(self, **options: Any) -> PackageSource:
        """The package, read by requests as long as the ranges that are sent, unless the options say otherwise: what can
        befall a request then befalls many of them.
        """
        chunk_bytes = options.pop("chunk_bytes", CHUNK_BYTES)
        return PackageSource(
            options.pop("source", self.blob),
            options.pop("fresh_url", self.fresh_link),
            chunk_bytes=chunk_bytes,
            **{"request_bytes": chunk_bytes, **options},
        )

    def pump(self, name: str, conflict_behavior: ConflictBehavior = "fail", **options: Any) -> Transfer:
        taken = {
            key: options.pop(key) for key in ("source", "fresh_url", "chunk_bytes", "request_bytes") if key in options
        }
        package = options.pop("package", None) or self.source(**taken)
        cancelled = options.pop("cancelled", lambda: False)
        package.stop = Asked(cancelled)
        check = options.pop("check", lambda: None)
        file = options.pop("file", None)

        def plan() -> list[PackageFile]:
            check()
            return [file or package.whole(name)]

        graph = options.pop("target", self.graph)
        target = UploadTarget(options.pop("folder", "Exports"), name, conflict_behavior)
        options.setdefault("drive_id", self.drive_id)
        check_path(target.folder, target.name)
        return Transfer(package, plan, lambda each: PackagePump(package, each, graph, target=target, **options).run())

    def saved(self, name: str, folder: str = "Exports") -> bytes | None:
        path = Path(self.info["user_drive_dir"]) / folder / name
        return path.read_bytes() if path.exists() else None

    def saved_names(self, folder: str = "Exports") -> set[str]:
        path = Path(self.info["user_drive_dir"]) / folder
        return {each.name for each in path.iterdir()} if path.exists() else set()

    def session_requests(self) -> list[Record]:
        actions = {"uploadRange", "uploadStatus", "uploadCancel"}
        return [record for record in self.emulator.recorder.requests() if record.action in actions]

    def open_sessions(self) -> list[str]:
        return [session.name for session in self.emulator.state.uploads.all()]

    @staticmethod
    def ranges(size_bytes: int, chunk_bytes: int = CHUNK_BYTES) -> list[str]:
        """The ranges of an undisturbed upload."""
        starts = range(0, size_bytes, chunk_bytes)
        return [f"bytes {start}-{min(start + chunk_bytes, size_bytes) - 1}/{size_bytes}" for start in starts]

    def bytes_received(self) -> int:
        """How much was uploaded, repetitions included."""
        return sum(record.received_bytes for record in self.emulator.recorder.requests(action="uploadRange"))

    def ranges_sent(self) -> list[str]:
        records = self.emulator.recorder.requests(action="uploadRange")
        return [record.content_range for record in records]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def fail_at(count: int, error: type[BaseException] | BaseException) -> Callable[[Progress], None]:
    """A progress callback that raises at its n-th call."""
    calls: list[Progress] = []

    def callback(progress: Progress) -> None:
        calls.append(progress)
        if len(calls) == count:
            raise error

    return callback
