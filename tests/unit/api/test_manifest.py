"""Manifests in all the ways they are written, and those that no export has."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.api.packages import ONE, manifest, utf16

from talent_dmf.api.errors import PackageInvalidError
from talent_dmf.api.package.manifest import parse_manifest

DECLARED = '<?xml version="1.0" encoding="{}"?>\r\n'


@pytest.mark.parametrize(
    "data",
    [
        utf16(DECLARED.format("utf-16") + ONE),
        b"\xfe\xff" + ONE.encode("utf-16-be"),
        ONE.encode(),
        b"\xef\xbb\xbf" + ONE.encode(),
        (DECLARED.format("utf-16") + ONE).encode(),
        b"\xef\xbb\xbf" + (DECLARED.format("utf-16") + ONE).encode(),
        ONE.encode("utf-16-le"),
        (DECLARED.format("windows-1252") + ONE.replace("Export", "Exportación")).encode("windows-1252"),
        b"\r\n" + ONE.encode(),
        *((DECLARED.format(name) + ONE).encode() for name in ("shift_jis", "gb2312", "utf-7", "rot13", "x-unknown")),
    ],
)
def test_manifests_in_all_the_ways_they_are_written(data: bytes) -> None:
    assert [entity.file_name for entity in parse_manifest(data).entities] == ["Workers.xlsx"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xfe" + b"<\0\0\xd8", "no text in UTF-16 or UTF-8"),
        (DECLARED.format("shift_jis").encode() + b"\x83\x41", "no text in UTF-16 or UTF-8"),
        (b"\0" * 10, "damaged"),
        (b"", "damaged"),
        (b" " * (8 * 1024 * 1024 + 1), "more than 8 MiB"),
        (b"<a " + b" ".join(b'a%d="x"' % number for number in range(300_000)), "tag of more than 1 MiB"),
        (b"<a " + b" ".join(b'a%d="x"' % number for number in range(100)) + b"/>", "element with 100 attributes"),
        (manifest(("W" * 600, "W.xlsx")).encode(), "name of 600 characters"),
        (manifest(*((f"W{number}", "W.xlsx") for number in range(5001))).encode(), "more than 5000 entities"),
    ],
)
def test_manifests_that_no_export_has(data: bytes, words: str) -> None:
    with pytest.raises(PackageInvalidError, match=words):
        parse_manifest(data)


@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_whatever_stands_in_a_manifest_ends_in_a_value_or_a_sentence(data: bytes) -> None:
    for each in (data, ONE.encode()[: len(data)] + data):
        with suppress(PackageInvalidError):
            parse_manifest(each)


def test_the_fields_of_an_entity_are_those_that_its_maps_name() -> None:
    def entity(name: str, *fields: str) -> str:
        maps = "".join(
            f"<EntityMap><EntityField>{field}</EntityField><XMLField>X</XMLField></EntityMap>" for field in fields
        )
        return (
            f"<DataManagementPackageEntityData><EntityMapList>{maps}</EntityMapList><EntityName>{name}</EntityName>"
            "</DataManagementPackageEntityData>"
        )

    text = (
        "<DataManagementPackageManifest><PackageEntityList>"
        f"{entity('Workers', 'NAME', '', 'JOBID', 'x' * 600)}{entity('Jobs')}"
        "</PackageEntityList></DataManagementPackageManifest>"
    )
    found = parse_manifest(text.encode())
    assert [(each.name, each.fields) for each in found.entities] == [("Workers", ("NAME", "JOBID")), ("Jobs", ())]
