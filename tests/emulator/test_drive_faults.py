"""Every fault of Graph, upload sessions and downloads shows on the wire as its source describes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import requests
from tests.emulator.wire import UNIT_BYTES, codes

if TYPE_CHECKING:
    from tests.emulator.wire import Wire

Observation = Callable[["Wire"], Any]
UNIT = bytes(range(256)) * (UNIT_BYTES // 256)
TOTAL = 2 * UNIT_BYTES


def created(wire: Wire) -> requests.Response:
    return wire.open_session("a.zip")


def upload(wire: Wire, ranges: int = 2) -> list[str]:
    """Open a session and send both ranges blindly; return what each answer was and how far the session is."""
    url = created(wire).json()["uploadUrl"]
    seen = []
    for number in range(ranges):
        try:
            answer = wire.put_range(url, UNIT, number * UNIT_BYTES, TOTAL)
            seen.append(str(answer.status_code))
        except requests.exceptions.ConnectionError:
            seen.append("lost")
    progress = wire.session.get(url)
    seen.append(
        ",".join(progress.json()["nextExpectedRanges"]) if progress.status_code == 200 else f"{progress.status_code}"
    )
    return seen


def saved(wire: Wire) -> bool:
    return wire.graph("GET", f"{wire.drive}/root:/a.zip").status_code == 200


def uploaded(wire: Wire) -> list[Any]:
    return [*upload(wire), saved(wire)]


def twice_created(wire: Wire) -> list[str]:
    first = created(wire)
    return [f"{first.status_code}", codes(first)[0], f"{created(wire).status_code}"]


def retry_after(wire: Wire) -> tuple[int, str]:
    answer = created(wire)
    value = answer.headers.get("Retry-After", "none")
    return answer.status_code, "date" if value.endswith("GMT") else value


def range_answer(wire: Wire, number: int = 0) -> requests.Response:
    url = created(wire).json()["uploadUrl"]
    for before in range(number):
        wire.put_range(url, UNIT, before * UNIT_BYTES, TOTAL)
    return wire.put_range(url, UNIT, number * UNIT_BYTES, TOTAL)


def facts(wire: Wire, reads: int = 3) -> list[tuple[int, bool]]:
    """Upload a file and return its size and whether a hash is shown, for each reading."""
    wire.graph("PUT", f"{wire.drive}/root:/b.zip:/content", data=b"hello world")
    items = [wire.graph("GET", f"{wire.drive}/root:/b.zip").json() for _ in range(reads)]
    return [
        (item["size"], item["file"]["hashes"] == {"quickXorHash": "aCgDG9jwBhDc4Q1yawMZAAAAAAA="}) for item in items
    ]


def truncated(wire: Wire) -> tuple[int, int]:
    answer = wire.graph("PUT", f"{wire.drive}/root:/b.zip:/content", data=b"x" * 500)
    return answer.status_code, wire.graph("GET", f"{wire.drive}/root:/b.zip").json()["size"]


def reads(wire: Wire, headers: dict[str, str] | None = None) -> list[str]:
    """Read a package twice; return status or how it broke."""
    link = wire.package_url()
    seen = []
    for _ in range(2):
        try:
            seen.append(f"{wire.session.get(link, headers=headers).status_code}")
        except requests.exceptions.RequestException:
            seen.append("broken")
    return seen


def conditional_reads(wire: Wire) -> list[int]:
    link = wire.package_url()
    etag = wire.session.head(link).headers["ETag"]
    return [wire.session.get(link, headers={"If-Match": etag}).status_code for _ in range(2)]


def tags(wire: Wire) -> bool:
    link = wire.package_url()
    return wire.session.get(link).headers["ETag"] == wire.session.get(link).headers["ETag"]


@pytest.mark.parametrize(
    ("fault", "mode", "parameters", "observe", "expected"),
    [
        ("F1", "answer", {}, retry_after, (429, "1")),
        ("F1", "answer", {"retry_after": 315}, retry_after, (429, "315")),
        ("F1", "answer", {"form": "date"}, retry_after, (429, "date")),
        ("F1", "answer", {"match": {"action": "uploadRange"}}, upload, ["429", "416", "0-"]),
        ("F2", "json", {}, retry_after, (503, "30")),
        ("F2", "html", {"match": {"action": "uploadRange"}},
         lambda wire: range_answer(wire).headers["Content-Type"], "text/html"),
        ("F2", "then-gone", {}, upload, ["503", "404", "404"]),
        ("F3", "once", {"status": 502}, lambda wire: twice_created(wire)[::2], ["502", "200"]),
        ("F3", "final", {}, uploaded, ["202", "500", f"{UNIT_BYTES}-", False]),
        ("F3", "assembly", {}, uploaded, ["202", "500", "", False]),
        ("F4", "503", {}, uploaded, ["503", "201", "404", True]),
        ("F4", "reset", {}, uploaded, ["lost", "201", "404", True]),
        ("F5", "nothing", {}, upload, ["lost", "416", "0-"]),
        ("F5", "partial", {"after_bytes": 100_000}, upload, ["lost", "416", "100000-"]),
        ("F6", "reset", {}, uploaded, ["202", "lost", "404", True]),
        ("F7", "once", {}, upload, ["404", "416", "0-"]),
        ("F7", "forever", {}, upload, ["404", "404", "404"]),
        ("F8", "refused", {}, upload, ["401", "401", "401"]),
        ("F8", "refused", {"status": 403}, lambda wire: range_answer(wire).headers["X-MSDAVEXT_Error"][:6], "917656"),
        ("F9", "idle", {}, upload, ["404", "404", "404"]),
        ("F10", "open", {}, twice_created, ["409", "nameAlreadyExists", "409"]),
        ("F11", "created", {}, uploaded, ["202", "409", "", False]),
        ("F12", "locked", {}, twice_created, ["423", "resourceLocked", "200"]),
        ("F12", "open-in-office", {}, twice_created, ["409", "nameAlreadyExists", "200"]),
        ("F12", "changed", {}, twice_created, ["412", "preconditionFailed", "200"]),
        ("F13", "create", {}, twice_created, ["507", "quotaLimitReached", "507"]),
        ("F13", "final", {}, uploaded, ["202", "507", f"{UNIT_BYTES}-", False]),
        ("F13", "too-large", {}, twice_created, ["413", "requestEntityTooLarge", "413"]),
        ("F14", "answer", {}, twice_created, ["401", "InvalidAuthenticationToken", "200"]),
        ("F15", "answer", {}, twice_created, ["403", "accessDenied", "403"]),
        ("F16", "no-body", {}, lambda wire: range_answer(wire, 1).content, b""),
        ("F16", "no-ranges", {}, lambda wire: set(range_answer(wire).json()), {"expirationDateTime"}),
        ("F16", "empty-ranges", {}, lambda wire: range_answer(wire).json()["nextExpectedRanges"], []),
        ("F17", "missing-hash", {}, facts, [(11, False), (11, True), (11, True)]),
        ("F17", "wrong-hash", {}, facts, [(11, False)] * 3),
        ("F17", "wrong-size", {}, facts, [(10, True)] * 3),
        ("F18", "truncated", {"keep_bytes": 100}, truncated, (201, 100)),
        ("F20", "short-body", {}, reads, ["broken", "200"]),
        ("F20", "cut", {}, reads, ["broken", "200"]),
        ("F20", "expired", {}, reads, ["403", "200"]),
        ("F20", "changed", {}, conditional_reads, [412, 412]),
        ("F20", "retagged", {}, tags, False),
        ("F20", "ignores-range", {}, lambda wire: reads(wire, {"Range": "bytes=0-9"}), ["200", "206"]),
        ("F20", "busy", {}, reads, ["503", "200"]),
    ],
)  # fmt: skip
def test_a_fault_shows_and_goes_away(
    wire: Wire, fault: str, mode: str, parameters: dict[str, Any], observe: Observation, expected: Any
) -> None:
    rule = wire.emulator.faults.add(f"drive.{fault}", mode=mode, **parameters)
    assert observe(wire) == expected
    assert rule.fired >= 1
    wire.emulator.faults.clear()
    wire.emulator.clock.advance(901)
    assert uploaded(wire)[-1] is True
    assert reads(wire) == ["200", "200"]


def test_a_conflict_on_the_last_range_keeps_the_session_for_a_commit_elsewhere(wire: Wire) -> None:
    wire.emulator.faults.add("drive.F11")
    url = created(wire).json()["uploadUrl"]
    assert wire.put_range(url, b"abc", 0, 3).status_code == 409
    body = {"name": "b.zip", "@microsoft.graph.sourceUrl": url}
    assert wire.graph("PUT", f"{wire.drive}/root:/b.zip", json=body).json()["size"] == 3


def test_a_stale_session_goes_away_with_time(wire: Wire) -> None:
    wire.emulator.faults.add("drive.F10", seconds=900.0)
    assert created(wire).status_code == 409
    assert wire.open_session("a.zip.partial").status_code == 200
    wire.emulator.clock.advance(901)
    assert created(wire).status_code == 200


def test_partial_bytes_survive_a_reset_and_the_file_is_right(wire: Wire) -> None:
    wire.emulator.faults.add("drive.F5", mode="partial", after_bytes=12_345)
    data = UNIT + b"tail"
    url = created(wire).json()["uploadUrl"]
    with pytest.raises(requests.exceptions.ConnectionError):
        wire.put_range(url, data, 0, len(data))
    assert wire.session.get(url).json()["nextExpectedRanges"] == ["12345-"]
    assert wire.put_range(url, data[12_345:], 12_345, len(data)).status_code == 201
    assert (wire.emulator.data_dir / "drive" / "OneDrive" / "a.zip").read_bytes() == data


def test_a_broken_connection_keeps_nothing(wire: Wire) -> None:
    data = UNIT + b"tail"
    url = created(wire).json()["uploadUrl"]

    def half() -> Any:
        yield data[:1000]
        raise ZeroDivisionError

    headers = {"Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}", "Content-Length": str(len(data))}
    with pytest.raises(ZeroDivisionError):
        wire.session.put(url, data=half(), headers=headers)
    wire.session.close()
    assert wire.session.get(url).json()["nextExpectedRanges"] == ["0-"]
    assert wire.put_range(url, data, 0, len(data)).status_code == 201


@pytest.mark.parametrize("mode", ["stall", "latency"])
def test_a_slow_answer_outlasts_the_clients_patience(wire: Wire, mode: str) -> None:
    link = wire.package_url()
    parameters: dict[str, Any] = {"stall_seconds": 60.0} if mode == "stall" else {"latency_seconds": 60.0}
    wire.emulator.faults.add("drive.F19", mode=mode, match={"origin": "blob"}, **parameters)
    with pytest.raises(requests.exceptions.RequestException):
        wire.session.get(link, timeout=0.05)


def test_a_drip_delivers_everything(wire: Wire) -> None:
    link = wire.package_url()
    whole = wire.session.get(link).content
    wire.emulator.faults.add("drive.F19", mode="drip", match={"origin": "blob"}, bytes_per_second=1_000_000)
    assert wire.session.get(link).content == whole
