"""The upload across sessions, against a small model of the service: whatever breaks, the file is right or absent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit import scripted
from tests.unit.api.drive_model import DriveModel, OpenSession, StoredFile
from tests.unit.scripted import answer

from talent_dmf.api.choices import ConflictBehavior
from talent_dmf.api.errors import (
    DestinationError,
    ItemChangedError,
    NameConflictError,
    ProtocolError,
    TalentDmfError,
    TransferMismatchError,
    TransportError,
    UploadSessionLostError,
)
from talent_dmf.api.graph.models import Destination, DriveItem
from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.graph.upload.naming import beside, take_name
from talent_dmf.api.graph.upload.record import UploadRecord
from talent_dmf.api.graph.upload.result import candidates, store_empty
from talent_dmf.api.graph.upload.session import Completed
from talent_dmf.api.graph.upload.upload import ResumableUpload
from talent_dmf.api.graph.upload.verification import Doubtful
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import Response

DATA = bytes((index * 7 + index // 13) % 256 for index in range(1000))
HASH = QuickXor(DATA).base64()
CHUNK = 160
PATIENT = RetryPolicy(max_attempts=8)
play = partial(scripted.play, patience=PATIENT)


def new_upload(policy: ConflictBehavior = "fail", folder: str = "A") -> ResumableUpload:
    destination = Destination(folder, "p.zip", policy)
    return ResumableUpload("d", destination, len(DATA), unique="u1")


def send_all(model: DriveModel, upload: ResumableUpload, position: int, most_ranges: int = 500) -> DriveItem:
    """What the pump does: feed from wherever the upload says, until it is complete; then verify."""
    for _ in range(most_ranges):
        data = DATA[position : position + CHUNK]
        whole_hash = HASH if position + len(data) == len(DATA) else None
        outcome = model.run(upload.feed(position, data, whole_hash))
        if isinstance(outcome, Completed):
            return model.run(upload.finish(outcome.item, HASH))
        position = outcome.next_offset
    raise AssertionError("the upload does not end")


def transfer(model: DriveModel, policy: ConflictBehavior = "fail") -> DriveItem:
    upload = new_upload(policy)
    return send_all(model, upload, model.run(upload.begin()))


def existing(data: bytes = b"old") -> dict[str, StoredFile]:
    return {"a/p.zip": StoredFile("OLD", "p.zip", data)}


def test_all_goes_well() -> None:
    model = DriveModel()
    item = transfer(model)
    assert model.files["a/p.zip"].data == DATA
    assert (item.name, item.size_bytes, item.quick_xor_hash) == ("p.zip", len(DATA), HASH)
    assert (model.created, model.sent_bytes, model.pauses) == (1, len(DATA), [])


FAULTS = ["", "cut", "partial", "hidden", "503", "423", "404", "lost", "416", "vague", "back", "bodyless"]
FAULTS += ["slow", "dead", "unseen"]


@given(faults=st.lists(st.sampled_from(FAULTS), max_size=14), policy=st.sampled_from(["fail", "replace", "rename"]))
def test_whatever_breaks_the_file_is_right_or_absent(faults: Sequence[str], policy: ConflictBehavior) -> None:
    model = DriveModel(iter(faults))
    failure: TalentDmfError | None = None
    try:
        transfer(model, policy)
    except TalentDmfError as error:
        failure = error
    saved = {path: file.data for path, file in model.files.items()}
    if failure is not None:
        assert failure.retryable
        assert saved == {}
    else:
        assert saved == {"a/p.zip": DATA}
        assert model.sessions == {}


@given(
    faults=st.lists(st.sampled_from(FAULTS), max_size=8),
    stop=st.integers(0, 7),
    policy=st.sampled_from(["fail", "replace", "rename"]),
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
            outcome = model.run(first.feed(position, data, HASH if position + len(data) == len(DATA) else None))
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
    assert {path: file.data for path, file in model.files.items()} == {"a/p.zip": DATA}
    assert item.name == "p.zip"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("replace", {"a/p.zip": DATA}), ("rename", {"a/p.zip": b"old", "a/p 1.zip": DATA})],
)
def test_a_taken_name_by_policy(policy: ConflictBehavior, expected: dict[str, bytes]) -> None:
    model = DriveModel(files=existing())
    transfer(model, policy)
    assert {path: file.data for path, file in model.files.items()} == expected


def test_a_taken_name_fails_before_a_byte_moves() -> None:
    model = DriveModel(files=existing())
    with pytest.raises(NameConflictError, match="exists in OneDrive already"):
        transfer(model)
    assert (model.created, model.sent_bytes) == (0, 0)


def test_an_equal_file_of_before_is_not_taken_for_ours() -> None:
    """A lost last answer, and an identical file there already: only a new version of it is ours."""
    model = DriveModel(iter([""] * 6 + ["lost"]), files=existing(DATA))
    transfer(model, "replace")
    assert model.files["a/p.zip"].version == 2
    assert model.created == 2


def test_a_lost_last_answer_is_found_out_under_any_name() -> None:
    model = DriveModel(iter([""] * 6 + ["hidden"]), files=existing())
    item = transfer(model, "rename")
    assert item.name == "p 1.zip"
    assert (model.created, model.sent_bytes) == (1, len(DATA))


@pytest.mark.parametrize("policy", ["fail", "replace", "rename"])
@pytest.mark.parametrize("fault", ["hidden", "slow", "unseen", "bodyless"])
def test_whatever_becomes_of_the_last_answer_nothing_is_sent_twice(fault: str, policy: ConflictBehavior) -> None:
    model = DriveModel(iter([""] * 6 + [fault]))
    transfer(model, policy)
    assert {path: file.data for path, file in model.files.items()} == {"a/p.zip": DATA}
    assert (model.created, model.sent_bytes) == (1, len(DATA))


def test_a_session_that_cannot_assemble_is_cancelled() -> None:
    """Otherwise it would block our own name."""
    model = DriveModel(iter([""] * 6 + ["dead"]))
    item = transfer(model)
    assert (item.name, model.created, model.sessions) == ("p.zip", 2, {})


def test_a_lock_after_many_cuts_has_patience_of_its_own() -> None:
    model = DriveModel(iter(["cut"] * (PATIENT.max_attempts - 1) + ["423"]))
    assert transfer(model).name == "p.zip"
    model = DriveModel(iter(["423"] * PATIENT.max_attempts))
    with pytest.raises(TransportError, match="is locked"):
        transfer(model)
    assert transfer(DriveModel(iter((["423"] * 5 + [""]) * 4))).name == "p.zip", "progress renews it"


@pytest.mark.parametrize("policy", ["fail", "replace", "rename"])
def test_a_session_that_nobody_knows_is_gone_around(policy: ConflictBehavior) -> None:
    """The 409 of a stale session is neither waited out nor taken for a name conflict."""
    model = DriveModel(sessions={"stale": OpenSession("A/p.zip", "replace")})
    upload = new_upload(policy)
    position = model.run(upload.begin())
    assert upload.placed.name == "p.zip.u1.partial"
    model.on_complete = lambda _: model.sessions.pop("stale", None) and None
    item = send_all(model, upload, position)
    assert item.name == "p.zip"
    assert {path: file.data for path, file in model.files.items()} == {"a/p.zip": DATA}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("replace", {"a/p.zip": b"old"}),
        ("rename", {"a/p.zip": b"old", "a/p 1.zip": DATA}),
        ("fail", {"a/p.zip": b"old"}),
    ],
)
def test_the_policy_holds_for_a_file_uploaded_beside(policy: ConflictBehavior, expected: dict[str, bytes]) -> None:
    model = DriveModel(sessions={"stale": OpenSession("A/p.zip", "replace")})

    def somebody_saves(_: StoredFile) -> None:
        model.sessions.pop("stale", None)
        model.files.setdefault("a/p.zip", StoredFile("OLD", "p.zip", b"old"))

    model.on_complete = somebody_saves
    if policy == "fail":
        with pytest.raises(NameConflictError):
            transfer(model, policy)
    elif policy == "replace":
        # A renamed file would take the place of theirs, and the versions of theirs would be gone.
        with pytest.raises(UploadSessionLostError, match="a new version of it"):
            transfer(model, policy)
    else:
        transfer(model, policy)
    assert {path: file.data for path, file in model.files.items()} == expected
    if policy == "replace":
        assert transfer(model, policy).id == "OLD"
        assert model.files["a/p.zip"].version == 2


def test_a_name_that_stays_blocked_is_a_matter_of_time() -> None:
    """What was uploaded and verified stays for the next try, which sends nothing."""
    model = DriveModel(sessions={"stale": OpenSession("A/p.zip", "replace")})
    first = new_upload()
    with pytest.raises(UploadSessionLostError, match="15 minutes"):
        send_all(model, first, model.run(first.begin()))
    assert {path: file.data for path, file in model.files.items()} == {"a/p.zip.u1.partial": DATA}
    model.sessions.clear()
    second = new_upload()
    assert model.run(second.resume(first.record('"E"', (0, "0")))) is None
    item = model.run(second.finish(model.run(second.find_finished(HASH)), HASH))
    assert (item.name, model.sent_bytes) == ("p.zip", len(DATA))


def test_a_file_that_is_to_be_replaced_is_waited_for() -> None:
    model = DriveModel(files=existing(), sessions={"stale": OpenSession("A/p.zip", "replace")})
    with pytest.raises(UploadSessionLostError, match="15 minutes"):
        transfer(model, "replace")
    assert {path: file.data for path, file in model.files.items()} == {"a/p.zip": b"old"}
    assert len(model.pauses) == PATIENT.max_attempts - 1
    assert model.sent_bytes == 0
    model.sessions.clear()
    assert transfer(model, "replace").id == "OLD"


def test_a_numbered_name_need_not_be_waited_for() -> None:
    model = DriveModel(sessions={"stale": OpenSession("A/p.zip", "replace")})
    assert transfer(model, "rename").name == "p 1.zip"
    assert model.pauses == []


def test_a_cancelled_session_of_ours_may_block_for_a_moment() -> None:
    model = DriveModel()
    upload = new_upload()
    model.run(upload.begin())
    model.run(upload.cancel())
    blocked = answer(409, json={"error": {"code": "nameAlreadyExists"}})
    created = answer(json={"uploadUrl": "https://up.example/session/2"})
    drive = answer(json={"id": "d"})
    played = play(upload.begin(), [answer(404), drive, blocked, answer(404), created])
    assert played.seconds == [2.0]
    assert upload.placed.name == "p.zip"
    upload.session = None
    played = play(upload.begin(), [answer(404), drive, *[blocked, answer(404)] * 3, created])
    assert played.seconds == [2.0, 5.0]
    assert upload.placed.name == "p.zip.u1.partial"


def test_a_name_that_was_taken_unheard_is_not_taken_again() -> None:
    """Killed, or cut off, after the file beside had got its name."""
    model = DriveModel(sessions={"stale": OpenSession("A/p.zip", "replace")})
    first = new_upload()
    with pytest.raises(UploadSessionLostError):
        send_all(model, first, model.run(first.begin()))
    model.sessions.clear()
    record = first.record('"E"', (0, "0"))
    item = model.run(first.finish(model.run(first.find_finished(HASH)), HASH))
    second = new_upload()
    model.run(second.resume(record))
    found = model.run(second.find_finished(HASH))
    assert second.placed.name == "p.zip"
    assert model.run(second.finish(found, HASH)) == item
    assert model.run(take_name("d", item, Destination("A", "p.zip"))) == item


def test_each_session_beside_has_a_name_of_its_own() -> None:
    blocked = answer(409, json={"error": {"code": "nameAlreadyExists"}})
    start = [answer(404), answer(json={"id": "d"}), blocked, answer(404)]
    created = answer(json={"uploadUrl": "https://up.example/session/2"})
    upload = new_upload()
    assert play(upload.begin(), [*start, blocked, created]).error is None
    assert upload.placed.name == "p.zip.u1-2.partial"
    ended = play(new_upload().begin(), [*start, *[blocked] * PATIENT.max_attempts])
    assert type(ended.error) is UploadSessionLostError, "nobody else's file has that name: no verdict"


@pytest.mark.parametrize(("folder", "name"), [("f" * 150, "n" * 249), ("f" * 200, "n" * 195 + ".zip")])
def test_a_name_beside_is_not_too_long(folder: str, name: str) -> None:
    placed = beside(Destination(folder, name), "12345678")
    assert placed.name.endswith(".12345678.partial")
    assert len(placed.path) <= 400
    assert len(placed.name) <= 255


def test_sessions_lost_again_and_again_end() -> None:
    model = DriveModel(iter(["lost"] * 100))
    with pytest.raises(UploadSessionLostError):
        transfer(model)
    assert model.created == 6


def test_going_back_again_and_again_ends() -> None:
    model = DriveModel(iter(["", "", "back"] * 100))
    with pytest.raises(TalentDmfError) as caught:
        transfer(model)
    assert caught.value.retryable


def test_a_persistent_500_on_the_last_range_keeps_the_session() -> None:
    model = DriveModel()
    upload = new_upload()
    position = model.run(upload.begin())
    model.faults = iter([""] * 6 + ["503"] * 50)
    with pytest.raises(TransportError):
        send_all(model, upload, position)
    assert upload.session is not None, "it misses a range only, and that can be sent later"
    assert upload.record('"E"', (0, "0")).upload_url


ITEM = {"id": "I1", "name": "p.zip", "size": len(DATA), "webUrl": "https://x", "eTag": '"1"'}


def hashed(value: str | None, size: int = len(DATA)) -> dict[str, object]:
    return {**ITEM, "size": size, "file": {"hashes": {"quickXorHash": value} if value else {}}}


def item_of(raw: dict[str, object]) -> DriveItem:
    hashes = raw["file"]["hashes"]  # type: ignore[index]
    return DriveItem("I1", "p.zip", int(str(raw["size"])), "https://x", '"1"', hashes.get("quickXorHash"))


WRONG = QuickXor().base64()


def completed(raw: dict[str, object], status: int = 201) -> ResumableUpload:
    """An upload whose last range was answered with an item."""
    upload = new_upload()
    DriveModel().run(upload.begin())
    assert isinstance(play(upload.feed(0, DATA, HASH), [answer(status, json=raw)]).result, Completed)
    return upload


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


@pytest.mark.parametrize(
    ("raw", "looks"),
    [(hashed(WRONG), 0), (hashed(HASH, len(DATA) - 1), 3)],
    ids=["wrong hash", "wrong size"],
)
def test_a_wrong_file_is_deleted(raw: dict[str, object], looks: int) -> None:
    played = play(completed(raw).finish(item_of(raw), HASH), [answer(json=raw)] * looks + [answer(204)])
    assert type(played.error) is TransferMismatchError
    assert (played.requests[-1].method, played.requests[-1].url) == ("DELETE", "/drives/d/items/I1")
    assert played.requests[-1].headers == {"If-Match": '"1"'}


@pytest.mark.parametrize("status", [200, 201])
def test_an_item_that_the_service_did_not_make_for_us_is_never_deleted(status: int) -> None:
    """200: somebody's file got a version. And an item that was found only, with 201 here, was not named to us."""
    wrong = hashed(WRONG)
    upload = completed(wrong, status) if status == 200 else new_upload()
    played = play(upload.finish(item_of(wrong), HASH), [])
    assert isinstance(played.error, TransferMismatchError)
    assert played.requests == []


@pytest.mark.parametrize(
    "answers",
    [[answer(json={**hashed(WRONG), "eTag": '"2"'})], [answer(json=hashed(WRONG)), answer(412)]],
    ids=["seen", "in between"],
)
def test_a_file_that_somebody_changed_is_left_to_him(answers: list[Response]) -> None:
    played = play(completed(hashed(None)).finish(item_of(hashed(None)), HASH), answers)
    assert type(played.error) is ItemChangedError
    assert "left there" in str(played.error)
    assert not played.error.retryable


def test_a_version_is_told_by_its_item_whatever_the_status() -> None:
    upload = new_upload("replace")
    model = DriveModel(files={"a/p.zip": StoredFile("I1", "p.zip", b"old")})
    model.run(upload.begin())
    assert isinstance(play(upload.feed(0, DATA, HASH), [answer(201, json=hashed(WRONG))]).result, Completed)
    assert type(play(upload.finish(item_of(hashed(WRONG)), HASH), []).error) is TransferMismatchError


def test_another_item_than_the_one_that_was_named_is_not_deleted() -> None:
    other = replace(item_of(hashed(WRONG)), id="I2")
    assert type(play(completed(hashed(None)).finish(other, HASH), []).error) is ItemChangedError


def test_a_wrong_file_that_is_locked_is_deleted_later() -> None:
    wrong, locked = hashed(WRONG), answer(423, json={"error": {"code": "resourceLocked"}})
    upload = completed(wrong)
    played = play(upload.finish(item_of(wrong), HASH), [locked, locked, answer(204)])
    assert type(played.error) is TransferMismatchError
    upload = completed(wrong)
    played = play(upload.finish(item_of(wrong), HASH), [locked] * PATIENT.max_attempts)
    assert type(played.error) is TransportError
    second = new_upload()
    assert play(second.resume(upload.record('"E"', (0, "0"))), []).result is None
    assert play(second.find_finished(HASH), [answer(json=wrong)]).result == item_of(wrong)
    assert type(play(second.finish(item_of(wrong), HASH), [answer(204)]).error) is TransferMismatchError


def test_a_wrong_version_of_a_file_of_before_is_not_deleted_with_it() -> None:
    model = DriveModel(files=existing())

    def corrupt(file: StoredFile) -> None:
        file.data = file.data[:-1] + b"?"

    model.on_complete = corrupt
    with pytest.raises(TransferMismatchError, match="version history"):
        transfer(model, "replace")
    assert "a/p.zip" in model.files


def test_a_missing_folder_is_made_once() -> None:
    created = answer(json={"uploadUrl": "https://up.example/session/1", "nextExpectedRanges": ["0-"]})
    drive = answer(json={"id": "d"})
    answers = [answer(404), drive, answer(404), answer(201, json={"id": "F"}), created]
    played = play(new_upload().begin(), answers)
    assert played.result == 0
    assert [request.url for request in played.requests][3] == "/drives/d/root/children"
    gone = play(new_upload().begin(), [answer(404), drive, answer(404), answer(201, json={"id": "F"}), answer(404)])
    assert type(gone.error) is DestinationError


@pytest.mark.parametrize("left", [len(DATA) - 1, 0])
def test_a_full_drive_is_noticed_before_a_byte_moves(left: int) -> None:
    drive = answer(json={"id": "d", "name": "D", "quota": {"remaining": left}})
    played = play(new_upload().begin(), [answer(404), drive])
    assert type(played.error) is DestinationError
    assert f"{left} bytes left" in str(played.error)


def test_a_folder_of_that_name_is_never_replaced() -> None:
    played = play(new_upload("replace").begin(), [answer(json={"id": "F", "name": "p.zip", "folder": {}})])
    assert "is a folder" in str(played.error)


def test_a_locked_file_is_waited_for_with_patience() -> None:
    start = [answer(404), answer(json={"id": "d"})]
    locked = answer(423, json={"error": {"code": "resourceLocked"}})
    created = answer(json={"uploadUrl": "https://up.example/session/1"})
    assert play(new_upload().begin(), [*start, locked, locked, created]).result == 0
    ended = play(new_upload().begin(), [*start, *[locked] * PATIENT.max_attempts])
    assert type(ended.error) is TransportError
    assert "locked" in str(ended.error)


@pytest.mark.parametrize("failure", [TransportError("x", sent=False), TransportError("slow", status_code=429)])
def test_what_was_tried_again_in_vain_is_not_tried_again_once_more(failure: TransportError) -> None:
    """The one retry policy has waited for these already; only where a session may be open do we look ourselves."""
    start = [answer(404), answer(json={"id": "d"})]
    assert play(new_upload().begin(), [*start, failure]).error is failure
    created = answer(json={"uploadUrl": "https://up.example/session/1"})
    assert play(new_upload().begin(), [*start, TransportError("cut"), created]).error is None


def test_the_name_taken_at_the_last_range() -> None:
    taken = answer(409, json={"error": {"code": "nameAlreadyExists"}})
    model = DriveModel()
    upload = new_upload()
    model.run(upload.begin())
    other = answer(json={**hashed(None), "size": 3})
    played = play(upload.feed(0, DATA, HASH), [taken, *[other] * 4, answer(204)])
    assert type(played.error) is NameConflictError
    assert played.requests[-1].method == "DELETE"


def test_the_name_taken_by_ourselves_at_the_last_range() -> None:
    """Another try of the task has finished the file: by content it is ours, and without a hash it is not decided."""
    taken = answer(409, json={"error": {"code": "nameAlreadyExists"}})
    upload = new_upload()
    DriveModel().run(upload.begin())
    played = play(upload.feed(0, DATA, HASH), [taken, answer(json=hashed(HASH))])
    assert played.result == Completed(item_of(hashed(HASH)))
    played = play(upload.finish(item_of(hashed(HASH)), HASH), [answer(204)])
    assert played.result == item_of(hashed(HASH))
    assert played.requests[0].method == "DELETE", "the session is kept by the service, and would block the name"
    upload = new_upload()
    DriveModel().run(upload.begin())
    played = play(upload.feed(0, DATA, HASH), [taken, *[answer(json=hashed(None))] * 9])
    assert type(played.error) is ProtocolError


def test_a_session_that_somebody_completed_in_the_middle() -> None:
    """Another try of the task: its file may be visible a moment later, and ``rename`` would make a second one."""
    upload = new_upload("rename")
    DriveModel().run(upload.begin())
    nothing, there = answer(json={"value": []}), answer(json={"value": [hashed(None)]})
    played = play(upload.feed(0, DATA[:CHUNK]), [answer(404), answer(404), nothing, there])
    assert played.result == Doubtful()


def test_a_file_that_becomes_visible_after_the_look_is_not_a_conflict() -> None:
    upload = new_upload()
    DriveModel().run(upload.begin())
    gone = [TransportError("cut"), *[answer(404)] * 5]
    shown = [answer(json=hashed(HASH))] * 2
    assert play(upload.feed(0, DATA, HASH), [*gone, *shown]).result == Completed(item_of(hashed(HASH)))


@pytest.mark.parametrize("given", [400, 405, 409, 500, 404, 401])
def test_a_session_of_before_that_has_no_position_is_gone(given: int) -> None:
    """Whoever raised here would raise in every later try as well."""
    upload = new_upload()
    DriveModel().run(upload.begin())
    record = upload.record('"E"', (0, "0"))
    failure = TransportError("x", status_code=500) if given == 500 else answer(given)
    second = new_upload()
    assert play(second.resume(replace(record, expires_at="2100-01-01T00:00:00Z")), [failure]).error is None
    assert (second.session is None) == (given == 404), "what is left of it is cancelled before the next one"


@pytest.mark.parametrize("failure", [TransportError("no such host", sent=False), TransportError("x", status_code=503)])
def test_a_session_of_before_that_does_not_answer_is_gone_once_it_has_expired(failure: TransportError) -> None:
    record = replace(new_upload().record('"E"', (0, "0")), upload_url="https://up.example/session/1")
    for expires_at in ("", "2026-03-01T05:59:59.123Z"):
        played = play(new_upload().resume(replace(record, expires_at=expires_at)), [failure])
        assert (played.result, played.error) == (None, None)
    played = play(new_upload().resume(replace(record, expires_at="2026-03-01T06:00:01Z")), [failure])
    assert played.error is failure


def test_nothing_secret_is_shown() -> None:
    model = DriveModel()
    upload = new_upload()
    model.run(upload.begin())
    record = upload.record('"E"', (0, "0"))
    assert "up.example/session" in record.upload_url
    assert "session/1" not in repr(record)
    done = record.finished(DriveItem("I", "p.zip", 1, ""), HASH)
    assert "up.example" not in str(done.to_json())


def test_a_record_fits_its_own_transfer_only() -> None:
    record = new_upload().record('"E"', (0, "0"))
    destination = Destination("A", "p.zip", "fail")
    assert record.fits("d", destination, '"E"', len(DATA))
    assert not record.fits("d2", destination, '"E"', len(DATA))
    assert not record.fits("d", replace(destination, name="q.zip"), '"E"', len(DATA))
    assert not record.fits("d", replace(destination, conflict_behavior="replace"), '"E"', len(DATA))
    assert not record.fits("d", destination, '"F"', len(DATA))
    assert not record.fits("d", destination, '"E"', 1)
    assert not replace(record, source_version="").fits("d", destination, "", len(DATA)), (
        "an unknown version fits nothing"
    )


@pytest.mark.parametrize("raw", [None, [], {}, {"version": 2}, {"version": 1}, {"version": 1, "hash_state": 3}])
def test_a_foreign_record_is_none(raw: object) -> None:
    assert UploadRecord.from_json(raw) is None


def test_no_bytes_at_all() -> None:
    empty = answer(201, json={**ITEM, "size": 0})
    destination = Destination("A", "p.zip", "fail")
    assert play(store_empty("d", destination), [answer(404), empty]).error is None
    made = [answer(404), answer(404), answer(201, json={"id": "F"}), empty]
    assert play(store_empty("d", destination), made).error is None
    lost = [answer(404), TransportError("cut"), answer(json={**ITEM, "size": 0})]
    assert play(store_empty("d", destination), lost).error is None
    never = [answer(404), TransportError("cut"), answer(404)]
    assert type(play(store_empty("d", destination), never).error) is TransportError
    taken = play(store_empty("d", destination), [answer(json={**ITEM, "size": 5})])
    assert type(taken.error) is NameConflictError
    wrong = [answer(404), answer(201, json={**ITEM, "size": 5})]
    assert type(play(store_empty("d", destination), wrong).error) is TransferMismatchError


def test_a_file_that_had_taken_its_name_already_is_found() -> None:
    """Killed after the upload beside was renamed, and before that was recorded."""
    model = DriveModel(sessions={"stale": OpenSession("A/p.zip", "replace")})
    first = new_upload()
    position = model.run(first.begin())
    record = first.record('"E"', (0, "0"))
    assert record.placed_name
    model.on_complete = lambda _: model.sessions.pop("stale", None) and None
    done = send_all(model, first, position)
    second = new_upload()
    assert model.run(second.resume(record)) is None
    found = model.run(second.find_finished(HASH))
    assert found == done
    assert model.run(second.finish(found, HASH)) == done


def test_a_file_whose_hash_is_late_is_found_after_a_lost_answer() -> None:
    """Not found, it would be uploaded again, and `fail` would refuse the very file that it wrote."""
    bare = answer(json=hashed(None))
    played = play(new_upload().find_finished(HASH), [bare, bare, bare, answer(json=hashed(HASH))])
    assert played.result is not None
    assert played.result.quick_xor_hash == HASH
    assert played.seconds == [1.0, 2.0]


def test_a_file_that_just_fits_is_uploaded() -> None:
    drive = answer(json={"id": "d", "quota": {"remaining": len(DATA)}})
    created = answer(json={"uploadUrl": "https://up.example/session/1"})
    assert play(new_upload().begin(), [answer(404), drive, created]).result == 0


def test_without_a_session_there_is_nothing_to_cancel() -> None:
    assert play(new_upload().cancel(), []).result is True


NAMES = ["Workers", "workers 1", "workers 1 2", "workers.zip", "my workers"]
LISTED = answer(json={"value": [{**ITEM, "id": name, "name": name} for name in NAMES]})
BARE = Destination("A", "workers", "rename")


def test_a_name_without_a_suffix_is_numbered_at_its_end() -> None:
    found = play(candidates("d", BARE), [LISTED]).result
    assert found is not None
    assert [item.name for item in found] == ["Workers", "workers 1"]
    taken = answer(409, json={"error": {"code": "nameAlreadyExists"}})
    steps = take_name("d", item_of(hashed(HASH)), BARE)
    played = play(steps, [taken, LISTED, answer(json=ITEM)])
    assert played.requests[-1].json["name"] == "workers 2"


def test_a_folder_full_of_numbered_names_is_told() -> None:
    names = ["p.zip", *(f"p {number}.zip" for number in range(1, 100))]
    taken = answer(409, json={"error": {"code": "nameAlreadyExists"}})
    listed = answer(json={"value": [{**ITEM, "id": name, "name": name} for name in names]})
    steps = take_name("d", item_of(hashed(HASH)), Destination("A", "p.zip", "rename"))
    played = play(steps, [taken, listed])
    assert type(played.error) is NameConflictError
    assert "Clean the folder up" in str(played.error)


def test_an_empty_file_that_is_not_ours_is_not_taken_for_it() -> None:
    destination, cut = Destination("A", "p.zip", "replace"), TransportError("cut")
    before, after = (answer(json={**ITEM, "size": 0, "eTag": etag}) for etag in ('"1"', '"2"'))
    assert play(store_empty("d", destination), [before, cut, after]).error is None
    assert play(store_empty("d", destination), [before, cut, before]).error is cut
    theirs = answer(json={**ITEM, "size": 5})
    assert play(store_empty("d", destination), [answer(404), cut, theirs]).error is cut


def test_a_full_drive_takes_no_empty_file_either() -> None:
    full = answer(507, json={"error": {"code": "quotaLimitReached"}})
    played = play(store_empty("d", Destination("A", "p.zip", "fail")), [answer(404), full])
    assert type(played.error) is DestinationError


def test_a_wrong_file_beside_one_of_before_is_deleted() -> None:
    """It is no version of the one that was there, which stays."""
    model = DriveModel(files=existing())

    def corrupt(file: StoredFile) -> None:
        file.data = file.data[:-1] + b"?"

    model.on_complete = corrupt
    with pytest.raises(TransferMismatchError, match="It was deleted there"):
        transfer(model, "rename")
    assert {path: file.data for path, file in model.files.items()} == {"a/p.zip": b"old"}


def test_a_file_of_that_size_with_other_content_is_not_ours() -> None:
    """Taken for ours, it would be deleted as wrongly transferred."""
    theirs = answer(json=hashed("AAAAAAAAAAAAAAAAAAAAAAAAAAA="))
    played = play(new_upload().find_finished(HASH), [theirs])
    assert (played.error, played.result) == (None, None)


def test_a_name_that_is_blocked_is_asked_for_with_pauses() -> None:
    model = DriveModel(sessions={"stale": OpenSession("A/p.zip", "replace")})
    with pytest.raises(UploadSessionLostError):
        transfer(model)
    assert len(model.pauses) == PATIENT.max_attempts - 1
