"""Azurite, Microsoft's storage emulator, holds the same package as ours.

It is a witness twice: our reader gets from it what it gets from ours, and both give the same answers to requests that
no client library sends. Where Azurite deviates from the documented service, both answers are listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from tests.emulator.wire import Wire
from tests.emulator.witnesses.azurite_server import Azurite, azurite

from dmf_emulator import Emulator, Settings
from talent_dmf.api.errors import PackageLinkExpiredError, PackageNotAvailableError, SourceChangedError
from talent_dmf.api.package.download_range import Source, probe, read_range
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.transport.drivers import SyncDriver
from talent_dmf.transport.tls import TlsSettings

SIZE_BYTES = 3_000_001
LATER, EARLIER = "Fri, 23 Nov 2096 01:45:10 GMT", "Mon, 23 Nov 2009 01:45:10 GMT"


@dataclass(frozen=True)
class Twins:
    """The same package in both.

    :param name: of the blob in its container.
    :param ours: its signed address in ours.
    :param azurites: its signed address in Azurite.
    """

    wire: Wire
    azurite: Azurite
    content: bytes
    name: str
    ours: str
    azurites: str


@pytest.fixture(scope="module")
def twins(request: pytest.FixtureRequest) -> Iterator[Twins]:
    cache = getattr(request.config, "cache", None)
    assert cache is not None, "Azurite is kept in pytest's cache: do not switch that off"
    settings = Settings(package_size_bytes=SIZE_BYTES).with_export_seconds(0)
    with azurite(cache.mkdir("azurite")) as other, Emulator(settings) as emulator:
        wire = Wire(emulator)
        ours = wire.package_url()
        content = wire.session.get(ours).content
        name = unquote(urlsplit(ours).path).removeprefix("/temporary-file/")
        other.put(name, content)
        yield Twins(wire, other, content, name, ours, other.signed(name))


@pytest.fixture
def driver(twins: Twins) -> SyncDriver:
    """Our transport; it must not wait, because nothing that is tested here is worth another try."""

    def sleep(seconds: float) -> None:
        raise AssertionError(f"waited {seconds} s for a reason that will not change")

    return SyncDriver(tls=TlsSettings(verify=str(twins.wire.emulator.ca_file)), sleep=sleep)


def read(driver: SyncDriver, source: Source, offset: int, length: int) -> bytes:
    """Read a range by our own reader."""
    buffer = bytearray(length)
    driver.run(read_range(source, offset, memoryview(buffer)))
    return bytes(buffer)


@pytest.mark.parametrize("side", ["ours", "azurites"])
@pytest.mark.parametrize("chunk_bytes", [SIZE_BYTES, 1_000_000, 327_680])
def test_our_reader_reads_both(twins: Twins, driver: SyncDriver, side: str, chunk_bytes: int) -> None:
    source = driver.run(probe(SecretUrl(getattr(twins, side))))
    assert source.size_bytes == SIZE_BYTES
    assert re.fullmatch(r'"0x[0-9A-F]+"', source.etag)
    parts = (
        read(driver, source, offset, min(chunk_bytes, SIZE_BYTES - offset))
        for offset in range(0, SIZE_BYTES, chunk_bytes)
    )
    assert b"".join(parts) == twins.content


@pytest.mark.parametrize("side", ["ours", "azurites"])
def test_our_reader_names_a_bad_signature(twins: Twins, driver: SyncDriver, side: str) -> None:
    url = getattr(twins, side)
    forged = Source(SecretUrl(url.replace("sig=", "sig=A")), SIZE_BYTES, "")
    with pytest.raises(PackageLinkExpiredError, match="does not accept the package link"):
        driver.run(probe(forged.url))
    with pytest.raises(PackageLinkExpiredError, match="does not accept the package link"):
        read(driver, forged, 0, 10)


def test_our_reader_names_an_expired_link(twins: Twins, driver: SyncDriver) -> None:
    url = SecretUrl(twins.azurite.signed(twins.name, life_seconds=-1.0))
    with pytest.raises(PackageLinkExpiredError, match="expired"):
        driver.run(probe(url))


def test_our_reader_names_a_deleted_package(twins: Twins, driver: SyncDriver) -> None:
    url = SecretUrl(twins.azurite.signed("gone.zip"))
    with pytest.raises(PackageNotAvailableError, match="deleted 7 days after"):
        driver.run(probe(url))


def test_our_reader_notices_another_version(twins: Twins, driver: SyncDriver) -> None:
    twins.azurite.put("changing.zip", twins.content)
    source = driver.run(probe(SecretUrl(twins.azurite.signed("changing.zip"))))
    assert read(driver, source, 10, 10) == twins.content[10:20]
    twins.azurite.put("changing.zip", twins.content[::-1])
    with pytest.raises(SourceChangedError):
        read(driver, source, 20, 10)


@dataclass(frozen=True)
class Answer:
    """What both must agree on."""

    status: int
    code: str
    body: bytes
    headers: dict[str, str]


# Azurite leaves the rest out, or shows what it depends on chance: dates, ids, the port.
COMPARED_HEADERS = (
    "Accept-Ranges", "Content-Range", "x-ms-blob-type", "x-ms-lease-state", "x-ms-lease-status",
    "x-ms-server-encrypted", "x-ms-error-code",
)  # fmt: skip


def ask(twins: Twins, side: str, method: str, **headers: str) -> Answer:
    """Send a request; `@` in a header stands for the entity tag."""
    url: str = getattr(twins, side)
    etag = twins.wire.session.head(url).headers["ETag"]
    sent = {name.replace("_", "-"): value.replace("@", etag) for name, value in headers.items()}
    answer = twins.wire.session.request(method, url, headers=sent)
    found = re.search(r"<Code>(\w+)</Code>", answer.text) if answer.status_code >= 400 else None
    shown = {name: answer.headers[name] for name in COMPARED_HEADERS if name in answer.headers}
    if answer.ok and "Content-Length" in answer.headers:
        shown["Content-Length"] = answer.headers["Content-Length"]
    return Answer(answer.status_code, found[1] if found else "", answer.content if answer.ok else b"", shown)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Range": "bytes=0-99"},
        {"Range": "bytes=100-"},
        {"Range": "bytes=0-1", "x_ms_range": "bytes=5-9"},
        {"Range": f"bytes=100-{SIZE_BYTES + 99}"},
        {"Range": f"bytes={SIZE_BYTES - 1}-{SIZE_BYTES - 1}"},
        {"Range": "bytes=5-3"},
        {"Range": "bytes=0-1,3-4"},
        {"If_Match": "@"},
        {"If_Match": "*"},
        {"If_Match": '"0x1"'},
        {"If_Match": "0x1"},
        {"If_Match": "@", "Range": "bytes=0-9"},
        {"If_Match": '"0x1"', "Range": "bytes=0-9"},
        {"If_None_Match": "@"},
        {"If_None_Match": '"0x1"'},
        {"If_None_Match": "*"},
        {"If_None_Match": '"0x1"', "If_Modified_Since": LATER},
        {"If_Modified_Since": LATER},
        {"If_Modified_Since": EARLIER},
        {"If_Unmodified_Since": LATER},
        {"If_Unmodified_Since": EARLIER},
    ],
    ids=lambda headers: ", ".join(f"{name}: {value}" for name, value in headers.items()) or "plain",
)
def test_both_give_the_same_answer(twins: Twins, method: str, headers: dict[str, str]) -> None:
    assert ask(twins, "ours", method, **headers) == ask(twins, "azurites", method, **headers)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_both_refuse_to_write(twins: Twins, method: str) -> None:
    ours = ask(twins, "ours", method, x_ms_blob_type="BlockBlob")
    assert ours == ask(twins, "azurites", method, x_ms_blob_type="BlockBlob")
    assert (ours.status, ours.code) == (403, "AuthorizationPermissionMismatch")


@pytest.mark.parametrize(
    ("headers", "ours", "azurites"),
    [
        # "If the offset is invalid and exceeds the total length": "Specifying the range header for Blob service
        # operations".
        pytest.param({"Range": f"bytes={SIZE_BYTES}-"}, (416, "InvalidRange", 0), (206, "", 0), id="behind the end"),
        # A range of another unit is ignored (RFC 9110, 14.2).
        pytest.param({"Range": "lines=0-1"}, (200, "", SIZE_BYTES), (206, "", 2), id="another unit"),
    ],
)
def test_ranges_that_azurite_gets_wrong(
    twins: Twins, headers: dict[str, str], ours: tuple[int, str, int], azurites: tuple[int, str, int]
) -> None:
    for side, expected in (("ours", ours), ("azurites", azurites)):
        answer = ask(twins, side, "GET", **headers)
        assert (answer.status, answer.code, len(answer.body)) == expected


def _forged(url: str) -> str:
    return url.replace("sig=", "sig=A")


def _unsigned(url: str) -> str:
    return url.partition("?")[0]


@pytest.mark.parametrize(
    ("change", "ours"),
    [
        # docs/wire/dmf-package-api.md#reading-the-blob.
        pytest.param(_forged, (403, "AuthenticationFailed"), id="forged"),
        # "Configure anonymous read access": a private container is not shown.
        pytest.param(_unsigned, (404, "ResourceNotFound"), id="unsigned"),
    ],
)
def test_refusals_have_other_codes_in_azurite(
    twins: Twins, change: Callable[[str], str], ours: tuple[int, str]
) -> None:
    expected: dict[str, Any] = {"ours": ours, "azurites": (403, "AuthorizationFailure")}
    for side, facts in expected.items():
        answer = twins.wire.session.get(change(getattr(twins, side)))
        assert (answer.status_code, answer.headers["x-ms-error-code"]) == facts
