"""The page of activity."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_autotag.classification.circuit_breaker import record_failure
from flask_autotag.classification.quota import count
from flask_autotag.errors import ProviderBusy, ProviderRefused
from flask_autotag.jobs import maintenance
from flask_autotag.jobs.queue import enqueue_reapply
from flask_autotag.monitoring import activity
from flask_autotag.monitoring.hourly import Hour
from flask_autotag.web.admin.activity import activity_page as page_module
from flask_autotag.web.admin.activity.chart import HEIGHT, Chart

from .conftest import Office, Page, Visitor, open_office

URL, SYSTEM = "/autotag/activity/shop", "/autotag/system/activity"


def queue(office: Office, number: int = 1, **values: Any) -> None:
    """Store waiting jobs."""
    for each in range(number):
        office.fail(
            state="queued",
            error_code=None,
            error_text=None,
            finished_at=None,
            asset_id=str(each),
            **{"run_at": time.time() - 30, **values},
        )


def quarantine(office: Office, **values: Any) -> int:
    return office.fail(
        state="quarantined", code="classifier_crashed", text="It crashed.", **values
    )


def press(
    visitor: Visitor, button: str, path: str = URL, page: Page | None = None
) -> Page:
    """Press a button by its accessible name, and follow the redirect."""
    page = page or visitor.get(path)
    pressed = page.one(f'button[aria-label="{button}"]')
    form = pressed.find_parent("form")
    assert form is not None
    fields = {str(one["name"]): str(one["value"]) for one in form.select("input")}
    answer = visitor.request(
        "POST", str(form["action"]), data={**fields, "command": str(pressed["value"])}
    )
    return visitor.get(answer.location) if answer.location else answer


def states(office: Office) -> list[str]:
    return [job.state for job in office.host.jobs()]


def figures(page: Page) -> dict[str, list[str]]:
    return {
        each.select_one("dt").get_text(): [  # type: ignore[union-attr]
            " ".join(one.get_text().split()) for one in each.select("dd")
        ]
        for each in page.soup.select(".at-figures > div")
    }


@pytest.mark.parametrize("path", [URL, SYSTEM])
def test_an_idle_queue_is_calm(ada: Visitor, path: str) -> None:
    page = ada.get(path)
    assert page.status == 200
    assert page.text(".at-mood") == "No jobs are waiting, and none have failed."
    assert page.texts("h2") == ["The last 24 hours", "Providers"]
    assert page.soup.select(".at-mood-troubled, .at-bad, .at-alert, form") == []
    assert figures(page)["Failed"] == ["0", "0 in quarantine"]


def test_what_waits_and_runs(office: Office, ada: Visitor) -> None:
    queue(office, 4, run_at=time.time() - 1200)
    queue(office, 2, priority=1)
    office.fail(state="running", finished_at=None, lease_owner="w", error_code=None)
    for ago in (5, 10, 600):
        office.fail(state="done", error_code=None, finished_at=time.time() - ago)
    page = ada.get(SYSTEM)
    assert figures(page) == {
        "Waiting": ["6", "the oldest for 20 min"],
        "In progress": ["1", "by 1 worker"],
        "Done in the last minute": ["2", "3 in the last hour"],
        "Failed": ["0", "0 in quarantine"],
    }
    assert page.text(".at-mood") == "Waiting: 6; in progress: 1. About 3 min left."
    assert (
        "Waiting bulk jobs: 2. New uploads are processed first. At the pace of the last"
        " minute, all jobs will be done in about 3 min."
    ) in page.texts("#autotag-work p")


def test_nobody_works(office: Office, ada: Visitor) -> None:
    queue(office, run_at=time.time() - 1200)
    page = ada.get(URL)
    assert page.text(".at-mood-troubled").startswith(
        "Images have been waiting for 20 min, and no worker is processing them"
    )
    # The worker is busy with another instance.
    office.fail("news", state="running", finished_at=None, lease_owner="w")
    assert ada.get(URL).soup.select(".at-mood-troubled") == []


def test_failures_are_grouped(office: Office, ada: Visitor, mia: Visitor) -> None:
    office.store("7", ("dog", 0.9))
    office.fail(asset_id="7")
    office.fail(asset_id="8")
    office.fail("news", asset_id="9")
    office.fail(code="image_unreadable", text="<b>Damaged</b>.")
    shop, system = mia.get(URL), ada.get(SYSTEM)
    assert shop.texts("#autotag-trouble .at-reason > p:first-child") == [
        "2 It is gone. image_missing",
        "1 <b>Damaged</b>. image_unreadable",
    ]
    assert system.texts("#autotag-trouble .at-reason > p:first-child") == [
        "3 It is gone. image_missing",
        "1 <b>Damaged</b>. image_unreadable",
    ]
    assert shop.text(".at-mood") == "Failed: 3."
    assert "photo 9" not in shop.html
    assert "photo 9 (The newsroom)" in system.texts(".at-example")
    # Only editors may open the pages of images.
    assert shop.soup.select(".at-example a") == []
    links = [str(one["href"]) for one in system.soup.select(".at-example a")]
    assert set(links) == {
        "/autotag/explain/shop?type=photo&id=1",
        "/autotag/explain/shop?type=photo&id=7",
        "/autotag/explain/shop?type=photo&id=8",
        "/autotag/explain/news?type=photo&id=9",
    }
    assert {ada.get(link).status for link in links} == {200}


def test_different_sentences_of_a_reason(office: Office, mia: Visitor) -> None:
    office.fail(text="It is empty.", finished_at=time.time())
    office.fail()
    office.fail()
    assert mia.get(URL).text(".at-reason > p:first-child") == (
        "3 for example: It is empty. It is gone. image_missing"
    )


def test_a_group_is_retried(office: Office, mia: Visitor) -> None:
    office.fail()
    office.fail()
    office.fail(code="image_unreadable")
    office.fail("news")
    page = press(mia, "Retry: image_missing")
    assert page.text(".at-notice") == "Queued again: 2."
    assert states(office) == ["queued", "queued", "failed", "failed"]


def test_a_group_is_dismissed(office: Office, mia: Visitor) -> None:
    office.fail()
    office.fail()
    kept = office.fail(code="image_unreadable"), office.fail("news")
    page = press(mia, "Dismiss: image_missing")
    assert page.text(".at-notice") == "Dismissed: 2."
    assert tuple(job.id for job in office.host.jobs()) == kept


def test_all_at_once(office: Office, ada: Visitor) -> None:
    office.fail()
    office.fail("news", code="image_unreadable")
    quarantine(office)
    page = press(ada, "Retry: all failed jobs", SYSTEM)
    assert page.text(".at-notice") == "Queued again: 2."
    assert states(office) == ["queued", "queued", "quarantined"]


def test_quarantine(office: Office, mia: Visitor) -> None:
    first = quarantine(office, asset_id="1")
    quarantine(office, asset_id="2")
    quarantine(office, asset_id="3")
    page = mia.get(URL)
    assert page.text(".at-mood") == "In quarantine: 3."
    assert {one.split()[1] for one in page.texts("#autotag-trouble li strong")} == {
        "1",
        "2",
        "3",
    }
    assert "It crashed." in page.texts("#autotag-trouble li .at-reason p")
    page = press(mia, "Dismiss: photo 2")
    assert page.text(".at-notice") == "Dismissed: 1."
    page = press(mia, "Retry: photo 3")
    assert states(office) == ["quarantined", "queued"]
    # A single job needs no buttons for all.
    assert "Retry all" not in page.html
    quarantine(office)
    page = press(mia, "Dismiss: all jobs in quarantine")
    assert page.text(".at-notice") == "Dismissed: 2."
    assert first not in [job.id for job in office.host.jobs()]


def test_more_in_quarantine_than_the_page_names(
    office: Office, mia: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "_QUARANTINED", 2)
    for number in range(3):
        quarantine(office, asset_id=str(number))
    page = mia.get(URL)
    assert len(page.soup.select("#autotag-trouble li")) == 2
    assert "The latest 2 of 3 are shown." in page.text("#autotag-trouble")


def test_a_job_of_another_instance_cannot_be_touched(
    office: Office, mia: Visitor
) -> None:
    """A form cannot select jobs of another instance."""
    other = quarantine(office, instance="news"), office.fail("news")
    for command in ("retry", "dismiss"):
        for form in (
            {"state": "quarantined", "job": str(other[0])},
            {"state": "quarantined", "instance": "news"},
            {"state": "failed", "code": "image_missing", "instance": ""},
            {"state": "failed", "job": str(other[1])},
        ):
            sent = {**form, "command": command, "seen": "9999999999"}
            answer = mia.request("POST", URL, data=sent)
            assert answer.status == 303
    assert states(office) == ["quarantined", "failed"]


def test_what_failed_since_the_page_was_read_is_left(
    office: Office, mia: Visitor
) -> None:
    office.fail()
    page = mia.get(URL)
    new = office.fail(finished_at=time.time() + 5)
    page = press(mia, "Dismiss: image_missing", page=page)
    assert page.text(".at-notice") == "Dismissed: 1."
    assert [job.id for job in office.host.jobs()] == [new]


@pytest.mark.parametrize("command", ["retry", "dismiss"])
def test_a_request_ends_before_a_large_group(
    office: Office, mia: Visitor, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "_PATIENCE", 0.0)
    monkeypatch.setattr(maintenance, "_BATCH", 2)
    for _ in range(3):
        office.fail()
    page = press(mia, f"{command.title()}: image_missing")
    assert page.text(".at-notice").endswith(
        "2. There are more: press the button again."
    )
    assert states(office).count("failed") == 1


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"state": "done"},
        {"state": "failed", "seen": "soon"},
        {"state": "failed", "seen": "nan"},
        {"state": "failed", "seen": "9" * 40},
        {"state": "failed", "job": "x"},
        {"state": "failed", "job": ""},
        {"state": "failed", "job": "9" * 30},
    ],
)
def test_an_incomplete_form(office: Office, mia: Visitor, form: dict[str, str]) -> None:
    office.fail()
    sent = {"command": "dismiss", "seen": "9999999999", **form}
    answer = mia.request("POST", URL, data=sent)
    assert answer.status == 400
    assert "The form is incomplete. Reload the page and try again." in answer.html
    assert states(office) == ["failed"]


def test_another_button(mia: Visitor) -> None:
    answer = mia.request("POST", URL, data={"command": "purge"})
    assert answer.status == 400
    assert "The form has a button that does not belong to it." in answer.html


def test_forms_are_protected(sqlite_url: str) -> None:
    with open_office(sqlite_url, WTF_CSRF_ENABLED=True) as office:
        mia = office.visitor("mia")
        office.fail()
        sent = {"command": "dismiss", "state": "failed", "seen": "9999999999"}
        answer = mia.request("POST", URL, data=sent)
        assert answer.status == 400
        assert "The form was too old to be trusted. Send it again." in answer.html
        assert states(office) == ["failed"]
        assert (
            press(mia, "Dismiss: image_missing").text(".at-notice") == "Dismissed: 1."
        )


def test_without_a_secret_nothing_can_be_done(sqlite_url: str) -> None:
    with open_office(sqlite_url, WTF_CSRF_ENABLED=True) as office:
        office.fail()
        office.host.app.config["SECRET_KEY"] = None
        page = office.visitor("mia").get(URL)
        assert page.status == 200
        assert "the application has no SECRET_KEY" in page.text(".at-alert")
        assert page.soup.select("button") == []
        sent = {"command": "dismiss", "state": "failed", "seen": "9999999999"}
        assert office.visitor("mia").request("POST", URL, data=sent).status == 400
        assert states(office) == ["failed"]


def test_who_may_only_see_has_no_buttons(office: Office) -> None:
    office.host.autotag.authorizer(lambda action, _instance: action == "view_settings")
    office.fail()
    page = office.visitor("ada").get(URL)
    assert page.status == 200
    assert page.soup.select("button, form") == []


def test_large_counts_stop(
    office: Office, ada: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "COUNTED", 1)
    office.fail()
    office.fail()
    page = ada.get(URL)
    assert figures(page)["Failed"][0] == "more than 1"
    assert page.text("#autotag-trouble .at-reason strong") == "more than 1"


def test_settings_that_are_applied(office: Office, mia: Visitor) -> None:
    office.store("1", ("dog", 0.9))
    with office.host.app.app_context(), office.desk.state.database.begin() as session:
        enqueue_reapply(session, office.host.models, ["shop", "news"])
    assert mia.get(URL).texts("#autotag-work li") == [
        "Settings for existing images Waiting for its turn."
    ]


def test_settings_that_could_not_be_applied(office: Office, ada: Visitor) -> None:
    office.fail(asset_type="autotag_rules", asset_id="shop")
    assert ada.get(URL).texts(".at-example") == ["Settings for existing images"]


def test_providers(office: Office, ada: Visitor, mia: Visitor) -> None:
    office.desk.save({("google", "price"): "$1.50", ("google", "monthly_limit"): 1000})
    with office.host.app.app_context(), office.desk.state.database.begin() as session:
        models = office.host.models
        count(session, models, "shop", "google", 7)
        count(session, models, "news", "google", 5)
        refused = ProviderRefused("The <key> was not accepted.")
        record_failure(session, models, "shop", "google", refused)
        record_failure(session, models, "news", "microsoft", ProviderBusy("", 90.0))
    shop = mia.get(URL)
    assert shop.texts("#autotag-providers li strong") == [
        "TensorFlow Image Auto Tagging",
        "Google Cloud Vision",
    ]
    assert shop.text(".at-mood") == "Paused providers: 1."
    [trouble] = shop.texts("#autotag-providers .at-error")
    assert trouble.startswith("Paused since 20")
    assert trouble.endswith("The <key> was not accepted.")
    assert (
        "Images sent this month: 7 of 1,000, about $0.02 at the list price; left: 993."
        in shop.texts("#autotag-providers .at-hint")
    )
    system = ada.get(SYSTEM)
    newsroom, the_shop = sorted(system.texts("#autotag-providers .at-error"))[::-1]
    assert the_shop.startswith(
        "The newsroom: It failed or asked to wait. The next attempt"
    )
    assert newsroom.startswith("The shop: Paused since")
    hints = "#autotag-providers .at-hint"
    assert "Images sent this month: 12, about $0.02 at the list price." in system.texts(
        hints
    )
    office.desk.save({("google", "total_limit"): 12})
    assert (
        "Images sent this month: 12 of 12, about $0.02 at the list price; left: 0."
        in ada.get(SYSTEM).texts(hints)
    )
    # The calls of other instances are not shown.
    assert (
        "Images sent this month: 7 of 1,000, about $0.02 at the list price; left: 993."
        " All instances together have used up the images of this month."
        in mia.get(URL).texts(hints)
    )


def test_the_last_day(office: Office, mia: Visitor) -> None:
    now = time.time()
    for _ in range(3):
        office.fail(state="done", error_code=None, finished_at=now - 3600)
    office.fail(finished_at=now - 3600)
    office.fail("news", finished_at=now - 3600)
    page = mia.get(URL)
    hour = datetime.fromtimestamp(now - 3600, UTC).strftime("%m-%d %H:00")
    rows = [
        [cell.get_text() for cell in row.select("th, td")]
        for row in page.soup.select("#autotag-day-table tbody tr")
    ]
    assert [hour, "3", "1"] in rows
    assert len(rows) == 24
    assert page.texts("#autotag-day figcaption span") == ["Done: 3", "Failed: 1"]
    assert len(page.soup.select(".at-chart rect")) == 2
    label = str(page.one(".at-chart")["aria-label"])
    assert "Done: 3, failed: 1." in label


def test_the_overview_says_it_in_short(office: Office) -> None:
    def told(name: str) -> list[str]:
        return [
            hint
            for hint in office.visitor(name).get("/autotag/").texts(".at-hint")
            if "ailed" in hint
        ]

    assert told("ada") == told("mia") == ["No jobs are waiting, and none have failed."]
    office.fail("news")
    assert told("ada") == ["Failed: 1."]
    assert told("mia") == ["No jobs are waiting, and none have failed."]
    assert told("erik") == []


@given(
    st.lists(
        st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), min_size=1, max_size=24
    )
)
def test_bars_stay_in_the_picture(numbers: list[tuple[int, int]]) -> None:
    hours = [Hour(3600 * place, *each) for place, each in enumerate(numbers)]
    chart = Chart(hours)
    assert chart.done == sum(done for done, _ in numbers)
    for bar in chart.bars:
        # A small number has a visible height.
        assert bar.done + bar.failed <= HEIGHT + 2
        assert (bar.done > 0, bar.failed > 0) == (
            bar.hour.done > 0,
            bar.hour.failed > 0,
        )
        assert 0 <= bar.x < bar.x + bar.width <= 100
    most = max(sum(each) for each in numbers)
    assert most <= chart.top <= max(1, 2 * most)
