"""The operators that save a package: unpacking, receipts, retention and retries, in a drive and on a disk."""

from __future__ import annotations

import io
import json
import logging
import re
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException
from structlog.testing import capture_logs
from tests.integration.conftest import INSTANT, StateStore, TaskInstanceRecord, drive_connection, environment_connection
from tests.integration.remote_stores import RemoteStore
from tests.integration.transfer_rig import sha256

from dmf_emulator import Emulator
from talent_dmf.api.errors import DestinationError, TransferError, TransferMismatchError
from talent_dmf.api.models import ExportRequest
from talent_dmf.credentials import tokens_for
from talent_dmf.drivers import SyncDriver
from talent_dmf.hooks.onedrive import OneDriveHook
from talent_dmf.hooks.talent_dmf import TalentDmfHook
from talent_dmf.object_folder import open_folder
from talent_dmf.onedrive_saving import OneDriveFolder
from talent_dmf.package_stream import PackageFile, PackageSource
from talent_dmf.saving import SavePackageOperator
from talent_dmf.transfers.talent_dmf_to_object_storage import TalentDmfToObjectStorageOperator
from talent_dmf.transfers.talent_dmf_to_onedrive import TalentDmfToOneDriveOperator

PROJECT = "Export Positions and Jobs"
ENTITIES = {"Positions": "Positions.xlsx", "Jobs": "Jobs.csv", "Job/position types": "Jobposition types.xml"}
UNPACKED = {"Positions.xlsx", "Jobs.csv", "Job_position types.xml"}
SETTINGS = INSTANT.changed({"rows": 200, "new_copy_per_link": True})
ALL_THREE = {"file_name": "package.zip", "unpack": "beside", "unpack_name": "{entity}{suffix}"}


class Bench:
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
            with operator.place(self.context) as place:
                place.save_text(name, content.decode())

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


@pytest.fixture(scope="module")
def exporting() -> Iterator[Emulator]:
    with Emulator(SETTINGS) as running:
        yield running


@pytest.fixture
def places(
    exporting: Emulator, set_connection: Callable[[str, dict[str, Any]], None], tmp_path: Path
) -> Iterator[Callable[[str], Bench]]:
    exporting.faults.clear()
    set_connection("talent_dmf_default", environment_connection(exporting))
    set_connection("onedrive_default", drive_connection(exporting))
    yield lambda kind: Bench(exporting, kind, tmp_path)
    exporting.faults.clear()


@pytest.fixture(params=["drive", "disk"])
def bench(request: pytest.FixtureRequest, places: Callable[[str], Bench]) -> Bench:
    return places(request.param)


def test_the_package_alone(bench: Bench) -> None:
    saved = bench.save(file_name="{project}_{legal_entity}_{interval}.zip")
    name = "Export Positions and Jobs_USMF_2026-11-01.zip"
    assert (bench.path / name).read_bytes() == bench.bytes
    assert bench.names() == {name}
    assert (saved["name"], saved["size"]) == (name, len(bench.bytes))
    assert ("sha256" if bench.kind == "disk" else "quick_xor_hash") in saved
    assert "files" not in saved


def test_the_files_beside_the_package(bench: Bench) -> None:
    saved = bench.save(**ALL_THREE)
    assert bench.names() == {"package.zip", *UNPACKED}
    assert (bench.path / "package.zip").read_bytes() == bench.bytes
    for name, content in bench.members().items():
        assert (bench.path / name).read_bytes() == content
    assert saved["name"] == "package.zip"
    assert [(file["entity"], file["name"]) for file in saved["files"]] == [
        ("Positions", "Positions.xlsx"),
        ("Jobs", "Jobs.csv"),
        ("Job/position types", "Job_position types.xml"),
    ]
    assert [file["size"] for file in saved["files"]] == [len(content) for content in bench.members().values()]


def test_the_files_instead_of_the_package(bench: Bench) -> None:
    saved = bench.save(unpack="instead", file_name="package.zip", receipt=True)
    stem = "Export Positions and Jobs_USMF_2026-11-01_"
    names = {name for name in bench.names() if name.startswith(stem)}
    assert len(names) == 3
    assert bench.names() == {*names, "package.zip.receipt.json"}
    assert saved["name"] == bench.folder
    assert {file["name"] for file in saved["files"]} == names
    receipt = json.loads((bench.path / "package.zip.receipt.json").read_text())
    assert receipt["file"] is None
    assert {file["name"] for file in receipt["files"]} == names


def test_the_receipt_and_the_asset_tell_all(bench: Bench) -> None:
    asset = Asset("talent_positions_package")
    saved = bench.save(**ALL_THREE, receipt=True, outlets=[asset])
    receipt = json.loads((bench.path / "package.zip.receipt.json").read_text())
    assert receipt["written_by"] == "airflow-provider-talent-dmf"
    assert (receipt["file"], receipt["size_bytes"]) == ("package.zip", len(bench.bytes))
    assert [(file["name"], file["entity"]) for file in receipt["files"]][:2] == [
        ("package.zip", None),
        ("Positions.xlsx", "Positions"),
    ]
    for file in receipt["files"]:
        content = (bench.path / file["name"]).read_bytes()
        assert file["size_bytes"] == len(content)
        assert file["sha256"] == sha256(content)
        assert file["quick_xor_hash"]
    extra = bench.context["outlet_events"][asset].extra
    assert (extra["execution_id"], extra["rows"], extra["name"]) == (bench.package["execution_id"], 3, "package.zip")
    assert extra["files"] == saved["files"]


@pytest.mark.parametrize("remembered", [True, False], ids=["remembered", "forgotten"])
@pytest.mark.parametrize("conflict_behavior", ["fail", "replace", "rename"])
def test_a_retry_sends_nothing_twice(bench: Bench, conflict_behavior: str, remembered: bool) -> None:
    first = bench.save(**ALL_THREE, conflict_behavior=conflict_behavior)
    times = {name: (bench.path / name).stat().st_mtime_ns for name in bench.names()}
    if not remembered:
        bench.context["task_state_store"].clear()
    bench.emulator.recorder.clear()
    again = bench.save(**ALL_THREE, conflict_behavior=conflict_behavior)
    assert again == first
    assert {name: (bench.path / name).stat().st_mtime_ns for name in bench.names()} == times
    assert not bench.emulator.recorder.requests(action="createUploadSession")


@pytest.mark.parametrize("conflict_behavior", ["fail", "rename"])
def test_a_try_that_failed_in_the_middle_is_gone_on_with(
    places: Callable[[str], Bench], conflict_behavior: str
) -> None:
    bench = places("drive")
    rule = bench.emulator.faults.add("drive.F15", match={"action": "createUploadSession"}, after=2, times=1)
    with pytest.raises(AirflowFailException):
        bench.save(**ALL_THREE, conflict_behavior=conflict_behavior)
    assert bench.names() == {"package.zip", "Positions.xlsx"}
    bench.emulator.faults.remove(rule)
    bench.emulator.recorder.clear()
    bench.save(**ALL_THREE, conflict_behavior=conflict_behavior)
    assert bench.names() == {"package.zip", *UNPACKED}
    assert len(bench.emulator.recorder.requests(action="createUploadSession")) == 2


def test_other_content_under_a_name_is_a_verdict(bench: Bench) -> None:
    bench.put("Jobs.csv", b"theirs")
    with pytest.raises(AirflowFailException, match=r"Jobs\.csv.* exists"):
        bench.save(**ALL_THREE)
    assert (bench.path / "Jobs.csv").read_bytes() == b"theirs"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"unpack": "sideways"}, "unpack 'sideways' is not known; use one of no, beside, instead"),
        ({"conflict_behavior": "merge"}, "conflict_behavior 'merge' is not known"),
        ({"unpack": "beside", "unpack_name": "{project}"}, "same for every entity"),
        ({"unpack": "beside", "unpack_name": "{entity}/x"}, "'/'"),
        ({"unpack": "beside", "file_name": "Jobs.csv", "unpack_name": "{entity}{suffix}"}, "'Jobs' would be unpacked"),
        ({"keep_last": 3}, "need `receipt`"),
        ({"keep_last": 0, "receipt": True}, "`keep_last` is 0"),
        ({"package": "https://x"}, "XCom"),
    ],
)
def test_what_cannot_work_is_told_before_a_byte_moves(bench: Bench, options: dict[str, Any], words: str) -> None:
    with pytest.raises(AirflowFailException, match=re.escape(words)):
        bench.save(**options)
    assert bench.names() == set()


def test_a_package_that_is_another_one_by_now_is_not_saved(bench: Bench) -> None:
    bench.package = {**bench.package, "version": "100-other"}
    with pytest.raises(Exception, match="Clear get_package_url"):
        bench.save()
    assert bench.names() == set()


def runs(bench: Bench, count: int, **options: Any) -> list[set[str]]:
    """The files in the folder after each of some runs."""
    after = []
    for _ in range(count):
        bench.save(
            file_name="{run}.zip",
            unpack="beside",
            unpack_name="{run} {entity}{suffix}",
            receipt=True,
            **options,
        )
        after.append(bench.names())
        bench.new_run()
    return after


def run_files(*numbers: int) -> set[str]:
    return {
        f"run {number}{name}"
        for number in numbers
        for name in (".zip", ".zip.receipt.json", *(f" {each}" for each in UNPACKED))
    }


def test_the_newest_are_kept(bench: Bench) -> None:
    bench.put("theirs.zip", b"theirs")
    after = runs(bench, 4, keep_last=2)
    assert after == [{"theirs.zip"} | run_files(*kept) for kept in ([1], [1, 2], [2, 3], [3, 4])]


def told(entries: Sequence[Mapping[str, Any]]) -> str:
    """What was written to the task's log."""
    return "\n".join(str(entry["event"]) for entry in entries)


def test_a_changed_file_is_never_deleted(bench: Bench) -> None:
    runs(bench, 1)
    bench.put("run 1 Jobs.csv", b"edited by hand")
    bench.put("notes.txt", b"theirs")
    with capture_logs() as entries:
        (after,) = runs(bench, 1, keep_last=1)
    assert "'run 1 Jobs.csv' is outdated and was not deleted: it has 14 bytes, and" in told(entries)
    assert "1 files of the folder have no receipt; whatever their age, they are left alone." in told(entries)
    assert "Deleted what is outdated: run 1.zip, " in told(entries)
    after.remove("notes.txt")
    assert after == {"run 1 Jobs.csv", "run 1.zip.receipt.json"} | run_files(2)
    assert (bench.path / "run 1 Jobs.csv").read_bytes() == b"edited by hand"


def test_a_file_that_cannot_be_deleted_fails_nothing(places: Callable[[str], Bench]) -> None:
    bench = places("drive")
    runs(bench, 1)
    bench.emulator.faults.add("drive.F15", match={"action": "deleteItem"}, times=None)
    (after,) = runs(bench, 1, keep_last=1)
    assert after == run_files(1, 2)
    bench.emulator.faults.clear()
    (after,) = runs(bench, 1, keep_last=1)
    assert after == run_files(3)


def test_a_folder_that_cannot_be_listed_fails_nothing(places: Callable[[str], Bench]) -> None:
    bench = places("drive")
    bench.emulator.faults.add("drive.F15", match={"action": "listChildren"}, times=None)
    assert runs(bench, 1, keep_last=1) == [run_files(1)]


def test_exports_of_another_legal_entity_are_not_counted(bench: Bench) -> None:
    runs(bench, 2)
    (after,) = runs(bench, 1, keep_last=1, legal_entity_id="DEMF")
    assert after == run_files(1, 2, 3)


def test_what_is_told_and_kept_holds_no_secret(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), capture_logs() as entries:
        saved = bench.save(**ALL_THREE, receipt=True)
    assert "Saved 'package.zip': " in told(entries)
    kept = json.dumps(bench.context["task_state_store"])
    receipt = (bench.path / "package.zip.receipt.json").read_text()
    for text in (caplog.text, told(entries), json.dumps(saved), kept, receipt):
        assert not re.search(r"sig=(?!\*)[A-Za-z0-9%]{8}|tempauth=(?!\*)[A-Za-z0-9]{8}|Bearer [A-Za-z0-9]{8}", text)
        assert bench.emulator.settings.client_secret not in text


def test_an_office_file_that_a_library_rewrites_is_told(
    places: Callable[[str], Bench], set_connection: Callable[[str, dict[str, Any]], None]
) -> None:
    bench = places("drive")
    site = bench.emulator.connection_info()["site_id"]
    hook = OneDriveHook()
    hook.__dict__["_driver"] = SyncDriver(
        base_url=hook.settings.base_url,
        token=tokens_for(hook.settings.identity),
        tls=hook.settings.identity.tls,
        sleep=lambda _: None,
    )
    bench.emulator.faults.add("drive.F17", mode="wrong-size", times=None)
    environment = TalentDmfHook()
    folder = OneDriveFolder(
        hook,
        hook.resolve_drive(hook.target(site=site)),
        bench.folder,
        "fail",
        stores=lambda _: None,
        sha256=False,
        progress=lambda _: None,
        cancelled=lambda: False,
    )
    with environment.blob_driver() as blob:
        execution_id = bench.package["execution_id"]
        source = PackageSource(blob, lambda: environment.fresh_package_url(execution_id), chunk_bytes=327_680)
        positions, jobs, _ = source.contents().entities
        entries = {entry.name: entry for entry in source.contents().entries}
        errors = []
        for entity in (positions, jobs):
            entry = entries[entity.file_name]
            file = PackageFile(entity.file_name, entry.size_bytes, "v", entity=entity.name, entry=entry)
            with pytest.raises(TransferError) as caught:
                folder.save(source, file)
            errors.append(caught.value)
    assert isinstance(errors[0], DestinationError)
    assert "SharePoint changed 'Positions.xlsx'" in str(errors[0])
    assert isinstance(errors[1], TransferMismatchError)


def test_a_remote_store_from_end_to_end(
    places: Callable[[str], Bench], remote_store: RemoteStore, set_connection: Callable[[str, dict[str, Any]], None]
) -> None:
    set_connection(remote_store.kind, remote_store.connection)
    destination = remote_store.url(str(uuid.uuid4()))
    bench = places("disk")
    folder = open_folder(destination, remote_store.kind)
    for number in (1, 2, 3):
        saved = TalentDmfToObjectStorageOperator(
            task_id="save",
            destination=destination,
            conn_id=remote_store.kind,
            package=bench.package,
            definition_group_id=PROJECT,
            legal_entity_id="USMF",
            chunk_bytes=327_680,
            file_name="{run}.zip",
            unpack="beside",
            unpack_name="{run} {entity}{suffix}",
            receipt=True,
            keep_last=2,
        ).execute(bench.context)
        assert saved["url"] == f"{destination}/run {number}.zip"
        for file in saved["files"]:
            content = b"".join(folder.pieces(file["name"]))
            assert content == bench.members()[file["name"].removeprefix(f"run {number} ")]
        bench.new_run()
    assert set(folder.names()) == run_files(2, 3)
