"""The Exports page in Airflow's own UI, on a database with an export in each state."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, Route, expect
from tests.ui.servers import Server

from .conftest import DESK, PATIENCE_MS, PHONE, assert_fits

expect.set_options(timeout=PATIENCE_MS)

Visit = Callable[..., Page]
Picture = Callable[[Page, str], None]
LOOKS: list[Any] = [
    pytest.param({"theme": "light", "viewport": DESK}, id="light"),
    pytest.param({"theme": "dark", "viewport": DESK}, id="dark"),
    pytest.param({"theme": "light", "viewport": PHONE}, id="phone"),
]
API = "**/talent-exports/api/exports*"
# The same page without Airflow around it, whose own parts take seconds: for what does not depend on them.
ALONE = "/talent-exports/"
LONG = "a" * 200
FAILED = ["payroll_earnings", "positions", "odd_failure"]


def expect_rows(page: Page, names: list[str]) -> None:
    expect(page.locator(".x-list tbody .x-row .x-name")).to_have_text(names)


@pytest.mark.parametrize("look", LOOKS)
def test_the_overview(visit: Visit, picture: Picture, look: dict[str, Any], request: pytest.FixtureRequest) -> None:
    page = visit("/plugin/exports?tag=human-resources", **look)
    expect(page.get_by_role("heading", level=1)).to_have_text("5 of 17 exports need attention")
    expect(page.get_by_text("OneDrive refused the file: the library “HR Exports” is full (507).")).to_be_visible()
    expect(page.get_by_text("Not told: mail hr-ops@contoso.com")).to_be_visible()
    assert_fits(page)
    scheme = page.evaluate("getComputedStyle(document.querySelector('.exports-page')).colorScheme")
    assert scheme == look["theme"]
    picture(page, f"exports-{request.node.callspec.id}")


@pytest.mark.parametrize("look", LOOKS)
def test_one_export(visit: Visit, picture: Picture, look: dict[str, Any], request: pytest.FixtureRequest) -> None:
    page = visit("/plugin/exports?export=talent_export_payroll_earnings", **look)
    expect(page.get_by_role("heading", level=1)).to_have_text("payroll_earnings")
    expect(page.get_by_label("State", exact=True)).to_contain_text("OneDrive refused the file")
    expect(page.get_by_role("list", name=re.compile("Duration of 14 runs"))).to_be_visible()
    assert_fits(page)
    picture(page, f"export-{request.node.callspec.id}")


def test_it_is_found_in_the_menu(visit: Visit) -> None:
    page = visit("/")
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="Exports").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("exports need attention")
    assert page.url.endswith("/plugin/exports")


def test_the_reason_is_in_the_row_and_the_log_is_one_click_away(visit: Visit) -> None:
    page = visit("/plugin/exports")
    first = page.locator(".x-list tbody").first
    expect(first).to_contain_text("OneDrive refused the file")
    expect(first).to_contain_text(re.compile(r"Told .*: teams HR Integrations"))
    first.get_by_role("link", name="Log of the task that decides: payroll_earnings").click()
    page.wait_for_url(re.compile(r"/dags/talent_export_payroll_earnings/runs/.+/tasks/save_to_onedrive"))


def test_the_tab_of_a_dag_shows_its_export(visit: Visit, picture: Picture) -> None:
    page = visit("/dags/talent_export_departments")
    page.locator("a[href$='/dags/talent_export_departments/plugin/export']").click()
    expect(page.get_by_label("State", exact=True)).to_contain_text("Arrived")
    expect(page.get_by_text("4 files").first).to_be_visible()
    assert_fits(page)
    picture(page, "export-tab")
    page.get_by_role("link", name="All exports").click()
    page.wait_for_url(re.compile("/plugin/exports$"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("exports need attention")


def test_the_tab_of_a_run_shows_it_among_the_others(visit: Visit, simple: Server, picture: Picture) -> None:
    runs = simple.get("/api/v2/dags/talent_export_departments/dagRuns?order_by=-run_after", "viewer").json()["dag_runs"]
    page = visit(f"/dags/talent_export_departments/runs/{quote(runs[2]['dag_run_id'], safe='')}")
    page.locator("a[href$='/plugin/export-run']").click()
    expect(page.locator(".x-history tbody")).to_have_count(10)
    here = page.locator(".x-history tbody[aria-current=true]")
    expect(here).to_have_count(1)
    expect(here.get_by_role("link").first).to_have_attribute("title", runs[2]["dag_run_id"])
    picture(page, "export-run-tab")


def test_the_tab_of_another_dag_says_that_it_is_none(visit: Visit, picture: Picture) -> None:
    page = visit("/dags/unrelated/plugin/export")
    expect(page.get_by_role("heading", name="This Dag is not an export")).to_be_visible()
    picture(page, "export-tab-none")


def test_filters_stand_in_the_address(visit: Visit, pictures: Picture) -> None:
    page = visit("/plugin/exports")
    page.get_by_role("button", name=re.compile("Failed$")).click()
    page.wait_for_url(re.compile(r"\?state=failed$"))
    expect_rows(page, FAILED)
    page.get_by_label("Search exports").fill("onedrive refused")
    expect_rows(page, FAILED[:1])
    assert "q=onedrive+refused" in page.url
    page.reload()
    expect(page.get_by_label("Search exports")).to_have_value("onedrive refused")
    expect(page.get_by_role("button", name=re.compile("Failed$"))).to_have_attribute("aria-pressed", "true")
    expect_rows(page, FAILED[:1])
    page.get_by_label("Search exports").fill("nothing of this kind")
    expect(page.get_by_role("heading", name="Nothing matches “nothing of this kind”")).to_be_visible()
    page.goto(f"{ALONE}?q=nothing+of+this+kind")
    expect(page.get_by_role("heading", name="Nothing matches “nothing of this kind”")).to_be_visible()
    pictures(page, "exports-no-match")
    page.get_by_role("button", name="Clear search and filters").click()
    expect(page.locator(".x-list tbody")).to_have_count(17)


def test_back_returns_to_the_list_as_it_was(visit: Visit) -> None:
    page = visit("/plugin/exports?state=arrived,empty")
    page.get_by_role("link", name="workers", exact=True).click()
    page.wait_for_url(re.compile("export=talent_export_workers"))
    expect(page.get_by_role("heading", level=1)).to_have_text("workers")
    page.go_back()
    page.wait_for_url(re.compile(r"\?state=arrived"))
    expect(page.get_by_role("link", name="courses", exact=True)).to_be_visible()


def test_any_column_sorts(visit: Visit) -> None:
    page = visit(f"{ALONE}?tag=human-resources")
    page.get_by_role("button", name="Rows", exact=True).click()
    expect(page.get_by_role("columnheader", name="Rows")).to_have_attribute("aria-sort", "descending")
    names = page.locator(".x-list tbody .x-row .x-name")
    assert names.all_text_contents()[:2] == ["workers", "compensation"]
    page.get_by_role("button", name="Export", exact=True).click()
    expect(page.get_by_role("columnheader", name="Export")).to_have_attribute("aria-sort", "ascending")
    assert names.all_text_contents() == sorted(names.all_text_contents())


def test_the_keyboard_reaches_search_and_plots(visit: Visit) -> None:
    page = visit(ALONE)
    expect(page.locator(".x-list tbody")).to_have_count(17)
    page.keyboard.press("/")
    page.keyboard.type("payr")
    expect(page.get_by_label("Search exports")).to_be_focused()
    expect(page.get_by_label("Search exports")).to_have_value("payr")
    page.goto(f"{ALONE}?export=talent_export_workers")
    page.locator(".x-plot").first.locator(".x-b").last.focus()
    page.keyboard.press("ArrowLeft")
    tip = page.locator(".x-tip").first
    expect(tip).to_contain_text("41,207 rows")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_what_is_shown_can_be_saved_and_no_cell_is_a_formula(visit: Visit, tmp_path: Path) -> None:
    page = visit(f"{ALONE}?state=failed")
    saved = {}
    for kind in ("CSV", "JSON"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind).click()
        saved[kind] = tmp_path / kind
        download.value.save_as(saved[kind])
    with saved["CSV"].open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["export"] for line in lines] == FAILED
    assert lines[2]["data_project"] == "'=cmd|' /C calc'!A0"
    assert lines[0]["sentence"].startswith("OneDrive refused")
    assert not [cell for line in lines for cell in line.values() if cell and cell[0] in "=+-@"]
    assert [each["name"] for each in json.loads(saved["JSON"].read_text(encoding="utf-8"))] == FAILED


@pytest.mark.parametrize("path", ["", "?export=talent_export_odd_failure", "?export=talent_export_odd_records"])
def test_html_of_others_is_text(visit: Visit, path: str) -> None:
    page = visit(f"{ALONE}{path}")
    expect(page.get_by_text("<img src=x onerror=").first).to_be_visible()
    assert page.locator(".exports-page img, .exports-page script").count() == 0
    assert page.title() != "executed"
    assert page.locator(".exports-page a[href^='javascript:']").count() == 0


@pytest.mark.parametrize("look", [LOOKS[0], LOOKS[2]])
def test_odd_and_long_names_fit(
    visit: Visit, picture: Picture, look: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    page = visit("/plugin/exports?tag=odd", **look)
    expect(page.locator(".x-list tbody")).to_have_count(3)
    assert_fits(page)
    picture(page, f"exports-odd-{request.node.callspec.id}")
    page.goto(f"/plugin/exports?export=talent_export_{LONG}")
    expect(page.get_by_role("heading", level=1)).to_have_text(LONG)
    assert_fits(page)
    picture(page, f"export-long-{request.node.callspec.id}")


def test_a_file_opens_in_a_tab_of_its_own(visit: Visit) -> None:
    page = visit("/plugin/exports?q=courses")
    page.context.route("https://contoso-my.sharepoint.com/**", lambda route: route.fulfill(body="the file"))
    with page.context.expect_page() as opened:
        page.locator(".x-c-file a").click()
    expect(opened.value.get_by_text("the file")).to_be_visible()
    assert opened.value.evaluate("window.opener") is None


def test_companies_are_kept_apart(visit: Visit, picture: Picture) -> None:
    page = visit(f"{ALONE}?tag=human-resources")
    page.get_by_role("button", name="Companies of positions").click()
    shown = page.locator("tr.x-co")
    expect(shown).to_have_count(3)
    expect(shown.nth(0)).to_contain_text("ArrivedUSMF")
    expect(shown.nth(2)).to_contain_text("FailedFRRT")
    expect(shown.nth(2)).to_contain_text("last good")
    picture(page, "exports-companies")


def sign_in(page: Page, name: str) -> None:
    """Fill the form that Airflow shows to somebody who has not signed in."""
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", name)
    page.keyboard.press("Enter")


def test_a_viewer_of_one_dag_signs_in_and_sees_that_one(visit: Visit, fab: Server, picture: Picture) -> None:
    page = visit("/plugin/exports", who=None, server=fab)
    sign_in(page, "one")
    expect(page.get_by_role("heading", level=1)).to_have_text("The export arrived")
    expect_rows(page, ["workers"])
    expect(page.get_by_text("1 of 1 export you may read")).to_be_visible()
    picture(page, "exports-one-dag")
    page.goto("/plugin/exports?export=talent_export_payroll_earnings")
    expect(page.get_by_role("heading", name="There is no such export")).to_be_visible()
    assert "OneDrive refused" not in page.content()


def test_who_signs_in_by_the_form_sees_the_page(visit: Visit) -> None:
    page = visit("/plugin/exports", who=None)
    sign_in(page, "admin")
    expect(page.get_by_role("heading", level=1)).to_have_text("5 of 17 exports need attention")


def test_who_may_read_no_dag_is_told_what_an_export_is(visit: Visit, pictures: Picture) -> None:
    page = visit("/talent-exports/", who="nobody")
    expect(page.get_by_role("heading", name="No exports yet")).to_be_visible()
    expect(page.get_by_text("You see only exports whose Dag you may read.")).to_be_visible()
    pictures(page, "exports-empty")


def test_the_page_stands_alone_too(visit: Visit, picture: Picture) -> None:
    page = visit(ALONE)
    page.emulate_media(color_scheme="dark")
    expect(page.locator(".x-list tbody")).to_have_count(17)
    picture(page, "exports-alone-dark")
    page.get_by_role("link", name="courses", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("courses")
    page.locator(".x-plot").first.locator(".x-b").last.hover()
    expect(page.locator(".x-tip").first).to_contain_text("1,702 rows")


def answer(status: int, body: dict[str, Any]) -> Callable[[Route], None]:
    return lambda route: route.fulfill(status=status, json=body)


def test_no_number_is_shown_before_there_is_one(visit: Visit, pictures: Picture) -> None:
    waiting: list[Route] = []
    page = visit("/talent-exports/static/icon.svg")
    page.route(API, lambda route: waiting.append(route))
    page.goto(ALONE)
    expect(page.get_by_text("Reading the runs…")).to_be_visible()
    assert page.locator(".x-chip, .x-pill").count() == 0
    assert page.locator(".exports-page .x-top").inner_text().split() == ["Exports", "Reading", "the", "runs…"]
    page.emulate_media(reduced_motion="reduce")
    pictures(page, "exports-loading")
    waiting[0].continue_()
    expect(page.get_by_role("heading", level=1)).to_contain_text("17 exports")


def test_an_error_says_what_to_do_and_ends(visit: Visit, pictures: Picture) -> None:
    page = visit("/talent-exports/static/icon.svg")
    broken = answer(500, {"detail": "The exports could not be read.", "request": "7f3a91c2"})
    page.route(API, broken)
    page.goto(ALONE)
    expect(page.get_by_role("heading", name="The exports could not be read")).to_be_visible()
    expect(page.get_by_text("7f3a91c2")).to_be_visible()
    pictures(page, "exports-error")
    page.unroute(API, broken)
    page.get_by_role("button", name="Try now").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("17 exports")


def test_a_failed_refresh_keeps_what_was_known(visit: Visit, pictures: Picture) -> None:
    page = visit(ALONE)
    expect(page.locator(".x-list tbody")).to_have_count(17)
    page.route(API, answer(503, {"detail": "no"}))
    page.get_by_title("Read again now").click()
    expect(page.get_by_text(re.compile(r"Shown as of \d\d:\d\d\."))).to_be_visible()
    expect(page.get_by_text("Airflow answered 503.")).to_be_visible()
    expect(page.locator(".x-list tbody")).to_have_count(17)
    pictures(page, "exports-stale")


def test_who_is_signed_out_meanwhile_signs_in_and_comes_back(visit: Visit, picture: Picture) -> None:
    page = visit(f"{ALONE}?state=failed")
    expect_rows(page, FAILED)
    page.context.clear_cookies()
    page.get_by_title("Read again now").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    expect_rows(page, FAILED)
    picture(page, "exports-signed-out")
    page.get_by_role("link", name="Sign in").click()
    sign_in(page, "viewer")
    page.wait_for_url(re.compile(r"/talent-exports/\?state=failed$"))
    expect_rows(page, FAILED)


def test_an_open_row_and_the_focus_survive_a_refresh(visit: Visit) -> None:
    page = visit(ALONE)
    toggle = page.get_by_role("button", name="Companies of positions")
    toggle.click()
    expect(page.locator("tr.x-co")).to_have_count(3)
    toggle.focus()
    with page.expect_response(re.compile("api/exports$")):
        page.evaluate("document.querySelector('[data-k=refresh]').click()")
    expect(page.locator("tr.x-co")).to_have_count(3)
    expect(toggle).to_be_focused()


def test_times_follow_the_time_zone_that_is_chosen_in_airflow(visit: Visit) -> None:
    page = visit("/plugin/exports?q=courses")
    cell = page.locator(".x-c-arrived").first
    expect(cell).to_have_attribute("title", re.compile("UTC$"))
    page.evaluate(
        "localStorage.timezone = '\"Asia/Tokyo\"'; dispatchEvent(new StorageEvent('local-storage', {key: 'timezone'}))"
    )
    expect(cell).to_have_attribute("title", re.compile("Asia/Tokyo$"))
