"""Commands about a catalogue with folders and environments: `check` and `pools`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_command_line import run

GOOD = "data_project: Export Workers\nlegal_entities: USMF\n"
# One process, as a start of Airflow takes seconds: a database with the tables of pools alone, and the calls.
CALLS = """
import contextlib, io, json, sys
from airflow.models.pool import Pool
from airflow.settings import engine
if sys.argv[1] == "yes":
    tables = [table for table in Pool.metadata.sorted_tables if table.name in {"slot_pool", "team"}]
    Pool.metadata.create_all(engine, tables)
from talent_dmf.cli.main import main
results = []
for arguments in json.loads(sys.argv[2]):
    with contextlib.redirect_stdout(io.StringIO()) as written:
        code = main(["pools", *arguments, "--json"])
    results.append((code, json.loads(written.getvalue())))
print("RESULTS", json.dumps(results))
"""


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """A catalogue of two environments and two pools."""
    folder = tmp_path / "include" / "exports"
    for name, text in {
        "_environments/prod.yaml": "pool: dynamics_prod\npool_slots: 4\n",
        "_environments/test.yaml": "pool: dynamics_test\n",
        "hr/_environments/prod.yaml": "pool: dynamics_hr\n",
        "hr/workers.yaml": GOOD,
        "customers.yaml": GOOD,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def pools(home: Path, *calls: list[str], database: bool = True) -> list[tuple[int, dict[str, Any]]]:
    """Exit status and result of calls of `talent-dmf pools` in one Airflow."""
    arguments = [sys.executable, "-c", CALLS, "yes" if database else "no", json.dumps(calls)]
    environment = {**os.environ, "AIRFLOW_HOME": str(home)}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULTS ")]
    return [(code, result) for code, result in json.loads(line.removeprefix("RESULTS "))]


def test_pools_are_made_once_and_those_of_people_stay(exports: Path, tmp_path: Path) -> None:
    (exports / "other.yaml").write_text(GOOD + "pool: dynamics_prod\n")
    every = [str(exports)]
    asked = ([*every, "--for", "prod"], [*every, "--for", "prod"], [*every, "--for", "test", "--slots", "3"], every)
    first, again, test, plain = pools(tmp_path / "home", *asked)
    made = {each["name"]: (each["slots"], each["result"]) for each in first[1]["pools"]}
    assert (first[0], made) == (0, {"dynamics_hr": (4, "made"), "dynamics_prod": (4, "made")})
    assert {each["result"] for each in again[1]["pools"]} == {"there already"}
    assert test == (0, {"pools": [{"name": "dynamics_test", "slots": 3, "result": "made"}], "problems": []})
    assert plain[1]["pools"] == [{"name": "dynamics_prod", "slots": 4, "result": "there already"}]
    (exports / "_environments" / "prod.yaml").write_text("pool: dynamics_prod\npool_slots: 6\n")
    kept, updated = pools(tmp_path / "home", asked[0], [*asked[0], "--update"])
    assert [(each["slots"], each["result"]) for each in kept[1]["pools"] if each["name"] == "dynamics_prod"] == [
        (4, "there already; the catalogue says 6 slots, which --update sets")
    ]
    assert [(each["slots"], each["result"]) for each in updated[1]["pools"] if each["name"] == "dynamics_prod"] == [
        (6, "changed, from 4 slots")
    ]


def test_what_hinders_pools_is_one_sentence(exports: Path, tmp_path: Path) -> None:
    (exports / "broken.yaml").write_text("data_project: x\n")
    unknown, zero, broken = pools(
        tmp_path / "home", [str(exports), "--for", "prd"], [str(exports), "--slots", "0"], [str(exports)]
    )
    assert unknown[0] == 1
    assert unknown[1]["error"].startswith(
        "The environment 'prd' is not known: there is no include/exports/_environments"
    )
    assert zero[1]["error"] == "--slots is 0, but must be from 1 to 10000."
    assert (broken[0], len(broken[1]["problems"])) == (1, 1)
    (exports / "broken.yaml").write_text(
        GOOD + "pool: dynamics_prod\npool_slots: 9\nenvironments: {prod: {pool_slots: 5}}"
    )
    ((code, result),) = pools(tmp_path / "home", [str(exports), "--for", "prod"])
    assert (code, "has 4 slots in" in result["error"] or "has 5 slots in" in result["error"]) == (1, True)
    ((code, result),) = pools(tmp_path / "nothing", [str(exports)], database=False)
    assert (code, "Airflow's database cannot be asked for its pools" in result["error"]) == (1, True)


def test_check_looks_through_every_environment(
    exports: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exports.parents[1])
    assert run(capsys, "check")[0] == 0
    (exports / "_environments" / "test.yaml").write_text("retries: many\n")
    (exports / "_environments" / "prod.yaml").write_text("keep_last: 3\n")
    code, result, _ = run(capsys, "check")
    problems = {each["file"]: each["problems"] for each in result["files"]}
    assert code == 1
    assert problems["include/exports/_environments/test.yaml"] == [
        "include/exports/_environments/test.yaml, line 1: `retries` is 'many', but must be a whole number."
    ]
    assert [each.partition(":")[0] for each in problems["include/exports/hr/workers.yaml"]] == [
        "In the environment prod", "In the environment test",
    ]  # fmt: skip
    assert "needs `receipt: true`" in problems["include/exports/customers.yaml"][0]
    assert run(capsys, "check", "include/exports/hr", "--for", "test")[0] == 1
    code, result, _ = run(capsys, "check", "--for", "nope")
    assert (code, "The environment 'nope' is not known" in result["error"]) == (1, True)


def test_a_file_of_a_folder_is_checked_with_what_its_folders_say(
    exports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (exports / "_defaults.yaml").write_text("legal_entities: USMF\n")
    (exports / "hr" / "workers.yaml").write_text("data_project: Export Workers\n")
    assert run(capsys, "check", str(exports / "hr" / "workers.yaml"))[0] == 0
