"""Files inside of a package: their names, and their bytes out of archives that are whole, odd or damaged."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zipfile
import zlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scripted import play

from talent_dmf.api.errors import ConfigurationError, DestinationError, PackageInvalidError, TalentDmfError
from talent_dmf.api.naming.file_names import (
    DEFAULT_UNPACK_NAME,
    UNPACK_PLACEHOLDERS,
    FileNameFacts,
    check_unpack_name,
)
from talent_dmf.api.package.directory import PackageContents, PackageEntity, PackageEntry
from talent_dmf.api.package.download_range import Source
from talent_dmf.api.package.unpacking import EntryDecoder, find_data, plan_unpacking
from talent_dmf.api.redaction import SecretUrl
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import Request, Response

FACTS = FileNameFacts(
    project="Export Workers",
    legal_entity="USMF",
    execution_id="id",
    run="manual",
    interval_start=datetime(2026, 11, 22, tzinfo=UTC),
    extracted_at=datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC),
)


def contents(*files: tuple[str, str], **changes: object) -> PackageContents:
    entries = tuple(replace(PackageEntry(name, 10, 8, 0, 8, 1), **changes) for _, name in files)
    entities = tuple(PackageEntity(label, "", name, "EXCEL", 10) for label, name in files)
    return PackageContents("Export Workers", entities, entries)


def names(template: str, *files: tuple[str, str]) -> list[str]:
    return [file.name for file in plan_unpacking(contents(*files), template, FACTS)]


def test_the_default_names_keep_entities_runs_and_companies_apart() -> None:
    assert names(DEFAULT_UNPACK_NAME, ("Workers", "Workers.xlsx"), ("Country/regions", "Countryregions.csv")) == [
        "Export Workers_USMF_2026-11-22_20261123T010203Z_Workers.xlsx",
        "Export Workers_USMF_2026-11-22_20261123T010203Z_Country_regions.csv",
    ]


@pytest.mark.parametrize(
    ("template", "label", "file_name", "expected"),
    [
        ("{stem}{suffix}", "Workers", "Workers.xlsx", "Workers.xlsx"),
        ("{stem}{suffix}", "Workers", "Workers", "Workers"),
        ("{stem}{suffix}", "Workers", ".xlsx", ".xlsx"),
        ("{stem}{suffix}", "a", "a.b.csv", "a.b.csv"),
        ("{entity}.txt", "A/../B", "x.csv", "A_.._B.txt"),
        ("{entity}{suffix}", "..\\..\\etc\\passwd", "x.csv", ".._.._etc_passwd.csv"),
        ("{entity}{suffix}", "100% #1", "x.csv", "100_ _1.csv"),
        ("x{entity}{suffix}", "CON", "x.csv", "x_CON.csv"),
    ],
)
def test_names_are_made_from_the_template_and_harmless(
    template: str, label: str, file_name: str, expected: str
) -> None:
    assert names(template, (label, file_name)) == [expected]


@given(label=st.text(max_size=80), stem=st.text(min_size=1, max_size=40), suffix=st.text(max_size=10))
def test_no_label_or_file_name_leaves_the_folder(label: str, stem: str, suffix: str) -> None:
    try:
        made = names(DEFAULT_UNPACK_NAME, (label, f"{stem}.{suffix}"))
    except DestinationError:
        return
    assert not set("".join(made)) & set('/\\:*?"<>|\0#%')
    assert not made[0].startswith(".")


@pytest.mark.parametrize(
    ("template", "error", "words"),
    [
        ("{project}{suffix}", ConfigurationError, "same for every entity"),
        ("{entity}/{suffix}", DestinationError, "'/'"),
        ("../{entity}", DestinationError, "'/'"),
        ("{entity", ConfigurationError, "unbalanced"),
        ("{entity}{colour}", ConfigurationError, "{stem}"),
    ],
)
def test_a_template_that_cannot_name_files_is_refused(template: str, error: type[TalentDmfError], words: str) -> None:
    with pytest.raises(error, match=words.replace("{", r"\{")):
        check_unpack_name(template)


def test_every_placeholder_is_known() -> None:
    template = "".join("{" + name + "}" for name in UNPACK_PLACEHOLDERS)
    assert names(template, ("Workers", "W.xlsx"))[0].endswith("WorkersW.xlsx")


def test_two_files_never_get_one_name() -> None:
    with pytest.raises(ConfigurationError, match="'a/b' would be unpacked as 'a_b', and so is the entity 'A_B'"):
        names("{entity}", ("A_B", "1"), ("a/b", "2"))


def test_two_entities_of_one_label_never_get_one_name() -> None:
    files = ("Workers", "Workers.csv"), ("Workers", "Workers1.csv")
    with pytest.raises(ConfigurationError, match=r"'Workers' would be unpacked as 'Workers\.csv', and so is"):
        names("{entity}{suffix}", *files)
    assert names("{entity}_{stem}{suffix}", *files) == ["Workers_Workers.csv", "Workers_Workers1.csv"]


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"so is the file 'workers\.zip'"):
        plan_unpacking(contents(("WORKERS", "w.zip")), "{entity}{suffix}", FACTS, taken=["workers.zip"])


def test_a_data_file_of_two_entities_is_unpacked_once() -> None:
    assert names("{entity}{suffix}", ("Workers", "W.csv"), ("Workers V2", "W.csv")) == ["Workers.csv"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": 12}, "packed by method 12"),
        ({"method": 0}, "two lengths differ"),
        ({"size_bytes": 0}, "checksum"),
    ],
)
def test_a_file_that_no_export_holds_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(PackageInvalidError, match=words):
        plan_unpacking(contents(("Workers", "w.csv"), **changes), DEFAULT_UNPACK_NAME, FACTS)


def packed(data: bytes, method: int) -> tuple[PackageEntry, bytes]:
    """A file as zipfile packs it, and its packed bytes."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", method) as archive:
        archive.writestr("a", data)
        info = archive.getinfo("a")
    start = info.header_offset + 30 + len("a")
    entry = PackageEntry("a", info.file_size, info.compress_size, info.header_offset, info.compress_type, info.CRC)
    return entry, memory.getvalue()[start : start + info.compress_size]


def unpacked(entry: PackageEntry, raw: bytes, slice_bytes: int, fill_bytes: int) -> bytes:
    """What a decoder makes of packed bytes that arrive in slices."""
    position = 0

    def more() -> memoryview:
        nonlocal position
        piece = memoryview(raw)[position : position + slice_bytes]
        position += len(piece)
        return piece

    decoder, out = EntryDecoder(entry), bytearray()
    while len(out) < entry.size_bytes:
        into = bytearray(min(fill_bytes, entry.size_bytes - len(out)))
        decoder.fill(memoryview(into), more)
        out += into
    return bytes(out)


@given(
    data=st.one_of(st.binary(min_size=1, max_size=5000), st.integers(1, 200_000).map(lambda size: b"row;" * size)),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    slice_bytes=st.integers(1, 70_000),
    fill_bytes=st.integers(1000, 300_000),
)
def test_what_was_packed_comes_out(data: bytes, method: int, slice_bytes: int, fill_bytes: int) -> None:
    entry, raw = packed(data, method)
    assert unpacked(entry, raw, max(slice_bytes, len(raw) // 200), max(fill_bytes, len(data) // 200)) == data


ENTRY = PackageEntry("a", 10, 10, 0, 8, 1)
# A name of one byte, and an extra field of twenty.
LOCAL_HEADER = struct.pack("<4s22xHH", b"PK\x03\x04", 1, 20)
DATA = random.Random(3).randbytes(3000) + b"row;" * 3000


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("position", [0, 1500, -20])
def test_a_flipped_bit_never_gets_through(method: int, position: int) -> None:
    entry, raw = packed(DATA, method)
    broken = bytearray(raw)
    broken[position] ^= 4
    with pytest.raises(PackageInvalidError, match="damaged"):
        unpacked(entry, bytes(broken), 512, 1000)


@pytest.mark.parametrize(
    ("method", "change", "words"),
    [
        (zipfile.ZIP_STORED, {"size_bytes": len(DATA) - 1}, "longer"),
        (zipfile.ZIP_STORED, {"size_bytes": len(DATA) + 1}, "shorter"),
        (zipfile.ZIP_DEFLATED, {"size_bytes": len(DATA) - 1}, "longer"),
        (zipfile.ZIP_DEFLATED, {"size_bytes": len(DATA) + 1}, "shorter"),
        (zipfile.ZIP_STORED, {"crc32": zlib.crc32(b"other")}, "checksum"),
        (zipfile.ZIP_DEFLATED, {"crc32": zlib.crc32(b"other")}, "checksum"),
    ],
)
def test_a_directory_that_lies_is_found_out(method: int, change: dict[str, int], words: str) -> None:
    entry, raw = packed(DATA, method)
    with pytest.raises(PackageInvalidError, match=words):
        unpacked(replace(entry, **change), raw, 700, 1000)


def test_packed_bytes_that_end_early_are_found_out() -> None:
    entry, raw = packed(DATA, zipfile.ZIP_DEFLATED)
    # All bytes come out of what is left, but the mark of the end is missing.
    compressor = zlib.compressobj(wbits=-15)
    open_end = compressor.compress(DATA) + compressor.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(PackageInvalidError, match="cut short"):
        unpacked(entry, open_end, 700, 1000)
    with pytest.raises(PackageInvalidError, match="shorter"):
        unpacked(entry, raw[:-20], 700, 1000)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_packed_bytes_may_come_one_by_one(method: int) -> None:
    entry, raw = packed(b"row;" * 50, method)
    assert unpacked(entry, raw, 1, 7) == b"row;" * 50


@pytest.mark.parametrize("place", [-1, 80, 10**9])
def test_a_file_that_cannot_lie_there_is_not_asked_for(place: int) -> None:
    source = Source(SecretUrl("https://b/p.zip"), 100, "")
    played = play(find_data(source, replace(ENTRY, header_offset=place)), [])
    assert "'a' in the package is damaged: it does not lie where the zip directory says" in str(played.error)
    assert played.requests == []


@pytest.mark.parametrize(
    ("header", "compressed_bytes", "start"),
    [
        (LOCAL_HEADER, 10, 30 + 1 + 20),
        (LOCAL_HEADER, 100 - 51, 51),
        (LOCAL_HEADER, 100 - 50, None),
        (b"PK\x01\x02" + LOCAL_HEADER[4:], 10, None),
    ],
    ids=["sound", "up to the end", "beyond the end", "another signature"],
)
def test_the_first_packed_byte_lies_behind_the_local_header(
    header: bytes, compressed_bytes: int, start: int | None
) -> None:
    steps = find_data(Source(SecretUrl("https://b/p.zip"), 100, ""), replace(ENTRY, compressed_bytes=compressed_bytes))
    next(steps)
    request = steps.send(RetryPolicy())
    assert isinstance(request, Request)
    assert request.headers == {"Range": "bytes=0-29"}
    assert request.into is not None
    request.into[:] = header
    whole = Response(206, {"content-range": "bytes 0-29/100"}, b"", 30)
    with pytest.raises(StopIteration if start is not None else PackageInvalidError) as ended:
        steps.send(whole)
    assert getattr(ended.value, "value", None) == start


def test_a_bomb_fills_no_memory() -> None:
    bomb, raw = packed(bytes(10_000_000), zipfile.ZIP_DEFLATED)
    handed_out: list[int] = []

    def more() -> memoryview:
        handed_out.append(1)
        return memoryview(raw) if len(handed_out) == 1 else memoryview(b"")

    decoder, into = EntryDecoder(replace(bomb, size_bytes=1000)), memoryview(bytearray(1000))
    tracemalloc.start()
    try:
        with pytest.raises(PackageInvalidError, match="longer"):
            decoder.fill(into, more)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert len(handed_out) == 1
