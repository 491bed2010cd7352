"""For every test: Airflow writes its configuration beside the project, never into a person's home."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import settings

# Airflow reads it when it is imported, which the test modules do.
os.environ.setdefault("AIRFLOW_HOME", str(Path(__file__).parents[1] / ".local" / "airflow-home"))
# Airflow 3.2 adds its own examples to whatever folder of DAGs is read.
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
# A test signs in for itself; those of the shared tokens say otherwise.
os.environ.setdefault("AIRFLOW__TALENT_DMF__SHARE_TOKENS", "False")

# Properties: the same few inputs each time, so that a run never depends on luck. `make fuzz` looks for new ones.
settings.register_profile("short", max_examples=30, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=5_000, deadline=None, print_blob=True)
settings.load_profile("short")
