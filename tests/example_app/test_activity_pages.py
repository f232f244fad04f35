"""The activity page in a real browser, inside the example CMS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy import insert

from example_app.models import db
from example_app.tagging import autotag

from .browsers import assert_accessible, sign_in, watched_page
from .conftest import MakeApp, Served, serve

ACTIVITY = "/autotag/activity/shop"
SYSTEM = "/autotag/system/activity"
#: Milliseconds after which the page has requested an update.
STEP = 5_500
#: The same after a response: the slower that was, the longer the page waits, up to five
#: minutes.
LATER = 301_000


def write(served: Served, number: int = 1, **values: Any) -> None:
    """Set jobs to failed or to another state."""
    now = time.time()
    row = {
        "instance": "shop",
        "asset_type": "photo",
        "asset_id": "1",
        "state": "failed",
        "error_code": "image_missing",
        "error_text": "The image is not where it was.",
        "created_at": now - 60,
        "finished_at": now - 30,
        **values,
    }
    with served.app.app_context():
        table = autotag.models.job.__table__
        db.session.execute(insert(table), [row] * number)
        db.session.commit()


@pytest.fixture
def served(make_app: MakeApp) -> Iterator[Served]:
    """The example without photos and without a runner."""
    with serve(make_app(AUTOTAG_RUNNER="none", WTF_CSRF_ENABLED=True)) as made:
        yield made


@pytest.fixture
def page(context: BrowserContext, served: Served) -> Iterator[Page]:
    """The activity page of the shop for its manager, with a controlled clock."""
    with watched_page(context) as page:
        sign_in(page, served, "mia")
        page.clock.install()
        page.goto(served.url + ACTIVITY)
        expect(page.get_by_role("button", name="Pause updates")).to_be_visible()
        yield page


def test_it_is_up_to_date_without_reloading(page: Page, served: Served) -> None:
    mood = page.locator(".at-mood")
    expect(mood).to_have_text("No jobs are waiting, and none have failed.")
    write(served, 2)
    page.clock.run_for(STEP)
    expect(mood).to_have_text("Failed: 2.")
    # Problems are announced; changing counts are not.
    said = page.locator("[data-said]")
    expect(said).to_have_text("Failed: 2.")
    write(served, state="done", error_code=None)
    page.clock.run_for(LATER)
    expect(page.locator("#autotag-day figcaption")).to_contain_text("Done: 1")
    expect(said).to_have_text("Failed: 2.")


def test_focus_place_and_what_is_open_stay(page: Page, served: Served) -> None:
    page.set_viewport_size({"width": 1280, "height": 400})
    summary = page.locator("#autotag-day-table summary")
    summary.focus()
    page.keyboard.press("Enter")
    table = page.locator("#autotag-day-table table")
    expect(table).to_be_visible()
    before = page.evaluate("scrollY")
    write(served, 3, state="done", error_code=None)
    page.clock.run_for(STEP)
    expect(table).to_contain_text("3")
    expect(table).to_be_visible()
    expect(summary).to_be_focused()
    assert page.evaluate("scrollY") == before


def test_a_button_keeps_the_focus_and_works(page: Page, served: Served) -> None:
    write(served, 2)
    page.clock.run_for(STEP)
    failures = page.locator("#autotag-trouble .at-reason strong")
    # The page asks again only after the answer: until then the clock moves for nothing.
    expect(failures).to_have_text("2")
    retry = page.get_by_role("button", name="Retry: image_missing")
    retry.focus()
    write(served)
    page.clock.run_for(LATER)
    expect(failures).to_have_text("3")
    expect(retry).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".at-notice")).to_have_text("Queued again: 3.")
    expect(page.locator(".at-mood")).to_contain_text("Waiting: 3; in progress: 0.")


def test_it_asks_only_while_somebody_looks(page: Page, served: Served) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => window.isHidden})"
    )
    page.evaluate(
        "isHidden = true; document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.clock.run_for(10 * STEP)
    assert asked == []
    page.evaluate(
        "isHidden = false; document.dispatchEvent(new Event('visibilitychange'))"
    )
    expect(page.locator("#autotag-moment")).to_contain_text("As of")
    assert len(asked) == 1
    page.get_by_role("button", name="Pause updates").click()
    page.clock.run_for(10 * STEP)
    assert len(asked) == 1
    write(served)
    page.get_by_role("button", name="Resume updates").click()
    expect(page.locator(".at-mood")).to_have_text("Failed: 1.")


def test_it_asks_less_often_when_nobody_answers(page: Page, served: Served) -> None:
    asked: list[str] = []
    page.route(f"**{ACTIVITY}", lambda route: route.fulfill(body="<p>Sign in</p>"))
    page.on("request", lambda request: asked.append(request.url))
    moment = page.locator("#autotag-moment")
    page.clock.run_for(STEP)
    expect(moment).to_have_text("No answer; trying again in 10 s.")
    page.clock.run_for(2_000)
    assert len(asked) == 1
    page.clock.run_for(2 * STEP)
    expect(moment).to_have_text("No answer; trying again in 20 s.")
    page.unroute(f"**{ACTIVITY}")
    page.clock.run_for(4 * STEP)
    expect(moment).to_contain_text("As of")


def test_without_scripts(browser: Browser, served: Served) -> None:
    write(served, 2)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, served, "mia")
    page.goto(served.url + ACTIVITY)
    expect(page.locator(".at-mood")).to_have_text("Failed: 2.")
    expect(page.get_by_role("button", name="Pause updates")).to_have_count(0)
    page.get_by_text("Show as a table").click()
    expect(page.locator("#autotag-day-table tbody tr")).to_have_count(24)
    page.get_by_role("button", name="Dismiss: image_missing").click()
    expect(page.locator(".at-notice")).to_have_text("Dismissed: 2.")
    write(served)
    page.get_by_role("link", name="Refresh").click()
    expect(page.locator(".at-mood")).to_have_text("Failed: 1.")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_accessibility(
    context: BrowserContext, served: Served, width: int, scheme: str
) -> None:
    write(served, 2)
    write(served, error_code="image_unreadable", error_text="unreadable" * 30)
    crashed = {"error_code": "classifier_crashed", "error_text": "It crashed."}
    write(served, 2, state="quarantined", **crashed)
    write(served, 3, state="done", error_code=None)
    with watched_page(context) as page:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 900})
        sign_in(page, served, "ada")
        for path in (ACTIVITY, SYSTEM, "/autotag/"):
            page.goto(served.url + path)
            assert_accessible(page, f"{path} {width} {scheme}")
            assert page.evaluate("document.documentElement.scrollWidth") == width
