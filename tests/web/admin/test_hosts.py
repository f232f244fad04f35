"""The pages inside hosts of all kinds: their templates, tokens and languages."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from flask import abort, request
from flask_babel import Babel
from flask_wtf.csrf import CSRFProtect
from jinja2 import DictLoader

import flask_autotag
from flask_autotag.web import translation

from .conftest import SHOP_URL, SYSTEM_URL, Office, Page, Visitor, open_office

MAXIMUM = "setting.max_tags"
ADDRESS = ("https", "vision", "googleapis", "com", "skip")
#: Stored texts that are shown unchanged.
VALUES = {
    "efficientnet",
    "lite",
    "none",
    "en",
    "open",
    "photo",
    "model",
    "erik",
    "whale",
}
PACKAGE = Path(flask_autotag.__file__).parent
ROOT = Path(__file__).parents[3]


class TestTokens:
    @pytest.fixture
    def office(self, sqlite_url: str) -> Iterator[Office]:
        with open_office(sqlite_url, WTF_CSRF_ENABLED=True) as office:
            yield office

    def test_a_form_without_its_token_is_refused(
        self, office: Office, ada: Visitor
    ) -> None:
        for token in (None, "", "forged"):
            page = ada.send(SYSTEM_URL, csrf_token=token, **{MAXIMUM: "3"})
            assert page.status == 400
            assert page.text(".at-alert") == (
                "The form was too old to be trusted. Send it again."
            )
            assert page.fields[MAXIMUM] == "3"
        assert office.desk.changes() == []
        assert ada.send(SYSTEM_URL, page).status == 303

    def test_a_host_with_a_guard_of_its_own_for_all_forms(
        self, office: Office, ada: Visitor
    ) -> None:
        CSRFProtect(office.host.app)
        assert ada.send(SYSTEM_URL, csrf_token="forged").status == 400
        assert ada.send(SYSTEM_URL, **{MAXIMUM: "3"}).status == 303

    @pytest.mark.parametrize(
        "path",
        [
            SHOP_URL,
            "/autotag/tags/shop",
            "/autotag/tag/shop?key=cat",
            "/autotag/activity/shop",
            "/autotag/review/shop?tag=cat",
            "/autotag/explain/shop?type=photo&id=1",
        ],
    )
    def test_a_host_with_another_name_for_tokens(
        self, office: Office, ada: Visitor, path: str
    ) -> None:
        office.host.app.config["WTF_CSRF_FIELD_NAME"] = "_csrf"
        office.desk.save({("", "suggestion_threshold"): "0.2"}, "shop")
        office.store("1", ("dog", 0.9), ("cat", 0.4))
        office.fail()
        forms = ada.get(path).soup.select("form[method=post]")
        assert forms
        assert all(form.select_one("[name=_csrf]") for form in forms)

    def test_a_word_with_a_token_of_another_name(
        self, office: Office, ada: Visitor
    ) -> None:
        office.host.app.config["WTF_CSRF_FIELD_NAME"] = "_csrf"
        word = {"word": "Rex", "decision": "blocked", "save": "add"}
        assert ada.send("/autotag/tags/shop", **word).status == 303

    def test_without_a_secret_key_nothing_can_be_sent(
        self, office: Office, ada: Visitor
    ) -> None:
        office.host.app.config["SECRET_KEY"] = None
        page = ada.get(SYSTEM_URL)
        assert page.text(".at-alert") == (
            "Nothing can be changed here: the application has no SECRET_KEY, with which"
            " forms are protected."
        )
        assert page.soup.select("button") == []
        assert ada.send(SYSTEM_URL, page, **{MAXIMUM: "3"}).status == 400
        assert office.desk.changes() == []


def test_a_host_with_hidden_fields_of_its_own(office: Office, ada: Visitor) -> None:
    office.host.autotag.hidden_fields(lambda: {"_token": "the host's <&>"})

    @office.host.app.before_request
    def check() -> None:
        if request.method == "POST" and request.form.get("_token") != "the host's <&>":
            abort(400)

    assert ada.send(SYSTEM_URL, **{MAXIMUM: "3"}).status == 303
    assert ada.send(SYSTEM_URL, **{MAXIMUM: "3", "_token": "x"}).status == 400


class TestTemplates:
    @pytest.fixture
    def office(self, sqlite_url: str) -> Iterator[Office]:
        with open_office(sqlite_url, AUTOTAG_BASE_TEMPLATE="layout.html") as office:
            office.host.app.jinja_loader = DictLoader(
                {
                    "layout.html": "<html lang=en>"
                    "<title>{% block title %}{% endblock %} - CMS</title>"
                    "<nav>{{ user }}</nav>{% block content %}{% endblock %}</html>",
                }
            )
            yield office

    def test_the_pages_are_in_the_hosts_frame(self, office: Office) -> None:
        office.host.app.context_processor(lambda: {"user": "Ada L."})
        page = office.visitor("ada").get(SYSTEM_URL)
        assert page.text("title") == "System settings \u2013 Auto tagging - CMS"
        assert page.text("nav") == "Ada L."
        assert page.one("link[href='/autotag/static/autotag.css']")
        assert page.fields[MAXIMUM] == ""
        assert page.one("div.autotag h1")

    def test_a_template_says_where_the_pages_go(self, office: Office) -> None:
        """The block ``title`` is inside one element, ``content`` inside another."""
        office.host.app.jinja_loader.mapping.update(  # type: ignore[union-attr]
            {
                "site.html": "<html lang=en>{% block title %}<title>CMS</title>"
                "{% endblock %}{% block body %}{% endblock %}</html>",
                "layout.html": "{% extends 'site.html' %}"
                "{% block title %}<title>{% block autotag_title %}{% endblock %} - CMS"
                "</title>{% endblock %}"
                "{% block body %}<main>{% block autotag_content %}{% endblock %}</main>"
                "{% endblock %}",
            }
        )
        page = office.visitor("ada").get(SYSTEM_URL)
        assert page.text("title") == "System settings \u2013 Auto tagging - CMS"
        assert page.one("main div.autotag h1")

    def test_sizes_follow_the_text_of_the_hosts_page(
        self, office: Office, ada: Visitor
    ) -> None:
        """The root element does not count: there, 1 rem may be 10 pixels."""
        for name in ("autotag.css", "field.css"):
            css = ada.get(f"/autotag/static/{name}").html
            rules = re.sub(r"@media[^{]+", "", css)
            assert re.findall(r"[\w-]+:[^;{}]*\drem\b[^;{}]*", rules) == []

    def test_a_block_is_overridden(self, office: Office) -> None:
        office.host.app.jinja_loader.mapping["autotag/index.html"] = (  # type: ignore[union-attr]
            "{% extends 'autotag/_frame.html' %}"
            "{% block autotag_nav %}<p>Help: phone 12</p>{% endblock %}"
        )
        page = office.visitor("ada").get("/autotag/")
        assert page.text(".autotag p") == "Help: phone 12"


class TestLanguages:
    @pytest.fixture
    def catalogue(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[None]:
        """Translate every message into capitals, without its placeholders."""
        messages = read_template()
        messages.locale = "eo"
        for message in messages:
            if message.id:
                message.string = re.sub(
                    r"%\(\w+\)s|.", lambda found: capital(found[0]), str(message.id)
                )
        folder = tmp_path / "eo" / "LC_MESSAGES"
        folder.mkdir(parents=True)
        with (folder / f"{translation.DOMAIN}.mo").open("wb") as file:
            write_mo(file, messages)
        monkeypatch.setattr(translation, "_TRANSLATIONS", tmp_path)
        translation._domain.cache_clear()
        yield
        translation._domain.cache_clear()

    def test_every_word_is_translated(
        self, office: Office, ada: Visitor, catalogue: None
    ) -> None:
        Babel(office.host.app, default_locale="eo")
        pages = [
            ada.get("/autotag/"),
            ada.get(SYSTEM_URL),
            ada.send(SHOP_URL, **{MAXIMUM: "x", "setting.google.enabled": "on"}),
            ada.send(SHOP_URL, command="preview"),
            ada.send(SHOP_URL, command="try"),
            ada.get("/autotag/history/shop"),
            *self.pages_of_editors(office),
        ]
        for page in pages:
            frame = page.one(".autotag")
            for name in frame.select("option, kbd, .at-list-link, [aria-current]"):
                name.decompose()
            words = re.findall(r"[A-Za-z]+", frame.get_text())
            # Values, and the user's name.
            # An address, and a stored word.
            words = [word for word in words if word not in ADDRESS]
            left = {word for word in words if word != word.upper()}
            assert left <= {*VALUES, "The", "newsroom", "shop", "x"}, left
        assert pages[2].error(MAXIMUM) == (
            "MAXIMUM NUMBER OF TAGS PER ASSET MUST BE A WHOLE NUMBER FROM 0 TO 1000,"
            " NOT 'x'."
        )

    def pages_of_editors(self, office: Office) -> list[Page]:
        """The pages that review, explain and refuse, with all their messages."""
        office.desk.save({("", "suggestion_threshold"): "0.2"}, "shop")
        for photo in "12":
            office.store(photo, ("DOG", 0.9), ("CAT", 0.4), ("BAT", 0.3))
        erik = office.visitor("erik")
        review, cats = "/autotag/review/shop", "/autotag/review/shop?tag=cat"
        row = f"image.{office.row('1')}"
        saved = erik.send(review, erik.get(cats), **{row: "reject"})
        explain = "/autotag/explain/shop?type=photo&id=1"
        form = {"image": office.signed("1")}
        return [
            erik.get(review),
            erik.get(cats),
            erik.get(saved.location or ""),
            erik.get(f"{review}?tag=whale&undone=2&left=2"),
            erik.send(review, erik.get(cats)),
            erik.get(explain),
            erik.get(f"{explain}&done=accept&tag=DOG"),
            erik.send("/autotag/edit/shop", Page(200, "", None), **form, accept="CAT"),
            erik.send("/autotag/edit/shop", Page(200, "", None), **form, add=""),
        ]

    def test_without_the_language_it_is_english(
        self, office: Office, ada: Visitor
    ) -> None:
        Babel(office.host.app, default_locale="fr")
        assert ada.get(SHOP_URL).text("h2") == "Asset Auto Tagging"

    def test_the_template_for_translators_is_complete(self) -> None:
        path = ROOT / "tools" / "messages.py"
        spec = importlib.util.spec_from_file_location("messages", path)
        assert spec is not None
        assert spec.loader is not None
        tool = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(tool)
        written = {message.id for message in read_template() if message.id}
        assert written == {message.id for message in tool.collect() if message.id}, (
            "run python tools/messages.py"
        )


def capital(character: str) -> str:
    return character if character.startswith("%(") else character.upper()


def read_template() -> Catalog:
    with (PACKAGE / "translations" / f"{translation.DOMAIN}.pot").open("rb") as file:
        return read_po(file)
