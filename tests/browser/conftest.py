"""A real browser on Airflow's UI: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright
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
# A machine that others use, too, can take a minute for the first page of a UI of some megabytes.
PATIENCE_MS = 180_000
FOLDER = PROJECT / ".local" / "browser"
FOLDER.mkdir(parents=True, exist_ok=True)
# A folder whose pictures are made anew, those that are there: docs/pictures.
KEPT = os.environ.get("TALENT_DMF_PICTURES")


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
    # The shell is Chromium without the windows around the page, which cost as much as the page.
    found = filter(None, map(shutil.which, ("chromium-headless-shell", "chromium")))
    executable = os.environ.get("TALENT_DMF_CHROMIUM") or next(found, None)
    if not executable:
        missing = (
            "Chromium is missing: apt-get install chromium-headless-shell fonts-liberation, or name it in "
            "TALENT_DMF_CHROMIUM."
        )
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        # Playwright gives each browser a user data folder of its own, and deletes it.
        launched = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield launched
        launched.close()


# A page starts as if nobody had used Airflow before; what a test stores itself stays while its page is reloaded.
_FRESH = """
if (!sessionStorage.fresh) {
    localStorage.clear();
    localStorage.theme = %(theme)r;
    localStorage.timezone = '"UTC"';
    sessionStorage.fresh = 'yes';
}
"""


def _signed_in(browser: Browser, base_url: str, token: str | None, theme: str, viewport: Any) -> BrowserContext:
    context = browser.new_context(
        base_url=base_url, viewport=viewport, timezone_id="UTC", locale="en-GB", accept_downloads=True
    )
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(_FRESH % {"theme": theme})
    if token is not None:
        context.add_cookies([{"name": "_token", "value": token, "url": base_url}])
    return context


class People:
    """Those who look at pages. Each keeps a context of their own, and with it what the browser has read before:
    Airflow's UI has some megabytes, and a fresh context reads and compiles them again."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: dict[tuple[Any, ...], BrowserContext] = {}

    @contextmanager
    def opened(self, base_url: str, token: str | None, *, theme: str = "light", viewport: Any = DESK) -> Iterator[Page]:
        """A page of one of them; it must end without an uncaught error.

        :param base_url: address of Airflow.
        :param token: of who has signed in; ``None`` for somebody who has not, and who keeps nothing.
        :param theme: ``light`` or ``dark``.
        :param viewport: size of the window.
        """
        who = (base_url, token, theme, viewport["width"])
        if token is None or who not in self._contexts:
            self._contexts[who] = _signed_in(self._browser, base_url, token, theme, viewport)
        page = self._contexts[who].new_page()
        _opened.append(page)
        errors: list[str] = []
        # The sign-in page of the FAB auth manager throws one of its own.
        page.on("pageerror", lambda error: None if "/auth/" in page.url else errors.append(str(error)))
        try:
            yield page
            assert errors == []
        finally:
            _opened.remove(page)
            page.close()
            if token is None:
                self._contexts.pop(who).close()


@pytest.fixture(scope="session")
def people(browser: Browser) -> People:
    return People(browser)


@pytest.fixture
def visit(people: People, request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """Opens an address of a seeded Airflow, the one with the simple auth manager if not said otherwise, as one of its
    people; ``who`` is ``None`` for somebody who has not signed in."""
    with ExitStack() as stack:

        def go(path: str, who: str | None = "viewer", server: Server | None = None, **options: Any) -> Page:
            server = server or request.getfixturevalue("simple")
            token = None if who is None else server.token(who)
            page = stack.enter_context(people.opened(server.site.base_url, token, **options))
            page.goto(path)
            return page

        yield go


# By how much something is wider than the room that it has, the worst of the page's parts.
_WIDER = """() => Math.max(
    ...[".exports-page", ".x-state", ".x-banner", ".x-answer", ".x-card", ".x-list tbody"]
        .flatMap((each) => [...document.querySelectorAll(each)])
        .map((part) => part.scrollWidth - part.clientWidth)
)"""


def assert_fits(page: Page) -> None:
    """Nothing of the Exports page is wider than the room that it has."""
    assert page.evaluate(_WIDER) <= 0


@pytest.fixture(scope="session")
def picture() -> Callable[[Page, str], None]:
    """Keeps a picture in ``.local/browser``."""

    def take(page: Page, name: str) -> None:
        page.evaluate("document.fonts.ready")
        file = f"{name}.png"
        page.screenshot(path=FOLDER / file, animations="disabled")
        if KEPT and (Path(KEPT) / file).exists():
            shutil.copy(FOLDER / file, KEPT)

    return take


@pytest.fixture(scope="session")
def pictures(picture: Callable[[Page, str], None]) -> Callable[[Page, str], None]:
    """Keeps three pictures of the page that stands alone: in light, in dark, and as wide as a phone."""

    def take(page: Page, name: str) -> None:
        for look, scheme, size in (("light", "light", DESK), ("dark", "dark", DESK), ("phone", "light", PHONE)):
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme)
            assert_fits(page)
            picture(page, f"{name}-{look}")
        page.set_viewport_size(DESK)

    return take
