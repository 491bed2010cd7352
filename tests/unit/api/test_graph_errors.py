"""What refusals of Microsoft Graph mean: by code first, then by status, never by words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scripted import answer, play

from talent_dmf.api import paging
from talent_dmf.api.errors import (
    AuthenticationError,
    DestinationBusyError,
    DestinationError,
    ItemChangedError,
    NameConflictError,
    PermissionDeniedError,
    ProtocolError,
    TalentDmfError,
    ThrottledError,
    TransferMismatchError,
    TransportError,
)
from talent_dmf.api.graph import drive
from talent_dmf.api.graph.drive import DriveTarget
from talent_dmf.api.graph.errors import GraphFault, Refusal, graph_error, meaning, read_fault
from talent_dmf.api.graph.models import Drive, DriveItem, UploadTarget
from talent_dmf.api.graph.upload.upload import ResumableUpload
from talent_dmf.api.graph.visibility import seen_by_others
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import Response

TARGET = UploadTarget("Exports", "a.json", "replace")
ITEM = {"id": "I", "name": "a.json", "size": 3, "eTag": "e", "webUrl": "https://x/a"}


def refused(status: int, *codes: str, message: str = "") -> Response:
    """A refusal with codes from the outermost to the innermost."""
    error: dict[str, Any] | None = None
    for code in reversed(codes):
        error = {"code": code, "message": message, **({"innerError": error} if error else {})}
    return answer(status, json={"error": error})


@pytest.mark.parametrize("status", [400, 403, 409, 423, 503])
@pytest.mark.parametrize("codes", [("resourceLocked",), ("notAllowed", "resourceLocked"), ("lockMismatch",)])
def test_a_lock_is_a_lock_whatever_the_status(status: int, codes: tuple[str, ...]) -> None:
    """microsoftgraph/microsoft-graph-explorer-v4#3435; OneDrive/onedrive-api-docs#912."""
    error = graph_error("save", refused(status, *codes), "a.json")
    assert isinstance(error, DestinationBusyError)
    assert "locked" in error.message
    assert "Files.ReadWrite.All" not in error.message


@pytest.mark.parametrize(
    ("operation", "given", "refusal"),
    [
        ("save", refused(423, "accessDenied"), Refusal.LOCKED),
        ("save", refused(403, "accessDenied"), Refusal.NOT_ALLOWED),
        ("save", refused(403), Refusal.NOT_ALLOWED),
        ("save", refused(403, "quotaLimitReached"), Refusal.FULL),
        ("save", refused(409, "resourceModified"), Refusal.CHANGED),
        ("delete", refused(409, "resourceModified"), Refusal.OTHER_VERSION),
        ("save", refused(409, "nameAlreadyExists"), Refusal.TAKEN),
        ("save", refused(400, "nameAlreadyExists"), Refusal.TAKEN),
        ("save", refused(409), Refusal.TAKEN),
        ("save", refused(400, "invalidRequest", "pathIsTooLong"), Refusal.BAD_PATH),
        ("save", refused(400, "invalidRequest", "pathTooDeep"), Refusal.BAD_PATH),
        ("save", refused(400, "invalidRequest", "maxStreamSizeExceeded"), Refusal.TOO_LARGE),
        ("save", refused(403, "accessDenied", "malwareDetected"), Refusal.MALWARE),
        ("save", refused(507), Refusal.FULL),
        ("save", refused(403, "activityLimitReached"), Refusal.THROTTLED),
        ("save", refused(400, "invalidRequest", "throttledRequest"), Refusal.THROTTLED),
        ("look at", refused(404, "serviceNotAvailable"), Refusal.THROTTLED),
        ("look at", refused(429), Refusal.THROTTLED),
        ("look at", refused(404, "itemNotFound"), Refusal.MISSING),
        ("look at", refused(401), Refusal.NOT_SIGNED_IN),
        ("look at", answer(302), Refusal.NOT_GRAPH),
        ("look at", refused(418), Refusal.WRONG),
    ],
)
def test_meanings(operation: str, given: Response, refusal: Refusal) -> None:
    assert meaning(operation, given) is refusal


def test_a_service_that_is_busy_with_an_odd_status_is_tried_again_later() -> None:
    error = graph_error("save", refused(403, "accessDenied", "activityLimitReached"), "a.zip")
    assert isinstance(error, ThrottledError)
    assert error.retryable
    assert "Files.ReadWrite.All" not in error.message


@pytest.mark.parametrize(
    "words", ["", "Der Name ist bereits vergeben.", "名前は既に存在します", "the name is not taken"]
)
def test_words_decide_nothing(words: str) -> None:
    assert meaning("save", refused(409, "nameAlreadyExists", message=words)) is Refusal.TAKEN
    assert meaning("save", refused(409, "resourceModified", message=words)) is Refusal.CHANGED


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "BadRequest", "Unable to retrieve user's mysite URL."),
        (404, "ResourceNotFound", "User's mysite not found."),
        (403, "UnknownError", ""),
        (404, "itemNotFound", "FILE NOT FOUND"),
        (400, "UnknownError", "Unable to retrieve user's mysite URL."),
    ],
)
def test_a_user_without_onedrive(status: int, code: str, message: str) -> None:
    """docs/wire/graph-onedrive.md#addressing."""
    played = play(drive.resolve_drive(DriveTarget(user="new@contoso.com")), [refused(status, code, message=message)])
    assert isinstance(played.error, DestinationError)
    assert not played.error.retryable
    assert "new@contoso.com" in str(played.error)
    assert "no OneDrive is there" in str(played.error)


def test_a_tenant_that_is_throttled_for_ever_ends_in_the_words_of_the_service() -> None:
    """microsoftgraph/microsoft-graph-docs-contrib#8469: 429 without Retry-After, for a tenant that is blocked."""
    body = {"error": {"code": "BadRequest", "message": "Unable to retrieve user's mysite URL."}}
    steps = drive.resolve_drive(DriveTarget(user="u@contoso.com"))
    played = play(steps, [answer(429, json=body)] * 40, policy=RetryPolicy(), all_used=False)
    assert isinstance(played.error, TransportError)
    assert "Unable to retrieve user's mysite URL" in str(played.error)
    assert len(played.requests) <= 15
    assert sum(played.seconds) <= 700


@pytest.mark.parametrize("status", [400, 403, 409, 423])
def test_a_lock_is_waited_for_when_a_session_is_opened(status: int) -> None:
    locked = refused(status, "notAllowed", "resourceLocked", message="You are attempting to access a locked resource")
    opened = answer(json={"uploadUrl": "https://up.example/s", "nextExpectedRanges": ["0-"]})
    upload = ResumableUpload("d", UploadTarget("", "a.zip", "replace"), 10, unique="u")
    played = play(upload.begin(), [refused(404), answer(json={"id": "d"}), locked, locked, opened])
    assert played.result == 0
    for_ever = play(
        ResumableUpload("d", UploadTarget("", "a.zip", "replace"), 10, unique="u").begin(),
        [refused(404), answer(json={"id": "d"}), *[locked] * 40],
        all_used=False,
    )
    assert isinstance(for_ever.error, DestinationBusyError)
    assert "Files.ReadWrite.All" not in str(for_ever.error)


def test_a_small_file_that_was_changed_at_the_same_moment_is_saved_again() -> None:
    """OneDrive/onedrive-api-docs#1415."""
    played = play(drive.put_small("d", TARGET, b"{ }"), [refused(409, "resourceModified"), answer(json=ITEM)])
    assert played.error is None
    assert played.operations == ["Upload small file"] * 2


def test_a_name_that_stays_blocked_is_a_matter_of_time() -> None:
    played = play(drive.put_small("d", TARGET, b"{ }"), [refused(409, "nameAlreadyExists")] * 12)
    assert isinstance(played.error, DestinationBusyError)
    taken = play(drive.put_small("d", UploadTarget("", "a.json", "fail"), b"{ }"), [refused(409, "nameAlreadyExists")])
    assert type(taken.error) is NameConflictError


def test_a_size_that_the_first_answer_has_wrong_is_looked_at_again() -> None:
    """microsoftgraph/microsoft-graph-docs#9776: nothing is sent twice, and nobody is told to delete a good file."""
    answers = [answer(201, json={**ITEM, "size": 6}), answer(json=ITEM)]
    played = play(drive.put_small("d", TARGET, b"{ }"), answers)
    assert played.operations == ["Upload small file", "Look at saved file"]
    assert played.error is None
    wrong = play(drive.put_small("d", TARGET, b"four"), [answer(201, json=ITEM), *[answer(json=ITEM)] * 3])
    assert type(wrong.error) is TransferMismatchError


DRIVE_GONE = refused(404, "UnknownError", message="404 FILE NOT FOUND")


def test_a_drive_that_is_unreadable_by_its_id_is_used_nevertheless() -> None:
    """microsoftgraph/microsoft-graph-docs#5478: its items can be read."""
    played = play(drive.resolve_drive(DriveTarget(drive_id="b!1")), [DRIVE_GONE, answer(json={"id": "root"})])
    assert played.result is not None
    assert (played.result.id, played.result.remaining_bytes) == ("b!1", None)
    gone = play(drive.resolve_drive(DriveTarget(drive_id="b!1")), [DRIVE_GONE, refused(404, "itemNotFound")])
    assert isinstance(gone.error, DestinationError)
    denied = play(drive.resolve_drive(DriveTarget(drive_id="b!1")), [refused(403), refused(403)])
    assert isinstance(denied.error, PermissionDeniedError)


@pytest.mark.parametrize(
    "look",
    [
        refused(400, "invalidRequest"),
        refused(405, "notAllowed"),
        refused(410),
        refused(423, "accessDenied"),
        refused(501, "notSupported"),
        answer(200, body="<html>"),
        answer(200, json={"id": None}),
        answer(204),
        answer(302),
        TransportError("no answer came in time."),
        ThrottledError("slow down."),
    ],
)
def test_a_drive_is_used_whatever_its_id_is_answered_with_if_its_items_can_be_read(look: Any) -> None:
    played = play(drive.resolve_drive(DriveTarget(drive_id="b!1")), [look, answer(json={"id": "root"})])
    assert played.result == Drive(id="b!1", name="", web_url="")
    assert [(request.hurried, request.informing) for request in played.requests] == [(True, False), (False, False)]


def test_a_token_that_is_refused_is_refused_for_the_items_as_well() -> None:
    played = play(drive.resolve_drive(DriveTarget(drive_id="b!1")), [refused(401, "InvalidAuthenticationToken")])
    assert isinstance(played.error, AuthenticationError)


def test_a_library_without_an_id_is_none() -> None:
    target = DriveTarget(site="c.sharepoint.com,1,2", library="docs")
    listed = answer(json={"value": [{"name": "Docs"}, {"name": "Docs", "id": None}, {"name": "DOCS", "id": "2"}]})
    found = play(drive.resolve_drive(target), [listed]).result
    assert found is not None
    assert found.id == "2"
    alone = play(drive.resolve_drive(target), [answer(json={"value": [{"name": "Docs"}]})])
    assert isinstance(alone.error, DestinationError)


@pytest.mark.parametrize(
    "look", [DRIVE_GONE, refused(403, "accessDenied"), answer(200, body="<html>"), TransportError("no answer.")]
)
def test_a_quota_that_cannot_be_read_stops_no_upload(look: Any) -> None:
    upload = ResumableUpload("d", UploadTarget("", "a.zip"), 10, unique="u")
    created = answer(json={"uploadUrl": "https://up.example/s", "nextExpectedRanges": ["0-"]})
    assert play(upload.begin(), [refused(404), look, created]).result == 0
    assert len(upload.notices) == 1


@pytest.mark.parametrize(
    "link",
    [
        "https://g/v1.0/drives/other/root/children?$skiptoken=x",
        "https://g/v1.0/drives/d/items/OTHER/children?$skiptoken=x",
        "https://g/v1.0/me/messages",
        "https://[::1",
        "x" * 9000,
        7,
        {"href": "x"},
    ],
)
def test_a_page_belongs_to_the_list_that_was_asked_for(link: Any) -> None:
    page = {"value": [{"id": "1", "name": "a", "parentReference": {"id": "FOLDER"}}], "@odata.nextLink": link}
    played = play(drive.list_children("d", "A"), [asked_for("A", page)])
    assert isinstance(played.error, ProtocolError)
    assert str(played.error).startswith("list 'A': the service names a next page that does not belong to the list")


def asked_for(folder: str, page: dict[str, Any]) -> Response:
    """A page of a folder, as a driver gives it: with the address that was asked."""
    return replace(answer(json=page), asked=f"https://g/v1.0/drives/d/root:/{folder}:/children")


@pytest.mark.parametrize(
    "link",
    [
        "https://g/v1.0/drives/d/root:/A%20B:/children?$skiptoken=x",
        "https://g/v1.0/drives/d/items/FOLDER/children?$skiptoken=x",
        "https://g/v1.0/drives('d')/items('folder')/children?$skiptoken=x",
    ],
)
def test_a_list_is_read_to_its_last_page(link: str) -> None:
    entry = {"id": "1", "name": "a", "parentReference": {"id": "FOLDER"}}
    pages = [asked_for("A%20B", {"value": [entry], "@odata.nextLink": link}), answer(json={"value": [entry]})]
    assert [item.name for item in play(drive.list_children("d", "A B"), pages).result or []] == ["a", "a"]


FILE = {"id": "1", "name": "a", "file": {}}


@pytest.mark.parametrize("key", ["@odata.nextLink", "@nextLink", "odata.nextLink"])
@pytest.mark.parametrize(
    "link",
    [
        "https://g/v1.0/drives/d/root:/A:/children?$skiptoken=x",
        "HTTPS://G:443/v1.0/drives/d/root:/a:/children?$skiptoken=x",
        "/v1.0/drives/d/root:/A:/children?$skiptoken=x",
        "children?$skiptoken=x",
        "?$skiptoken=x",
    ],
)
def test_a_next_page_is_read_however_it_is_spelled(key: str, link: str) -> None:
    pages = [asked_for("A", {"value": [FILE], key: link}), asked_for("A", {"value": []}), asked_for("A", {"value": []})]
    pages[1] = asked_for("A", {"value": [], key: f"{link}2"})
    pages[2] = asked_for("A", {"value": [FILE]})
    played = play(drive.list_children("d", "A"), pages)
    assert [item.name for item in played.result or []] == ["a", "a"]
    assert all(request.url.lower().startswith("https://g") for request in played.requests[1:])


@pytest.mark.parametrize("link", ["//elsewhere.example/x", "/v1.0/drives/d/root:/B:/children", "../../x", " ", "#x"])
def test_a_relative_address_leads_nowhere_else(link: str) -> None:
    played = play(drive.list_children("d", "A"), [asked_for("A", {"value": [FILE], "@odata.nextLink": link})])
    assert isinstance(played.error, ProtocolError)


@pytest.mark.parametrize(
    "page",
    [
        {"value": [FILE], "error": {"code": "generalException", "message": "It broke off."}},
        {"value": [], "error": {"code": "generalException", "message": "It broke off."}},
        {"value": [FILE], "odata.error": {"message": {"lang": "en", "value": "It broke off."}}},
        {"value": [FILE, {"error": {"code": "x", "message": "It broke off."}}]},
    ],
)
def test_a_list_that_breaks_off_is_not_all_there_is(page: dict[str, Any]) -> None:
    link = "https://g/v1.0/drives/d/root:/A:/children?$skiptoken=x"
    whole = asked_for("A", {"value": [FILE], "@odata.nextLink": link})
    for pages in ([asked_for("A", page)], [whole, asked_for("A", page)]):
        played = play(drive.list_children("d", "A"), pages)
        assert isinstance(played.error, TransportError)
        assert "broke the list off" in str(played.error)
    assert play(drive.list_children("d", "A"), [asked_for("A", {"value": [FILE], "error": None})]).error is None


def test_a_folder_that_is_gone_in_the_middle_of_its_list_is_not_a_shorter_one() -> None:
    link = "https://g/v1.0/drives/d/root:/A:/children?$skiptoken=x"
    pages = [asked_for("A", {"value": [FILE], "@odata.nextLink": link}), refused(404, "itemNotFound")]
    assert isinstance(play(drive.list_children("d", "A"), pages).error, DestinationError)
    assert play(drive.list_children("d", "A"), [refused(404, "itemNotFound")]).result == []


@pytest.mark.parametrize("value", [None, {}, "x", 5, {"value": [FILE]}])
def test_a_page_without_a_list_is_none(value: Any) -> None:
    assert isinstance(play(drive.list_children("d", "A"), [asked_for("A", {"value": value})]).error, ProtocolError)


def test_a_list_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_PAGES", 5)
    link = "https://g/v1.0/drives/d/root:/A:/children?$skiptoken="
    pages = [asked_for("A", {"value": [], "@odata.nextLink": f"{link}{number}"}) for number in range(5)]
    assert "list 'A': the list does not end within 5 pages" in str(play(drive.list_children("d", "A"), pages).error)
    again = [asked_for("A", {"value": [], "@odata.nextLink": f"{link}0"})] * 2
    assert "does not belong to the list" in str(play(drive.list_children("d", "A"), again).error)


SAVED = DriveItem("I", "a.zip", 3, "", etag="e", quick_xor_hash="H")


@pytest.mark.parametrize("pending", [{"pendingContentUpdate": {}}, True])
def test_a_file_is_saved_once_others_see_it(pending: Any) -> None:
    shown = {"id": "I", "name": "a.zip", "size": 3, "file": {"hashes": {"quickXorHash": "H"}}}
    busy = answer(json={**shown, "pendingOperations": pending})
    played = play(seen_by_others("d", SAVED, "H", []), [busy, busy, answer(json=shown)])
    assert (played.result, played.seconds) == (SAVED, [1, 2])
    for_long = play(seen_by_others("d", SAVED, "H", []), [busy] * 6)
    assert isinstance(for_long.error, ProtocolError)
    assert "shows others what was there before" in str(for_long.error)
    assert for_long.error.retryable


@pytest.mark.parametrize(
    ("look", "kind", "words"),
    [
        (refused(404, "itemNotFound"), ItemChangedError, "removed it. Look into the recycle bin"),
        (answer(json={"id": "I", "size": 3, "malware": {"description": "x"}}), DestinationError, "found malware"),
        (answer(json={"id": "I", "size": 3, "malware": {}}), DestinationError, "found malware"),
        (refused(403, "malwareDetected"), DestinationError, "found malware"),
        (refused(410, "itemNotFound"), ItemChangedError, "removed it"),
        (answer(json={"id": "I", "size": 3, "deleted": {}}), ItemChangedError, "removed it"),
        (answer(json={"id": "I", "size": 3, "deleted": {"state": "softDeleted"}}), ItemChangedError, "removed it"),
        (answer(json={"id": "I", "size": 4}), ItemChangedError, "it has 4 bytes, and had 3"),
        (
            answer(json={"id": "I", "size": 3, "file": {"hashes": {"quickXorHash": "G"}}}),
            ItemChangedError,
            "is not what was saved any more",
        ),
    ],
)
def test_a_file_that_others_will_not_see_as_it_was_saved(look: Response, kind: type[Exception], words: str) -> None:
    played = play(seen_by_others("d", SAVED, "H", []), [look])
    assert type(played.error) is kind
    assert words in str(played.error)


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"malware": None, "deleted": None, "publication": None, "pendingOperations": None},
        {"pendingOperations": {}},
        {"pendingOperations": {"pendingContentUpdate": None}},
        {"pendingOperations": {"@odata.type": "#microsoft.graph.pendingOperations", "pendingContentUpdate": None}},
        {"publication": {"level": "published", "versionId": "1.0"}},
        {"publication": {"level": None}},
        {"size": None},
        {"size": "3"},
        {"file": None},
        {"file": {"hashes": {"sha1Hash": "X", "crc32Hash": "Y"}}},
        {"folder": None, "parentReference": None},
        {"parentReference": {"id": "F"}},
        {"parentReference": {"path": "/drives/d/root:/A%20B"}},
        {"parentReference": {"path": "/drives/d/root:/a b/"}},
    ],
)
def test_facts_that_say_nothing_against_it_hold_up_nothing(facts: dict[str, Any]) -> None:
    notices: list[str] = []
    shown = {"id": "I", "name": "a.zip", "size": 3, "file": {"hashes": {"quickXorHash": "H"}}, **facts}
    played = play(seen_by_others("d", SAVED, "H", notices, "A B"), [answer(json=shown)])
    assert (played.result, played.pauses, notices) == (SAVED, [], [])


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"publication": {"level": "draft", "versionId": "0.1"}}, "'a.zip' is a draft in its library"),
        ({"publication": {"level": "Draft"}}, "until somebody publishes or approves it"),
        ({"name": "a 1.zip"}, "is called 'a 1.zip' by now"),
        ({"parentReference": {"path": "/drives/d/root:/Moved"}}, "is in '/Moved' by now, not in 'A'"),
        ({"parentReference": {"path": "/drives/d/root:"}}, "somebody or a rule moved it"),
    ],
)
def test_what_a_person_should_know_of_a_file_is_said(facts: dict[str, Any], words: str) -> None:
    """iterate-ch/cyberduck#13895: libraries that keep drafts say so by a word that is not documented."""
    notices: list[str] = []
    shown = {"id": "I", "name": "a.zip", "size": 3, "webUrl": "https://c.sharepoint.com/now", **facts}
    played = play(seen_by_others("d", SAVED, "H", notices, "A"), [answer(json=shown)])
    assert played.result == replace(SAVED, name=shown["name"], web_url="https://c.sharepoint.com/now")
    assert len(notices) == 1
    assert words in notices[0]


@pytest.mark.parametrize(
    "look", [refused(403, "accessDenied"), refused(501), answer(200, body="<html>"), TransportError("no answer")]
)
def test_a_look_at_what_others_see_only_informs(look: Any) -> None:
    notices: list[str] = []
    assert play(seen_by_others("d", SAVED, "H", notices), [look]).result == SAVED
    assert len(notices) == 1


def test_a_file_that_was_left_checked_out_is_checked_in() -> None:
    shown = {"id": "I", "name": "a.zip", "size": 3, "file": {"hashes": {"quickXorHash": "H"}}}
    out, published = ({**shown, "publication": {"level": level}} for level in ("checkout", "published"))
    played = play(seen_by_others("d", SAVED, "H", []), [answer(json=out), answer(204), answer(json=published)])
    assert played.operations == ["Look at saved file", "Check in", "Look at saved file"]
    assert played.result == SAVED
    assert played.requests[1].json["checkInAs"] == "published"
    as_draft = answer(json={**shown, "publication": {"level": "draft"}})
    notices: list[str] = []
    drafted = play(seen_by_others("d", SAVED, "H", notices), [answer(json=out), answer(204), as_draft])
    assert (drafted.result, len(notices)) == (SAVED, 1)
    stays = play(seen_by_others("d", SAVED, "H", []), [answer(json=out), answer(204), answer(json=out)])
    assert isinstance(stays.error, DestinationError)


def nested(*inner: dict[str, Any]) -> Response:
    """Return a refusal with errors inside of each other, from the outermost inwards."""
    error: dict[str, Any] = {}
    for each in reversed(inner):
        error = {**each, **({"innerError": error} if error else {})}
    return answer(400, json={"error": error})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            b'{"error": {"code": "x", "message": "a\\u001b[31m\\u202eb\\ud800"}}',
            "Microsoft Graph says: a [31m b\ufffd.",
        ),
        (b'{"error": {"code": "x", "message": ["a"]}}', "the request was refused. Correct"),
        (b'{"error": {"code": "x", "message": {"lang": "de", "value": "voll"}}}', "Microsoft Graph says: voll."),
        (b'{"error": {"code": "x", "message": {"value": {"a": 1}}}}', "the request was refused. Correct"),
        (b"<b>a\x00\x1b[2Jb</b>", "Microsoft Graph says: a [2Jb."),
    ],
)
def test_what_is_quoted_is_one_printable_line(body: bytes, words: str) -> None:
    message = graph_error("save", Response(400, {}, body), "a.zip").message
    assert words in message
    assert message.isprintable()


def test_an_error_is_read_to_a_depth() -> None:
    inner = [{"code": f"C{number}", "message": f"m{number}"} for number in range(10)]
    assert read_fault(nested(*inner)) == GraphFault(tuple(f"c{number}" for number in range(8)), "m7")


@pytest.mark.parametrize("code", [None, 7, ["x"]])
def test_a_code_that_is_none_is_passed_over(code: Any) -> None:
    assert read_fault(nested({"code": code, "message": "m"}, {"code": "Inner"})) == GraphFault(("inner",), "m")


@pytest.mark.parametrize(
    ("operation", "status", "expected"),
    [
        ("find the drive of", 404, Refusal.NO_DRIVE),
        ("find the site", 400, Refusal.NO_SITE),
        ("find the site", 404, Refusal.NO_SITE),
        ("find the site", 403, Refusal.NOT_ALLOWED),
        ("save", 413, Refusal.TOO_LARGE),
        ("save", 423, Refusal.LOCKED),
        ("save", 429, Refusal.THROTTLED),
        ("save", 507, Refusal.FULL),
        ("delete", 409, Refusal.OTHER_VERSION),
        ("delete", 412, Refusal.OTHER_VERSION),
        ("list", 404, Refusal.MISSING),
        ("save", 409, Refusal.TAKEN),
    ],
)
def test_without_a_known_code_the_operation_and_the_status_say_what_it_means(
    operation: str, status: int, expected: Refusal
) -> None:
    assert meaning(operation, refused(status, "somethingNew")) is expected
    assert meaning(operation, answer(status)) is expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["id", "name", "size", "file", "hashes", "quickXorHash", "value", "error", "code", "message", "innerError",
         "quota", "remaining", "folder", "@odata.nextLink", "uploadUrl", "parentReference", "webUrl", "eTag"]
    ), inner, max_size=6),
    max_leaves=25,
)  # fmt: skip


@given(status=st.sampled_from([200, 201, 204, 400, 401, 403, 404, 409, 412, 423, 507]), body=JSON)
def test_whatever_is_answered_ends_in_a_value_or_a_sentence(status: int, body: Any) -> None:
    for steps in (
        drive.list_children("d", "A"),
        drive.get_item("d", "A"),
        drive.get_drive("d"),
        drive.resolve_drive(DriveTarget(site="h.example,1,2", library="x")),
        drive.rename_item("d", "I", "a", "fail"),
        ResumableUpload("d", UploadTarget("", "a.zip"), 10, unique="u").begin(),
    ):
        played = play(steps, [answer(status, json=body)] * 40, all_used=False)
        assert played.error is None or isinstance(played.error, TalentDmfError), repr(played.error)
