"""The emulator and a real Airflow on one machine: for the demo, the system tests and the benchmarks.

`python -m local_stack demo|up|down|status` from a shell, `LocalStack` from Python. Everything lives under `.local/` in
the project and ends with whoever started it.
"""

from __future__ import annotations

from .processes import StackError
from .rest import AirflowApi, ApiError
from .stack import LocalStack

__all__ = ["AirflowApi", "ApiError", "LocalStack", "StackError"]
