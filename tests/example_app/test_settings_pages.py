"""The settings pages in a real browser, inside the example CMS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import TagName, tag_name

from ..hosts import chart
from ..providers.vendors import Answer, vendor
from .browsers import TAGGING, assert_accessible, sign_in, watched_page
from .conftest import ESPRESSO, EXAMPLE_PHOTOS, MakeApp, Served, serve

SYSTEM, SHOP, NEWS = (
    "/autotag/system",
    "/autotag/instances/shop",
    "/autotag/instances/news",
)
PAGES = ("/autotag/", SYSTEM, SHOP, "/autotag/system/history", "/autotag/history/shop")
#: A photo with one label of high confidence and several of low confidence.
AMBIGUOUS = EXAMPLE_PHOTOS / "wall-clock.jpg"


@pytest.fixture
def page(context: BrowserContext, served: Served) -> Iterator[Page]:
    """A page on which the administrator of all instances is signed in."""
    with watched_page(context) as page:
        sign_in(page, served, "ada")
        yield page


def threshold(page: Page) -> Locator:
    """Return the field in TensorFlow's section."""
    return page.locator("#autotag-tensorflow-confidence-threshold")


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    expect(
        page.get_by_text("Saved. The change applies from the next image on.")
    ).to_be_visible()


def set_threshold(page: Page, served: Served, path: str, value: str) -> None:
    page.goto(served.url + path)
    threshold(page).fill(value)
    save(page)


def tags_after_upload(page: Page, served: Served, instance: str) -> list[str]:
    """Upload a photo and wait for its tags."""
    page.goto(f"{served.url}/{instance}/upload")
    page.locator("input[type=file]").set_input_files([AMBIGUOUS])
    row = page.locator(".upload-row")
    expect(row.locator(".chip, .state:not(.pending)").first).to_be_visible(
        timeout=TAGGING
    )
    names = row.locator(".chip").all_text_contents()
    return sorted(re.sub(r"\s*\d+%", "", name).strip() for name in names)


def test_a_threshold_for_the_system_and_another_for_the_shop(
    page: Page, served: Served
) -> None:
    set_threshold(page, served, SYSTEM, "0.01")
    page.goto(served.url + SHOP)
    expect(threshold(page)).to_have_attribute("placeholder", "0.01")
    expect(page.locator("#autotag-tensorflow-confidence-threshold-notes")).to_have_text(
        "System: 0.01."
    )
    set_threshold(page, served, SHOP, "0.99")

    in_news = tags_after_upload(page, served, "news")
    in_shop = tags_after_upload(page, served, "shop")
    assert len(in_news) > len(in_shop)

    page.goto(served.url + SHOP)
    page.get_by_role("button", name="Reset: Confidence threshold").click()
    expect(threshold(page)).to_have_value("")
    expect(page.get_by_text("inherit again as soon as you save")).to_be_visible()
    save(page)
    assert tags_after_upload(page, served, "shop") == in_news


def test_dragging_a_threshold_shows_what_would_apply(
    page: Page, served: Served
) -> None:
    page.goto(served.url + SHOP)
    page.locator("#autotag-image").set_input_files(AMBIGUOUS)
    page.get_by_role("button", name="Try", exact=True).click()
    rows = page.locator("tr[data-label]")
    expect(rows.first).to_be_visible(timeout=TAGGING)
    assert rows.count() > 2
    # The scroll position and the chosen file stay.
    expect(page.locator("#autotag-try-result")).to_be_in_viewport()
    assert page.locator("#autotag-image").evaluate("each => each.files.length") == 1

    slider = page.locator("[data-threshold-of] input")
    slider.fill("0.01")
    expect(threshold(page)).to_have_value("0.01")
    expect(page.locator("[data-outcome]", has_text="below")).to_have_count(0)
    assert page.locator("tr.at-applies").count() > 2
    summary = page.locator("[data-trial-summary]")
    expect(summary).to_contain_text("Would apply: ")
    slider.focus()
    page.keyboard.press("End")
    expect(threshold(page)).to_have_value("1.00")
    expect(page.locator("tr.at-applies")).to_have_count(0)
    expect(summary).to_have_text("No tag would apply.")
    # The server has the same result.
    threshold(page).fill("0.01")
    by_script = page.locator("[data-outcome]").all_text_contents()
    page.get_by_role("button", name="Try", exact=True).click()
    expect(page.locator("thead th").last).to_contain_text("0.01", timeout=TAGGING)
    assert page.locator("[data-outcome]").all_text_contents() == by_script


#: The parts of the page that show how labels were judged.
JUDGED = (
    "[data-outcome], [data-trial-summary], [data-trial-suggested], tr.at-applies th"
)
#: A vendor's labels: broader concepts and a narrower one, words with rules, and a name
#: that two labels share.
SAID = (
    ("n00015388", "animal", 0.97),
    ("n01861778", "mammal", 0.9),
    ("n02084071", "dog", 0.55),
    ("n02121808", "cat", 0.25),
    ("/m/1", "grass", 0.8),
    ("/m/2", "wolf", 0.4),
    ("/m/3", "hound", 0.6),
    ("/m/4", "Fence", 0.3),
    ("/m/5", "x" * 101, 0.7),
    ("/m/6", "hill", 0.31),
    ("/m/7", "hill", 0.2),
    ("/m/8", "river", 0.5996),
    *((f"/m/1{number}", f"thing {number}", 0.11) for number in range(8)),
)


@pytest.fixture(params=[1, 4])
def most(request: pytest.FixtureRequest) -> int:
    """Return the field for the maximum number of tags."""
    made: int = request.param
    return made


@pytest.fixture
def judged(make_app: MakeApp, most: int) -> Iterator[Served]:
    """The example with all kinds of words, and a vendor with such labels."""
    labels = [
        {"mid": mid, "description": name, "score": score} for mid, name, score in SAID
    ]
    with vendor() as google:
        google.answer = Answer(body={"responses": [{"labelAnnotations": labels}]})
        app = make_app(
            AUTOTAG_ALLOWED_ORIGINS=[google.url],
            AUTOTAG_GOOGLE_ENABLED=True,
            AUTOTAG_GOOGLE_ENDPOINT=google.url,
            AUTOTAG_GOOGLE_API_KEY="AIza-secret-0123",
            AUTOTAG_MAX_TAGS=most,
            WTF_CSRF_ENABLED=True,
        )
        words: dict[TagName, dict[str, Any]] = {
            tag_name("grass"): {"blocked": True},
            tag_name("wolf"): {"threshold": 0.35},
            tag_name("hound"): {"becomes": "Dog"},
            tag_name("fence"): {"threshold": 0.9},
        }
        database = app.extensions["autotag"].state_of(app).database
        with app.app_context(), database.begin() as session:
            change_words(session, database.models, "shop", words, "ada")
        with serve(app) as made:
            yield made


def test_the_script_judges_as_the_server_does(
    context: BrowserContext, judged: Served, most: int
) -> None:
    with watched_page(context) as page:
        sign_in(page, judged, "ada")
        page.goto(judged.url + SHOP)
        page.locator("#autotag-image").set_input_files(
            {"name": "chart.png", "mimeType": "image/png", "buffer": chart()}
        )
        page.get_by_role("button", name="Try", exact=True).click()
        expect(page.locator("[data-trial]")).to_be_visible(timeout=TAGGING)
        seen = set()
        for thresholds in (
            ("0.5", "0.2", "0.5"),
            ("0.5", "1", "0.01"),
            ("0.95", "0.3", "1"),
            ("0.2", "0.1", "0.4"),
            ("1", "0.01", "1"),
            ("0.01", "0.01", "0.01"),
            ("0.6", "0.9", "0.31"),
            ("1", "1", "0.1"),
        ):
            set_thresholds(page, *thresholds)
            by_script = judgement(page)
            seen |= {sentence.split(",")[-1].strip() for sentence in by_script}
            with page.expect_response(judged.url + SHOP) as answered:
                page.get_by_role("button", name="Try", exact=True).click()
            # The HTML from the server, before the script changes it.
            sent = BeautifulSoup(answered.value.text(), "html.parser")
            by_server = [one.get_text() for one in sent.select(JUDGED)]
            assert words_of(by_server) == by_script, thresholds
            expect(page.locator("#autotag-try-result")).to_be_focused()
        assert {
            "blocked",
            "a more specific tag applies",
            f"over the maximum of {most}",
            "not a valid tag name",
            "another label for this tag scores higher",
            "reaches 0.35",
            "below 0.90; suggested for review",
            "below 0.60",
            "but doubtful for this kind of image",
            "but doubtful for this kind of image; suggested for review",
        } <= seen


def set_thresholds(page: Page, google: str, suggestion: str, tensorflow: str) -> None:
    for section, value in (
        ("google-confidence", google),
        ("suggestion", suggestion),
        ("tensorflow-confidence", tensorflow),
    ):
        page.locator(f"#autotag-{section}-threshold").fill(value)


def judgement(page: Page) -> list[str]:
    """Return the text of the page about the labels."""
    return words_of(page.locator(JUDGED).all_text_contents())


def words_of(texts: list[str]) -> list[str]:
    return [" ".join(text.split()) for text in texts]


def test_a_recent_photo_is_tried(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/news/")
    expect(page.locator("[data-pending]")).to_have_count(0, timeout=TAGGING)
    page.goto(served.url + NEWS)
    expect(page.locator(".at-pick img")).to_have_count(2)
    page.locator(".at-pick").first.click()
    page.get_by_role("button", name="Try", exact=True).click()
    expect(page.locator("tr[data-label]").first).to_be_visible(timeout=TAGGING)


def test_what_would_change_and_then_does(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/news/")
    expect(page.locator("[data-pending]")).to_have_count(0, timeout=TAGGING)
    before = page.locator(".chip").count()
    page.goto(served.url + NEWS)
    threshold(page).fill("1")
    page.get_by_role("button", name="What would change?").click()
    figures = page.locator(".at-figures dd")
    expect(figures).to_have_text(["0", "0", "2", str(before)])
    page.get_by_label("Apply to existing images too").check()
    save(page)
    expect(page.get_by_text("Existing images are being updated")).to_be_visible()
    page.goto(f"{served.url}/news/")
    for _ in range(50):
        if page.locator(".chip").count() == 0:
            break
        page.wait_for_timeout(200)
        page.reload()
    expect(page.locator(".chip")).to_have_count(0)


def test_a_mistake_is_marked_and_a_link_leads_there(
    context: BrowserContext, served: Served
) -> None:
    page = context.new_page()
    sign_in(page, served, "mia")
    page.get_by_role("link", name="Auto tagging").click()
    expect(page.locator(".at-list-link")).to_have_text(["Shop"])
    page.get_by_role("link", name="Shop", exact=True).last.click()
    page.get_by_label("Maximum number of tags per asset").fill("many")
    threshold(page).fill("0.25")
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Nothing was saved.")
    expect(threshold(page)).to_have_value("0.25")
    alert.get_by_role("link").click()
    expect(page.get_by_label("Maximum number of tags per asset")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    expect(
        page.get_by_text("Saved. The change applies from the next image on.")
    ).to_be_visible()


def test_the_keyboard_is_enough(page: Page, served: Served) -> None:
    page.goto(served.url + SYSTEM)
    page.get_by_role("link", name="Skip to the content").focus()
    page.keyboard.press("Enter")
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "[document.activeElement.name || document.activeElement.type ||"
                " document.activeElement.textContent.trim(),"
                " getComputedStyle(document.activeElement).outlineStyle]"
            )
        )
        if seen[-1][0] == "command" and seen.count(seen[-1]) == 3:
            break
    assert {outline for _, outline in seen} <= {"solid", "auto"}
    names = [name for name, _ in seen]
    assert names.index("setting.enabled") < names.index("setting.max_tags")
    assert "range" in names
    assert names.count("command") == 3, names


def test_accessibility(page: Page, served: Served) -> None:
    set_threshold(page, served, SYSTEM, "0.4")
    set_threshold(page, served, SHOP, "0.3")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for path in PAGES:
            page.goto(served.url + path)
            assert_accessible(page, f"{scheme} {path}")
    page.emulate_media(color_scheme="light")
    page.goto(served.url + SHOP)
    page.locator("#autotag-image").set_input_files(ESPRESSO)
    page.get_by_role("button", name="Try", exact=True).click()
    expect(page.locator("tr[data-label]").first).to_be_visible(timeout=TAGGING)
    page.get_by_role("button", name="What would change?").click()
    expect(page.locator("#autotag-preview-result")).to_be_visible()
    expect(page.locator("#autotag-try-result")).to_be_visible()
    assert_accessible(page, "a preview")


def test_a_page_with_mistakes_is_accessible(
    context: BrowserContext, served: Served
) -> None:
    page = context.new_page()
    sign_in(page, served, "ada")
    page.goto(served.url + SYSTEM)
    threshold(page).fill("much")
    page.locator("#autotag-microsoft-endpoint").fill("http://x")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved.")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert_accessible(page, scheme)


def test_a_phone_needs_no_sideways_scrolling(page: Page, served: Served) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    set_threshold(page, served, SYSTEM, "0.4")
    for path in PAGES:
        page.goto(served.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_it_works_without_scripts(browser: Browser, served: Served) -> None:
    plain = browser.new_context(java_script_enabled=False)
    page = plain.new_page()
    sign_in(page, served, "ada")
    page.goto(served.url + SHOP)
    threshold(page).fill("0.01")
    page.locator("#autotag-image").set_input_files(ESPRESSO)
    page.get_by_role("button", name="Try", exact=True).click()
    expect(page.get_by_text("Would apply: drink, espresso")).to_be_visible(
        timeout=TAGGING
    )
    expect(threshold(page)).to_have_value("0.01")
    page.get_by_role("button", name="What would change?").click()
    expect(page.locator("#autotag-preview-result")).to_be_visible()
    save(page)
    page.get_by_role("button", name="Reset: Confidence threshold").click()
    save(page)
    expect(threshold(page)).to_have_value("")
    plain.close()
