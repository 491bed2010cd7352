"""Every parser of what others wrote, as a function of bytes: it ends in a value or in one sentence of ours.

`make fuzz` gives them to atheris; `tests/unit/test_fuzz_targets.py` tries them with a few inputs and with all that were
ever found.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.unit.api.packages import ONE, manifest, package, read, utf16
from tests.unit.scripted import START, answer, play

from talent_dmf.api.addresses import AddressRules, host_pattern, link_for_people, parse_address, same_list
from talent_dmf.api.dmf import actions, tenant
from talent_dmf.api.dmf.listing import list_executions
from talent_dmf.api.dmf.models import ExecutionEvent
from talent_dmf.api.dmf.odata import execution_denied, refusal
from talent_dmf.api.errors import PackageInvalidError, TalentDmfError, TransportError
from talent_dmf.api.graph import drive
from talent_dmf.api.graph.drive import DriveTarget
from talent_dmf.api.graph.errors import graph_error
from talent_dmf.api.graph.models import UploadTarget
from talent_dmf.api.graph.upload.session import UploadSession, create_session
from talent_dmf.api.graph.upload.upload import ResumableUpload, UploadRecord
from talent_dmf.api.naming.drive_names import check_path, safe_name
from talent_dmf.api.naming.file_names import check_file_name_template, check_package_name, check_unpack_name
from talent_dmf.api.naming.folder_urls import check_folder_url
from talent_dmf.api.package.checking import PackageCheck
from talent_dmf.api.package.directory import PackageEntry
from talent_dmf.api.package.download_range import Source, probe, read_range
from talent_dmf.api.package.manifest import parse_header, parse_manifest
from talent_dmf.api.package.reference import PackageReference
from talent_dmf.api.package.unpacking import EntryDecoder
from talent_dmf.api.parsing import read_json
from talent_dmf.api.redaction import SecretUrl, redact, redact_url
from talent_dmf.api.retention.receipts import parse_receipt
from talent_dmf.api.retrying import Patience, RetryPolicy, retry_after_seconds
from talent_dmf.api.steps import Response, Steps
from talent_dmf.auth.entra_errors import explain_refusal, refusal_codes, token_claims
from talent_dmf.catalogue.loading import load_export
from talent_dmf.catalogue.located_yaml import CatalogueError
from talent_dmf.transport.bodies import Body

LONGEST_SENTENCE = 20_000
STATUSES = (200, 201, 202, 204, 302, 400, 401, 403, 404, 409, 410, 412, 413, 416, 423, 500, 501, 507)
HURRIED = RetryPolicy(max_attempts=2)
TARGET = UploadTarget("A", "p.zip", "rename")
UPLOAD_URL = SecretUrl("https://up.example/session/1")


def one_sentence(error: TalentDmfError) -> None:
    """Check an error of ours: something is said, and not the whole answer."""
    assert 0 < len(str(error)) < LONGEST_SENTENCE, f"{len(str(error))} characters"


def ends_well(steps: Steps[Any], answers: list[Response]) -> None:
    """Run a protocol until it has ended in a value or a sentence; after some of the answers, none come any more."""
    table = [*answers * 3, *[TransportError("No answer.")] * 20]
    played = play(steps, table, patience=HURRIED, all_used=False)
    if isinstance(played.error, TalentDmfError):
        one_sentence(played.error)
    elif played.error is not None:
        raise played.error


def zip_directory(data: bytes) -> None:
    """A whole package: its end, its directory, its XML files, the checksums of all in it."""
    try:
        contents, _ = read(data)
        check = PackageCheck(contents.entries)
        check.feed(0, memoryview(data))
        check.finish()
    except PackageInvalidError as error:
        one_sentence(error)


def zip_entry(data: bytes) -> None:
    """A file of a package, under what some directory says of it."""
    facts, packed = data[:8].ljust(8, b"\0"), data[8:]
    size_bytes = int.from_bytes(facts[1:4], "little") % 2_000_000
    crc32 = zlib.crc32(packed) if facts[4] & 1 else int.from_bytes(facts[4:8], "little")
    entry = PackageEntry("a", size_bytes, len(packed), 0, (0, 8, 12)[facts[0] % 3], crc32)
    whole, step = b"PK\x03\x04" + bytes(22) + b"\1\0\0\0" + b"a" + packed, facts[5] + 1
    with suppress(PackageInvalidError):
        check = PackageCheck([entry])
        for start in range(0, len(whole), step):
            check.feed(start, memoryview(whole)[start : start + step])
        check.finish()
    pieces = iter([memoryview(packed)[start : start + step] for start in range(0, len(packed), step)])
    with suppress(PackageInvalidError):
        EntryDecoder(entry).fill(memoryview(bytearray(size_bytes)), lambda: next(pieces, memoryview(b"")))


def manifest_xml(data: bytes) -> None:
    """The two XML files of a package."""
    for parse in (parse_manifest, parse_header):
        try:
            parse(data)
        except PackageInvalidError as error:
            one_sentence(error)


def session() -> UploadSession:
    return UploadSession(UPLOAD_URL, 10, Patience(HURRIED), subject="A/p.zip")


def upload() -> ResumableUpload:
    return ResumableUpload("d", TARGET, 10, unique="u")


PROTOCOLS: tuple[Callable[[], Steps[Any]], ...] = (
    lambda: actions.execution_status("e"),
    lambda: actions.exported_package_url("e"),
    lambda: actions.execution_errors("e"),
    lambda: actions.execution_page_url("e"),
    lambda: actions.entity_outcomes("e"),
    lambda: actions.look_at_project("p", "e"),
    actions.data_projects,
    tenant.data_projects_in_detail,
    tenant.data_project_entities,
    tenant.companies,
    lambda: list_executions(["e", "f"]),
    lambda: drive.resolve_drive(DriveTarget(site="contoso.sharepoint.com:/sites/x", library="Exports")),
    lambda: drive.resolve_drive(DriveTarget(user="a@b.example")),
    lambda: drive.get_item("d", "A/p.zip"),
    lambda: drive.list_children("d", "A"),
    lambda: drive.put_small("d", TARGET, b"{}"),
    lambda: drive.read_content("d", "I", "p.zip"),
    lambda: create_session("d", TARGET, 10),
    lambda: session().status(),
    lambda: session().put(0, b"0123456789"),
    lambda: upload().begin(),
    lambda: upload().find_finished("hash"),
)


def answers(data: bytes) -> None:
    """An answer to a request of either service: which status, which request, and the body."""
    chosen, body = data[:2].ljust(2, b"\0"), data[2:]
    status, protocol = STATUSES[chosen[0] % len(STATUSES)], PROTOCOLS[chosen[1] % len(PROTOCOLS)]
    ends_well(protocol(), [Response(status, {"location": "https://up.example/x"}, body, len(body))])


def refusals(data: bytes) -> None:
    """The body of a refusal."""
    response = answer(400, body=data)
    execution_denied(response)
    one_sentence(refusal("ExportToPackage", response, "Workers"))
    for operation in ("save", "delete", "find the drive of"):
        one_sentence(graph_error(operation, response, "A/p.zip"))


def error_rows(data: bytes) -> None:
    """The messages of an export that went wrong."""
    rows = actions.parse_error_rows(data.decode("utf-8", "replace"))
    assert sum(len(row.message) for row in rows) <= len(data) + 1


def token_answer(data: bytes) -> None:
    """What Entra ID answers, and what stands in a token."""
    text = data.decode("utf-8", "replace")
    token_claims(text)
    token_claims(f"a.{text}.b")
    with suppress(ValueError):
        said = read_json(data)
        if isinstance(said, dict):
            refusal_codes(said)
            one_sentence(explain_refusal(said, tenant_id="t", client_id="c", scope="s"))


def catalogue_yaml(data: bytes) -> None:
    """A file of the catalogue."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "workers.yaml"
        path.write_bytes(data)
        try:
            load_export(path)
        except CatalogueError as error:
            one_sentence(error)


def addresses(data: bytes) -> None:
    """Addresses that a service gives or a person types, and what is shown of them."""
    text = data.decode("utf-8", "replace")
    address = parse_address(text)
    assert address is None or (address.host and 0 < address.port < 65536)
    for own in ("", "https://env.operations.dynamics.com", text):
        link_for_people(text, own)
        same_list(own, text)
        for check in (AddressRules(own, ("*.sharepoint.com",)).check, AddressRules(own).check_own):
            with suppress(TalentDmfError):
                check(text, "link")
    for judge in (host_pattern, check_folder_url):
        try:
            judge(text)
        except TalentDmfError as error:
            one_sentence(error)
    redact_url(text)
    assert redact(redact(text)) == redact(text) or len(redact(text)) <= len(text) + 1000


def headers(data: bytes) -> None:
    """Headers of answers: how long to wait, which range it is, how long and of when the blob is."""
    words = [line.decode("latin-1") for line in data.split(b"\n", 5)] + [""] * 6
    given = {
        "retry-after": words[0], "x-ms-retry-after-ms": words[1], "content-range": words[2],
        "content-length": words[3], "last-modified": words[4], "etag": words[5],
    }  # fmt: skip
    seconds = retry_after_seconds(given, START)
    assert seconds is None or seconds >= 0
    source = Source(SecretUrl("https://b.example/p.zip"), 10, '"E"')
    ends_well(probe(source.url), [Response(200, given)])
    ends_well(read_range(source, 2, memoryview(bytearray(5))), [Response(206, given, b"", 5)])


def stored_state(data: bytes) -> None:
    """What an earlier try, a trigger or a receipt left behind."""
    parse_receipt("p.zip.receipt.json", data)
    with suppress(ValueError):
        raw = read_json(data)
        record = UploadRecord.from_json(raw)
        if record is not None:
            record.is_over(START)
        for read_back in (PackageReference.from_json, lambda each: ExecutionEvent.from_json(each, "e")):
            try:
                read_back(raw)
            except TalentDmfError as error:
                one_sentence(error)


def names(data: bytes) -> None:
    """Names and templates of names, as people type them."""
    text = data.decode("utf-8", "replace")
    for check in (
        check_file_name_template,
        check_unpack_name,
        check_package_name,
        lambda each: check_path(each, "p.zip"),
        lambda each: check_path("", each),
    ):
        try:
            check(text)
        except TalentDmfError as error:
            one_sentence(error)
    check_path("", safe_name(text) or "x")


def packed_answer(data: bytes) -> None:
    """A body that is announced as packed."""
    for coding in ("gzip", "deflate"):
        body = Body("Get", 200, {"content-encoding": coding})
        with suppress(TalentDmfError):
            body.feed(data[:5])
            body.feed(data[5:])


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


TOKEN = {"error": "x", "error_description": "AADSTS700016: No. Trace ID: 1", "error_codes": [700016]}
ITEM = {"id": "I", "name": "p.zip", "size": 10, "file": {"hashes": {"quickXorHash": "AAA="}}, "eTag": "e"}
ROW = {"JobId": "e", "EntityName": "E", "StagingStatus": "Finished", "TargetRecordsCreatedCount": 5, "Name": "p"}
GRAPH_ERROR = {"error": {"code": "x", "message": "m", "innerError": {"code": "nameAlreadyExists"}}}
FNO_ERROR = {"error": {"code": "", "message": "m", "innererror": {"message": "n", "internalexception": {}}}}
LATER = "2026-03-01T07:00:00+00:00"
SESSION = {"uploadUrl": "https://up.example/s", "nextExpectedRanges": ["3-9"], "expirationDateTime": LATER}
MESSAGES = b'[{"RecordId":"1","Field":"F","ErrorMessage":"a "b" c"},{"RecordId":"2","Field":"","ErrorMessage":""}]'
CATALOGUE = b"""\
data_project: Workers
legal_entities: [USMF]
schedule: {cron: '30 6 * * *', timezone: Europe/Berlin}
drive: {user: a@b.example}
notify: {mail: {to: [a@b.example]}}
"""
HEADERS = b'60\n1500\nbytes 2-6/10\n10\nSun, 06 Nov 1994 08:49:37 GMT\n"E"'
# Each target, with inputs to begin with.
TARGETS: dict[Callable[[bytes], None], list[bytes]] = {
    zip_directory: [package(), package(zip64=True, comment=b"c" * 30), package({"a/b.png": b"", "Workers.xlsx": b"x"})],
    zip_entry: [b"\0\5\0\0\1\0\0\0hello", b"\1\5\0\0\0\7\0\0" + zlib.compress(b"hello")[2:-4]],
    manifest_xml: [utf16(ONE), ONE.encode(), manifest(("A", "a.csv"), ("B", "b.csv")).encode()],
    answers: [
        bytes((STATUSES.index(status), protocol)) + _json(body)
        for protocol in range(len(PROTOCOLS))
        for status, body in (
            (200, {"value": [ROW, ITEM], **ITEM, **SESSION}),
            (200, {"value": "Succeeded"}),
            (400, FNO_ERROR),
            (409, GRAPH_ERROR),
            (202, SESSION),
        )
    ],
    refusals: [_json(FNO_ERROR), _json(GRAPH_ERROR), _json({"Message": "m"}), b"<html><b>502</b></html>"],
    error_rows: [_json([{"RecordId": "1", "Field": "F", "ErrorMessage": "m"}]), MESSAGES],
    token_answer: [_json(TOKEN), b"eyJhdWQiOiJ4In0"],
    catalogue_yaml: [CATALOGUE, b"data_project: W\nlegal_entities: A\n"],
    addresses: [
        b"https://a.sharepoint.com:443/sites/x?sig=1",
        b"s3://bucket/folder",
        b"https://[::1]/",
        b"*.b.com:8443",
    ],
    headers: [HEADERS, b"Sun, 06 Nov 1994 08:49:37 GMT"],
    stored_state: [
        _json(UploadRecord("d", "A", "p.zip", "fail", "v", 10, expires_at=LATER).to_json()),
        _json(PackageReference("e", "h", "/p", 1, "t", LATER).to_json()),
        _json(ExecutionEvent("e", "finished", LATER, status="Succeeded").to_json()),
    ],
    names: [b"{project}_{legal_entity}_{interval}.zip", b"Exports/Workers", b"{stem}{suffix}"],
    packed_answer: [zlib.compress(b"hello"), zlib.compress(b"{}", wbits=31)],
}
