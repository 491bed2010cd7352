"""Every sentence that this package can end in, read from its code and written out with samples for what varies.

A sentence is the first argument of an error class. Its text is followed through names, helpers and alternatives, and
each part that is only known at run time is taken from :data:`SAMPLES`: a part without a sample fails, so no new
sentence goes unread. `python -m tests.repository.sentences` writes the file that the test compares with.
"""

from __future__ import annotations

import ast
import enum
import importlib
import itertools
import re
import ssl
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import requests
from tests.repository.sentence_samples import (
    BROKEN_RULES,
    ERROR,
    EXECUTION,
    FILE,
    GRAPH_ANSWERS,
    OPERATIONS,
    PASSED_ON,
    PROJECT,
    SAMPLES,
)
from tests.unit.scripted import answer, odata_error, play
from tests.unit.test_catalogue import MISTAKES

from talent_dmf.api import errors
from talent_dmf.api.arguments import wrong_argument
from talent_dmf.api.dmf.models import ExecutionErrorRow
from talent_dmf.api.dmf.odata import refusal
from talent_dmf.api.dmf.reporting import ExportReport, export_error
from talent_dmf.api.dmf.status import DmfExecutionStatus
from talent_dmf.api.errors import TalentDmfError
from talent_dmf.api.graph.errors import Refusal, graph_error, meaning
from talent_dmf.api.retrying import RetryPolicy
from talent_dmf.api.steps import Request, send
from talent_dmf.auth.entra_errors import _MEANINGS, explain_refusal
from talent_dmf.catalogue.loading import load_export
from talent_dmf.catalogue.located_yaml import CatalogueError
from talent_dmf.transport.common import REQUESTS_KINDS, Wire

# How a service of docker-compose.yaml ends that cannot start, and how a command of the local stack does.
_BESIDE_THE_PACKAGE = frozenset({"CannotStart", "NotYet", "StackError"})
ROOT = Path(errors.__file__).parents[1]
SNAPSHOT = Path(__file__).with_name("sentences.txt")
CLASSES = {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Exception)} | {
    "AirflowFailException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
}
# What they put together is made by themselves, in `driven`.
DRIVEN = frozenset({"refusal", "explain_refusal", "graph_error", "_kind_and_sentence", "wrong_argument", "failure"})
_MOST_VARIANTS = 60
# Calls that write what people read in a task's log, and how the file calls such a line.
LEVELS = {"warning": "WARNING", "error": "ERROR", "exception": "ERROR"}


class UnknownPartError(Exception):
    """A part of a sentence for which there is no sample."""


@cache
def tree(path: Path) -> ast.Module:
    """A module, parsed, each node knowing the one above it."""
    parsed = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(parsed):
        for child in ast.iter_child_nodes(node):
            child.above = node  # type: ignore[attr-defined]
    return parsed


class Source:
    """One module of the package.

    :param path: its file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.tree = path, tree(path)
        dotted = path.relative_to(ROOT.parent).with_suffix("").as_posix().replace("/", ".")
        self.module: ModuleType = importlib.import_module(dotted.removesuffix(".__init__"))

    def sentences(self) -> Iterator[tuple[str, str]]:
        """Class and text of each sentence that is made here."""
        for node in ast.walk(self.tree):
            for kind, message in _messages(node):
                if ast.unparse(message) not in PASSED_ON and _function_of(node) not in DRIVEN:
                    for text in self.texts(message):
                        yield kind, text

    def logged(self) -> Iterator[tuple[str, str]]:
        """Level and text of each line that is written to a log here for people."""
        for node in ast.walk(self.tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
                continue
            if not ast.unparse(node.func.value).endswith("log"):
                continue
            form, *values = node.args
            words = re.split(r"(%[sdr])", ast.literal_eval(form)) if values else ["%s"]
            given = iter(values or [form])
            parts = []
            for word in words:
                texts = self._of_a_line(next(given)) if word in {"%s", "%d", "%r"} else [word]
                parts.append([repr(each) for each in texts] if word == "%r" else texts)
            for each in _some_of_each(parts):
                yield LEVELS[node.func.attr], "".join(each)

    def _of_a_line(self, node: ast.expr) -> list[str]:
        # An error of ours is a sentence of its own.
        if ast.unparse(node) in {"error", "error.message", "mismatch.message"}:
            return [ERROR]
        try:
            return self.texts(node)
        except UnknownPartError:
            return ["{…}"]

    def texts(self, node: ast.expr, bound: dict[str, list[str]] | None = None, depth: int = 0) -> list[str]:
        """What an expression can be, as text."""
        if depth > 12:
            raise UnknownPartError(ast.unparse(node))
        bound = bound or {}
        if (given := self._sampled(node)) is not None:
            return [str(each) for each in given]
        more = [bound, depth + 1]
        found: list[str]
        match node:
            case ast.Constant():
                found = [str(node.value)]
            case ast.JoinedStr():
                parts = [self.texts(part, *more) for part in node.values]
                found = ["".join(each) for each in _some_of_each(parts)]
            case ast.FormattedValue():
                found = [self._formatted(text, node) for text in self._values(node.value, *more)]
            case ast.IfExp():
                found = [*self.texts(node.body, *more), *self.texts(node.orelse, *more)]
            case ast.BoolOp():
                found = [text for value in node.values for text in self.texts(value, *more) if text]
            case ast.BinOp(op=ast.Add()):
                pairs = _some_of_each([self.texts(node.left, *more), self.texts(node.right, *more)])
                found = ["".join(each) for each in pairs]
            case ast.Name():
                found = bound.get(node.id) or self._named(node, *more)
            case ast.Call(func=ast.Name()) if returned := self._returned(node.func.id):
                found = [text for each in returned for text in self.texts(each, *more)]
            case _:
                found = [str(self._computed(node))]
        return found

    def _returned(self, name: str) -> list[ast.expr]:
        """What a function of this module returns."""
        functions = [each for each in ast.walk(self.tree) if isinstance(each, ast.FunctionDef) and each.name == name]
        returns = [each for function in functions for each in ast.walk(function) if isinstance(each, ast.Return)]
        return [each.value for each in returns if each.value is not None]

    def _values(self, node: ast.expr, *more: Any) -> list[Any]:
        if (found := self._sampled(node)) is not None:
            return found
        try:
            return [self._computed(node)]
        except UnknownPartError:
            return list(self.texts(node, *more))

    def _sampled(self, node: ast.expr) -> list[Any] | None:
        """What a person said that it may be: in this module, or anywhere."""
        words = ast.unparse(node)
        for key in (f"{self.path.stem}: {words}", words):
            if key in SAMPLES:
                found = SAMPLES[key]
                return list(found) if isinstance(found, list | tuple) else [found]
        return None

    def _formatted(self, value: Any, node: ast.FormattedValue) -> str:
        if node.conversion == ord("r"):
            value = repr(value)
        form = "".join(self.texts(node.format_spec)) if node.format_spec else ""
        return format(value, form) if form and not isinstance(value, str) else str(value)

    def _computed(self, node: ast.expr) -> Any:
        """A value that stands in the module itself."""
        try:
            value = eval(compile(ast.Expression(node), "sentence", "eval"), vars(self.module))  # noqa: S307
        except Exception:  # noqa: BLE001
            raise UnknownPartError(f"{self.path.name}:{node.lineno}: {ast.unparse(node)}") from None
        if isinstance(value, enum.Enum) or not isinstance(value, (str, int, float, tuple, list, frozenset)):
            raise UnknownPartError(f"{self.path.name}:{node.lineno}: {ast.unparse(node)}")
        return value

    def _named(self, node: ast.Name, bound: dict[str, list[str]], depth: int) -> list[str]:
        """What a variable or a parameter holds."""
        function = node
        while function is not None and not isinstance(function, (ast.FunctionDef, ast.Lambda)):
            function = getattr(function, "above", None)
        if isinstance(function, ast.FunctionDef):
            given = [
                (each.value if isinstance(each, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) else None)
                for each in ast.walk(function)
                if isinstance(each, (ast.Assign, ast.AnnAssign, ast.NamedExpr))
                and any(isinstance(t, ast.Name) and t.id == node.id for t in _targets(each))
            ]
            if any(given):
                return [text for value in given if value is not None for text in self.texts(value, bound, depth)]
            names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
            if node.id in names:
                return self._arguments(function, names.index(node.id), node.id, bound, depth)
        return [str(self._computed(node))]

    def _arguments(self, function: ast.FunctionDef, at: int, name: str, bound: Any, depth: int) -> list[str]:
        found: list[str] = []
        for call in ast.walk(self.tree):
            if isinstance(call, ast.Call) and _name_of(call) == function.name:
                shift = 1 if function.args.args and function.args.args[0].arg == "self" else 0
                place = at - shift
                given = call.args[place] if place < len(call.args) else None
                given = given or next((k.value for k in call.keywords if k.arg == name), None)
                if given is not None:
                    found += self.texts(given, bound, depth)
        defaults = function.args.defaults
        if not found and defaults:
            found += self.texts(defaults[-1], bound, depth)
        if not found:
            raise UnknownPartError(f"{self.path.name}:{function.lineno}: parameter {name} of {function.name}")
        return list(dict.fromkeys(found))


def _function_of(node: ast.AST | None) -> str:
    """Name of the function that a piece of code stands in."""
    while node is not None and not isinstance(node, ast.FunctionDef):
        node = getattr(node, "above", None)
    return node.name if node is not None else ""


def _targets(node: Any) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _name_of(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _messages(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Class and message of what is made here: in a call of the class, or handed on as the pair of both."""
    pair: list[ast.expr] = []
    if isinstance(node, ast.Call) and _name_of(node) in CLASSES and "urllib3" not in ast.unparse(node.func):
        message = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "message"), None)
        if message is not None:
            yield _name_of(node), message
    elif isinstance(node, ast.Call) and _name_of(node).startswith("_"):
        pair = node.args
    elif isinstance(node, ast.Tuple):
        pair = node.elts
    for kind, message in itertools.pairwise(pair):
        is_class = isinstance(message, ast.Name) and not message.id.islower()
        if isinstance(kind, ast.Name) and kind.id in CLASSES and not is_class:
            yield kind.id, message


def _some_of_each(parts: list[list[str]]) -> list[tuple[str, ...]]:
    """Every alternative of each part, not every combination where there are too many."""
    count = 1
    for part in parts:
        count *= max(len(part), 1)
    if count <= _MOST_VARIANTS:
        return list(itertools.product(*parts))
    longest = max(len(part) for part in parts)
    return [tuple(part[number % len(part)] for part in parts) for number in range(longest)]


def driven() -> Iterator[tuple[str, str]]:
    """What is put together at run time out of the words of a service: made by the code itself."""
    for meant in Refusal:
        operation = OPERATIONS.get(meant, "save")
        assert meaning(operation, GRAPH_ANSWERS[meant]) is meant
        yield _told(graph_error(operation, GRAPH_ANSWERS[meant], FILE))
    for status in (302, 400, 401, 403, 404, 418):
        for response in (
            odata_error("The data project is locked.", status),
            answer(status),
            answer(status, body="<p>Oops</p>"),
        ):
            yield _told(refusal("ExportToPackage", response, PROJECT))
    for status in (429, 503):
        for response in (answer(status), odata_error("Zu viele Anforderungen", status)):
            played = play(
                send(Request("GET", "data/x", operation="Read data projects")),
                [response] * 20,
                policy=RetryPolicy(),
                all_used=False,
            )
            yield _told(played.error)
    for codes in ([], *([code] for code in _MEANINGS), [70002, 50032], [99999]):
        told = "AADSTS99999: Something new. Trace ID: 1" if codes == [99999] else ""
        yield _told(
            explain_refusal(
                {"error_codes": codes, "error_description": told},
                tenant_id="contoso.onmicrosoft.com",
                client_id="8b0c024c",
                scope="https://contoso/.default",
            )
        )
    for words, value in BROKEN_RULES.items():
        yield _told(wrong_argument("TalentDmfToOneDriveOperator", "conflict_behavior", words, value))
    for reason in _failures():
        request = Request("GET", "data/x", operation="Read data projects")
        yield _told(Wire.failure(request, "https://contoso.operations.dynamics.com/data/x", reason, "1", None))
    yield _told(Wire.failure(request, "https://[::1", ValueError("Invalid IPv6 URL"), "1", None))
    report = ExportReport(
        errors=(ExecutionErrorRow("1", "X", "Field 'X' must be filled in."),) * 97,
        page_url="https://contoso.operations.dynamics.com/?mi=DMF",
    )
    for status_ in (*(each for each in DmfExecutionStatus if not each.is_running), None):
        for known in (report, ExportReport()):
            failed = export_error(EXECUTION, status_, known, partial_success="fail")
            if failed is not None:
                yield _told(failed)


def _failures() -> Iterator[BaseException]:
    """What can go wrong on the way to a service, as the HTTP library names it."""
    for kind in (
        *(types[0] for types, _ in REQUESTS_KINDS.words),
        requests.ConnectionError,
        requests.exceptions.InvalidURL,
    ):
        # Their initialisers want the parts of a connection, of which the sentences say nothing.
        yield kind.__new__(kind)
    certificate = ssl.SSLCertVerificationError(1, "certificate verify failed")
    certificate.verify_message = "self-signed certificate"
    yield certificate


def _told(error: BaseException | None) -> tuple[str, str]:
    assert isinstance(error, TalentDmfError)
    return type(error).__name__, error.message


def all_sentences() -> list[tuple[str, str]]:
    """Class and text of everything that the package can end in, each once."""
    found: set[tuple[str, str]] = set()
    for path in sorted(ROOT.rglob("*.py")):
        if any(name in path.read_text(encoding="utf-8") for name in CLASSES):
            found.update(Source(path).sentences())
        found.update(Source(path).logged())
    found.update(driven())
    found.update(_of_the_catalogue())
    sentences = {(kind, TalentDmfError(text).message) for kind, text in found}
    return sorted(sentences.union(_beside_the_package()))


def _of_the_catalogue() -> Iterator[tuple[str, str]]:
    """What is said of each mistake in a file of the catalogue."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "include" / "exports" / "workers.yaml"
        path.parent.mkdir(parents=True)
        for text, _, _ in MISTAKES:
            path.write_text(text, encoding="utf-8")
            try:
                load_export(path)
            except CatalogueError as error:
                yield from (("CatalogueError", line) for line in error.message.splitlines())


def _beside_the_package() -> Iterator[tuple[str, str]]:
    """What the services of docker-compose.yaml and the local stack end in, as it stands in their code."""
    root = Path(__file__).parents[2]
    for path in (root / "deploy" / "service.py", *sorted((root / "include" / "local_stack").glob("*.py"))):
        module = tree(path)
        constants = {
            ast.unparse(each.targets[0]): each.value.value
            for each in module.body
            if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant)
        }
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and _name_of(node) in _BESIDE_THE_PACKAGE:
                # What follows in further lines is the output of a program.
                first = _as_it_stands(node.args[0], constants).partition("\n")[0]
                if any(each.isalpha() for each in first):
                    yield _name_of(node), first


def _as_it_stands(message: ast.expr, constants: dict[str, Any]) -> str:
    match message:
        case ast.Constant(value=text):
            return str(text)
        case ast.JoinedStr(values=parts):
            return "".join(
                str(each.value)
                if isinstance(each, ast.Constant)
                else str(constants.get(ast.unparse(each.value), "{…}"))
                for each in parts
                if isinstance(each, ast.Constant | ast.FormattedValue)
            )
        case _:
            return "{…}"


def written(sentences: list[tuple[str, str]]) -> str:
    """The file: one sentence a line, after its class."""
    return "".join(f"{kind}: {text}\n" for kind, text in sentences)


if __name__ == "__main__":
    SNAPSHOT.write_text(written(all_sentences()), encoding="utf-8")
