"""The emulator's own parts that need no socket."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dmf_emulator import EmulatorError, Pace, Settings
from dmf_emulator.clock import VirtualClock, iso_utc
from dmf_emulator.graph.addresses import DriveAddress, OwnerAddress, parse_address
from dmf_emulator.graph.names import numbered
from dmf_emulator.settings import parse_size_bytes
from dmf_emulator.state.quickxor import QuickXorHash
from dmf_emulator.state.recorder import masked_target


def slow_quick_xor_hash(data: bytes) -> bytes:
    """The algorithm of the documentation, byte by byte."""
    register = 0
    for index, byte in enumerate(data):
        for bit in range(8):
            register ^= ((byte >> bit) & 1) << ((11 * index + bit) % 160)
    register ^= len(data) << 96
    return register.to_bytes(20, "little")


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"hello world", "aCgDG9jwBhDc4Q1yawMZAAAAAAA="), (b"", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")],
)
def test_quick_xor_hash_vectors(data: bytes, expected: str) -> None:
    digest = QuickXorHash()
    digest.update(data)
    assert digest.base64() == expected


@pytest.mark.parametrize("size", [1, 7, 159, 160, 161, 1760, 33_000])
@pytest.mark.parametrize("step", [1, 13, 160, 16_384, 40_000])
def test_quick_xor_hash_equals_the_documented_algorithm_however_it_is_fed(size: int, step: int) -> None:
    data = bytes((index * 131 + index // 7) % 256 for index in range(size))
    digest = QuickXorHash()
    for start in range(0, size, step):
        digest.update(memoryview(data)[start : start + step])
    twin = digest.copy()
    twin.update(b"more")
    assert digest.digest() == slow_quick_xor_hash(data)
    assert twin.digest() == slow_quick_xor_hash(data + b"more")


def test_the_clock_moves_stands_and_never_goes_back() -> None:
    clock = VirtualClock(datetime(2026, 11, 22, tzinfo=UTC))
    clock.freeze()
    before = clock.now()
    clock.advance(timedelta(days=7))
    assert clock.now() - before == timedelta(days=7)
    with pytest.raises(EmulatorError, match="forward only"):
        clock.advance(-1)
    clock.run()
    assert clock.now() >= before + timedelta(days=7)
    with pytest.raises(EmulatorError, match="time zone"):
        VirtualClock(datetime(2026, 11, 22))  # noqa: DTZ001


def test_times_are_written_in_utc() -> None:
    assert iso_utc(1_795_397_208.5) == "2026-11-23T01:26:48Z"
    assert iso_utc(1_795_397_208.5, digits=3) == "2026-11-23T01:26:48.500Z"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("me/drive", DriveAddress("me", "", None, (), "")),
        ("me/drive/root", DriveAddress("me", "", "root", (), "")),
        ("me/drives/b!1/root", DriveAddress("drive", "b!1", "root", (), "")),
        ("users/a%40b/drive/root/children", DriveAddress("user", "a@b", "root", (), "children")),
        ("drives/b!1/root:/a/b%20c:/content", DriveAddress("drive", "b!1", "root", ("a", "b c"), "content")),
        ("drives/b!1/root:/content", DriveAddress("drive", "b!1", "root", ("content",), "")),
        ("drives/b!1/root:/a:", DriveAddress("drive", "b!1", "root", ("a",), "")),
        ("drives/b!1/items/X:/a.zip:/createUploadSession",
         DriveAddress("drive", "b!1", "X", ("a.zip",), "createUploadSession")),
        ("drives/b!1/items/X/children", DriveAddress("drive", "b!1", "X", (), "children")),
        ("sites/h:/sites/E:/drive/root", DriveAddress("site", "h:/sites/E:", "root", (), "")),
        ("sites/h,1,2/drives", OwnerAddress("site", "h,1,2", lists_drives=True)),
        ("me", OwnerAddress("me", "", lists_drives=False)),
        ("drives/b!1/nothing", None),
        ("else", None),
        ("", None),
    ],
)  # fmt: skip
def test_addresses(path: str, expected: object) -> None:
    assert parse_address(path) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("a.zip", "a 1.zip"), ("a", "a 1"), (".env", ".env 1"), ("a.tar.gz", "a.tar 1.gz")]
)
def test_numbered_names(name: str, expected: str) -> None:
    assert numbered(name, 1) == expected


@pytest.mark.parametrize(
    ("text", "size"), [("64KiB", 65536), ("50MB", 50_000_000), ("1.5 GB", 1_500_000_000), ("7", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size_bytes(text) == size


def test_paces() -> None:
    pace = Pace.parse("50MB/s, 20ms, buffer=64KiB")
    assert pace == Pace(bytes_per_second=50_000_000, latency_seconds=0.02, socket_buffer_bytes=65536)
    for wrong in ("fast", "0/s", "20s", "buffer=x"):
        with pytest.raises(EmulatorError):
            Pace.parse(wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"not_run_seconds": -1}, "cannot be negative"),
        ({"ports": {"ftp": 21}}, "no origin 'ftp' for a port"),
        ({"pacing": {"ftp": Pace()}}, "no origin 'ftp' for a pace"),
        ({"range_form": "x"}, "choose open, closed or random"),
        ({"default_conflict_behavior": "x"}, "choose fail, replace or rename"),
        ({"default_company": "NONE"}, "not among companies"),
        ({"session_idle_seconds": 1e300}, "choose at most"),
        ({"rows": -1}, "choose 0 to"),
        ({"recorder_limit": -1}, "choose 0 to"),
        ({"host": ""}, "no host name or address"),
        ({"public_host": "a b"}, "no host name or address"),
        ({"public_host": "https://x"}, "no host name or address"),
        ({"host_names": "é"}, "no host name or address"),
        ({"site_id": "x"}, "is not host,id,id"),
    ],
)
def test_impossible_settings_end_in_one_line(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(EmulatorError, match=message):
        Settings(**arguments)  # type: ignore[arg-type]


def test_settings_do_not_show_their_secrets() -> None:
    assert "emulator-client-secret" not in repr(Settings())
    assert "emulator-user-password" not in repr(Settings())


def test_masked_targets() -> None:
    shown = masked_target("/a/uploadSession", "guid='1'&tempauth=secret&$top=5&se=2026&sig=secret")
    assert "secret" not in shown
    assert "$top=5" in shown
    assert "se=2026" in shown
