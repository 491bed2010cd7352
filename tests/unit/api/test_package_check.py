"""The checksums of a package while its bytes pass: in any division, with any kind of zip, from any entry on."""

from __future__ import annotations

import io
import random
import re
import zipfile
import zlib
from dataclasses import replace
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talent_dmf.api.errors import PackageInvalidError
from talent_dmf.api.package.checking import PackageCheck
from talent_dmf.api.package.directory import PackageEntry
from talent_dmf.package_source.inflating import INFLATING

FILES = {
    "Workers.csv": b"".join(b"%06d;Worker\r\n" % number for number in range(4000)),
    "Noise.bin": random.Random(3).randbytes(30_000),
    "Empty.csv": b"",
    # What comes out of zlib in one piece, and a little more that it still holds when all has gone in.
    "Zeros.bin": bytes((1 << 20) + 5),
}


class Pipe(io.BytesIO):
    """A file that cannot be sought in: zipfile then writes lengths and checksums behind the data."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        raise io.UnsupportedOperation


def zipped(method: int, target: io.BytesIO | None = None) -> bytes:
    made = target or io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    return made.getvalue()


def entries(data: bytes) -> list[PackageEntry]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
    return [
        PackageEntry(i.filename, i.file_size, i.compress_size, i.header_offset, i.compress_type, i.CRC) for i in infos
    ]


def pass_through(check: PackageCheck, data: bytes, step: int, start: int = 0) -> None:
    for offset in range(start, len(data), step):
        check.feed(offset, memoryview(data)[offset : offset + step])
    check.finish()


PACKAGES = {
    "stored": zipped(zipfile.ZIP_STORED),
    "deflated": zipped(zipfile.ZIP_DEFLATED),
    "piped": zipped(zipfile.ZIP_DEFLATED, Pipe()),
    "lzma": zipped(zipfile.ZIP_LZMA),
}


# Python's own, and the faster one where it is installed.
LIBRARIES = list(dict.fromkeys((zlib, INFLATING)))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", sorted(PACKAGES))
@pytest.mark.parametrize("step", [7, 1000, 1 << 20, 1 << 30])
def test_a_sound_package_passes_in_any_division(kind: str, step: int, library: ModuleType) -> None:
    data = PACKAGES[kind]
    if step == 7 and len(data) > 500_000:
        step = 4093
    check = PackageCheck(entries(data), library=library)
    pass_through(check, data, step)
    assert check.position == len(data)


@given(
    kind=st.sampled_from(["stored", "deflated", "piped"]),
    at=st.floats(0, 1),
    bit=st.integers(0, 7),
    library=st.sampled_from(LIBRARIES),
)
def test_one_wrong_bit_in_a_data_file_is_found(kind: str, at: float, bit: int, library: ModuleType) -> None:
    data = PACKAGES[kind]
    known = entries(data)
    broken = bytearray(data)
    first, last = known[0], known[1]
    begin = first.header_offset + 30 + len(first.name)
    position = begin + int(at * (last.header_offset - begin - 17 * (kind == "piped") - 1))
    broken[position] ^= 1 << bit
    found = False
    try:
        pass_through(PackageCheck(known, library=library), bytes(broken), 9973)
    except PackageInvalidError:
        found = True
    if not found:
        # Deflate has bits of no meaning; then what comes out is what it was.
        with zipfile.ZipFile(io.BytesIO(broken)) as archive:
            assert archive.read(first.name) == FILES[first.name]


def test_lengths_and_checksums_behind_the_data_are_passed_over() -> None:
    (first, second, *_), data = entries(PACKAGES["piped"]), PACKAGES["piped"]
    end = first.header_offset + 30 + len(first.name) + first.compressed_bytes
    assert data[end : second.header_offset].startswith(b"PK\x07\x08")


@pytest.mark.parametrize("kind", ["stored", "deflated"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"header_offset": 1}, "it does not lie where the zip directory says"),
        ({"size_bytes": 5}, "it is longer than the zip directory says"),
        ({"size_bytes": 10**6}, "it is shorter than the zip directory says"),
        ({"crc32": 7}, "its checksum is wrong"),
    ],
)
def test_a_directory_that_lies_is_found_out(kind: str, changes: dict[str, int], words: str) -> None:
    data = PACKAGES[kind]
    first, *others = entries(data)
    with pytest.raises(PackageInvalidError, match=rf"'Workers\.csv' in the package is damaged: {words}"):
        pass_through(PackageCheck([replace(first, **changes), *others]), data, 1000)


def test_what_comes_out_of_the_last_bytes_is_counted_too() -> None:
    data = PACKAGES["deflated"]
    *others, zeros = entries(data)
    with pytest.raises(PackageInvalidError, match="longer than the zip directory says"):
        pass_through(PackageCheck([*others, replace(zeros, size_bytes=(1 << 20) + 4)]), data, 1 << 20)


@pytest.mark.parametrize("kind", ["stored", "deflated", "piped"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_package_that_is_cut_short_is_found(kind: str, library: ModuleType) -> None:
    data = PACKAGES[kind]
    with pytest.raises(PackageInvalidError, match="cut short"):
        pass_through(PackageCheck(entries(data), library=library), data[: entries(data)[1].header_offset + 40], 1000)


def test_ranges_that_pass_again_count_once_and_missing_ones_are_refused() -> None:
    data = PACKAGES["deflated"]
    check = PackageCheck(entries(data))
    check.feed(0, memoryview(data)[:5000])
    check.feed(0, memoryview(data)[:9000])
    with pytest.raises(ValueError, match="were not checked"):
        check.feed(9001, memoryview(data)[9001:])
    pass_through(check, data, 4000)


def test_a_later_try_goes_on_after_the_entries_that_were_checked() -> None:
    data = PACKAGES["deflated"]
    first = PackageCheck(entries(data))
    second_entry = entries(data)[1]
    first.feed(0, memoryview(data)[: second_entry.header_offset + 100])
    assert 0 < first.checked_bytes <= second_entry.header_offset
    later = PackageCheck(entries(data), first.checked_bytes)
    pass_through(later, data, 1000, start=first.checked_bytes)
    broken = bytearray(data)
    broken[second_entry.header_offset + 200] ^= 1
    with pytest.raises(PackageInvalidError, match=r"Noise\.bin"):
        pass_through(PackageCheck(entries(data), first.checked_bytes), bytes(broken), 1000, start=first.checked_bytes)


def test_the_file_that_is_missing_at_the_end_is_named() -> None:
    data = PACKAGES["stored"]
    check = PackageCheck(entries(data))
    with pytest.raises(PackageInvalidError, match=re.escape("'Workers.csv'")):
        check.finish()
