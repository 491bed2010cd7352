"""The documents say what is so: examples run, tables are complete, sentences are those of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from airflow.sdk import DAG
from tests.examples import REPOSITORY, blocks

from talent_dmf.api.naming.file_names import PLACEHOLDERS, UNPACK_PLACEHOLDERS
from talent_dmf.catalogue.spec import ExportSpec
from talent_dmf.get_provider_info import get_provider_info

ADD_AN_EXPORT = REPOSITORY / "docs" / "how-to" / "add-an-export.md"
ARCHITECTURE = REPOSITORY / "docs" / "architecture.md"
PACKAGE = REPOSITORY / "plugins" / "talent_dmf"
RUN_BOOK = REPOSITORY / "docs" / "how-to" / "run-book.md"


def first_column(document: Path) -> Iterator[str]:
    """First cells of the tables' rows, without heads."""
    lines = document.read_text().splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("|") and not line.startswith(("|-", "|--")) and not following.startswith("|-"):
            yield line.split("|")[1].strip()


def ids(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


# How a command is written in pages, messages and comments; "make sure" is none.
MAKE = re.compile(
    r"`make ([a-z][a-z-]*)|^make ([a-z-]+)|\(make ([a-z-]+)\)|\b[Rr]uns? make ([a-z-]+)|\bmake ([a-z]+-[a-z-]+)", re.M
)


def test_every_make_target_that_is_named_anywhere_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    folders = ("benchmarks", "dags", "deploy", "docs", "example_dags", "include", "plugins", "tests")
    paths = [path for folder in folders for path in (REPOSITORY / folder).rglob("*")]
    paths += [*REPOSITORY.glob("*"), *(REPOSITORY / ".ci").iterdir()]
    kinds = {".md", ".py", ".sh", ".yaml", ".yml", ".in", ""}
    named = {
        f"make {target}": ids(path)
        for path in paths
        if path.suffix in kinds
        and path.is_file()
        and not path.name.startswith(".")
        and not {"node_modules", "__pycache__"} & set(path.parts)
        for found in MAKE.findall(path.read_text(encoding="utf-8"))
        for target in found
        if target
    }
    assert {"make demo", "make setup", "make test-cluster"} <= set(named)
    assert {name: where for name, where in named.items() if name.removeprefix("make ") not in targets} == {}


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    docs = REPOSITORY / "docs"
    pages = {str(path.relative_to(docs)) for path in docs.rglob("*.md")}
    nav = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())["nav"]
    made = {f"{name}.md" for name in ("index", "changelog")}

    def named(entry: object) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        for each in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
            yield from named(each)

    assert {name for name in named(nav) if not name.startswith("reference/")} - made == pages


def test_the_example_dag_of_the_readme_is_one_and_short() -> None:
    (example,) = blocks(REPOSITORY / "README.md", "python")
    statements = example[example.index("with DAG") :]
    assert len(statements.splitlines()) <= 15
    scope: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), scope)  # noqa: S102 - it is our own example
    save = scope["save"]
    dag = getattr(save, "dag", None)
    assert isinstance(dag, DAG)
    order = [task.task_id for task in dag.topological_sort()]
    assert order == ["export", "wait", "package", "save"]


def test_every_key_of_the_catalogue_is_documented_and_no_other() -> None:
    table = ADD_AN_EXPORT.read_text().partition("## All keys")[2].partition("### File names")[0]
    named = {name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert named == {*ExportSpec.model_fields, "environments"} - {"name"}


def test_the_documented_defaults_are_the_defaults() -> None:
    table = ADD_AN_EXPORT.read_text().partition("## All keys")[2].partition("### File names")[0]
    spec = ExportSpec(name="x", data_project="x", legal_entities=("USMF",))
    for names, default in re.findall(r"^\| (`.+?) \| (`.+?) \|", table, re.MULTILINE):
        keys, values = re.findall(r"`(\w+)`", names), re.findall(r"`([^`]+)`", default)
        for key, value in zip(keys, values, strict=False):
            documented = ExportSpec.model_validate({**spec.model_dump(), key: value})
            assert getattr(documented, key) == getattr(spec, key), key


def test_every_placeholder_is_documented() -> None:
    rows = re.findall(r"^\| (`\{.+?) \| (.+) \|$", ADD_AN_EXPORT.read_text(), re.MULTILINE)
    for mark, placeholders in ((True, set(UNPACK_PLACEHOLDERS) - set(PLACEHOLDERS)), (False, set(PLACEHOLDERS))):
        named = {
            name
            for names, meaning in rows
            for name in re.findall(r"\{(\w+)\}", names)
            if ("in `unpack_name` only" in meaning) is mark
        }
        assert named == placeholders


def test_every_field_of_the_connection_form_is_documented() -> None:
    text = (REPOSITORY / "docs" / "how-to" / "connect-a-tenant.md").read_text()
    (connection,) = get_provider_info()["connection-types"]
    for name in connection["conn-fields"]:
        assert f"`{name}`" in text, name


@cache
def sentences_of_the_code() -> str:
    """All texts of the package, with a mark where a value is filled in."""
    found: list[str] = []
    for path in (REPOSITORY / "plugins" / "talent_dmf").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "\x00" for part in node.values)
                found.append("".join(str(part) for part in parts))
    return "\n".join(found)


@pytest.mark.parametrize("cell", [cell for cell in first_column(RUN_BOOK) if cell.startswith("*")])
def test_the_run_book_quotes_what_the_code_says(cell: str) -> None:
    for quote in re.findall(r"\*([^*]+)\*", cell):
        for piece in re.split(r"…|`talent_dmf_default`|`onedrive_default`", quote):
            words = piece.strip().strip("`'").strip()
            if words and words not in {"The conn_id", "isn't defined"}:
                found = words in sentences_of_the_code()
                assert found, words


def definitions(path: Path) -> set[str]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


def test_what_the_comparison_names_is_there() -> None:
    text = ARCHITECTURE.read_text().partition("## Beside the providers")[2]
    named = re.findall(r"`(\w+)` in `([\w/]+\.py)`", text)
    assert len(named) > 12
    for name, file in named:
        (path,) = [path for path in (REPOSITORY / file, PACKAGE / file) if path.is_file()]
        assert name in definitions(path), f"{file} does not define {name}"


def test_the_comparison_names_the_largest_module() -> None:
    (lines, file) = re.findall(r"\| largest module.*\| (\d+): .* in `(\S+)`", ARCHITECTURE.read_text())[0]
    lengths = {path: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    longest = max(lengths, key=lambda path: lengths[path])
    assert longest == PACKAGE / file
    # A round figure is enough for a reader.
    assert abs(lengths[longest] - int(lines)) <= 25
