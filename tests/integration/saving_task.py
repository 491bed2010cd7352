"""An export that is finished, and a task that saves it: what the tests of saving have in common."""

from __future__ import annotations

import io
import json
import re
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from tests.integration.records import StateStore, TaskInstanceRecord

from dmf_emulator import Emulator
from talent_dmf.api.dmf.models import ExportRequest
from talent_dmf.api.graph.drive import put_small
from talent_dmf.api.graph.models import UploadTarget
from talent_dmf.hooks.onedrive import OneDriveHook
from talent_dmf.hooks.talent_dmf import TalentDmfHook
from talent_dmf.transfers.base import SavePackageOperator
from talent_dmf.transfers.talent_dmf_to_object_storage import TalentDmfToObjectStorageOperator
from talent_dmf.transfers.talent_dmf_to_onedrive import TalentDmfToOneDriveOperator

PROJECT = "Export Positions and Jobs"
ENTITIES = {"Positions": "Positions.xlsx", "Jobs": "Jobs.csv", "Job/position types": "Jobposition types.xml"}
UNPACKED = {"Positions.xlsx", "Jobs.csv", "Job_position types.xml"}
ALL_THREE = {"file_name": "package.zip", "unpack": "beside", "unpack_name": "{entity}{suffix}"}


class SavingTask:
    """An export that is finished, and a task that saves it in one of the places."""

    def __init__(self, emulator: Emulator, kind: str, disk: Path) -> None:
        self.emulator, self.kind, self.disk = emulator, kind, disk
        self.folder = f"Saved {uuid.uuid4().hex[:8]}"
        self.run_number = 0
        self.new_run()

    def new_run(self) -> None:
        """Another run of the DAG with another export."""
        self.run_number += 1
        self.events: dict[Any, Any] = {}
        self.context: dict[str, Any] = {
            "ti": TaskInstanceRecord(),
            "task_state_store": StateStore(),
            "run_id": f"run {self.run_number}",
            "data_interval_start": datetime(2026, 11, self.run_number, tzinfo=UTC),
            "outlet_events": Events(),
        }
        hook = TalentDmfHook()
        execution_id = str(uuid.uuid4())
        hook.start_export(ExportRequest(PROJECT, "p.zip", "USMF", execution_id))
        self.package = hook.find_package(execution_id, timeout_seconds=10).to_json()
        url = hook.exported_package_url(execution_id)
        assert url is not None
        self.bytes = requests.get(url.reveal(), verify=self.emulator.connection_info()["ca_file"], timeout=10).content
        self.emulator.recorder.clear()

    def operator(self, **options: Any) -> SavePackageOperator:
        common = {
            "task_id": "save",
            "package": self.package,
            "definition_group_id": PROJECT,
            "legal_entity_id": "USMF",
            "chunk_bytes": 327_680,
            "export_result": {"rows": 3, "entities": []},
            **options,
        }
        if self.kind == "drive":
            return TalentDmfToOneDriveOperator(folder=self.folder, **common)
        return TalentDmfToObjectStorageOperator(destination=f"file://{self.disk}/{self.folder}", **common)

    def save(self, **options: Any) -> dict[str, Any]:
        saved = self.operator(**options).execute(self.context)
        return json.loads(json.dumps(saved))

    @property
    def path(self) -> Path:
        root = Path(self.emulator.connection_info()["user_drive_dir"]) if self.kind == "drive" else self.disk
        return root / self.folder

    def names(self) -> set[str]:
        return {each.name for each in self.path.iterdir()} if self.path.exists() else set()

    def put(self, name: str, content: bytes) -> None:
        """A file of somebody else."""
        if self.kind == "disk":
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_bytes(content)
        else:
            operator = TalentDmfToOneDriveOperator(task_id="other", package={}, folder=self.folder)
            with operator.open_folder(self.context) as place:
                place.save_text(name, content.decode())

    def put_bytes(self, name: str, content: bytes) -> None:
        """A file of somebody else, of any content."""
        if self.kind == "disk":
            self.put(name, content)
            return
        with OneDriveHook().get_conn() as graph:
            graph.run(
                put_small(self.emulator.connection_info()["user_drive_id"], UploadTarget(self.folder, name), content)
            )

    def remember(self) -> tuple[Any, ...]:
        """This run, to come back to."""
        return self.run_number, self.context, self.package, self.bytes

    def recall(self, run: tuple[Any, ...]) -> None:
        """Come back to a run, as who clears its tasks does."""
        self.run_number, self.context, self.package, self.bytes = run

    def members(self) -> dict[str, bytes]:
        """The data files of the package by the name that they are unpacked under."""
        with zipfile.ZipFile(io.BytesIO(self.bytes)) as archive:
            return {
                re.sub(r"[/]", "_", entity) + Path(name).suffix: archive.read(name) for entity, name in ENTITIES.items()
            }


class Events(dict[Any, Any]):
    """Airflow's outlet events, as far as they are used."""

    class Event:
        extra: dict[str, Any]

    def __missing__(self, key: Any) -> Event:
        self[key] = self.Event()
        return self[key]


def runs(saving_task: SavingTask, count: int, **options: Any) -> list[set[str]]:
    """The files in the folder after each of some runs."""
    after = []
    for _ in range(count):
        saving_task.save(
            file_name="{run}.zip",
            unpack="beside",
            unpack_name="{run} {entity}{suffix}",
            receipt=True,
            **options,
        )
        after.append(saving_task.names())
        saving_task.new_run()
    return after


def run_files(*numbers: int) -> set[str]:
    return {
        f"run {number}{name}"
        for number in numbers
        for name in (".zip", ".zip.receipt.json", *(f" {each}" for each in UNPACKED))
    }


def log_text(entries: Sequence[Mapping[str, Any]]) -> str:
    """What was written to the task's log."""
    return "\n".join(str(entry["event"]) for entry in entries)
