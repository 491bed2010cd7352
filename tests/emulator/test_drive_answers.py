"""What the drive API answers besides the plain case: tags, options of lists, addresses, batches, quotas, downloads."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import requests
from tests.emulator.wire import UNIT_BYTES, codes

from dmf_emulator import Settings

if TYPE_CHECKING:
    from tests.emulator.wire import Start, Wire


def put(wire: Wire, path: str, data: bytes | Iterator[bytes] = b"content", drive: str | None = None) -> Any:
    return wire.graph("PUT", f"{drive or wire.drive}/root:/{path}:/content", data=data)


def item(wire: Wire, path: str, **parameters: str) -> Any:
    return wire.graph("GET", f"{wire.drive}/root:/{path}", params=parameters).json()


def children(wire: Wire, **parameters: str) -> Any:
    return wire.graph("GET", f"{wire.drive}/root/children", params=parameters)


@pytest.mark.parametrize(
    ("change", "etag_changes", "ctag_changes"),
    [
        (lambda wire: {"name": "b.zip"}, True, False),
        (lambda wire: {"parentReference": {"id": item(wire, "Folder")["id"]}}, True, False),
        (lambda wire: {"fileSystemInfo": {"lastModifiedDateTime": "2020-01-01T00:00:00Z"}}, True, False),
        (lambda wire: {}, False, False),
        (None, True, True),
    ],
)
def test_tags_follow_what_has_changed(wire: Wire, change: Any, etag_changes: bool, ctag_changes: bool) -> None:
    wire.graph("POST", f"{wire.drive}/root/children", json={"name": "Folder", "folder": {}})
    before = put(wire, "a.zip").json()
    address = f"{wire.drive}/items/{before['id']}"
    if change is None:
        wire.graph("PUT", f"{address}/content", data=b"other")
    else:
        assert wire.graph("PATCH", address, json=change(wire)).status_code == 200
    after = wire.graph("GET", address).json()
    assert (before["eTag"] != after["eTag"], before["cTag"] != after["cTag"]) == (etag_changes, ctag_changes)
    assert "cTag" not in item(wire, "Folder")


def test_a_folder_cannot_be_moved_into_itself(wire: Wire) -> None:
    put(wire, "A/B/C/a.zip")
    outer, inner = item(wire, "A"), item(wire, "A/B/C")
    for target in (outer, inner):
        moved = wire.graph("PATCH", f"{wire.drive}/items/{outer['id']}", json={"parentReference": {"id": target["id"]}})
        assert (moved.status_code, codes(moved)) == (400, ["invalidRequest"])
    assert item(wire, "A/B/C/a.zip")["size"] == 7


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"$filter": "name eq 'b.zip'"}, ["b.zip"]),
        ({"$filter": "name eq 'b.zip' or name eq 'c.zip' and name eq 'x'"}, ["b.zip"]),
        ({"$filter": "(name eq 'b.zip' or name eq 'c.zip') and name ne 'b.zip'"}, ["c.zip"]),
        ({"$filter": "name eq '*.zip'"}, []),
        ({"$filter": "folder ne null"}, []),
        ({"$filter": "file ne null and name ne 'a.zip'"}, ["b.zip", "c.zip"]),
        ({"$orderby": "name desc"}, ["c.zip", "b.zip", "a.zip"]),
        ({"$orderby": "name", "$top": "2"}, ["a.zip", "b.zip"]),
    ],
)
def test_lists_are_filtered_and_ordered_by_name(wire: Wire, parameters: dict[str, str], names: list[str]) -> None:
    for name in ("b.zip", "a.zip", "c.zip"):
        put(wire, name)
    assert [each["name"] for each in children(wire, **parameters).json()["value"]] == names


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"$skip": "1"}, "notSupported"),
        ({"$count": "true"}, "notSupported"),
        ({"$search": "x"}, "notSupported"),
        ({"$filter": "size gt 5"}, "notSupported"),
        ({"$filter": "startswith(name,'a')"}, "notSupported"),
        ({"$filter": "name eq"}, "notSupported"),
        ({"$filter": "name eq a.zip"}, "notSupported"),
        ({"$filter": "folder eq '{}'"}, "notSupported"),
        ({"$filter": "folder gt null"}, "notSupported"),
        ({"$filter": "not name eq 'a.zip'"}, "notSupported"),
        ({"$orderby": "size"}, "invalidRequest"),
        ({"$orderby": "name sideways"}, "invalidRequest"),
    ],
)
def test_options_that_business_does_not_know_are_refused(wire: Wire, parameters: dict[str, str], code: str) -> None:
    put(wire, "a.zip")
    answer = children(wire, **parameters)
    assert (answer.status_code, codes(answer)) == (400, [code])


def test_pages_backwards_are_complete(start: Start) -> None:
    wire = start(Settings(graph_page_items=2).with_export_seconds(0))
    for name in ("a.zip", "b.zip", "c.zip"):
        put(wire, name)
    first = children(wire, **{"$orderby": "name desc", "$select": "name"}).json()
    second = wire.graph("GET", first["@odata.nextLink"].partition("/v1.0")[2]).json()
    assert [each["name"] for each in first["value"] + second["value"]] == ["c.zip", "b.zip", "a.zip"]
    assert all(set(each) == {"name"} for each in second["value"])


@pytest.mark.parametrize(
    "path",
    [
        "/root%3A%2FA%2Fa%20b.zip",
        "/root%3A%2FA%2Fa%20b.zip%3A",
        "/root%3a/A/a%20b.zip%3a/children",
        "/root:/A%2Fa%20b.zip:/",
        "/items/{root}%3A%2FA%2Fa%20b.zip%3A",
    ],
)
def test_encoded_colons_mean_the_same(wire: Wire, path: str) -> None:
    put(wire, "A/a b.zip")
    root = wire.graph("GET", f"{wire.drive}/root").json()["id"]
    answer = wire.graph("GET", wire.drive + path.replace("{root}", root))
    assert answer.status_code == 200
    assert answer.json().get("name", "a b.zip") == "a b.zip"


def test_a_chunked_body_is_measured_as_it_comes(start: Start) -> None:
    wire = start(Settings(simple_upload_limit_bytes=1000, quota_bytes=1500).with_export_seconds(0))
    refused = put(wire, "a.zip", iter([b"x" * 600, b"x" * 600]))
    assert (refused.status_code, codes(refused)) == (413, ["requestEntityTooLarge"])
    assert put(wire, "b.zip", iter([b"x" * 900])).status_code == 201
    full = put(wire, "c.zip", iter([b"x" * 900]))
    assert (full.status_code, codes(full)) == (507, ["quotaLimitReached"])
    # What is replaced makes room for what replaces it.
    assert put(wire, "b.zip", iter([b"y" * 1000])).status_code == 200
    assert [each["name"] for each in children(wire).json()["value"]] == ["b.zip"]
    assert list((wire.emulator.data_dir / "uploads").iterdir()) == []


def test_a_session_replaces_within_the_quota(start: Start) -> None:
    wire = start(Settings(quota_bytes=UNIT_BYTES + 10).with_export_seconds(0))
    for expected in (201, 200):
        url = wire.open_session("a.zip").json()["uploadUrl"]
        assert wire.put_range(url, bytes(UNIT_BYTES), 0, UNIT_BYTES).status_code == expected
    url = wire.open_session("b.zip").json()["uploadUrl"]
    assert wire.put_range(url, bytes(UNIT_BYTES), 0, UNIT_BYTES).status_code == 507


def test_users_groups_and_sites_are_told_apart(wire: Wire) -> None:
    group, user = "0bb1ec7a-0000-4000-8000-000000000003", "0bb1ec7a-0000-4000-8000-000000000002"
    found = wire.graph("GET", f"/groups/{group}").json()
    assert (found["id"], found["groupTypes"], "userPrincipalName" in found) == (group, ["Unified"], False)
    assert wire.graph("GET", f"/users/{user}").json()["id"] == user
    for path in (f"/users/{group}", f"/groups/{user}", "/groups/none"):
        refused = wire.graph("GET", path)
        assert (refused.status_code, codes(refused)) == (404, ["Request_ResourceNotFound"])
    searched = [len(wire.graph("GET", f"/sites?search={word}").json()["value"]) for word in ("exp", "*", "none")]
    assert searched == [1, 1, 0]


@pytest.mark.parametrize("times", [{"createdDateTime": "yesterday"}, {"lastModifiedDateTime": 12}, "now", {"x": "1"}])
def test_times_are_checked(wire: Wire, times: Any) -> None:
    created = put(wire, "a.zip").json()
    refused = [
        wire.graph("PATCH", f"{wire.drive}/items/{created['id']}", json={"fileSystemInfo": times}),
        wire.open_session("b.zip", item={"fileSystemInfo": times}),
    ]
    assert [(answer.status_code, codes(answer)) for answer in refused] == [(400, ["invalidRequest"])] * 2
    assert item(wire, "a.zip")["eTag"] == created["eTag"]


def test_an_unchanged_item_need_not_be_sent_again(wire: Wire) -> None:
    created = put(wire, "a.zip").json()
    address = f"{wire.drive}/items/{created['id']}"
    for path in ("", "/content"):
        for tag in (created["eTag"], created["cTag"]):
            headers = {"If-None-Match": tag}
            assert wire.graph("GET", address + path, headers=headers, allow_redirects=False).status_code == 304
    assert wire.graph("GET", address, headers={"If-None-Match": '"x"'}).status_code == 200


def test_answers_name_their_context_and_the_clients_own_id(wire: Wire) -> None:
    created = put(wire, "a.zip").json()
    for path in (
        wire.drive,
        f"{wire.drive}/items/{created['id']}",
        f"{wire.drive}/root/children",
        "/sites/root/drives",
    ):
        body = wire.graph("GET", path).json()
        assert next(iter(body)) == "@odata.context"
        assert body["@odata.context"].startswith(f"{wire.info['graph_url']}/v1.0/$metadata#")
    listed = children(wire).json()["value"]
    assert not any("@odata.context" in each for each in listed)
    headers = {"client-request-id": "mine"}
    assert wire.graph("GET", wire.drive, headers=headers).headers["client-request-id"] == "mine"
    missing = wire.graph("GET", f"{wire.drive}/root:/none", headers=headers)
    inner = missing.json()["error"]["innerError"]
    assert (inner["client-request-id"], missing.headers["client-request-id"]) == ("mine", "mine")
    assert inner["request-id"] == missing.headers["request-id"] != "mine"


def test_answers_of_a_session_carry_request_ids_and_a_date(wire: Wire) -> None:
    url = wire.open_session("a.zip").json()["uploadUrl"]
    answers = [
        wire.session.get(url),
        wire.put_range(url, bytes(UNIT_BYTES), 0, 2 * UNIT_BYTES),
        wire.put_range(url, bytes(UNIT_BYTES), 0, 2 * UNIT_BYTES),
        wire.session.delete(url),
        wire.session.get(url),
    ]
    assert [answer.status_code for answer in answers] == [200, 202, 416, 204, 404]
    assert all({"SPRequestGuid", "request-id", "Date"} <= set(answer.headers) for answer in answers)


def test_a_download_says_what_it_is(wire: Wire) -> None:
    data = bytes(range(256))
    created = put(wire, "Übung 1.zip", data).json()
    url = created["@microsoft.graph.downloadUrl"]
    whole = wire.session.get(url)
    assert whole.headers["Content-Disposition"].endswith("filename*=UTF-8''%C3%9Cbung%201.zip")
    assert whole.headers["Last-Modified"].endswith("GMT")
    for sent, status, content in (
        ({"Range": "bytes=-5"}, 206, data[-5:]),
        ({"Range": "bytes=-999"}, 206, data),
        ({"Range": "bytes=250-"}, 206, data[250:]),
        ({"Range": "bytes=0-0", "If-Range": whole.headers["ETag"]}, 206, data[:1]),
        ({"Range": "bytes=0-0", "If-Range": whole.headers["Last-Modified"]}, 206, data[:1]),
        ({"Range": "bytes=0-0", "If-Range": '"other"'}, 200, data),
        ({"Range": "bytes=-"}, 200, data),
        ({"Range": "bytes=256-"}, 416, b""),
        ({"Range": "bytes=-0"}, 416, b""),
        ({"Range": "bytes=5-2"}, 200, data),
        ({"Range": "bytes=0-1,4-5"}, 200, data),
        ({"Range": "items=0-1"}, 200, data),
        ({"If-None-Match": f'"other", {whole.headers["ETag"]}'}, 304, b""),
        ({"If-None-Match": "*"}, 304, b""),
        ({"If-None-Match": whole.headers["ETag"]}, 304, b""),
    ):
        answer = wire.session.get(url, headers=sent)
        assert (answer.status_code, answer.content) == (status, content)


def test_a_batch_answers_each_of_its_requests(wire: Wire) -> None:
    put(wire, "a.zip")
    folder = {"name": "New", "folder": {}}
    parts: list[dict[str, Any]] = [
        {"id": "1", "method": "GET", "url": f"{wire.drive}/root:/a.zip?$select=name"},
        {"id": "2", "method": "GET", "url": f"{wire.drive}/root:/none"},
        {"id": "3", "method": "GET", "url": wire.drive, "dependsOn": ["2"]},
        {"id": "4", "method": "POST", "url": f"{wire.drive}/root/children", "body": folder, "headers": {"x": "y"}},
        {
            "id": "5",
            "method": "PUT",
            "url": f"{wire.drive}/root:/b.txt:/content",
            "body": "aGVsbG8=",
            "dependsOn": ["4"],
        },
    ]
    answer = wire.graph("POST", "/$batch", json={"requests": parts})
    answers = {each["id"]: each for each in answer.json()["responses"]}
    assert {each: answers[each]["status"] for each in answers} == {"1": 200, "2": 404, "3": 424, "4": 201, "5": 201}
    assert answers["1"]["body"]["name"] == "a.zip"
    assert item(wire, "b.txt")["size"] == 5


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"requests": []},
        {"requests": [{"id": "1"}]},
        {"requests": [{"id": "1", "method": "GET", "url": "/me"}] * 2},
        {"requests": [{"id": str(number), "method": "GET", "url": "/me"} for number in range(21)]},
        {"requests": [{"id": "1", "method": "PUT", "url": "/me", "body": "no base64!"}]},
        {"requests": [{"id": "1", "method": "GET", "url": "/me", "dependsOn": 3}]},
        {"requests": [{"id": "1", "method": "GET", "url": "/me", "dependsOn": [{}]}]},
        {"requests": [{"id": "1", "method": "GET", "url": "/me", "dependsOn": ["1"]}]},
        {"requests": [{"id": "1", "method": "GET", "url": "/me", "dependsOn": ["2"]}]},
    ],
)
def test_a_batch_that_is_none_is_refused(wire: Wire, body: Any) -> None:
    assert wire.graph("POST", "/$batch", json=body).status_code == 400


def test_a_batch_holds_no_batch(wire: Wire) -> None:
    inner = {"requests": [{"id": "1", "method": "GET", "url": wire.drive}]}
    parts = [{"id": "1", "method": "POST", "url": "/$batch", "body": inner}]
    (answer,) = wire.graph("POST", "/$batch", json={"requests": parts}).json()["responses"]
    assert answer["status"] == 400


@pytest.mark.parametrize(
    "path",
    [
        "/users/{user_principal_name}/drives?$filter=name eq 'x'",
        "/users/{user_principal_name}/drives?$skip=1",
        "/sites/root/drives?$orderby=name",
        "/sites?search=*&$filter=name eq 'x'",
        "/sites/root?$top=1",
        "/users/{user_principal_name}?$filter=id eq 'x'",
        "/drives/{user_drive_id}?$top=1",
        "/drives/{user_drive_id}/root?$top=1",
        "/drives/{user_drive_id}/root/children?$top=1&$top=2",
        "/drives/{user_drive_id}?$select=id&$select=name",
    ],
)
def test_no_option_is_silently_ignored(wire: Wire, path: str) -> None:
    assert wire.graph("GET", path.format(**wire.info)).status_code == 400


def test_select_holds_for_all_resources(wire: Wire) -> None:
    for path, name in (
        (wire.drive, "quota"),
        ("/sites/root", "webUrl"),
        (f"/users/{wire.info['user_principal_name']}", "mail"),
    ):
        assert set(wire.graph("GET", f"{path}?$select={name}").json()) == {"@odata.context", name}
        assert set(wire.graph("GET", f"{path}?$select=*").json()) == set(wire.graph("GET", path).json())
    (drive,) = wire.graph("GET", "/sites/root/drives?$select=name").json()["value"]
    assert drive == {"name": "Documents"}


def test_sites_come_in_pages(start: Start) -> None:
    wire = start(Settings(sites=("Archive", "Backup")))
    first = wire.graph("GET", "/sites?search=*&$top=2&$select=name").json()
    assert first["value"] == [{"name": "Archive"}, {"name": "Backup"}]
    second = wire.session.get(first["@odata.nextLink"], headers=wire.bearer("https://graph.microsoft.com")).json()
    assert second["value"] == [{"name": "Exports"}]
    assert "@odata.nextLink" not in second


def test_an_item_is_moved_by_the_path_that_the_service_writes(wire: Wire) -> None:
    put(wire, "A b/x.txt")
    put(wire, "m.txt")
    reference = item(wire, "A b/x.txt")["parentReference"]
    moved = wire.graph("PATCH", f"{wire.drive}/root:/m.txt", json={"parentReference": {"path": reference["path"]}})
    assert (moved.status_code, item(wire, "A b/m.txt")["size"]) == (200, 7)
    root = {"parentReference": {"path": f"/drives/{wire.info['user_drive_id']}/root"}}
    assert wire.graph("PATCH", f"{wire.drive}/root:/A b/x.txt", json=root).json()["name"] == "x.txt"
    assert item(wire, "x.txt")["size"] == 7
    for none, status in (({"path": "/somewhere"}, 400), ({"driveId": "x", "id": "y"}, 501), ("text", 400), ([1], 400)):
        refused = wire.graph("PATCH", f"{wire.drive}/root:/x.txt", json={"parentReference": none})
        assert refused.status_code == status


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_nothing_replaces_a_folder(wire: Wire, kind: str) -> None:
    put(wire, "F/keep.txt")
    put(wire, "G/x.txt" if kind == "folder" else "G")
    body = {"name": "F", "@microsoft.graph.conflictBehavior": "replace"}
    refused = wire.graph("PATCH", f"{wire.drive}/root:/G", json=body)
    assert (refused.status_code, codes(refused)) == (409, ["nameAlreadyExists"])
    assert item(wire, "F/keep.txt")["size"] == 7


@pytest.mark.parametrize("call", ["content", "createUploadSession"])
def test_a_file_has_nothing_below_it(wire: Wire, call: str) -> None:
    file = put(wire, "a.zip").json()
    method, sent = ("PUT", {"data": b"x"}) if call == "content" else ("POST", {"json": {}})
    refused = wire.graph(method, f"{wire.drive}/items/{file['id']}:/below.zip:/{call}", **sent)
    assert (refused.status_code, codes(refused)) == (400, ["invalidRequest", "invalidPath"])


class SlowBody:
    """A body whose second half waits until something else has happened.

    :param meanwhile: what happens when the first half is on its way.
    """

    def __init__(self, meanwhile: Any) -> None:
        self._meanwhile = meanwhile

    def __iter__(self) -> Iterator[bytes]:
        # More than fits between the two: when it has been sent, the emulator has begun to read it.
        yield bytes(16 * 1024 * 1024)
        self._meanwhile()
        yield b"second"


def test_what_happens_while_a_body_comes_is_seen(wire: Wire) -> None:
    behavior = "@microsoft.graph.conflictBehavior"
    address = f"{wire.drive}/root:/late.txt:/content"

    def late(change: Any, **query: str) -> requests.Response:
        return requests.put(
            f"{wire.info['graph_url']}/v1.0{address}", data=iter(SlowBody(change)), params=query,
            headers=wire.bearer("https://graph.microsoft.com"), verify=str(wire.emulator.ca_file), timeout=30,
        )  # fmt: skip

    refused = late(lambda: put(wire, "late.txt", b"other"), **{behavior: "fail"})
    assert (refused.status_code, codes(refused)) == (409, ["nameAlreadyExists"])
    assert item(wire, "late.txt")["size"] == 5
    renamed = late(lambda: put(wire, "late 1.txt", b"other"), **{behavior: "rename"})
    assert (renamed.status_code, renamed.json()["name"]) == (201, "late 2.txt")
    wire.graph("DELETE", f"{wire.drive}/root:/late.txt")
    folder = late(lambda: wire.graph("POST", f"{wire.drive}/root/children", json={"name": "late.txt", "folder": {}}))
    assert folder.status_code == 409
    address = f"{wire.drive}/root:/Gone/late.txt:/content"
    gone = late(lambda: wire.graph("DELETE", f"{wire.drive}/root:/Gone"))
    assert (gone.status_code, codes(gone)) == (404, ["itemNotFound"])
    assert not list((wire.emulator.data_dir / "uploads").iterdir())


def test_a_file_can_be_deleted_for_good(wire: Wire) -> None:
    created = put(wire, "a.zip").json()
    assert wire.graph("POST", f"{wire.drive}/items/{created['id']}/permanentDelete").status_code == 204
    assert wire.graph("GET", f"{wire.drive}/items/{created['id']}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/items/{item}/versions",
        "/items/{item}/permissions",
        "/items/{item}/thumbnails",
        "/root/delta",
        "/root/search(q='x')",
        "/search(q='x')",
        "/items",
        "/recent",
        "/special/documents",
        "/root/children/$count",
        "/root/children/a.zip",
        "/root/children?$expand=thumbnails",
        "/root?$expand=thumbnails",
        "?$expand=root",
        "/items/{item}/content?format=pdf",
    ],
)
def test_what_is_not_imitated_says_so(wire: Wire, path: str) -> None:
    created = put(wire, "a.zip").json()
    answer = wire.graph("GET", wire.drive + path.replace("{item}", created["id"]))
    assert (answer.status_code, codes(answer)) == (501, ["notSupported"])
    for elsewhere in (
        "/teams",
        "/users",
        "/groups",
        "/drives",
        "/me/messages",
        "/users/x/messages",
        "/sites/root/lists",
    ):
        assert wire.graph("GET", elsewhere).status_code == 501


def test_a_library_may_require_check_out(start: Start) -> None:
    wire = start(Settings(library_requires_check_out=True).with_export_seconds(0))
    library = f"/drives/{wire.info['site_drive_id']}"

    def state() -> Any:
        return wire.graph("GET", f"{library}/root:/a.zip?$select=publication").json()["publication"]

    created = put(wire, "a.zip", drive=library).json()
    assert "publication" not in created
    assert state() == {"level": "checkout", "versionId": "0.1"}
    address = f"{library}/items/{created['id']}"
    assert wire.graph("POST", f"{address}/checkin", json={"comment": "seen"}).status_code == 204
    assert state() == {"level": "published", "versionId": "1.0"}
    assert wire.graph("POST", f"{address}/checkout").status_code == 204
    assert state()["level"] == "checkout"
    own = put(wire, "a.zip").json()
    refused = wire.graph("POST", f"{wire.drive}/items/{own['id']}/checkout")
    assert (refused.status_code, codes(refused)) == (400, ["notSupported"])
    assert "publication" not in item(wire, "a.zip", **{"$select": "publication,name"})


@pytest.mark.parametrize(("gzipped", "chunked"), [(True, False), (False, True), (True, True)])
def test_answers_may_be_coded(start: Start, gzipped: bool, chunked: bool) -> None:
    wire = start(Settings(compress_answers=gzipped, chunked_answers=chunked).with_export_seconds(0))
    created = put(wire, "a.zip", b"a" * 1000).json()
    answer = requests.get(
        f"{wire.info['graph_url']}/v1.0{wire.drive}/items/{created['id']}",
        headers={**wire.bearer("https://graph.microsoft.com"), "Accept-Encoding": "gzip"},
        verify=str(wire.emulator.ca_file),
        stream=True,
        timeout=5,
    )
    raw = b"".join(answer.raw.stream(decode_content=False))
    assert (answer.headers.get("Content-Encoding") == "gzip") is gzipped
    assert (answer.headers.get("Transfer-Encoding") == "chunked") is chunked
    assert b'"a.zip"' in (gzip.decompress(raw) if gzipped else raw)
    assert wire.entities("DataManagementDefinitionGroups").json()["value"]
    refused = wire.graph("GET", wire.drive, headers={"Accept-Encoding": "identity, gzip;q=0"})
    assert "Content-Encoding" not in refused.headers
    assert wire.session.get(wire.package_url()).content.startswith(b"PK")


@pytest.mark.parametrize("names", ["addresses", "localhost"])
def test_each_origin_may_have_a_host_name_of_its_own(start: Start, names: str) -> None:
    emulator = start(Settings(host_names=names)).emulator
    hosts = {origin: url.split("//")[1].split(":")[0] for origin, url in emulator.state.urls.items()}
    assert len(set(hosts.values())) == len(hosts)
    if names == "addresses":
        answer = requests.get(f"{emulator.graph_url}/v1.0/me", verify=str(emulator.ca_file), timeout=5)
        assert answer.status_code == 401
    else:
        assert hosts["graph"] == "graph.localhost"
