"""Before the first byte: folder, space, locks, and what an earlier try has left."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.api.drive_model import DriveModel
from tests.unit.api.uploads import (
    DATA,
    DRIVE,
    HASH,
    LOCKED,
    LOOKED_AROUND,
    NOT_THERE,
    PATIENT,
    SESSION_OPENED,
    begun_upload,
    new_upload,
    play,
)
from tests.unit.scripted import answer

from talent_dmf.api.errors import DestinationBusyError, DestinationError, TransportError, UploadSessionLostError
from talent_dmf.api.graph.models import DriveItem, UploadTarget
from talent_dmf.api.graph.upload.upload import UploadRecord

FOLDER_MADE = answer(201, json={"id": "F"})
DESTINATION = UploadTarget("A", "p.zip", "fail")


def test_a_missing_folder_is_made() -> None:
    played = play(new_upload().begin(), [*LOOKED_AROUND, NOT_THERE, FOLDER_MADE, SESSION_OPENED])
    assert played.result == 0
    assert [request.url for request in played.requests][3] == "/drives/d/root/children"


def test_a_folder_that_is_missing_after_it_was_made_is_not_made_again() -> None:
    played = play(new_upload().begin(), [*LOOKED_AROUND, NOT_THERE, FOLDER_MADE, NOT_THERE])
    assert type(played.error) is DestinationError


@pytest.mark.parametrize("left", [len(DATA) - 1, 0])
def test_a_full_drive_is_noticed_before_a_byte_moves(left: int) -> None:
    drive = answer(json={"id": "d", "name": "D", "quota": {"remaining": left}})
    played = play(new_upload().begin(), [NOT_THERE, drive])
    assert type(played.error) is DestinationError
    assert f"{left} bytes left" in str(played.error)


def test_a_file_that_just_fits_is_uploaded() -> None:
    drive = answer(json={"id": "d", "quota": {"remaining": len(DATA)}})
    assert play(new_upload().begin(), [NOT_THERE, drive, SESSION_OPENED]).result == 0


def test_a_locked_file_is_waited_for() -> None:
    assert play(new_upload().begin(), [NOT_THERE, DRIVE, LOCKED, LOCKED, SESSION_OPENED]).result == 0


def test_a_file_that_stays_locked_ends_the_try() -> None:
    ended = play(new_upload().begin(), [NOT_THERE, DRIVE, *[LOCKED] * PATIENT.max_attempts])
    assert type(ended.error) is DestinationBusyError
    assert "locked" in str(ended.error)


@pytest.mark.parametrize("failure", [TransportError("x", sent=False), TransportError("slow", status_code=429)])
def test_what_the_retry_policy_has_tried_in_vain_is_not_tried_once_more(failure: TransportError) -> None:
    assert play(new_upload().begin(), [*LOOKED_AROUND, failure]).error is failure


def test_a_session_whose_answer_was_lost_is_asked_for_again() -> None:
    assert play(new_upload().begin(), [*LOOKED_AROUND, TransportError("cut"), SESSION_OPENED]).error is None


def test_without_a_session_there_is_nothing_to_cancel() -> None:
    assert play(new_upload().cancel(), []).result is True


@pytest.mark.parametrize("given", [400, 405, 409, 500, 404, 401])
def test_a_recorded_session_without_a_position_is_given_up(given: int) -> None:
    """Whatever raised here would raise in every later try as well."""
    record = replace(begun_upload().record('"E"', (0, "0")), expires_at="2100-01-01T00:00:00Z")
    failure = TransportError("x", status_code=500) if given == 500 else answer(given)
    second = new_upload()
    assert play(second.resume(record), [failure]).error is None
    assert (second.session is None) == (given == 404), "what is left of it is cancelled before the next one"


SILENT = [TransportError("no such host", sent=False), TransportError("x", status_code=503)]


def recorded_session(expires_at: str) -> UploadRecord:
    record = new_upload().record('"E"', (0, "0"))
    return replace(record, upload_url="https://up.example/session/1", expires_at=expires_at)


@pytest.mark.parametrize("failure", SILENT)
@pytest.mark.parametrize("expires_at", ["", "2026-03-01T05:59:59.123Z"])
def test_a_recorded_session_that_has_expired_and_does_not_answer_is_given_up(
    failure: TransportError, expires_at: str
) -> None:
    played = play(new_upload().resume(recorded_session(expires_at)), [failure])
    assert (played.result, played.error) == (None, None)


@pytest.mark.parametrize("failure", SILENT)
def test_a_recorded_session_that_is_valid_and_does_not_answer_is_left_for_the_next_try(failure: TransportError) -> None:
    played = play(new_upload().resume(recorded_session("2026-03-01T06:00:01Z")), [failure])
    assert played.error is failure


def test_the_address_of_a_session_is_not_shown() -> None:
    record = begun_upload().record('"E"', (0, "0"))
    assert "up.example/session" in record.upload_url
    assert "session/1" not in repr(record)


def test_the_record_of_a_finished_upload_has_no_address() -> None:
    done = begun_upload().record('"E"', (0, "0")).finished(DriveItem("I", "p.zip", 1, ""), HASH)
    assert "up.example" not in str(done.to_json())


def test_a_record_fits_its_own_transfer() -> None:
    assert new_upload().record('"E"', (0, "0")).fits("d", DESTINATION, '"E"', len(DATA))


@pytest.mark.parametrize(
    ("drive_id", "destination", "version", "size_bytes"),
    [
        ("d2", DESTINATION, '"E"', len(DATA)),
        ("d", replace(DESTINATION, name="q.zip"), '"E"', len(DATA)),
        ("d", replace(DESTINATION, conflict_behavior="replace"), '"E"', len(DATA)),
        ("d", DESTINATION, '"F"', len(DATA)),
        ("d", DESTINATION, '"E"', 1),
    ],
    ids=["another drive", "another name", "another behaviour", "another version", "another size"],
)
def test_a_record_fits_no_other_transfer(
    drive_id: str, destination: UploadTarget, version: str, size_bytes: int
) -> None:
    assert not new_upload().record('"E"', (0, "0")).fits(drive_id, destination, version, size_bytes)


@pytest.mark.parametrize("state", [5, [1], [1, "0", 2], ["x", "0"], None])
def test_a_record_of_this_version_that_makes_no_sense_is_none(state: object) -> None:
    sound = new_upload().record('"E"', (7, "5"), 3)
    assert UploadRecord.from_json(sound.to_json()) == sound
    assert UploadRecord.from_json({**sound.to_json(), "hash_state": state}) is None
    assert UploadRecord.from_json({**sound.to_json(), "checked_bytes": []}) is None


def test_a_record_without_what_an_upload_needs_is_none() -> None:
    raw = new_upload().record('"E"', (0, "0")).to_json()
    del raw["folder"]
    assert UploadRecord.from_json(raw) is None


def test_a_range_before_the_upload_was_begun_is_refused() -> None:
    played = play(new_upload().feed(0, DATA, lambda: HASH), [])
    assert type(played.error) is UploadSessionLostError
    assert "was not begun" in str(played.error)


def test_a_record_of_an_unknown_version_fits_nothing() -> None:
    record = replace(new_upload().record('"E"', (0, "0")), source_version="")
    assert not record.fits("d", DESTINATION, "", len(DATA))


@pytest.mark.parametrize("raw", [None, [], {}, {"version": 2}, {"version": 1}, {"version": 1, "hash_state": 3}])
def test_a_foreign_record_is_none(raw: object) -> None:
    assert UploadRecord.from_json(raw) is None


def test_a_cancelled_upload_leaves_no_session() -> None:
    model = DriveModel()
    upload = new_upload()
    model.run(upload.begin())
    assert model.run(upload.cancel()) is True
    assert model.sessions == {}
