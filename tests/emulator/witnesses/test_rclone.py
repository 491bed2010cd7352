"""rclone, the OneDrive client most people know, works with the drive.

It talks to the API under `/_api/v2.0/` at the SharePoint origin, as option `tenant_url` makes it do with tenants. Its
own deviation: it never sends a forbidden character, but a look-alike (a full-width `:` for `:`), so the names that the
service refuses are sent with `encoding` set to none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.emulator.wire import Start, Wire
from tests.emulator.witnesses.rclone import Rclone

from dmf_emulator import Settings

CHUNK_BYTES = 10 * 1024 * 1024

# What people call their files: spaces, percent signs and hashes that must be quoted in a URL, other scripts, names that
# could be taken for a path of the API, and characters that OneDrive does not allow.
ODD_NAMES = (
    "plain.txt",
    "UPPER and lower.TXT",
    "100% of #1 + more & co;=,@$.csv",
    "it's [quoted] {braced} (round)!.txt",
    "Überschrift – 日本語 – ไทย – 😀.zip",
    "%41%2F.txt",
    "root:",
    'star*quest?"lt<gt>pipe|back\\slash.txt',
    " leading and trailing ",
    "~tilde",
    "dots...",
    ".hidden",
    "x" * 120 + ".bin",
    "folder #1/sub.folder/deep file.txt",
    "folder #1/children",
    "folder ending in a dot./file.txt",
)


@pytest.fixture
def tree(write: Callable[[str, int], Path], tmp_path: Path) -> Path:
    for number, name in enumerate(ODD_NAMES):
        write(name, 1 + number * 1000)
    write("empty.txt", 0)
    (tmp_path / "local" / "empty folder").mkdir()
    return tmp_path / "local"


def contents(folder: Path) -> dict[str, tuple[bytes, int] | None]:
    """Return content and modification time of each file by path; None for a folder."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), int(path.stat().st_mtime)) if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_a_tree_goes_up_and_comes_back_the_same(rclone: Rclone, wire: Wire, tree: Path, tmp_path: Path) -> None:
    rclone("copy", tree, "drive:Exports", "--create-empty-src-dirs")

    expected = contents(tree)
    listed = rclone.listing("drive:Exports", "--hash")
    assert listed.keys() == expected.keys()
    for path, content in expected.items():
        assert listed[path]["IsDir"] == (content is None)
        if content is not None:
            assert listed[path]["Size"] == len(content[0])
            assert int(datetime.fromisoformat(listed[path]["ModTime"]).timestamp()) == content[1]
            # A file of no bytes has no hash (docs/wire/graph-onedrive.md#hashes).
            assert ("Hashes" in listed[path]) == bool(content[0])

    checked = rclone("check", "--checksum", tree, "drive:Exports").stderr
    assert f"{len(ODD_NAMES) + 1} matching files" in checked
    assert "1 hashes could not be checked" in checked
    rclone("check", "--download", tree, "drive:Exports")
    rclone("copy", "drive:Exports", tmp_path / "back", "--create-empty-src-dirs")
    assert contents(tmp_path / "back") == expected

    refused = [record for record in wire.records(origin="sharepoint") if record.status >= 400]
    assert {(record.action, record.status) for record in refused} == {("getItem", 404)}


def test_the_bearer_token_stays_away_from_signed_addresses(rclone: Rclone, wire: Wire, tree: Path) -> None:
    rclone("copy", tree, "drive:Exports")
    rclone("check", "--download", tree, "drive:Exports")
    ranges, downloads = wire.records(action="uploadRange"), wire.records(action="download")
    # The file of no bytes goes by simple upload: a session cannot carry it.
    assert (len(ranges), len(downloads)) == (len(ODD_NAMES), len(ODD_NAMES) + 1)
    assert [record.received_bytes for record in wire.records(action="putContent")] == [0]
    assert not any(record.has_header("Authorization") for record in (*ranges, *downloads))
    assert all(record.has_header("Authorization") for record in wire.records(action="createUploadSession"))


def test_a_second_sync_finds_nothing_to_do(rclone: Rclone, wire: Wire, tree: Path) -> None:
    """Size, time and hash of each file are believed, and case-insensitive names found again."""
    rclone("sync", tree, "drive:Exports")
    wire.emulator.recorder.clear()
    rclone("sync", tree, "drive:Exports")
    rclone("sync", "--checksum", tree, "drive:EXPORTS")
    assert {record.method for record in wire.records(origin="sharepoint")} == {"GET"}


@pytest.mark.parametrize(
    ("range_form", "size_bytes"),
    [
        pytest.param("open", 200_000_000, id="200 MB"),
        # Not documented, but observed (docs/wire/graph-onedrive.md#answers-to-a-range).
        pytest.param("closed", 25_000_000, id="closed form of nextExpectedRanges"),
    ],
)
def test_a_large_file_goes_in_ranges(
    start: Start, write: Callable[[str, int], Path], tmp_path: Path, range_form: str, size_bytes: int
) -> None:
    wire = start(Settings(range_form=range_form))
    rclone = Rclone(wire, tmp_path / "rclone")
    path = write("large.bin", size_bytes)
    rclone("copyto", path, "drive:Exports/large.bin")
    rclone("check", "--checksum", path.parent, "drive:Exports")

    ranges = wire.records(action="uploadRange")
    starts = range(0, size_bytes, CHUNK_BYTES)
    assert [record.content_range for record in ranges] == [
        f"bytes {first}-{min(first + CHUNK_BYTES, size_bytes) - 1}/{size_bytes}" for first in starts
    ]
    assert [record.status for record in ranges] == [202] * (len(starts) - 1) + [201]

    rclone("copyto", "drive:Exports/large.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == path.read_bytes()


def test_a_part_of_a_file_is_read_by_range(rclone: Rclone, wire: Wire, write: Callable[[str, int], Path]) -> None:
    path = write("data.bin", 100_000)
    path.write_bytes(b"".join(b"%09d\n" % number for number in range(10_000)))
    rclone("copyto", path, "drive:data.bin")
    assert rclone("cat", "drive:data.bin", "--offset", "50000", "--count", "20").stdout == "000005000\n000005001\n"
    download = wire.records(action="download")[-1]
    assert (download.status, download.range.startswith("bytes=50000-")) == (206, True)


def test_long_listings_come_in_pages(rclone: Rclone, wire: Wire, tree: Path) -> None:
    rclone("copy", tree, "drive:Exports", "--create-empty-src-dirs")
    wire.emulator.recorder.clear()
    paged = rclone.listing("drive:Exports", "--onedrive-list-chunk", "4")
    pages = [record for record in wire.records(action="listChildren") if record.status == 200]
    assert paged == rclone.listing("drive:Exports")
    # 17 entries at the top, and four folders of fewer than four.
    assert len(pages) == 5 + 4


def test_files_and_folders_are_renamed_moved_and_deleted(rclone: Rclone, write: Callable[[str, int], Path]) -> None:
    write("a/one.txt", 10)
    write("a/two.txt", 20)
    local = write("a/b/three.txt", 30).parents[2]
    rclone("copy", local, "drive:")
    rclone("moveto", "drive:a/one.txt", "drive:a/renamed #1.txt")
    rclone("moveto", "drive:a/two.txt", "drive:other/two.txt")
    rclone("moveto", "drive:a/b", "drive:c")
    rclone("deletefile", "drive:a/renamed #1.txt")
    assert rclone.listing("drive:").keys() == {"a", "c", "c/three.txt", "other", "other/two.txt"}
    rclone("rmdir", "drive:a")
    rclone("purge", "drive:c")
    assert rclone.listing("drive:").keys() == {"other", "other/two.txt"}


def test_a_file_is_replaced(rclone: Rclone, wire: Wire, write: Callable[[str, int], Path]) -> None:
    rclone("copyto", write("first.bin", 400_000), "drive:data.bin")
    (before,) = rclone.listing("drive:").values()
    second = write("second.bin", 300_000)
    rclone("copyto", second, "drive:data.bin")
    (after,) = rclone.listing("drive:").values()
    assert (after["ID"], after["Size"]) == (before["ID"], 300_000)
    assert [record.status for record in wire.records(action="uploadRange")] == [201, 200]


def test_the_quota_counts_what_is_stored(rclone: Rclone, wire: Wire, write: Callable[[str, int], Path]) -> None:
    rclone("copyto", write("data.bin", 123_456), "drive:data.bin")
    quota = json.loads(rclone("about", "--json", "drive:").stdout)
    total = wire.emulator.settings.quota_bytes
    assert quota == {"total": total, "used": 123_456, "free": total - 123_456, "trashed": 0}


def test_a_package_is_copied_from_its_link_into_the_drive(rclone: Rclone, wire: Wire) -> None:
    url = wire.package_url()
    rclone("copyurl", url, "drive:Exports/workers.zip")
    rclone("copyurl", url, "drive:Named", "--auto-filename")
    saved = wire.emulator.state.drives.user_drive.folder / "Exports" / "workers.zip"
    assert saved.read_bytes() == wire.session.get(url).content
    (named,) = rclone.listing("drive:Named")
    assert named.endswith("_DMFPackage.zip")


def test_it_gets_its_own_token(wire: Wire, write: Callable[[str, int], Path], tmp_path: Path) -> None:
    """By client credentials with HTTP Basic authentication, and a scope that names no resource: Graph is meant."""
    rclone = Rclone(
        wire, tmp_path / "rclone",
        token="", client_credentials="true", client_id=wire.info["client_id"],
        client_secret=wire.info["client_secret"], tenant=wire.info["tenant_id"],
        token_url=f"{wire.info['authority']}/oauth2/v2.0/token",
    )  # fmt: skip
    rclone("copyto", write("data.bin", 10), "drive:data.bin")
    assert rclone.listing("drive:").keys() == {"data.bin"}
    assert {record.status for record in wire.records(action="token")} == {200}


def test_a_sharepoint_library_works_as_well(wire: Wire, tree: Path, tmp_path: Path) -> None:
    rclone = Rclone(wire, tmp_path / "rclone", drive_id=wire.info["site_drive_id"], drive_type="documentLibrary")
    rclone("copy", tree, "drive:Exports")
    rclone("check", "--checksum", tree, "drive:Exports")


@pytest.mark.parametrize("name", ["a*b.txt", "a?b.txt", 'a"b.txt', "a|b.txt", " a.txt", "a.txt ", "CON", "a_vti_b"])
def test_names_that_onedrive_refuses(wire: Wire, write: Callable[[str, int], Path], tmp_path: Path, name: str) -> None:
    rclone = Rclone(wire, tmp_path / "rclone", encoding="None")
    refused = rclone("copy", write(name, 10).parent, "drive:", ok=False)
    assert "invalidRequest" in refused.stderr
    assert [record.status for record in wire.records(action="createUploadSession")] == [400]


@pytest.mark.parametrize(
    ("settings", "seconds", "words"),
    [
        pytest.param({"application_roles": ()}, 0, "accessDenied", id="no permission"),
        pytest.param({}, 3700, "unauthenticated", id="token expired"),
    ],
)
def test_it_says_why_it_is_refused(
    start: Start, tmp_path: Path, settings: dict[str, Any], seconds: int, words: str
) -> None:
    wire = start(Settings(**settings))
    rclone = Rclone(wire, tmp_path / "rclone")
    wire.emulator.clock.advance(seconds)
    assert words in rclone("lsf", "drive:", ok=False).stderr
