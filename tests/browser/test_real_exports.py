"""What people do with exports in Airflow's UI, with real runs against the emulator: trigger, look, find a reason."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from aiosmtpd.controller import Controller
from playwright.sync_api import Page, expect
from tests.examples import WORKERS
from tests.mailbox import Mailbox, words
from tests.ui.servers import PROJECT

from local_stack import LocalStack
from local_stack.processes import free_port, wait_until
from local_stack.stack import DAG_ID, StackOptions

from .conftest import PATIENCE_MS, People

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
SLOW_PROJECT = "Export Workers CSV"
PROMISED = NIGHTLY.replace("Export Workers", SLOW_PROJECT) + (
    "sla: 1 s\nnotify: {on: late, mail: {to: [hr-integration@contoso.com], from: airflow@contoso.com}}\n"
)
PROMISED_ID = "talent_export_promised"


@dataclass(frozen=True)
class Office:
    """An Airflow with its emulator, and the mailbox of those who are told."""

    stack: LocalStack
    mailbox: Mailbox


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("project")
    dags, catalogue = folder / "dags", folder / "include" / "exports"
    dags.mkdir(parents=True)
    catalogue.mkdir(parents=True)
    shutil.copy(PROJECT / "dags" / "talent_exports.py", dags)
    (catalogue / "workers.yaml").write_text(NIGHTLY, encoding="utf-8")
    (catalogue / "promised.yaml").write_text(PROMISED, encoding="utf-8")
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    mail = {"conn_type": "smtp", "host": "127.0.0.1", "port": controller.port}
    mail["extra"] = {"disable_ssl": True, "disable_tls": True}
    options = StackOptions(
        name="browser-tests",
        export_seconds=1,
        scheduled=True,
        settings={"AIRFLOW__CORE__DAGS_FOLDER": str(dags)},
        environment={"AIRFLOW_CONN_SMTP_DEFAULT": json.dumps(mail)},
    )
    try:
        with LocalStack(options) as stack:
            for dag_id in (DAG_ID, PROMISED_ID):
                stack.wait_for_dag(dag_id)
            slow = {"definition_group_id": SLOW_PROJECT}
            stack.emulator.add_fault("long-not-run", "queue", match=slow, not_run_seconds=3600)
            # Each starts the run that was due last.
            stack.airflow.unpause(PROMISED_ID)
            stack.airflow.unpause(DAG_ID)
            yield Office(stack, mailbox)
            for run in stack.airflow.runs(PROMISED_ID):
                path = f"/dags/{PROMISED_ID}/dagRuns/{run['dag_run_id']}"
                stack.airflow.call("PATCH", path, body={"state": "failed"})
    finally:
        controller.stop()


@pytest.fixture(scope="module")
def stack(office: Office) -> LocalStack:
    return office.stack


@pytest.fixture(scope="module")
def token(stack: LocalStack) -> str:
    return stack.airflow.sign_in()


@pytest.fixture
def page(people: People, stack: LocalStack, token: str) -> Iterator[Page]:
    with people.opened(stack.site.base_url, token) as page:
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


def run_path(run_id: str) -> str:
    return f"/dags/{DAG_ID}/runs/{quote(run_id, safe='')}"


def test_a_run_is_triggered_with_params_turns_green_and_its_log_links_and_file_open(
    page: Page, stack: LocalStack, picture: Picture
) -> None:
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
    page.context.route(saved["web_url"], lambda route: route.fulfill(body="the file"))
    with page.context.expect_page() as opened:
        link.click()
    expect(opened.value.get_by_text("the file")).to_be_visible()
    opened.value.close()
    shown.get_by_role("link", name="Run in Airflow").click()
    page.wait_for_url(re.compile(rf"/dags/{DAG_ID}/runs/"))
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()

    page.goto(f"{run_path(run_id)}/tasks/save_to_onedrive")
    expect(page.get_by_text(re.compile("^.*Saved ")).first).to_be_visible()
    picture(page, "task-log")
    page.goto(f"{run_path(run_id)}/tasks/save_to_onedrive/details")
    for name, address in (("Open file", saved["web_url"]), ("Open folder", saved["folder_url"])):
        expect(page.get_by_role("link", name=name)).to_have_attribute("href", address)
    expect(page.get_by_role("link", name="Open in Dynamics 365")).to_have_attribute("href", re.compile("^https://"))
    picture(page, "task-links")


@pytest.mark.parametrize("conn_id", ["talent_dmf_default", "onedrive_default"])
def test_the_button_that_tests_a_connection_says_that_it_works(page: Page, picture: Picture, conn_id: str) -> None:
    page.goto("/connections")
    line = page.get_by_role("row", name=re.compile(conn_id))
    with page.expect_response(re.compile(r"/connections/test$")) as tested:
        line.get_by_role("button", name="Test Connection").click()
    assert tested.value.json()["status"] is True, tested.value.text()
    expect(page.get_by_text("Test Connection Successful").first).to_be_visible()
    picture(page, f"connection-test-{conn_id}")


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
    page.goto(run_path(run_id))
    expect(page.get_by_text("No such project").first).to_be_visible()
    picture(page, "run-note")
    page.locator("a[href$='/plugin/export-run']").click()
    here = page.locator(".x-history tbody[aria-current=true]")
    expect(here).to_contain_text("Failed")
    picture(page, "run-tab")


def test_a_missed_deadline_is_mailed_and_the_page_says_to_whom(page: Page, office: Office, picture: Picture) -> None:
    mail = office.mailbox.wait_for("Export promised is late")
    assert mail["To"] == "hr-integration@contoso.com"
    (run,) = office.stack.airflow.runs(PROMISED_ID)
    assert run["state"] == "running"
    assert run["dag_run_id"] in words(mail)
    page.goto("/plugin/exports")
    shown = row(page, "promised")
    expect(shown).to_contain_text(re.compile("Late.*Promised by", re.DOTALL))
    expect(shown).to_contain_text(re.compile(r"Told \d\d:\d\d: mail hr-integration@contoso.com"))
    picture(page, "exports-real-late")


def test_a_backfill_of_three_days_stands_in_the_history_and_says_of_when_its_data_is(
    page: Page, stack: LocalStack, picture: Picture
) -> None:
    page.goto(f"/dags/{DAG_ID}")
    page.get_by_test_id("trigger-dag-button").click()
    form = page.get_by_role("dialog")
    form.get_by_text("Backfill", exact=True).click()
    first, *_, last = DAYS
    for number, (day, time) in enumerate([(first, "00:00"), (last, "23:59")]):
        form.get_by_test_id("datetime-input").nth(number).click()
        page.get_by_placeholder("YYYY/MM/DD").fill(f"{day:%Y/%m/%d}")
        page.get_by_placeholder("HH:mm").fill(time)
        form.get_by_text("Date Range").click()
        expect(page.get_by_placeholder("YYYY/MM/DD")).to_have_count(0)
    expect(form.get_by_text("3 runs will be triggered.")).to_be_visible()
    picture(page, "backfill-form")
    with page.expect_response(re.compile(r"/backfills$")) as made:
        form.get_by_role("button", name="Run Backfill").click()
    assert made.value.status == 200
    runs = stack.airflow.runs(DAG_ID, run_type="backfill")
    assert len(runs) == 3
    for run in runs:
        assert ended(stack, run["dag_run_id"]) == "success"
        assert "exports the data of today" in stack.airflow.run(DAG_ID, run["dag_run_id"])["note"]
    page.goto(f"/dags/{DAG_ID}/plugin/export")
    lines = page.locator(".x-history tbody", has_text="backfill")
    expect(lines).to_have_count(3)
    for line in lines.all():
        expect(line).to_contain_text("Arrived")
        expect(line).to_contain_text("exports the data of today")
    lines.last.scroll_into_view_if_needed()
    picture(page, "export-backfill")
    page.goto(run_path(runs[0]["dag_run_id"]))
    expect(page.get_by_text("exports the data of today").first).to_be_visible()
