"""What is refused as a package, and how little of it is read to know."""

from __future__ import annotations

import io
import random
import re
import stat
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.api.packages import HEADER, ONE, manifest, package, read, utf16

from talent_dmf.api.errors import PackageInvalidError
from talent_dmf.api.naming.file_names import DEFAULT_UNPACK_NAME, FileNameFacts
from talent_dmf.api.package import directory
from talent_dmf.api.package.checking import PackageCheck
from talent_dmf.api.package.directory import PackageContents
from talent_dmf.api.package.unpacking import plan_unpacking


def test_contents() -> None:
    contents, _ = read(package())
    assert contents.definition_group_id == "Export & Workers"
    assert [entry.name for entry in contents.entries] == ["Workers.xlsx", "Manifest.xml", "PackageHeader.xml"]
    (entity,) = contents.entities
    assert (entity.name, entity.target_entity, entity.file_name) == ("Workers", "WorkersEntity", "Workers.xlsx")
    assert (entity.source_format, entity.size_bytes, entity.is_empty) == ("EXCEL", 5000, False)


def test_a_large_package_is_hardly_read() -> None:
    data = package({"Workers.xlsx": bytes(range(256)) * 40_000}, zip64=True)
    big = package({"Workers.xlsx": random.Random(1).randbytes(3_000_000)})
    assert read(data)[0].entities[0].size_bytes == 256 * 40_000
    assert len(big) > 3_000_000
    assert read(big)[1] < 200_000


@pytest.mark.parametrize(
    "encoded",
    [
        utf16(ONE),
        b"\xfe\xff" + ONE.encode("utf-16-be"),
        ONE.encode("utf-16-le"),
        ONE.encode(),
        b"\xef\xbb\xbf" + ONE.encode(),
        b'<?xml version="1.0" encoding="utf-8"?>' + ONE.encode(),
        utf16('<?xml version="1.0" encoding="utf-8"?>' + ONE),
        ONE.encode("utf-32"),
        b"\x00\x00\xfe\xff" + ONE.encode("utf-32-be"),
        b'<?xml version="1.0" encoding="utf-7"?>' + ONE.encode(),
        utf16(ONE.replace("Workers.xlsx", "<![CDATA[Workers.xlsx]]>")),
        utf16(ONE.replace("Workers.xlsx", "Wor&#107;ers.xlsx")),
    ],
    ids=[
        "as exported",
        "big endian",
        "no mark",
        "UTF-8",
        "UTF-8 with mark",
        "declared",
        "declared otherwise",
        "UTF-32",
        "UTF-32 big endian",
        "declared UTF-7",
        "CDATA",
        "character reference",
    ],
)
def test_encodings(encoded: bytes) -> None:
    assert read(package(manifest_xml=encoded))[0].entities[0].name == "Workers"


def test_names_in_other_letters_and_a_comment() -> None:
    data = package({"WORKERS.XLSX": b"x"}, comment=b"c" * 60_000)
    assert read(data)[0].entities[0].size_bytes == 1


def test_an_empty_data_file() -> None:
    assert read(package({"Workers.xlsx": b""}))[0].entities[0].is_empty


def test_entities_without_a_data_file_are_named_and_hold_up_no_others() -> None:
    xml = utf16(manifest(("Workers", "Workers.xlsx"), ("Jobs", "Jobs.xlsx"), ("Positions", "Positions.xlsx")))
    contents, _ = read(package({"Jobs.xlsx": b"x"}, manifest_xml=xml))
    assert [entity.name for entity in contents.entities] == ["Jobs"]
    assert contents.without_file == ("Workers", "Positions")
    assert read(package({}))[0].without_file == ("Workers",)
    assert read(package())[0].without_file == ()


def test_many_files() -> None:
    names = [f"Entity {number}" for number in range(1500)]
    xml = utf16(manifest(*((name, f"{name}.xlsx") for name in names)))
    data = package({f"{name}.xlsx": b"x" * 300 for name in names}, manifest_xml=xml)
    assert len(read(data)[0].entities) == 1500


def broken(change: Callable[[bytearray], object]) -> bytes:
    data = bytearray(package({"Workers.xlsx": random.Random(2).randbytes(300_000)}))
    change(data)
    return bytes(data)


def encrypted(data: bytes, name: str) -> bytes:
    """A package in which only a password opens one entry, as its two headers say."""
    changed = bytearray(data)
    for signature, flag_at, name_at in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
        found = re.escape(signature) + b"(?s:.{%d})" % (name_at - 4) + re.escape(name.encode())
        changed[next(re.finditer(found, data)).start() + flag_at] |= 1
    return bytes(changed)


def linked() -> bytes:
    made = io.BytesIO(package())
    with zipfile.ZipFile(made, "a") as archive:
        link = zipfile.ZipInfo("Resources/link")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return made.getvalue()


def drop_middle(data: bytearray) -> None:
    del data[1000:2000]


def drop_beginning(data: bytearray) -> None:
    del data[:500]


def garble_manifest(data: bytearray) -> None:
    at = data.find(b"Manifest.xml") + 20
    data[at : at + 40] = bytes(40)


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>' + ONE.replace("Workers", "&a;", 1)
SLIP = utf16(manifest(("W", "../W.xlsx")))
EXTERNAL = '<!DOCTYPE x SYSTEM "file:///etc/passwd">' + ONE


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "has 0 bytes and is no zip file", id="empty"),
        pytest.param(b"<html>Sign in</html>" * 50, "truncated or damaged", id="a web page"),
        pytest.param(b"PK\x05\x06" + bytes(18), "no Manifest.xml", id="an archive of nothing"),
        pytest.param(package()[:-30], "truncated or damaged", id="end cut off"),
        pytest.param(package()[:3000], "truncated or damaged", id="half"),
        pytest.param(broken(drop_middle), "truncated or damaged", id="middle missing"),
        pytest.param(broken(drop_beginning), "truncated or damaged", id="beginning missing"),
        pytest.param(broken(garble_manifest), "truncated or damaged", id="manifest garbled"),
        pytest.param(encrypted(package(), "Manifest.xml"), "Manifest.xml of the package is encrypted", id="encrypted"),
        pytest.param(package({"Workers.xlsx": b"x", "MANIFEST.XML": b""}), "two files named", id="two manifests"),
        pytest.param(package({"Workers.xlsx": b"x", "Resources/D:/x": b""}), "overwrite files", id="drive below"),
        pytest.param(linked(), "overwrite files elsewhere", id="symbolic link"),
        pytest.param(package({"../Workers.xlsx": b"x"}), "overwrite files elsewhere", id="zip slip"),
        pytest.param(package({"..\\Workers.xlsx": b"x"}), "overwrite files elsewhere", id="backslash"),
        pytest.param(package({"C:Workers.xlsx": b"x"}), "overwrite files elsewhere", id="drive letter"),
        pytest.param(package({"/Workers.xlsx": b"x"}), "overwrite files elsewhere", id="absolute"),
        pytest.param(package({"Resources/../../W.xlsx": b""}), "overwrite files elsewhere", id="slip below a folder"),
        pytest.param(package({"Workers.xlsx": b"x", "WORKERS.xlsx": b"y"}), "two files named", id="twice"),
        pytest.param(package(manifest_xml=b""), "no Manifest.xml", id="no manifest"),
        pytest.param(package(header_xml=b""), "no PackageHeader.xml", id="no header"),
        pytest.param(package(manifest_xml=utf16(manifest())), "names no entity", id="no entities"),
        pytest.param(package(manifest_xml=SLIP), "no name of a file", id="slip in manifest"),
        pytest.param(package(manifest_xml=utf16(manifest(("W", "")))), "no name of a file", id="no file named"),
        pytest.param(package(manifest_xml=utf16(ONE[:-20])), "Manifest.xml of the package is damag", id="XML cut off"),
        pytest.param(package(manifest_xml=b"PK"), "Manifest.xml of the package is damag", id="no XML"),
        pytest.param(package(manifest_xml=utf16(manifest(root="Other"))), "begins with <Other>", id="another XML"),
        pytest.param(package(header_xml=utf16(ONE)), "begins with <DataManagementPackageM", id="header is none"),
        pytest.param(package(manifest_xml=utf16(BOMB)), "declares a document type", id="entity expansion"),
        pytest.param(package(manifest_xml=utf16(EXTERNAL)), "declares a document type", id="external entity"),
        pytest.param(package(manifest_xml=b"<a>" * 80), "begins with <a>", id="deep"),
        pytest.param(
            package(manifest_xml=utf16("<DataManagementPackageManifest>" + "<a>" * 80)),
            "nested more than 64 levels deep",
            id="too deep",
        ),
    ],
)  # fmt: skip
def test_refused_with_one_clear_sentence(data: bytes, words: str) -> None:
    with pytest.raises(PackageInvalidError, match=words) as caught:
        read(data)
    assert "SECRET" not in str(caught.value)
    # Whoever is told to export again is told what that costs.
    if "export again" in caught.value.message and words != "names no entity":
        assert "incremental export held is not in the next one" in caught.value.message


def manifest_bomb(method: int, promised_bytes: int) -> bytes:
    """A small package whose manifest unpacks to 10 MB, and is said to have only so many bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Workers.xlsx", b"x")
        archive.writestr("PackageHeader.xml", utf16(HEADER))
        archive.writestr("Manifest.xml", utf16(ONE) + bytes(10_000_000), compress_type=method)
    data = bytearray(made.getvalue())
    at = data.rfind(b"Manifest.xml") - 46
    assert int.from_bytes(data[at + 24 : at + 28], "little") > 10_000_000
    data[at + 24 : at + 28] = promised_bytes.to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("method", "promised_bytes", "words"),
    [
        (zipfile.ZIP_DEFLATED, 100 << 20, "has more than 8 MiB"),
        (zipfile.ZIP_DEFLATED, 1000, "damaged"),
        # zipfile unpacks these to their end and cuts off what was not promised, in memory.
        (zipfile.ZIP_BZIP2, 1000, "Manifest.xml of the package is packed by method 12"),
        (zipfile.ZIP_LZMA, 1000, "Manifest.xml of the package is packed by method 14"),
    ],
)
def test_a_manifest_that_unpacks_to_more_than_it_says_fills_no_memory(
    method: int, promised_bytes: int, words: str
) -> None:
    data = manifest_bomb(method, promised_bytes)
    tracemalloc.start()
    try:
        with pytest.raises(PackageInvalidError, match=words):
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_what_lies_before_the_end_is_fetched_by_itself() -> None:
    """At first only the last 128 KiB are read; of a manifest that lies before them, little else with it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("First.xlsx", bytes(1_000_000))
        archive.writestr("Manifest.xml", utf16(ONE))
        archive.writestr("PackageHeader.xml", utf16(HEADER))
        archive.writestr("Workers.xlsx", bytes(2_000_000))
    contents, asked = read(made.getvalue())
    assert [entry.name for entry in contents.entries][:2] == ["First.xlsx", "Manifest.xml"]
    assert contents.entities[0].size_bytes == 2_000_000
    assert 128 * 1024 < asked < 140_000


def test_a_directory_that_is_longer_than_the_end_is_fetched_whole() -> None:
    names = [f"{number:0200}.xlsx" for number in range(1500)]
    contents, _ = read(package({"Workers.xlsx": b"x", **dict.fromkeys(names, b"x")}))
    assert [entry.name for entry in contents.entries][1:-2] == names


def test_a_directory_that_leads_from_one_place_to_the_next_is_not_followed_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"{number:0200}.xlsx" for number in range(1500)]
    data = package({"Workers.xlsx": b"x", **dict.fromkeys(names, b"x")})
    monkeypatch.setattr(directory, "_MAX_GAPS", 1)
    with pytest.raises(PackageInvalidError, match="its zip directory leads nowhere"):
        read(data)


@pytest.mark.parametrize("spelled", ["Café.xlsx", "Cafe\u0301.xlsx"], ids=["composed", "decomposed"])
@pytest.mark.parametrize("announced", [True, False])
def test_names_are_compared_in_normal_form(spelled: str, announced: bool) -> None:
    """zipfile announces UTF-8 where a name has letters beyond ASCII; other writers do not."""
    data = bytearray(package({spelled: b"x"}, manifest_xml=utf16(manifest(("W", "Caf\u00e9.xlsx")))))
    for at in (data.find(b"PK\x03\x04") + 7, data.find(b"PK\x01\x02") + 9):
        assert data[at] == 8
        data[at] = 8 if announced else 0
    contents, _ = read(bytes(data))
    assert [entity.file_name for entity in contents.entities] == ["Caf\u00e9.xlsx"]


def test_a_directory_of_many_megabytes_is_not_fetched() -> None:
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 85 << 20, 5 << 20, 0)
    with pytest.raises(PackageInvalidError, match="no export more than 4 MiB"):
        read(bytes(90 << 20) + end)


GUID = "{0D6F1C52-7A4B-4E38-9C0E-6B7A6F2D1E11}"


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_attachments_of_records_lie_below_folders(separator: str) -> None:
    name = separator.join(["Resources", "Worker images", GUID])
    contents, _ = read(package({"Workers.xlsx": b"x", "Resources/": b"", name: b"image", "Notes.txt": b"?"}))
    assert [entity.file_name for entity in contents.entities] == ["Workers.xlsx"]
    assert contents.attachments == (f"Resources/Worker images/{GUID}",)
    assert contents.unclaimed == ("Notes.txt",)


def passed(data: bytes) -> PackageContents:
    """What a package holds, once its checksums were checked as they are while it is saved."""
    contents, _ = read(data)
    check = PackageCheck(contents.entries)
    for offset in range(0, len(data), 1000):
        check.feed(offset, memoryview(data)[offset : offset + 1000])
    check.finish()
    return contents


FACTS = FileNameFacts("P", "USMF", "id", "run", None, datetime(2026, 11, 27, tzinfo=UTC))


def test_what_is_not_unpacked_is_not_judged() -> None:
    """Attachments may have any name that stays in its folder, any method, a password, and be there twice."""
    made = io.BytesIO(package())
    with zipfile.ZipFile(made, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("Resources/a.png", "Resources/A.PNG", "Resources/a.png", "Resources/10:30 \x07.png", "CON"):
            archive.writestr(name, b"image")
        for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            archive.writestr(f"Resources/{method}", b"image" * 99, method)
    contents = passed(encrypted(made.getvalue(), "Resources/A.PNG"))
    assert len(contents.attachments) == 6
    assert contents.unclaimed == ("CON",)
    assert [each.entity for each in plan_unpacking(contents, DEFAULT_UNPACK_NAME, FACTS)] == ["Workers"]


def test_a_data_file_with_a_password_is_saved_as_it_is_and_not_unpacked() -> None:
    contents = passed(encrypted(package(), "Workers.xlsx"))
    with pytest.raises(
        PackageInvalidError, match=r"'Workers\.xlsx' in the package is encrypted.*Save the package as it is"
    ):
        plan_unpacking(contents, DEFAULT_UNPACK_NAME, FACTS)


class Pipe(io.BytesIO):
    """A file that cannot be sought in: zipfile then writes lengths and checksums behind the data."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        raise io.UnsupportedOperation


def written(target: io.BytesIO, comment: bytes = b"") -> bytes:
    with zipfile.ZipFile(target, "a" if target.getvalue() else "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (
            ("Workers.xlsx", b"x" * 5000),
            ("Manifest.xml", utf16(ONE)),
            ("PackageHeader.xml", utf16(HEADER)),
        ):
            archive.writestr(name, data)
        archive.comment = comment
    return target.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        written(Pipe()),
        b"MZ" + bytes(500) + written(io.BytesIO()),
        written(io.BytesIO(b"a program" * 100)),
        written(io.BytesIO(), b"c" * 65_535),
        written(io.BytesIO()) + bytes(100),
        package(zip64=True),
        package({"Resources/": b"", "Resources/x/": b"", "Resources/x/none": b"", "Workers.xlsx": b"x"}),
    ],
    ids=["data descriptors", "bytes before", "behind a program", "comment", "bytes behind", "ZIP64", "folders"],
)
def test_zips_of_other_writers(data: bytes) -> None:
    assert [entity.name for entity in passed(data).entities] == ["Workers"]


def test_what_a_package_holds_is_told_without_its_times() -> None:
    def zipped(year: int, rows: bytes) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            for name, data in (
                ("Workers.xlsx", rows),
                ("Manifest.xml", utf16(ONE)),
                ("PackageHeader.xml", utf16(HEADER)),
            ):
                archive.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), data)
        return made.getvalue()

    first, same, other = (read(zipped(*each))[0] for each in ((2025, b"rows"), (2026, b"rows"), (2025, b"Rows")))
    assert first.fingerprint == same.fingerprint != other.fingerprint


@given(st.binary(max_size=60), st.integers(0, 2000))
def test_whatever_is_garbled_in_a_package_ends_in_a_value_or_a_sentence(noise: bytes, at: int) -> None:
    data = bytearray(package())
    at %= len(data)
    data[at : at + len(noise)] = noise
    with suppress(PackageInvalidError):
        read(bytes(data))
