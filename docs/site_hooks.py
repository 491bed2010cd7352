"""What the site adds to the folder: the start page, the changes, the reference, and links that stay inside.

MkDocs calls the functions by name (https://www.mkdocs.org/dev-guide/plugins/#events).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from talent_dmf.get_provider_info import get_provider_info

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?://|#|mailto:)([^)\s]+)\)")
# Pages of the site that lie elsewhere in the repository.
_PAGE = ".md"
_MOVED = {"README.md": f"index{_PAGE}", "CHANGELOG.md": f"changelog{_PAGE}"}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that no file of the folder holds.

    :param files: those of the folder.
    :param config: of the site.
    """
    pages = {name: (REPOSITORY / source).read_text(encoding="utf-8") for source, name in _MOVED.items()}
    pages |= reference_pages()
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def reference_pages() -> dict[str, str]:
    """One page for each kind of module that the provider names, made of their docstrings."""
    info = get_provider_info()
    kinds = {
        kind: [module for each in info[kind] for module in each["python-modules"]]
        for kind in ("operators", "sensors", "hooks", "triggers")
    }
    kinds["transfers"] = ["talent_dmf.transfers.base", *(each["python-module"] for each in info["transfers"])]
    kinds["dag-factory"] = ["talent_dmf.dag_factory.exports"]
    pages = {
        f"reference/{kind}{_PAGE}": f"# {kind.replace('-', ' ').capitalize()}\n\n"
        + "\n\n".join(f"::: {m}" for m in modules)
        for kind, modules in kinds.items()
    }
    made = {"connections": _connections(info), "examples": _examples()}
    return pages | {f"reference/{name}{_PAGE}": text for name, text in made.items()}


def _connections(info: dict[str, Any]) -> str:
    rows = []
    for connection in info["connection-types"]:
        rows += [
            f"## `{connection['connection-type']}`: {connection['hook-name']}\n",
            "| Field | Label | Meaning |",
            "|---|---|---|",
        ]
        for name, field in connection["conn-fields"].items():
            rows.append(f"| `{name}` | {field['label']} | {field['description']} |")
    return "# Connections\n\n" + "\n".join(rows) + "\n\nSee [connect a tenant](../how-to/connect-a-tenant.md).\n"


def _examples() -> str:
    parts = ["# Examples\n"]
    for path in sorted((REPOSITORY / "example_dags").glob("*.py")):
        parts.append(f"## {path.stem}\n\n```python\n{path.read_text(encoding='utf-8')}```\n")
    return "\n".join(parts)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links that lead out of the site into names of files: the site is read where there is no checkout.

    :param markdown: text of the page.
    :param page: the page.
    """
    source = page.file.src_uri
    folder = dict.fromkeys(_MOVED.values(), REPOSITORY).get(source, (DOCS / source).parent)

    def kept(match: re.Match[str]) -> str:
        label, target = match.groups()
        path, hash_, anchor = target.partition("#")
        linked = (folder / path).resolve()
        name = _MOVED.get(str(linked.relative_to(REPOSITORY)) if linked.is_relative_to(REPOSITORY) else "")
        if name is None and linked.is_relative_to(DOCS) and linked.suffix == ".md":
            name = linked.relative_to(DOCS).as_posix()
        elif name is None and (linked / "README.md").exists() and linked.is_relative_to(DOCS):
            name = (linked / "README.md").relative_to(DOCS).as_posix()
        if name is None:
            return f"{label} (`{path}`)" if "`" not in label else label
        up = "../" * source.count("/")
        return f"[{label}]({up}{name}{hash_}{anchor})"

    return _LINK.sub(kept, markdown)
