"""Breaks the core on purpose and counts which breaks its unit tests notice: `make mutants`.

Each mutant is one change of one module of `talent_dmf.api`: a comparison turned, an `and` for an `or`, a number moved
by one, a condition negated, a returned value dropped. The unit tests that import the module are run with it, in a copy
of the package. What survives is printed with file and line; exit status 1 if too few mutants are noticed.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
CORE = PROJECT / "plugins" / "talent_dmf" / "api"
TESTS = PROJECT / "tests" / "unit"
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
    :param source: the whole module with it.
    """

    module: Path
    line: int
    what: str
    source: str


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
    text = module.read_text(encoding="utf-8")
    places = [node for node in ast.walk(ast.parse(text)) if hasattr(node, "lineno")]
    for number, place in enumerate(places):
        for index, (words, _) in enumerate(changes(place)):
            # Each mutant is made in a tree of its own: a transformer changes the tree that it walks.
            tree = ast.parse(text)
            node = [each for each in ast.walk(tree) if hasattr(each, "lineno")][number]
            new = list(changes(node))[index][1]
            changed = ast.fix_missing_locations(_Replaced(node, new).visit(tree))
            yield Mutant(module, int(getattr(place, "lineno", 0)), words, ast.unparse(changed))


def tests_of(module: Path) -> list[str]:
    """The unit tests that import a module.

    :param module: the file.
    """
    dotted = ".".join(module.relative_to(PROJECT / "plugins").with_suffix("").parts)
    package, _, name = dotted.rpartition(".")
    imports = (f"from {dotted} import", f"import {dotted}", f"from {package} import {name}")
    found = [path for path in sorted(TESTS.rglob("test_*.py")) if any(each in path.read_text() for each in imports)]
    return [str(path) for path in found]


def noticed(mutant: Mutant, package: Path) -> bool:
    """Whether a test fails with the mutant in the place of its module.

    :param mutant: the change.
    :param package: a copy of the package's folder.
    """
    target = package / mutant.module.relative_to(PROJECT / "plugins")
    target.write_text(mutant.source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command += ["-o", f"pythonpath={package} include .", *tests_of(mutant.module)]
    try:
        done = subprocess.run(
            command, cwd=PROJECT, capture_output=True, timeout=300, check=False,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        return done.returncode != 0
    except subprocess.TimeoutExpired:
        return True  # it went on for ever, which somebody would have noticed
    finally:
        shutil.copy(mutant.module, target)


def main() -> int:
    """Try a sample of mutants, or all of a module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", nargs="*", help="such as retrying or dmf/waiting; all when omitted")
    parser.add_argument("--sample", type=int, default=40, help="how many mutants (default: 40; 0: all)")
    parser.add_argument("--seed", type=int, default=1, help="which sample (default: 1)")
    parser.add_argument("--floor", type=float, default=80, help="percent that must be noticed (default: 80)")
    options = parser.parse_args()
    modules = [CORE / f"{name}.py" for name in options.module] or sorted(CORE.rglob("*.py"))
    found = [mutant for module in modules if tests_of(module) for mutant in mutants_of(module)]
    if options.sample:
        found = random.Random(options.seed).sample(found, min(options.sample, len(found)))
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(PROJECT / "plugins" / "talent_dmf", Path(folder) / "talent_dmf")
        # Tests that fail without any mutant would notice all of them.
        for module in sorted({mutant.module for mutant in found}):
            if noticed(Mutant(module, 0, "nothing", module.read_text(encoding="utf-8")), Path(folder)):
                print(f"the tests of {module.relative_to(CORE)} fail as it is")
                return 2
        for mutant in found:
            if not noticed(mutant, Path(folder)):
                survivors.append(mutant)
                print(f"survived  {mutant.module.relative_to(CORE)}:{mutant.line}  {mutant.what}", flush=True)
    score = 100 * (1 - len(survivors) / max(1, len(found)))
    print(f"{len(found) - len(survivors)} of {len(found)} mutants were noticed: {score:.0f} %")
    return int(score < options.floor)


if __name__ == "__main__":
    sys.exit(main())
