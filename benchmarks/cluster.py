"""What a two-worker cluster makes of many exports at once, against as many runs of a DAG that does nothing.

The services are those of docker-compose.yaml, as `tests/cluster` runs them: two workers, two schedulers, two
triggerers, PostgreSQL and Redis. Needs root and what `make test-cluster` needs.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from common import PROJECT

sys.path[:0] = [str(PROJECT)]

from tests.cluster.cluster import Cluster, Options  # noqa: E402
from tests.cluster.container import wait_for  # noqa: E402
from tests.cluster.images import missing  # noqa: E402
from tests.cluster.storm import TWICE, Storm, catalogue  # noqa: E402

GOAL = 1.15
RUN_SECONDS = 1800.0


def write_dags(folder: Path, count: int) -> list[str]:
    """Write the project's DAG file, and DAGs that do nothing, and return the ids of the latter.

    :param folder: where to.
    :param count: how many.
    """
    for path in (PROJECT / "dags").glob("*.py"):
        shutil.copy(path, folder)
    text = (PROJECT / "benchmarks" / "noop_dag.py").read_text(encoding="utf-8")
    ids = [f"noop_export_{number:02d}" for number in range(count)]
    for dag_id in ids:
        (folder / f"{dag_id}.py").write_text(re.sub('"noop_export"', f'"{dag_id}"', text), encoding="utf-8")
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)
    return ids


def run_all(cluster: Cluster, dag_ids: Sequence[str], start: Callable[[str], str]) -> float:
    """Start a run of each DAG at once, and return the seconds until the last is over.

    :param cluster: that runs them.
    :param dag_ids: which.
    :param start: starts one and returns the run's id.
    """
    began = time.monotonic()
    run_ids = [start(dag_id) for dag_id in dag_ids]
    names = ", ".join(f"'{run_id}'" for run_id in run_ids)

    def over() -> bool:
        rows = cluster.query(f"SELECT dag_id, state FROM dag_run WHERE run_id IN ({names})")  # noqa: S608
        states = [state for dag_id, state in rows if dag_id in dag_ids]
        return len(states) >= len(dag_ids) and all(state in {"success", "failed"} for state in states)

    wait_for(over, "all runs are over", RUN_SECONDS)
    return time.monotonic() - began


def measure(cluster: Cluster, storm: Storm, noops: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each round, by what was run; the two take turns, and the first pair warms up.

    :param cluster: that runs them.
    :param storm: the exports, prepared.
    :param noops: DAGs that do nothing.
    :param rounds: how many of each.
    """
    seconds: dict[str, list[float]] = {"exports": [], "nothing": []}
    for turn in range(rounds + 1):
        for kind, dag_ids in (("nothing", noops), ("exports", storm.dag_ids)):
            chosen = dag_ids[: max(2, len(dag_ids) // 5)] if turn == 0 else dag_ids
            took = run_all(cluster, chosen, cluster.airflow.trigger_run)
            print(f"  {'warm-up' if turn == 0 else f'round {turn}':8} {kind:8} {len(chosen):3} runs {took:7.1f} s")
            if turn:
                seconds[kind].append(took)
    return seconds


def main() -> int:
    """Run the benchmark and return its exit status: 0 if the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exports", type=int, default=50, help="at once (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="10 exports, one round")
    options = parser.parse_args()
    count, rounds = (10, 1) if options.quick else (options.exports, options.rounds)
    if lacking := missing():
        print(f"cluster: this machine lacks {', '.join(lacking)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "dags").mkdir()
        (folder / "exports").mkdir()
        noops = write_dags(folder / "dags", count)
        catalogue(folder / "exports", count)
        variables = {"CATALOGUE_DIR": str(folder / "exports"), "DAGS_DIR": str(folder / "dags")}
        variables |= {"EXPORT_SECONDS": "1", "PACKAGE_SIZE": "64KiB", "UPLOAD_PACE": "100MB/s"}
        files = (PROJECT / "docker-compose.yaml", PROJECT / "tests" / "cluster" / "emulator.compose.yaml")
        with Cluster(Options(name="benchmark", files=files, replicas=TWICE, variables=variables)) as cluster:
            cluster.store_connections()
            storm = Storm(cluster, [f"talent_export_storm_{number:02d}" for number in range(count)])
            storm.prepare()
            for dag_id in noops:
                cluster.wait_for_dag(dag_id, timeout_seconds=180)
                cluster.airflow.unpause(dag_id)
            seconds = measure(cluster, storm, noops, rounds)
    medians = {kind: statistics.median(values) for kind, values in seconds.items()}
    ratio = medians["exports"] / medians["nothing"]
    report = {
        "benchmark": "cluster",
        "figures": {"exports_seconds": seconds["exports"]},
        "peers": {"nothing_seconds": seconds["nothing"]},
        "ratios": {"exports_to_nothing": round(ratio, 3)},
        "goal": {"exports_to_nothing": GOAL},
        "met": {"exports_to_nothing": ratio <= GOAL},
        "conditions": {"runs_at_once": count, "rounds": rounds, "workers": 2, "schedulers": 2, "triggerers": 2},
    }
    print(json.dumps(report))
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
