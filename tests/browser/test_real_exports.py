"""What people do with exports in Airflow's UI, with real runs against the emulator: trigger, look, find a reason."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

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

DAYS = ("2026-11-15", "2026-11-16", "2026-11-17")
# Quick retries: what only a person can mend fails at once all the same. An SLA that an export of two seconds misses.
HURRY = "retry_delay: 1 s\nmax_retry_delay: 2 s\npoke_interval: 1 s\n"
PROMISES = WORKERS + HURRY + "sla: 1 s\n"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("project")
    dags, catalogue = folder / "dags", folder / "include" / "exports"
    dags.mkdir(parents=True)
    catalogue.mkdir(parents=True)
    shutil.copy(PROJECT / "dags" / "talent_exports.py", dags)
    (catalogue / "workers.yaml").write_text(WORKERS + HURRY, encoding="utf-8")
    (catalogue / "promised.yaml").write_text(PROMISES, encoding="utf-8")
    options = StackOptions(name="browser-tests", export_seconds=2, settings={"AIRFLOW__CORE__DAGS_FOLDER": str(dags)})
    with LocalStack(options) as running:
        for dag_id in (DAG_ID, "talent_export_promised"):
            running.wait_for_dag(dag_id)
            running.airflow.unpause(dag_id)
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


def test_a_run_is_triggered_with_params_turns_green_and_its_file_is_linked(page: Page, stack: LocalStack) -> None:
    page.goto(f"/dags/{DAG_ID}")
    page.get_by_test_id("trigger-dag-button").click()
    form = page.get_by_role("dialog")
    form.get_by_role("group").filter(has_text="Legal entity").get_by_role("textbox").fill("DEMF")
    with page.expect_response(re.compile(rf"/dags/{DAG_ID}/dagRuns$")) as triggered:
        form.get_by_role("button", name="Trigger", exact=True).click()
    assert triggered.value.status == 200
    (run,) = stack.airflow.runs(DAG_ID)
    assert ended(stack, run["dag_run_id"]) == "success"
    saved = stack.airflow.xcoms(DAG_ID, run["dag_run_id"], "save_to_onedrive")["return_value"]

    page.goto("/plugin/exports")
    shown = row(page, "workers")
    expect(shown).to_contain_text("Arrived")
    expect(shown).to_contain_text("100")
    link = shown.locator(".x-c-file a")
    expect(link).to_have_attribute("href", saved["web_url"])
    expect(link).to_contain_text("_DEMF_")
    expect(link).to_have_attribute("target", "_blank")
    shown.get_by_role("link", name="Run in Airflow").click()
    page.wait_for_url(re.compile(rf"/dags/{DAG_ID}/runs/"))


def test_the_reason_of_a_failure_is_one_click_away(
    page: Page, stack: LocalStack, picture: Callable[[Page, str], None]
) -> None:
    assert ended(stack, stack.airflow.trigger_run(DAG_ID, {"data_project": "No such project"})) == "failed"
    page.goto("/plugin/exports")
    shown = row(page, "workers")
    expect(shown).to_contain_text("Failed")
    expect(page.get_by_role("heading", level=1)).to_contain_text("need")
    picture(page, "exports-real-failure")
    shown.get_by_role("link", name="Log of the task that decides").click()
    page.wait_for_url(re.compile(r"/tasks/trigger_export"))
    expect(page.get_by_text("No such project").first).to_be_visible()


def test_a_backfill_of_three_days_stands_in_the_history(page: Page, stack: LocalStack) -> None:
    stack.airflow.call(
        "POST",
        "/backfills",
        body={"dag_id": DAG_ID, "from_date": f"{DAYS[0]}T00:00:00Z", "to_date": f"{DAYS[-1]}T00:00:00Z"},
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


def test_a_run_that_misses_its_promise_is_late(page: Page, stack: LocalStack) -> None:
    stack.emulator.add_fault("long-not-run", "queue", not_run_seconds=45)
    run_id = stack.airflow.trigger_run("talent_export_promised")
    page.goto("/plugin/exports")
    expect(row(page, "promised")).to_contain_text(re.compile("Late.*Promised by", re.DOTALL), timeout=90_000)
    stack.airflow.mark_task("talent_export_promised", run_id, "wait_for_export", "failed")
