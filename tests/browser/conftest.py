"""A real browser on Airflow's UI: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright
from tests.ui.conftest import fab, servers, simple  # noqa: F401 - the same servers, and the same database
from tests.ui.servers import PROJECT, Server

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
PATIENCE_MS = 60_000
FOLDER = Path(os.environ.get("TALENT_DMF_PICTURES") or PROJECT / ".local" / "browser")
FOLDER.mkdir(parents=True, exist_ok=True)


# Of the test that runs: a failure leaves pictures of them.
_opened: list[Page] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for number, page in enumerate(_opened):
            with suppress(Error):
                page.screenshot(path=FOLDER / f"failed-{item.name}-{number}.png")
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = os.environ.get("TALENT_DMF_CHROMIUM") or shutil.which("chromium")
    if not executable:
        missing = "Chromium is missing: apt-get install chromium, or name it in TALENT_DMF_CHROMIUM."
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        # Playwright gives each browser a user data folder of its own, and deletes it.
        launched = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield launched
        launched.close()


@contextmanager
def opened(
    browser: Browser, base_url: str, token: str | None, *, theme: str = "light", viewport: Any = DESK
) -> Iterator[Page]:
    """A page of somebody who has signed in; it must end without an uncaught error.

    :param browser: the browser.
    :param base_url: address of Airflow.
    :param token: of the person; ``None`` for somebody who has not signed in.
    :param theme: ``light`` or ``dark``.
    :param viewport: size of the window.
    """
    context = browser.new_context(
        base_url=base_url, viewport=viewport, timezone_id="UTC", locale="en-GB", accept_downloads=True
    )
    context.set_default_timeout(PATIENCE_MS)
    # Once, and not again where a test changes it.
    context.add_init_script(
        f"if (!localStorage.theme) {{ localStorage.theme = {theme!r}; localStorage.timezone = '\"UTC\"'; }}"
    )
    if token is not None:
        context.add_cookies([{"name": "_token", "value": token, "url": base_url}])
    page = context.new_page()
    _opened.append(page)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        yield page
        assert errors == []
    finally:
        _opened.remove(page)
        context.close()


@pytest.fixture
def visit(browser: Browser, simple: Server) -> Iterator[Callable[..., Page]]:  # noqa: F811
    """Opens an address of the seeded Airflow as one of its people."""
    with ExitStack() as stack:

        def go(path: str, who: str = "viewer", server: Server = simple, **options: Any) -> Page:
            page = stack.enter_context(opened(browser, server.site.base_url, server.token(who), **options))
            page.goto(path)
            return page

        yield go


@pytest.fixture(scope="session")
def picture() -> Callable[[Page, str], None]:
    """Keeps a picture: in ``.local/browser``, or where TALENT_DMF_PICTURES says."""

    def take(page: Page, name: str) -> None:
        # Fonts and the theme's transitions have settled when two pictures in a row are the same.
        before = page.screenshot()
        for _ in range(20):
            after = page.screenshot()
            if after == before:
                break
            before = after
        (FOLDER / f"{name}.png").write_bytes(before)

    return take
