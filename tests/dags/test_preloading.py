"""What workers import before they fork: all that the tasks import, and nothing in other processes."""

from __future__ import annotations

import ast
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

import talent_dmf
from talent_dmf import preloading

PACKAGE = Path(talent_dmf.__file__).parent
# What every run of the four tasks goes through.
ON_THE_WAY = (
    "operators/talent_dmf.py",
    "sensors/talent_dmf.py",
    "transfers/base.py",
    "transfers/talent_dmf_to_onedrive.py",
    "dag_factory/dag_files.py",
    "links.py",
)
# Some runs import these: a check, a wait that leaves the worker, a package that is made anew or unpacked.
NOT_ALWAYS = {
    "talent_dmf.api.package.unpacking",
    "talent_dmf.operators.checks",
    "talent_dmf.sensors.history",
    "talent_dmf.triggers.talent_dmf",
}


def imported_by_functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    found = (node for function in functions for node in ast.walk(function) if isinstance(node, ast.ImportFrom))
    return {str(node.module) for node in found if str(node.module).startswith("talent_dmf.")}


def modules_after(*arguments: str, executor: str = "CeleryExecutor") -> set[str]:
    program = (
        "import json, sys; from talent_dmf.preloading import preload;"
        "done = preload(sys.argv[1:]); print(json.dumps([done, sorted(sys.modules)]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"AIRFLOW__CORE__EXECUTOR": executor, "PATH": "", "HOME": "/nowhere", "AIRFLOW_HOME": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    done, modules = json.loads(run.stdout.splitlines()[-1])
    assert set(done) <= set(modules)
    return set(modules)


def test_a_worker_has_imported_what_its_tasks_import() -> None:
    wanted = set().union(*(imported_by_functions(PACKAGE / name) for name in ON_THE_WAY)) - NOT_ALWAYS
    assert len(wanted) > 10
    assert wanted | {"requests", "msal", "cron_descriptor"} <= modules_after("celery", "worker")


@pytest.mark.parametrize(
    ("arguments", "executor", "there", "absent"),
    [
        (["scheduler"], "LocalExecutor", "talent_dmf.hooks.talent_dmf", "-"),
        (["scheduler"], "CeleryExecutor", "-", "talent_dmf.hooks.talent_dmf"),
        (["dag-processor"], "CeleryExecutor", "talent_dmf.dag_factory.exports", "talent_dmf.hooks.talent_dmf"),
        (["api-server"], "LocalExecutor", "-", "talent_dmf.dag_factory.exports"),
        (["dags", "list"], "LocalExecutor", "-", "talent_dmf.dag_factory.exports"),
        ([], "LocalExecutor", "-", "talent_dmf.dag_factory.exports"),
    ],
)
def test_only_what_forks_imports_ahead(arguments: list[str], executor: str, there: str, absent: str) -> None:
    modules = modules_after(*arguments, executor=executor) | {"-"}
    assert there in modules
    assert absent == "-" or absent not in modules


def test_what_cannot_be_imported_is_said_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(preloading, "_TASKS", ("talent_dmf.no_such_module", "talent_dmf.links"))
    with caplog.at_level(logging.WARNING):
        assert preloading.preload(("celery", "worker")) == ["talent_dmf.links"]
    assert "talent_dmf.no_such_module could not be imported ahead of the tasks (ModuleNotFoundError" in caplog.text


def test_the_settings_of_the_image_call_it(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(preloading, "preload", lambda: called.append(True))
    settings = PACKAGE.parents[1] / "deploy" / "config" / "airflow_local_settings.py"
    exec(compile(settings.read_text(encoding="utf-8"), settings.name, "exec"), {})  # noqa: S102
    assert called == [True]
