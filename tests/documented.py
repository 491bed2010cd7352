"""The commands of the documents, as they stand there, and who runs each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.examples import DOCUMENTS, REPOSITORY

PAGES = [
    *DOCUMENTS,
    *(REPOSITORY / name / "README.md" for name in ("plugins", "include/dmf_emulator", "deploy/astro", "benchmarks")),
]

# Those that run commands from the text. Each takes what is said here to be its own, so that none can be forgotten.
CI = ".ci/run, line by line"
DOCUMENT_TESTS = "tests/packaging/test_documented_commands.py, in a copy of the repository"
COMMAND_LINE_TESTS = "tests/integration/test_documented_command_line.py, against the emulator"
SYSTEM_TESTS = "tests/system/test_documented_commands.py, in a real Airflow"
FIRST_HOUR_TESTS = "tests/system/test_first_hour.py, the page from its beginning to its end"
WHEEL_TESTS = "tests/packaging/test_distribution.py, in an environment that holds nothing else"
EMULATOR_WHEEL_TESTS = "tests/packaging/test_emulator_distribution.py, in environments that hold nothing else"

# A page that only makes sense as a whole.
FIRST_HOUR = "first-hour.md"
# By what a block or line begins with; the first that fits counts.
RUN_BY = {
    "make demo": CI,
    "make test": CI,
    "make env": DOCUMENT_TESTS,
    "python3 deploy/make_env.py": DOCUMENT_TESTS,
    "python dags/talent_exports_check.py": DOCUMENT_TESTS,
    "export AIRFLOW_CONN_TALENT_DMF_DEFAULT": DOCUMENT_TESTS,
    "export TALENT_DMF_CLIENT_SECRET": COMMAND_LINE_TESTS,
    "talent-dmf": COMMAND_LINE_TESTS,
    "airflow": SYSTEM_TESTS,
    "curl": SYSTEM_TESTS,
    "pip install airflow-provider-talent-dmf": WHEEL_TESTS,
    "pip install dmf-emulator": EMULATOR_WHEEL_TESTS,
    "dmf-emulator": EMULATOR_WHEEL_TESTS,
}
# Why nobody does.
RUN_BY_NOBODY = {
    "docker": "there is no container engine where tests run; tests/cluster runs the compose file as processes",
    "az": "it changes an Azure subscription, and no test has one",
    "curl -sS -o /dev/null": "it asks the environment of a company",
    ".venv/bin/python benchmarks": "each takes minutes of a machine that does nothing else",
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
    def runner(self) -> str | None:
        """Who runs it, as it begins; ``None`` if nobody is named."""
        if self.page.name == FIRST_HOUR:
            return FIRST_HOUR_TESTS
        return next((RUN_BY[kind] for kind in RUN_BY if _begins(self.runnable, kind)), None)

    @property
    def runnable(self) -> str:
        """Its commands without those that nobody runs."""
        kept = (line for line in _commands(self.text) if not any(_begins(line, kind) for kind in RUN_BY_NOBODY))
        return "".join(kept)

    def __str__(self) -> str:
        return f"{self.page.parent.name}/{self.page.name}: {self.text.splitlines()[0][:40]}"


def _begins(text: str, kind: str) -> bool:
    return re.match(rf"{re.escape(kind)}(?![\w-])", text) is not None


def _commands(text: str) -> Iterator[str]:
    """The lines of a block, those that a backslash continues together."""
    yield from re.findall(r"(?:[^\n]*\\\n)*[^\n]*\n", text)


def blocks(*languages: str) -> list[Block]:
    """All blocks of a language.

    :param languages: as the fences name them; those of shells if none is given.
    """
    names = "|".join(languages or ("sh", "bash", "shell", "console"))
    fence = re.compile(rf"^```(?:{names})\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [Block(page, text) for page in PAGES for text in fence.findall(page.read_text(encoding="utf-8"))]


def blocks_run_by(runner: str) -> list[Block]:
    """The blocks that somebody has to run.

    :param runner: one of the names above.
    """
    return [block for block in blocks() if block.runnable.strip() and block.runner == runner]
