"""The operators that save a package: unpacking, receipts, retention and retries, in a drive and on a disk."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException
from structlog.testing import capture_logs
from tests.integration.conftest import INSTANT
from tests.integration.exported_package import sha256
from tests.integration.remote_stores import RemoteStore
from tests.integration.saving_task import ALL_THREE, PROJECT, UNPACKED, SavingTask, log_text, run_files

from talent_dmf.api.errors import ConfigurationError, DestinationError, TransferError, TransferMismatchError
from talent_dmf.auth.tokens import tokens_for
from talent_dmf.destinations.object_storage.store import open_folder
from talent_dmf.destinations.onedrive.folder import OneDriveFolder
from talent_dmf.hooks.onedrive import OneDriveHook
from talent_dmf.hooks.talent_dmf import TalentDmfHook
from talent_dmf.package_source.source import PackageFile, PackageSource
from talent_dmf.transfers.talent_dmf_to_object_storage import TalentDmfToObjectStorageOperator
from talent_dmf.transport.drivers import SyncDriver

SETTINGS = INSTANT.changed({"rows": 200, "new_copy_per_link": True})


def test_the_package_alone(saving_task: SavingTask) -> None:
    saved = saving_task.save(file_name="{project}_{legal_entity}_{interval}.zip")
    name = "Export Positions and Jobs_USMF_2026-11-01.zip"
    assert (saving_task.path / name).read_bytes() == saving_task.bytes
    assert saving_task.names() == {name}
    assert (saved["name"], saved["size"]) == (name, len(saving_task.bytes))
    assert ("sha256" if saving_task.kind == "disk" else "quick_xor_hash") in saved
    assert "files" not in saved


def test_the_files_beside_the_package(saving_task: SavingTask) -> None:
    saved = saving_task.save(**ALL_THREE)
    assert saving_task.names() == {"package.zip", *UNPACKED}
    assert (saving_task.path / "package.zip").read_bytes() == saving_task.bytes
    for name, content in saving_task.members().items():
        assert (saving_task.path / name).read_bytes() == content
    assert saved["name"] == "package.zip"
    assert [(file["entity"], file["name"]) for file in saved["files"]] == [
        ("Positions", "Positions.xlsx"),
        ("Jobs", "Jobs.csv"),
        ("Job/position types", "Job_position types.xml"),
    ]
    assert [file["size"] for file in saved["files"]] == [len(content) for content in saving_task.members().values()]


def test_the_files_instead_of_the_package(saving_task: SavingTask) -> None:
    saved = saving_task.save(unpack="instead", file_name="package.zip", receipt=True)
    stem = "Export Positions and Jobs_USMF_2026-11-01_"
    names = {name for name in saving_task.names() if name.startswith(stem)}
    assert len(names) == 3
    assert saving_task.names() == {*names, "package.zip.receipt.json"}
    assert saved["name"] == saving_task.folder
    assert saved["folder_url"] == (saved["web_url"] if "web_url" in saved else saved["url"])
    assert {file["name"] for file in saved["files"]} == names
    receipt = json.loads((saving_task.path / "package.zip.receipt.json").read_text())
    assert receipt["file"] is None
    assert {file["name"] for file in receipt["files"]} == names


def test_the_receipt_and_the_asset_tell_all(saving_task: SavingTask) -> None:
    asset = Asset("talent_positions_package")
    saved = saving_task.save(**ALL_THREE, receipt=True, outlets=[asset])
    receipt = json.loads((saving_task.path / "package.zip.receipt.json").read_text())
    assert receipt["written_by"] == "airflow-provider-talent-dmf"
    assert (receipt["file"], receipt["size_bytes"]) == ("package.zip", len(saving_task.bytes))
    assert [(file["name"], file["entity"]) for file in receipt["files"]][:2] == [
        ("package.zip", None),
        ("Positions.xlsx", "Positions"),
    ]
    for file in receipt["files"]:
        content = (saving_task.path / file["name"]).read_bytes()
        assert file["size_bytes"] == len(content)
        assert file["sha256"] == sha256(content)
        assert file["quick_xor_hash"]
    extra = saving_task.context["outlet_events"][asset].extra
    assert (extra["execution_id"], extra["rows"], extra["name"]) == (
        saving_task.package["execution_id"],
        3,
        "package.zip",
    )
    assert extra["files"] == saved["files"]
    assert (extra["data_project"], extra["legal_entity"]) == ("Export Positions and Jobs", "USMF")
    assert (extra["data_interval_start"], extra["data_interval_end"]) == ("2026-11-01T00:00:00+00:00", None)
    address = saved["web_url"] if "web_url" in saved else saved["url"]
    assert extra["folder_url"] == saved["folder_url"] == address.removesuffix("/package.zip")


@pytest.mark.parametrize("remembered", [True, False], ids=["remembered", "forgotten"])
@pytest.mark.parametrize("conflict_behavior", ["fail", "replace", "rename"])
def test_a_retry_sends_nothing_twice(saving_task: SavingTask, conflict_behavior: str, remembered: bool) -> None:
    first = saving_task.save(**ALL_THREE, conflict_behavior=conflict_behavior)
    times = {name: (saving_task.path / name).stat().st_mtime_ns for name in saving_task.names()}
    if not remembered:
        saving_task.context["task_state_store"].clear()
    saving_task.emulator.recorder.clear()
    again = saving_task.save(**ALL_THREE, conflict_behavior=conflict_behavior)
    assert again == first
    assert {name: (saving_task.path / name).stat().st_mtime_ns for name in saving_task.names()} == times
    assert not saving_task.emulator.recorder.requests(action="createUploadSession")


@pytest.mark.parametrize("conflict_behavior", ["fail", "rename"])
def test_a_try_that_failed_in_the_middle_is_gone_on_with(
    places: Callable[[str], SavingTask], conflict_behavior: str
) -> None:
    saving_task = places("drive")
    rule = saving_task.emulator.faults.add("drive.F15", match={"action": "createUploadSession"}, after=2, times=1)
    with pytest.raises(AirflowFailException):
        saving_task.save(**ALL_THREE, conflict_behavior=conflict_behavior)
    assert saving_task.names() == {"package.zip", "Positions.xlsx"}
    saving_task.emulator.faults.remove(rule)
    saving_task.emulator.recorder.clear()
    saving_task.save(**ALL_THREE, conflict_behavior=conflict_behavior)
    assert saving_task.names() == {"package.zip", *UNPACKED}
    assert len(saving_task.emulator.recorder.requests(action="createUploadSession")) == 2


def test_other_content_under_a_name_is_permanent(saving_task: SavingTask) -> None:
    saving_task.put("Jobs.csv", b"theirs")
    with pytest.raises(AirflowFailException, match=r"Jobs\.csv.* exists"):
        saving_task.save(**ALL_THREE)
    assert (saving_task.path / "Jobs.csv").read_bytes() == b"theirs"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"unpack": "sideways"}, "argument `unpack` must be one of no, beside, instead, not 'sideways'"),
        ({"conflict_behavior": "merge"}, "argument `conflict_behavior` must be one of fail, replace, rename"),
        ({"unpack": "beside", "unpack_name": "{project}"}, "same for every entity"),
        ({"unpack": "beside", "unpack_name": "{entity}/x"}, "'/'"),
        ({"unpack": "beside", "file_name": "Jobs.csv", "unpack_name": "{entity}{suffix}"}, "'Jobs' would be unpacked"),
        ({"keep_last": 3}, "need `receipt`"),
        ({"keep_last": 0, "receipt": True}, "argument `keep_last` must be a whole number from 1"),
        ({"package": "https://x"}, "XCom"),
    ],
)
def test_what_cannot_work_is_told_before_a_byte_moves(
    saving_task: SavingTask, options: dict[str, Any], words: str
) -> None:
    with pytest.raises((AirflowFailException, ConfigurationError), match=re.escape(words)):
        saving_task.save(**options)
    assert saving_task.names() == set()


def test_a_package_that_is_another_one_by_now_is_checked_and_saved(saving_task: SavingTask) -> None:
    saving_task.package = {**saving_task.package, "version": "100-other"}
    with capture_logs() as entries:
        saving_task.save(file_name="package.zip")
    assert "it was checked again" in log_text(entries)
    assert (saving_task.path / "package.zip").read_bytes() == saving_task.bytes


def test_what_is_told_and_kept_holds_no_secret(saving_task: SavingTask, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), capture_logs() as entries:
        saved = saving_task.save(**ALL_THREE, receipt=True)
    assert "Saved 'package.zip': " in log_text(entries)
    kept = json.dumps(saving_task.context["task_state_store"])
    receipt = (saving_task.path / "package.zip.receipt.json").read_text()
    for text in (caplog.text, log_text(entries), json.dumps(saved), kept, receipt):
        assert not re.search(r"sig=(?!\*)[A-Za-z0-9%]{8}|tempauth=(?!\*)[A-Za-z0-9]{8}|Bearer [A-Za-z0-9]{8}", text)
        assert saving_task.emulator.settings.client_secret not in text


def test_an_office_file_that_a_library_rewrites_is_told(
    places: Callable[[str], SavingTask], set_connection: Callable[[str, dict[str, Any]], None]
) -> None:
    saving_task = places("drive")
    site = saving_task.emulator.connection_info()["site_id"]
    hook = OneDriveHook()
    hook.__dict__["_driver"] = SyncDriver(
        base_url=hook.settings.base_url,
        token=tokens_for(hook.settings.identity),
        tls=hook.settings.identity.tls,
        sleep=lambda _: None,
    )
    saving_task.emulator.faults.add("drive.F17", mode="wrong-size", times=None)
    environment = TalentDmfHook()
    folder = OneDriveFolder(
        hook,
        hook.resolve_drive(hook.target(site=site)),
        saving_task.folder,
        "fail",
        stores=lambda _: None,
        sha256=False,
        progress=lambda _: None,
    )
    with environment.blob_driver() as blob:
        execution_id = saving_task.package["execution_id"]
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
    places: Callable[[str], SavingTask],
    remote_store: RemoteStore,
    set_connection: Callable[[str, dict[str, Any]], None],
) -> None:
    set_connection(remote_store.conn_id, remote_store.connection)
    destination = remote_store.url(str(uuid.uuid4()))
    saving_task = places("disk")
    folder = open_folder(destination, remote_store.conn_id)
    for number in (1, 2, 3):
        saved = TalentDmfToObjectStorageOperator(
            task_id="save",
            destination=destination,
            conn_id=remote_store.conn_id,
            package=saving_task.package,
            definition_group_id=PROJECT,
            legal_entity_id="USMF",
            chunk_bytes=327_680,
            file_name="{run}.zip",
            unpack="beside",
            unpack_name="{run} {entity}{suffix}",
            receipt=True,
            keep_last=2,
        ).execute(saving_task.context)
        assert saved["url"] == f"{destination}/run {number}.zip"
        for file in saved["files"]:
            content = b"".join(folder.pieces(file["name"]))
            assert content == saving_task.members()[file["name"].removeprefix(f"run {number} ")]
        saving_task.new_run()
    assert set(folder.names()) == run_files(2, 3)


@pytest.mark.parametrize("unpack", ["no", "beside", "instead"])
def test_a_package_whose_entities_have_no_files(saving_task: SavingTask, unpack: str) -> None:
    """An empty delta may come without files (dmf.F21): the folder is there all the same, and the receipt tells."""
    saving_task.emulator.faults.add("dmf.F21", delta="missing-entry", times=None)
    saving_task.new_run()
    saved = saving_task.save(file_name="p.zip", unpack=unpack, receipt=True)
    assert saving_task.names() == {"p.zip.receipt.json"} | (set() if unpack == "instead" else {"p.zip"})
    assert saved.get("files", []) == []
    assert json.loads((saving_task.path / "p.zip.receipt.json").read_text())["data_files"] == []


WRONG_FOR_OTHERS = [
    ("checked-out", "checked out: nobody else sees it"),
    ("malware", "malware"),
    ("rewritten", "is not what was saved any more"),
]


@pytest.mark.parametrize(("mode", "words"), WRONG_FOR_OTHERS)
def test_a_receipt_is_looked_at_as_others_see_it(places: Callable[[str], SavingTask], mode: str, words: str) -> None:
    task = places("drive")
    with task.operator().open_folder(task.context) as folder:
        folder.save_text("before.receipt.json", "{}")
        task.emulator.faults.add("drive.F26", mode=mode, times=None, match={"action": "getItem"})
        with pytest.raises(TransferError, match=words):
            folder.save_text("after.receipt.json", "{}")


@pytest.mark.parametrize(("mode", "words"), WRONG_FOR_OTHERS)
def test_a_file_that_is_there_already_is_looked_at_as_others_see_it(
    places: Callable[[str], SavingTask], mode: str, words: str
) -> None:
    task = places("drive")
    task.save(file_name="package.zip")
    task.context["task_state_store"].clear()
    task.emulator.faults.add("drive.F26", mode=mode, after=1, times=None, match={"action": "getItem"})
    with pytest.raises(AirflowFailException, match=words):
        task.save(file_name="package.zip")
