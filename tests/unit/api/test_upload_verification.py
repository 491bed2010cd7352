"""What is compared after an upload, and what is deleted if it is wrong: only what the upload made itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.api.drive_model import DriveModel, StoredFile
from tests.unit.api.uploads import (
    DATA,
    HASH,
    LOCKED,
    NOT_THERE,
    PATIENT,
    WRONG_HASH,
    begun_upload,
    completed_upload,
    hashed,
    item_of,
    new_upload,
    older_file,
    play,
    saved,
    transfer,
)
from tests.unit.scripted import answer

from talent_dmf.api.errors import (
    DestinationBusyError,
    DestinationError,
    ItemChangedError,
    ProtocolError,
    TransferMismatchError,
    UploadSessionLostError,
)
from talent_dmf.api.graph.upload.session import Completed
from talent_dmf.api.steps import Response

WRONG = hashed(WRONG_HASH)
DELETED = answer(204)


def corrupt(file: StoredFile) -> None:
    file.data = file.data[:-1] + b"?"


def test_a_late_hash_is_waited_for() -> None:
    steps = new_upload().finish(item_of(hashed(None)), HASH)
    played = play(steps, [answer(json=hashed(None)), answer(json=hashed(None)), answer(json=hashed(HASH))])
    assert played.result is not None
    assert played.result.quick_xor_hash == HASH
    assert played.seconds == [1.0, 2.0]


def test_a_hash_that_never_comes_leaves_the_file_for_a_later_try() -> None:
    played = play(new_upload().finish(item_of(hashed(None)), HASH), [answer(json=hashed(None))] * 8)
    assert type(played.error) is ProtocolError
    assert {request.method for request in played.requests} == {"GET"}


def test_a_file_whose_hash_is_late_is_found_after_a_lost_answer() -> None:
    """Not found, it would be uploaded again, and `fail` would refuse the very file that it wrote."""
    bare = answer(json=hashed(None))
    played = play(new_upload().find_finished(HASH), [bare, bare, bare, answer(json=hashed(HASH))])
    assert played.result is not None
    assert played.result.quick_xor_hash == HASH
    assert played.seconds == [1.0, 2.0]


def test_a_file_of_that_size_with_other_content_is_not_ours() -> None:
    """Taken for ours, it would be deleted as wrongly transferred."""
    played = play(new_upload().find_finished(HASH), [answer(json=WRONG)])
    assert (played.error, played.result) == (None, None)


@pytest.mark.parametrize(
    ("raw", "looks"),
    [(WRONG, 0), (hashed(HASH, len(DATA) - 1), 3)],
    ids=["wrong hash", "wrong size"],
)
def test_a_wrong_file_is_deleted(raw: dict[str, object], looks: int) -> None:
    played = play(completed_upload(raw).finish(item_of(raw), HASH), [answer(json=raw)] * looks + [DELETED])
    assert type(played.error) is TransferMismatchError
    assert (played.requests[-1].method, played.requests[-1].url) == ("DELETE", "/drives/d/items/I1")
    assert played.requests[-1].headers == {"If-Match": '"1"'}


def test_a_size_that_the_last_answer_has_wrong_is_looked_at_again() -> None:
    """microsoftgraph/microsoft-graph-docs#9776: nothing is sent twice, and nothing is deleted."""
    twice, right = hashed(None, 2 * len(DATA)), hashed(HASH)
    played = play(completed_upload(twice).finish(item_of(twice), HASH), [answer(json=right)])
    assert played.result is not None
    assert played.result.size_bytes == len(DATA)
    assert {request.method for request in played.requests} == {"GET"}


def test_a_wrong_version_of_an_older_file_is_not_deleted() -> None:
    played = play(completed_upload(WRONG, 200).finish(item_of(WRONG), HASH), [])
    assert isinstance(played.error, TransferMismatchError)
    assert played.requests == []


def test_a_wrong_file_that_was_only_found_is_not_deleted() -> None:
    played = play(new_upload().finish(item_of(WRONG), HASH), [])
    assert isinstance(played.error, TransferMismatchError)
    assert played.requests == []


def test_a_version_is_recognised_by_its_item_whatever_the_status() -> None:
    upload = new_upload("replace")
    model = DriveModel(files={"a/p.zip": StoredFile("I1", "p.zip", b"old")})
    model.run(upload.begin())
    assert isinstance(play(upload.feed(0, DATA, lambda: HASH), [answer(201, json=WRONG)]).result, Completed)
    assert type(play(upload.finish(item_of(WRONG), HASH), []).error) is TransferMismatchError


def test_the_versions_of_an_older_file_survive_a_wrong_one() -> None:
    model = DriveModel(files=older_file(), on_complete=corrupt)
    with pytest.raises(TransferMismatchError, match="version history"):
        transfer(model, "replace")
    assert "a/p.zip" in model.files


def test_a_wrong_file_with_a_numbered_name_is_deleted_and_the_older_one_stays() -> None:
    model = DriveModel(files=older_file(), on_complete=corrupt)
    with pytest.raises(TransferMismatchError, match="It was deleted there"):
        transfer(model, "rename")
    assert saved(model) == {"a/p.zip": b"old"}


@pytest.mark.parametrize(
    "answers",
    [[answer(json={**WRONG, "eTag": '"2"'})], [answer(json=WRONG), answer(412)]],
    ids=["seen", "in between"],
)
def test_a_file_that_somebody_changed_is_left_to_them(answers: list[Response]) -> None:
    played = play(completed_upload(hashed(None)).finish(item_of(hashed(None)), HASH), answers)
    assert type(played.error) is ItemChangedError
    assert "left there" in str(played.error)
    assert not played.error.retryable


def test_another_item_than_the_one_that_was_named_is_not_deleted() -> None:
    other = replace(item_of(WRONG), id="I2")
    assert type(play(completed_upload(hashed(None)).finish(other, HASH), []).error) is ItemChangedError


def test_a_wrong_file_that_is_locked_is_deleted_when_the_lock_has_gone() -> None:
    played = play(completed_upload(WRONG).finish(item_of(WRONG), HASH), [LOCKED, LOCKED, DELETED])
    assert type(played.error) is TransferMismatchError


def test_a_wrong_file_that_stays_locked_is_a_matter_of_time() -> None:
    played = play(completed_upload(WRONG).finish(item_of(WRONG), HASH), [LOCKED] * PATIENT.max_attempts)
    assert type(played.error) is DestinationBusyError


def test_the_next_try_deletes_the_wrong_file_that_was_locked() -> None:
    first = completed_upload(WRONG)
    play(first.finish(item_of(WRONG), HASH), [LOCKED] * PATIENT.max_attempts)
    second = new_upload()
    assert play(second.resume(first.record('"E"', (0, "0"))), []).result is None
    assert play(second.find_finished(HASH), [answer(json=WRONG)]).result == item_of(WRONG)
    assert type(play(second.finish(item_of(WRONG), HASH), [DELETED]).error) is TransferMismatchError


def test_a_wrong_file_that_cannot_be_deleted_is_said_with_the_reason() -> None:
    full = answer(507, json={"error": {"code": "insufficientStorage"}})
    played = play(completed_upload(WRONG).finish(item_of(WRONG), HASH), [full])
    assert type(played.error) is DestinationError
    assert "storage is full" in str(played.error)


def test_a_file_that_is_said_to_be_complete_and_never_shown_is_looked_for_again_later() -> None:
    upload = begun_upload()
    model_says_nothing = [answer(201)]
    assert play(upload.feed(0, DATA, lambda: HASH), model_says_nothing).result == Completed(None)
    played = play(upload.finish(None, HASH), [NOT_THERE] * 4)
    assert type(played.error) is UploadSessionLostError
    assert "reported 'A/p.zip' as complete, but it does not show it" in str(played.error)
    assert played.seconds == [1, 2, 5]


def test_an_item_that_the_service_named_and_that_is_gone_is_looked_for_by_its_content() -> None:
    upload = completed_upload(hashed(HASH))
    listed = answer(json={**hashed(HASH), "id": "I2"})
    played = play(upload.find_finished(HASH), [NOT_THERE, listed])
    assert [request.url for request in played.requests] == ["/drives/d/items/I1", "/drives/d/root:/A/p.zip"]
    assert played.result is not None
    assert played.result.id == "I2"
