"""rclone in trouble: what it recovers from, and what it says when it cannot.

Its own deviations: it takes `Retry-After` in seconds only, and lets one more try pass before it heeds it. It gives up
when the last answer is lost or has no body though the file is saved. It sends its token to ask for the position.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.emulator.wire import Wire
from tests.emulator.witnesses.rclone import Rclone

SIZE_BYTES, CHUNK_BYTES = 1_000_000, 327_680
RANGES = {"action": "uploadRange"}


def upload(rclone: Rclone, path: Path, *options: str, ok: bool = True) -> str:
    """Upload a file in four ranges; return what rclone says."""
    chunks = ("--onedrive-chunk-size", "320k")
    return rclone("copyto", path, "drive:data.bin", *chunks, *options, ok=ok).stderr


def positions(wire: Wire) -> list[tuple[int, int]]:
    """Return first byte and status of each range that was sent."""
    return [
        (int(record.content_range.removeprefix("bytes ").split("-")[0]), record.status)
        for record in wire.records(action="uploadRange")
    ]


@pytest.mark.parametrize(
    ("fault", "options", "sent"),
    [
        pytest.param("drive.F2", {"mode": "html", "match": RANGES}, [0, 0, 1, 2, 3], id="a gateway's 503"),
        pytest.param("drive.F3", {"match": RANGES, "after": 1}, [0, 1, 1, 2, 3], id="500"),
        pytest.param("drive.F3", {"match": RANGES, "after": 3, "status": 504}, [0, 1, 2, 3, 3], id="504 at the end"),
        pytest.param("drive.F4", {"mode": "reset", "after": 1}, [0, 1, 1, 2, 3], id="stored, its answer lost"),
        pytest.param("drive.F5", {"mode": "nothing", "after": 1}, [0, 1, 1, 2, 3], id="reset, nothing stored"),
        pytest.param("drive.F17", {"mode": "missing-hash"}, [0, 1, 2, 3], id="no hash for a while"),
    ],
)
def test_it_recovers(
    rclone: Rclone,
    wire: Wire,
    write: Callable[[str, int], Path],
    fault: str,
    options: dict[str, Any],
    sent: list[int],
) -> None:
    path = write("data.bin", SIZE_BYTES)
    wire.emulator.faults.add(fault, **options)
    upload(rclone, path)
    assert wire.records(fault=fault)
    assert [first // CHUNK_BYTES for first, _ in positions(wire)] == sent
    wire.emulator.faults.clear()
    rclone("check", "--checksum", path.parent, "drive:")


def test_it_goes_on_in_the_middle_of_a_range(rclone: Rclone, wire: Wire, write: Callable[[str, int], Path]) -> None:
    """Part of a broken range was kept (docs/wire/graph-onedrive.md#partial-ranges): 416, position, rest."""
    path = write("data.bin", SIZE_BYTES)
    wire.emulator.faults.add("drive.F5", mode="partial", after=1, after_bytes=100_000)
    upload(rclone, path)
    resumed = CHUNK_BYTES + 100_000
    expected = [CHUNK_BYTES * number for number in (0, 1, 1)]
    assert [first for first, _ in positions(wire)] == [*expected, resumed, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES]
    assert [record.status for record in wire.records(action="uploadStatus")] == [200]
    rclone("check", "--checksum", path.parent, "drive:")


@pytest.mark.parametrize("action", ["createUploadSession", "uploadRange"])
def test_it_waits_as_long_as_it_is_told(
    rclone: Rclone, wire: Wire, write: Callable[[str, int], Path], action: str
) -> None:
    wire.emulator.faults.add("drive.F1", match={"action": action}, retry_after=1, times=2)
    said = upload(rclone, write("data.bin", SIZE_BYTES), "-vv")
    first, second, third = wire.records(action=action)[:3]
    assert [first.status, second.status] == [429, 429]
    assert third.status in {200, 202}
    assert "Trying again in 1 seconds" in said


@pytest.mark.parametrize(
    ("fault", "options", "words"),
    [
        pytest.param("drive.F8", {"after": 1}, "401 Unauthorized", id="the session's token has expired"),
        pytest.param("drive.F11", {}, "nameAlreadyExists", id="the name was taken meanwhile"),
        pytest.param("drive.F12", {}, "resourceLocked", id="locked"),
        pytest.param("drive.F12", {"mode": "open-in-office"}, "already exists", id="open in Office"),
        pytest.param("drive.F13", {}, "Fatal error received", id="no space for a session"),
        pytest.param("drive.F13", {"mode": "final"}, "Fatal error received", id="no space at the end"),
        pytest.param("drive.F15", {}, "accessDenied: Access denied", id="no permission"),
        pytest.param("drive.F17", {"mode": "wrong-hash"}, "quickxor hashes differ", id="stored wrongly"),
    ],
)
def test_it_says_why_it_gives_up(
    rclone: Rclone,
    wire: Wire,
    write: Callable[[str, int], Path],
    fault: str,
    options: dict[str, Any],
    words: str,
) -> None:
    path = write("data.bin", SIZE_BYTES)
    wire.emulator.faults.add(fault, **options)
    assert words in upload(rclone, path, ok=False)
    wire.emulator.faults.clear()
    # Where another client took the name, the file is not ours.
    assert fault == "drive.F11" or rclone.listing("drive:") == {}


@pytest.mark.parametrize(("fault", "words"), [("drive.F6", "404 Not Found"), ("drive.F16", "unexpected end of JSON")])
def test_it_does_not_look_for_a_file_that_was_saved(
    rclone: Rclone, wire: Wire, write: Callable[[str, int], Path], fault: str, words: str
) -> None:
    path = write("data.bin", SIZE_BYTES)
    wire.emulator.faults.add(fault)
    assert words in upload(rclone, path, ok=False)
    rclone("check", "--checksum", path.parent, "drive:")


def test_it_notices_a_truncated_simple_upload(rclone: Rclone, wire: Wire, write: Callable[[str, int], Path]) -> None:
    """Business has stored such files after aborted requests (docs/wire/graph-onedrive.md#simple-upload)."""
    wire.emulator.faults.add("drive.F18", keep_bytes=100)
    said = upload(rclone, write("data.bin", SIZE_BYTES), "--onedrive-upload-cutoff", "4M", ok=False)
    assert "corrupted on transfer: sizes differ" in said
    assert rclone.listing("drive:") == {}


@pytest.mark.parametrize(
    ("mode", "options"), [("short-body", {"missing_bytes": 1000}), ("cut", {"after_bytes": 1000}), ("busy", {})]
)
def test_a_package_link_in_trouble(rclone: Rclone, wire: Wire, mode: str, options: dict[str, Any]) -> None:
    """A package that ends early is noticed, and the next try reads all of it."""
    url = wire.package_url()
    wire.emulator.faults.add("drive.F20", mode=mode, **options)
    rclone("copyurl", url, "drive:workers.zip", "--low-level-retries", "1", ok=False)
    rclone("copyurl", url, "drive:workers.zip")
    saved = wire.emulator.state.drives.user_drive.folder / "workers.zip"
    assert saved.read_bytes() == wire.session.get(url).content
