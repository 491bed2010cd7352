"""Ranges that are sent while they are read: what befalls either leg in the middle of a request."""

from __future__ import annotations

import itertools
import logging
import uuid
from typing import Any

import pytest
from tests.integration.conftest import INSTANT
from tests.integration.exported_package import CHUNK_BYTES, ExportedPackage, MemoryStore

from talent_dmf.api.errors import PackageInvalidError, TransferStoppedError, TransportError
from talent_dmf.api.graph.upload.ranges import MAX_FRAGMENT_BYTES
from talent_dmf.package_source import source

PIECES = 3
PACKAGE_BYTES = 24 * CHUNK_BYTES + 54_321
SETTINGS = INSTANT.changed({"package_size_bytes": PACKAGE_BYTES, "range_form": "random"})
# All of it by one request after the two that look at it, and all of it in one range.
ONE_REQUEST = {"chunk_bytes": MAX_FRAGMENT_BYTES, "request_bytes": 2**30}
PLACES = [1, CHUNK_BYTES, 5 * CHUNK_BYTES + 17, PACKAGE_BYTES - 1]


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few bytes read ahead that the rest is still to come when the range begins."""
    monkeypatch.setattr(source, "PIECE_BYTES", CHUNK_BYTES)
    monkeypatch.setattr(source, "PIECES", PIECES)


def name_of_its_own() -> str:
    return f"{uuid.uuid4().hex}.zip"


def test_one_request_reads_and_one_sends(exported: ExportedPackage) -> None:
    name = name_of_its_own()
    result = exported.pump(name, **ONE_REQUEST).run()
    *_, read = exported.emulator.recorder.requests(origin="blob", action="GetBlob")
    assert read.range == f"bytes=0-{PACKAGE_BYTES - 1}"
    assert exported.ranges_sent() == [f"bytes 0-{PACKAGE_BYTES - 1}/{PACKAGE_BYTES}"]
    assert exported.saved(name) == exported.package()
    assert (result.bytes_sent, result.resumes) == (PACKAGE_BYTES, 0)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mode", ["cut", "short-body"])
def test_a_read_that_breaks_anywhere_is_taken_up_within_the_same_range(
    exported: ExportedPackage, mode: str, place: int
) -> None:
    name = name_of_its_own()
    where = {"after_bytes": place} if mode == "cut" else {"missing_bytes": PACKAGE_BYTES - place}
    exported.emulator.faults.add("drive.F20", mode=mode, after=2, **where)
    result = exported.pump(name, **ONE_REQUEST).run()
    assert exported.emulator.recorder.requests(fault="drive.F20")
    assert len(exported.ranges_sent()) == 1
    assert result.bytes_sent == PACKAGE_BYTES
    assert exported.saved(name) == exported.package()


@pytest.mark.parametrize("is_checked", [False, True], ids=["", "checked"])
@pytest.mark.parametrize("place", PLACES)
def test_a_link_that_is_refused_half_way_is_renewed_within_the_same_range(
    exported: ExportedPackage, place: int, is_checked: bool
) -> None:
    """Where the check is behind, some bytes are read again for it, and none is sent again."""
    name = name_of_its_own()
    exported.emulator.faults.add("drive.F20", mode="cut", after=2, after_bytes=place)
    exported.emulator.faults.add("drive.F20", mode="expired", after=3, times=1, match={"action": "GetBlob"})
    package = exported.source(check_entries=is_checked, **ONE_REQUEST)
    result = exported.pump(name, package=package).run()
    assert len(exported.emulator.recorder.requests(fault="drive.F20")) == 2
    assert exported.links == 2
    assert len(exported.ranges_sent()) == 1
    assert result.bytes_sent == PACKAGE_BYTES
    assert exported.saved(name) == exported.package()


@pytest.mark.parametrize("place", PLACES)
def test_a_version_that_changes_half_way_is_no_mixture(exported: ExportedPackage, place: int) -> None:
    """What comes after the break is of another version: the range ends in its middle, and all begins anew."""
    name = name_of_its_own()
    exported.emulator.faults.add("drive.F20", mode="cut", after=2, after_bytes=place)
    exported.emulator.faults.add("drive.F20", mode="changed", after=3, times=1, match={"action": "GetBlob"})
    exported.pump(name, **ONE_REQUEST).run()
    assert len(exported.emulator.recorder.requests(fault="drive.F20")) == 2
    assert len(exported.emulator.recorder.requests(action="createUploadSession")) == 2
    assert exported.saved(name) == exported.package()
    assert exported.open_sessions() == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mode", ["nothing", "partial"])
def test_a_range_that_breaks_anywhere_goes_on_where_the_session_stands(
    exported: ExportedPackage, mode: str, place: int
) -> None:
    name = name_of_its_own()
    exported.emulator.faults.add("drive.F5", mode=mode, after_bytes=place)
    result = exported.pump(name, **ONE_REQUEST).run()
    assert exported.emulator.recorder.requests(fault="drive.F5")
    first, second, *_ = exported.ranges_sent()
    begin, end = (int(number) for number in second.removeprefix("bytes ").partition("/")[0].split("-"))
    assert first.startswith("bytes 0-")
    assert begin == (place if mode == "partial" else 0)
    assert end + 1 - begin <= PACKAGE_BYTES / 2 + CHUNK_BYTES or end + 1 == PACKAGE_BYTES
    assert exported.saved(name) == exported.package()
    assert result.resumes >= 1


@pytest.mark.parametrize(
    ("fault", "mode", "options"),
    [
        ("drive.F1", "answer", {"retry_after": 41, "match": {"action": "uploadRange"}}),
        ("drive.F2", "json", {"match": {"action": "uploadRange"}}),
        ("drive.F4", "503", {}),
        ("drive.F4", "reset", {}),
        ("drive.F6", "reset", {}),
        ("drive.F7", "forever", {"match": {"action": "uploadRange"}}),
        ("drive.F8", "refused", {"status": 401, "match": {"action": "uploadRange"}}),
        ("drive.F12", "locked", {"times": 2, "match": {"action": "uploadRange"}}),
    ],
)
def test_a_range_that_is_refused_is_read_again(
    exported: ExportedPackage, fault: str, mode: str, options: dict[str, Any]
) -> None:
    name = name_of_its_own()
    exported.emulator.faults.add(fault, mode=mode, **options)
    exported.pump(name, **ONE_REQUEST).run()
    assert exported.emulator.recorder.requests(fault=fault)
    assert exported.saved(name) == exported.package()
    # What is refused for good cannot be cancelled either.
    assert exported.open_sessions() == ([name] if mode == "refused" else [])


def test_a_storage_that_falls_silent_does_not_keep_a_request_open(
    exported: ExportedPackage, caplog: pytest.LogCaptureFixture
) -> None:
    """The range is given up, the session is asked, and what goes next is no longer than what is there."""
    name = name_of_its_own()
    moments = itertools.count(0.0, 20.0)
    exported.emulator.faults.add(
        "drive.F19", mode="stall", after=2, after_bytes=5 * CHUNK_BYTES, match={"origin": "blob"}
    )
    with caplog.at_level(logging.INFO):
        result = exported.pump(
            name, source=exported.driver("", timeout_seconds=1.2), clock=lambda: next(moments), **ONE_REQUEST
        ).run()
    assert "comes too slowly for a range" in caplog.text
    assert exported.emulator.recorder.requests(fault="drive.F19")
    assert exported.emulator.recorder.requests(action="uploadStatus")
    assert exported.saved(name) == exported.package()
    assert result.item.quick_xor_hash == result.quick_xor_hash


def test_a_storage_that_stays_away_ends_in_its_own_sentence(exported: ExportedPackage) -> None:
    """Not in that of the upload, which only waited for it; and what had been sent is there for the next try."""
    name, store = name_of_its_own(), MemoryStore()
    rules = [
        exported.emulator.faults.add("drive.F20", mode="cut", after=2, after_bytes=9 * CHUNK_BYTES),
        exported.emulator.faults.add("drive.F20", mode="busy", after=3, times=None),
    ]
    with pytest.raises(TransportError, match="Download range"):
        exported.pump(name, session_store=store, **ONE_REQUEST).run()
    assert exported.saved(name) is None
    assert len(exported.open_sessions()) == 1
    for rule in rules:
        exported.emulator.faults.remove(rule)
    exported.pump(name, session_store=store, **ONE_REQUEST).run()
    assert exported.saved(name) == exported.package()


def test_a_stop_is_heeded_in_the_middle_of_a_range(exported: ExportedPackage) -> None:
    name, store = name_of_its_own(), MemoryStore()
    asked = itertools.count()
    with pytest.raises(TransferStoppedError):
        exported.pump(name, session_store=store, cancelled=lambda: next(asked) > 8, **ONE_REQUEST).run()
    assert exported.saved(name) is None
    assert len(exported.open_sessions()) == 1
    exported.pump(name, session_store=store, **ONE_REQUEST).run()
    assert exported.saved(name) == exported.package()
    assert exported.open_sessions() == []


def test_a_damaged_package_ends_before_its_last_piece(exported: ExportedPackage) -> None:
    """One range holds all of the file: without its last piece it is none."""
    exported.emulator.faults.add("dmf.F25", mode="defect", defect="corrupt", times=None)
    exported.export(str(uuid.uuid4()))
    package = exported.source(check_entries=True, **ONE_REQUEST)
    with pytest.raises(PackageInvalidError, match="is damaged"):
        exported.pump("damaged.zip", package=package).run()
    assert exported.bytes_received() < PACKAGE_BYTES
    assert exported.saved("damaged.zip") is None
    assert exported.open_sessions() == []


@pytest.mark.parametrize(("step", "is_slow"), [(0.0, False), (4.0, True)])
def test_ranges_are_as_long_as_what_passes_in_ten_seconds(
    exported: ExportedPackage, step: float, is_slow: bool
) -> None:
    name, longest = name_of_its_own(), 8 * CHUNK_BYTES
    moments = itertools.count(0.0, step)
    exported.pump(name, clock=lambda: next(moments), chunk_bytes=longest, request_bytes=2**30).run()
    first, *others, _ = [record.received_bytes for record in exported.emulator.recorder.requests(action="uploadRange")]
    assert first == longest
    assert [length < longest for length in others] == [is_slow] * len(others)
    assert exported.saved(name) == exported.package()
