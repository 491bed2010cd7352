"""What the tasks of one machine tell each other of starts, and of what else concerns all who call an environment."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from talent_dmf.api.errors import ExportBusyError, TransportError
from talent_dmf.hooks.recent_starts import RecentStarts
from talent_dmf.transport.shared_notes import SharedNotes


@pytest.fixture
def starts(tmp_path, clock):
    return RecentStarts(SharedNotes(tmp_path, "environment"), clock)


def test_others_learn_of_a_start_while_it_is_made_and_a_minute_longer(starts, clock):
    with starts.starting("Export Workers", "first") as beside:
        assert beside == ()
        with starts.starting("EXPORT WORKERS", "second") as seen:
            assert seen == ("first",)
    clock.seconds += 59
    with starts.starting("Export Workers", "third") as seen:
        assert seen == ("second", "first")
    clock.seconds += 61
    with starts.starting("Export Workers", "fourth") as seen:
        assert seen == ()


def test_neither_another_project_nor_ones_own_earlier_try_counts(starts):
    with starts.starting("Jobs", "jobs"), starts.starting("Export Workers", "mine"):
        pass
    with starts.starting("Export Workers", "mine") as beside:
        assert beside == ()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TransportError("the answer was lost"), ("first",)),
        (TransportError("refused", sent=False), ()),
        (ExportBusyError("busy", execution_id="x"), ()),
    ],
    ids=str,
)
def test_what_was_not_started_is_not_told_any_longer(starts, error, told):
    with pytest.raises(type(error)), starts.starting("P", "first"):
        raise error
    with starts.starting("P", "second") as beside:
        assert beside == told


def test_of_many_who_begin_at_once_one_is_the_first(tmp_path):
    def begin(number):
        with RecentStarts(SharedNotes(tmp_path, "e")).starting("P", f"e-{number}") as beside:
            return len(beside)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(begin, range(24))) == list(range(24))


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"starts": 1}', '{"starts": [1, {}, {"until": "x", "id": 1}, {"until": 1e300, "project": "p"}]}'],
)
def test_a_file_that_says_nothing_is_overlooked(tmp_path, content):
    notes = SharedNotes(tmp_path, "e")
    with RecentStarts(notes).starting("P", "first"):
        pass
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    with RecentStarts(notes).starting("P", "second") as beside:
        assert beside == ()
    assert [each["id"] for each in notes.read()["starts"]] == ["second"]


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path):
    notes = SharedNotes(tmp_path / "missing", "e")
    with RecentStarts(notes).starting("P", "first") as beside:
        assert beside == ()
    assert notes.read() == {}


def test_nothing_of_it_can_be_read_by_anybody_else(tmp_path):
    before = os.umask(0)
    try:
        SharedNotes(tmp_path, "e").change(lambda told: {**told, "a": 1})
    finally:
        os.umask(before)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path):
    notes = SharedNotes(tmp_path, "e")
    notes.change(lambda told: {"a": 1})
    (file,) = tmp_path.iterdir()
    target = tmp_path / "target"
    file.rename(target)
    file.symlink_to(target)
    assert notes.read() == {}
    notes.change(lambda told: {"a": 2})
    assert target.read_text() == '{"a": 1}'
