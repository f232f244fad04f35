"""The pages of tags in a real browser, inside the example CMS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from .browsers import TAGGING, assert_accessible, sign_in, watched_page
from .conftest import Served

NEWS, SYSTEM = "/autotag/tags/news", "/autotag/system/tags"
SAVED = "Saved. Existing images are being updated in the background."


@pytest.fixture
def page(context: BrowserContext, served: Served) -> Iterator[Page]:
    """The list of tags of news, whose photos are all tagged."""
    with watched_page(context) as page:
        open_tags(page, served)
        yield page


def open_tags(page: Page, served: Served) -> None:
    sign_in(page, served, "ada")
    page.goto(f"{served.url}/news/")
    expect(page.locator("[data-pending]")).to_have_count(0, timeout=TAGGING)
    page.goto(served.url + NEWS)


def tags(page: Page) -> list[str]:
    return page.locator(".at-list-link").all_text_contents()


def expect_chips(page: Page, served: Served, *names: str) -> None:
    """Reload the photos until they have the tags."""
    page.goto(f"{served.url}/news/")
    chips = page.locator(".chip")
    for _ in range(50):
        texts = chips.all_text_contents()
        found = sorted({text.strip().partition(" with ")[0] for text in texts})
        if found == sorted(names):
            return
        page.wait_for_timeout(200)
        page.reload()
    assert found == sorted(names)


def ask(page: Page, form: str) -> None:
    # The form appears before the script that submits it in place.
    page.wait_for_load_state()
    page.get_by_role("button", name=f"What would change? ({form})").click()
    expect(page.locator("#autotag-preview-result")).to_be_focused()


def test_a_tag_is_renamed(page: Page, served: Served) -> None:
    first, *others = tags(page)
    page.get_by_role("link", name=first, exact=True).click()
    expect(page.locator(".at-pictures img")).to_have_count(1)
    page.get_by_label("New name").fill("Stronghold")
    page.get_by_label("Another word for it").fill("fort")
    ask(page, "Rename")
    expect(page.locator(".at-figures dd")).to_have_text(["1", "1", "1", "1"])
    # Text in other fields is still there.
    expect(page.get_by_label("Another word for it")).to_have_value("fort")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.get_by_text(SAVED)).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Stronghold")
    expect_chips(page, served, "Stronghold", *others)
    page.goto(f"{served.url}/autotag/tag/news?key={first}")
    expect(page.get_by_text(f"{first} is now called Stronghold.")).to_be_visible()
    page.get_by_role("button", name=f"Remove: {first}").click()
    expect_chips(page, served, first, *others)


def test_a_tag_is_merged(context: BrowserContext, served: Served) -> None:
    # The console tells of every mistake.
    page = context.new_page()
    open_tags(page, served)
    first, second, *others = tags(page)
    page.get_by_role("link", name=first, exact=True).click()
    page.get_by_label("Other tag", exact=True).fill("nothing like it")
    page.get_by_role("button", name="Merge", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved.")
    page.get_by_role("alert").get_by_role("link").click()
    expect(page.get_by_label("Other tag", exact=True)).to_be_focused()
    page.get_by_label("Other tag", exact=True).fill(second)
    ask(page, "Merge")
    expect(page.locator("#autotag-preview-result")).to_contain_text("This is a merge:")
    page.get_by_role("button", name="Merge", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(second)
    expect_chips(page, served, second, *others)


def test_a_tag_is_blocked_and_another_deleted(
    context: BrowserContext, served: Served
) -> None:
    # The console tells of every mistake.
    page = context.new_page()
    open_tags(page, served)
    first, second, *others = tags(page)
    page.get_by_role("link", name=first, exact=True).click()
    page.get_by_label("Blocked").select_option("On")
    ask(page, "Save")
    expect(page.locator(".at-figures dd")).to_have_text(["0", "0", "1", "1"])
    page.locator("#autotag-threshold").fill("0.3")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Here: blocked, needs 0.30.")).to_be_visible()
    expect_chips(page, served, second, *others)

    page.goto(f"{served.url}/autotag/tag/news?key={second}")
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("must be ticked first.")
    page.get_by_label("Delete this tag from all images").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("Here: deleted.")).to_be_visible()
    expect_chips(page, served, *others)


def test_a_file_is_imported(page: Page, served: Served) -> None:
    first, *others = tags(page)
    line = f"word,becomes,blocked\n{first},Stronghold,\nunicorn,,yes\n"
    file = {"name": "w.csv", "mimeType": "text/csv", "buffer": line.encode()}
    page.get_by_label("CSV file").set_input_files([file])  # type: ignore[list-item]
    ask(page, "Import")
    expect(page.locator(".at-changed li")).to_have_text(
        [f"{first} becomes Stronghold", "unicorn blocked"]
    )
    assert_accessible(page, "an import")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text(SAVED)).to_be_visible()
    expect_chips(page, served, "Stronghold", *others)
    page.goto(served.url + NEWS)
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    text = download.value.path().read_text()
    assert '"unicorn","","yes","",""' in text


def addresses(page: Page) -> list[str]:
    """The pages of tags, each with content."""
    key = tags(page)[0]
    return [
        f"{NEWS}?sort=use",
        f"/autotag/tag/news?key={key}",
        SYSTEM,
        "/autotag/system/tag?key=dog",
    ]


def test_accessibility(page: Page, served: Served) -> None:
    paths = addresses(page)
    for path in paths[1::2]:
        page.goto(served.url + path)
        page.get_by_label("Another word for it").fill("hound")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_text(SAVED)).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for path in paths:
            page.goto(served.url + path)
            assert_accessible(page, f"{scheme} {path}")
    page.goto(served.url + paths[1])
    page.locator("#autotag-threshold").fill("much")
    page.get_by_label("Other tag", exact=True).fill("much")
    ask(page, "Delete")
    assert_accessible(page, "a preview")


def test_a_page_with_mistakes_is_accessible(
    context: BrowserContext, served: Served
) -> None:
    page = context.new_page()
    open_tags(page, served)
    page.get_by_label("Word", exact=True).fill(" ")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved.")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert_accessible(page, scheme)


def test_a_phone_needs_no_sideways_scrolling(page: Page, served: Served) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    for path in addresses(page):
        page.goto(served.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_it_works_without_scripts(browser: Browser, served: Served) -> None:
    plain = browser.new_context(java_script_enabled=False)
    page = plain.new_page()
    sign_in(page, served, "ada")
    page.goto(served.url + NEWS)
    page.get_by_label("Word", exact=True).fill("unicorn")
    page.get_by_label("Decision").select_option("Block it")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text(SAVED)).to_be_visible()
    page.get_by_label("Search").fill("uni")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="unicorn").click()
    page.get_by_label("New name").fill("Narwhal")
    page.get_by_role("button", name="What would change? (Rename)").click()
    expect(page.get_by_text("unicorn becomes Narwhal.")).to_be_visible()
    expect(page.get_by_label("New name")).to_have_value("Narwhal")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Narwhal")
    plain.close()
