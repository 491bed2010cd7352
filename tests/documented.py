"""The commands of the documents, as they stand there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.examples import DOCUMENTS, REPOSITORY

PAGES = [*DOCUMENTS, REPOSITORY / "plugins" / "README.md"]
# Who runs what a block begins with. A block that begins otherwise fails a test: somebody has to say who runs it.
RUN_BY = {
    "airflow": "the system tests, in a real Airflow",
    "curl": "the system tests, in a real Airflow",
    "make demo": ".ci/run",
    "make test": ".ci/run",
    "python dags/talent_exports_check.py": "the tests of the documents",
    "talent-dmf": "the tests of the documents",
    "export AIRFLOW_CONN_TALENT_DMF_DEFAULT": "the tests of the documents",
    "pip install": "the tests of the distributions, which install the wheel",
    "make env": "the tests of the cluster",
    "python3 deploy/make_env.py": "the tests of the cluster",
    # No container engine and no Azure subscription: their syntax is all that is tried.
    "docker": "nobody",
    "az": "nobody",
}


@dataclass(frozen=True)
class Block:
    """A block of shell commands.

    :param page: where it stands.
    :param text: the commands.
    """

    page: Path
    text: str

    @property
    def kind(self) -> str | None:
        """What it begins with, of those that somebody runs."""
        return next((kind for kind in RUN_BY if re.match(rf"{re.escape(kind)}\b", self.text)), None)

    def __str__(self) -> str:
        return f"{self.page.name}: {self.text.splitlines()[0][:40]}"


def blocks(language: str = "sh") -> list[Block]:
    """All blocks of a language.

    :param language: as the fence names it.
    """
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [Block(page, text) for page in PAGES for text in fence.findall(page.read_text(encoding="utf-8"))]
