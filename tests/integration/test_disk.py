"""What is left on a disk, and who may read it: remains of killed runs, a full disk, modes of files."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from tests.integration.conftest import INSTANT
from tests.integration.exported_package import CHUNK_BYTES, ExportedPackage
from tests.integration.object_saving import Saving
from tests.integration.saving_task import ALL_THREE, UNPACKED, SavingTask
from tests.integration.staging_store import MovingFileSystem

from talent_dmf.api.redaction import SecretUrl
from talent_dmf.destinations.object_storage.leftovers import ABANDONED, owner_of, remove_leftovers
from talent_dmf.destinations.object_storage.pump import ObjectStoragePump
from talent_dmf.destinations.object_storage.store import ObjectFolder, open_folder
from talent_dmf.destinations.object_storage.writers import begin_file, partial_name, save_text
from talent_dmf.destinations.progress import Progress
from talent_dmf.package_source.source import PackageFile, PackageSource
from talent_dmf.transport.drivers import SyncDriver
from talent_dmf.transport.tls import TlsSettings

SETTINGS = INSTANT.changed({"rows": 200, "new_copy_per_link": True})
OURS, THEIRS = owner_of("dag", "save", "USMF"), owner_of("dag", "save", "DEMF")
_PAGE = 4096


def save_and_die(url: str, ca_file: str, destination: str, owner: str) -> None:
    """What a worker does that is killed in the middle; runs in a process of its own."""

    class NoFacts:
        def load(self, slot: str) -> dict[str, Any]:
            return {}

        def save(self, slot: str, facts: dict[str, Any]) -> None:
            pass

    def die(progress: Progress) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    driver = SyncDriver(tls=TlsSettings(verify=ca_file))
    package = PackageSource(driver, lambda: SecretUrl(url), chunk_bytes=4096)
    folder = open_folder(destination, None, owner=owner)
    pump = ObjectStoragePump(package, folder, facts=NoFacts(), progress=die)  # type: ignore[arg-type]
    pump.save(PackageFile("p.zip", package.version.size_bytes, package.version.version), "replace")


def test_a_later_run_removes_what_a_killed_one_left(exported: ExportedPackage, tmp_path: Path) -> None:
    destination = f"file://{tmp_path}"
    for owner in (OURS, THEIRS):
        ca_file = str(exported.info["ca_file"])
        worker = multiprocessing.get_context("spawn").Process(
            target=save_and_die, args=(exported.fresh_link().reveal(), ca_file, destination, owner)
        )
        worker.start()
        worker.join(300)
        assert worker.exitcode == -signal.SIGKILL
    (tmp_path / "p.zip.12345678.partial").write_bytes(b"somebody else's")
    left = set(os.listdir(tmp_path))
    assert len(left) == 3
    folder = open_folder(destination, None, owner=OURS)
    remove_leftovers(folder)
    (gone,) = left - set(os.listdir(tmp_path))
    assert f".{OURS}-" in gone
    Saving(exported, folder).save("p.zip")
    assert (tmp_path / "p.zip").read_bytes() == exported.package()


def test_what_is_being_written_at_the_moment_is_left_alone(tmp_path: Path) -> None:
    folder = open_folder(f"file://{tmp_path}", None, owner=OURS)
    writer = begin_file(folder, "p.zip", partial_name("p.zip", OURS), replace=False, block_bytes=CHUNK_BYTES)
    for step in (lambda: writer.write(memoryview(b"half")), writer.complete):
        step()
        remove_leftovers(folder)
        assert len(folder.names()) == 1
    writer.publish("p.zip", replace=False)
    remove_leftovers(folder)
    assert folder.names() == {"p.zip": 4}


@pytest.mark.parametrize("owner", ["", OURS])
def test_without_a_proof_nothing_is_removed(tmp_path: Path, owner: str) -> None:
    names = ["p.zip.partial", "p.zip.12345678.partial", f"p.zip.{THEIRS}-12345678.partial", f"{OURS}-12345678.partial",
             f"p.zip.{OURS}-1234567.partial", f"p.zip.{OURS}-12345678.partial.zip"]  # fmt: skip
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    remove_leftovers(open_folder(f"file://{tmp_path}", None, owner=owner))
    assert sorted(os.listdir(tmp_path)) == sorted(names)


def test_a_link_in_the_place_of_an_unfinished_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / f"p.zip.{OURS}-12345678.partial").symlink_to(tmp_path / "secret")
    remove_leftovers(open_folder(f"file://{tmp_path}", None, owner=OURS))
    assert (tmp_path / "secret").read_bytes() == b"x"


@pytest.mark.parametrize("odd", ["link", "loop", "dangling", "folder", "pipe"])
def test_what_is_no_file_keeps_no_other_from_being_removed(tmp_path: Path, odd: str) -> None:
    strange = tmp_path / f"a.zip.{OURS}-00000000.partial"
    match odd:
        case "link":
            (tmp_path / "secret").write_bytes(b"x")
            strange.symlink_to(tmp_path / "secret")
        case "loop":
            strange.symlink_to(strange)
        case "dangling":
            strange.symlink_to(tmp_path / "nowhere")
        case "folder":
            strange.mkdir()
        case "pipe":
            os.mkfifo(strange)
    ours = [tmp_path / f"{name}.{OURS}-12345678.partial" for name in ("0.zip", "b.zip", "z.zip")]
    for each in ours:
        each.write_bytes(b"half")
    remove_leftovers(open_folder(f"file://{tmp_path}", None, owner=OURS))
    assert not any(each.exists() for each in ours)
    assert odd != "link" or (tmp_path / "secret").read_bytes() == b"x"


class Barred(MovingFileSystem):
    """A server on which some files are another user's."""

    def info(self, path: str, **options: Any) -> Any:
        if path.rpartition("/")[2].startswith("theirs"):
            raise PermissionError(13, "Permission denied", path)
        return super().info(path, **options)

    def rm_file(self, path: str) -> None:
        if path.rpartition("/")[2].startswith("kept"):
            raise PermissionError(1, "Operation not permitted", path)
        super().rm_file(path)


def test_what_another_user_has_left_keeps_no_other_from_being_removed(caplog: pytest.LogCaptureFixture) -> None:
    folder = ObjectFolder(Barred(), "/others", "smb", owner=OURS)
    for name in ("a.zip", "kept.zip", "theirs.zip", "z.zip"):
        partial = folder.locate(f"{name}.{OURS}-12345678.partial")
        folder.fs.pipe_file(partial, b"half")
        folder.fs.store[partial].created = folder.fs.store[partial].modified = _hours_ago(100)
    remove_leftovers(folder)
    assert sorted(name.partition(".")[0] for name in folder.names()) == ["kept", "theirs"]
    assert caplog.text.count("could not be removed; the next run tries again") == 2


@pytest.mark.parametrize(("hours", "left"), [(1, 2), (ABANDONED.total_seconds() / 3600 + 1, 0)])
def test_where_no_lock_is_known_the_age_tells(hours: float, left: int) -> None:
    folder = ObjectFolder(MovingFileSystem(), "/exports", "smb", owner=OURS)
    for name in ("p.zip", "q.csv"):
        partial = f"{name}.{OURS}-12345678.partial"
        save_text(folder, partial, "half")
        folder.fs.store[folder.locate(partial)].created = _hours_ago(hours)
        folder.fs.store[folder.locate(partial)].modified = _hours_ago(hours)
    remove_leftovers(folder)
    assert len(folder.names()) == left


def test_what_was_put_aside_is_never_removed(caplog: pytest.LogCaptureFixture) -> None:
    folder = ObjectFolder(MovingFileSystem(), "/exports", "smb", owner=OURS)
    names = {f"p.zip.{OURS}-12345678.{ending}" for ending in ("partial", "old")}
    for name in names:
        save_text(folder, name, "the only copy")
        folder.fs.store[folder.locate(name)].created = _hours_ago(100)
        folder.fs.store[folder.locate(name)].modified = _hours_ago(100)
    remove_leftovers(folder)
    assert set(folder.names()) == names
    assert f"{OURS}-12345678.old, which is what a file was before" in caplog.text


def _hours_ago(hours: float) -> Any:
    from datetime import UTC, datetime, timedelta

    return datetime.now(UTC) - timedelta(hours=hours)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A disk of so many pages."""
    place = tmp_path / "small"
    place.mkdir()

    def mount(pages: int) -> Path:
        remount = ["-o", "remount"] if os.path.ismount(place) else []
        done = subprocess.run(
            ["mount", "-t", "tmpfs", *remount, "-o", f"size={pages * _PAGE}", "tmpfs", str(place)], check=False
        )
        if done.returncode:
            pytest.skip("only root may mount a disk that is small enough to be full")
        return place

    yield mount
    if os.path.ismount(place):
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("unpack", ["no", "beside", "instead"])
def test_a_full_disk_keeps_nothing_of_an_export(
    places: Callable[[str], SavingTask], small_disk: Callable[[int], Path], unpack: str
) -> None:
    task = places("disk")
    contents = {"no": [task.bytes], "beside": [task.bytes, *task.members().values()]}.get(
        unpack, [*task.members().values()]
    )
    pages = sum(-(-len(content) // _PAGE) for content in contents)
    task.disk = small_disk(pages - 1)
    task.put("theirs.txt", b"")
    options = {**ALL_THREE, "unpack": unpack, "receipt": True}
    with pytest.raises(AirflowFailException, match=r"No space left on device\. Free space"):
        task.save(**options)
    assert task.names() == {"theirs.txt"}
    small_disk(pages + 8)
    task.save(**options)
    names = {"no": {"package.zip"}, "beside": {"package.zip", *UNPACKED}, "instead": UNPACKED}[unpack]
    assert task.names() == {"theirs.txt", "package.zip.receipt.json", *names}


def test_what_a_full_disk_had_before_stays(
    places: Callable[[str], SavingTask], small_disk: Callable[[int], Path]
) -> None:
    task = places("disk")
    pages = sum(-(-len(content) // _PAGE) for content in [task.bytes, *task.members().values()])
    task.disk = small_disk(pages)
    task.put("package.zip", task.bytes)
    task.put("Positions.xlsx", b"of yesterday")
    task.put("filling", b"x" * _PAGE)
    with pytest.raises(AirflowFailException, match="No space left on device"):
        task.save(**ALL_THREE, conflict_behavior="replace")
    # The package was there, and what replaced the file of yesterday is all that has its name.
    assert task.names() == {"package.zip", "Positions.xlsx", "filling"}
    assert (task.path / "package.zip").read_bytes() == task.bytes
    assert (task.path / "Positions.xlsx").read_bytes() in {b"of yesterday", task.members()["Positions.xlsx"]}


@pytest.fixture
def mask() -> Iterator[None]:
    """A mask that lets others read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("mask")
@pytest.mark.parametrize(("file_mode", "folder_mode"), [("", ""), ("640", "750"), ("0o664", "0o2775"), ("600", "0700")])
def test_only_the_worker_may_read_what_is_saved_unless_the_deployment_says_otherwise(
    places: Callable[[str], SavingTask], monkeypatch: pytest.MonkeyPatch, file_mode: str, folder_mode: str
) -> None:
    task = places("disk")
    task.disk.chmod(0o755)
    task.folder = "Exports/2026"
    for name, mode in (("FILE_MODE", file_mode), ("FOLDER_MODE", folder_mode)):
        if mode:
            monkeypatch.setenv(f"AIRFLOW__TALENT_DMF__{name}", mode)
    if folder_mode == "0o2775":
        with pytest.raises(AirflowFailException, match=r"folder_mode .* must be an octal mode .* Write 700, or 750"):
            task.save(**ALL_THREE)
        return
    task.save(**ALL_THREE, receipt=True)
    modes = {path.name: path.stat().st_mode & 0o777 for path in task.path.iterdir()}
    assert set(modes) == {"package.zip", "package.zip.receipt.json", *UNPACKED}
    assert set(modes.values()) == {int(file_mode or "600", 8)}
    for folder in (task.path, task.path.parent):
        assert folder.stat().st_mode & 0o777 == int(folder_mode or "700", 8)
    assert task.disk.stat().st_mode & 0o777 == 0o755, "a folder that was there keeps its mode"


@pytest.mark.parametrize("mode", ["", "rw", "9", "77", "-600", "0x180", "1777"])
def test_a_mode_that_is_none_is_one_sentence(
    places: Callable[[str], SavingTask], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("AIRFLOW__TALENT_DMF__FILE_MODE", mode)
    with pytest.raises(AirflowFailException, match=r"file_mode in Airflow's configuration .* Write 600, or 640"):
        places("disk").save()
