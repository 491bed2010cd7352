"""A DAG of the shape of an export: the same four tasks, hops, XComs, retries and asset, and nothing to do.

Copied into the DAGs folder of the Airflow that `overhead.py` starts.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, Asset, BaseOperator, BaseSensorOperator, Context, Param


class Nothing(BaseOperator):
    """Returns what it is given.

    :param value: any JSON value.
    """

    template_fields = ("value",)

    def __init__(self, *, value: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value = value

    def execute(self, context: Context) -> Any:
        """Return it."""
        return self.value


class NothingToWaitFor(BaseSensorOperator):
    """Is done at once, or after one deferral if the run asks for it.

    :param value: any JSON value.
    """

    template_fields = ("value",)

    def __init__(self, *, value: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value = value

    def execute(self, context: Context) -> Any:
        """Defer once, or return at once."""
        if context["params"]["defer"]:
            self.defer(trigger=TimeDeltaTrigger(timedelta()), method_name="resume")
        return {"status": "Succeeded"}

    def resume(self, context: Context, event: Any = None) -> Any:
        """Return after the deferral."""
        return {"status": "Succeeded"}


with DAG(
    "noop_export",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params={"defer": Param(False, type="boolean")},
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1), "retry_exponential_backoff": True},
):
    trigger_export = Nothing(task_id="trigger_export", value="an execution id", execution_timeout=timedelta(hours=1))
    wait_for_export = NothingToWaitFor(
        task_id="wait_for_export", value=trigger_export.output, execution_timeout=timedelta(hours=1)
    )
    get_package_url = Nothing(
        task_id="get_package_url",
        value={"execution_id": trigger_export.output, "path": "package.zip"},
        execution_timeout=timedelta(hours=1),
    )
    save_to_onedrive = Nothing(
        task_id="save_to_onedrive",
        value=get_package_url.output,
        outlets=[Asset(name="noop_package", uri="x-noop://package")],
        execution_timeout=timedelta(hours=1),
    )
    trigger_export >> wait_for_export >> get_package_url >> save_to_onedrive
