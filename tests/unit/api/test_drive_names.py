"""Names and paths that OneDrive does not accept are refused before anything is sent, with the rule they break."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talent_dmf.api.errors import DestinationError
from talent_dmf.api.naming.drive_names import check_name, check_path, folder_segments, safe_name
from talent_dmf.api.naming.file_names import part_of_name


@pytest.mark.parametrize(
    ("folder", "name", "words"),
    [
        ("Exports", 'a"b.zip', "contains '\"'"),
        ("Exports", "a*b.zip", r"contains '\*'"),
        ("Exports", "a:b.zip", "contains ':'"),
        ("Exports", "a<b.zip", "contains '<'"),
        ("Exports", "a>b.zip", "contains '>'"),
        ("Exports", "a?b.zip", r"contains '\?'"),
        ("Exports", "a/b.zip", "contains '/'"),
        ("Exports", "a\\b.zip", "contains"),
        ("Exports", "a|b.zip", r"contains '\|'"),
        ("Exports", "a\nb.zip", "contains"),
        ("Exports", "a\ud800.zip", "contains"),
        ("Exports", "", "is empty"),
        ("Exports", " a.zip", "begins or ends with a space"),
        ("Exports", "a.zip ", "begins or ends with a space"),
        ("Exports", "~$a.zip", "begins with '~'"),
        ("Exports", "Con", "reserved"),
        ("Exports", "lpt0", "reserved"),
        ("Exports", "Desktop.ini", "reserved"),
        ("Exports", ".lock", "reserved"),
        ("Exports", "..", "reserved"),
        ("Exports", "a_VTI_b.zip", "_vti_"),
        ("", "Forms", "root of a library"),
        ("forms/x", "a.zip", "folder name 'forms'.*root of a library"),
        ("a//b", "a.zip", "folder name ''.*is empty"),
        ("a/../b", "a.zip", "folder name '..'.*reserved"),
        ("a/b.", "a.zip", "folder name 'b.'.*ends with '.'"),
        ("x" * 388, "a.zip", "394 characters.*at most 393"),
        ("Exports", "x" * 150 + "?", r"file name 'x{100}'…: it contains '\?'"),
    ],
)
def test_refused_with_the_rule(folder: str, name: str, words: str) -> None:
    with pytest.raises(DestinationError, match=words):
        check_path(folder, name)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("", "workers.zip"),
        ("/Exports/2026/", "workers 2026-11-23T06.00Z.zip"),
        ("Forms of yesterday", "forms"),
        ("100% & more #1", "Größe – €.zip"),
        ("x" * 387, "a.zip"),
        ("a", "ends with a dot."),
        ("a", "console"),
    ],
)
def test_accepted(folder: str, name: str) -> None:
    check_path(folder, name)


@pytest.mark.parametrize("character", ["\x80", "\x81", "\x85", "\x8d", "\x9f", "\u200b", "\u202e", "\ufeff"])
def test_characters_that_nobody_sees(character: str) -> None:
    """Graph answers 400 to a name with U+0081 (O365/python-o365#387): refused in a name that a person chose, replaced
    in one that is made of a label."""
    for folder, name in (("Exports", f"Workers{character}.zip"), (f"Exp{character}orts", "Workers.zip")):
        with pytest.raises(DestinationError, match=r"contains .*control"):
            check_path(folder, name)
    assert part_of_name(f"More{character} Smiles") == "More_ Smiles"
    assert safe_name(f"More{character} Smiles") == "More_ Smiles"


def test_segments() -> None:
    assert folder_segments("/a/b c/") == ["a", "b c"]
    assert folder_segments("/") == folder_segments("") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Country/regions", "Country_regions"),
        (" ~$Workers ", "$Workers"),
        ("con", "_con"),
        ("~ Workers", "Workers"),
        (" ~ ~ Workers \u3000", "Workers"),
        ("~con", "_con"),
        ("a_vti_b", "a_b"),
        ("__vti_vti_x", "__x"),
        ("_vti_VTI_vti_", "_"),
        ("???", "___"),
        ("~", "_"),
    ],
)
def test_safe_name_is_accepted(text: str, expected: str) -> None:
    assert safe_name(text) == expected
    check_name(safe_name(text), at_root=True)


AWKWARD = st.sampled_from(["~", " ", "\u3000", "_vti_", "_VTI", "vti_", "#", "/", "..", "con", "Forms", "x"])


@given(st.text() | st.lists(AWKWARD, min_size=1, max_size=4).map("".join))
def test_whatever_the_text_is_onedrive_takes_the_name_made_of_it(text: str) -> None:
    check_name(safe_name(text), at_root=True)
    check_name(part_of_name(text), at_root=True)
