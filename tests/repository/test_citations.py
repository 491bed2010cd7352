"""Every citation leads somewhere: pages and their headings, links of Markdown, threads by their short names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
WIRE = REPOSITORY / "docs" / "wire"
# What is made, not written: caches, environments, packages of other languages.
NOT_OURS = {"__pycache__", "build", "dist", "logs", "node_modules"}

PAGE = re.compile(r"(?<![\w/.:<-])\b(?P<path>[\w][\w./-]*\.md)(?!\w)(?:#(?P<anchor>[\w-]+))?")
MODULE = re.compile(r"`(?P<path>(?:dags|plugins|include|tests|benchmarks|deploy|docs)/[\w./-]+\.py)`")
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
DEFINITION = re.compile(r"^\[(?P<label>[^\]]+)\]:[ ]*(?P<target>\S+)", re.MULTILINE)
LABEL = re.compile(r"\[(?P<text>[^\]\[]+)\](?:\[(?P<label>[^\]]+)\])?(?![(:\]])")
THREAD = re.compile(r"#\d{2,6}\b(?![\w-])")
BEFORE = re.compile(r"[\w./&-]*$")
# A section of something that is not an RFC, and the codes of notes that are not in the repository.
OPAQUE = re.compile(r"(?<!RFC \d{4} )(?<!RFC \d{4}, )§|(?<![\w-])S-[A-Z][A-Z0-9]+\b|\bIX \d{5,}|\bCUS\b")
SIGNS = ("§", "S-", "IX ", "CUS")
MARKS = ("documented", "observed", "measured", "assumed")


def written(*suffixes: str) -> Iterator[Path]:
    """Yield the files of the repository that people write."""
    for folder, folders, names in os.walk(REPOSITORY):
        folders[:] = sorted(name for name in folders if name not in NOT_OURS and not name.startswith("."))
        yield from (Path(folder) / name for name in sorted(names) if name.endswith(suffixes))


def without_code(text: str) -> str:
    """Return Markdown without its blocks and spans of code, in as many lines."""
    text = re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]+`", "", text)


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip()).lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@cache
def anchors(page: Path) -> tuple[str, ...]:
    fenced = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return tuple(slug(heading) for heading in re.findall(r"^#{1,6} (.+)$", fenced, re.MULTILINE))


@cache
def short_names() -> frozenset[str]:
    """Return the names of repositories in the legend."""
    table = (WIRE / "README.md").read_text().split("## Sources by their short names")[1]
    return frozenset(re.findall(r"^\| ([\w-]+) \| \[", table, re.MULTILINE))


@cache
def pages() -> dict[str, list[Path]]:
    """Return the pages of the repository by their names: code that opens one joins its path from parts."""
    named: dict[str, list[Path]] = {}
    for page in written(".md"):
        named.setdefault(page.name, []).append(page)
    return named


def fault_of_page(path: str, anchor: str | None, file: Path) -> str | None:
    places = [REPOSITORY / path, file.parent / path, *pages().get(path, ())]
    found = next((page for page in places if page.is_file()), None)
    if found is None:
        return f"{path} does not exist"
    if anchor and anchor not in anchors(found):
        return f"{path} has no heading #{anchor}"
    return None


def faults_of_citations(text: str, file: Path) -> list[str]:
    """Return what is wrong with the pages, sections and threads that a text cites."""
    faults = [fault_of_page(cited["path"], cited["anchor"], file) for cited in PAGE.finditer(text)]
    if any(sign in text for sign in SIGNS):
        faults += [f"{cited[0]!r} cannot be looked up" for cited in OPAQUE.finditer(text)]
    for thread in THREAD.finditer(text):
        found = BEFORE.search(text[max(0, thread.start() - 100) : thread.start()])
        name = found[0] if found else ""
        if "/" not in name and "&" not in name and name not in short_names():
            faults.append(f"{name + thread[0]!r} is in no repository that docs/wire/README.md names")
    return [fault for fault in faults if fault]


def faults_of_links(text: str, file: Path) -> list[str]:
    """Return what is wrong with the links of a Markdown text."""
    faults = []
    bare = without_code(text)
    targets = [link["target"] for link in (*LINK.finditer(bare), *DEFINITION.finditer(bare))]
    for target in targets:
        if re.match(r"https?://[\w.-]+(/|$)", target):
            continue
        path, _, anchor = target.partition("#")
        page = (file.parent / path).resolve() if path else file
        if not page.exists():
            faults.append(f"{target} does not exist")
        elif anchor and anchor not in anchors(page):
            faults.append(f"{target}: no such heading")
    return faults


def located(file: Path, faults: list[str]) -> list[str]:
    return [f"{file.relative_to(REPOSITORY)}: {fault}" for fault in faults]


def test_what_code_and_pages_cite_can_be_looked_up() -> None:
    faults = []
    for file in written(".py", ".md", ".yaml", ".toml"):
        if file != Path(__file__):
            faults += located(file, faults_of_citations(file.read_text(), file))
    assert faults == []


def test_links_of_markdown_lead_somewhere() -> None:
    faults = []
    for file in written(".md"):
        faults += located(file, faults_of_links(file.read_text(), file))
    assert faults == []


def test_modules_that_pages_name_exist() -> None:
    missing = [
        f"{file.relative_to(REPOSITORY)}: {named['path']}"
        for file in written(".md")
        for named in MODULE.finditer(file.read_text())
        if not (REPOSITORY / named["path"]).is_file() and file.name != "CHANGELOG.md"
    ]
    assert missing == []


@pytest.mark.parametrize("page", sorted(WIRE.glob("*.md")), ids=lambda page: page.name)
def test_sources_of_the_wire_pages_are_defined_and_used(page: Path) -> None:
    text = without_code(page.read_text())
    defined = {found["label"] for found in DEFINITION.finditer(text)}
    body = DEFINITION.sub("", text)
    used = {found["label"] or found["text"] for found in LABEL.finditer(body)}
    assert used == defined


def test_no_two_headings_of_a_wire_page_are_alike() -> None:
    for page in WIRE.glob("*.md"):
        assert len(set(anchors(page))) == len(anchors(page)), page.name


def test_each_fact_says_how_sure_it_is_and_who_says_so() -> None:
    named = re.findall(r"^\| ([\w&. -]+) \|", (WIRE / "README.md").read_text(), re.MULTILINE)
    for page in (WIRE / name for name in ("dmf-package-api.md", "graph-onedrive.md", "airflow.md")):
        for section in re.split(r"^### ", DEFINITION.sub("", page.read_text()), flags=re.MULTILINE)[1:]:
            title = f"{page.name}: {section.splitlines()[0]}"
            marks = [mark for mark in MARKS if f"*{mark}*" in section]
            assert marks or "(#" in section, title
            if {"documented", "observed"} & set(marks):
                assert LABEL.search(section) or any(name in section for name in named), title


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("as docs/wire/nowhere.md says", "docs/wire/nowhere.md does not exist"),
        ("docs/wire/dmf-package-api.md#no-such-thing", "has no heading #no-such-thing"),
        ("see notes §2.5", "'§' cannot be looked up"),
        ("measured (S-GOLD)", "'S-GOLD' cannot be looked up"),
        ("IX 61578488601", "cannot be looked up"),
        ("unheard-of#71", "'unheard-of#71' is in no repository"),
        ("and also #72", "'#72' is in no repository"),
    ],
)
def test_a_citation_that_leads_nowhere_is_found(text: str, fault: str) -> None:
    (found,) = faults_of_citations(text, Path(__file__))
    assert fault in found


@pytest.mark.parametrize(
    "text",
    [
        "docs/wire/dmf-package-api.md#not-found-at-first",
        "RFC 9110 §8.6",
        "RIS#71",
        "apache/airflow#70368",
        "https://learn.microsoft.com/graph/api/page.md#x",
    ],
)
def test_a_citation_that_leads_somewhere_is_left_alone(text: str) -> None:
    assert faults_of_citations(text, Path(__file__)) == []


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("[x](nowhere.md)", ["nowhere.md does not exist"]),
        ("[x](README.md#no-such-thing)", ["README.md#no-such-thing: no such heading"]),
        ("[x]\n\n[x]: nowhere.md", ["nowhere.md does not exist"]),
        ("[x](README.md#how-sure) `[y](nowhere.md)` [z](https://example.com/)", []),
    ],
)
def test_a_link_that_leads_nowhere_is_found(text: str, faults: list[str]) -> None:
    assert faults_of_links(text, WIRE / "README.md") == faults
