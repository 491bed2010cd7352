"""What the tasks of one machine tell each other of starts, and of what else concerns all who call an environment."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from talent_dmf.api.errors import ExportBusyError, TransportError
from talent_dmf.hooks.recent_starts import RecentStarts
from talent_dmf.transport import shared_notes
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


@pytest.fixture
def first_look(monkeypatch):
    """As in a process that has just begun."""
    monkeypatch.setattr(shared_notes, "_last_look", shared_notes._LastLook())


def aged(path, hours):
    moment = time.time() - hours * 3600
    os.utime(path, (moment, moment), follow_symlinks=False)
    return path


def test_files_that_nobody_has_written_to_for_a_day_are_removed_and_nothing_else(tmp_path, first_look):
    for about in ("gone", "yesterday", "held"):
        SharedNotes(tmp_path, about).change(lambda told: {"a": 1})
    gone, yesterday, held = (SharedNotes(tmp_path, about)._path for about in ("gone", "yesterday", "held"))
    for path, hours in ((gone, 25), (yesterday, 23), (held, 25)):
        aged(path, hours)
    others = [tmp_path / "mine.notes", tmp_path / f"{'a' * 64}.token", tmp_path / f"{'b' * 39}.notes"]
    for path in others:
        path.touch()
        aged(path, 999)
    link = tmp_path / f"{'c' * 40}.notes"
    link.symlink_to(others[0])
    aged(link, 999)
    with held.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        shared_notes._last_look = shared_notes._LastLook()
        SharedNotes(tmp_path, "new").change(lambda told: {"a": 1})
    assert not gone.exists()
    assert all(path.exists() for path in [yesterday, held, *others])
    assert link.is_symlink()


def test_a_process_looks_for_old_files_once_in_a_while(tmp_path, first_look):
    SharedNotes(tmp_path, "new").change(lambda told: {"a": 1})
    SharedNotes(tmp_path, "old").change(lambda told: {"a": 1})
    old = aged(SharedNotes(tmp_path, "old")._path, 25)
    SharedNotes(tmp_path, "new").change(lambda told: {"a": 2})
    assert old.exists()


def is_waited_for(inode):
    """Whether somebody waits for the lock of a file."""
    with open("/proc/locks") as file:
        return any("->" in line and f":{inode} " in line for line in file)


def test_what_is_told_while_the_file_is_removed_is_heard(tmp_path):
    notes = SharedNotes(tmp_path, "e")
    notes.change(lambda told: {"a": 1})
    with notes._path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        teller = threading.Thread(target=notes.change, args=(lambda told: {**told, "b": 2},))
        teller.start()
        while teller.is_alive() and not is_waited_for(notes._path.stat().st_ino):
            time.sleep(0.005)
        notes._path.unlink()
    teller.join(10)
    assert notes.read() == {"b": 2}
