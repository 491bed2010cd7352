"""The name of an upload: taken by a file, blocked by a session, and what the conflict behaviour makes of it."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from tests.unit.api.drive_model import DriveModel, OpenSession, StoredFile
from tests.unit.api.uploads import (
    DATA,
    HASH,
    ITEM,
    LOCKED,
    LOOKED_AROUND,
    NAME_TAKEN,
    NOT_THERE,
    PATIENT,
    SESSION_OPENED,
    WRONG_HASH,
    begun_upload,
    hashed,
    item_of,
    listing,
    new_upload,
    older_file,
    play,
    saved,
    send_all,
    stale_session,
    transfer,
)
from tests.unit.scripted import answer

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import (
    DestinationBusyError,
    DestinationError,
    NameConflictError,
    ProtocolError,
    UploadSessionLostError,
)
from talent_dmf.api.graph.models import UploadTarget
from talent_dmf.api.graph.upload.session import Accepted, Completed
from talent_dmf.api.graph.upload.upload import ResumableUpload, candidates, name_beside, take_name
from talent_dmf.api.naming.drive_names import check_path
from talent_dmf.api.steps import Request, Response

WITHOUT_SUFFIX = UploadTarget("A", "workers", "rename")
LIKE_IT = listing("Workers", "workers 1", "workers 1 2", "workers.zip", "my workers")


def freed(model: DriveModel) -> None:
    """Let the stale session end as soon as our file is complete."""
    model.on_complete = lambda _: model.sessions.pop("stale", None) and None


@pytest.fixture
def rivalled() -> DriveModel:
    """A drive where somebody's session blocks our name, and saves their file while we upload beside it."""
    model = DriveModel(sessions=stale_session())

    def they_save(_: StoredFile) -> None:
        model.sessions.pop("stale", None)
        model.files.setdefault("a/p.zip", StoredFile("OLD", "p.zip", b"old"))

    model.on_complete = they_save
    return model


@pytest.fixture
def waiting_beside() -> tuple[DriveModel, ResumableUpload]:
    """A drive and an upload that is complete beside its name, which a stale session still blocks."""
    model = DriveModel(sessions=stale_session())
    upload = new_upload()
    with pytest.raises(UploadSessionLostError, match="15 minutes"):
        send_all(model, upload, model.run(upload.begin()))
    return model, upload


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("replace", {"a/p.zip": DATA}), ("rename", {"a/p.zip": b"old", "a/p 1.zip": DATA})],
)
def test_a_taken_name_is_replaced_or_numbered(policy: ConflictBehavior, expected: dict[str, bytes]) -> None:
    model = DriveModel(files=older_file())
    transfer(model, policy)
    assert saved(model) == expected


def test_a_taken_name_fails_before_a_byte_moves() -> None:
    model = DriveModel(files=older_file())
    with pytest.raises(NameConflictError, match="exists in OneDrive already"):
        transfer(model)
    assert (model.created, model.sent_bytes) == (0, 0)


def test_a_folder_of_that_name_is_never_replaced() -> None:
    played = play(new_upload("replace").begin(), [answer(json={"id": "F", "name": "p.zip", "folder": {}})])
    assert "is a folder" in str(played.error)


@pytest.mark.parametrize("policy", ["fail", "replace", "rename"])
def test_a_stale_session_is_neither_waited_out_nor_a_conflict(policy: ConflictBehavior) -> None:
    model = DriveModel(sessions=stale_session())
    upload = new_upload(policy)
    position = model.run(upload.begin())
    assert upload.session_target.name == "p.zip.u1.partial"
    freed(model)
    assert send_all(model, upload, position).name == "p.zip"
    assert saved(model) == {"a/p.zip": DATA}


def test_a_file_beside_a_name_that_was_taken_meanwhile_fails(rivalled: DriveModel) -> None:
    with pytest.raises(NameConflictError):
        transfer(rivalled, "fail")
    assert saved(rivalled) == {"a/p.zip": b"old"}


def test_a_file_beside_a_name_that_was_taken_meanwhile_is_numbered(rivalled: DriveModel) -> None:
    transfer(rivalled, "rename")
    assert saved(rivalled) == {"a/p.zip": b"old", "a/p 1.zip": DATA}


def test_a_file_beside_does_not_replace_one_that_was_saved_meanwhile(rivalled: DriveModel) -> None:
    """Renamed, it would take the place of theirs, and the versions of theirs would be gone."""
    with pytest.raises(UploadSessionLostError, match="a new version of it"):
        transfer(rivalled, "replace")
    assert saved(rivalled) == {"a/p.zip": b"old"}


def test_the_next_try_replaces_the_file_that_was_saved_meanwhile(rivalled: DriveModel) -> None:
    with pytest.raises(UploadSessionLostError):
        transfer(rivalled, "replace")
    assert transfer(rivalled, "replace").id == "OLD"
    assert rivalled.files["a/p.zip"].version == 2


def test_a_name_that_stays_blocked_leaves_the_verified_file_beside_it(
    waiting_beside: tuple[DriveModel, ResumableUpload],
) -> None:
    model, _ = waiting_beside
    assert saved(model) == {"a/p.zip.u1.partial": DATA}
    assert len(model.pauses) == PATIENT.max_attempts - 1


def test_the_next_try_renames_the_file_beside_and_sends_nothing(
    waiting_beside: tuple[DriveModel, ResumableUpload],
) -> None:
    model, first = waiting_beside
    model.sessions.clear()
    second = new_upload()
    assert model.run(second.resume(first.record('"E"', (0, "0")))) is None
    item = model.run(second.finish(model.run(second.find_finished(HASH)), HASH))
    assert (item.name, model.sent_bytes) == ("p.zip", len(DATA))


def test_a_file_that_took_its_name_before_the_try_was_killed_keeps_it(
    waiting_beside: tuple[DriveModel, ResumableUpload],
) -> None:
    model, first = waiting_beside
    model.sessions.clear()
    record = first.record('"E"', (0, "0"))
    item = model.run(first.finish(model.run(first.find_finished(HASH)), HASH))
    second = new_upload()
    model.run(second.resume(record))
    found = model.run(second.find_finished(HASH))
    assert second.session_target.name == "p.zip"
    assert model.run(second.finish(found, HASH)) == item


def test_a_file_beside_is_cleared_away_when_nobody_will_give_it_its_name(
    waiting_beside: tuple[DriveModel, ResumableUpload],
) -> None:
    model, upload = waiting_beside
    assert upload.may_lie_beside
    model.run(upload.clear_beside())
    assert saved(model) == {}
    # It is looked for, and not there any more.
    model.run(upload.clear_beside())
    assert saved(model) == {}


def test_nothing_is_cleared_away_of_an_upload_that_has_its_name() -> None:
    model = DriveModel()
    upload = new_upload()
    send_all(model, upload, model.run(upload.begin()))
    assert not upload.may_lie_beside
    model.run(upload.clear_beside())
    assert saved(model) == {"a/p.zip": DATA}


def test_a_name_that_an_item_has_already_is_not_taken_again() -> None:
    model = DriveModel()
    item = transfer(model)
    assert model.run(take_name("d", item, UploadTarget("A", "p.zip"))) == item


def test_a_file_that_took_its_name_before_that_was_recorded_is_found() -> None:
    model = DriveModel(sessions=stale_session())
    first = new_upload()
    position = model.run(first.begin())
    record = first.record('"E"', (0, "0"))
    assert record.session_name
    freed(model)
    done = send_all(model, first, position)
    second = new_upload()
    assert model.run(second.resume(record)) is None
    found = model.run(second.find_finished(HASH))
    assert found == done
    assert model.run(second.finish(found, HASH)) == done


def test_a_file_that_is_to_be_replaced_is_waited_for_without_sending() -> None:
    model = DriveModel(files=older_file(), sessions=stale_session())
    with pytest.raises(UploadSessionLostError, match="15 minutes"):
        transfer(model, "replace")
    assert saved(model) == {"a/p.zip": b"old"}
    assert len(model.pauses) == PATIENT.max_attempts - 1
    assert model.sent_bytes == 0


def test_a_numbered_name_need_not_be_waited_for() -> None:
    model = DriveModel(sessions=stale_session())
    assert transfer(model, "rename").name == "p 1.zip"
    assert model.pauses == []


@pytest.fixture
def cancelled() -> ResumableUpload:
    """An upload that has cancelled a session of its own."""
    model = DriveModel()
    upload = new_upload()
    model.run(upload.begin())
    model.run(upload.cancel())
    return upload


def test_a_name_that_our_cancelled_session_blocks_for_a_moment_is_waited_for(cancelled: ResumableUpload) -> None:
    played = play(cancelled.begin(), [*LOOKED_AROUND, NAME_TAKEN, NOT_THERE, SESSION_OPENED])
    assert played.seconds == [2.0]
    assert cancelled.session_target.name == "p.zip"


def test_a_name_that_our_cancelled_session_blocks_for_longer_is_gone_around(cancelled: ResumableUpload) -> None:
    played = play(cancelled.begin(), [*LOOKED_AROUND, *[NAME_TAKEN, NOT_THERE] * 3, SESSION_OPENED])
    assert played.seconds == [2.0, 5.0]
    assert cancelled.session_target.name == "p.zip.u1.partial"


def test_each_session_beside_has_a_name_of_its_own() -> None:
    upload = new_upload()
    start = [*LOOKED_AROUND, NAME_TAKEN, NOT_THERE]
    assert play(upload.begin(), [*start, NAME_TAKEN, SESSION_OPENED]).error is None
    assert upload.session_target.name == "p.zip.u1-2.partial"


def test_a_path_without_room_for_a_name_beside_is_blocked() -> None:
    """Named beside, it would be longer than a session takes."""
    target = UploadTarget("/".join(["d" * 195, "d" * 194]), "p", "fail")
    assert len(target.path) == 392
    upload = ResumableUpload("d", target, len(DATA), unique="0a1b2c3d")
    played = play(upload.begin(), [*LOOKED_AROUND, NAME_TAKEN, NOT_THERE])
    assert type(played.error) is UploadSessionLostError
    assert "expires within about 15 minutes" in str(played.error)


def test_names_beside_that_are_all_blocked_are_no_conflict() -> None:
    start = [*LOOKED_AROUND, NAME_TAKEN, NOT_THERE]
    ended = play(new_upload().begin(), [*start, *[NAME_TAKEN] * PATIENT.max_attempts])
    assert type(ended.error) is UploadSessionLostError


@pytest.mark.parametrize(("folder", "name"), [("f" * 150, "n" * 249), ("f" * 200, "n" * 195 + ".zip")])
def test_a_name_beside_is_not_too_long(folder: str, name: str) -> None:
    placed = name_beside(UploadTarget(folder, name), "12345678")
    assert placed.name.endswith(".12345678.partial")
    assert len(placed.path) <= 400
    assert len(placed.name) <= 255


def test_a_name_that_somebody_took_at_the_last_range_is_a_conflict_and_the_session_is_cancelled() -> None:
    other = answer(json={**hashed(None), "size": 3})
    played = play(begun_upload().feed(0, DATA, lambda: HASH), [NAME_TAKEN, *[other] * 4, answer(204)])
    assert type(played.error) is NameConflictError
    assert played.requests[-1].method == "DELETE"


def test_a_name_that_another_try_took_with_the_same_content_is_ours() -> None:
    played = play(begun_upload().feed(0, DATA, lambda: HASH), [NAME_TAKEN, answer(json=hashed(HASH))])
    assert played.result == Completed(item_of(hashed(HASH)))


def test_the_session_that_met_our_own_file_is_cancelled_so_that_it_does_not_block_the_name() -> None:
    upload = begun_upload()
    play(upload.feed(0, DATA, lambda: HASH), [NAME_TAKEN, answer(json=hashed(HASH))])
    played = play(upload.finish(item_of(hashed(HASH)), HASH), [answer(204)])
    assert played.result == item_of(hashed(HASH))
    assert played.requests[0].method == "DELETE"


def test_a_name_that_was_taken_by_a_file_without_a_hash_is_left_to_a_later_try() -> None:
    played = play(begun_upload().feed(0, DATA, lambda: HASH), [NAME_TAKEN, *[answer(json=hashed(None))] * 9])
    assert type(played.error) is ProtocolError


def test_the_files_that_may_be_ours_have_the_name_or_a_number_after_it() -> None:
    found = play(candidates("d", WITHOUT_SUFFIX), [LIKE_IT]).result
    assert found is not None
    assert [item.name for item in found] == ["Workers", "workers 1"]


def test_a_name_without_a_suffix_is_numbered_at_its_end() -> None:
    steps = take_name("d", item_of(hashed(HASH)), WITHOUT_SUFFIX)
    played = play(steps, [NAME_TAKEN, LIKE_IT, answer(json=ITEM)])
    assert played.requests[-1].json["name"] == "workers 2"


def test_a_number_that_somebody_else_takes_meanwhile_is_passed_over() -> None:
    steps = take_name("d", item_of(hashed(HASH)), UploadTarget("A", "p.zip", "rename"))
    played = play(steps, [NAME_TAKEN, listing("p.zip", "p 1.zip"), NAME_TAKEN, answer(json=ITEM)])
    assert [request.json["name"] for request in played.requests if request.json] == ["p.zip", "p 2.zip", "p 3.zip"]
    assert played.result is not None


def test_a_file_beside_that_is_locked_gets_its_name_when_the_lock_has_gone() -> None:
    steps = take_name("d", item_of(hashed(HASH)), UploadTarget("A", "p.zip"))
    played = play(steps, [LOCKED, LOCKED, answer(json=ITEM)])
    assert played.operations == ["Rename"] * 3
    for_long = play(take_name("d", item_of(hashed(HASH)), UploadTarget("A", "p.zip")), [LOCKED] * PATIENT.max_attempts)
    assert type(for_long.error) is DestinationBusyError


@pytest.mark.parametrize("policy", ["replace", "rename"])
def test_a_name_that_was_taken_at_the_last_range_is_gone_around_in_a_new_session(policy: ConflictBehavior) -> None:
    other = [answer(json={"value": []})] * 4 if policy == "rename" else [NOT_THERE] * 4
    upload = begun_upload(policy)
    again = [answer(204), *LOOKED_AROUND, SESSION_OPENED]
    # Looked for once because of the name, and once before a new session is begun.
    played = play(upload.feed(0, DATA, lambda: HASH), [NAME_TAKEN, *other, *other, *again])
    assert (played.error, played.result) == (None, Accepted(0))
    assert upload.restarts == 1


def test_a_name_that_is_taken_once_a_lost_session_is_begun_again_is_a_conflict() -> None:
    """Unless what has it now turns out to be our own file."""
    lost, theirs = answer(410), answer(json={**hashed(WRONG_HASH), "id": "I2"})
    played = play(begun_upload().feed(0, DATA, lambda: HASH), [lost, *[NOT_THERE] * 4, theirs, *[theirs] * 4])
    assert type(played.error) is NameConflictError
    ours = answer(json=hashed(HASH))
    found = play(begun_upload().feed(0, DATA, lambda: HASH), [lost, *[NOT_THERE] * 4, ours, ours])
    assert found.result == Completed(item_of(hashed(HASH)))


def test_a_folder_full_of_numbered_names_is_a_conflict_that_says_what_to_do() -> None:
    listed = listing("p.zip", *(f"p {number}.zip" for number in range(1, 100)))
    steps = take_name("d", item_of(hashed(HASH)), UploadTarget("A", "p.zip", "rename"))
    played = play(steps, [NAME_TAKEN, listed])
    assert type(played.error) is NameConflictError
    assert "Clean the folder up" in str(played.error)


_DEEP = "/".join(["d" * 40] * 5)


def _in_a_deep_folder(characters: int) -> UploadTarget:
    return UploadTarget(_DEEP, "n" * (characters - len(_DEEP) - 5) + ".zip")


class CountingModel(DriveModel):
    """A service that counts the seven characters of its temporary name: microsoftgraph/msgraph-sdk-dotnet#2018."""

    def _create(self, request: Request, path: str) -> Response:
        if len(path) > 393:
            inner = {"code": "invalidRequest", "innerError": {"code": "pathIsTooLong"}}
            return answer(400, json={"error": inner})
        return super()._create(request, path)


@pytest.mark.parametrize("characters", [375, 380, 385, 390, 393])
def test_a_blocked_name_of_a_long_path_is_passed_round_within_the_length(characters: int) -> None:
    """The name beside has to be as short as a session needs; pnp/pnpjs#1174 has long names of few characters."""
    target = _in_a_deep_folder(characters)
    assert len(target.path) == characters
    model = CountingModel(sessions={"stale": OpenSession(target.path, "replace")})
    upload = ResumableUpload("d", target, len(DATA), unique="0a1b2c3d")
    assert model.run(upload.begin()) == 0
    assert upload.session_target != target
    assert len(upload.session_target.path) <= 393


def test_a_path_that_a_session_cannot_have_is_refused_before_anything_is_asked() -> None:
    for characters, refused in ((393, False), (394, True), (400, True)):
        target = _in_a_deep_folder(characters)
        with pytest.raises(DestinationError, match="at most 393") if refused else nullcontext():
            check_path(target.folder, target.name)


def test_a_path_that_the_service_refuses_all_the_same_is_a_matter_of_the_path() -> None:
    upload = ResumableUpload("d", _in_a_deep_folder(394), len(DATA), unique="0a1b2c3d")
    with pytest.raises(DestinationError, match="does not accept this name or path") as caught:
        CountingModel().run(upload.begin())
    assert not caught.value.retryable
