"""The export as its users start it: by hand with params, by backfill, again after clearing; and what they then find."""

from __future__ import annotations

import pytest
from tests.otlp import Collector

from local_stack import ApiError, LocalStack
from local_stack.emulator import digest_of
from local_stack.processes import wait_until
from local_stack.stack import DAG_ID

from .conftest import PROJECT, TASK_IDS, DeferredRun, FinishedRun, run_by_hand

DAYS = ["2026-11-15", "2026-11-16", "2026-11-17"]
SUCCESS = dict.fromkeys(TASK_IDS, "success")


def assert_saved_is_exported(run: FinishedRun) -> None:
    assert digest_of(run.saved_path) == run.stack.emulator.exported_package(run.execution_id)


class TestByHandWithParams:
    def test_every_task_succeeds_at_its_first_try(self, run_with_params: FinishedRun) -> None:
        assert run_with_params.states == SUCCESS
        assert {task["try_number"] for task in run_with_params.tasks.values()} == {1}

    def test_the_params_decide_company_folder_and_name(self, run_with_params: FinishedRun) -> None:
        assert run_with_params.saved["name"] == "DEMF by hand.zip"
        assert run_with_params.saved_path.parent.name == "By hand"
        (execution,) = [
            each
            for each in run_with_params.stack.emulator.state()["executions"]
            if each["execution_id"] == run_with_params.execution_id
        ]
        assert execution["company"] == "DEMF"

    def test_the_saved_file_is_the_exported_package(self, run_with_params: FinishedRun) -> None:
        assert_saved_is_exported(run_with_params)

    def test_its_metrics_reach_a_collector_of_opentelemetry(
        self, run_with_params: FinishedRun, otel: Collector
    ) -> None:
        # A task sends them when its process ends, which is after its state is known.
        whole = {("dag_id", DAG_ID)}
        with_company = {*whole, ("legal_entity", "DEMF")}
        expected = {
            ("exports.started", "sum", frozenset(with_company)),
            ("executions.succeeded", "sum", frozenset(whole)),
            ("export_duration", "exponential_histogram", frozenset(whole)),
            ("rows", "gauge", frozenset(whole)),
            ("exports.saved", "sum", frozenset(with_company)),
            ("bytes", "gauge", frozenset(with_company)),
            ("transfer_duration", "exponential_histogram", frozenset(with_company)),
            ("arrival_delay", "exponential_histogram", frozenset(with_company)),
        }
        by_dag = {(f"{name}.{DAG_ID}", kind, tags - whole) for name, kind, tags in expected}
        prefix = "airflow.talent_dmf."

        def arrived() -> set[tuple[str, str, frozenset[tuple[str, str]]]]:
            points = otel.points(prefix)
            return {(p.name.removeprefix(prefix), p.kind, frozenset(p.tags.items())) for p in points}

        wait_until(lambda: arrived() >= expected | by_dag, "the metrics have arrived", timeout_seconds=60)
        points = otel.points(prefix)
        assert run_with_params.saved["size"] in [point.value for point in points if point.name == f"{prefix}bytes"]
        assert all(point.is_delta and point.value == 1 for point in points if point.name == f"{prefix}exports.saved")

    def test_xcoms_tell_where_the_file_is(self, run_with_params: FinishedRun) -> None:
        saved = run_with_params.saved
        item = run_with_params.stack.emulator.drive_item(saved["drive_item_id"])
        assert saved["size"] == item["size"] == run_with_params.saved_path.stat().st_size
        assert saved["quick_xor_hash"] == item["file"]["hashes"]["quickXorHash"]
        assert saved["web_url"] == item["webUrl"]

    def test_the_package_reference_has_no_signature(self, run_with_params: FinishedRun) -> None:
        reference = run_with_params.xcoms("get_package_url")["return_value"]
        assert reference["execution_id"] == run_with_params.execution_id
        # The page of the execution opens nothing to whoever cannot sign in.
        assert "JobId=" in reference.pop("job_page_url")
        assert "?" not in str(reference)

    @pytest.mark.parametrize("task_id", TASK_IDS[:3])
    def test_the_log_can_be_read_and_names_the_execution(self, run_with_params: FinishedRun, task_id: str) -> None:
        assert run_with_params.execution_id in run_with_params.log(task_id)

    def test_the_log_of_the_transfer_names_the_file(self, run_with_params: FinishedRun) -> None:
        assert run_with_params.saved["name"] in run_with_params.log("save_to_onedrive")

    def test_the_asset_event_carries_the_receipt(self, run_with_params: FinishedRun) -> None:
        events = run_with_params.stack.airflow.call(
            "GET", "/assets/events", source_run_id=run_with_params.run["dag_run_id"]
        )["asset_events"]
        assert [event["extra"]["execution_id"] for event in events] == [run_with_params.execution_id]

    @pytest.mark.parametrize(
        ("conf", "part"),
        [
            ({"conflict_behavior": "overwrite"}, "conflict_behavior"),
            ({"time_limit_minutes": 0}, "time_limit_minutes"),
            ({"package_name": "package.txt"}, "package_name"),
        ],
    )
    def test_bad_params_are_refused_before_a_run_begins(
        self, stack: LocalStack, conf: dict[str, object], part: str
    ) -> None:
        with pytest.raises(ApiError, match=part) as caught:
            stack.airflow.trigger_run(DAG_ID, conf)
        assert caught.value.status == 400


def test_a_long_export_is_waited_for_in_the_triggerer(deferred_run: DeferredRun) -> None:
    assert "deferred" in deferred_run.states_seen
    assert deferred_run.finished.states == SUCCESS
    assert deferred_run.finished.tasks["wait_for_export"]["try_number"] == 1
    assert_saved_is_exported(deferred_run.finished)


class TestBackfill:
    def test_every_day_is_exported(self, backfilled_runs: list[FinishedRun]) -> None:
        # A backfill names the days on which the runs are due; each exports the interval that ended then.
        assert [run.run["run_after"][:10] for run in backfilled_runs] == ["2026-11-16", "2026-11-17", "2026-11-18"]
        assert [run.run["data_interval_start"][:10] for run in backfilled_runs] == DAYS
        assert [run.states for run in backfilled_runs] == [SUCCESS] * 3

    def test_none_overwrites_another(self, backfilled_runs: list[FinishedRun]) -> None:
        assert len({run.execution_id for run in backfilled_runs}) == 3
        assert len({run.saved_path for run in backfilled_runs}) == 3
        for run in backfilled_runs:
            assert_saved_is_exported(run)

    def test_names_tell_the_day(self, backfilled_runs: list[FinishedRun]) -> None:
        names = [run.saved["name"].replace("-", "") for run in backfilled_runs]
        assert [day.replace("-", "") in name for day, name in zip(DAYS, names, strict=True)] == [True, True, True]


def test_clearing_a_finished_run_exports_anew_and_keeps_the_old_file(stack: LocalStack) -> None:
    first = run_by_hand(stack)
    old_id, old_path = first.execution_id, first.saved_path
    old = digest_of(old_path)
    run_id = first.run["dag_run_id"]
    stack.airflow.clear(DAG_ID, run_id)
    again = FinishedRun.read(stack, stack.airflow.wait_for_run(DAG_ID, run_id))
    assert again.states == SUCCESS
    assert again.execution_id != old_id
    assert again.saved_path != old_path
    assert digest_of(old_path) == old
    assert_saved_is_exported(again)


def test_a_permanent_error_fails_at_once_with_one_clear_sentence(stack: LocalStack) -> None:
    run = run_by_hand(stack, {"data_project": "Export Wrokers"})
    assert run.states["trigger_export"] == "failed"
    assert run.tasks["trigger_export"]["try_number"] == 1
    assert "Export Wrokers" in run.log("trigger_export")
    assert run.states["save_to_onedrive"] == "upstream_failed"


class TestInstallation:
    def test_no_dag_has_import_errors(self, stack: LocalStack) -> None:
        done = stack.command("dags", "list-import-errors")
        assert done.returncode == 0, done.stderr
        assert "No data found" in done.stdout
        assert stack.airflow.import_errors() == []

    def test_no_plugin_has_import_errors(self, stack: LocalStack) -> None:
        assert stack.airflow.plugin_import_errors() == []

    def test_the_connection_test_of_the_shell_succeeds(self, stack: LocalStack) -> None:
        done = stack.command("connections", "test", "talent_dmf_default")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "success" in done.stdout

    @pytest.mark.parametrize("conn_id", ["talent_dmf_default", "onedrive_default"])
    def test_the_connection_test_of_the_form_succeeds(self, stack: LocalStack, conn_id: str) -> None:
        works, message = stack.airflow.test_connection(conn_id)
        assert works, message

    def test_the_connections_file_can_be_imported(self, stack: LocalStack) -> None:
        done = stack.command("connections", "import", "--overwrite", str(stack.directory / "connections.json"))
        assert done.returncode == 0, done.stderr
        assert "Imported connection talent_dmf_default" in done.stdout

    def test_nothing_is_written_outside_the_stack(self, stack: LocalStack) -> None:
        assert stack.directory == PROJECT / ".local" / "system-tests"
        assert stack.environment["AIRFLOW_HOME"].startswith(str(stack.directory))
