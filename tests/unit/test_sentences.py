"""Every sentence that a task can end in: what happened, why, what to do. The file beside is there to be read aloud."""

from __future__ import annotations

import re

import pytest
from tests.unit.sentences import CLASSES, SNAPSHOT, all_sentences, written

SENTENCES = all_sentences()
# What somebody can do about it, or what happens by itself.
_VERBS = (
    "add|ask|check|choose|clean|clear|close|complete|convert|copy|correct|create|define|delete|do|enable|exclude|export|"
    "free|fetch|give|grant|have|install|let|look|make|name|open|paste|put|read|register|remove|rename|report|restore|retry|"
    "run|save|see|set|shorten|spell|switch|try|turn|unpack|upload|use|wait|write"
)
# At the beginning of a sentence or a clause; or what must be; or what a retry does by itself.
ACTIONS = re.compile(
    rf"(?:^|[.;:]\s+(?:please\s+)?|,\s|\b(?:or|and|then)\s)(?:{_VERBS})\b|\b(?:must|needs?|retry|says what to do)\b",
    re.I,
)
MOST_CHARACTERS = 480


def test_the_file_is_what_the_code_says() -> None:
    """`python -m tests.unit.sentences` writes it; read what has changed before it is committed."""
    assert written(SENTENCES) == SNAPSHOT.read_text(encoding="utf-8")


def test_every_class_of_error_has_a_sentence() -> None:
    # Bases, of which only the classes below them are raised.
    bases = {"TalentDmfError", "ExportError"}
    assert CLASSES - {kind for kind, _ in SENTENCES} == bases


@pytest.mark.parametrize(("kind", "text"), SENTENCES, ids=[kind for kind, _ in SENTENCES])
def test_a_sentence_can_be_read(kind: str, text: str) -> None:
    assert text.endswith((".", ".)", "!", "…"))
    assert not re.search(r"\.\.(?!\.|/)|\s{2}|\n|\w\s[.,;:](?!\w)", text), "stops and blanks as people write them"
    assert not re.search(r"\b([\w ]{4,40}): \1\b", text), "a prefix is said once"
    assert "***" not in text
    assert not re.search(r"Traceback|NoneType|\bNone\b(?! of)|<class|object at 0x|\berrno\b|Exception\b", text)
    assert len(text) <= MOST_CHARACTERS


@pytest.mark.parametrize(
    ("kind", "text"), [each for each in SENTENCES if each[0] not in {"AirflowSkipException", "NotYetItsTurnError"}]
)
def test_a_sentence_says_what_to_do(kind: str, text: str) -> None:
    assert ACTIONS.search(text)


def test_whoever_advises_another_export_warns_of_incremental_ones() -> None:
    for _, text in SENTENCES:
        if re.search(r"export (anew|again)|[Rr]un the export again", text):
            assert "what an incremental export held is not in the next one" in text
