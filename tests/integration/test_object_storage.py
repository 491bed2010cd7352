"""Packages saved in object stores: on a disk, in memory, and in one that commits on close."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import uuid
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from tests.integration.conftest import INSTANT
from tests.integration.exported_package import CHUNK_BYTES, ExportedPackage, sha256
from tests.integration.object_saving import Saving
from tests.integration.staging_store import StagingFileSystem

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import (
    ConfigurationError,
    DestinationError,
    NameConflictError,
    TalentDmfError,
    TransferError,
    TransferMismatchError,
    TransportError,
)
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.destinations.object_storage import pump as object_storage
from talent_dmf.destinations.object_storage.pump import ObjectStoragePump
from talent_dmf.destinations.object_storage.store import ObjectFolder, open_folder
from talent_dmf.destinations.object_storage.writers import save_text
from talent_dmf.destinations.progress import Progress
from talent_dmf.package_source.source import PackageFile, PackageSource
from talent_dmf.transport.drivers import SyncDriver
from talent_dmf.transport.tls import TlsSettings

PACKAGE_BYTES = 5 * CHUNK_BYTES + 4321
SETTINGS = INSTANT.changed({"package_size_bytes": PACKAGE_BYTES, "new_copy_per_link": True})


def save_and_die(url: str, folder: str, facts_file: str) -> None:
    """What a worker does that is killed in the middle; runs in a process of its own."""

    class FileFacts:
        def load(self, slot: str) -> dict[str, Any]:
            return {}

        def save(self, slot: str, facts: dict[str, Any]) -> None:
            Path(facts_file).write_text(json.dumps(facts))

    def die(progress: Progress) -> None:
        if progress.done_bytes > 2 * CHUNK_BYTES:
            os.kill(os.getpid(), signal.SIGKILL)

    driver = SyncDriver(tls=TlsSettings(verify=os.environ["EMULATOR_CA"]))
    package = PackageSource(driver, lambda: SecretUrl(url), chunk_bytes=CHUNK_BYTES)
    pump = ObjectStoragePump(package, open_folder(folder, None), facts=FileFacts(), progress=die)
    pump.save(PackageFile("p.zip", package.version.size_bytes, package.version.version), "replace")


class KilledError(BaseException):
    """The worker dies here."""


@pytest.fixture(params=["disk", "memory", "staging"])
def saving(request: pytest.FixtureRequest, exported: ExportedPackage, tmp_path: Path) -> Saving:
    """A disk, a store that shows a file while it is written, and one that commits on close."""
    if request.param == "disk":
        return Saving(exported, open_folder(f"file://{tmp_path}/exports", None))
    if request.param == "memory":
        return Saving(exported, ObjectFolder(MemoryFileSystem(), f"/{uuid.uuid4()}", "memory"))
    return Saving(exported, ObjectFolder(StagingFileSystem(), "/bucket/exports", "gs"))


def test_saves_the_package(saving: Saving) -> None:
    expected, told = saving.exported.package(), []
    stored = saving.save("p.zip", progress=told.append)
    assert saving.content("p.zip") == expected
    assert saving.folder.names() == {"p.zip": PACKAGE_BYTES}
    assert (stored.name, stored.size_bytes, stored.sha256) == ("p.zip", PACKAGE_BYTES, sha256(expected))
    assert stored.url == saving.folder.url("p.zip")
    assert stored.url.endswith("/p.zip")
    assert not stored.already_there
    assert [progress.done_bytes for progress in told] == [*(CHUNK_BYTES * n for n in range(1, 6)), PACKAGE_BYTES]


def test_nothing_is_visible_under_the_name_before_it_is_complete(saving: Saving) -> None:
    seen = []
    saving.save("p.zip", progress=lambda _: seen.append("p.zip" in saving.folder.names()))
    assert seen == [False] * 6


def test_the_old_content_stays_until_the_new_one_is_complete(saving: Saving) -> None:
    save_text(saving.folder, "p.zip", "old")
    seen = []
    saving.save("p.zip", "replace", progress=lambda _: seen.append(saving.content("p.zip")))
    assert set(seen) == {b"old"}
    assert saving.content("p.zip") == saving.exported.package()
    assert list(saving.folder.names()) == ["p.zip"]


def test_fail_leaves_what_is_there(saving: Saving) -> None:
    save_text(saving.folder, "p.zip", "theirs")
    with pytest.raises(NameConflictError, match="exists already"):
        saving.save("p.zip", "fail")
    assert saving.content("p.zip") == b"theirs"
    assert list(saving.folder.names()) == ["p.zip"]


def test_fail_compares_content_and_not_size_only(saving: Saving) -> None:
    save_text(saving.folder, "p.zip", "x" * PACKAGE_BYTES)
    with pytest.raises(NameConflictError):
        saving.save("p.zip", "fail")
    assert saving.content("p.zip") == b"x" * PACKAGE_BYTES


def test_rename_takes_the_first_free_name(saving: Saving) -> None:
    save_text(saving.folder, "p.zip", "theirs")
    save_text(saving.folder, "p 1.zip", "theirs too")
    assert saving.save("p.zip", "rename").name == "p 2.zip"
    assert saving.content("p 2.zip") == saving.exported.package()
    assert saving.content("p.zip") == b"theirs"


@pytest.mark.parametrize("conflict_behavior", ["fail", "replace", "rename"])
def test_a_second_try_after_success_sends_nothing(saving: Saving, conflict_behavior: ConflictBehavior) -> None:
    if conflict_behavior == "rename":
        save_text(saving.folder, "p.zip", "theirs")
    first = saving.save("p.zip", conflict_behavior)
    before = saving.folder.names()
    again = saving.save("p.zip", conflict_behavior)
    assert again.already_there
    assert (again.name, again.sha256) == (first.name, first.sha256)
    assert saving.folder.names() == before


def test_a_try_without_memory_recognises_its_own_file(saving: Saving) -> None:
    saving.save("p.zip")
    saving.facts.clear()
    assert saving.save("p.zip").already_there


@pytest.mark.parametrize("error", [KilledError, TransferError("cancelled")], ids=["killed", "cancelled"])
def test_a_try_that_ends_early_leaves_nothing_half(saving: Saving, error: Any) -> None:
    def die(progress: Any) -> None:
        if progress.done_bytes > 2 * CHUNK_BYTES:
            raise error

    with pytest.raises((KilledError, TransferError)):
        saving.save("p.zip", progress=die)
    assert saving.folder.names() == {}
    assert saving.save("p.zip").sha256 == sha256(saving.exported.package())


def test_the_remains_of_a_dead_worker_are_removed_by_the_next_try(exported: ExportedPackage, tmp_path: Path) -> None:
    saving = Saving(exported, open_folder(f"file://{tmp_path}", None))
    saving.facts.save("", {"folder": saving.folder.url(), "wished": "p.zip", "partial": "p.zip.dead.partial"})
    (tmp_path / "p.zip.dead.partial").write_bytes(b"half")
    (tmp_path / "q.zip.dead.partial").write_bytes(b"somebody else's")
    saving.save("p.zip")
    assert sorted(saving.folder.names()) == ["p.zip", "q.zip.dead.partial"]


def test_a_killed_worker_leaves_the_old_file_and_the_next_try_cleans_up(
    exported: ExportedPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "p.zip").write_bytes(b"old")
    monkeypatch.setenv("EMULATOR_CA", str(exported.info["ca_file"]))
    folder, facts_file = f"file://{tmp_path}/exports", tmp_path / "facts.json"
    worker = multiprocessing.get_context("spawn").Process(
        target=save_and_die, args=(exported.fresh_link().reveal(), folder, str(facts_file))
    )
    worker.start()
    worker.join(300)
    assert worker.exitcode == -signal.SIGKILL
    left = {path.name: path.stat().st_size for path in (tmp_path / "exports").iterdir()}
    (partial,) = left.keys() - {"p.zip"}
    assert 2 * CHUNK_BYTES < left[partial] < PACKAGE_BYTES
    assert (tmp_path / "exports" / "p.zip").read_bytes() == b"old"
    saving = Saving(exported, open_folder(folder, None))
    saving.facts.save("", json.loads(facts_file.read_text()))
    saving.save("p.zip", "replace")
    assert saving.folder.names() == {"p.zip": PACKAGE_BYTES}
    assert saving.content("p.zip") == exported.package()


def test_a_file_of_no_bytes_is_a_file(saving: Saving) -> None:
    pump = ObjectStoragePump(saving.package, saving.folder, facts=saving.facts)
    stored = pump.save(PackageFile("empty.csv", 0, "version"), "fail")
    assert saving.folder.names() == {"empty.csv": 0}
    assert (stored.size_bytes, stored.sha256) == (0, sha256(b""))


def test_a_worker_that_dies_right_after_publishing_does_not_store_it_twice(saving: Saving) -> None:
    save_text(saving.folder, "p.zip", "theirs")
    save, seen = saving.facts.save, []

    def die_when_told_the_name(slot: str, facts: dict[str, Any]) -> None:
        save(slot, facts)
        seen.append(facts.get("name"))

    saving.facts.save = die_when_told_the_name  # type: ignore[method-assign]
    saving.save("p.zip", "rename")
    # What is kept before the file appears is all that the next try knows.
    assert seen == [None, "p 1.zip"]
    assert saving.save("p.zip", "rename").name == "p 1.zip"


def test_a_link_that_expires_is_replaced_at_the_same_byte(saving: Saving) -> None:
    emulator = saving.exported.emulator
    emulator.faults.add("dmf.F15", mode="rejected", after=2)
    stored = saving.save("p.zip")
    assert saving.exported.links == 2
    assert stored.sha256 == sha256(saving.exported.package())


@pytest.mark.parametrize(("chunk_bytes", "shown"), [(0, "0"), (-5, "-5"), (1.5, "1.5"), ("10", "'10'")])
def test_chunks_without_a_length_are_refused(saving: Saving, chunk_bytes: Any, shown: str) -> None:
    saving.package.chunk_bytes = chunk_bytes
    with pytest.raises(ConfigurationError, match=f"`chunk_bytes` is {shown}, but must be a whole number of bytes"):
        saving.save("p.zip")


def test_a_long_reading_back_is_told(
    saving: Saving, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "talent_dmf")
    saving.save("p.zip")
    assert "back to compare it" not in caplog.text
    monkeypatch.setattr(object_storage, "_LOG_FROM_BYTES", PACKAGE_BYTES)
    saving.save("q.zip")
    assert f"back to compare it: {PACKAGE_BYTES / 1e6:.0f} MB." in caplog.text


@pytest.mark.parametrize("commits", [1, 2])
def test_what_is_stored_is_read_back(exported: ExportedPackage, commits: int) -> None:
    store = StagingFileSystem(damage=commits)
    saving = Saving(exported, ObjectFolder(store, "/bucket", "gs"))
    if commits == 1:
        assert saving.save("p.zip").sha256 == sha256(exported.package())
        assert saving.content("p.zip") == exported.package()
    else:
        with pytest.raises(TransferMismatchError, match="It was deleted there"):
            saving.save("p.zip")
        assert saving.folder.names() == {}
    assert store.commits == 2


def test_a_store_that_breaks_off_never_commits(exported: ExportedPackage) -> None:
    store = StagingFileSystem(fail_after_parts=2)
    saving = Saving(exported, ObjectFolder(store, "/bucket", "gs"))
    with pytest.raises(TransportError, match="broke off") as caught:
        saving.save("p.zip")
    assert caught.value.retryable
    del caught
    assert (store.staged_parts, store.commits) == (2, 0)
    store.fail_after_parts = None
    assert saving.save("p.zip").name == "p.zip"


@pytest.mark.parametrize("conflict_behavior", ["fail", "rename"])
def test_a_commit_whose_answer_was_lost_is_recognised(
    exported: ExportedPackage, conflict_behavior: ConflictBehavior
) -> None:
    store = StagingFileSystem(repeats_commit=True)
    saving = Saving(exported, ObjectFolder(store, "/bucket", "gs"))
    assert saving.save("p.zip", conflict_behavior).name == "p.zip"
    assert saving.folder.names() == {"p.zip": PACKAGE_BYTES}
    assert store.commits == 1


def test_a_name_too_long_for_the_disk_is_told(exported: ExportedPackage, tmp_path: Path) -> None:
    saving = Saving(exported, open_folder(f"file://{tmp_path}", None))
    assert saving.save("n" * 255).name == "n" * 255
    with pytest.raises(DestinationError, match="shorter name"):
        saving.save("ü" * 250)


def test_a_name_taken_during_the_transfer_is_not_overwritten(saving: Saving) -> None:
    def take(progress: Any) -> None:
        if progress.done_bytes == PACKAGE_BYTES:
            save_text(saving.folder, "p.zip", "theirs")

    with pytest.raises(NameConflictError):
        saving.save("p.zip", "fail", progress=take)
    assert saving.content("p.zip") == b"theirs"
    assert list(saving.folder.names()) == ["p.zip"]


def test_a_disk_gives_way_when_the_name_is_taken_meanwhile(exported: ExportedPackage, tmp_path: Path) -> None:
    saving = Saving(exported, open_folder(f"file://{tmp_path}", None))

    def take(progress: Any) -> None:
        if progress.done_bytes == PACKAGE_BYTES:
            save_text(saving.folder, "p.zip", "theirs")

    assert saving.save("p.zip", "rename", progress=take).name == "p 1.zip"


def test_a_folder_in_the_way_is_told(exported: ExportedPackage, tmp_path: Path) -> None:
    (tmp_path / "p.zip").mkdir()
    with pytest.raises(DestinationError, match=r"p\.zip is a folder"):
        Saving(exported, open_folder(f"file://{tmp_path}", None)).save("p.zip", "replace")


@pytest.mark.parametrize(
    ("destination", "error", "words"),
    [
        ("exports", ConfigurationError, "no URL of a folder"),
        ("file://", ConfigurationError, "no URL of a folder"),
        ("s3://key:sUpErSeCrEt@bucket/x", ConfigurationError, "carries credentials"),
        ("abfs://c/x?sig=sUpErSeCrEt", ConfigurationError, "carries credentials"),
        ("abfs://c@acc.dfs.core.windows.net/x", ConfigurationError, "name the account in the connection"),
        ("gopher://bucket/x", ConfigurationError, "Check the scheme"),
        ("abfs://nobody@container/x", ConfigurationError, "nobody"),
        ("file:///proc/nowhere/x", DestinationError, "make the folder"),
    ],
)
def test_a_destination_that_cannot_work_is_told(
    exported: ExportedPackage, destination: str, error: type[TalentDmfError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        Saving(exported, open_folder(destination, None)).save("p.zip")
    assert "sUpErSeCrEt" not in str(caught.value)
    assert not caught.value.retryable
