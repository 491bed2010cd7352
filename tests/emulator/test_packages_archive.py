"""The archive as other implementations read it: Python's zipfile and Info-ZIP."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from tests.emulator.test_packages_reader import PackageFile, parsed

from dmf_emulator.packages import EntitySpec, Package, PackageSpec, build_package

WORKERS = EntitySpec("Workers", "HcmWorkerEntity", "EXCEL", 10)
REGIONS = EntitySpec("Country/regions", "LogisticsAddressCountryRegionEntity", "CSV-Unicode", 5)
POSITIONS = EntitySpec("Positions", "HcmPositionEntity", "XML-Element", 7)
ENTITIES = (WORKERS, REGIONS, POSITIONS)
FOUR_GIB = 1 << 32


def build(*entities: EntitySpec, **changes: object) -> Package:
    return build_package(PackageSpec("Export Workers", "USMF", entities or (WORKERS,), **changes))  # type: ignore[arg-type]


def opened(package: Package) -> zipfile.ZipFile:
    return zipfile.ZipFile(PackageFile(package))


def info_zip_test(package: Package, folder: Path) -> subprocess.CompletedProcess[str]:
    unzip = shutil.which("unzip")
    if unzip is None:
        pytest.skip("needs Info-ZIP's unzip, an implementation of the format other than Python's")
    path = folder / "package.zip"
    with path.open("wb") as file:
        for view in package.read(0, package.size):
            file.write(view)
    return subprocess.run([unzip, "-tq", str(path)], capture_output=True, text=True, check=False)


def test_entries_are_flat_deflated_and_in_the_order_of_the_product() -> None:
    package = build(*ENTITIES)
    infos = opened(package).infolist()
    assert [info.filename for info in infos] == [
        "Workers.xlsx", "Countryregions.csv", "Positions.xml", "Manifest.xml", "PackageHeader.xml",
    ]  # fmt: skip
    assert {info.compress_type for info in infos} == {zipfile.ZIP_DEFLATED}
    assert [(info.filename, info.file_size, info.compress_size, info.CRC) for info in infos] == [
        (entry.name, entry.size, entry.compressed_size, entry.crc32) for entry in package.entries
    ]
    assert [entry.rows for entry in package.entries] == [10, 5, 7, None, None]
    assert opened(package).testzip() is None


def test_names_beyond_ascii_survive() -> None:
    assert opened(build(EntitySpec("Größe 人", "HcmWorkerEntity", "CSV-Unicode", 1))).namelist()[0] == "Größe 人.csv"


def test_entries_carry_the_time_of_the_export_in_utc() -> None:
    created = datetime(2026, 3, 4, 1, 2, 4, tzinfo=timezone(timedelta(hours=2)))
    package = build(created=created)
    assert {info.date_time for info in opened(package).infolist()} == {(2026, 3, 3, 23, 2, 4)}
    assert package.etag != build(created=datetime(2026, 3, 3, 23, 2, 5, tzinfo=UTC)).etag


@pytest.mark.parametrize("entities", [(WORKERS,), (POSITIONS,), ENTITIES], ids=lambda e: f"{len(e)} entities")
@pytest.mark.parametrize("size", [10_000, 10_240, 10_241, 65_537, 1_000_003, 20_000_000])
def test_target_size_is_met_to_the_byte(size: int, entities: tuple[EntitySpec, ...]) -> None:
    package = build(*entities, target_size_bytes=size)
    assert package.size == size == sum(len(view) for view in package.read(0, size + 1))
    archive = opened(package)
    assert archive.testzip() is None
    padding = parsed(archive.read("Package padding.xml"))
    assert padding.tag == "Document"
    assert {row.tag for row in padding} == {"EMULATORPACKAGEPADDINGENTITY"}
    assert len(padding) == next(entry.rows for entry in package.entries if entry.name == "Package padding.xml")


def test_every_size_from_the_smallest_on_is_met() -> None:
    with pytest.raises(ValueError, match="target_size_bytes cannot be 1:") as refused:
        build(target_size_bytes=1)
    smallest = int(re.findall(r"(\d+) to \d+ with it", str(refused.value))[0])
    with pytest.raises(ValueError, match="target_size_bytes cannot be"):
        build(target_size_bytes=smallest - 10)
    for size in range(smallest + 10, smallest + 10 + 600):
        package = build(target_size_bytes=size)
        assert package.size == size
        assert opened(package).testzip() is None


def test_a_package_that_has_the_target_size_by_itself_is_not_padded() -> None:
    package = build()
    assert build(target_size_bytes=package.size).entries == package.entries


def test_manifest_tells_of_the_padding() -> None:
    manifest = opened(build(target_size_bytes=50_000)).read("Manifest.xml").decode("utf-16")
    assert "<Description>Export Workers (padded to 50000 bytes by the entity Package padding)</Description>" in manifest
    assert "<InputFilePath>Package padding.xml</InputFilePath>" in manifest
    assert "<TargetEntity>EmulatorPackagePaddingEntity</TargetEntity>" in manifest


@pytest.mark.parametrize("size", [10_000, 7_000_000])
@pytest.mark.parametrize("name", ["Workers", "Mitarbeiter Grüße"])
def test_info_zip_finds_no_error(size: int, name: str, tmp_path: Path) -> None:
    entity = EntitySpec(name, "HcmWorkerEntity", "CSV-Unicode", 3)
    tested = info_zip_test(build(entity, target_size_bytes=size), tmp_path)
    assert (tested.returncode, tested.stderr) == (0, "")


@pytest.mark.slow
def test_200_megabytes_pass_both_readers(tmp_path: Path) -> None:
    package = build(*ENTITIES, target_size_bytes=200_000_000)
    assert opened(package).testzip() is None
    assert info_zip_test(package, tmp_path).returncode == 0


@pytest.mark.parametrize(
    "size",
    [FOUR_GIB - 100_000, FOUR_GIB - 2, FOUR_GIB - 1, FOUR_GIB, FOUR_GIB + 1, FOUR_GIB + 100_000, 5 * 10**9, 3 * 10**11],
)
def test_packages_around_and_beyond_4_gib(size: int) -> None:
    package = build(*ENTITIES, target_size_bytes=size)
    assert package.size == size
    archive = opened(package)
    padding = archive.getinfo("Package padding.xml")
    assert padding.file_size == padding.compress_size > size - 20_000
    with archive.open(padding) as head:
        assert head.read(80).startswith(b'<?xml version="1.0" encoding="utf-8"?>\n<Document>\n<EMULATORPACKAGEPADDING')
    # What follows the padding is found by offsets beyond 4 GiB, and ends where the next record begins.
    manifest = archive.getinfo("Manifest.xml")
    assert b"".join(package.read(manifest.header_offset - 11, 15)) == b"</Document>PK\x03\x04"
    assert archive.read(manifest).decode("utf-16").startswith("<DataManagementPackageManifest ")
    assert archive.read("PackageHeader.xml").decode("utf-16").startswith("<DataManagementPackageHeader ")


@pytest.mark.parametrize(
    ("size", "extra"), [(FOUR_GIB - 1, b""), (FOUR_GIB, b"\x01\x00\x10\x00")], ids=["not needed", "needed"]
)
def test_64_bit_records_only_where_needed(size: int, extra: bytes) -> None:
    package = build(target_size_bytes=size)
    padding = opened(package).getinfo("Package padding.xml")
    assert padding.extra[:4] == extra
    assert (b"PK\x06\x06" in b"".join(package.read(size - 150, 150))) is bool(extra)
    # Local header: 30 bytes, name, and the same sizes again.
    local = b"".join(package.read(padding.header_offset + 30 + len(padding.filename), 20))
    assert local[:4] == (extra or b"<?xm")
    if extra:
        assert local[4:] == padding.file_size.to_bytes(8, "little") * 2


@pytest.mark.parametrize(
    ("delta", "names", "rows", "empty"),
    [
        ("header-only", ["Workers.xlsx", "Countryregions.csv", "Positions.xml"], [0, 0, 0], False),
        ("zero-byte", ["Workers.xlsx", "Countryregions.csv", "Positions.xml"], [0, 0, 0], True),
        ("missing-entry", [], [], False),
    ],
)
def test_empty_deltas(delta: str, names: list[str], rows: list[int], empty: bool) -> None:
    package = build(*ENTITIES, delta=delta)
    archive = opened(package)
    assert archive.namelist() == [*names, "Manifest.xml", "PackageHeader.xml"]
    assert archive.testzip() is None
    data_files = package.entries[: len(names)]
    assert [entry.rows for entry in data_files] == rows
    assert all((entry.size == 0) is empty for entry in data_files)
    manifest = archive.read("Manifest.xml").decode("utf-16")
    assert all(f"<InputFilePath>{entity.file_name}</InputFilePath>" in manifest for entity in ENTITIES)


def test_header_only_data_files_keep_their_header() -> None:
    archive = opened(build(*ENTITIES, delta="header-only"))
    assert archive.read("Countryregions.csv").decode("utf-16") == "RECORDID,NAME,DESCRIPTION\r\n"
    assert len(parsed(archive.read("Positions.xml"))) == 0


@pytest.mark.parametrize("rows", [1, 9, 300])
def test_some_rows_of_the_full_export(rows: int) -> None:
    entity = EntitySpec("Workers", "HcmWorkerEntity", "CSV-Unicode", rows)
    full = opened(build(entity)).read("Workers.csv").decode("utf-16").splitlines()
    package = build(entity, delta="some")
    some = opened(package).read("Workers.csv").decode("utf-16").splitlines()
    assert some[0] == full[0]
    assert set(some[1:]) <= set(full[1:])
    assert 1 <= len(some) - 1 <= max(1, rows // 2)
    assert package.entries[0].rows == len(some) - 1
    assert build(EntitySpec("Workers", "HcmWorkerEntity", "CSV-Unicode", 0), delta="some").entries[0].rows == 0


def test_truncated_ends_within_the_central_directory() -> None:
    for size, end_records_length in ((None, 22), (40_000, 22), (5 * 10**9, 98)):
        good, cut = build(target_size_bytes=size), build(target_size_bytes=size, defect="truncated")
        directory = opened(good).start_dir
        assert directory < cut.size < good.size - end_records_length
        assert b"".join(cut.read(directory, good.size)) == b"".join(good.read(directory, cut.size - directory))
        with pytest.raises(zipfile.BadZipFile):
            opened(cut)


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.source_format)
def test_corrupt_differs_from_its_crc_in_one_byte(entity: EntitySpec) -> None:
    good, bad = build(entity), build(entity, defect="corrupt")
    assert opened(bad).testzip() == entity.file_name
    assert bad.entries[0].crc32 == good.entries[0].crc32
    assert bad.entries[0].size == good.entries[0].size
    with pytest.raises(zipfile.BadZipFile, match="Bad CRC-32"):
        opened(bad).read(entity.file_name)


def test_zip_slip_and_missing_manifest() -> None:
    slipping = opened(build(*ENTITIES, defect="zip-slip"))
    assert [name for name in slipping.namelist() if name.startswith("../")] == ["../Workers.xlsx"]
    assert "<InputFilePath>../Workers.xlsx<" in slipping.read("Manifest.xml").decode("utf-16")
    assert opened(build(*ENTITIES, defect="missing-manifest")).namelist() == [
        "Workers.xlsx", "Countryregions.csv", "Positions.xml", "PackageHeader.xml",
    ]  # fmt: skip


def test_defects_keep_the_target_size() -> None:
    for defect in ("corrupt", "zip-slip", "missing-manifest"):
        assert build(target_size_bytes=77_777, defect=defect).size == 77_777
