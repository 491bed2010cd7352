"""What the Exports page is told, for a database with an export in each state and with records of odd shapes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from tests.ui.servers import Server

STATES = {
    "a" * 200: "arrived",
    "applicants": "paused",
    "benefits": "queued",
    "compensation": "late",
    "courses": "arrived",
    "departments": "arrived",
    "empty_package": "empty",
    "leave_balances": "running",
    "legacy_workers": "unknown",
    "not_started": "late",
    "odd_failure": "failed",
    "odd_records": "arrived",
    "onboarding": "never",
    "payroll_earnings": "failed",
    "positions": "failed",
    "worker_delta": "empty",
    "workers": "arrived",
}


@pytest.fixture(scope="module")
def exports(simple: Server) -> dict[str, dict[str, Any]]:
    answer = simple.get("/talent-exports/api/exports", "viewer")
    assert answer.status_code == 200, answer.text
    assert answer.json()["complete"] is True
    return {export["name"]: export for export in answer.json()["exports"]}


def one(server: Server, name: str) -> dict[str, Any]:
    answer = server.get(f"/talent-exports/api/exports/talent_export_{name}", "viewer")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_each_export_has_its_state(exports: dict[str, dict[str, Any]]) -> None:
    assert {name: export["state"] for name, export in exports.items()} == STATES


def test_a_run_that_only_checked_decides_nothing(simple: Server, exports: dict[str, dict[str, Any]]) -> None:
    assert exports["departments"]["state"] == "arrived"
    assert "manual" not in {run["type"] for run in one(simple, "departments")["runs"]}


def test_a_failure_has_its_sentence_its_log_and_who_was_told(exports: dict[str, dict[str, Any]]) -> None:
    run = exports["payroll_earnings"]["run"]
    assert run["sentence"].startswith("OneDrive refused the file: the library “HR Exports” is full (507).")
    assert run["task"] == {
        "task_id": "save_to_onedrive",
        "step": "save_to_onedrive",
        "map_index": -1,
        "company": "USMF",
    }
    assert [(each["channel"], each["target"], each["delivered"]) for each in run["told"]] == [
        ("teams", "HR Integrations", True),
        ("mail", "hr-ops@contoso.com", False),
    ]
    assert run["job_url"] == "https://contoso.operations.dynamics.com/?mi=DM_JobHistory"


def test_a_failed_export_keeps_its_last_good_file(exports: dict[str, dict[str, Any]]) -> None:
    export = exports["payroll_earnings"]
    assert export["arrived"]["rows"] == 1000
    assert export["arrived"]["run_id"] != export["run"]["run_id"]


def test_one_company_of_three_is_named(exports: dict[str, dict[str, Any]]) -> None:
    run = exports["positions"]["run"]
    assert (run["companies_failed"], run["companies"]) == (1, 3)
    assert (run["task"]["company"], run["task"]["map_index"]) == ("FRRT", 2)
    assert run["sentence"].startswith("Company FRRT")
    assert run["told"] is None, "not recorded is not nobody"


def test_lateness_has_two_causes(exports: dict[str, dict[str, Any]]) -> None:
    assert exports["compensation"]["run"]["promised_until"] is not None
    assert exports["compensation"]["not_started"] is False
    assert exports["not_started"]["not_started"] is True


def test_a_fall_by_a_third_is_unusual_and_slow_growth_is_not(exports: dict[str, dict[str, Any]]) -> None:
    assert exports["courses"]["arrived"]["unusual"] == [2748, 2760]
    assert exports["workers"]["arrived"]["unusual"] is None


def test_no_rows_is_zero_only_where_zero_is_recorded(exports: dict[str, dict[str, Any]]) -> None:
    assert exports["empty_package"]["arrived"]["rows"] == 0
    assert exports["worker_delta"]["arrived"]["rows"] == 14, "the last file that there is"
    assert exports["legacy_workers"]["arrived"] is None
    assert exports["odd_records"]["arrived"]["rows"] is None


def test_records_of_another_shape_are_unknown_and_no_link(exports: dict[str, dict[str, Any]]) -> None:
    arrived = exports["odd_records"]["arrived"]
    assert (arrived["size_bytes"], arrived["files"][0]["url"], arrived["files"][0]["rows"]) == (None, None, None)
    assert exports["odd_failure"]["run"]["told"] is None
    assert exports["odd_failure"]["run"]["job_url"] is None


@pytest.mark.parametrize("name", STATES)
def test_every_export_has_a_history(simple: Server, exports: dict[str, dict[str, Any]], name: str) -> None:
    known = one(simple, name)
    assert known["export"]["state"] == exports[name]["state"]
    assert known["export"]["arrived"] == exports[name]["arrived"]


def test_a_history_splits_the_time_of_a_run(simple: Server) -> None:
    runs = one(simple, "workers")["runs"]
    assert len(runs) == 30
    newest = runs[0]
    assert (newest["result"], newest["rows"]) == ("arrived", 41208)
    assert newest["queue_seconds"] == pytest.approx(20)
    assert newest["export_seconds"] == pytest.approx(300)
    assert newest["transfer_seconds"] == pytest.approx(300)
    assert newest["files"][0]["url"].startswith("https://contoso-my.sharepoint.com/")


def test_a_failed_run_has_no_transfer(simple: Server) -> None:
    known = one(simple, "payroll_earnings")
    failed = known["runs"][0]
    assert (failed["result"], failed["transfer_seconds"], failed["rows"]) == ("failed", None, None)
    assert known["failures"][0]["step"] == "save_to_onedrive"
    assert known["failures"][0]["sentence"].startswith("OneDrive refused")
    assert known["failed_runs"] == 1


def test_companies_are_kept_apart(simple: Server) -> None:
    companies = one(simple, "positions")["companies"]
    assert [(each["company"], each["state"], each["rows"], each["last_good"]) for each in companies] == [
        ("USMF", "arrived", 3120, False),
        ("DEMF", "arrived", 880, False),
        ("FRRT", "failed", 310, True),
    ]


def test_entities_are_added_up_over_the_companies(simple: Server) -> None:
    assert one(simple, "departments")["entities"] == [
        {"name": "Workers", "rows": 178},
        {"name": "Positions", "rows": 88},
    ]


def test_an_export_that_left_the_catalogue_keeps_its_history(simple: Server) -> None:
    known = one(simple, "gone")
    assert known["stale"] is True
    assert len(known["runs"]) == 3


def test_a_dag_that_is_no_export_is_not_found(simple: Server) -> None:
    assert simple.get("/talent-exports/api/exports/unrelated", "viewer").status_code == 404


def test_both_auth_managers_show_a_viewer_the_same(fab: Server, exports: dict[str, dict[str, Any]]) -> None:
    shown = {
        export["name"]: export["state"] for export in fab.get("/talent-exports/api/exports", "viewer").json()["exports"]
    }
    assert shown == STATES


def test_what_has_not_changed_is_not_sent_again(simple: Server) -> None:
    first = simple.get("/talent-exports/api/exports/talent_export_workers", "viewer")
    again = simple.get(
        "/talent-exports/api/exports/talent_export_workers", "viewer", If_None_Match=first.headers["etag"]
    )
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["cache-control"] == "private, no-cache"


def test_a_database_that_fails_ends_in_one_sentence_and_a_number_for_the_log(simple: Server) -> None:
    with closing(sqlite3.connect(simple.site.home / "airflow.db", timeout=60)) as database:
        database.execute("alter table dag_tag rename to dag_tag_away")
        try:
            answer = simple.get("/talent-exports/api/exports", "viewer")
        finally:
            database.execute("alter table dag_tag_away rename to dag_tag")
    assert answer.status_code == 500
    assert answer.json()["detail"] == "The exports could not be read."
    assert f"request {answer.json()['request']} failed" in simple.log()
    assert "dag_tag" not in answer.text
    assert simple.get("/talent-exports/api/exports", "viewer").status_code == 200


def test_the_plugin_loads_once_and_without_an_error(server: Server) -> None:
    assert server.get("/api/v2/plugins/importErrors", "admin").json()["import_errors"] == []
    plugins = server.get("/api/v2/plugins", "admin").json()["plugins"]
    (ours,) = [plugin for plugin in plugins if plugin["name"] == "talent_dmf_ui"]
    assert [(app["name"], app["destination"]) for app in ours["react_apps"]] == [
        ("Exports", "nav"),
        ("Exports", "dag"),
        ("Exports", "dag_run"),
    ]
