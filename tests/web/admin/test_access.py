"""Every page and endpoint, opened by users with different rights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask
from sqlalchemy import select

from flask_autotag import AutoTag, ConfigurationError

from ...hosts import Host
from .conftest import (
    NEWS_URL,
    SHOP_URL,
    SYSTEM_URL,
    Office,
    Page,
    Visitor,
    open_office,
)

EXPLAIN_URL = "/autotag/explain/shop?type=photo&id=1"
EDIT_URL = "/autotag/edit/shop"
IMAGES_URL = "/autotag/images/shop"

SIGN_IN, FORBIDDEN, OPEN, MISSING, NO_METHOD = 302, 403, 200, 404, 405

#: Addresses, and the status for: a visitor without an account, the administrator of
#: news, the administrator of the shop, the editor of the shop, the system's
#: administrator.
PAGES: dict[str, tuple[int, int, int, int, int]] = {
    "/autotag/": (SIGN_IN, OPEN, OPEN, OPEN, OPEN),
    "/autotag/static/autotag.css": (SIGN_IN, OPEN, OPEN, OPEN, OPEN),
    "/autotag/static/activity.js": (SIGN_IN, OPEN, OPEN, OPEN, OPEN),
    "/autotag/static/bulk.js": (SIGN_IN, OPEN, OPEN, OPEN, OPEN),
    "/autotag/static/review.js": (SIGN_IN, OPEN, OPEN, OPEN, OPEN),
    "/autotag/static/field.css": (SIGN_IN, OPEN, OPEN, OPEN, OPEN),
    "/autotag/static/field.js": (SIGN_IN, OPEN, OPEN, OPEN, OPEN),
    SYSTEM_URL: (SIGN_IN, FORBIDDEN, FORBIDDEN, FORBIDDEN, OPEN),
    "/autotag/system/history": (SIGN_IN, FORBIDDEN, FORBIDDEN, FORBIDDEN, OPEN),
    SHOP_URL: (SIGN_IN, FORBIDDEN, OPEN, FORBIDDEN, OPEN),
    "/autotag/history/shop": (SIGN_IN, FORBIDDEN, OPEN, FORBIDDEN, OPEN),
    "/autotag/tags/shop": (SIGN_IN, FORBIDDEN, OPEN, FORBIDDEN, OPEN),
    "/autotag/tag/shop?key=dog": (SIGN_IN, FORBIDDEN, OPEN, FORBIDDEN, OPEN),
    "/autotag/words/shop": (SIGN_IN, FORBIDDEN, OPEN, FORBIDDEN, OPEN),
    "/autotag/system/tags": (SIGN_IN, FORBIDDEN, FORBIDDEN, FORBIDDEN, OPEN),
    "/autotag/system/tag?key=dog": (SIGN_IN, FORBIDDEN, FORBIDDEN, FORBIDDEN, OPEN),
    "/autotag/system/activity": (SIGN_IN, FORBIDDEN, FORBIDDEN, FORBIDDEN, OPEN),
    "/autotag/activity/shop": (SIGN_IN, FORBIDDEN, OPEN, FORBIDDEN, OPEN),
    "/autotag/activity/nowhere": (SIGN_IN, FORBIDDEN, FORBIDDEN, FORBIDDEN, MISSING),
    "/autotag/system/words": (SIGN_IN, FORBIDDEN, FORBIDDEN, FORBIDDEN, OPEN),
    "/autotag/tags/nowhere": (SIGN_IN, FORBIDDEN, FORBIDDEN, FORBIDDEN, MISSING),
    "/autotag/tag/nowhere?key=a": (SIGN_IN, FORBIDDEN, FORBIDDEN, FORBIDDEN, MISSING),
    "/autotag/words/nowhere": (SIGN_IN, FORBIDDEN, FORBIDDEN, FORBIDDEN, MISSING),
    "/autotag/review/shop": (SIGN_IN, FORBIDDEN, FORBIDDEN, OPEN, OPEN),
    "/autotag/review/shop?tag=wolf": (SIGN_IN, FORBIDDEN, FORBIDDEN, OPEN, OPEN),
    IMAGES_URL: (SIGN_IN, FORBIDDEN, FORBIDDEN, OPEN, OPEN),
    EXPLAIN_URL: (SIGN_IN, FORBIDDEN, FORBIDDEN, OPEN, OPEN),
    "/autotag/complete/shop?q=d": (SIGN_IN, FORBIDDEN, FORBIDDEN, OPEN, OPEN),
    EDIT_URL: (NO_METHOD,) * 5,
    "/autotag/instances/nowhere": (SIGN_IN, FORBIDDEN, FORBIDDEN, FORBIDDEN, MISSING),
    "/autotag/history/nowhere": (SIGN_IN, FORBIDDEN, FORBIDDEN, FORBIDDEN, MISSING),
    "/autotag/review/nowhere": (SIGN_IN, FORBIDDEN, FORBIDDEN, FORBIDDEN, MISSING),
    "/autotag/images/nowhere": (SIGN_IN, FORBIDDEN, FORBIDDEN, FORBIDDEN, MISSING),
    "/autotag/explain/nowhere": (SIGN_IN, FORBIDDEN, FORBIDDEN, FORBIDDEN, MISSING),
}
OUR_BLUEPRINTS = ("autotag", "autotag_instance", "autotag_api")
VISITORS = (None, "nils", "mia", "erik", "ada")
COMMANDS = ("save", "preview", "try", "reset", "test", "resume")


@pytest.fixture
def office(sqlite_url: str) -> Iterator[Office]:
    """A host with an image that can be explained and reviewed."""
    with open_office(sqlite_url, AUTOTAG_SUGGESTION_THRESHOLD=0.2) as made:
        made.store("1", ("dog", 0.9), ("wolf", 0.4))
        yield made


def test_no_endpoint_is_forgotten(office: Office) -> None:
    rules = {
        rule.endpoint
        for rule in office.host.app.url_map.iter_rules()
        if rule.endpoint.startswith("autotag")
    }
    adapter = office.host.app.url_map.bind("localhost")
    tried = {adapter.match(path.split("?")[0])[0] for path in PAGES if path != EDIT_URL}
    assert rules == tried | {adapter.match(EDIT_URL, "POST")[0]}


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("place", range(5))
def test_a_page(office: Office, path: str, place: int) -> None:
    page = office.visitor(VISITORS[place]).get(path)
    assert page.status == PAGES[path][place], page.html
    if page.status == SIGN_IN:
        assert page.location == "/sign-in"
    elif page.status != OPEN:
        assert "Confidence threshold" not in page.html


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("path", [SYSTEM_URL, SHOP_URL])
@pytest.mark.parametrize("place", range(5))
def test_a_command(
    office: Office, ada: Visitor, path: str, place: int, command: str
) -> None:
    form = ada.get(path)
    data: dict[str, Any] = {
        "setting.tensorflow.confidence_threshold": "0.3",
        (command if command in ("reset", "test", "resume") else "command"): command,
    }
    page = office.visitor(VISITORS[place]).send(path, form, **data)
    expected = PAGES[path][place]
    if expected == OPEN and command == "save":
        assert page.status == 303
        assert len(office.desk.changes("" if path == SYSTEM_URL else "shop")) == 1
        return
    assert page.status == expected
    assert office.desk.changes() == office.desk.changes("shop") == []


WORD_PAGES = {
    "/autotag/tags/shop": {"save": "add", "word": "dog", "decision": "blocked"},
    "/autotag/tag/shop?key=dog": {"save": "rules", "setting.blocked": "on"},
    "/autotag/system/tags": {"save": "add", "word": "dog", "decision": "blocked"},
    "/autotag/system/tag?key=dog": {"save": "rules", "setting.blocked": "on"},
}


@pytest.mark.parametrize("path", WORD_PAGES)
@pytest.mark.parametrize("place", range(5))
def test_a_decision_about_a_word(
    office: Office, ada: Visitor, path: str, place: int
) -> None:
    form = ada.get(path)
    page = office.visitor(VISITORS[place]).send(path, form, **WORD_PAGES[path])
    expected = PAGES[path][place]
    assert page.status == (303 if expected == OPEN else expected)
    with office.host.app.app_context():
        table = office.host.models.word.__table__
        rows = office.host.db.session.execute(select(table)).all()
    assert len(rows) == (expected == OPEN)


@pytest.mark.parametrize("command", ["retry", "dismiss"])
@pytest.mark.parametrize("path", ["/autotag/system/activity", "/autotag/activity/shop"])
@pytest.mark.parametrize("place", range(5))
def test_what_is_done_to_jobs(
    office: Office, path: str, place: int, command: str
) -> None:
    """The right to see jobs is not enough, and jobs of other instances stay."""
    jobs = office.fail("shop"), office.fail("news")
    page = office.visitor(VISITORS[place]).send(
        path,
        Page(200, "", None),
        command=command,
        state="failed",
        seen="9999999999",
    )
    expected = PAGES[path][place]
    assert page.status == (303 if expected == OPEN else expected)
    left = {job.id for job in office.host.jobs() if job.state == "failed"}
    shop, news = jobs
    if expected != OPEN:
        assert left == {shop, news}
    else:
        assert left == (set() if "system" in path else {news})


@pytest.mark.parametrize("place", range(5))
def test_what_editors_do(office: Office, place: int) -> None:
    """Decisions about tags need the right to review, and no other right."""
    expected = PAGES["/autotag/review/shop"][place]
    visitor, form = office.visitor(VISITORS[place]), Page(200, "", None)
    image = office.signed("1", user=VISITORS[place] or "")
    answers = [
        visitor.send(EDIT_URL, form, image=image, add="cat"),
        visitor.send(IMAGES_URL, form, image=image, command="add", word="fox"),
        visitor.send(IMAGES_URL, form, command="undo", action="1"),
        visitor.send(IMAGES_URL, form, image=image, command="add", word="pet"),
        visitor.send(
            "/autotag/review/shop",
            form,
            tag="wolf",
            command="save",
            **{f"image.{office.row('1')}": "accept"},
        ),
    ]
    wanted = 303 if expected == OPEN else expected
    assert [answer.status for answer in answers] == [wanted] * len(answers)
    decided = dict.fromkeys(("cat", "pet", "wolf"), VISITORS[place])
    found = office.tags("1")
    assert found.pop("dog") == "tensorflow"
    assert found == (decided if expected == OPEN else {})


def test_an_editor_is_told_what_he_may_not(office: Office) -> None:
    erik = office.visitor("erik")
    assert "Your account may not open these settings." in erik.get(SHOP_URL).html
    refused = office.visitor("mia").get("/autotag/review/shop")
    assert "Your account may not review these tags." in refused.html


def test_without_an_authorizer_everything_is_closed(host: Host) -> None:
    client = host.app.test_client()
    for path in PAGES:
        if "/field." in path:
            continue
        for method in ("GET", "POST"):
            assert client.open(path, method=method).status_code in (403, 405), path
    assert client.get("/autotag/").status_code == 403


@pytest.mark.parametrize("answer", [None, False, 0, "", 1, [], object()])
def test_only_true_is_a_yes(office: Office, answer: Any) -> None:
    office.host.autotag.authorizer(lambda _action, _instance: answer)
    assert office.visitor("ada").get(SYSTEM_URL).status == 403


def test_rights_are_asked_for_one_by_one(office: Office) -> None:
    asked = []

    @office.host.autotag.authorizer
    def may(action: str, instance: str | None) -> bool:
        asked.append((action, instance))
        return action == "view_settings"

    ada = office.visitor("ada")
    page = ada.get(SHOP_URL)
    assert page.status == 200
    assert set(asked) >= {
        ("view_settings", "shop"),
        ("change_settings", "shop"),
        ("try_image", "shop"),
    }
    assert "disabled" in page.one('[name="setting.max_tags"]').attrs
    assert page.soup.select("button") == []
    for command in ("save", "try"):
        assert ada.send(SHOP_URL, page, command=command).status == 403


def test_a_page_asks_for_each_right_once(office: Office) -> None:
    """An authorizer may be slow."""
    asked: Counter[tuple[str, str | None]] = Counter()

    @office.host.autotag.authorizer
    def may(action: str, instance: str | None) -> bool:
        asked[action, instance] += 1
        return True

    office.visitor("ada").get(SHOP_URL)
    assert asked == {
        (action, "shop"): 1
        for action in ("view_settings", "change_settings", "try_image", "review_tags")
    }


def test_the_overview_lists_what_one_may_see(office: Office) -> None:
    def listed(name: str) -> list[str]:
        return office.visitor(name).get("/autotag/").texts(".at-list-link")

    assert listed("ada") == ["The whole system", "The newsroom", "The shop"]
    assert listed("mia") == listed("erik") == ["The shop"]


def test_the_overview_links_what_one_may_open(office: Office) -> None:
    def links(name: str) -> list[str]:
        page = office.visitor(name).get("/autotag/")
        return [str(link["href"]) for link in page.soup.select(".at-links a")]

    assert links("mia") == [
        SHOP_URL,
        "/autotag/tags/shop",
        "/autotag/activity/shop",
        "/autotag/history/shop",
    ]
    assert links("erik") == ["/autotag/review/shop", IMAGES_URL]
    assert links("ada")[:2] == [SYSTEM_URL, "/autotag/system/tags"]
    assert links("ada")[-6:] == [
        SHOP_URL,
        "/autotag/tags/shop",
        "/autotag/review/shop",
        IMAGES_URL,
        "/autotag/activity/shop",
        "/autotag/history/shop",
    ]


def test_an_editor_is_not_told_of_settings(office: Office) -> None:
    page = office.visitor("erik").get("/autotag/")
    assert page.soup.select(".at-state, .at-hint") == []
    assert page.one(".at-list-link")["href"] == "/autotag/review/shop"


def test_the_pages_of_an_instance_lead_to_each_other(office: Office) -> None:
    ada = office.visitor("ada")
    for path, title in (
        (SYSTEM_URL, "Settings"),
        ("/autotag/system/history", "History"),
        ("/autotag/system/tag?key=dog", "Tags"),
        (SHOP_URL, "Settings"),
        ("/autotag/tags/shop", "Tags"),
        ("/autotag/tag/shop?key=dog", "Tags"),
        ("/autotag/history/shop", "History"),
        ("/autotag/system/activity", "Activity"),
        ("/autotag/activity/shop", "Activity"),
        ("/autotag/review/shop", "Review"),
        ("/autotag/review/shop?tag=wolf", "Review"),
        (IMAGES_URL, "Images"),
    ):
        page = ada.get(path)
        assert page.texts("[aria-current=page]") == [title]
        assert {"Settings", "History"} <= set(page.texts(".at-tabs a"))
    erik = office.visitor("erik").get("/autotag/review/shop")
    assert erik.texts(".at-tabs a") == ["Review", "Images"]


def test_without_a_lister_there_are_those_with_images_or_settings(host: Host) -> None:
    host.autotag.authorizer(lambda _action, _instance: True)
    client = host.app.test_client()
    assert client.get("/autotag/instances/default").status_code == 200
    assert client.get(NEWS_URL).status_code == 404
    assert "There is no instance of this name." in client.get(NEWS_URL).text


def test_a_name_with_a_slash(host: Host) -> None:
    host.autotag.authorizer(lambda _action, _instance: True)
    host.autotag.instance_lister(lambda: ["a/b c"])
    client = host.app.test_client()
    assert client.get("/autotag/instances/a/b%20c").status_code == 200
    assert client.get("/autotag/history/a/b%20c").status_code == 200
    for page in ("tags/a/b%20c", "tag/a/b%20c?key=x", "words/a/b%20c"):
        assert client.get(f"/autotag/{page}").status_code == 200
    assert "/autotag/instances/a/b%20c" in client.get("/autotag/").text


def test_pages_under_another_name_beside_a_blueprint_of_the_host(
    sqlite_url: str,
) -> None:
    with open_office(sqlite_url, AUTOTAG_BLUEPRINT="image_tags") as office:
        office.store("1", ("dog", 0.9), ("wolf", 0.4))
        app = office.host.app
        for name in OUR_BLUEPRINTS:
            app.register_blueprint(Blueprint(name, __name__), url_prefix="/of_host")
        place = VISITORS.index("ada")
        for path, expected in PAGES.items():
            page = office.visitor("ada").get(path)
            assert page.status == expected[place], page.html
        form = office.visitor("ada").get(SHOP_URL)
        assert office.visitor("ada").send(SHOP_URL, form, command="save").status == 303
        names = {rule.endpoint.partition(".")[0] for rule in app.url_map.iter_rules()}
        assert {"image_tags", "image_tags_instance"} <= names
        assert not names & set(OUR_BLUEPRINTS)


@pytest.mark.parametrize("name", OUR_BLUEPRINTS)
def test_a_blueprint_of_the_host_with_the_same_name(name: str) -> None:
    app = Flask("elsewhere")
    app.config.update(AUTOTAG_RUNNER="none", AUTOTAG_API="/api/autotag")
    app.register_blueprint(Blueprint(name, "cms.plugins"), url_prefix="/of_host")
    with pytest.raises(ConfigurationError) as caught:
        AutoTag(app)
    assert str(caught.value) == (
        f"The application has a blueprint {name!r} already, of the module cms.plugins."
        " Set AUTOTAG_BLUEPRINT to another name for the extension's blueprints, such as"
        " 'image_tags'."
    )


@pytest.mark.parametrize(
    ("prefix", "path"), [("/admin/tags", "/admin/tags/"), (None, "")]
)
def test_where_the_pages_are(prefix: str | None, path: str) -> None:
    app = Flask("elsewhere")
    app.config.update(AUTOTAG_URL_PREFIX=prefix, AUTOTAG_RUNNER="none")
    autotag = AutoTag(app)
    autotag.authorizer(lambda _action, _instance: True)
    assert app.test_client().get("/autotag/").status_code == 404
    assert ("autotag" in app.blueprints) == (prefix is not None)
    if path:
        rules = {str(rule) for rule in app.url_map.iter_rules()}
        assert {path, f"{path}system", f"{path}instances/<path:instance>"} <= rules
