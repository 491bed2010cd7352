"""An upload that is interrupted, against a small model of the service: the file is right or absent, and it ends."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.api.drive_model import DriveModel
from tests.unit.api.uploads import (
    ALL_BUT_THE_LAST,
    CHUNK,
    DATA,
    HASH,
    LOOKED_AROUND,
    NOT_THERE,
    PATIENT,
    SESSION_OPENED,
    begun_upload,
    hashed,
    item_of,
    known,
    new_upload,
    older_file,
    play,
    saved,
    send_all,
    transfer,
)
from tests.unit.scripted import answer

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import TalentDmfError, TransportError, UploadSessionLostError
from talent_dmf.api.graph.upload.session import Accepted, Completed
from talent_dmf.api.graph.upload.upload import HashNeeded, UploadRecord

FAULTS = ["", "cut", "partial", "hidden", "503", "423", "404", "lost", "416", "vague", "back", "bodyless"]
FAULTS += ["slow", "dead", "unseen"]
POLICIES = ["fail", "replace", "rename"]


def test_without_interruption_each_byte_is_sent_once() -> None:
    model = DriveModel()
    item = transfer(model)
    assert saved(model) == {"a/p.zip": DATA}
    assert (item.name, item.size_bytes, item.quick_xor_hash) == ("p.zip", len(DATA), HASH)
    assert (model.created, model.sent_bytes, model.pauses) == (1, len(DATA), [])


@given(faults=st.lists(st.sampled_from(FAULTS), max_size=14), policy=st.sampled_from(POLICIES))
def test_whatever_breaks_the_file_is_right_or_absent(faults: Sequence[str], policy: ConflictBehavior) -> None:
    model = DriveModel(iter(faults))
    failure: TalentDmfError | None = None
    try:
        transfer(model, policy)
    except TalentDmfError as error:
        failure = error
    if failure is not None:
        assert failure.retryable
        assert saved(model) == {}
    else:
        assert saved(model) == {"a/p.zip": DATA}
        assert model.sessions == {}


@given(
    faults=st.lists(st.sampled_from(FAULTS), max_size=8),
    stop=st.integers(0, 7),
    policy=st.sampled_from(POLICIES),
)
def test_a_second_try_goes_on_where_the_server_stands(
    faults: Sequence[str], stop: int, policy: ConflictBehavior
) -> None:
    model = DriveModel(iter(faults))
    first = new_upload(policy)
    position = model.run(first.begin())
    try:
        for _ in range(stop):
            data = DATA[position : position + CHUNK]
            whole_hash = HASH if position + len(data) == len(DATA) else None
            outcome = model.run(first.feed(position, data, known(whole_hash)))
            if isinstance(outcome, Completed):
                break
            position = outcome.next_offset
    except TalentDmfError:
        pass
    record = UploadRecord.from_json(first.record('"E"', (0, "0")).to_json())
    assert record is not None
    model.faults = iter(())
    second = new_upload(policy)
    offset = model.run(second.resume(record))
    assert second.begun, "what is kept for the next try must name the session"
    if offset is None:
        item = model.run(second.find_finished(HASH))
        item = (
            model.run(second.finish(item, HASH))
            if item is not None
            else send_all(model, second, model.run(second.begin()))
        )
    else:
        before = model.sent_bytes
        item = send_all(model, second, offset)
        assert model.sent_bytes - before == len(DATA) - offset, "nothing is sent twice"
    assert saved(model) == {"a/p.zip": DATA}
    assert item.name == "p.zip"


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("fault", ["hidden", "slow", "unseen", "bodyless"])
def test_whatever_becomes_of_the_last_answer_nothing_is_sent_twice(fault: str, policy: ConflictBehavior) -> None:
    model = DriveModel(iter([*ALL_BUT_THE_LAST, fault]))
    transfer(model, policy)
    assert saved(model) == {"a/p.zip": DATA}
    assert (model.created, model.sent_bytes) == (1, len(DATA))


def test_after_a_lost_last_answer_the_file_is_found_under_its_numbered_name() -> None:
    model = DriveModel(iter([*ALL_BUT_THE_LAST, "hidden"]), files=older_file())
    item = transfer(model, "rename")
    assert item.name == "p 1.zip"
    assert (model.created, model.sent_bytes) == (1, len(DATA))


def test_after_a_lost_last_answer_an_equal_older_file_is_not_taken_for_the_upload() -> None:
    model = DriveModel(iter([*ALL_BUT_THE_LAST, "lost"]), files=older_file(DATA))
    transfer(model, "replace")
    assert model.files["a/p.zip"].version == 2
    assert model.created == 2


def test_after_a_lost_last_answer_a_file_that_becomes_visible_late_is_not_a_conflict() -> None:
    gone = [TransportError("cut"), *[NOT_THERE] * 5]
    shown = [answer(json=hashed(HASH))] * 2
    assert play(begun_upload().feed(0, DATA, lambda: HASH), [*gone, *shown]).result == Completed(item_of(hashed(HASH)))


def test_a_session_that_another_try_completed_is_looked_into_before_a_second_file_is_made() -> None:
    nothing, there = answer(json={"value": []}), answer(json={"value": [hashed(None)]})
    played = play(begun_upload("rename").feed(0, DATA[:CHUNK]), [NOT_THERE, NOT_THERE, nothing, there])
    assert played.result == HashNeeded()


def test_a_session_that_cannot_assemble_its_file_is_cancelled_and_so_does_not_block_the_name() -> None:
    model = DriveModel(iter([*ALL_BUT_THE_LAST, "dead"]))
    item = transfer(model)
    assert (item.name, model.created, model.sessions) == ("p.zip", 2, {})


def test_a_lock_after_many_broken_connections_is_waited_for() -> None:
    assert transfer(DriveModel(iter(["cut"] * (PATIENT.max_attempts - 1) + ["423"]))).name == "p.zip"


def test_a_lock_that_stays_ends_the_try() -> None:
    with pytest.raises(TransportError, match="is locked"):
        transfer(DriveModel(iter(["423"] * PATIENT.max_attempts)))


def test_progress_renews_the_patience_with_locks() -> None:
    assert transfer(DriveModel(iter((["423"] * 5 + [""]) * 4))).name == "p.zip"


def test_sessions_that_are_lost_again_and_again_end_the_try() -> None:
    model = DriveModel(iter(["lost"] * 100))
    with pytest.raises(UploadSessionLostError):
        transfer(model)
    assert model.created == 6


def test_a_service_that_goes_back_again_and_again_ends_the_try() -> None:
    with pytest.raises(TalentDmfError) as caught:
        transfer(DriveModel(iter(["", "", "back"] * 100)))
    assert caught.value.retryable


def test_a_last_range_that_is_refused_for_long_leaves_the_session_for_the_next_try() -> None:
    model = DriveModel()
    upload = new_upload()
    position = model.run(upload.begin())
    model.faults = iter([*ALL_BUT_THE_LAST, *["503"] * 50])
    with pytest.raises(TransportError):
        send_all(model, upload, position)
    assert upload.session is not None
    assert upload.record('"E"', (0, "0")).upload_url


def test_a_range_that_was_broken_off_goes_on_where_the_session_stands() -> None:
    upload = begun_upload()
    assert play(upload.ask(), [answer(json={"nextExpectedRanges": ["160-"]})]).result == Accepted(160)


def test_a_session_that_is_gone_when_a_range_was_broken_off_is_followed_by_another() -> None:
    """Nobody looks for a file that cannot be complete: its last byte was not sent."""
    upload = begun_upload()
    upload._may_be_complete = True
    played = play(upload.ask(), [answer(401), NOT_THERE, answer(204), *LOOKED_AROUND, SESSION_OPENED])
    assert played.result == Accepted(0)
    assert played.operations.count("Create upload session") == 1
    assert upload.session is not None
    assert upload.session.url.reveal() == "https://up.example/session/2"


def test_a_session_that_does_not_answer_when_a_range_was_broken_off_is_kept() -> None:
    upload = begun_upload()
    cut = TransportError("cut")
    assert play(upload.ask(), [cut]).error is cut
    assert upload.session is not None
