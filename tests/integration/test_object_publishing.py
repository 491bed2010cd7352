"""How a file gets its name in a store: what is there before, what breaks off, and who else writes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import INSTANT
from tests.integration.exported_package import CHUNK_BYTES, ExportedPackage, sha256
from tests.integration.object_saving import Saving
from tests.integration.staging_store import MovingFileSystem, StagedFile, StagingFileSystem

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import NameConflictError, TransferMismatchError, TransportError
from talent_dmf.destinations.object_storage.moving import Move, take_back
from talent_dmf.destinations.object_storage.store import ObjectFolder, open_folder
from talent_dmf.destinations.object_storage.writers import save_text

PACKAGE_BYTES = 2 * CHUNK_BYTES + 4321
SETTINGS = INSTANT.changed({"package_size_bytes": PACKAGE_BYTES, "new_copy_per_link": True})
PLACES = ["before", "half", "copied", "moved"]


class KilledError(BaseException):
    """The worker dies here."""


def moving(exported: ExportedPackage, **options: Any) -> tuple[Saving, MovingFileSystem]:
    """A folder in a store that moves by copying, in which nothing breaks yet."""
    store = MovingFileSystem(**options)
    return Saving(exported, ObjectFolder(store, "/exports", "smb")), store


def staging(exported: ExportedPackage, **options: Any) -> tuple[Saving, StagingFileSystem]:
    """A folder in a store that commits on close."""
    store = StagingFileSystem(**options)
    return Saving(exported, ObjectFolder(store, "/bucket", "gs")), store


def at_the_end(action: Callable[[], None]) -> Callable[[Any], None]:
    """A progress that does something when the last byte is written."""
    return lambda progress: action() if progress.done_bytes == PACKAGE_BYTES else None


def store_once(saving: Saving, name: str) -> None:
    """Somebody else takes the name, unless it is taken."""
    if name not in saving.folder.names():
        save_text(saving.folder, name, "theirs")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("move", ["aside", "in"])
def test_a_move_that_breaks_off_leaves_the_old_file_or_the_new_one(
    exported: ExportedPackage, move: str, place: str
) -> None:
    saving, store = moving(exported)
    save_text(saving.folder, "p.zip", "old")
    store.breaks = [place] if move == "aside" else ["", place]
    with pytest.raises(TransportError, match="broke off"):
        saving.save("p.zip", "replace")
    there = exported.package() if (move, place) in {("in", "copied"), ("in", "moved")} else b"old"
    assert (list(saving.folder.names()), saving.content("p.zip")) == (["p.zip"], there)
    saving.save("p.zip", "replace")
    assert (list(saving.folder.names()), saving.content("p.zip")) == (["p.zip"], exported.package())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("move", ["aside", "in"])
def test_a_worker_that_dies_while_moving_loses_neither_file(exported: ExportedPackage, move: str, place: str) -> None:
    saving, store = moving(exported)
    save_text(saving.folder, "p.zip", "old")
    store.breaks, store.error = [place] if move == "aside" else ["", place], KilledError()
    with pytest.raises(KilledError):
        saving.save("p.zip", "replace")
    store.dead = False
    assert b"old" in [saving.content(name) for name in saving.folder.names()]
    saving.save("p.zip", "replace")
    assert (list(saving.folder.names()), saving.content("p.zip")) == (["p.zip"], exported.package())


def test_an_old_file_that_cannot_be_put_back_is_put_back_by_the_next_try(exported: ExportedPackage) -> None:
    saving, store = moving(exported)
    save_text(saving.folder, "p.zip", "old")
    store.breaks = ["", "before", "before"]
    with pytest.raises(TransportError):
        saving.save("p.zip", "replace")
    assert "p.zip" not in saving.folder.names()
    # Another name, as in a new export: what was begun under the first one is mended all the same.
    assert saving.save("q.zip", "replace").name == "q.zip"
    assert sorted(saving.folder.names()) == ["p.zip", "q.zip"]
    assert saving.content("p.zip") == b"old"


@pytest.mark.parametrize("conflict_behavior", ["fail", "replace", "rename"])
@pytest.mark.parametrize("place", PLACES)
def test_half_a_copy_of_a_dead_worker_is_recognised(
    exported: ExportedPackage, place: str, conflict_behavior: ConflictBehavior
) -> None:
    saving, store = moving(exported, breaks=[place], error=KilledError())
    with pytest.raises(KilledError):
        saving.save("p.zip", conflict_behavior)
    store.dead = False
    assert saving.save("p.zip", conflict_behavior).name == "p.zip"
    assert (list(saving.folder.names()), saving.content("p.zip")) == (["p.zip"], exported.package())


def test_what_cannot_be_proven_to_be_half_a_copy_is_left(exported: ExportedPackage) -> None:
    saving, store = moving(exported, breaks=["half"], error=KilledError())
    with pytest.raises(KilledError):
        saving.save("p.zip", "fail")
    store.dead = False
    save_text(saving.folder, "p.zip", "theirs")
    with pytest.raises(NameConflictError, match="exists already"):
        saving.save("p.zip", "fail")
    assert (list(saving.folder.names()), saving.content("p.zip")) == (["p.zip"], b"theirs")


def test_an_old_file_that_the_new_one_begins_with_is_no_half_copy(exported: ExportedPackage) -> None:
    saving, _ = moving(exported)
    save_text(saving.folder, "jobs.csv", "row 1\n")
    save_text(saving.folder, "jobs.csv.1234.partial", "row 1\nrow 2\n")
    take_back(saving.folder, Move("jobs.csv", "jobs.csv.1234.partial", before=6, sha256="of both rows"))
    assert saving.folder.names() == {"jobs.csv": 6}


def test_a_name_that_has_neither_file_is_told_and_left(
    exported: ExportedPackage, caplog: pytest.LogCaptureFixture
) -> None:
    saving, _ = moving(exported)
    save_text(saving.folder, "p.zip", "theirs")
    save_text(saving.folder, "p.zip.1234.old", "old")
    take_back(saving.folder, Move("p.zip", "p.zip.1234.partial", before=3, sha256="of another"))
    assert sorted(saving.folder.names()) == ["p.zip", "p.zip.1234.old"]
    assert "What it was is kept as smb:///exports/p.zip.1234.old" in caplog.text


@pytest.mark.parametrize("damage", [1, 2])
@pytest.mark.parametrize("old", [None, "old"])
def test_what_was_moved_is_compared_under_its_name(exported: ExportedPackage, old: str | None, damage: int) -> None:
    saving, store = moving(exported)
    if old is not None:
        save_text(saving.folder, "p.zip", old)
    store.damage = damage
    if damage == 1:
        saving.save("p.zip", "replace")
        assert (list(saving.folder.names()), saving.content("p.zip")) == (["p.zip"], exported.package())
        return
    with pytest.raises(TransferMismatchError):
        saving.save("p.zip", "replace")
    assert saving.folder.names() == ({} if old is None else {"p.zip": 3})


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("kind", ["disk", "moving"])
def test_what_is_staged_is_compared_before_it_has_the_name(
    exported: ExportedPackage, tmp_path: Path, kind: str, times: int
) -> None:
    saving = moving(exported)[0] if kind == "moving" else Saving(exported, open_folder(f"file://{tmp_path}", None))
    save_text(saving.folder, "p.zip", "old")
    damaged, seen = [], []

    def damage() -> None:
        seen.append(saving.content("p.zip"))
        (staged,) = saving.folder.names().keys() - {"p.zip"}
        if len(damaged) < times:
            damaged.append(staged)
            if kind == "disk":
                with (tmp_path / staged).open("r+b") as file:
                    file.write(b"X")
            else:
                saving.folder.fs.store[saving.folder.locate(staged)].getbuffer()[0] ^= 1

    if times == 1:
        stored = saving.save("p.zip", "replace", progress=at_the_end(damage))
        assert (stored.sha256, saving.content("p.zip")) == (sha256(exported.package()), exported.package())
    else:
        with pytest.raises(TransferMismatchError, match=r"The SHA-256 of .*\.partial in the store is"):
            saving.save("p.zip", "replace", progress=at_the_end(damage))
        assert saving.content("p.zip") == b"old"
    assert seen == [b"old", b"old"]
    assert list(saving.folder.names()) == ["p.zip"]


def test_a_text_is_read_back(exported: ExportedPackage) -> None:
    saving, _ = staging(exported, damage=1)
    with pytest.raises(TransferMismatchError, match=r"does not hold gs:///bucket/r\.json as it was sent"):
        save_text(saving.folder, "r.json", "{}")


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "\U0001f4c4" * 63])
def test_a_text_may_have_as_long_a_name_as_a_disk_takes(tmp_path: Path, name: str) -> None:
    folder = open_folder(f"file://{tmp_path}", None)
    save_text(folder, name, "{}")
    assert folder.names() == {name: 2}


def test_what_somebody_else_commits_during_the_read_back_is_theirs(
    exported: ExportedPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving, store = staging(exported)
    sha = saving.folder.sha256

    def read_slowly(name: str, *arguments: Any) -> str:
        store.pipe_file(saving.folder.locate(name), b"theirs")
        return sha(name, *arguments)

    monkeypatch.setattr(saving.folder, "sha256", read_slowly)
    with pytest.raises(NameConflictError, match="written by somebody else while it was being read back") as caught:
        saving.save("p.zip", "fail")
    assert not caught.value.retryable
    assert (store.commits, saving.content("p.zip")) == (1, b"theirs")


def test_a_name_taken_before_the_commit_is_given_way_to(exported: ExportedPackage) -> None:
    saving, _ = staging(exported)
    stored = saving.save("p.zip", "rename", progress=lambda _: store_once(saving, "p.zip"))
    assert (stored.name, saving.content("p 1.zip")) == ("p 1.zip", exported.package())
    assert saving.content("p.zip") == b"theirs"


def test_giving_way_ends(exported: ExportedPackage) -> None:
    saving, store = staging(exported)
    names = iter(["p.zip", *(f"p {number}.zip" for number in range(1, 20))])
    with pytest.raises(NameConflictError, match=r"taken while the file was being sent, 5 times\. Let one task"):
        saving.save("p.zip", "rename", progress=at_the_end(lambda: save_text(saving.folder, next(names), "theirs")))
    assert store.commits == len(saving.folder.names()) == 5


class HttpError(Exception):
    """What the Azure and Google libraries raise: an error with a status."""

    def __init__(self, status_code: int) -> None:
        super().__init__("There is currently a lease on the blob")
        self.status_code = status_code


@pytest.mark.parametrize("status", [409, 412])
def test_a_lock_is_no_taken_name(exported: ExportedPackage, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    stage = StagedFile._upload_chunk

    def refuse(file: StagedFile, final: bool = False) -> bool:
        if final:
            raise HttpError(status)
        return stage(file, final)

    saving, _ = staging(exported)
    monkeypatch.setattr(StagedFile, "_upload_chunk", refuse)
    with pytest.raises(TransportError, match=r"locked, protected from changes, or being changed.*a lease on the blob"):
        saving.save("p.zip", "replace")
    with pytest.raises(NameConflictError, match="exists already"):
        saving.save("p.zip", "fail")


def test_the_remains_of_a_dead_worker_are_removed_whatever_the_next_name_is(
    exported: ExportedPackage, tmp_path: Path
) -> None:
    saving = Saving(exported, open_folder(f"file://{tmp_path}", None))
    saving.facts.save("", {"folder": saving.folder.url(), "wished": "p_T1.zip", "partial": "p_T1.zip.dead.partial"})
    (tmp_path / "p_T1.zip.dead.partial").write_bytes(b"half of a package")
    saving.save("p_T2.zip")
    assert list(saving.folder.names()) == ["p_T2.zip"]
