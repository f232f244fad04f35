"""Searching by tag in a real browser."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, expect

from .browsers import TAGGING, sign_in, watched_page
from .conftest import Served


def test_a_word_is_completed_and_filters(
    context: BrowserContext, served: Served
) -> None:
    with watched_page(context) as page:
        sign_in(page, served, "nora")
        expect(page.locator("[data-pending]")).to_have_count(0, timeout=TAGGING)
        page.get_by_label("Search by tag").press_sequentially("cas")
        expect(page.locator("#search-words option")).to_have_count(1)
        expect(page.locator("#search-words option")).to_have_attribute(
            "value", "castle"
        )
        page.get_by_label("Search by tag").fill("Castle")
        page.keyboard.press("Enter")
        expect(page.locator(".card h3")).to_have_text(["Castle"])
        expect(page.locator("#photos-title")).to_have_text("1 photo with")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/news/", "/news/tags", "/news/photos/1"])
def test_accessibility(
    context: BrowserContext, served: Served, path: str, scheme: str
) -> None:
    with watched_page(context) as page:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        sign_in(page, served, "nora")
        expect(page.locator("[data-pending]")).to_have_count(0, timeout=TAGGING)
        page.goto(served.url + path)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
