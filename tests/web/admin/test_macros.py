"""Tags on pages of the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from flask import Flask, abort, redirect, render_template_string, request
from flask_wtf.csrf import CSRFProtect

from flask_autotag import AssetError, AssetRef, AutoTag

from ...hosts import Host, store_labels
from .conftest import USER, Office, open_office

IMPORT = '{% from "autotag/macros.html" import assets, review_strip, tag_field, tags %}'
FIELD = f'{IMPORT}{{{{ tag_field(photo, "shop") }}}}'
STRIP = f'{IMPORT}{{{{ review_strip(photo, "shop") }}}}'
HEAD = f'{IMPORT}{{{{ assets(photo, "shop") }}}}'
EDIT_URL = "/autotag/edit/shop"


@pytest.fixture
def office(sqlite_url: str) -> Iterator[Office]:
    config = {"AUTOTAG_SUGGESTION_THRESHOLD": 0.2, "WTF_CSRF_ENABLED": True}
    with open_office(sqlite_url, **config) as made:
        made.store("1", ("dog", 0.997), ("wolf", 0.41))
        app = made.host.app

        @app.get("/page")
        def page() -> str:
            template, photo = request.args["template"], AssetRef("photo", "1")
            tags = made.host.autotag.tags_for(photo)
            return render_template_string(template, photo=photo, all=tags)

        yield made


class Reader:
    """A user of the host's pages and their forms."""

    def __init__(self, office: Office, name: str) -> None:
        self.client, self.headers = office.host.app.test_client(), {USER: name}

    def see(self, template: str) -> BeautifulSoup:
        query = {"template": template}
        response = self.client.get("/page", query_string=query, headers=self.headers)
        assert response.status_code == 200, response.text
        return BeautifulSoup(response.text, "html.parser")

    def press(self, page: BeautifulSoup, button: str, **typed: str) -> Any:
        """Press the button of that name, as a browser does."""
        found = page.select_one(f'[aria-label="{button}"]') or page.select_one(
            ".at-add button"
        )
        assert found is not None
        form = found.find_parent("form")
        assert form is not None
        data = {str(one["name"]): one.get("value") for one in form.select("input")}
        if found.get("name"):
            data[str(found["name"])] = str(found["value"])
        return self.client.post(
            str(form["action"]), data={**data, **typed}, headers=self.headers
        )


@pytest.fixture
def erik(office: Office) -> Reader:
    return Reader(office, "erik")


@pytest.fixture
def nils(office: Office) -> Reader:
    """A reader of the shop's pages who may not review its tags."""
    return Reader(office, "nils")


def words(page: BeautifulSoup, selector: str) -> list[str]:
    return [" ".join(one.get_text(" ").split()) for one in page.select(selector)]


def test_the_field_removes_and_adds(office: Office, erik: Reader) -> None:
    page = erik.see(FIELD)
    assert words(page, ".at-chip") == ["dog 99% \u00d7"]
    answer = erik.press(page, "Remove dog")
    assert answer.status_code == 303
    assert answer.location.startswith("/page?template=")
    answer = erik.press(erik.see(FIELD), "", add="Rex")
    assert answer.status_code == 303
    page = erik.see(FIELD)
    assert words(page, ".at-chip") == ["Rex \u00d7"]
    assert office.tags("1", "rejected") == {"dog": "erik"}


def test_the_field_offers_words(erik: Reader) -> None:
    page = erik.see(FIELD)
    [field] = page.select("input[name=add]")
    assert page.select_one(f"label[for={field['id']}]")
    [choices] = page.select(f"datalist#{field['list']}")
    assert [one["value"] for one in choices.select("option")] == ["dog", "wolf"]
    assert field["data-autotag-complete"] == "/autotag/complete/shop"


def test_the_strip_accepts_and_rejects(office: Office, erik: Reader) -> None:
    page = erik.see(STRIP)
    assert words(page, ".at-chip") == ["wolf 41% ✓ \u00d7"]
    assert erik.press(page, "Accept wolf").status_code == 303
    assert office.tags("1")["wolf"] == "erik"
    assert words(erik.see(STRIP), ".at-chip") == []


def test_who_may_not_review_reads_the_tags(nils: Reader) -> None:
    page = nils.see(FIELD)
    assert words(page, ".at-chip") == ["dog 99%"]
    assert page.select("form, button, input") == []
    assert words(nils.see(STRIP), "*:not(div)") == []
    assert "wolf" not in nils.see(STRIP).get_text()


@pytest.mark.parametrize("template", [FIELD, STRIP, HEAD])
def test_an_authorizer_that_aborts_says_no_on_a_page_of_the_host(
    office: Office, nils: Reader, template: str
) -> None:
    asked = []

    @office.host.autotag.authorizer
    def may(action: str, instance: str | None) -> bool:
        asked.append((action, instance))
        abort(401)

    page = nils.see(template + template)
    assert page.select("form, button, input, script") == []
    assert asked == [("review_tags", "shop")]
    assert office.host.app.test_client().get("/autotag/system").status_code == 401


def test_a_redirect_of_the_authorizer_is_no_answer_of_a_page_of_the_host(
    office: Office, nils: Reader
) -> None:
    office.host.autotag.authorizer(lambda action, instance: redirect("/sign-in"))
    page = nils.see(FIELD)
    assert words(page, ".at-chip") == ["dog 99%"]
    assert page.select("form") == []


def test_without_an_authorizer_all_only_read(host: Host) -> None:
    with host.app.app_context():
        store_labels(host, AssetRef("photo", "1"), [("dog", 0.9)], "shop")
    with host.app.test_request_context():
        html = render_template_string(FIELD, photo=AssetRef("photo", "1"))
    assert "dog" in html
    assert "<form" not in html


def test_outside_a_request_all_only_read(office: Office) -> None:
    """A template may be rendered for a mail."""
    office.host.app.config["SERVER_NAME"] = "localhost"
    with office.host.app.app_context():
        html = render_template_string(FIELD, photo=AssetRef("photo", "1"))
    assert "dog" in html
    assert "<form" not in html


def test_without_a_secret_key_all_only_read(office: Office, erik: Reader) -> None:
    office.host.app.config["SECRET_KEY"] = None
    assert erik.see(FIELD).select("form") == []


def test_confidences_are_rounded_as_everywhere(office: Office, nils: Reader) -> None:
    with office.host.app.app_context():
        store_labels(office.host, AssetRef("photo", "1"), [("hut", 0.987)])
    page = nils.see(f"{IMPORT}{{{{ tags(all) }}}}")
    assert "hut 99%" in words(page, ".at-chip")


def test_tags_alone_are_chips_with_or_without_links(nils: Reader) -> None:
    page = nils.see(f"{IMPORT}{{{{ tags(all) }}}}")
    assert words(page, "ul[aria-label=Tags] > .at-chip") == ["dog 99%"]
    assert page.select("a") == []
    page = nils.see(
        f"{IMPORT}{{% call(tag) tags(all, label='Of it') %}}"
        "/?tag={{ tag.name }}&amp;x={{ '<&>' }}{% endcall %}"
    )
    [link] = page.select("ul[aria-label='Of it'] a")
    assert link["href"] == "/?tag=dog&x=<&>"
    assert nils.see(f"{IMPORT}{{{{ tags([]) }}}}").select("*") == []


def test_the_page_to_come_back_to_can_be_named(erik: Reader) -> None:
    page = erik.see(f'{IMPORT}{{{{ tag_field(photo, "shop", next="/here") }}}}')
    assert {one["value"] for one in page.select("[name=next]")} == {"/here"}
    assert erik.press(page, "Remove dog").location == "/here"


def test_the_instance_is_that_of_a_watched_model(office: Office) -> None:
    host = office.host
    host.autotag.watch(host.Photo, image=lambda _: b"", instance=lambda one: one.tenant)
    with host.app.test_request_context(headers={USER: "erik"}):
        photo = host.add_photo()
        photo.tenant = "shop"
        html = render_template_string(
            f"{IMPORT}{{{{ tag_field(photo) }}}}", photo=photo
        )
    assert f'action="{EDIT_URL}"' in html


def test_an_object_that_was_not_saved_yet(office: Office) -> None:
    host = office.host
    with (
        host.app.test_request_context(headers={USER: "erik"}),
        pytest.raises(AssetError, match="was not saved yet: flush it first"),
    ):
        render_template_string(FIELD, photo=host.Photo(path="x"))


def test_the_head_of_a_page(erik: Reader, nils: Reader) -> None:
    """Only users with something to edit there may open the files, and need them."""
    page = erik.see(HEAD)
    files = [str(one.get("href") or one.get("src")) for one in page.select("*")]
    assert files == ["/autotag/static/field.css", "/autotag/static/field.js"]
    assert nils.see(HEAD).select("*") == []


class TestTokens:
    def test_a_form_without_its_token(self, office: Office, erik: Reader) -> None:
        answer = erik.press(erik.see(FIELD), "Remove dog", csrf_token="forged")
        assert answer.status_code == 400
        assert "The form was too old to be trusted. Send it again." in answer.text
        assert list(office.tags("1")) == ["dog"]

    def test_a_host_with_a_guard_for_all_forms(
        self, office: Office, erik: Reader
    ) -> None:
        CSRFProtect(office.host.app)
        page = erik.see(FIELD)
        assert erik.press(page, "Remove dog", csrf_token="").status_code == 400
        assert erik.press(page, "Remove dog").status_code == 303

    def test_a_host_with_hidden_fields_of_its_own(
        self, office: Office, erik: Reader
    ) -> None:
        office.host.autotag.hidden_fields(lambda: {"_token": "the host's"})

        @office.host.app.before_request
        def check() -> None:
            if request.method == "POST" and "_token" not in request.form:
                abort(418)

        assert erik.press(erik.see(FIELD), "Remove dog").status_code == 303


def test_what_others_wrote_is_text(office: Office, erik: Reader) -> None:
    evil = '"><script>alert(1)</script>'
    office.store("1", (evil, 0.9), (f"{evil}2", 0.3))
    for template in (FIELD, STRIP, f"{IMPORT}{{{{ tags(all) }}}}"):
        assert erik.see(template).select("script") == []
    [button] = erik.see(FIELD).select("[name=remove]")
    assert (button["value"], button["aria-label"]) == (evil, f"Remove {evil}")


def test_a_hosts_own_global_of_that_name_stays() -> None:
    app = Flask("own")
    app.jinja_env.globals["autotag_image"] = mine = object()
    AutoTag(app)
    assert app.jinja_env.globals["autotag_image"] is mine


def test_the_addresses_under_another_name(sqlite_url: str) -> None:
    with open_office(sqlite_url, AUTOTAG_BLUEPRINT="image_tags") as office:
        office.store("1", ("dog", 0.9))
        with office.host.app.test_request_context(headers={USER: "erik"}):
            page = render_template_string(
                HEAD + FIELD + STRIP, photo=AssetRef("photo", "1")
            )
        for address in ("/autotag/static/field.js", EDIT_URL, "/autotag/complete/shop"):
            assert address in page


def test_without_pages_there_are_no_macros() -> None:
    app = Flask("bare")
    app.config["AUTOTAG_URL_PREFIX"] = None
    AutoTag(app)
    assert "autotag_image" not in app.jinja_env.globals


def test_an_image_of_several_of_a_row(office: Office, erik: Reader) -> None:
    host = office.host
    for name in ("cover", "logo"):
        host.autotag.watch(host.Photo, lambda _: b"", "shop", name=name)
    with host.app.app_context():
        photo = host.Photo(path="a")
        host.db.session.add(photo)
        host.db.session.commit()
        cover = AssetRef("photo#cover", str(photo.id))
        store_labels(host, cover, [("cat", 0.9), ("owl", 0.3)], "shop")

        @host.app.get("/article")
        def article() -> str:
            return render_template_string(
                f'{IMPORT}{{{{ assets(photo, name="cover") }}}}'
                '{{ tag_field(photo, name="cover") }}'
                '{{ review_strip(photo, name="cover") }}'
                '{% set image = autotag_image(photo, name="cover") %}'
                '<a href="{{ image.explain_url }}">Why?</a>',
                photo=host.db.session.get(host.Photo, photo.id),
            )

    response = erik.client.get("/article", headers=erik.headers)
    page = BeautifulSoup(response.text, "html.parser")
    assert words(page, ".at-chip") == ["cat 90% \u00d7", "owl 30% ✓ \u00d7"]
    link = page.find("a", string="Why?")
    assert isinstance(link, Tag)
    assert "type=photo%23cover" in str(link["href"])
    explained = erik.client.get(str(link["href"]), headers=erik.headers)
    assert explained.status_code == 200
    assert f"photo#cover {cover.id}" in explained.text
    assert erik.press(page, "Accept owl").status_code == 303
    with host.app.app_context():
        assert {tag.name for tag in host.autotag.tags_for(cover)} == {"cat", "owl"}
        with (
            host.app.test_request_context(headers=erik.headers),
            pytest.raises(AssetError, match="several images: pass name='cover'"),
        ):
            render_template_string(
                f"{IMPORT}{{{{ tag_field(photo) }}}}",
                photo=host.db.session.get(host.Photo, 1),
            )
