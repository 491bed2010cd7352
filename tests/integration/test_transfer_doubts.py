"""What an upload became is not known, or somebody else saves under the same name: nothing of his is touched, nothing is
sent twice, and no data stays behind.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from tests.integration.conftest import INSTANT
from tests.integration.exported_package import CHUNK_BYTES, ExportedPackage, MemoryStore, fail_at

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import (
    ItemChangedError,
    PermissionDeniedError,
    ProtocolError,
    TalentDmfError,
    TransferMismatchError,
    TransportError,
    UploadSessionLostError,
)
from talent_dmf.api.graph.drive import get_item, put_small
from talent_dmf.api.graph.models import DriveItem, UploadTarget
from talent_dmf.destinations.progress import Progress

PACKAGE_BYTES = 5 * CHUNK_BYTES + 54_321
SETTINGS = INSTANT.changed({"package_size_bytes": PACKAGE_BYTES, "range_form": "random"})
POLICIES: list[ConflictBehavior] = ["fail", "rename", "replace"]
THEIRS = b"somebody else's"


@pytest.fixture
def name() -> str:
    return f"{uuid.uuid4().hex}.zip"


def save_theirs(exported: ExportedPackage, name: str, content: bytes = THEIRS) -> DriveItem:
    return exported.graph.run(put_small(exported.drive_id, UploadTarget("Exports", name, "replace"), content))


def somebody_saves(exported: ExportedPackage, name: str, made: list[DriveItem]) -> Callable[[Progress], None]:
    """A progress callback: somebody saves a file under the name when half of ours is there."""

    def callback(progress: Progress) -> None:
        if progress.done_bytes == 3 * CHUNK_BYTES and not made:
            made.append(save_theirs(exported, name))

    return callback


def names_of(exported: ExportedPackage, name: str) -> list[str]:
    return sorted(other for other in exported.saved_names() if other.startswith(name[:-4]))


def test_a_completion_without_a_body_is_not_looked_for_by_its_name(exported: ExportedPackage, name: str) -> None:
    """Under ``rename`` the service avoids the name that somebody took meanwhile: what has it is not ours."""
    exported.pump(f"{uuid.uuid4().hex}.zip").run()
    exported.emulator.faults.add("drive.F16", mode="no-body", times=1)
    result = exported.pump(name, "rename", progress=somebody_saves(exported, name, [])).run()
    assert exported.saved(name) == THEIRS
    assert exported.saved(result.item.name) == exported.package()
    assert names_of(exported, name) == sorted([name, result.item.name])
    assert result.bytes_sent == PACKAGE_BYTES


def test_a_version_of_a_file_that_appeared_meanwhile_is_not_deleted_with_it(
    exported: ExportedPackage, name: str
) -> None:
    made: list[DriveItem] = []
    exported.emulator.faults.add("drive.F17", mode="wrong-hash", times=None, match={"action": "uploadRange"})
    with pytest.raises(TransferMismatchError, match=r"current version there now\..*version history"):
        exported.pump(name, "replace", progress=somebody_saves(exported, name, made)).run()
    item = exported.graph.run(get_item(exported.drive_id, f"Exports/{name}"))
    assert item is not None
    assert item.id == made[0].id


def test_what_a_person_saves_while_the_hash_is_waited_for_is_left_to_him(exported: ExportedPackage, name: str) -> None:
    exported.emulator.faults.add("drive.F17", mode="missing-hash", times=3)

    def sleep(_: float) -> None:
        if exported.saved(name) not in {None, THEIRS}:
            save_theirs(exported, name)

    with pytest.raises(ItemChangedError, match="left there"):
        exported.pump(name, target=exported.graph_driver(sleep=sleep)).run()
    assert exported.saved(name) == THEIRS


@pytest.mark.parametrize(
    ("fault", "mode", "options"),
    [
        ("drive.F12", "locked", {"times": 2}),
        ("drive.F12", "locked", {"times": 8}),
        ("drive.F3", "once", {"status": 502, "times": 8}),
    ],
)
def test_a_wrong_file_that_cannot_be_deleted_is_deleted_by_a_later_try(
    exported: ExportedPackage, name: str, fault: str, mode: str, options: dict[str, int]
) -> None:
    store = MemoryStore()
    rule = exported.emulator.faults.add("drive.F17", mode="wrong-hash", times=None)
    exported.emulator.faults.add(fault, mode=mode, match={"origin": "graph", "action": "deleteItem"}, **options)
    with pytest.raises((TransportError, TransferMismatchError)) as caught:
        exported.pump(name, session_store=store).run()
    assert caught.value.retryable
    if options["times"] == 8:
        assert isinstance(caught.value, TransportError)
        assert store.kept[-1].unverified_id
        with pytest.raises(TransferMismatchError):
            exported.pump(name, session_store=store).run()
    assert names_of(exported, name) == []
    exported.emulator.faults.remove(rule)
    assert exported.pump(name, session_store=store).run().bytes_sent == PACKAGE_BYTES


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("last_answer", ["heard", "lost"])
def test_a_hash_that_is_late_for_several_tries(
    exported: ExportedPackage, name: str, last_answer: str, policy: ConflictBehavior
) -> None:
    store = MemoryStore()
    rule = exported.emulator.faults.add("drive.F17", mode="missing-hash", times=None)
    if last_answer == "lost":
        exported.emulator.faults.add("drive.F6", mode="reset", times=1)
    for _ in range(3):
        with pytest.raises(ProtocolError, match="no quickXorHash") as caught:
            exported.pump(name, policy, session_store=store).run()
        assert caught.value.retryable
    exported.emulator.faults.remove(rule)
    result = exported.pump(name, policy, session_store=store).run()
    assert result.already_there
    assert names_of(exported, name) == [name]
    assert exported.saved(name) == exported.package()
    assert exported.ranges_sent() == exported.ranges(PACKAGE_BYTES)


def test_who_is_killed_while_the_hash_is_late_has_said_which_file_it_is(exported: ExportedPackage, name: str) -> None:
    store, known = MemoryStore(), list[str]()
    exported.emulator.faults.add("drive.F17", mode="missing-hash", times=4)
    target = exported.graph_driver(sleep=lambda _: known.append(store.kept[-1].unverified_id))
    result = exported.pump(name, session_store=store, target=target).run()
    assert set(known) == {result.item.id}
    assert store.kept[-1].unverified_id == ""


@pytest.mark.parametrize("policy", POLICIES)
def test_a_finished_file_that_shows_no_hash_for_a_moment(
    exported: ExportedPackage, name: str, policy: ConflictBehavior
) -> None:
    store = MemoryStore()
    exported.pump(name, policy, session_store=store).run()
    exported.emulator.recorder.clear()
    exported.emulator.faults.add("drive.F17", mode="missing-hash", times=2, match={"action": "getItem"})
    assert exported.pump(name, policy, session_store=store).run().already_there
    assert exported.ranges_sent() == []


@pytest.mark.parametrize("alike", ["size", "nothing"])
def test_a_finished_file_that_somebody_changed_since_is_no_result(
    exported: ExportedPackage, name: str, alike: str
) -> None:
    store = MemoryStore()
    exported.pump(name, "replace", session_store=store).run()
    save_theirs(exported, name, bytes(PACKAGE_BYTES) if alike == "size" else THEIRS)
    result = exported.pump(name, "replace", session_store=store).run()
    assert not result.already_there
    assert exported.saved(name) == exported.package()


@pytest.mark.parametrize("policy", POLICIES)
def test_another_try_of_the_task_finishes_the_session(
    exported: ExportedPackage, name: str, policy: ConflictBehavior
) -> None:
    """A worker that was believed dead goes on: it finds the file that its successor has finished."""
    store, twin = MemoryStore(), ExportedPackage(exported.emulator)
    twin.execution_id = exported.execution_id

    def finish(progress: Progress) -> None:
        if progress.done_bytes == 3 * CHUNK_BYTES and not twin.links:
            twin.pump(name, policy, session_store=MemoryStore(list(store.kept))).run()

    result = exported.pump(name, policy, session_store=store, progress=finish).run()
    assert result.already_there
    assert exported.saved(name) == exported.package()
    assert names_of(exported, name) == [name]
    assert len(exported.ranges_sent()) == 6 + 1, "of the session that is gone, one range was refused"
    twin.close()


def test_a_lost_answer_to_the_opening_keeps_what_is_to_be_replaced(exported: ExportedPackage, name: str) -> None:
    """Our own session blocks the name, and nobody knows its URL: it is waited for, whatever is there stays."""
    before = exported.pump(name).run()
    old = exported.saved(name)
    exported.export(str(uuid.uuid4()), "DEMF")
    create = {"origin": "graph", "action": "createUploadSession"}
    exported.emulator.faults.add("drive.F4", mode="reset", times=1, match=create)
    with pytest.raises(UploadSessionLostError, match="15 minutes") as caught:
        exported.pump(name, "replace").run()
    assert caught.value.retryable
    assert exported.saved(name) == old
    exported.emulator.clock.advance(901)
    after = exported.pump(name, "replace").run()
    assert (after.item.id, exported.saved(name)) == (before.item.id, exported.package())
    assert (exported.open_sessions(), names_of(exported, name)) == ([], [name])


def test_a_name_that_stays_blocked_costs_neither_the_old_nor_the_new(exported: ExportedPackage, name: str) -> None:
    exported.pump(name).run()
    old = exported.saved(name)
    exported.export(str(uuid.uuid4()), "DEMF")
    exported.emulator.faults.add("drive.F10", mode="open")
    patch = {"origin": "graph", "action": "patchItem"}
    exported.emulator.faults.add("drive.F12", mode="open-in-office", times=None, match=patch)
    with pytest.raises(UploadSessionLostError):
        exported.pump(name, "replace", session_store=MemoryStore()).run()
    assert exported.saved(name) == old
    assert names_of(exported, name) == [name]


def test_a_file_that_appears_beside_us_is_not_replaced_by_a_renamed_one(exported: ExportedPackage, name: str) -> None:
    """Graph would do it, and the versions of theirs would be gone: the next try makes a new version of it."""
    store, made = MemoryStore(), list[DriveItem]()
    exported.emulator.faults.add("drive.F10", mode="open")
    with pytest.raises(UploadSessionLostError, match="a new version of it") as caught:
        exported.pump(name, "replace", session_store=store, progress=somebody_saves(exported, name, made)).run()
    assert caught.value.retryable
    assert exported.saved(name) == THEIRS
    assert names_of(exported, name) == [name]
    exported.emulator.clock.advance(901)
    result = exported.pump(name, "replace", session_store=store).run()
    assert (result.item.id, exported.saved(name)) == (made[0].id, exported.package())


@pytest.mark.parametrize("times", [1, 8])
def test_a_lock_while_the_name_is_taken_is_waited_for(exported: ExportedPackage, name: str, times: int) -> None:
    store = MemoryStore()
    exported.emulator.faults.add("drive.F10", mode="open")
    patch = {"origin": "graph", "action": "patchItem"}
    exported.emulator.faults.add("drive.F12", mode="locked", times=times, match=patch)
    if times == 8:
        with pytest.raises(TransportError, match="locked"):
            exported.pump(name, session_store=store).run()
        assert [other[-8:] for other in names_of(exported, name)] == [".partial"], "verified: kept for the next try"
    exported.pump(name, session_store=store).run()
    assert names_of(exported, name) == [name]
    assert exported.saved(name) == exported.package()
    assert exported.ranges_sent() == exported.ranges(PACKAGE_BYTES)


@pytest.mark.parametrize("keeps", [True, False])
def test_the_last_try_leaves_nothing_beside_a_name_that_stays_locked(
    exported: ExportedPackage, name: str, keeps: bool
) -> None:
    store = MemoryStore() if keeps else None
    exported.emulator.faults.add("drive.F10", mode="open")
    patch = {"origin": "graph", "action": "patchItem"}
    exported.emulator.faults.add("drive.F12", mode="locked", times=8, match=patch)
    with pytest.raises(TransportError, match="locked"):
        exported.pump(name, session_store=store, last_try=True).run()
    assert names_of(exported, name) == []
    assert store is None or store.kept == []
    exported.pump(name, last_try=True).run()
    assert exported.saved(name) == exported.package()


def test_the_last_try_keeps_what_has_got_its_name(exported: ExportedPackage, name: str) -> None:
    exported.emulator.faults.add("drive.F10", mode="open")
    exported.emulator.faults.add("drive.F26", mode="pending", times=None, match={"action": "getItem"})
    with pytest.raises(ProtocolError, match="pending operation"):
        exported.pump(name, session_store=MemoryStore(), last_try=True).run()
    assert names_of(exported, name) == [name]
    assert exported.saved(name) == exported.package()


def test_nothing_stays_beside_where_the_right_to_rename_is_missing(exported: ExportedPackage, name: str) -> None:
    store = MemoryStore()
    exported.emulator.faults.add("drive.F10", mode="open")
    exported.emulator.faults.add("drive.F15", match={"origin": "graph", "action": "patchItem"})
    with pytest.raises(PermissionDeniedError):
        exported.pump(name, session_store=store).run()
    assert names_of(exported, name) == []
    assert store.kept == []


def test_an_assembly_that_fails_does_not_block_our_own_name(exported: ExportedPackage, name: str) -> None:
    exported.emulator.faults.add("drive.F3", mode="assembly")
    result = exported.pump(name).run()
    assert (result.item.name, exported.saved(name)) == (name, exported.package())
    assert exported.open_sessions() == []
    assert exported.emulator.recorder.requests(action="patchItem") == [], "it is opened on the name, not beside it"


@pytest.mark.parametrize("policy", POLICIES)
def test_an_assembly_that_fails_beside_the_name(exported: ExportedPackage, name: str, policy: ConflictBehavior) -> None:
    exported.emulator.faults.add("drive.F10", mode="open")
    exported.emulator.faults.add("drive.F3", mode="assembly")
    exported.pump(name, policy).run()
    assert names_of(exported, name) == [name]
    assert exported.saved(name) == exported.package()


def test_a_long_name_has_room_beside_it(exported: ExportedPackage) -> None:
    name, folder = "n" * 230 + ".zip", "/".join(["f" * 50] * 3)
    exported.emulator.faults.add("drive.F10", mode="open")
    exported.pump(name, folder=folder).run()
    assert exported.saved(name, folder) == exported.package()


def test_a_request_to_slow_down_on_the_last_range_keeps_the_session(exported: ExportedPackage, name: str) -> None:
    store = MemoryStore()
    last = {"action": "uploadRange", "is_final": True}
    exported.emulator.faults.add("drive.F2", mode="json", retry_after=700, match=last)
    with pytest.raises(TalentDmfError, match="slow down"):
        exported.pump(name, session_store=store).run()
    result = exported.pump(name, session_store=store).run()
    assert result.resumed_from_bytes == 5 * CHUNK_BYTES


def test_a_session_of_before_that_never_says_where_it_stands(exported: ExportedPackage, name: str) -> None:
    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt):
        exported.pump(name, session_store=store, progress=fail_at(2, KeyboardInterrupt)).run()
    exported.emulator.faults.add("drive.F3", mode="once", status=500, times=None, match={"action": "uploadStatus"})
    result = exported.pump(name, session_store=store).run()
    assert (result.item.name, exported.saved(name)) == (name, exported.package())
    assert exported.open_sessions() == []


def test_who_is_killed_does_not_sit_out_a_request_to_slow_down(exported: ExportedPackage, name: str) -> None:
    exported.emulator.faults.add("drive.F1", retry_after=300, times=1, match={"action": "uploadCancel"})
    with pytest.raises(KeyboardInterrupt):
        exported.pump(name, progress=fail_at(2, KeyboardInterrupt)).run()
    assert exported.pauses == []


def test_a_link_that_expires_while_the_rest_is_hashed_is_renewed(exported: ExportedPackage, name: str) -> None:
    store = MemoryStore()
    exported.pump(name, session_store=store).run()
    del store.kept[1:]
    exported.emulator.recorder.clear()
    exported.emulator.faults.add("drive.F20", mode="expired", times=1, after=3)
    links = exported.links
    assert exported.pump(name, session_store=store, clock=iter(range(0, 10_000, 6)).__next__).run().already_there
    assert exported.links == links + 2
    hashed = [record.hash_state[0] for record in store.kept]
    assert sum(0 < length < PACKAGE_BYTES for length in hashed) > 2, "a later try would go on with the hash from there"
