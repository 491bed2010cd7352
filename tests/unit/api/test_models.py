from __future__ import annotations

import json

import pytest

from talent_dmf.api.dmf.models import ExecutionEvent
from talent_dmf.api.errors import ProtocolError
from talent_dmf.api.graph.models import DriveItem, UploadTarget

FINISHED = ExecutionEvent("e-1", "finished", "2026-03-01T06:00:00+00:00", status="Succeeded")


def test_an_event_survives_json():
    raw = json.loads(json.dumps(FINISHED.to_json()))
    assert ExecutionEvent.from_json({**raw, "of_a_later_release": 1}, "e-1") == FINISHED


@pytest.mark.parametrize("status", [None, "Unknown", "Executing", "NotRun", "Paused", 3])
def test_finished_without_a_final_status_is_refused(status):
    with pytest.raises(ProtocolError, match="not final"):
        ExecutionEvent.from_json({**FINISHED.to_json(), "status": status}, "e-1")


@pytest.mark.parametrize("kind", ["unsettled", "sla_missed", "timed_out", "error"])
def test_other_kinds_need_no_status(kind):
    assert ExecutionEvent.from_json({**FINISHED.to_json(), "kind": kind, "status": None}, "e-1").kind == kind


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (None, "without a readable event"),
        ("done", "without a readable event"),
        ([], "without a readable event"),
        ({}, "without a readable event"),
        ({**FINISHED.to_json(), "kind": "success"}, "without a readable event"),
        ({**FINISHED.to_json(), "kind": ["finished"]}, "without a readable event"),
        *(
            ({**FINISHED.to_json(), "started_at": time}, "without a readable event")
            for time in (None, "", "yesterday", 5, "2026-03-01T06:00:00")
        ),
        ({**FINISHED.to_json(), "deadline": "tomorrow"}, "without a readable event"),
        ({**FINISHED.to_json(), "unsettled_since": 5}, "without a readable event"),
        ({**FINISHED.to_json(), "version": 2}, "version 2"),
        ({**FINISHED.to_json(), "version": None}, "version None"),
        ({**FINISHED.to_json(), "execution_id": "e-2"}, "another execution"),
        ({**FINISHED.to_json(), "execution_id": None}, "another execution"),
    ],
)
def test_a_resume_without_proof_is_refused(raw, words):
    with pytest.raises(ProtocolError, match=words):
        ExecutionEvent.from_json(raw, "e-1")


@pytest.mark.parametrize(("folder", "path"), [("", "a.zip"), ("/", "a.zip"), ("x/y", "x/y/a.zip"), ("/x/", "x/a.zip")])
def test_path_of_a_destination(folder, path):
    assert UploadTarget(folder, "a.zip").path == path


def test_a_drive_item_speaks_the_readers_words():
    item = DriveItem("1", "a.zip", 7, "https://x", quick_xor_hash="h")
    assert item.to_json() == {
        "drive_item_id": "1", "name": "a.zip", "size": 7, "web_url": "https://x", "quick_xor_hash": "h",
    }  # fmt: skip
