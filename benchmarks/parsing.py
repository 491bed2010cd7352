"""What the DAG file adds to ``import airflow.sdk``: the goal is under 50 ms.

``python benchmarks/parsing.py [--rounds N]``. Each figure is taken inside a fresh interpreter, because an import is
cheap the second time; the two kinds take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
GOAL_MS = 50.0
_MEASURE = """
import sys, time
import airflow.sdk
began = time.perf_counter()
source = open(sys.argv[1]).read()
exec(compile(source, sys.argv[1], "exec"), {"__file__": sys.argv[1], "__name__": "dag_file"})
print((time.perf_counter() - began) * 1000)
"""
_EMPTY = """
from datetime import datetime
from airflow.sdk import DAG
with DAG("empty", schedule="@daily", start_date=datetime(2026, 1, 1)):
    pass
"""


def added_ms(dag_file: Path, home: str) -> float:
    """Milliseconds that executing a DAG file takes after ``import airflow.sdk``."""
    environment = {**os.environ, "AIRFLOW_HOME": home, "PYTHONPATH": str(ROOT / "plugins")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    run = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(dag_file)], env=environment, capture_output=True, text=True, check=True
    )
    return float(run.stdout.splitlines()[-1])


def main() -> None:
    """Measure, print a table, and one JSON object on the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="how often each kind is measured")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as home:
        empty = Path(home) / "empty.py"
        empty.write_text(_EMPTY, encoding="utf-8")
        kinds = {"dags/talent_exports.py": ROOT / "dags" / "talent_exports.py", "a DAG without tasks": empty}
        for path in kinds.values():
            added_ms(path, home)
        figures: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(rounds):
            for name, path in kinds.items():
                figures[name].append(added_ms(path, home))
    print(f"{'added to import airflow.sdk':32} {'median ms':>10} {'min':>8} {'max':>8}")
    for name, values in figures.items():
        print(f"{name:32} {statistics.median(values):10.1f} {min(values):8.1f} {max(values):8.1f}")
    ours, bare = (statistics.median(values) for values in figures.values())
    print(
        json.dumps(
            {
                "benchmark": "parsing",
                "figures": {"added_ms": round(ours, 1)},
                "peers": {"empty_dag_ms": round(bare, 1)},
                "ratios": {"to_empty_dag": round(ours / bare, 2)},
                "goal": {"added_ms": GOAL_MS},
                "met": {"added_ms": ours < GOAL_MS},
            }
        )
    )


if __name__ == "__main__":
    main()
