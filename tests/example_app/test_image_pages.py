"""Decisions about many images in a real browser, inside the example CMS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from .browsers import assert_accessible, sign_in, watched_page
from .conftest import Served
from .test_review_pages import count, served, tab_to

__all__ = ["served"]

IMAGES = "/autotag/images/news"


@pytest.fixture
def page(context: BrowserContext, served: Served) -> Iterator[Page]:
    """The page of images for the signed-in editor."""
    with watched_page(context) as page:
        sign_in(page, served, "nora")
        page.goto(served.url + IMAGES)
        yield page


def said(page: Page, text: str) -> None:
    expect(page.locator("[data-selected]")).to_have_text(text)


def test_twenty_images_are_tagged_by_keyboard_and_undone(
    page: Page, served: Served
) -> None:
    tab_to(page, page.locator("[name=image]").first)
    page.keyboard.press("Space")
    said(page, "1 image is selected.")
    for _ in range(19):
        page.keyboard.press("Shift+ArrowRight")
    said(page, "20 images are selected.")
    assert_accessible(page, "a selection")
    tab_to(page, page.locator("[name=word]"))
    page.keyboard.type("beach")
    page.keyboard.press("Enter")
    outcome = page.locator("[data-outcome]")
    expect(outcome.get_by_role("status")).to_have_text(
        "“beach” was added to 20 images."
    )
    assert count(served, "applied", "beach") == 20
    expect(outcome).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(outcome.get_by_role("status")).to_have_text("That was undone for 20 images.")
    assert count(served, "applied", "beach") == 0


def test_ranges(page: Page) -> None:
    boxes = page.locator("[name=image]")
    boxes.nth(2).check()
    boxes.nth(5).click(modifiers=["Shift"])
    said(page, "4 images are selected.")
    page.locator(".at-picture").nth(7).click(modifiers=["Shift"])
    said(page, "6 images are selected.")
    page.keyboard.press("Shift+ArrowLeft")
    said(page, "5 images are selected.")
    page.keyboard.press("Escape")
    said(page, "No image is selected.")
    page.get_by_role("button", name="Select all").click()
    said(page, "26 images are selected.")
    page.get_by_role("button", name="Select none").click()
    said(page, "No image is selected.")


def test_without_scripts(browser_without_scripts: Page) -> None:
    page = browser_without_scripts
    page.locator("[name=image]").nth(0).check()
    page.locator("[name=word]").fill("beach")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("[data-outcome] p")).to_have_text(
        "“beach” was added to 1 image."
    )


@pytest.fixture
def browser_without_scripts(page: Page, served: Served) -> Iterator[Page]:
    """The same page, without JavaScript."""
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(
        java_script_enabled=False, storage_state=page.context.storage_state()
    )
    other = context.new_page()
    other.goto(served.url + IMAGES)
    yield other
    context.close()


def test_photos_of_the_gallery(page: Page, served: Served) -> None:
    page.goto(served.url + "/news/")
    cards = page.locator(".card")
    boxes = cards.get_by_role("checkbox")
    expect(boxes).to_have_count(cards.count())
    for place in range(3):
        boxes.nth(place).check()
    said(page, "3 images are selected.")
    assert_accessible(page, "a gallery with a selection")
    page.locator("[name=word]").fill("harbour")
    page.get_by_role("button", name="Add", exact=True).click()
    outcome = page.locator("[data-outcome]")
    expect(outcome.get_by_role("status")).to_have_text(
        "“harbour” was added to 3 images."
    )
    assert count(served, "applied", "harbour") == 3
    expect(cards.locator(".chip", has_text="harbour")).to_have_count(3)
    outcome.get_by_role("button", name="Undo").click()
    expect(outcome.get_by_role("status")).to_have_text("That was undone for 3 images.")
    assert count(served, "applied", "harbour") == 0
