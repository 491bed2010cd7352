"""`make storm`: the whole storm; needs root and what `make test-cluster` needs."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.cluster.cluster import Cluster, Options
from tests.cluster.images import PROJECT, missing

from . import DEEDS, TWICE, Storm, catalogue, faults_of, leaks


def main() -> int:
    """Run it and return its exit status: 0 if every export arrived."""
    parser = argparse.ArgumentParser(prog="make storm", description=__doc__)
    parser.add_argument("--exports", type=int, default=50, help="exports at once (default: %(default)s)")
    parser.add_argument("--export-seconds", type=int, default=90, help="that Dynamics 365 takes (default: %(default)s)")
    parser.add_argument("--retry-delay", default="1 min", help="of each export (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="decides which of several is hit (default: %(default)s)")
    parser.add_argument("--deeds", nargs="*", choices=DEEDS, default=list(DEEDS), help="what is done (default: all)")
    options = parser.parse_args()
    if lacking := missing():
        print(f"storm: this machine lacks {', '.join(lacking)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        catalogue(Path(folder), options.exports, retry_delay=options.retry_delay)
        choice = Options(
            name="storm",
            files=(PROJECT / "docker-compose.yaml", PROJECT / "tests" / "cluster" / "emulator.compose.yaml"),
            replicas=TWICE,
            # Long enough for the wait to move to a triggerer.
            variables={
                "CATALOGUE_DIR": folder,
                "EXPORT_SECONDS": str(options.export_seconds),
                # All uploads share it. What was saved first is exported again, so there are always some under way.
                "UPLOAD_PACE": f"{30 * options.exports}kB/s",
            },
            small_logs_mib=512,
        )
        with Cluster(choice) as cluster:
            cluster.store_connections()
            return _run(cluster, options)


def _run(cluster: Cluster, options: argparse.Namespace) -> int:
    began = time.monotonic()
    storm = Storm(cluster, [f"talent_export_storm_{number:02d}" for number in range(options.exports)], options.seed)
    storm.prepare()
    print(f"{len(storm.dag_ids)} exports begin after {time.monotonic() - began:.0f} s", flush=True)
    storm.start()
    for name in options.deeds:
        storm.keep_up()
        storm.do(DEEDS[name])
    storm.wait(timeout_seconds=1800)
    wrong = faults_of(cluster, storm.runs) + leaks(cluster)
    done = sum(run.state == "success" for run in storm.runs)
    print(f"{done} of {len(storm.runs)} exports done after {time.monotonic() - began:.0f} s; {len(wrong)} faults")
    for fault in wrong:
        print(f"  {fault}")
    recoveries = {each.deed: {"seconds": round(each.seconds, 1), "note": each.note} for each in storm.recoveries}
    print(json.dumps({"exports": len(storm.runs), "seed": options.seed, "recoveries": recoveries, "faults": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
