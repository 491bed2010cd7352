"""Resumable uploads."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import requests
from tests.emulator.wire import UNIT_BYTES, codes

from dmf_emulator import Settings
from dmf_emulator.state.quickxor import QuickXorHash

if TYPE_CHECKING:
    from tests.emulator.wire import Start, Wire

CONFLICT = "@microsoft.graph.conflictBehavior"


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def quick_xor_hash(data: bytes) -> str:
    digest = QuickXorHash()
    digest.update(data)
    return digest.base64()


def test_a_file_in_three_ranges(wire: Wire) -> None:
    data = content(2 * UNIT_BYTES + 1000)
    created = wire.open_session().json()
    assert created["nextExpectedRanges"] == ["0-"]
    url = created["uploadUrl"]
    assert url.startswith(wire.info["sharepoint_url"])
    target = wire.emulator.data_dir / "drive" / "OneDrive" / "Exports" / "workers.zip"
    for first in (0, UNIT_BYTES):
        answer = wire.put_range(url, data[first : first + UNIT_BYTES], first, len(data))
        assert (answer.status_code, answer.json()["nextExpectedRanges"]) == (202, [f"{first + UNIT_BYTES}-"])
        assert not target.exists()
    assert wire.session.get(url).json()["nextExpectedRanges"] == [f"{2 * UNIT_BYTES}-"]
    done = wire.put_range(url, data[2 * UNIT_BYTES :], 2 * UNIT_BYTES, len(data))
    assert done.status_code == 201
    assert done.json()["file"]["hashes"]["quickXorHash"] == quick_xor_hash(data)
    assert target.read_bytes() == data
    for method in ("GET", "PUT", "DELETE"):
        gone = wire.session.request(method, url)
        assert (gone.status_code, codes(gone)) == (404, ["itemNotFound", "uploadSessionNotFound"])
    assert [record.is_final for record in wire.records(action="uploadRange")] == [False, False, True, False]
    assert list((wire.emulator.data_dir / "uploads").iterdir()) == []


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"item": {CONFLICT: "replace"}}, 200, "ok"),
        ({"item": {CONFLICT: "replace", "name": "workers.zip"}}, 200, "ok"),
        ({"item": {CONFLICT: "replace", "fileSystemInfo": {}}}, 200, "ok"),
        ({"item": {"fileSystemInfo": {}, CONFLICT: "replace"}}, 400, "bad-property-order"),
        ({"item": {CONFLICT: "replace", "fileSize": 5}}, 400, "bad-property"),
        ({"item": {"@odata.type": "microsoft.graph.driveItemUploadableProperties"}}, 400, "bad-property"),
        ({"item": {CONFLICT: "replace", "name": "other.zip"}}, 400, "invalid-request"),
        ({"item": {CONFLICT: "merge"}}, 400, "invalid-request"),
        ({"item": []}, 400, "invalid-request"),
        ({CONFLICT: "fail"}, 200, "ok"),
    ],
)
def test_what_a_session_may_ask_for(wire: Wire, body: dict[str, Any], status: int, reason: str) -> None:
    assert wire.open_session(**body).status_code == status
    assert wire.records(action="createUploadSession")[0].reason == reason


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff"])
def test_a_session_body_that_is_no_object(wire: Wire, body: bytes) -> None:
    answer = wire.graph("POST", f"{wire.drive}/root:/a.zip:/createUploadSession", data=body)
    assert (answer.status_code, codes(answer)[0]) == (400, "invalidRequest")


@pytest.mark.parametrize(
    ("behavior", "status", "names"),
    [("replace", 200, ["a.zip"]), ("rename", 201, ["a 1.zip", "a.zip"]), (None, 200, ["a.zip"])],
)
def test_conflicts_end_as_asked(wire: Wire, behavior: str | None, status: int, names: list[str]) -> None:
    for _ in range(2):
        item = {} if behavior is None else {CONFLICT: behavior}
        url = wire.open_session("a.zip", item=item).json()["uploadUrl"]
        answer = wire.put_range(url, b"abc", 0, 3)
    assert answer.status_code == status
    assert [item["name"] for item in wire.graph("GET", f"{wire.drive}/root/children").json()["value"]] == names


def test_fail_is_refused_when_the_session_is_made(wire: Wire) -> None:
    wire.graph("PUT", f"{wire.drive}/root:/a.zip:/content", data=b"x")
    answer = wire.open_session("a.zip", item={CONFLICT: "fail"})
    assert (answer.status_code, codes(answer)[0]) == (409, "nameAlreadyExists")


def test_a_name_taken_meanwhile_can_be_committed_elsewhere(wire: Wire) -> None:
    url = wire.open_session("a.zip", item={CONFLICT: "fail"}).json()["uploadUrl"]
    wire.graph("PUT", f"{wire.drive}/root:/a.zip:/content", data=b"x")
    answer = wire.put_range(url, b"abc", 0, 3)
    assert (answer.status_code, codes(answer)[0]) == (409, "nameAlreadyExists")
    body = {"name": "b.zip", CONFLICT: "fail", "@microsoft.graph.sourceUrl": url}
    saved = wire.graph("PUT", f"{wire.drive}/root:/b.zip", json=body)
    assert (saved.status_code, saved.json()["size"]) == (201, 3)
    assert wire.session.get(url).status_code == 404


def test_one_session_per_file(wire: Wire) -> None:
    url = wire.open_session().json()["uploadUrl"]
    second = wire.open_session("exports/WORKERS.zip")
    assert (second.status_code, codes(second)[0]) == (409, "nameAlreadyExists")
    assert wire.open_session("Exports/other.zip").status_code == 200
    assert wire.session.delete(url).status_code == 204
    assert wire.open_session().status_code == 200
    wire.emulator.clock.advance(901)
    assert wire.open_session().status_code == 200


def test_the_expiry_slides_with_each_range(wire: Wire) -> None:
    data = content(3 * UNIT_BYTES)
    url = wire.open_session().json()["uploadUrl"]
    for first in (0, UNIT_BYTES):
        wire.emulator.clock.advance(800)
        assert wire.put_range(url, data[first : first + UNIT_BYTES], first, len(data)).status_code == 202
    wire.emulator.clock.advance(901)
    assert wire.put_range(url, data[2 * UNIT_BYTES :], 2 * UNIT_BYTES, len(data)).status_code == 404


def test_the_address_itself_lives_a_day(start: Start) -> None:
    wire = start(Settings(session_idle_seconds=10 * 86400))
    url = wire.open_session().json()["uploadUrl"]
    wire.emulator.clock.advance(86401)
    answer = wire.session.get(url)
    assert (answer.status_code, codes(answer)) == (401, ["unauthenticated", "expiredToken"])


@pytest.mark.parametrize(
    ("first", "size", "total", "headers", "status", "code"),
    [
        (0, UNIT_BYTES, 5 * UNIT_BYTES, {}, 202, ""),
        (0, UNIT_BYTES, 5 * UNIT_BYTES, {"Authorization": "Bearer x"}, 401, "unauthenticated"),
        (0, 10, 5 * UNIT_BYTES, {"Content-Range": ""}, 400, "invalidRequest"),
        (0, 10, 5 * UNIT_BYTES, {"Content-Range": "bytes 0-9/*"}, 400, "invalidRequest"),
        (0, 10, 5 * UNIT_BYTES, {"Content-Range": "bytes 9-0/20"}, 400, "invalidRequest"),
        (0, 10, 5 * UNIT_BYTES, {"Content-Range": "bytes 0-10/20"}, 400, "invalidRequest"),
        (0, 10, 5 * UNIT_BYTES, {"Content-Range": "bytes 0-9/5"}, 400, "invalidRequest"),
        (UNIT_BYTES, UNIT_BYTES, 5 * UNIT_BYTES, {}, 416, "fragmentOutOfOrder"),
        (0, 60 * 1024 * 1024, 100 * 1024 * 1024, {}, 413, "invalidRequest"),
    ],
)
def test_what_a_range_may_look_like(
    wire: Wire, first: int, size: int, total: int, headers: dict[str, str], status: int, code: str
) -> None:
    url = wire.open_session().json()["uploadUrl"]
    answer = wire.put_range(url, bytes(size), first, total, **headers)
    assert answer.status_code == status
    if code:
        assert code in codes(answer)


def test_ranges_must_follow_each_other_with_one_total(wire: Wire) -> None:
    url = wire.open_session().json()["uploadUrl"]
    total = 5 * UNIT_BYTES
    unit = bytes(UNIT_BYTES)
    assert wire.put_range(url, unit, 0, total).status_code == 202
    overlap = wire.put_range(url, unit, 0, total)
    assert (overlap.status_code, codes(overlap)) == (416, ["invalidRange", "fragmentOverlap"])
    other = wire.put_range(url, unit, UNIT_BYTES, total + 1)
    assert (other.status_code, codes(other)) == (400, ["invalidRequest", "fragmentLengthMismatch"])
    assert wire.session.get(url).json()["nextExpectedRanges"] == [f"{UNIT_BYTES}-"]


def test_chunked_coding_is_refused(wire: Wire) -> None:
    url = wire.open_session().json()["uploadUrl"]
    answer = wire.session.put(url, data=iter([b"abc"]), headers={"Content-Range": "bytes 0-2/3"})
    assert answer.status_code == 400
    assert "size of the provided stream is not known" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("strict", "statuses"), [(False, [202, 500]), (True, [400, 416])])
def test_a_wrong_multiple_fails_at_the_end_or_at_once(start: Start, strict: bool, statuses: list[int]) -> None:
    wire = start(Settings(strict_fragments=strict))
    url = wire.open_session().json()["uploadUrl"]
    answers = [wire.put_range(url, bytes(1000), first, 2000).status_code for first in (0, 1000)]
    assert answers == statuses


@pytest.mark.parametrize(("form", "expected"), [("open", ["5-"]), ("closed", ["5-9"])])
def test_both_forms_of_next_ranges(start: Start, form: str, expected: list[str]) -> None:
    wire = start(Settings(range_form=form))
    url = wire.open_session().json()["uploadUrl"]
    assert wire.put_range(url, b"12345", 0, 10).json()["nextExpectedRanges"] == expected


def test_a_deferred_commit_needs_an_empty_post(wire: Wire) -> None:
    url = wire.open_session("a.zip", item={CONFLICT: "replace"}, deferCommit=True).json()["uploadUrl"]
    assert wire.session.post(url).status_code == 400
    answer = wire.put_range(url, b"abc", 0, 3)
    assert (answer.status_code, answer.json()["nextExpectedRanges"]) == (202, [])
    assert wire.graph("GET", f"{wire.drive}/root:/a.zip").status_code == 404
    assert wire.session.post(url).status_code == 201
    assert wire.graph("GET", f"{wire.drive}/root:/a.zip").json()["size"] == 3


def test_folders_are_made_on_request_only(start: Start) -> None:
    wire = start(Settings(create_missing_folders=False))
    answer = wire.open_session("New/a.zip")
    assert (answer.status_code, codes(answer)[0]) == (404, "itemNotFound")
    wire.graph("POST", f"{wire.drive}/root/children", json={"name": "New", "folder": {}})
    assert wire.open_session("New/a.zip").status_code == 200


def test_a_full_drive_refuses_the_file(start: Start) -> None:
    wire = start(Settings(quota_bytes=10))
    url = wire.open_session().json()["uploadUrl"]
    answer = wire.put_range(url, bytes(11), 0, 11)
    assert (answer.status_code, codes(answer)[0]) == (507, "quotaLimitReached")


def test_a_session_on_an_item_makes_a_new_version(wire: Wire) -> None:
    item = wire.graph("PUT", f"{wire.drive}/root:/a.zip:/content", data=b"x").json()
    path = f"{wire.drive}/items/{item['id']}/createUploadSession"
    stale = wire.graph("POST", path, json={}, headers={"If-Match": '"{OTHER},1"'})
    assert stale.status_code == 412
    url = wire.graph("POST", path, json={}, headers={"If-Match": item["eTag"]}).json()["uploadUrl"]
    answer = wire.put_range(url, b"abc", 0, 3)
    assert (answer.status_code, answer.json()["id"]) == (200, item["id"])


def test_discarded_files_keep_size_and_hash(start: Start) -> None:
    wire = start(Settings(discard_uploads=True))
    data = content(UNIT_BYTES + 17)
    url = wire.open_session().json()["uploadUrl"]
    wire.put_range(url, data[:UNIT_BYTES], 0, len(data))
    body = wire.put_range(url, data[UNIT_BYTES:], UNIT_BYTES, len(data)).json()
    assert (body["size"], body["file"]["hashes"]["quickXorHash"]) == (len(data), quick_xor_hash(data))
    assert not any(path.is_file() for path in wire.emulator.data_dir.rglob("*") if path.name != "ca.pem")


def test_no_secret_is_recorded(wire: Wire) -> None:
    url = wire.open_session().json()["uploadUrl"]
    wire.put_range(url, b"abc", 0, 3)
    link = wire.package_url()
    wire.session.get(link)
    secrets = [url.partition("tempauth=")[2], link.partition("sig=")[2].partition("&")[0], wire.info["client_secret"]]
    recorded = "\n".join(str(record.as_json()) for record in wire.records())
    assert not [secret for secret in secrets if secret in recorded]


def half_sent(wire: Wire, url: str, meanwhile: Callable[[], object]) -> requests.Response:
    """Send the only range of ten bytes; between its halves something else happens."""

    def halves() -> Iterator[bytes]:
        yield b"01234"
        meanwhile()
        yield b"56789"

    headers = {"Content-Range": "bytes 0-9/10", "Content-Length": "10"}
    prepared = requests.Request("PUT", url, headers=headers).prepare()
    prepared.body = halves()
    with requests.Session() as session:
        session.trust_env = False
        return session.send(prepared, verify=str(wire.emulator.ca_file), timeout=30)


@pytest.mark.parametrize("end", ["cancelled", "expired"])
def test_a_session_that_ends_while_a_range_comes_saves_nothing(wire: Wire, end: str) -> None:
    url = wire.open_session("late.zip").json()["uploadUrl"]

    def meanwhile() -> None:
        if end == "cancelled":
            assert wire.session.delete(url).status_code == 204
        else:
            wire.emulator.clock.advance(901)

    answer = half_sent(wire, url, meanwhile)
    assert (answer.status_code, codes(answer)[0]) == (404, "itemNotFound")
    assert wire.graph("GET", f"{wire.drive}/root:/late.zip").status_code == 404
    assert not list((wire.emulator.data_dir / "uploads").iterdir())


@pytest.mark.parametrize("taken_by", ["nothing", "folder"])
def test_a_folder_deleted_or_made_meanwhile_takes_no_file(wire: Wire, taken_by: str) -> None:
    url = wire.open_session("Exports/late.zip").json()["uploadUrl"]
    if taken_by == "nothing":
        wire.graph("DELETE", f"{wire.drive}/root:/Exports")
    else:
        wire.graph("POST", f"{wire.drive}/root:/Exports:/children", json={"name": "late.zip", "folder": {}})
    answer = wire.put_range(url, b"x" * 10, 0, 10)
    expected = (404, "itemNotFound") if taken_by == "nothing" else (409, "nameAlreadyExists")
    assert (answer.status_code, codes(answer)[0]) == expected
    # The bytes are kept, to be committed elsewhere.
    elsewhere = wire.graph("PUT", f"{wire.drive}/root:/kept.zip", json={"@microsoft.graph.sourceUrl": url})
    assert (elsewhere.status_code, elsewhere.json()["size"]) == (201, 10)


@pytest.mark.parametrize("source", ["http://[", "", "https://x/?guid='no'", "\u0000"])
def test_a_source_address_that_is_none(wire: Wire, source: str) -> None:
    answer = wire.graph("PUT", f"{wire.drive}/root:/kept.zip", json={"@microsoft.graph.sourceUrl": source})
    assert (answer.status_code, codes(answer)[0]) == (404, "itemNotFound")


def test_two_clients_that_send_the_same_range(wire: Wire) -> None:
    url = wire.open_session("both.zip").json()["uploadUrl"]
    other: list[requests.Response] = []
    racing = threading.Thread(target=lambda: other.append(wire.put_range(url, b"x" * 10, 0, 10)))
    answer = half_sent(wire, url, racing.start)
    racing.join(timeout=30)
    assert sorted(each.status_code for each in (answer, *other)) == [201, 404]
    assert wire.graph("GET", f"{wire.drive}/root:/both.zip").json()["size"] == 10
