"""Every sentence that a task can end in: what happened, why, what to do. The file beside is there to be read aloud."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from tests.repository.sentences import CLASSES, SNAPSHOT, all_sentences, written

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
# What nothing can be done about, or nothing need be, because the work goes on.
WITHOUT_ADVICE = {"WARNING", "ERROR", "AirflowSkipException", "NotYetItsTurnError"}
# Words of this code that mean something else, or nothing, to whoever reads a log.
PRIVATE = re.compile(
    r"\b(?:verdict|weather|told of|judged?|mint(?:s|ed)?|borne|bites|grant of|overheard|undertaking|another place)\b"
)
# What must be true of each sentence, in words.
RULES: dict[str, Callable[[str], object]] = {
    "ends like a sentence": lambda text: text.endswith((".", ".)", "!", "…")),
    "has stops and blanks as people write them": lambda text: (
        not re.search(r"\.\.(?!\.|/|')|\s{2}|\n|\w\s[.,;:](?!\w| -)", text)
    ),
    "says a prefix once": lambda text: not re.search(r"\b([\w ]{4,40}): \1\b", text),
    "hides nothing": lambda text: "***" not in text,
    "has no words of Python": lambda text: (
        not re.search(r"Traceback|NoneType|\bNone\b(?! of)|<class|object at 0x|\berrno\b|Exception\b", text)
    ),
    "is short": lambda text: len(text) <= MOST_CHARACTERS or "known keys are" in text,
    "begins like a sentence": lambda text: text[:1].isupper() or not re.match(r"[a-z]+(?: [a-z]+)*: ", text),
    "has no stop behind what is cut, and says no once": lambda text: (
        not re.search(r"…\.|\bmust not\b[^;:]*, not '", text)
    ),
    "has no plural of one": lambda text: not re.search(r"\b1 (?!bytes)[a-z]+s\b(?! (?:than|is))", text),
    "names what is meant": lambda text: (
        not re.match(r"(?:It|This|That|They)\b(?! run of| database| file)", text.split(": ", 1)[-1])
    ),
    "has no private words": lambda text: not PRIVATE.search(text),
    "has words in the place of markup and patterns": lambda text: not re.search(r"\*\w+\*|\^[\[\w(]", text),
}


@pytest.fixture(scope="module")
def sentences() -> list[tuple[str, str]]:
    """Class and text of all of them."""
    return all_sentences()


def test_the_file_is_what_the_code_says(sentences: list[tuple[str, str]]) -> None:
    """`python -m tests.repository.sentences` writes it; read what has changed before it is committed."""
    assert written(sentences) == SNAPSHOT.read_text(encoding="utf-8")


def test_every_class_of_error_has_a_sentence(sentences: list[tuple[str, str]]) -> None:
    # Bases, of which only the classes below them are raised.
    bases = {"TalentDmfError", "ExportError"}
    assert CLASSES - {kind for kind, _ in sentences} == bases


@pytest.mark.parametrize("rule", RULES)
def test_a_sentence_can_be_read(sentences: list[tuple[str, str]], rule: str) -> None:
    broken = [text for _, text in sentences if not RULES[rule](text)]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        ("ends like a sentence", "It does not end"),
        ("has stops and blanks as people write them", "Two..  stops ."),
        ("says a prefix once", "The export: The export: failed."),
        ("hides nothing", "The project *** is locked."),
        ("has no words of Python", "The project None is locked."),
        ("is short", "x" * (MOST_CHARACTERS + 1)),
    ],
)
def test_what_cannot_be_read_would_be_noticed(rule: str, wrong: str) -> None:
    assert not RULES[rule](wrong)


def test_a_sentence_says_what_to_do(sentences: list[tuple[str, str]]) -> None:
    broken = [text for kind, text in sentences if kind not in WITHOUT_ADVICE and not ACTIONS.search(text)]
    assert not broken, "\n".join(broken)


def test_whoever_advises_another_export_warns_of_incremental_ones(sentences: list[tuple[str, str]]) -> None:
    for _, text in sentences:
        if re.search(r"export (anew|again)|[Rr]un the export again", text):
            assert "what an incremental export held is not in the next one" in text
