"""YAML that remembers its lines, so that a mistake can be reported with file and line."""

from __future__ import annotations

import codecs
import re
import stat
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from talent_dmf.api.errors import ConfigurationError

# libyaml where PyYAML was built with it. Everything is read as text: YAML would turn the company code NO into false
# and 0100 into 64.
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
# Bounds of a file: see `LocatedYaml._text`.
MAX_BYTES, MAX_DEPTH, MAX_EVENTS = 256 * 1024, 10, 10_000
_MOST_SHOWN = 300
# What else than text, lists and mappings a value would have to be.
_FOREIGN_TAGS = (":binary", ":set", ":omap", ":pairs", ":null")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_NULL_WORDS = {"", "~", "null", "Null", "NULL"}

Place: TypeAlias = tuple[str | int, ...]


class CatalogueError(ConfigurationError):
    """A catalogue file cannot be used.

    :param mistakes: one sentence for each, with file and line; each on a line of its own.
    """

    def __init__(self, mistakes: str) -> None:
        super().__init__(mistakes)
        self.message = "\n".join(ConfigurationError(each).message for each in mistakes.split("\n"))
        self.args = (self.message,)


class LocatedYaml:
    """A YAML file whose values are texts, lists and mappings, and know their lines.

    :param path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[Place, int] = {}

    def error(self, at: Place | None, words: str, *, line: int | None = None) -> CatalogueError:
        """An error that names file and line.

        :param at: keys and indexes that lead to the value concerned; ``None`` for the file as a whole.
        :param words: what is wrong, without the full stop.
        :param line: line to name instead.
        """
        if line is None and at is not None:
            line = next((self._lines[at[:n]] for n in range(len(at), -1, -1) if at[:n] in self._lines), None)
        return CatalogueError(f"{shown(self.path)}{f', line {line}' if line else ''}: {words}.")

    def read(self, *, empty: bool = False) -> dict[str, Any]:
        """The file's mapping.

        :param empty: whether there may be none.

        :raises CatalogueError: unreadable, not YAML, not a mapping, a key given twice, or an alias.
        """
        try:
            node = yaml.compose(self._text(), Loader=_LOADER)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            what = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
            if what.startswith("but ") and (context := getattr(error, "context", None)):
                what = f"{context}, {what}"
            words = f"is not valid YAML ({what}); look at its indentation, quotes and brackets"
            raise self.error(None, words, line=mark.line + 1 if mark else None) from None
        except OSError as error:
            raise self.error(None, f"cannot be read ({error.strerror}); correct that, or remove it") from None
        if node is None and empty:
            return {}
        if not isinstance(node, yaml.MappingNode):
            raise self.error(None, "must consist of `key: value` lines, such as `data_project: Export Workers`")
        return self._mapping(node, (), set())

    def _text(self) -> bytes:
        """The file, if it is of a size and depth that a person would write: what reads it works by recursion."""
        # A pipe or a device would be waited for.
        if not stat.S_ISREG(self.path.stat().st_mode):
            raise self.error(None, "is a folder or a device, not a file; remove it")
        with self.path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise self.error(None, f"has more than {MAX_BYTES // 1024} KiB; give each export a file of its own")
        try:
            text.decode("utf-16" if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8")
        except UnicodeDecodeError as error:
            line = text.count(b"\n", 0, error.start) + 1
            raise self.error(None, "is not a text in UTF-8; save it as one", line=line) from None
        depth = 0
        for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
            if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                depth += 1
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                at = event.start_mark.line + 1 if event.start_mark else None
                words = f"is nested more than {MAX_DEPTH} levels deep; write it with two at most"
                raise self.error(None, words, line=at)
            if count > MAX_EVENTS:
                raise self.error(None, f"has more than {MAX_EVENTS} values; give each export a file of its own")
        return text

    def _value(self, node: Any, at: Place, seen: set[int]) -> Any:
        line = node.start_mark.line + 1
        self._lines.setdefault(at, line)
        if id(node) in seen:
            raise self.error(None, "YAML aliases (`*name`) are not supported here; write the value out", line=line)
        seen.add(id(node))
        self._plain(node)
        if isinstance(node, yaml.ScalarNode):
            return None if not node.style and node.value in _NULL_WORDS else node.value
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*at, index), seen) for index, item in enumerate(node.value)]
        return self._mapping(node, at, seen)

    def _plain(self, node: Any) -> None:
        """Refuse what would be read as another value than its author meant, or be none that a database takes."""
        line = node.start_mark.line + 1
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.endswith(_FOREIGN_TAGS):
            words = f"YAML tags ({_as_line(node.tag)[:60]}) are not supported here; write the value itself"
            raise self.error(None, words, line=line)
        if isinstance(node, yaml.ScalarNode) and (odd := _CONTROL.search(node.value)):
            words = f"the control character U+{ord(odd[0]):04X} stands in a value; remove it"
            raise self.error(None, words, line=line)

    def _mapping(self, node: yaml.MappingNode, at: Place, seen: set[int]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise self.error(None, "keys must be words", line=line)
            self._plain(key_node)
            if key in found:
                first = self._lines[(*at, key)]
                raise self.error(None, f"`{key}` is given twice, first in line {first}; remove one", line=line)
            self._lines[(*at, key)] = line
            found[key] = self._value(value_node, (*at, key), seen)
        return found


def shown(path: Path) -> str:
    """The part of a path that people know: ``include/exports/workers.yaml``.

    :param path: any path.
    """
    parts = path.parts
    # The catalogue's folder and the one that holds it; one that is called otherwise is shown by its last folders.
    begin = next((at - 1 for at in range(len(parts) - 1, 0, -1) if parts[at] == "exports"), len(parts) - 3)
    text = _as_line("/".join(parts[max(begin, 0) :]))
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN // 2]}…{text[-_MOST_SHOWN // 2 :]}"


def _as_line(text: str) -> str:
    """A text in one line that can be written anywhere: names of files may hold line ends, and bytes that are none."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
