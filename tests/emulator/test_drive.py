"""Drives and items through Graph, and through SharePoint's own address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests
from tests.emulator.wire import codes

from dmf_emulator import Settings

if TYPE_CHECKING:
    from tests.emulator.wire import Start, Wire

# The first is in docs/wire/graph-onedrive.md#hashes.
HELLO_HASH = "aCgDG9jwBhDc4Q1yawMZAAAAAAA="


def put(wire: Wire, path: str, data: bytes = b"hello world", **parameters: str) -> requests.Response:
    headers = {"Content-Type": "application/octet-stream"}
    return wire.graph("PUT", f"{wire.drive}/root:/{path}:/content", data=data, params=parameters, headers=headers)


@pytest.mark.parametrize(
    ("path", "drive"),
    [
        ("/users/{user_principal_name}/drive", "user_drive_id"),
        ("/drives/{user_drive_id}", "user_drive_id"),
        ("/sites/{site_id}/drive", "site_drive_id"),
        ("/sites/emulator.sharepoint.example:/sites/Exports:/drive", "site_drive_id"),
        ("/groups/0bb1ec7a-0000-4000-8000-000000000003/drive", "site_drive_id"),
        ("/sites/{site_id}/drives/{site_drive_id}", "site_drive_id"),
    ],
)
def test_drives_are_found_by_their_owners(wire: Wire, path: str, drive: str) -> None:
    body = wire.graph("GET", path.format(**wire.info)).json()
    assert body["id"] == wire.info[drive]
    assert body["quota"]["remaining"] == body["quota"]["total"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/users/nobody@emulator.example/drive", 404, "ResourceNotFound"),
        ("/users/nobody@emulator.example", 404, "Request_ResourceNotFound"),
        ("/sites/none/drive", 404, "itemNotFound"),
        ("/sites/none", 404, "itemNotFound"),
        ("/drives/b!none", 404, "itemNotFound"),
        ("/drives/{user_drive_id}/items/01NONE", 404, "itemNotFound"),
        ("/drives/{user_drive_id}/root:/none/file.zip", 404, "itemNotFound"),
        ("/me/drive", 400, "BadRequest"),
        ("/me", 400, "BadRequest"),
        ("/nothing/here", 400, "invalidRequest"),
        ("/drives/{user_drive_id}/root/unknown", 400, "invalidRequest"),
        ("/drives/{user_drive_id}/root:/a:b:c", 400, "invalidRequest"),
    ],
)
def test_what_is_not_there(wire: Wire, path: str, status: int, code: str) -> None:
    answer = wire.graph("GET", path.format(**wire.info))
    assert (answer.status_code, codes(answer)[0]) == (status, code)
    assert answer.json()["error"]["innerError"]["request-id"] == answer.headers["request-id"]


def test_simple_upload_is_saved_and_hashed(wire: Wire) -> None:
    created = put(wire, "Exports/2026/hello.txt")
    body = created.json()
    assert created.status_code == 201
    assert (body["size"], body["file"]["hashes"]) == (11, {"quickXorHash": HELLO_HASH})
    assert body["parentReference"]["path"] == f"/drives/{wire.info['user_drive_id']}/root:/Exports/2026"
    on_disk = wire.emulator.data_dir / "drive" / "OneDrive" / "Exports" / "2026" / "hello.txt"
    assert on_disk.read_bytes() == b"hello world"
    replaced = put(wire, "exports/2026/HELLO.txt", b"")
    assert (replaced.status_code, replaced.json()["id"]) == (200, body["id"])
    assert replaced.json()["file"]["hashes"] == {}
    assert replaced.json()["eTag"] != body["eTag"]


@pytest.mark.parametrize("version", ["v1.0", "beta"])
@pytest.mark.parametrize("way", ["id", "path", "path-colon", "relative"])
def test_items_are_found_by_id_and_path(wire: Wire, version: str, way: str) -> None:
    body = put(wire, "A b/ä#1%.zip".replace("%", "%25").replace("#", "%23")).json()
    parent = body["parentReference"]["id"]
    path = {
        "id": f"/items/{body['id']}",
        "path": "/root:/A%20b/%C3%A4%231%25.zip",
        "path-colon": "/root:/a%20B/%C3%A4%231%25.zip:",
        "relative": f"/items/{parent}:/%C3%A4%231%25.zip:",
    }[way]
    headers = wire.bearer("https://graph.microsoft.com")
    answer = wire.session.get(f"{wire.info['graph_url']}/{version}{wire.drive}{path}", headers=headers)
    assert (answer.json()["id"], answer.json()["name"]) == (body["id"], "ä#1%.zip")


def test_content_is_read_through_the_download_address(wire: Wire) -> None:
    body = put(wire, "hello.txt").json()
    redirect = wire.graph("GET", f"{wire.drive}/items/{body['id']}/content", allow_redirects=False)
    assert redirect.status_code == 302
    assert redirect.headers["Location"].startswith(wire.info["sharepoint_url"])
    assert wire.session.get(redirect.headers["Location"]).content == b"hello world"
    url = body["@microsoft.graph.downloadUrl"]
    assert wire.session.get(url, headers={"Range": "bytes=6-"}).content == b"world"
    assert wire.session.get(url.replace("tempauth=v1", "tempauth=v1.x")).status_code == 401
    wire.emulator.clock.advance(3601)
    assert wire.session.get(url).status_code == 401


@pytest.mark.parametrize(
    ("behavior", "status", "names"),
    [
        ("replace", 200, ["a.txt"]),
        ("rename", 201, ["a 1.txt", "a.txt"]),
        ("fail", 409, ["a.txt"]),
        ("merge", 400, ["a.txt"]),
    ],
)
def test_conflicts_of_simple_upload(wire: Wire, behavior: str, status: int, names: list[str]) -> None:
    put(wire, "a.txt")
    answer = put(wire, "a.txt", b"new", **{"@microsoft.graph.conflictBehavior": behavior})
    assert answer.status_code == status
    listing = wire.graph("GET", f"{wire.drive}/root/children").json()["value"]
    assert [item["name"] for item in listing] == names


def test_simple_upload_has_a_limit(start: Start) -> None:
    wire = start(Settings(simple_upload_limit_bytes=1000))
    assert put(wire, "a.bin", b"x" * 1000).status_code == 201
    assert put(wire, "b.bin", b"x" * 1001).status_code == 413


@pytest.mark.parametrize(
    ("name", "inner"),
    [
        ("a%3Ab", "invalidPath"),
        ("a%7Cb", "invalidPath"),
        ("a%22b", "invalidPath"),
        ("%20a", "invalidPath"),
        ("a%20", "invalidPath"),
        ("~$a", "invalidPath"),
        ("CON", "invalidPath"),
        ("lpt3", "invalidPath"),
        ("desktop.ini", "invalidPath"),
        ("a_vti_b", "invalidPath"),
        ("..", "invalidPath"),
        ("x" * 256, "pathIsTooLong"),
        ("/".join(["x" * 100] * 5), "pathIsTooLong"),
        ("folder./a", "invalidPath"),
    ],
)
def test_forbidden_names(wire: Wire, name: str, inner: str) -> None:
    # `..` would be folded by the client if it were sent as such.
    answer = put(wire, name.replace("..", "%2E%2E"))
    assert answer.status_code == 400
    assert codes(answer) == ["invalidRequest", inner]
    assert list((wire.emulator.data_dir / "drive" / "OneDrive").iterdir()) == []


def test_folders_are_made_listed_renamed_moved_and_deleted(wire: Wire) -> None:
    children = f"{wire.drive}/root/children"
    made = wire.graph("POST", children, json={"name": "In", "folder": {}})
    assert made.status_code == 201
    again = wire.graph("POST", children, json={"name": "in", "folder": {}, "@microsoft.graph.conflictBehavior": "fail"})
    assert (again.status_code, codes(again)[0]) == (409, "nameAlreadyExists")
    put(wire, "In/a.txt")
    item = wire.graph("GET", f"{wire.drive}/root:/In/a.txt").json()
    patch = {"name": "b.txt", "parentReference": {"path": "/drive/root:"}}
    moved = wire.graph("PATCH", f"{wire.drive}/items/{item['id']}", json=patch)
    assert (moved.status_code, moved.json()["name"]) == (200, "b.txt")
    folder = wire.emulator.data_dir / "drive" / "OneDrive"
    assert (folder / "b.txt").read_bytes() == b"hello world"
    assert not (folder / "In" / "a.txt").exists()
    assert wire.graph("DELETE", f"{wire.drive}/items/{made.json()['id']}").status_code == 204
    assert not (folder / "In").exists()
    assert wire.graph("DELETE", f"{wire.drive}/root").status_code == 403


def test_renaming_onto_a_taken_name_is_a_conflict(wire: Wire) -> None:
    put(wire, "a.txt")
    other = put(wire, "b.txt").json()
    answer = wire.graph("PATCH", f"{wire.drive}/items/{other['id']}", json={"name": "A.TXT"})
    assert (answer.status_code, codes(answer)[0]) == (409, "nameAlreadyExists")


@pytest.mark.parametrize(("method", "status"), [("DELETE", 412), ("PATCH", 412), ("PUT", 412)])
def test_a_stale_etag_fails(wire: Wire, method: str, status: int) -> None:
    put(wire, "a.txt")
    headers = {"If-Match": '"{OTHER},1"'}
    path = f"{wire.drive}/root:/a.txt" + (":/content" if method == "PUT" else "")
    body: dict[str, Any] = {"data": b"x"} if method == "PUT" else {"json": {"name": "c.txt"}}
    assert wire.graph(method, path, headers=headers, **body).status_code == status


def test_listings_have_pages(wire: Wire) -> None:
    for number in range(5):
        put(wire, f"{number}.txt")
    names, page = [], wire.graph("GET", f"{wire.drive}/root/children?$top=2&$select=name").json()
    while True:
        names += [item["name"] for item in page["value"]]
        assert all(set(item) == {"name"} for item in page["value"]) or len(names) > 2
        if "@odata.nextLink" not in page:
            break
        page = wire.session.get(page["@odata.nextLink"], headers=wire.bearer("https://graph.microsoft.com")).json()
    assert names == [f"{number}.txt" for number in range(5)]


def test_sharepoint_serves_the_same_drive(wire: Wire) -> None:
    put(wire, "a.txt")
    base = f"{wire.info['sharepoint_url']}/_api/v2.0/drives/{wire.info['user_drive_id']}"
    answer = wire.session.get(f"{base}/root:/a.txt:", headers=wire.bearer(wire.info["sharepoint_url"]))
    assert answer.json()["file"]["hashes"] == {"quickXorHash": HELLO_HASH}
    assert "@content.downloadUrl" in answer.json()
    missing = wire.session.get(f"{base}/root:/b.txt:", headers=wire.bearer(wire.info["sharepoint_url"]))
    assert "innererror" in missing.json()["error"]
    assert missing.headers["SPRequestGuid"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "Access token is empty."),
        ("Bearer x.y.z", "Access token validation failure. Invalid signature."),
        ("dmf", "Access token validation failure. Invalid audience."),
    ],
)
def test_graph_says_what_is_wrong_with_a_token(wire: Wire, header: str, message: str) -> None:
    headers = wire.bearer(wire.info["dmf_resource"]) if header == "dmf" else {"Authorization": header}
    answer = wire.session.get(f"{wire.info['graph_url']}/v1.0{wire.drive}", headers=headers)
    assert (answer.status_code, codes(answer)[0]) == (401, "InvalidAuthenticationToken")
    assert answer.json()["error"]["message"] == message


def test_an_app_without_permission_is_denied(start: Start) -> None:
    wire = start(Settings(application_roles=("User.Read.All",)))
    answer = wire.graph("GET", wire.drive)
    assert (answer.status_code, codes(answer)[0]) == (403, "accessDenied")


def test_files_of_an_earlier_run_are_there_again(start: Start, tmp_path: Any) -> None:
    first = start(Settings(data_dir=tmp_path))
    put(first, "Exports/a.txt")
    first.emulator.stop()
    second = start(Settings(data_dir=tmp_path))
    body = second.graph("GET", f"{second.drive}/root:/Exports/a.txt").json()
    assert body["file"]["hashes"] == {"quickXorHash": HELLO_HASH}


def test_a_name_of_many_bytes_is_saved(wire: Wire) -> None:
    name = "\u8f93" * 250 + ".zip"
    body = put(wire, name).json()
    assert (body["name"], body["size"]) == (name, 11)
    assert wire.graph("GET", f"{wire.drive}/items/{body['id']}/content").content == b"hello world"
    assert wire.graph("PATCH", f"{wire.drive}/items/{body['id']}", json={"name": "short.zip"}).status_code == 200
    assert (wire.emulator.data_dir / "drive" / "OneDrive" / "short.zip").read_bytes() == b"hello world"
