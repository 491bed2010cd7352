"""The Exports page with a thousand exports."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect
from tests.ui.servers import Server, seed, site_of

from .conftest import PATIENCE_MS

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = site_of(tmp_path_factory.mktemp("many"), "simple")
    seed(site, "many", "1000", "10")
    started = Server.start(site)
    try:
        yield started.wait()
    finally:
        started.process.stop()


def test_a_thousand_exports_come_a_hundred_a_page_and_are_searched_whole(
    visit: Callable[..., Page],
    server: Server,
    picture: Callable[[Page, str], None],
    pictures: Callable[[Page, str], None],
) -> None:
    page = visit("/plugin/exports", server=server)
    expect(page.get_by_role("heading", level=1)).to_have_text("10 of 1,000 exports need attention")
    rows = page.locator(".x-list tbody")
    expect(rows).to_have_count(100)
    expect(rows.first).to_contain_text("OneDrive refused the file")
    picture(page, "exports-thousand")
    page.get_by_role("button", name="Next", exact=True).click()
    page.wait_for_url(re.compile("page=2"))
    expect(rows).to_have_count(100)
    alone = visit("/talent-exports/?page=2", server=server)
    expect(alone.locator(".x-list tbody")).to_have_count(100)
    expect(alone.get_by_text("page 2 of 10")).to_be_visible()
    pictures(alone, "exports-thousand-2")
    alone.get_by_text("page 2 of 10").scroll_into_view_if_needed()
    picture(alone, "exports-thousand-2-end")
    page.get_by_label("Search exports").fill("bench_0999")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("bench_0999")
    page.get_by_label("Search exports").fill("")
    page.get_by_role("button", name=re.compile("Failed$")).click()
    expect(rows).to_have_count(10)
