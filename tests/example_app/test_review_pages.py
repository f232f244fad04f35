"""Review, explanation and tag field in a real browser, inside the example CMS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from sqlalchemy import func, select

from example_app import uploads
from example_app.models import Photo, db
from example_app.tagging import autotag
from flask_autotag import AssetRef

from ..hosts import Host, store_labels
from .browsers import assert_accessible, sign_in, watched_page
from .conftest import ESPRESSO, MakeApp, Served, serve

REVIEW = "/autotag/review/news"
DOG = f"{REVIEW}?tag=dog"
EXPLAIN = "/autotag/explain/news?type=photo&id=1"
#: Photos for which a dog is suggested: more than a page has.
DOGS = 26


@pytest.fixture
def served(make_app: MakeApp) -> Iterator[Served]:
    """Photos with the suggestions dog and, for some, cat; without a runner."""
    app = make_app(AUTOTAG_RUNNER="none", WTF_CSRF_ENABLED=True)
    host = Host(app, db, Photo, autotag)  # type: ignore[arg-type]
    with app.app_context():
        for number in range(1, DOGS + 1):
            name = uploads.keep_copy(ESPRESSO)
            photo = Photo(instance="news", title=f"Cup {number}", filename=name)
            db.session.add(photo)
            db.session.commit()
            labels = [("grass", 0.9), ("dog", 0.4), ("cat", 0.3)]
            ref = AssetRef("photo", str(photo.id))
            store_labels(host, ref, labels[: 3 if number < 4 else 2], "news")
        db.session.remove()
    with serve(app) as made:
        yield made


@pytest.fixture
def page(context: BrowserContext, served: Served) -> Iterator[Page]:
    """A page of the signed-in editor; messages in its console fail the test."""
    with watched_page(context) as page:
        sign_in(page, served, "nora")
        yield page


def count(served: Served, state: str, name: str = "dog") -> int:
    """Return the number of photos with a tag in a state."""
    with served.app.app_context():
        assigned, tag = autotag.models.assignment, autotag.models.tag
        found = db.session.scalar(
            select(func.count())
            .select_from(assigned)
            .join(tag, tag.id == assigned.tag_id)
            .where(tag.key == name, assigned.state == state)
        )
    return found or 0


def tab_to(page: Page, place: Locator) -> None:
    """Press the Tab key until an element has the focus."""
    for _ in range(60):
        if place.evaluate("each => each === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the Tab key does not reach {place}")


def cards(page: Page) -> Locator:
    return page.locator("[data-card]")


def notice(page: Page) -> Locator:
    return page.locator(".at-notice")


def test_twenty_suggestions_are_reviewed_by_keyboard_alone(
    page: Page, served: Served
) -> None:
    tab_to(page, page.get_by_role("link", name="Review", exact=True))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{REVIEW}")
    tab_to(page, page.get_by_role("link", name="dog"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("Suggested for 26 images.")).to_be_visible()
    expect(page.get_by_text("Keys on an image:")).to_be_visible()
    expect(cards(page)).to_have_count(24)
    tab_to(page, cards(page).first)
    for number in range(20):
        expect(cards(page).nth(number)).to_be_focused()
        expect(cards(page).nth(number)).to_be_in_viewport()
        page.keyboard.press("arxA"[number % 4])
    said = page.locator("[data-said]")
    expect(said).to_have_text("photo 7: accepted.")
    expect(page.locator("[data-count]")).to_have_text(
        "Accepted: 10. Rejected: 10. Undecided: 4."
    )
    page.keyboard.press("s")
    expect(notice(page)).to_have_text("Accepted 10, rejected 10.")
    expect(cards(page)).to_have_count(6)
    # The review continues at the same place, and shows the result.
    expect(cards(page).first).to_be_focused()
    expect(said).to_have_text("Accepted 10, rejected 10.")
    assert count(served, "applied") == count(served, "rejected") == 10
    for _ in range(6):
        page.keyboard.press("Enter")
    expect(said).to_contain_text(
        "That was the last image on this page. Press S to save."
    )
    page.keyboard.press("s")
    expect(page.get_by_role("heading", level=1)).to_have_text("cat")
    assert count(served, "applied") == 16
    tab_to(page, page.get_by_role("button", name="Undo"))
    page.keyboard.press("Enter")
    expect(notice(page)).to_have_text("Restored suggestions: 6.")
    assert count(served, "suggested") == 6


def test_keys_move_and_take_back(page: Page, served: Served) -> None:
    page.goto(served.url + DOG)
    cards(page).first.focus()
    columns = page.evaluate(
        "new Set([...document.querySelectorAll('[data-card]')]"
        ".map((card) => card.getBoundingClientRect().left)).size"
    )
    assert columns > 1
    place = 0
    for key, step in (
        ("j", 1),
        ("ArrowRight", 1),
        ("k", -1),
        ("ArrowLeft", -1),
        ("k", 0),
        ("ArrowDown", columns),
        ("ArrowDown", columns),
        ("ArrowUp", -columns),
    ):
        page.keyboard.press(key)
        place += step
        expect(cards(page).nth(place)).to_be_focused()
    page.keyboard.press("r")
    page.keyboard.press("k")
    counted = page.locator("[data-count]")
    expect(counted).to_contain_text("Rejected: 1.")
    page.keyboard.press("u")
    expect(counted).to_contain_text("Rejected: 0.")
    expect(cards(page).nth(place)).to_be_focused()
    expect(page.locator("[data-said]")).to_contain_text("undecided.")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    # Shortcuts of the browser and of the desktop are left alone.
    page.keyboard.press("Alt+a")
    expect(counted).to_contain_text("Accepted: 0.")


def test_keys_do_nothing_elsewhere(page: Page, served: Served) -> None:
    page.goto(served.url + DOG)
    counted = page.locator("[data-count]")
    expect(counted).to_contain_text("Undecided: 24.")
    page.locator("h1").click()
    for key in "arxs":
        page.keyboard.press(key)
    expect(counted).to_contain_text("Undecided: 24.")
    # A radio button keeps its arrows, and the link its Enter.
    page.get_by_label("Accept").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("Reject").first).to_be_checked()
    expect(counted).to_contain_text("Rejected: 1.")
    page.get_by_role("link", name="Why?").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("photo 26")


def test_what_has_the_focus_is_not_under_the_bar(page: Page, served: Served) -> None:
    page.goto(served.url + DOG)
    cards(page).first.focus()
    for _ in range(23):
        page.keyboard.press("j")
        low, bar = (
            page.evaluate(f"document.{what}.getBoundingClientRect().{edge}")
            for what, edge in (
                ("activeElement", "bottom"),
                ("querySelector('.at-bar')", "top"),
            )
        )
        assert low <= bar


def test_the_tag_field_works_in_place(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/news/photos/1")
    page.evaluate("window.sameDocument = true")
    field = page.get_by_label("Add a tag")
    field.fill("gr")
    expect(page.locator("datalist option")).to_have_count(1)
    assert page.locator("datalist option").get_attribute("value") == "grass"
    field.fill("Kitchen")
    field.press("Enter")
    expect(page.get_by_role("button", name="Remove Kitchen")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="was added")).to_have_text(
        "“Kitchen” was added."
    )
    expect(field).to_be_focused()
    expect(field).to_have_value("")
    page.get_by_role("button", name="Remove grass").press("Enter")
    expect(page.get_by_role("button", name="Remove grass")).to_have_count(0)
    expect(page.get_by_role("button", name="Remove Kitchen")).to_be_focused()
    page.get_by_role("button", name="Accept dog").click()
    expect(page.get_by_role("button", name="Remove dog")).to_be_visible()
    page.get_by_role("button", name="Reject cat").click()
    expect(page.get_by_role("button", name="Reject cat")).to_have_count(0)
    expect(field).to_be_focused()
    assert page.evaluate("window.sameDocument") is True
    page.reload()
    expect(page.locator(".at-chip > span:first-child")).to_have_text(["Kitchen", "dog"])
    page.get_by_role("link", name="Why these tags?").click()
    expect(page.get_by_text("rejected by a person").first).to_be_visible()


def test_what_cannot_be_a_tag_is_said_in_place(
    context: BrowserContext, served: Served
) -> None:
    # The browser itself logs the 422 in its console.
    page = context.new_page()
    sign_in(page, served, "nora")
    page.goto(f"{served.url}/news/photos/1")
    field = page.get_by_label("Add a tag")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Type a tag first.")).to_be_visible()
    field.fill("\u200b")
    field.press("Enter")
    said = page.get_by_text("The name of a tag must have 1 to 100 characters.")
    expect(said).to_be_visible()
    expect(field).to_have_value("\u200b")


def test_who_is_signed_out_is_asked_to_sign_in(
    context: BrowserContext, served: Served
) -> None:
    page = context.new_page()
    sign_in(page, served, "nora")
    page.goto(f"{served.url}/news/photos/1")
    context.clear_cookies()
    page.get_by_role("button", name="Remove grass").click()
    expect(page.get_by_text("The form has expired.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility(page: Page, served: Served, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for path in (REVIEW, EXPLAIN, "/news/photos/1", f"{REVIEW}?tag=whale"):
        page.goto(served.url + path)
        assert_accessible(page, path)
    page.goto(served.url + DOG)
    cards(page).first.focus()
    for key in "ar":
        page.keyboard.press(key)
    assert_accessible(page, "choices")
    page.keyboard.press("s")
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert_accessible(page, "an undo")
    page.goto(served.url + "/autotag/")
    assert_accessible(page, "the overview of an editor")


def test_a_phone_needs_no_sideways_scrolling(page: Page, served: Served) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    for path in (REVIEW, DOG, EXPLAIN, "/news/photos/1", "/autotag/"):
        page.goto(served.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_it_works_without_scripts(browser: Browser, served: Served) -> None:
    plain = browser.new_context(java_script_enabled=False)
    page = plain.new_page()
    sign_in(page, served, "nora")
    page.get_by_role("link", name="Review", exact=True).click()
    page.get_by_role("link", name="cat").click()
    expect(page.get_by_text("Keys on an image:")).to_be_hidden()
    page.get_by_label("Accept").first.check()
    page.get_by_label("Reject").last.check()
    page.get_by_role("button", name="Save").click()
    expect(notice(page)).to_have_text("Accepted 1, rejected 1.")
    page.get_by_role("button", name="Undo").click()
    expect(notice(page)).to_have_text("Restored suggestions: 2.")
    page.get_by_role("button", name="Accept the rest of this page").click()
    expect(notice(page)).to_contain_text("Accepted 3, rejected 0.")
    page.goto(f"{served.url}/news/photos/1")
    page.get_by_label("Add a tag").fill("Kitchen")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("button", name="Remove Kitchen")).to_be_visible()
    page.get_by_role("button", name="Reject dog").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Cup 1")
    page.get_by_role("link", name="Why these tags?").click()
    page.get_by_role("button", name="Add dog again").click()
    expect(notice(page)).to_have_text("“dog” was added.")
    plain.close()
