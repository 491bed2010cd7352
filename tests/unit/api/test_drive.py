"""Graph's drive calls: what is asked, and what the answers mean."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.scripted import answer, play

from talent_dmf.api.errors import (
    AuthenticationError,
    ConfigurationError,
    DestinationBusyError,
    DestinationError,
    NameConflictError,
    PermissionDeniedError,
    ProtocolError,
    RequestRefusedError,
    TransferMismatchError,
)
from talent_dmf.api.graph import drive
from talent_dmf.api.graph.drive import DriveTarget
from talent_dmf.api.graph.models import UploadTarget
from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.steps import Response

RAW_DRIVE = {"id": "b!1", "name": "OneDrive", "webUrl": "https://x/", "quota": {"remaining": 5}}
RAW_ITEM = {
    "id": "I1",
    "name": "a.zip",
    "size": 3,
    "webUrl": "https://x/a.zip",
    "eTag": '"1"',
    "file": {"hashes": {"quickXorHash": "AAA="}},
}


def graph_refusal(status: int, *codes: str, spelling: str = "innerError") -> Response:
    error: dict[str, Any] = {}
    for code in reversed(codes):
        error = {"code": code, "message": f"about {code}", **({spelling: error} if error else {})}
    return answer(status, json={"error": error}, request_id="R-1")


@pytest.mark.parametrize(
    ("target", "urls"),
    [
        (DriveTarget(drive_id="b!1"), ["/drives/b!1"]),
        (DriveTarget(user="a.b@c.example"), ["/users/a.b@c.example/drive"]),
        (DriveTarget(user="mailto:a.b@c.example"), ["/users/a.b@c.example/drive"]),
        (DriveTarget(user="B, A <a.b@c.example>"), ["/users/a.b@c.example/drive"]),
        (DriveTarget(user="<a.b@c.example>"), ["/users/a.b@c.example/drive"]),
        (DriveTarget(user="g_x#EXT#@c.example"), ["/users/g_x%23EXT%23@c.example/drive"]),
        (DriveTarget(group="g-1"), ["/groups/g-1/drive"]),
        (DriveTarget(site="h.example,1,2"), ["/sites/h.example,1,2/drive"]),
        (DriveTarget(site="h.example:/sites/HR & Pay"), ["/sites/h.example:/sites/HR%20%26%20Pay", "/sites/S/drive"]),
        (DriveTarget(site="h.example"), ["/sites/h.example", "/sites/S/drive"]),
    ],
)
def test_resolves_a_target(target: DriveTarget, urls: list[str]) -> None:
    answers = [answer(json={"id": "S"})] * (len(urls) - 1) + [answer(json=RAW_DRIVE)]
    played = play(drive.resolve_drive(target), answers)
    assert [request.url for request in played.requests] == urls
    assert played.result is not None
    assert (played.result.id, played.result.name, played.result.remaining_bytes) == ("b!1", "OneDrive", 5)


def test_resolves_a_library_by_name_over_pages() -> None:
    first = answer(
        json={
            "value": [{"id": "1", "name": "Documents"}],
            "@odata.nextLink": "https://g/v1.0/sites/h.example,1,2/drives?$skiptoken=2",
        }
    )
    second = answer(json={"value": [{"id": "2", "name": "Payroll"}]})
    target = DriveTarget(site="h.example,1,2", library="payroll")
    played = play(drive.resolve_drive(target), [first, second])
    assert [request.url for request in played.requests] == [
        "/sites/h.example,1,2/drives",
        "https://g/v1.0/sites/h.example,1,2/drives?$skiptoken=2",
    ]
    assert played.result is not None
    assert played.result.id == "2"
    assert played.result.remaining_bytes is None


def test_an_unknown_library_names_those_that_exist() -> None:
    listed = answer(json={"value": [{"id": "1", "name": "Documents"}, {"id": "2", "name": "Archive"}]})
    played = play(drive.resolve_drive(DriveTarget(group="g", library="Pay")), [listed])
    assert isinstance(played.error, DestinationError)
    assert "It has: Archive, Documents" in str(played.error)


@pytest.mark.parametrize(
    "chosen",
    [{}, {"user": "a", "site": "b"}, {"drive_id": "d", "library": "x"}, {"user": "", "group": None}],
)
def test_a_target_is_one_thing(chosen: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        DriveTarget(**chosen)


def test_an_item_by_path() -> None:
    played = play(drive.get_item("b!1", "/A b/50% #1/a.zip"), [answer(json=RAW_ITEM)])
    assert played.requests[0].url == "/drives/b!1/root:/A%20b/50%25%20%231/a.zip"
    item = played.result
    assert item is not None
    assert (item.id, item.name, item.size_bytes, item.etag, item.quick_xor_hash) == ("I1", "a.zip", 3, '"1"', "AAA=")
    assert item.is_folder is False


@pytest.mark.parametrize(
    ("raw", "size_bytes", "is_folder"),
    [
        ({"id": "1"}, -1, False),
        ({"id": "1", "file": {"hashes": {}}, "size": 0}, 0, False),
        ({"id": "1", "folder": {}}, -1, True),
    ],
)
def test_an_item_without_a_hash(raw: dict[str, Any], size_bytes: int, is_folder: bool) -> None:
    item = drive.read_item(raw)
    assert (item.quick_xor_hash, item.size_bytes, item.is_folder) == (None, size_bytes, is_folder)


def test_no_item() -> None:
    assert play(drive.get_item("d", "a"), [graph_refusal(404, "itemNotFound")]).result is None
    assert play(drive.get_item_by_id("d", "I"), [graph_refusal(404, "itemNotFound")]).result is None


def test_children() -> None:
    page = answer(json={"value": [RAW_ITEM]})
    played = play(drive.list_children("d", "A/B"), [page])
    assert played.requests[0].url == "/drives/d/root:/A/B:/children"
    assert [item.name for item in played.result or []] == ["a.zip"]
    assert play(drive.list_children("d", ""), [page]).requests[0].url == "/drives/d/root/children"
    assert play(drive.list_children("d", "gone"), [answer(404)]).result == []


def test_folders_are_made_segment_by_segment() -> None:
    missing = graph_refusal(404, "itemNotFound")
    answers = [missing, graph_refusal(409, "nameAlreadyExists"), answer(201, json={"id": "F"})]
    played = play(drive.ensure_folder("d", "A/B"), answers)
    assert (played.error, played.result) == (None, True)
    assert [(request.url, request.json["name"]) for request in played.requests] == [
        ("/drives/d/root:/A:/children", "B"),
        ("/drives/d/root/children", "A"),
        ("/drives/d/root:/A:/children", "B"),
    ]
    assert all(request.json["@microsoft.graph.conflictBehavior"] == "fail" for request in played.requests)


@pytest.mark.parametrize(
    ("given", "made"), [(graph_refusal(409, "nameAlreadyExists"), False), (answer(201, json={"id": "F"}), True)]
)
def test_mostly_one_request_tells_that_the_folder_is_there(given: Response, made: bool) -> None:
    assert play(drive.ensure_folder("d", "A/B/C"), [given]).result is made


def test_the_root_needs_no_request() -> None:
    assert play(drive.ensure_folder("d", "/"), []).result is False


@pytest.mark.parametrize("status", [403, 404])
def test_a_folder_that_cannot_be_made_is_refused(status: int) -> None:
    played = play(drive.ensure_folder("d", "A/B"), [graph_refusal(status, "accessDenied")] * 2)
    assert played.error is not None
    assert "A" in str(played.error)


def test_rename() -> None:
    played = play(drive.rename_item("d", "I1", "b.zip", "replace"), [answer(json=RAW_ITEM)])
    request = played.requests[0]
    assert (request.method, request.url) == ("PATCH", "/drives/d/items/I1")
    assert request.json == {"name": "b.zip", "@microsoft.graph.conflictBehavior": "replace"}


@pytest.mark.parametrize("given", [answer(204), graph_refusal(404, "itemNotFound")])
def test_delete_is_done_when_it_is_gone(given: Response) -> None:
    assert play(drive.delete_item("d", "I"), [given]).error is None


def test_delete_refused() -> None:
    assert isinstance(play(drive.delete_item("d", "I"), [graph_refusal(423, "locked")]).error, DestinationBusyError)
    changed = play(drive.delete_item("d", "I", etag='"1"'), [graph_refusal(412, "preconditionFailed")]).error
    assert type(changed) is DestinationError


def test_small_upload() -> None:
    played = play(drive.put_small("d", UploadTarget("A", "r.json", "fail"), b"{ }"), [answer(201, json=RAW_ITEM)])
    request = played.requests[0]
    assert request.url == "/drives/d/root:/A/r.json:/content?%40microsoft.graph.conflictBehavior=fail"
    assert (request.method, request.content, request.idempotent) == ("PUT", b"{ }", False)


def test_a_small_upload_that_was_cut_short_is_noticed() -> None:
    looks = [answer(201, json=RAW_ITEM), *[answer(json=RAW_ITEM)] * 3]
    played = play(drive.put_small("d", UploadTarget("A", "r.json"), b"four"), looks)
    assert type(played.error) is TransferMismatchError
    assert "holds 3 bytes of 'A/r.json', where 4 should be" in str(played.error)


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        (graph_refusal(401, "InvalidAuthenticationToken"), AuthenticationError, "refused the token"),
        (graph_refusal(403, "accessDenied"), PermissionDeniedError, r"Files.ReadWrite.All.*Sites.Selected"),
        (graph_refusal(404, "itemNotFound"), DestinationError, "does not exist"),
        (graph_refusal(409, "nameAlreadyExists"), NameConflictError, "name is taken"),
        (graph_refusal(412, "preconditionFailed"), DestinationBusyError, "changed by somebody else"),
        (graph_refusal(423, "resourceLocked"), DestinationBusyError, "locked"),
        (graph_refusal(507, "quotaLimitReached"), DestinationError, "full"),
        (graph_refusal(400, "invalidRequest", "quotaLimitReached"), DestinationError, "full"),
        (graph_refusal(413, "x"), DestinationError, "larger than"),
        (graph_refusal(400, "invalidRequest", "invalidPath", spelling="innererror"), DestinationError, "name or path"),
        (graph_refusal(400, "invalidRequest"), RequestRefusedError, "about invalidRequest"),
        (answer(400, body="<html><style>p{}</style><p>No way</p></html>"), RequestRefusedError, "No way"),
        (answer(200, body="<html>Sign in</html>"), ProtocolError, "none of Microsoft Graph's"),
        (answer(302), ProtocolError, "none of Microsoft Graph's"),
    ],
)
def test_refusals_are_one_clear_sentence(given: Response, kind: type[Exception], words: str) -> None:
    error = play(drive.rename_item("d", "I", "a.zip", "fail"), [given]).error
    assert type(error) is kind
    assert isinstance(error, kind)
    with pytest.raises(kind, match=words):
        raise error
    assert "a.zip" in str(error)


def test_request_ids_are_kept_for_support() -> None:
    error = play(drive.get_drive("d"), [graph_refusal(403, "accessDenied")]).error
    assert "request-id=R-1" in str(error)


def test_the_innermost_message_is_quoted() -> None:
    error = play(drive.get_drive("d"), [graph_refusal(403, "accessDenied", "sharingDisabled")]).error
    assert "about sharingDisabled" in str(error)


CONTENT = "https://up.example/content?tempauth=SECRET"


def test_a_small_file_is_read_where_the_service_says_and_without_the_token() -> None:
    played = play(drive.read_content("d 1", "I/1", "a.json"), [answer(302, location=CONTENT), answer(body=b"{}")])
    assert played.result == b"{}"
    first, second = played.requests
    assert (first.url, first.authorize) == ("/drives/d%201/items/I%2F1/content", True)
    assert (second.url, second.authorize) == (CONTENT, False)


@pytest.mark.parametrize(
    ("answers", "content"),
    [
        ([answer(body=b"at once")], b"at once"),
        ([answer(404)], None),
        ([answer(302, location=CONTENT), answer(404)], None),
    ],
)
def test_a_small_file_may_come_at_once_or_be_gone(answers: list[Response], content: bytes | None) -> None:
    played = play(drive.read_content("d", "I", "a.json"), answers)
    assert (played.result, played.error) == (content, None)


@pytest.mark.parametrize(
    "answers",
    [[answer(302)], [answer(403)], [answer(302, location=CONTENT), answer(302, location=CONTENT)], [answer(204)]],
    ids=["a redirect to nowhere", "refused", "a second redirect", "nothing"],
)
def test_a_small_file_that_is_not_given_is_named(answers: list[Response]) -> None:
    played = play(drive.read_content("d", "I", "a.json"), answers)
    assert type(played.error) is ProtocolError
    assert "does not give the content of 'a.json'" in str(played.error)
    assert "SECRET" not in f"{played.error} {played.error!r}"


def read_item_answer(content: bytes, **changes: Any) -> Response:
    hashes = {"quickXorHash": QuickXor(content).base64()}
    return answer(json={**RAW_ITEM, "size": len(content), "file": {"hashes": hashes}, **changes})


ELSEWHERE = answer(302, location="https://x.sharepoint.com/download?tempauth=1")


@pytest.mark.parametrize(
    ("answers", "ranges"),
    [
        ([ELSEWHERE, answer(206, body="ab"), answer(206, body="c")], ["bytes=0-1", "bytes=2-2"]),
        ([ELSEWHERE, answer(200, body="abc")], ["bytes=0-1"]),
        ([answer(200, body="abc")], []),
    ],
)
def test_a_file_is_read_in_pieces_where_the_service_says(
    answers: list[Response], ranges: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "_PIECE_BYTES", 2)
    played = play(drive.read_file("d", "I1", most_bytes=3), [read_item_answer(b"abc"), *answers])
    assert played.result[1] == b"abc"
    assert [request.headers["Range"] for request in played.requests[2:]] == ranges
    assert not any(request.authorize for request in played.requests[2:])


def test_an_empty_file_and_one_without_a_hash_are_read() -> None:
    assert play(drive.read_file("d", "I1", most_bytes=3), [read_item_answer(b""), ELSEWHERE]).result[1] == b""
    unhashed = read_item_answer(b"abc", file={})
    assert play(drive.read_file("d", "I1", most_bytes=3), [unhashed, answer(body="xyz")]).result[1] == b"xyz"


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([answer(404)], DestinationError),
        ([read_item_answer(b"", folder={})], DestinationError),
        ([read_item_answer(b"abcd")], DestinationError),
        ([read_item_answer(b"", size="x")], DestinationError),
        ([read_item_answer(b"abc"), answer(403)], PermissionDeniedError),
        ([read_item_answer(b"abc"), answer(302)], Exception),
        ([read_item_answer(b"abc"), ELSEWHERE, answer(404)], DestinationError),
        ([read_item_answer(b"abc"), ELSEWHERE, answer(206)], Exception),
        ([read_item_answer(b"abc"), answer(body="abd")], TransferMismatchError),
        ([read_item_answer(b"abc"), ELSEWHERE, answer(200, body="abcd")], TransferMismatchError),
    ],
)
def test_what_cannot_be_read_or_is_not_what_is_there(answers: list[Response], kind: type[Exception]) -> None:
    assert isinstance(play(drive.read_file("d", "I1", most_bytes=3), answers).error, kind)


FOLDER, FILE = answer(json={"id": "F", "folder": {}}), answer(json=RAW_ITEM)


@pytest.mark.parametrize(
    ("folder", "answers", "deepest"),
    [
        ("A/B/C", [FOLDER], "A/B/C"),
        ("A/B/C", [answer(404), FOLDER], "A/B"),
        ("A/B/C", [answer(404)] * 3, ""),
        ("", [], ""),
    ],
)
def test_the_deepest_folder_that_exists_is_looked_for_from_below(
    folder: str, answers: list[Response], deepest: str
) -> None:
    assert play(drive.deepest_folder("d", folder), answers).result == deepest


def test_a_file_that_has_the_name_of_a_folder_is_named() -> None:
    played = play(drive.deepest_folder("d", "A/B/C"), [answer(404), FILE])
    assert type(played.error) is DestinationError
    assert "'A/B' is a file in the drive, so no folder 'A/B/C' can be made" in str(played.error)
