"""Exports for tests that must hold whatever stands in the catalogue: the tutorial's, and those of the documents."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
# What the tutorial exports, as the repository is delivered. A deployment may change or delete that file.
WORKERS = """\
description: All workers of legal entity USMF, saved in OneDrive for Business every night.
data_project: Export Workers
legal_entities: USMF
package_name: talent_package.zip
schedule: {cron: "0 0 * * *", timezone: UTC}
folder: Exports/Workers
tags: [human-resources]
"""


def blocks(document: Path, language: str) -> list[str]:
    """Return the blocks of code of a Markdown page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)


def documented_exports() -> dict[str, str]:
    """Return the catalogue files that README and docs show, by a name for each."""
    shown = [text for page in DOCUMENTS for text in blocks(page, "yaml") if re.search("^data_project:", text, re.M)]
    return {f"documented_{number}": text for number, text in enumerate(shown, 1)}
