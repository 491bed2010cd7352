"""What the commands print: tables for people on standard output, or one JSON object for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table


class Output:
    """Where a command writes.

    :param as_json: whether the result is one JSON object on standard output, and nothing else is written there.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = Console(soft_wrap=True, highlight=False)
        self._err = Console(stderr=True, soft_wrap=True, highlight=False)

    def result(self, facts: dict[str, Any]) -> None:
        """The result for programs; nothing for people, who get tables and lines.

        :param facts: plain JSON.
        """
        if self.as_json:
            sys.stdout.write(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")

    def line(self, text: str) -> None:
        """A line for people.

        :param text: shown as it is: markup in it has no meaning.
        """
        if not self.as_json:
            self._out.print(escape(text))

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A table for people.

        :param headings: of the columns.
        :param rows: values of each row; ``None`` is shown as a dash.
        """
        if self.as_json:
            return
        table = Table(*headings)
        for row in rows:
            table.add_row(*("–" if value is None else escape(str(value)) for value in row))
        self._out.print(table)

    def error(self, text: str) -> None:
        """A sentence on what is wrong, on standard error.

        :param text: the sentence.
        """
        self._err.print(escape(text))

    @contextmanager
    def progress(self, description: str) -> Iterator[Progress]:
        """A progress bar on standard error, gone when the work is done.

        :param description: what is being done.
        """
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._err, transient=True, disable=not self._err.is_terminal) as bar:
            bar.add_task(escape(description), total=None)
            yield bar


def size_in_words(size_bytes: int) -> str:
    """A size for people.

    :param size_bytes: the size in bytes.
    """
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
