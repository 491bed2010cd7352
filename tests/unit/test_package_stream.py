"""Files inside of packages, read by ranges over a socket: all kinds, expired links, changed and damaged blobs."""

from __future__ import annotations

import io
import itertools
import random
import re
import struct
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from types import SimpleNamespace

import pytest
from tests.unit.loopback import Received, serve

from talent_dmf.api.errors import (
    PackageInvalidError,
    PackageLinkExpiredError,
    SourceChangedError,
    TransferStoppedError,
)
from talent_dmf.api.graph.quickxor import QuickXor
from talent_dmf.api.package.checking import PackageCheck
from talent_dmf.api.package.directory import PackageEntry
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import Response
from talent_dmf.package_source.source import FileReading, PackageFile, PackageSource
from talent_dmf.transport.drivers import SyncDriver

CHUNK_BYTES = 1600
ROWS = b"".join(b"%06d;Worker\r\n" % number for number in range(1500))
NOISE = random.Random(5).randbytes(12_345)


class Storage:
    """A blob that answers ranges, as far as a link is valid."""

    def __init__(self, data: bytes) -> None:
        self.data, self.edition, self.links = data, 1, 0
        self.refuses: Callable[[int], bool] = lambda _: False
        self.ranges: list[tuple[int, int]] = []

    def __call__(self, request: Received) -> Response:
        link = int(request.path.rpartition("=")[2])
        etag = f'"copy {link} of edition {self.edition}"'
        if request.method == "HEAD":
            return Response(200, {"Content-Length": str(len(self.data)), "ETag": etag})
        if self.refuses(len(self.ranges)) and link == self.links:
            return Response(
                403, {"Content-Type": "application/xml"}, b"<Error><Code>AuthenticationFailed</Code></Error>"
            )
        if request.headers.get("if-match", etag) != etag:
            return Response(412)
        first, last = (int(text) for text in re.findall(r"\d+", request.headers["range"]))
        self.ranges.append((first, last))
        body = self.data[first : last + 1]
        place = f"bytes {first}-{first + len(body) - 1}/{len(self.data)}"
        return Response(206, {"Content-Range": place, "ETag": etag}, body)


class ServedPackage:
    """A source over a storage."""

    def __init__(self, url: str, storage: Storage, driver: SyncDriver) -> None:
        self.url, self.storage = url, storage
        self.source = PackageSource(driver, self.fresh_link, chunk_bytes=CHUNK_BYTES, request_bytes=CHUNK_BYTES)

    def fresh_link(self) -> SecretUrl:
        self.storage.links += 1
        return SecretUrl(f"{self.url}/package.zip?sig={self.storage.links}")

    def read(self, file: PackageFile) -> bytes:
        out = bytearray()
        with closing(FileReading(self.source, file, sha256=True)) as reading:
            for chunk in reading.chunks():
                assert chunk.offset == len(out)
                out += chunk.data
        assert reading.digests.folded_bytes == len(out)
        return bytes(out)

    def asked(self) -> list[tuple[int, int]]:
        """The ranges that were read, without the end of the package that tells its content."""
        return [(first, last) for first, last in self.storage.ranges if last + 1 < len(self.storage.data)]

    def entry(self, info: zipfile.ZipInfo, **changes: int) -> PackageFile:
        facts = {
            "size_bytes": info.file_size,
            "compressed_bytes": info.compress_size,
            "header_offset": info.header_offset,
            "method": info.compress_type,
            "crc32": info.CRC,
        } | changes
        entry = PackageEntry(info.filename, **facts)
        return PackageFile("x", entry.size_bytes, "version", entry=entry)


@pytest.fixture
def serve_package() -> Iterator[Callable[[bytes], ServedPackage]]:
    with ExitStack() as stack:
        driver = stack.enter_context(
            SyncDriver(sleep=lambda _: None, policy=RetryPolicy(max_attempts=2, base_seconds=0.0))
        )

        def make(data: bytes) -> ServedPackage:
            storage = Storage(data)
            return ServedPackage(stack.enter_context(serve(storage)).url, storage, driver)

        yield make
    assert not [thread for thread in threading.enumerate() if thread.name == "package-reader"]


class Pipe(io.RawIOBase):
    """A file that cannot be sought in: zipfile then writes sizes and checksums behind the data."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.data += data  # type: ignore[operator]
        return len(data)  # type: ignore[arg-type]


def archive(kind: str) -> tuple[bytes, dict[str, zipfile.ZipInfo]]:
    """An archive of two files."""
    method = zipfile.ZIP_STORED if "stored" in kind else zipfile.ZIP_DEFLATED
    target = Pipe() if "piped" in kind else io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as made:
        for name, data in (("Workers.csv", ROWS), ("Noise.bin", NOISE)):
            info = zipfile.ZipInfo(name, (2026, 11, 23, 0, 0, 0))
            info.compress_type = method
            if "extra" in kind:
                info.extra = struct.pack("<HH", 0x9999, 700) + bytes(700)
            with made.open(info, "w", force_zip64="zip64" in kind) as file:
                file.write(data)
        infos = {info.filename: info for info in made.infolist()}
    return (bytes(target.data) if isinstance(target, Pipe) else target.getvalue()), infos


@pytest.mark.parametrize("kind", ["deflated", "stored", "deflated zip64", "stored zip64", "deflated piped", "extra"])
def test_every_kind_of_entry_comes_out_whole(serve_package: Callable[[bytes], ServedPackage], kind: str) -> None:
    data, infos = archive(kind)
    at = serve_package(data)
    assert at.read(at.entry(infos["Workers.csv"])) == ROWS
    assert at.read(at.entry(infos["Noise.bin"])) == NOISE
    assert at.storage.links == 1
    assert at.asked()[0] == (0, 29)
    assert max(last - first + 1 for first, last in at.asked()) <= CHUNK_BYTES


def test_only_the_bytes_of_the_entry_are_read(serve_package: Callable[[bytes], ServedPackage]) -> None:
    data, infos = archive("deflated")
    at, info = serve_package(data), infos["Workers.csv"]
    at.read(at.entry(info))
    assert sum(last - first + 1 for first, last in at.asked()) == 30 + info.compress_size


@pytest.mark.parametrize("kind", ["deflated", "stored"])
@pytest.mark.parametrize("refused_at", [0, 1, 2, 4])
def test_a_link_that_expires_is_replaced(
    serve_package: Callable[[bytes], ServedPackage], kind: str, refused_at: int
) -> None:
    data, infos = archive(kind)
    at = serve_package(data)
    at.storage.refuses = lambda count: count >= refused_at and at.storage.links == 1
    assert at.read(at.entry(infos["Noise.bin"])) == NOISE
    assert at.storage.links == 2


def test_the_next_file_uses_the_link_that_was_good_for_the_last(
    serve_package: Callable[[bytes], ServedPackage],
) -> None:
    data, infos = archive("deflated")
    at = serve_package(data)
    for _ in range(3):
        at.read(at.entry(infos["Workers.csv"]))
    assert at.storage.links == 1


def test_links_that_are_never_accepted_end_it(serve_package: Callable[[bytes], ServedPackage]) -> None:
    data, infos = archive("deflated")
    at = serve_package(data)
    at.storage.refuses = lambda _: True
    with pytest.raises(PackageLinkExpiredError):
        at.read(at.entry(infos["Workers.csv"]))
    assert at.storage.links == 2


def test_a_package_that_changes_is_no_mixture(serve_package: Callable[[bytes], ServedPackage]) -> None:
    data, infos = archive("stored")
    at = serve_package(data)
    file = at.entry(infos["Noise.bin"])
    at.read(file)
    at.storage.edition = 2
    with pytest.raises(SourceChangedError):
        at.read(file)


def test_a_fresh_link_to_another_content_is_no_mixture(serve_package: Callable[[bytes], ServedPackage]) -> None:
    data, infos = archive("stored")
    at = serve_package(data)

    def refuses(count: int) -> bool:
        if count >= 3 and at.storage.links == 1:
            at.storage.data = data[:-1] + b"?"
            return True
        return False

    at.storage.refuses = refuses
    with pytest.raises(SourceChangedError, match="made anew"):
        at.read(at.entry(infos["Noise.bin"]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"header_offset": 1}, "where the zip directory says"),
        ({"header_offset": 10**12}, "where the zip directory says"),
        ({"compressed_bytes": 10**6}, "where the zip directory says"),
        ({"crc32": 7}, "checksum"),
        ({"size_bytes": len(NOISE) - 1}, "longer"),
        ({"size_bytes": len(NOISE) + 1}, "shorter"),
    ],
)
def test_a_directory_that_lies_is_found_out(
    serve_package: Callable[[bytes], ServedPackage], changes: dict[str, int], words: str
) -> None:
    data, infos = archive("stored")
    at = serve_package(data)
    with pytest.raises(PackageInvalidError, match=words):
        at.read(at.entry(infos["Noise.bin"], **changes))


@pytest.mark.parametrize("kind", ["deflated", "stored"])
def test_the_last_chunk_of_a_damaged_file_is_never_given_out(
    serve_package: Callable[[bytes], ServedPackage], kind: str
) -> None:
    data, infos = archive(kind)
    info = infos["Noise.bin"]
    broken = bytearray(data)
    broken[info.header_offset + 30 + len(info.filename) + 50] ^= 1
    at, seen = serve_package(bytes(broken)), []
    with (
        pytest.raises(PackageInvalidError, match="damaged"),
        closing(FileReading(at.source, at.entry(info))) as reading,
    ):
        seen.extend(chunk.end for chunk in reading.chunks())
    assert max(seen, default=0) < len(NOISE)


def test_an_entry_of_no_bytes_needs_no_request(serve_package: Callable[[bytes], ServedPackage]) -> None:
    at = serve_package(archive("deflated")[0])
    assert at.read(PackageFile("x", 0, "etag")) == b""
    assert at.storage.ranges == []


def test_a_reading_that_is_cancelled_leaves_no_thread(serve_package: Callable[[bytes], ServedPackage]) -> None:
    data, infos = archive("deflated")
    at = serve_package(data)
    at.source.stop.set()
    with pytest.raises(TransferStoppedError):
        at.read(at.entry(infos["Workers.csv"]))


def test_memory_does_not_grow_with_the_file(serve_package: Callable[[bytes], ServedPackage]) -> None:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as made, made.open("big.csv", "w") as file:
        for _ in range(10):
            file.write(b"the same row again and again\r\n" * 20_000)
    (info,) = made.infolist()
    at = serve_package(memory.getvalue())
    at.source.chunk_bytes = 64_000
    assert info.file_size == 6_000_000
    tracemalloc.start()
    try:
        at.source.digests(at.entry(info))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_500_000


def test_links_that_are_good_for_a_look_only_end_it(serve_package: Callable[[bytes], ServedPackage]) -> None:
    """Each fresh link still shows the end of the package, and none gives a byte of the file."""
    data, infos = archive("deflated")
    at, calls = serve_package(data), itertools.count()
    at.storage.refuses = lambda _: next(calls) in {1, 3, 5}
    with pytest.raises(PackageLinkExpiredError):
        at.read(at.entry(infos["Workers.csv"]))
    assert at.storage.links == 3


def test_links_that_expire_again_and_again_are_replaced_while_it_goes_on(
    serve_package: Callable[[bytes], ServedPackage],
) -> None:
    data, _ = archive("stored")
    at, calls = serve_package(data), itertools.count()
    at.storage.refuses = lambda _: next(calls) in {1, 3, 7, 9, 13, 15, 19}
    assert at.read(PackageFile("x", len(data), "version")) == data
    assert at.storage.links == 8


def test_a_link_that_expires_before_the_package_is_looked_into(serve_package: Callable[[bytes], ServedPackage]) -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as package:
        # So far from the end that another range is read for it.
        package.writestr("Manifest.xml", "no manifest")
        package.writestr("Noise.bin", random.Random(6).randbytes(200_000))
    at = serve_package(written.getvalue())
    assert at.source.version.etag == '"copy 1 of edition 1"'
    at.storage.refuses = lambda _: at.storage.links == 1
    with pytest.raises(PackageInvalidError, match=r"no PackageHeader\.xml"):
        at.source.contents()
    assert at.storage.links == 2


@pytest.mark.parametrize("kind", ["deflated", "stored"])
@pytest.mark.parametrize("start", [1, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7])
def test_a_file_is_taken_up_at_any_byte(serve_package: Callable[[bytes], ServedPackage], kind: str, start: int) -> None:
    data, infos = archive(kind)
    at = serve_package(data)
    out = bytearray()
    with closing(FileReading(at.source, at.entry(infos["Noise.bin"]))) as reading:
        reading.know(QuickXor(NOISE[:start]).state())
        while start + len(out) < len(NOISE):
            chunk = reading.next(start + len(out))
            assert chunk.offset == start + len(out)
            out += chunk.data
            reading.release(chunk)
    assert out == NOISE[start:]
    assert reading.digests.quick_xor.base64() == QuickXor(NOISE).base64()


@pytest.mark.parametrize("beyond", [-29, -1, 0])
def test_a_place_at_the_very_end_is_found_out_without_a_request(
    serve_package: Callable[[bytes], ServedPackage], beyond: int
) -> None:
    data, infos = archive("stored")
    at = serve_package(data)
    with pytest.raises(PackageInvalidError, match="where the zip directory says"):
        at.read(at.entry(infos["Noise.bin"], header_offset=len(data) + beyond))
    assert at.asked() == []


@pytest.mark.parametrize("refused_at", [4, 7, 11])
def test_what_is_read_again_for_the_check_only_is_not_given_out_again(
    serve_package: Callable[[bytes], ServedPackage], monkeypatch: pytest.MonkeyPatch, refused_at: int
) -> None:
    """The check is behind when a link is refused: the next reader begins where the check stands."""
    feed = PackageCheck.feed
    monkeypatch.setattr(PackageCheck, "feed", lambda *given: (time.sleep(0.01), feed(*given)))
    data, infos = archive("stored")
    at = serve_package(data)
    entries = [at.entry(info).entry for info in infos.values()]
    at.source.check_entries = True
    at.source._contents = at.source.version.version, SimpleNamespace(entries=entries)  # type: ignore[assignment]
    at.storage.refuses = lambda count: count >= refused_at and at.storage.links == 1
    assert at.read(at.source.whole("x")) == data
    assert at.storage.links == 2


def test_a_reading_for_another_place_begins_anew(serve_package: Callable[[bytes], ServedPackage]) -> None:
    data, infos = archive("stored")
    at = serve_package(data)
    skipped: list[int] = []
    with closing(FileReading(at.source, at.entry(infos["Noise.bin"]))) as reading:
        reading.seek(0)
        chunk = reading.chunk_at(CHUNK_BYTES + 7, on_skip=lambda: skipped.append(1))
        assert chunk.offset == CHUNK_BYTES + 7
        assert bytes(chunk.data) == NOISE[CHUNK_BYTES + 7 :][: len(chunk.data)]
    assert len(skipped) >= 2
