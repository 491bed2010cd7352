"""What people do with exports in Airflow's UI, with real runs against the emulator: trigger, look, find a reason."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.examples import WORKERS
from tests.ui.servers import PROJECT

from local_stack import LocalStack
from local_stack.processes import wait_until
from local_stack.stack import DAG_ID, StackOptions

from .conftest import PATIENCE_MS, opened

expect.set_options(timeout=PATIENCE_MS)

Picture = Callable[[Page, str], None]

# The schedule is honoured, as it is for everybody, and is not due while the tests run.
NOW = datetime.now(UTC)
HOUR = (NOW.hour + 12) % 24
DAYS = [(NOW - timedelta(days=back)).date() for back in (12, 11, 10)]
# Quick retries: what only a person can mend fails at once all the same.
BRISK = "retry_delay: 1 s\nmax_retry_delay: 2 s\npoke_interval: 1 s\n"
NIGHTLY = WORKERS.replace('"0 0 * * *"', f'"0 {HOUR} * * *"') + BRISK
# A promise that no export keeps.
PROMISED = NIGHTLY + "sla: 1 s\n"
PROMISED_ID = "talent_export_promised"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("project")
    dags, catalogue = folder / "dags", folder / "include" / "exports"
    dags.mkdir(parents=True)
    catalogue.mkdir(parents=True)
    shutil.copy(PROJECT / "dags" / "talent_exports.py", dags)
    (catalogue / "workers.yaml").write_text(NIGHTLY, encoding="utf-8")
    (catalogue / "promised.yaml").write_text(PROMISED, encoding="utf-8")
    options = StackOptions(
        name="browser-tests", export_seconds=1, scheduled=True, settings={"AIRFLOW__CORE__DAGS_FOLDER": str(dags)}
    )
    with LocalStack(options) as running:
        for dag_id in (DAG_ID, PROMISED_ID):
            running.wait_for_dag(dag_id)
        yield running


@pytest.fixture
def page(browser: Browser, stack: LocalStack) -> Iterator[Page]:
    with opened(browser, stack.site.base_url, stack.airflow.sign_in()) as page:
        yield page


def ended(stack: LocalStack, run_id: str) -> str:
    """State of a run once it is over; an API server that is slow beside a browser is asked again."""

    def look() -> str | None:
        try:
            state = str(stack.airflow.run(DAG_ID, run_id)["state"])
        except httpx.TransportError:
            return None
        return state if state in {"success", "failed"} else None

    return str(wait_until(look, "the run is over", timeout_seconds=300))


def row(page: Page, name: str) -> Any:
    return page.locator(f"tbody[data-export-row=talent_export_{name}]")


def test_a_run_is_triggered_with_params_turns_green_and_its_file_is_linked(
    page: Page, stack: LocalStack, picture: Picture
) -> None:
    stack.airflow.unpause(DAG_ID)  # which starts the run that was due last
    page.goto(f"/dags/{DAG_ID}")
    page.get_by_test_id("trigger-dag-button").click()
    form = page.get_by_role("dialog")
    form.locator("#element_legal_entity").fill("DEMF")
    picture(page, "trigger-form")
    with page.expect_response(re.compile(rf"/dags/{DAG_ID}/dagRuns$")) as triggered:
        form.get_by_role("button", name="Trigger", exact=True).click()
    assert triggered.value.status == 200
    run_id = triggered.value.json()["dag_run_id"]
    assert ended(stack, run_id) == "success"
    saved, waited = (
        stack.airflow.xcoms(DAG_ID, run_id, task_id)["return_value"]
        for task_id in ("save_to_onedrive", "wait_for_export")
    )

    page.goto("/plugin/exports")
    shown = row(page, "workers")
    expect(shown).to_contain_text("Arrived")
    expect(shown).to_contain_text(f"{waited['rows']:,}")
    link = shown.locator(".x-c-file a")
    expect(link).to_have_attribute("href", saved["web_url"])
    expect(link).to_contain_text("_DEMF_")
    expect(link).to_have_attribute("target", "_blank")
    shown.get_by_role("link", name="Run in Airflow").click()
    page.wait_for_url(re.compile(rf"/dags/{DAG_ID}/runs/"))

    page.goto(f"/dags/{DAG_ID}/runs/{quote(run_id, safe='')}/tasks/save_to_onedrive/details")
    for name, address in (("Open file", saved["web_url"]), ("Open folder", saved["folder_url"])):
        expect(page.get_by_role("link", name=name)).to_have_attribute("href", address)
    expect(page.get_by_role("link", name="Open in Dynamics 365")).to_have_attribute("href", re.compile("^https://"))
    picture(page, "task-links")


def test_the_reason_of_a_failure_is_a_note_and_in_the_row_and_one_click_from_its_log(
    page: Page, stack: LocalStack, picture: Picture
) -> None:
    run_id = stack.airflow.trigger_run(DAG_ID, {"data_project": "No such project"})
    assert ended(stack, run_id) == "failed"
    note = stack.airflow.run(DAG_ID, run_id)["note"]
    assert "'No such project' does not exist" in note
    page.goto("/plugin/exports")
    shown = row(page, "workers")
    expect(shown).to_contain_text("Failed")
    expect(shown).to_contain_text(note)
    expect(page.get_by_role("heading", level=1)).to_contain_text("need")
    picture(page, "exports-real-failure")
    shown.get_by_role("link", name="Log of the task that decides").click()
    page.wait_for_url(re.compile(r"/tasks/trigger_export"))
    expect(page.get_by_text("No such project").first).to_be_visible()
    page.goto(f"/dags/{DAG_ID}/runs/{quote(run_id, safe='')}")
    expect(page.get_by_text("No such project").first).to_be_visible()
    picture(page, "run-note")


def test_a_backfill_of_three_days_stands_in_the_history(page: Page, stack: LocalStack, picture: Picture) -> None:
    first, *_, last = DAYS
    stack.airflow.call(
        "POST",
        "/backfills",
        body={"dag_id": DAG_ID, "from_date": f"{first}T00:00:00Z", "to_date": f"{last}T23:59:00Z"},
    )
    runs = stack.airflow.runs(DAG_ID, run_type="backfill")
    assert len(runs) == 3
    for run in runs:
        assert ended(stack, run["dag_run_id"]) == "success"
    page.goto(f"/dags/{DAG_ID}/plugin/export")
    lines = page.locator(".x-history tbody", has_text="backfill")
    expect(lines).to_have_count(3)
    for line in lines.all():
        expect(line).to_contain_text("Arrived")
    picture(page, "export-backfill")


def test_a_run_that_misses_its_promise_is_late(page: Page, stack: LocalStack) -> None:
    stack.emulator.add_fault("long-not-run", "queue", not_run_seconds=3600)
    stack.airflow.unpause(PROMISED_ID)
    page.goto("/plugin/exports")
    expect(row(page, "promised")).to_contain_text(re.compile("Late.*Promised by", re.DOTALL), timeout=120_000)
    (run,) = stack.airflow.runs(PROMISED_ID)
    stack.airflow.call("PATCH", f"/dags/{PROMISED_ID}/dagRuns/{run['dag_run_id']}", body={"state": "failed"})
