"""Microsoft's own storage client reads a package by its link.

It takes a host that is an IP address for a storage emulator, whose paths begin with the account's name, so its
properties `account_name` and `container_name` are wrong here; the address that it calls is the right one.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceModifiedError
from azure.core.exceptions import ResourceNotFoundError as NotFoundError
from azure.storage.blob import BlobClient, BlobType
from tests.emulator.wire import Start, Wire

from dmf_emulator import Settings

DAY_SECONDS = 86_400


def open_blob(wire: Wire, url: str, **options: Any) -> BlobClient:
    """Return a client that trusts the emulator and does not try again.

    :param url: signed address of the blob.
    """
    return BlobClient.from_blob_url(url, connection_verify=str(wire.emulator.ca_file), retry_total=0, **options)


@pytest.fixture
def url(wire: Wire) -> str:
    return wire.package_url()


@pytest.fixture
def content(wire: Wire, url: str) -> bytes:
    """The package, read by something else."""
    return wire.session.get(url).content


def test_properties(wire: Wire, url: str, content: bytes) -> None:
    blob = open_blob(wire, url)
    properties = blob.get_blob_properties()
    assert blob.url == url
    assert properties.size == len(content)
    assert properties.blob_type == BlobType.BLOCKBLOB
    assert properties.etag.startswith('"0x')
    assert timedelta(0) <= datetime.now(UTC) - properties.last_modified < timedelta(minutes=1)
    assert properties.last_modified == properties.creation_time
    assert properties.content_settings.content_type == "application/octet-stream"
    assert bytes(properties.content_settings.content_md5 or b"") == hashlib.md5(content, usedforsecurity=False).digest()
    assert (properties.lease.status, properties.lease.state) == ("unlocked", "available")
    assert properties.server_encrypted
    assert blob.exists()


def test_the_whole_package(wire: Wire, url: str) -> None:
    data = open_blob(wire, url).download_blob().readall()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {"Workers.xlsx", "Manifest.xml", "PackageHeader.xml"}


def test_parts_in_parallel_are_of_one_version(wire: Wire, url: str, content: bytes) -> None:
    """The client pins all parts after the first to the entity tag of the first."""
    blob = open_blob(wire, url, max_single_get_size=1000, max_chunk_get_size=700)
    wire.emulator.recorder.clear()
    assert blob.download_blob(max_concurrency=4).readall() == content
    parts = wire.records(action="GetBlob")
    starts = [0, *range(1000, len(content), 700)]
    assert {record.status for record in parts} == {206}
    assert sorted(int(record.range.removeprefix("bytes=").split("-")[0]) for record in parts) == starts
    assert [record.has_header("If-Match") for record in parts] == [False] + [True] * (len(starts) - 1)


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (10, 20), (5000, None), (-1, 1), (-1, 1000)])
def test_a_range(wire: Wire, url: str, content: bytes, offset: int, length: int | None) -> None:
    start = offset % len(content)
    data = open_blob(wire, url).download_blob(offset=start, length=length).readall()
    assert data == content[start:][:length]


def test_each_range_can_bring_its_own_md5(wire: Wire, url: str, content: bytes) -> None:
    """The client asks for it by `x-ms-range-get-content-md5` and compares."""
    blob = open_blob(wire, url, max_single_get_size=4096, max_chunk_get_size=4096)
    seen: list[str] = []
    download = blob.download_blob(
        validate_content=True, raw_response_hook=lambda answer: seen.append(answer.http_response.headers["Content-MD5"])
    )
    assert download.readall() == content
    assert len(set(seen)) == len(range(0, len(content), 4096))


@pytest.mark.parametrize(
    ("etag", "condition", "status"),
    [
        pytest.param("own", MatchConditions.IfNotModified, 200, id="If-Match fits"),
        pytest.param("other", MatchConditions.IfNotModified, 412, id="If-Match does not fit"),
        pytest.param("own", MatchConditions.IfModified, 304, id="If-None-Match fits"),
        pytest.param("other", MatchConditions.IfModified, 200, id="If-None-Match does not fit"),
    ],
)
def test_conditions_on_the_entity_tag(
    wire: Wire, url: str, content: bytes, etag: str, condition: MatchConditions, status: int
) -> None:
    blob = open_blob(wire, url)
    wanted = blob.get_blob_properties().etag if etag == "own" else '"0x8DC000000000000"'
    if status == 200:
        assert blob.download_blob(etag=wanted, match_condition=condition).readall() == content
        return
    with pytest.raises(ResourceModifiedError, match="ConditionNotMet") as refused:
        blob.download_blob(etag=wanted, match_condition=condition)
    assert refused.value.status_code == status


@pytest.mark.parametrize(
    ("condition", "hours", "status"),
    [
        ("if_modified_since", -1, 200),
        ("if_modified_since", 1, 304),
        ("if_unmodified_since", -1, 412),
        ("if_unmodified_since", 1, 200),
    ],
)
def test_conditions_on_the_time(wire: Wire, url: str, condition: str, hours: int, status: int) -> None:
    blob = open_blob(wire, url)
    options: Any = {condition: blob.get_blob_properties().last_modified + timedelta(hours=hours)}
    if status == 200:
        assert blob.download_blob(**options).size
        return
    with pytest.raises(HttpResponseError) as refused:
        blob.download_blob(**options)
    assert refused.value.status_code == status


def test_a_range_behind_the_end(wire: Wire, url: str, content: bytes) -> None:
    with pytest.raises(HttpResponseError, match="InvalidRange") as refused:
        open_blob(wire, url).download_blob(offset=len(content), length=1)
    assert refused.value.status_code == 416


def test_a_link_dies_and_a_new_one_reads_the_same_package(wire: Wire, url: str, content: bytes) -> None:
    blob = open_blob(wire, url)
    version = blob.get_blob_properties().etag
    wire.emulator.clock.advance(wire.emulator.settings.sas_lifetime_seconds + 1)
    with pytest.raises(ClientAuthenticationError, match=r"AuthenticationFailed(?s:.*)Signature not valid") as refused:
        blob.download_blob()
    assert refused.value.status_code == 403
    with pytest.raises(ClientAuthenticationError, match="AuthenticationFailed"):
        blob.get_blob_properties()

    wire.forget_tokens()
    execution_id = wire.records(action="ExportToPackage")[0].execution_id
    renewed = wire.action("GetExportedPackageUrl", executionId=execution_id).json()["value"]
    assert renewed != url
    fresh = open_blob(wire, renewed)
    assert fresh.download_blob(etag=version, match_condition=MatchConditions.IfNotModified).readall() == content


def test_a_link_that_dies_during_a_download(wire: Wire, url: str) -> None:
    download = open_blob(wire, url, max_single_get_size=1000, max_chunk_get_size=1000).download_blob()
    wire.emulator.clock.advance(wire.emulator.settings.sas_lifetime_seconds + 1)
    with pytest.raises(ClientAuthenticationError, match="AuthenticationFailed"):
        download.readall()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("sig=", "sig=A", id="another signature"),
        pytest.param("sp=r", "sp=rw", id="more rights"),
        pytest.param("se=20", "se=21", id="a longer life"),
        pytest.param("_DMFPackage", "_Other", id="another blob"),
        pytest.param("sr=b", "sr=c", id="the whole container"),
    ],
)
def test_a_link_that_was_tampered_with(wire: Wire, url: str, old: str, new: str) -> None:
    assert old in url
    with pytest.raises(ClientAuthenticationError, match="AuthenticationFailed") as refused:
        open_blob(wire, url.replace(old, new)).download_blob()
    assert refused.value.status_code == 403


def test_without_a_signature_nothing_is_there(wire: Wire, url: str) -> None:
    with pytest.raises(NotFoundError, match="ResourceNotFound"):
        open_blob(wire, url.partition("?")[0]).download_blob()


def test_a_link_only_reads(wire: Wire, url: str, content: bytes) -> None:
    blob = open_blob(wire, url)
    with pytest.raises(HttpResponseError, match="AuthorizationPermissionMismatch"):
        blob.upload_blob(b"other", overwrite=True)
    with pytest.raises(HttpResponseError, match="AuthorizationPermissionMismatch"):
        blob.delete_blob()
    assert blob.download_blob().readall() == content


def test_a_package_is_deleted_after_seven_days(start: Start) -> None:
    wire = start(Settings(sas_lifetime_seconds=30.0 * DAY_SECONDS).with_export_seconds(0))
    blob = open_blob(wire, wire.package_url())
    wire.emulator.clock.advance(6.9 * DAY_SECONDS)
    assert blob.exists()
    wire.emulator.clock.advance(0.2 * DAY_SECONDS)
    assert not blob.exists()
    with pytest.raises(NotFoundError, match="BlobNotFound"):
        blob.download_blob()
