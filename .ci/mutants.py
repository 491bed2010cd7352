"""Breaks the core on purpose and counts which breaks its unit tests notice: `make mutants`.

Each mutant is one change of one module of `talent_dmf.api`: a comparison turned, an `and` for an `or`, a number moved
by one, a condition negated, a returned value dropped. Decorators are left alone: no behaviour hangs on slots. The unit
tests that import the module are run with it, in a copy of the package and in a child of this process, which has loaded
what all of them need. What survives is printed with file and line; exit status 1 if too few mutants are noticed.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import hypothesis.strategies  # noqa: F401 - the tests' children need not load it
import pytest

PROJECT = Path(__file__).resolve().parents[1]
CORE = PROJECT / "plugins" / "talent_dmf" / "api"
TESTS = PROJECT / "tests" / "unit"
# Of processor time, which a busy machine does not lengthen; and of any time.
_LONGEST_CPU_SECONDS, _LONGEST_SECONDS = 120, 420
# Of the test files that import a module; the kernel is imported by nearly all.
_MOST_TESTS = 6
_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change.

    :param module: the file.
    :param line: where.
    :param what: the change, in words.
    :param node: number of the node that is changed, among those that have a line.
    :param index: which of its changes.
    """

    module: Path
    line: int
    what: str
    node: int
    index: int

    @property
    def source(self) -> str:
        """The whole module with the change."""
        # Each mutant is made in a tree of its own: a transformer changes the tree that it walks.
        tree = ast.parse(self.module.read_text(encoding="utf-8"))
        old = _places(tree)[self.node]
        new = list(changes(old))[self.index][1]
        return ast.unparse(ast.fix_missing_locations(_Replaced(old, new).visit(tree)))


def _places(tree: ast.AST) -> list[ast.AST]:
    return [node for node in ast.walk(tree) if hasattr(node, "lineno")]


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Each change of one node: words, and the node that stands in its place."""
    match node:
        case ast.Compare(left=left, ops=[operator], comparators=comparators) if type(operator) in _TURNED:
            turned = _TURNED[type(operator)]
            words = f"{type(operator).__name__} becomes {turned.__name__}"
            yield words, ast.Compare(left=left, ops=[turned()], comparators=comparators)
        case ast.BoolOp(op=ast.And(), values=values):
            yield "and becomes or", ast.BoolOp(op=ast.Or(), values=values)
        case ast.BoolOp(op=ast.Or(), values=values):
            yield "or becomes and", ast.BoolOp(op=ast.And(), values=values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "not is dropped", operand
        case ast.Constant(value=bool() as value):
            yield f"{value} becomes {not value}", ast.Constant(value=not value)
        case ast.Constant(value=int() as value):
            yield f"{value} becomes {value + 1}", ast.Constant(value=value + 1)
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield "None is returned", ast.Return(value=ast.Constant(value=None))


class _Replaced(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self._old:
            return ast.copy_location(self._new, node)
        return self.generic_visit(node)


def mutants_of(module: Path) -> Iterator[Mutant]:
    """All mutants of a module.

    :param module: the file.
    """
    places = _places(ast.parse(module.read_text(encoding="utf-8")))
    decorators = [each for node in places for each in getattr(node, "decorator_list", ())]
    left_alone = {id(node) for each in decorators for node in ast.walk(each)}
    for number, place in enumerate(places):
        if id(place) in left_alone:
            continue
        for index, (words, _) in enumerate(changes(place)):
            yield Mutant(module, int(getattr(place, "lineno", 0)), words, number, index)


def tests_of(module: Path) -> list[str]:
    """The unit tests that import a module or have its name, those first.

    :param module: the file.
    """
    dotted = ".".join(module.relative_to(PROJECT / "plugins").with_suffix("").parts)
    package, _, name = dotted.rpartition(".")
    imports = (f"from {dotted} import", f"import {dotted}", f"from {package} import {name}")
    found = [
        path
        for path in sorted(TESTS.rglob("test_*.py"))
        if name in path.stem or any(each in path.read_text() for each in imports)
    ]
    # What is given to every parser notices little, and takes long.
    found = [path for path in found if path.name != "test_fuzz_targets.py"]
    return [str(path) for path in sorted(found, key=lambda path: name not in path.stem)[:_MOST_TESTS]]


def noticed(mutant: Mutant, package: Path) -> bool:
    """Whether a test fails with the mutant in the place of its module.

    :param mutant: the change.
    :param package: a copy of the package's folder.
    """
    target = package / mutant.module.relative_to(PROJECT / "plugins")
    target.write_text(mutant.source, encoding="utf-8")
    try:
        return _fail(package, tests_of(mutant.module))
    finally:
        shutil.copy(mutant.module, target)


def _fail(package: Path, tests: Iterable[str]) -> bool:
    arguments = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:cov"]
    arguments += ["-o", f"pythonpath={package} include .", *tests]
    child = os.fork()
    if not child:
        _run_tests(arguments)
    return _status(child) != 0


def _run_tests(arguments: list[str]) -> NoReturn:
    # What goes on for ever, somebody would have noticed.
    signal.setitimer(signal.ITIMER_PROF, _LONGEST_CPU_SECONDS)
    signal.alarm(_LONGEST_SECONDS)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    status = 3
    try:
        status = int(pytest.main(arguments))
    finally:
        os._exit(status)


def _status(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> int:
    """Try a sample of mutants, or all of a module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", nargs="*", help="such as retrying or dmf/waiting; all when omitted")
    parser.add_argument("--sample", type=int, default=40, help="how many mutants (default: 40; 0: all)")
    parser.add_argument("--seed", type=int, default=1, help="which sample (default: 1)")
    parser.add_argument("--part", default="1/1", help="only a part of the sample, such as 2/4 (default: all of it)")
    parser.add_argument("--seconds", type=float, default=420, help="begin no mutant after so long (default: 420)")
    parser.add_argument("--floor", type=float, default=80, help="percent that must be noticed (default: 80)")
    options = parser.parse_args()
    os.chdir(PROJECT)
    sys.dont_write_bytecode = True
    ends = time.monotonic() + options.seconds
    modules = [CORE / f"{name}.py" for name in options.module] or sorted(CORE.rglob("*.py"))
    found = [mutant for module in modules if tests_of(module) for mutant in mutants_of(module)]
    if options.sample:
        found = random.Random(options.seed).sample(found, min(options.sample, len(found)))
    part, parts = (int(each) for each in options.part.split("/"))
    found = found[part - 1 :: parts]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(PROJECT / "plugins" / "talent_dmf", Path(folder) / "talent_dmf")
        # Tests that fail without any mutant would notice all of them.
        if found and _fail(Path(folder), {path for mutant in found for path in tests_of(mutant.module)}):
            print("the tests fail as the core is: `make test-unit` says which")
            return 2
        tried = 0
        for mutant in found:
            if time.monotonic() > ends:
                break
            tried += 1
            if not noticed(mutant, Path(folder)):
                survivors.append(mutant)
                print(f"survived  {mutant.module.relative_to(CORE)}:{mutant.line}  {mutant.what}", flush=True)
    score = 100 * (1 - len(survivors) / max(1, tried))
    beyond = f"; {len(found) - tried} were not tried" if tried < len(found) else ""
    print(f"{tried - len(survivors)} of {tried} mutants were noticed: {score:.0f} %{beyond}")
    return int(score < options.floor)


if __name__ == "__main__":
    sys.exit(main())
