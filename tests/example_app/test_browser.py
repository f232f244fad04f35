"""The example in a real browser: scripts, styles and the keyboard."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from example_app.models import Photo, db
from example_app.tagging import autotag

from .browsers import TAGGING, follow, sign_in, watched_page
from .conftest import ESPRESSO, EXAMPLE_PHOTOS, PASSWORDS, Served, photos_of

DROP = """([name, text]) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, { type: "image/jpeg" }));
    data.items.add(new File(["no photo"], "notes.txt", { type: "text/plain" }));
    for (const type of ["dragenter", "dragover", "drop"]) {
        const event = new DragEvent(type, {
            dataTransfer: data, bubbles: true, cancelable: true
        });
        document.querySelector("main").dispatchEvent(event);
    }
}"""


@pytest.fixture
def page(context: BrowserContext, served: Served) -> Iterator[Page]:
    """A page on which nora is signed in; messages in its console fail the test."""
    with watched_page(context) as page:
        sign_in(page, served, "nora")
        expect(page.get_by_role("heading", level=1)).to_have_text("News")
        yield page


def test_tags_arrive_without_a_reload(page: Page, served: Served) -> None:
    page.evaluate("window.sameDocument = true")
    chips = page.locator(".card", has_text="Castle").locator(".chip")
    castle = chips.filter(has_text=re.compile(r"castle[^%]*\d+%"))
    expect(castle).to_be_visible(timeout=TAGGING)
    expect(page.locator("[data-pending]")).to_have_count(0, timeout=TAGGING)
    expect(page.locator("[data-filters] a", has_text="castle")).to_be_visible()
    assert page.evaluate("window.sameDocument") is True


def test_uploading_by_the_button(page: Page, served: Served) -> None:
    follow(page, page.get_by_role("link", name="Upload photos"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("News")
    page.evaluate("window.sameDocument = true")
    page.locator("input[type=file]").set_input_files(
        [ESPRESSO, EXAMPLE_PHOTOS / "wall-clock.jpg"]
    )
    rows = page.locator(".upload-row")
    expect(rows).to_have_count(2)
    expect(page.get_by_text("2 photos were uploaded.")).to_be_visible()
    chips = rows.first.locator(".chip")
    espresso = chips.filter(has_text=re.compile(r"espresso[^%]*\d+%"))
    expect(espresso).to_be_visible(timeout=TAGGING)
    expect(rows.last.locator(".chip").first).to_contain_text("clock", timeout=TAGGING)
    expect(page.locator("[data-tag-status]")).to_contain_text("wall-clock.jpg:")
    assert page.evaluate("window.sameDocument") is True
    rows.first.get_by_role("link", name="espresso.jpg").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("espresso.jpg")
    expect(page.get_by_role("button", name="Remove espresso")).to_be_visible()


def test_uploading_by_dropping(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/news/upload")
    page.evaluate(DROP, ["cup.jpg", b64encode(ESPRESSO.read_bytes()).decode()])
    good, bad = page.locator(".upload-row").all()
    expect(good.get_by_role("link", name="cup.jpg")).to_be_visible()
    espresso = good.locator(".chip", has_text="espresso")
    expect(espresso).to_be_visible(timeout=TAGGING)
    expect(bad).to_contain_text("This kind of file is not accepted.")
    expect(page.get_by_text("1 file was not accepted.")).to_be_visible()


def test_filtering_and_deleting(page: Page, served: Served) -> None:
    castle = page.locator("[data-filters] a", has_text="castle")
    castle.click(timeout=TAGGING)
    expect(page.locator(".card")).to_have_count(1)
    expect(page.get_by_role("heading", name="1 photo with")).to_be_visible()
    follow(page, page.get_by_role("link", name="Castle", exact=True))
    page.get_by_role("link", name="Delete…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_text("Keep it").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("link", name="Delete…").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status").first).to_contain_text("“Castle” was deleted.")
    expect(page.get_by_text("No photo has this tag.")).to_be_visible()
    page.get_by_role("link", name="Show all photos").click()
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator("[data-filters] a", has_text="castle")).to_have_count(0)


def test_the_keyboard_is_enough(page: Page, served: Served) -> None:
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Upload photos")).to_be_focused()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.get_by_role("link", name="Mountains").focus()
    for key, title in (
        ("Enter", "Mountains"),
        ("ArrowRight", "Castle"),
        ("ArrowLeft", "Mountains"),
    ):
        page.keyboard.press(key)
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        # The heading appears before the script that handles the arrow keys.
        page.wait_for_load_state()
    opener = page.get_by_role("link", name="Delete…")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(opener).to_be_focused()


def test_a_phone_needs_no_sideways_scrolling(page: Page, served: Served) -> None:
    page.set_viewport_size({"width": 375, "height": 700})
    for place in ("", "upload", "photos/1", "photos/1/delete"):
        page.goto(f"{served.url}/news/{place}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, place


def test_a_phone_has_room_for_many_tags_and_long_names(
    page: Page, served: Served
) -> None:
    with served.app.app_context():
        first = db.session.get_one(Photo, 1)
        first.title = "DSC_" + "0123456789_" * 12
        db.session.commit()
        for number in range(30):
            autotag.add_tag(first, f"a rather long tag {number}", instance="news")
    page.set_viewport_size({"width": 390, "height": 800})
    for place in ("", "photos/1"):
        page.goto(f"{served.url}/news/{place}")
        expect(page.get_by_text("a rather long tag 29").first).to_be_attached()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, place


def test_it_works_without_scripts(browser: Browser, served: Served) -> None:
    plain = browser.new_context(java_script_enabled=False)
    page = plain.new_page()
    page.goto(served.url)
    page.get_by_label("Name", exact=True).fill("nora")
    page.get_by_label("Password").fill(PASSWORDS["nora"])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Upload photos").click()
    page.locator("input[type=file]").set_input_files([ESPRESSO])
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("1 photo was uploaded.")).to_be_visible()
    page.get_by_role("link", name="espresso.jpg").click()
    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("was deleted.")).to_be_visible()
    plain.close()
    assert "espresso.jpg" not in {photo.title for photo in photos_of(served.app)}
