"""A file of no bytes: a session cannot carry it, so it is written by a simple upload."""

from __future__ import annotations

import pytest
from tests.unit.api.uploads import ITEM, NOT_THERE, play
from tests.unit.scripted import answer

from talent_dmf.api.errors import DestinationError, NameConflictError, TransferMismatchError, TransportError
from talent_dmf.api.graph.models import UploadTarget
from talent_dmf.api.graph.upload.upload import store_empty
from talent_dmf.api.steps import Response

DESTINATION = UploadTarget("A", "p.zip", "fail")
REPLACED = UploadTarget("A", "p.zip", "replace")
WRITTEN = answer(201, json={**ITEM, "size": 0})
THEIRS = answer(json={**ITEM, "size": 5})


def empty_file(etag: str) -> Response:
    return answer(json={**ITEM, "size": 0, "eTag": etag})


def test_it_is_written() -> None:
    assert play(store_empty("d", DESTINATION), [NOT_THERE, WRITTEN]).error is None


def test_its_folder_is_made_if_it_is_missing() -> None:
    made = [NOT_THERE, NOT_THERE, answer(201, json={"id": "F"}), WRITTEN]
    assert play(store_empty("d", DESTINATION), made).error is None


def test_it_is_found_after_a_lost_answer() -> None:
    lost = [NOT_THERE, TransportError("cut"), empty_file('"1"')]
    assert play(store_empty("d", DESTINATION), lost).error is None


def test_a_lost_answer_and_no_file_is_a_matter_of_time() -> None:
    played = play(store_empty("d", DESTINATION), [NOT_THERE, TransportError("cut"), NOT_THERE])
    assert type(played.error) is TransportError


def test_a_taken_name_is_a_conflict() -> None:
    assert type(play(store_empty("d", DESTINATION), [THEIRS]).error) is NameConflictError


def test_a_file_that_has_bytes_afterwards_is_wrong() -> None:
    wrong = {**ITEM, "size": 5}
    played = play(store_empty("d", DESTINATION), [NOT_THERE, answer(201, json=wrong), *[answer(json=wrong)] * 3])
    assert type(played.error) is TransferMismatchError


def test_a_full_drive_is_said_to_be_full() -> None:
    full = answer(507, json={"error": {"code": "quotaLimitReached"}})
    assert type(play(store_empty("d", DESTINATION), [NOT_THERE, full]).error) is DestinationError


def test_after_a_lost_answer_a_new_version_is_ours() -> None:
    answers = [empty_file('"1"'), TransportError("cut"), empty_file('"2"')]
    assert play(store_empty("d", REPLACED), answers).error is None


@pytest.mark.parametrize(
    ("before", "after"), [(empty_file('"1"'), empty_file('"1"')), (NOT_THERE, THEIRS)], ids=["the older one", "another"]
)
def test_after_a_lost_answer_a_file_that_is_not_ours_is_not_taken_for_it(before: Response, after: Response) -> None:
    cut = TransportError("cut")
    assert play(store_empty("d", REPLACED), [before, cut, after]).error is cut
