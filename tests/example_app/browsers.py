"""A real browser, and common steps in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    expect,
    sync_playwright,
)

from ..services import missing
from .conftest import PASSWORDS, Served

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

#: Milliseconds in which a photo must be tagged, including the start of a child.
TAGGING = 30_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium; skip the test if it is not installed."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        missing(f"No browser: none of {', '.join(CHROMIUM)} is installed.")
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def watched_page(context: BrowserContext) -> Iterator[Page]:
    """Open a page; messages in its console fail the test."""
    page = context.new_page()
    complaints: list[str] = []
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type in ("error", "warning")
            else None
        ),
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []


def sign_in(page: Page, served: Served, name: str) -> None:
    """Sign in with a demo account."""
    page.goto(served.url)
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Password").fill(PASSWORDS[name])
    page.get_by_label("Password").press("Enter")
    page.wait_for_url(lambda url: "sign-in" not in url)


def follow(page: Page, link: Locator) -> None:
    """Follow a link, and wait for the scripts of the page."""
    with page.expect_navigation():
        link.click()


def assert_accessible(page: Page, what: str) -> None:
    # The text appears before the style sheets are loaded.
    page.wait_for_load_state()
    found = Axe().run(page)
    assert found.violations_count == 0, f"{what}: {found.generate_report()}"
