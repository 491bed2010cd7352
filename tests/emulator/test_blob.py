"""Packages by link, as Azure Blob storage hands them out."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from dmf_emulator import Settings

if TYPE_CHECKING:
    from tests.emulator.wire import Start, Wire


def test_a_link_reads_the_package_without_a_bearer(wire: Wire) -> None:
    url = wire.package_url()
    answer = wire.session.get(url)
    assert answer.status_code == 200
    assert len(answer.content) == int(answer.headers["Content-Length"])
    assert answer.headers["Content-MD5"] == base64.b64encode(hashlib.md5(answer.content).digest()).decode()  # noqa: S324
    assert answer.headers["x-ms-blob-type"] == "BlockBlob"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert not wire.records(action="GetBlob")[0].has_header("Authorization")


def test_the_link_has_the_observed_form_and_life(wire: Wire) -> None:
    wire.emulator.clock.freeze()
    parts = urlsplit(wire.package_url())
    guid = "[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}"
    assert re.fullmatch(f"/temporary-file/%7B({guid})%7D/talent_package\\.zip_\\1_DMFPackage\\.zip", parts.path)
    query = parse_qs(parts.query)
    assert set(query) == {"sv", "sr", "sig", "st", "se", "sp"}
    assert (query["sr"], query["sp"]) == (["b"], ["r"])


@pytest.mark.parametrize(("seconds", "status"), [(0, 200), (3599, 200), (3601, 403)])
def test_the_link_expires_with_the_clock(wire: Wire, seconds: int, status: int) -> None:
    url = wire.package_url()
    wire.emulator.clock.freeze()
    wire.emulator.clock.advance(seconds)
    answer = wire.session.get(url)
    assert answer.status_code == status
    if status == 403:
        assert "<Code>AuthenticationFailed</Code>" in answer.text
        assert "Signature not valid in the specified time frame" in answer.text
        assert answer.headers["x-ms-error-code"] == "AuthenticationFailed"


@pytest.mark.parametrize(
    ("pattern", "replacement", "status"),
    [
        ("sig=[^&]*", "sig=AAAA", 403),
        ("se=[^&]*", "se=2099-01-01T00%3A00%3A00Z", 403),
        ("sp=r", "sp=rw", 403),
        (r"\?.*", "", 404),
        ("temporary-file", "other", 404),
        ("talent_package", "other", 403),
        ("sv=[^&]*", "sv=2020-12-06", 403),
        ("sv=[^&]*&", "", 403),
        ("$", "&si=policy", 403),
        ("$", "&rscd=attachment", 403),
        ("$", "&rsct=text%2Fhtml", 403),
        ("$", "&comp=metadata", 501),
        ("$", "&snapshot=2020-01-01T00%3A00%3A00.0000000Z", 501),
    ],
)
def test_a_changed_link_is_refused(wire: Wire, pattern: str, replacement: str, status: int) -> None:
    answer = wire.session.get(re.sub(pattern, replacement, wire.package_url()))
    assert answer.status_code == status
    assert "<Error><Code>" in answer.text


@pytest.mark.parametrize("name", ["Range", "x-ms-range"])
@pytest.mark.parametrize(
    ("value", "status", "first", "last"),
    [
        ("bytes=0-9", 206, 0, 9),
        ("bytes=100-", 206, 100, None),
        ("bytes=100-99999999", 206, 100, None),
        ("bytes=99999999-", 416, 0, 0),
        ("bytes=-5", 200, 0, None),
        ("lines=1-2", 200, 0, None),
    ],
)
def test_ranges(wire: Wire, name: str, value: str, status: int, first: int, last: int | None) -> None:
    url = wire.package_url()
    whole = wire.session.get(url)
    answer = wire.session.get(url, headers={name: value})
    assert answer.status_code == status
    size = len(whole.content)
    if status == 206:
        end = size - 1 if last is None else last
        assert answer.content == whole.content[first : end + 1]
        assert answer.headers["Content-Range"] == f"bytes {first}-{end}/{size}"
        assert answer.headers["ETag"] == whole.headers["ETag"]
    elif status == 416:
        assert answer.headers["Content-Range"] == f"bytes */{size}"
    else:
        assert answer.content == whole.content


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("If-Match", "{etag}", 206),
        ("If-Match", "*", 206),
        ("If-Match", '"0xOTHER"', 412),
        ("If-None-Match", "{etag}", 304),
        ("If-None-Match", '"0xOTHER"', 206),
        ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT", 304),
        ("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT", 412),
        ("If-Unmodified-Since", "no date", 206),
        ("If-Unmodified-Since", "Fri, 31 Dec 9999 23:59:59 -2359", 206),
        ("If-Match", '"0xOTHER", {etag}', 206),
    ],
)
def test_conditions(wire: Wire, name: str, value: str, status: int) -> None:
    url = wire.package_url()
    etag = wire.session.head(url).headers["ETag"]
    headers = {name: value.format(etag=etag), "Range": "bytes=0-9"}
    assert wire.session.get(url, headers=headers).status_code == status


def test_head_tells_the_size_and_errors_have_no_body(wire: Wire) -> None:
    url = wire.package_url()
    size = len(wire.session.get(url).content)
    answer = wire.session.head(url)
    assert (answer.status_code, int(answer.headers["Content-Length"])) == (200, size)
    refused = wire.session.head(url.replace("sp=r", "sp=w"))
    assert (refused.status_code, refused.headers["x-ms-error-code"]) == (403, "AuthenticationFailed")


def test_writing_is_not_permitted(wire: Wire) -> None:
    assert wire.session.put(wire.package_url(), data=b"x").status_code == 403


def test_a_large_package_is_a_stream_of_the_wanted_size(start: Start) -> None:
    size = 3 * 1024**3
    wire = start(Settings(package_size_bytes=size).with_export_seconds(0))
    url = wire.package_url()
    assert int(wire.session.head(url).headers["Content-Length"]) == size
    tail = wire.session.get(url, headers={"Range": f"bytes={size - 22}-"})
    assert (tail.status_code, len(tail.content)) == (206, 22)


def test_two_readings_give_the_same_bytes(wire: Wire) -> None:
    execution_id = wire.export().json()["value"]
    links = [wire.action("GetExportedPackageUrl", executionId=execution_id).json()["value"] for _ in range(2)]
    first, second = (wire.session.get(link) for link in links)
    assert first.content == second.content
    assert first.headers["ETag"] == second.headers["ETag"]


def test_a_link_may_be_signed_by_a_delegated_key(start: Start) -> None:
    wire = start(Settings(sas_kind="user-delegation").with_export_seconds(0))
    link = wire.package_url()
    query = parse_qs(urlsplit(link).query)
    assert {"skoid", "sktid", "skt", "ske", "sks", "skv"} <= set(query)
    assert wire.session.get(link).status_code == 200
    for name in ("skoid", "ske", "sig", "se", "sv"):
        changed = {**{key: values[0] for key, values in query.items()}, name: "2030-01-01T00:00:00Z"}
        assert wire.session.get(link.partition("?")[0], params=changed).status_code == 403
    for extra in ("rscd=attachment", "sip=1.2.3.4", "spr=https", "saoid=x", "ses=scope"):
        assert wire.session.get(f"{link}&{extra}").status_code == 403
    wire.emulator.clock.advance(3601)
    assert wire.session.get(link).status_code == 403


def test_the_clients_own_id_comes_back(wire: Wire) -> None:
    answer = wire.session.get(wire.package_url(), headers={"x-ms-client-request-id": "mine"})
    assert answer.headers["x-ms-client-request-id"] == "mine"
    assert answer.headers["Date"].endswith("GMT")
