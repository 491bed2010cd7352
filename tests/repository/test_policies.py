"""The rules of the architecture that a reader of one module cannot see broken, checked on the source itself."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "plugins" / "talent_dmf"
STATUS_WORDS = {"Unknown", "NotRun", "Executing", "Succeeded", "PartiallySucceeded", "Failed", "Canceled"}
IMPURE = {
    "airflow", "requests", "aiohttp", "yarl", "httpx", "msal", "socket", "ssl", "time", "asyncio", "threading",
    "urllib3", "os", "random", "subprocess", "http", "logging",
}  # fmt: skip
JSON_SCALARS = {"str", "int", "float", "bool", "str | None", "int | None", "float | None", "bool | None", "None"}
NAIVE = {"now", "fromtimestamp", "utcnow", "today", "utcfromtimestamp"}
# What only some of the rules are for.
ELSEWHERE = ("include", "deploy", "example_dags", ".ci", "tests", "benchmarks")
_FUNCTION = re.compile(r"^(?:    )?(?:async )?def ", re.M)
MOST_LINES_OF_A_FUNCTION, MOST_LINES_OF_A_DAG_FILE = 50, 100

Check = Callable[[str, ast.Module], Iterator[str]]


@cache
def trees(base: Path, *folders: str) -> dict[str, ast.Module]:
    """The modules below some folders, parsed once for all rules, by their paths from the base."""
    return {
        path.relative_to(base).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for folder in folders
        for path in sorted((base / folder).rglob("*.py"))
    }


def ours() -> dict[str, ast.Module]:
    """The modules of the provider, its page and the DAG files."""
    return {**trees(ROOT / "plugins", "."), **trees(ROOT, "dags")}


@cache
def nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """All nodes of a module."""
    return tuple(ast.walk(tree))


def strings(tree: ast.Module) -> Iterator[ast.Constant]:
    return (node for node in nodes(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


def imported(tree: ast.Module) -> Iterator[str]:
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


def dotted(node: ast.AST | None) -> str:
    return ast.unparse(node) if node is not None else ""


def status_words_have_one_room(name: str, tree: ast.Module) -> Iterator[str]:
    """R1"""
    if name != "talent_dmf/api/dmf/status.py":
        yield from (f"{node.lineno}: {node.value!r}" for node in strings(tree) if node.value in STATUS_WORDS)


def the_wire_is_spelled_in_one_room(name: str, tree: ast.Module) -> Iterator[str]:
    rooms = {
        "microsoft.dynamics.dataentities.": "talent_dmf/api/dmf/actions.py",
        "retry-after": "talent_dmf/api/retrying.py",
        "x-ms-retry-after-ms": "talent_dmf/api/retrying.py",
        "nextexpectedranges": "talent_dmf/api/graph/upload/session.py",
    }
    for node in strings(tree):
        said = node.value.lower()
        for text, room in rooms.items():
            if name != room and (said == text or (text.endswith(".") and text in said)):
                yield f"{node.lineno}: {node.value!r} belongs to {room}"


def the_core_is_pure(name: str, tree: ast.Module) -> Iterator[str]:
    """R3"""
    if name.startswith("talent_dmf/api/"):
        for module in imported(tree):
            foreign = module.startswith("talent_dmf.") and not module.startswith("talent_dmf.api")
            if module.partition(".")[0] in IMPURE or foreign:
                yield f"imports {module}"


def only_drivers_sleep(name: str, tree: ast.Module) -> Iterator[str]:
    """R3, R11"""
    if name in {"talent_dmf/transport/drivers.py", "talent_dmf/destinations/onedrive/pump.py"}:
        return
    for node in nodes(tree):
        if isinstance(node, ast.Attribute) and node.attr == "sleep" and dotted(node.value) in {"time", "asyncio"}:
            yield f"{node.lineno}: {dotted(node)}"
        if isinstance(node, ast.ImportFrom) and node.module in {"time", "asyncio"}:
            yield from (f"{node.lineno}: sleep" for alias in node.names if alias.name == "sleep")


def only_the_retry_policy_retries(name: str, tree: ast.Module) -> Iterator[str]:
    """R5"""
    if name == "talent_dmf/api/retrying.py":
        return
    for node in nodes(tree):
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            target = dotted(node.target).lower()
            if any(word in target for word in ("attempt", "retry", "retries", "tries")):
                yield f"for {target} in ..."
    yield from (f"imports {module}" for module in imported(tree) if module.partition(".")[0] in {"tenacity", "backoff"})


def times_are_aware(name: str, tree: ast.Module) -> Iterator[str]:
    """R11"""
    for node in nodes(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in NAIVE:
            called = dotted(node.func)
            naive = called.endswith(("datetime.now", "datetime.fromtimestamp")) and not (
                any(keyword.arg == "tz" for keyword in node.keywords)
                or len(node.args) > called.endswith("fromtimestamp")
            )
            if naive or called.endswith(("datetime.utcnow", "datetime.today", "datetime.utcfromtimestamp")):
                yield f"{node.lineno}: {dotted(node)}"


def nothing_is_swallowed(name: str, tree: ast.Module) -> Iterator[str]:
    """R10"""
    for node in nodes(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = dotted(node.type)
            broad = caught in {"", "Exception", "BaseException"}
            told = any(
                isinstance(inner, ast.Raise) or (isinstance(inner, ast.Name) and inner.id == node.name)
                for inner in ast.walk(node)
            )
            if broad and not told:
                yield f"{node.lineno}: except {caught}"
            if "CancelledError" in caught and not isinstance(node.body[-1], ast.Raise):
                yield f"{node.lineno}: CancelledError is kept"


def triggers_carry_json_and_derive_their_path(name: str, tree: ast.Module) -> Iterator[str]:
    """R6"""
    for node in nodes(tree):
        if not (isinstance(node, ast.ClassDef) and any(dotted(base).endswith("Trigger") for base in node.bases)):
            continue
        methods = {method.name: method for method in node.body if isinstance(method, ast.FunctionDef)}
        if "__init__" in methods:
            arguments = methods["__init__"].args
            for argument in [*arguments.args[1:], *arguments.kwonlyargs]:
                if dotted(argument.annotation) not in JSON_SCALARS:
                    yield f"{node.name}({argument.arg}: {dotted(argument.annotation)})"
        if "serialize" in methods:
            found = strings(ast.Module([methods["serialize"]], []))
            yield from (f"{node.name}: {text.value!r}" for text in found if str(text.value).startswith("talent_dmf."))
        if not name.startswith("talent_dmf/triggers/"):
            yield f"{node.name} is no trigger of this room"


def connections_are_read_by_hooks(name: str, tree: ast.Module) -> Iterator[str]:
    if not name.startswith("talent_dmf/hooks/"):
        for node in nodes(tree):
            if isinstance(node, ast.Attribute) and node.attr in {"get_connection", "aget_connection"}:
                yield f"{node.lineno}: {dotted(node)}"


def the_emulator_is_a_stranger(name: str, tree: ast.Module) -> Iterator[str]:
    yield from (f"imports {module}" for module in imported(tree) if module.partition(".")[0] == "dmf_emulator")


def functions_and_dag_files_are_short(name: str, tree: ast.Module) -> Iterator[str]:
    """R14: a module's size is a matter of its number of jobs, a function's by its lines."""
    for node in nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > MOST_LINES_OF_A_FUNCTION:
                yield f"{node.lineno}: {node.name} has {lines} lines, {MOST_LINES_OF_A_FUNCTION} at most"
    if name.startswith("dags/"):
        lines = max((node.end_lineno or 0 for node in tree.body), default=0)
        if lines > MOST_LINES_OF_A_DAG_FILE:
            yield f"{lines} lines, {MOST_LINES_OF_A_DAG_FILE} at most"


def public_things_are_described(name: str, tree: ast.Module) -> Iterator[str]:
    """R13"""
    if tree.body and ast.get_docstring(tree) is None:
        yield "the module"
    for node in tree.body:
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if named and not node.name.startswith("_") and ast.get_docstring(node) is None:
            yield node.name


CHECKS: dict[Check, str] = {
    status_words_have_one_room: 'done = status == "Succeeded"',
    the_wire_is_spelled_in_one_room: 'wait = headers["Retry-After"]',
    the_core_is_pure: "from talent_dmf.transport.drivers import SyncDriver",
    only_drivers_sleep: "import time\ntime.sleep(1)",
    only_the_retry_policy_retries: "for attempt in range(3): pass",
    times_are_aware: "moment = datetime.now()",
    nothing_is_swallowed: "try: f()\nexcept Exception: pass",
    triggers_carry_json_and_derive_their_path: "class A(BaseTrigger):\n def __init__(self, at: datetime): pass",
    connections_are_read_by_hooks: "BaseHook.get_connection('x')",
    the_emulator_is_a_stranger: "import dmf_emulator.http.server",
    functions_and_dag_files_are_short: "def f():\n" + "    x = 1\n" * 60,
    public_things_are_described: '"""Module."""\ndef f(): pass',
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_rule_holds(check: Check) -> None:
    broken = [f"{name}: {found}" for name, tree in ours().items() for found in check(name, tree)]
    assert "talent_dmf/api/steps.py" in ours()
    assert not broken, "\n".join(broken)


def may_have_a_long_function(text: str) -> bool:
    """Whether so many lines lie between two functions. To parse every file would take longer than all other rules."""
    begins = [text.count("\n", 0, found.start()) for found in _FUNCTION.finditer(text)]
    return any(end - begin > MOST_LINES_OF_A_FUNCTION for begin, end in pairwise([*begins, text.count("\n")]))


def test_functions_are_short_elsewhere_too() -> None:
    files = [path for folder in ELSEWHERE for path in sorted((ROOT / folder).rglob("*.py"))]
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files}
    broken = [
        f"{name}: {found}"
        for name, text in texts.items()
        if may_have_a_long_function(text)
        for found in functions_and_dag_files_are_short(name, ast.parse(text))
    ]
    assert "tests/repository/test_policies.py" in texts
    assert not broken, "\n".join(broken)


def test_a_long_function_is_looked_for_wherever_one_may_be() -> None:
    long = "def f():\n" + "    x = 1\n" * 60
    method = "class A:\n    async def f(self):\n" + "        x = 1\n" * 60
    for text in (long, method, "def g(): pass\n" + long, long + "def g(): pass\n"):
        assert may_have_a_long_function(text)
    assert not may_have_a_long_function("def f():\n    x = 1\n" * 60)


@pytest.mark.parametrize(("check", "wrong"), CHECKS.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_the_rule_would_be_noticed_if_broken(check: Check, wrong: str) -> None:
    assert list(check("talent_dmf/api/example.py", ast.parse(wrong)))


@pytest.mark.parametrize(
    ("check", "wrong"),
    [
        (only_drivers_sleep, "from asyncio import sleep"),
        (only_the_retry_policy_retries, "import tenacity"),
        (the_core_is_pure, "import ssl"),
        (the_wire_is_spelled_in_one_room, 'url = "data/x/Microsoft.Dynamics.DataEntities.Y"'),
        (times_are_aware, "datetime.datetime.utcnow()"),
        (times_are_aware, "datetime.fromtimestamp(1)"),
        (nothing_is_swallowed, "try: f()\nexcept: x = 1"),
        (nothing_is_swallowed, "try: f()\nexcept Exception as error: log('odd')"),
        (nothing_is_swallowed, "try: f()\nexcept asyncio.CancelledError: x = 1"),
        (
            triggers_carry_json_and_derive_their_path,
            "class A(BaseTrigger):\n def serialize(self): return 'talent_dmf.A'",
        ),
    ],
)
def test_other_forms_would_be_noticed_too(check: Check, wrong: str) -> None:
    assert list(check("talent_dmf/api/example.py", ast.parse(wrong)))


@pytest.mark.parametrize(
    "right",
    [
        "moment = datetime.now(UTC)",
        "moment = datetime.fromtimestamp(1, tz=UTC)",
        "moment = datetime.fromtimestamp(1, UTC)",
        "try: f()\nexcept Exception as error: raise X from error",
        "try: f()\nexcept Exception as error: log(error)",
        "try: f()\nexcept ValueError: pass",
    ],
)
def test_what_is_right_is_not_complained_of(right: str) -> None:
    for check in (times_are_aware, nothing_is_swallowed):
        assert not list(check("talent_dmf/x.py", ast.parse(right)))


def test_no_module_takes_a_name_of_the_standard_library() -> None:
    # Airflow runs the files under plugins/ as top-level modules if they are not hidden from it.
    stems = {path.stem for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert not stems & set(sys.stdlib_module_names)


def test_the_package_is_hidden_from_the_plugin_scanner() -> None:
    ignored = (ROOT / "plugins" / ".airflowignore").read_text(encoding="utf-8").splitlines()
    assert "talent_dmf/" in [line.strip() for line in ignored]


def test_the_emulator_does_not_know_the_client() -> None:
    files = sorted((ROOT / "include" / "dmf_emulator").rglob("*.py"))
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files}
    assert "include/dmf_emulator/http/server.py" in texts
    for name, text in texts.items():
        if "talent_dmf" in text:
            assert not [each for each in imported(ast.parse(text)) if each.partition(".")[0] == "talent_dmf"], name
