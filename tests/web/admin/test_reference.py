"""The text that names an image in a form: for one image, one user and one hour."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import render_template_string, session
from itsdangerous import TimestampSigner
from sqlalchemy import func, select, text

from flask_autotag import AssetRef
from flask_autotag.tags.asset_rows import find_row
from flask_autotag.web.admin.review import form_rows
from flask_autotag.web.admin.review.image_tags import ImageTags
from flask_autotag.web.signed_asset import sign

from ...hosts import Host
from .conftest import USER, Office, Page, Visitor, open_office

EDIT_URL = "/autotag/edit/shop"
PHOTO = AssetRef("photo", "1")
INCOMPLETE = "The form is incomplete. Reload the page and try again."
TOO_OLD = "The form is too old. Reload the page and try again."
FOREIGN = (
    "The form was made for another user, or before you signed in. Reload the page and"
    " try again."
)
GONE = "This image no longer exists. Reload the page."


@pytest.fixture
def office(sqlite_url: str) -> Iterator[Office]:
    with open_office(sqlite_url, AUTOTAG_SUGGESTION_THRESHOLD=0.2) as made:
        made.store("1", ("dog", 0.9), ("wolf", 0.41))
        yield made


def send(visitor: Visitor, image: str, **pressed: str) -> Page:
    return visitor.send(EDIT_URL, Page(200, "", None), image=image, **pressed)


def is_refused(page: Page, status: int, sentence: str) -> bool:
    """Whether it was refused with this sentence, and without a new form."""
    assert page.soup.select("[name=image]") == []
    return page.status == status and sentence in page.html


def assets(host: Host) -> int:
    """Count the rows of assets."""
    with host.app.app_context(), host.db.engine.connect() as connection:
        table = host.models.asset.__table__
        return connection.scalar(select(func.count()).select_from(table)) or 0


class TestAge:
    @pytest.fixture
    def aged(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[[int], str]:
        """Sign a name as if some seconds ago."""

        def sign_earlier(seconds: int) -> str:
            with monkeypatch.context() as patch:
                moment = int(time.time()) - seconds
                patch.setattr(TimestampSigner, "get_timestamp", lambda _: moment)
                return office.signed("1")

        return sign_earlier

    def test_an_hour(
        self, office: Office, erik: Visitor, aged: Callable[[int], str]
    ) -> None:
        page = send(erik, aged(3610), add="Rex")
        assert is_refused(page, 400, TOO_OLD)
        assert "You had typed “Rex”." in page.html
        assert "Rex" not in office.tags("1")
        assert send(erik, aged(3500), add="Rex").status == 303

    @pytest.mark.parametrize(("limit", "status"), [(60, 400), (80, 303), (None, 303)])
    def test_as_long_as_the_hosts_own_forms(
        self,
        office: Office,
        erik: Visitor,
        aged: Callable[[int], str],
        limit: int | None,
        status: int,
    ) -> None:
        office.host.app.config["WTF_CSRF_TIME_LIMIT"] = limit
        assert send(erik, aged(70), add="Rex").status == status

    def test_a_script_gets_the_sentence_alone(
        self, office: Office, aged: Callable[[int], str]
    ) -> None:
        response = office.host.app.test_client().post(
            EDIT_URL,
            data={"image": aged(3610), "add": "Rex"},
            headers={USER: "erik", "Accept": "application/json"},
        )
        assert (response.status_code, response.json) == (400, {"error": TOO_OLD})


class TestWhoseItIs:
    def test_another_user(self, office: Office, erik: Visitor, ada: Visitor) -> None:
        image = office.signed("1")
        assert is_refused(send(ada, image, add="Rex"), 400, FOREIGN)
        assert "Rex" not in office.tags("1")
        assert send(erik, image, add="Rex").status == 303

    def test_a_session_where_nobody_is_named(self, office: Office) -> None:
        """Cookies identify the visitors."""
        app = office.host.app
        office.host.autotag.user_namer(lambda: None)

        @app.get("/page")
        def page() -> str:
            template = '{% from "autotag/macros.html" import tag_field %}'
            template += '{{ tag_field(photo, "shop") }}'
            return render_template_string(template, photo=PHOTO)

        @app.get("/sign-out")
        def sign_out() -> str:
            session.clear()
            return ""

        headers = {USER: "erik"}
        one, other = app.test_client(), app.test_client()

        def image(client: Any) -> str:
            html = client.get("/page", headers=headers).text
            found = BeautifulSoup(html, "html.parser").select_one("[name=image]")
            assert found is not None
            return str(found["value"])

        def send(client: Any, image: str, tag: str) -> tuple[int, bool]:
            data = {"image": image, "add": tag}
            response = client.post(EDIT_URL, data=data, headers=headers)
            return response.status_code, FOREIGN in response.text

        mine, theirs = image(one), image(other)
        assert send(one, theirs, "a") == send(other, mine, "a") == (400, True)
        assert send(app.test_client(), mine, "a") == (400, True)
        assert send(one, mine, "b") == (303, False)
        # The page of a second window does not invalidate the form of the first.
        image(one)
        assert send(one, mine, "c") == (303, False)
        one.get("/sign-out")
        assert send(one, mine, "d") == (400, True)
        assert {*office.tags("1")} == {"dog", "b", "c"}

    def test_the_name_of_the_user_is_not_in_it(self, office: Office) -> None:
        from base64 import urlsafe_b64decode

        payload = office.signed("1").split(".")[0]
        assert b"erik" not in urlsafe_b64decode(payload + "==")

    def test_another_tenant(self, office: Office, ada: Visitor) -> None:
        """Another tenant has an image of the same name."""
        office.store("1", ("dog", 0.9), instance="news")
        image = office.signed("1", "news", user="ada")
        assert is_refused(send(ada, image, add="Rex"), 400, INCOMPLETE)
        # Neither with the row of the other tenant, signed for this one.
        with office.host.app.test_request_context(headers={USER: "ada"}):
            forged = sign(office.row("1", "news"), "shop")
        assert is_refused(send(ada, forged, add="Rex"), 404, GONE)
        for instance in ("shop", "news"):
            assert "Rex" not in office.tags("1", instance=instance)

    def test_what_was_tampered_with(self, office: Office, erik: Visitor) -> None:
        image = office.signed("1")
        payload, rest = image.split(".", 1)
        other = office.signed("2").split(".")[0]
        for text_ in (f"{other}.{rest}", f"{payload}.{rest}x", payload, "", "photo 1"):
            assert is_refused(send(erik, text_, add="Rex"), 400, INCOMPLETE)
        assert "Rex" not in {*office.tags("1"), *office.tags("2")}


class TestTheRow:
    def test_a_deleted_image(self, office: Office, erik: Visitor) -> None:
        """The next image does not get the key of a deleted one."""
        image, row = office.signed("1"), office.row("1")
        with office.host.app.app_context():
            office.host.autotag.forget(PHOTO, instance="shop")
        office.store("2", ("dog", 0.9), ("wolf", 0.41))
        assert office.row("2") > row
        for pressed in ({"add": "Rex"}, {"remove": "dog"}, {"accept": "wolf"}):
            assert is_refused(send(erik, image, **pressed), 404, GONE)
        assert office.tags("2") == {"dog": "tensorflow"}
        # The image is not inserted again either.
        assert assets(office.host) == 1

    def test_an_image_that_is_uploaded_again(
        self, office: Office, erik: Visitor
    ) -> None:
        image = office.signed("1")
        with office.host.app.app_context():
            office.host.autotag.forget(PHOTO, instance="shop")
        office.store("1", ("dog", 0.9))
        assert is_refused(send(erik, image, add="Rex"), 404, GONE)

    def test_a_review_of_a_deleted_image(self, office: Office, erik: Visitor) -> None:
        """The page of review names images by their rows' keys too."""
        review = "/autotag/review/shop"
        page = erik.get(f"{review}?tag=wolf")
        row = office.row("1")
        with office.host.app.app_context():
            office.host.autotag.forget(PHOTO, instance="shop")
        office.store("2", ("wolf", 0.41))
        erik.send(review, page, **{f"image.{row}": "accept"})
        assert office.tags("2", "suggested") == {"wolf": "tensorflow"}

    def test_an_image_that_is_deleted_between(
        self, office: Office, erik: Visitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The image is deleted after the form was read."""
        from flask_autotag.web.admin.review import edit

        image, find = office.signed("1"), edit._find

        def find_and_lose(scope: Any, row: int) -> AssetRef | None:
            found = find(scope, row)
            office.host.autotag.forget(PHOTO, instance="shop")
            return found

        monkeypatch.setattr(edit, "_find", find_and_lose)
        assert is_refused(send(erik, image, add="Rex"), 404, GONE)
        assert assets(office.host) == 0

    def test_an_image_that_has_another_name_now(
        self, office: Office, erik: Visitor
    ) -> None:
        image, moved = office.signed("1"), AssetRef("photo", "9")
        with office.host.app.app_context():
            office.host.autotag.move(PHOTO, moved, instance="shop")
        assert send(erik, image, add="Rex").status == 303
        assert office.tags("9")["Rex"] == "erik"
        assert assets(office.host) == 1

    def test_it_is_made_with_the_form(self, office: Office) -> None:
        """The row is inserted once, and only for users who get a form."""
        app, unknown = office.host.app, AssetRef("photo", "5")
        with app.test_request_context(headers={USER: "nils"}):
            assert not ImageTags(unknown, "shop").may_edit
        assert assets(office.host) == 1
        for _ in range(2):
            with app.test_request_context(headers={USER: "erik"}):
                assert ImageTags(unknown, "shop").may_edit
        assert assets(office.host) == 2
        # The row of a known image is only read.
        written: list[str] = []
        with app.test_request_context(headers={USER: "erik"}):
            office.host.db.session.execute(text("select 1"))
            from sqlalchemy import event

            @event.listens_for(office.host.db.engine, "before_cursor_execute")
            def note(_c: Any, _cursor: Any, statement: str, *_other: Any) -> None:
                written.append(statement)

            fields = ImageTags(unknown, "shop").hidden_fields
        assert fields["image"]
        assert len(written) == 1
        assert written[0].startswith("SELECT")

    def test_it_joins_the_hosts_transaction(self, office: Office) -> None:
        """A second connection would wait for the first with SQLite."""
        host, unknown = office.host, AssetRef("photo", "5")
        with host.app.test_request_context(headers={USER: "erik"}):
            host.db.session.add(host.Photo(path="a.jpg"))
            host.db.session.flush()
            assert ImageTags(unknown, "shop").may_edit
            host.db.session.rollback()
            with office.desk.state.database.begin() as own:
                assert find_row(own, host.models, unknown, "shop") is None

    def test_a_busy_database_costs_the_form_and_not_the_page(
        self,
        sqlite_url: str,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(form_rows, "_PATIENCE", 0.05)
        engine = {"connect_args": {"timeout": 0.05}}
        with open_office(sqlite_url, SQLALCHEMY_ENGINE_OPTIONS=engine) as office:
            app = office.host.app
            with app.app_context(), office.host.db.engine.connect() as other:
                other.execute(text("BEGIN IMMEDIATE"))
                with app.test_request_context(headers={USER: "erik"}):
                    assert not ImageTags(PHOTO, "shop").may_edit
                    assert ImageTags(PHOTO, "shop").tags == []
                other.rollback()
        assert (
            "The form for the tags of photo 1 was left out: the database is busy"
            " (OperationalError)." in caplog.messages
        )
