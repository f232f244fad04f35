"""The page of tags: search, list, new words, and files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event
from werkzeug.datastructures import FileStorage

from flask_autotag import AssetRef
from flask_autotag.host.assets import SYSTEM
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.settings.vocabulary import WordRule

from ...hosts import store_labels
from .conftest import SHOP_URL, Office, Page, Visitor, open_office
from .test_tag import MEND, SAVED, figures, photo, tags, words

TAGS, SYSTEM_TAGS = "/autotag/tags/shop", "/autotag/system/tags"
FILE, SYSTEM_FILE = "/autotag/words/shop", "/autotag/system/words"


def fill(office: Office) -> None:
    """Photos of the shop with a dog, one with a cat too; words without a photo."""
    labels: list[list[tuple[str, float]]] = [
        [("Dog", 0.9)],
        [("Dog", 0.9), ("cat", 0.8)],
        [("Dog", 0.9)],
    ]
    with office.host.app.app_context():
        for number, each in enumerate(labels):
            store_labels(office.host, photo(number), each, "shop")
        store_labels(office.host, photo(9), [("whale", 0.9)], "news")
    decide(office, "shop", {"Unicorn": {"blocked": True}, "cat": {"threshold": 0.7}})
    decide(office, SYSTEM, {"cat": {"listed": True}, "puma": {"becomes": "cat"}})


def decide(office: Office, instance: str, changes: dict[str, dict[str, Any]]) -> None:
    with office.host.app.app_context(), office.desk.state.database.begin() as session:
        named = {tag_name(name): change for name, change in changes.items()}
        change_words(session, office.host.models, instance, named, "ada")


@pytest.fixture
def filled(office: Office) -> Office:
    fill(office)
    return office


@pytest.fixture
def any_office(host_database_url: str) -> Iterator[Office]:
    """The host on each kind of database."""
    with open_office(host_database_url) as made:
        fill(made)
        yield made


@pytest.fixture(scope="module")
def read_office(module_database_url: str) -> Iterator[Office]:
    """The same, for tests that only read."""
    with open_office(module_database_url) as made:
        fill(made)
        yield made


def listed(page: Page) -> list[str]:
    assert page.status == 200
    return page.texts(".at-words li")


def names(page: Page) -> list[str]:
    return page.texts(".at-list-link")


class TestList:
    def test_all_with_counts_and_decisions(self, any_office: Office) -> None:
        with any_office.host.app.app_context():
            any_office.host.autotag.reject_tag(
                photo(0), "dog", instance="shop", person="mia"
            )
        assert listed(any_office.visitor("mia").get(TAGS)) == [
            "cat 1 image Here: needs 0.70. System: listed.",
            "Dog 2 images Rejected on 1.",
            "puma 0 images System: becomes cat.",
            "Unicorn 0 images Here: blocked.",
        ]

    def test_suggested_ones_are_counted(self, filled: Office, mia: Visitor) -> None:
        filled.desk.save({("", "suggestion_threshold"): 0.2}, "shop")
        with filled.host.app.app_context():
            store_labels(filled.host, photo(5), [("dog", 0.3)], "shop")
        assert "Dog 3 images Suggested for 1." in listed(mia.get(TAGS))

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("sort=use", ["Dog", "cat", "puma", "Unicorn"]),
            ("show=decided", ["cat", "puma", "Unicorn"]),
            ("show=unused", ["puma", "Unicorn"]),
            ("show=unused&sort=use", ["puma", "Unicorn"]),
            ("q=DO", ["Dog"]),
            ("q=%20%20", ["cat", "Dog", "puma", "Unicorn"]),
            ("q=%25", []),
            ("q=_og", []),
            ("q=%00", []),
            ("show=x&sort=y&page=z", ["cat", "Dog", "puma", "Unicorn"]),
            ("page=0", ["cat", "Dog", "puma", "Unicorn"]),
        ],
    )
    def test_what_is_asked_for(
        self, read_office: Office, query: str, found: list[str]
    ) -> None:
        page = read_office.visitor("mia").get(f"{TAGS}?{query}")
        assert page.status == 200
        assert names(page) == found

    def test_what_was_asked_for_is_shown(self, filled: Office, mia: Visitor) -> None:
        page = mia.get(f"{TAGS}?q=do&sort=use&show=decided")
        assert page.one("#autotag-q")["value"] == "do"
        chosen = page.soup.select("[role=search] option[selected]")
        assert [option["value"] for option in chosen] == ["decided", "use"]
        assert page.text("p a") == "Decide about “do”"
        assert page.one("p a")["href"] == "/autotag/tag/shop?key=do"

    def test_pages_of_50(self, office: Office, mia: Visitor) -> None:
        numbers = [f"word {number:03}" for number in range(120)]
        decide(office, "shop", {name: {"listed": True} for name in numbers})
        page = mia.get(f"{TAGS}?q=word&show=decided")
        assert names(page) == numbers[:50]
        assert page.text(".at-pages") == "1 to 50 of 120 Next"
        page = mia.get(str(page.one("[rel=next]")["href"]))
        assert names(page) == numbers[50:100]
        assert page.text(".at-pages") == "Previous 51 to 100 of 120 Next"
        page = mia.get(str(page.one("[rel=next]")["href"]))
        assert names(page) == numbers[100:]
        assert page.text(".at-pages") == "Previous 101 to 120 of 120"
        assert "q=word" in str(page.one("[rel=prev]")["href"])

    @pytest.mark.parametrize(
        ("query", "last"),
        [
            ("q=word+1&show=decided&page=999", "q=word+1&show=decided"),
            ("q=word&page=4", "q=word&page=3"),
            ("q=%3Cb%3E&page=2", "q=%3Cb%3E"),
        ],
    )
    def test_beyond_the_last_page_is_the_last(
        self, office: Office, mia: Visitor, query: str, last: str
    ) -> None:
        numbers = [f"word {number:03}" for number in range(120)]
        decide(office, "shop", {name: {"listed": True} for name in numbers})
        page = mia.get(f"{TAGS}?{query}")
        assert (page.status, page.location) == (302, f"{TAGS}?{last}")
        assert mia.get(f"{TAGS}?{last}").status == 200

    def test_queries_do_not_grow_with_the_words(
        self, office: Office, mia: Visitor
    ) -> None:
        def asked() -> int:
            statements: list[str] = []

            def note(*arguments: Any) -> None:
                statements.append(arguments[2])

            with office.host.app.app_context():
                engine = office.host.db.engine
            event.listen(engine, "before_cursor_execute", note)
            assert mia.get(TAGS).status == 200
            event.remove(engine, "before_cursor_execute", note)
            return len(statements)

        decide(office, "shop", {"a": {"listed": True}})
        few = asked()
        decide(office, "shop", {f"w{each}": {"listed": True} for each in range(40)})
        assert asked() == few

    def test_of_the_system(self, filled: Office, ada: Visitor) -> None:
        assert listed(ada.get(SYSTEM_TAGS)) == [
            "cat Decided: listed.",
            "puma Decided: becomes cat.",
        ]
        assert names(ada.get(f"{SYSTEM_TAGS}?q=pu")) == ["puma"]


class TestAdd:
    @pytest.mark.parametrize("decision", ["listed", "blocked"])
    def test_a_word(self, any_office: Office, decision: str) -> None:
        mia = any_office.visitor("mia")
        saved = mia.send(TAGS, save="add", word=" Sea  Lion ", decision=decision)
        assert (saved.status, saved.location) == (303, f"{TAGS}?saved=1")
        page = mia.get(saved.location or "")
        assert page.text(".at-notice") == SAVED
        assert "Sea Lion" in names(page)
        assert words(any_office)["sea lion"] == WordRule(**{decision: True})

    def test_a_blocked_word_that_is_listed_too(
        self, filled: Office, mia: Visitor
    ) -> None:
        saved = mia.send(TAGS, save="add", word="Unicorn", decision="listed")
        assert mia.get(saved.location or "").text(".at-notice:last-child") == (
            "A blocked word is never applied, even if it is listed."
        )
        saved = mia.send(TAGS, save="add", word="whale", decision="listed")
        assert mia.get(saved.location or "").texts(".at-notice") == [SAVED]

    def test_what_would_change(self, filled: Office, ada: Visitor) -> None:
        page = ada.send(TAGS, preview="add", word="dog", decision="blocked")
        assert figures(page) == [0, 0, 3, 3]
        assert page.fields["word"] == "dog"
        assert page.fields["decision"] == "blocked"
        page = ada.send(SYSTEM_TAGS, preview="add", word="whale", decision="blocked")
        assert figures(page) == [0, 0, 1, 1]

    @pytest.mark.parametrize(
        ("field", "typed", "message"),
        [
            ("word", "", "Word must be a name of 1 to 100 characters, not ''."),
            ("decision", "x", "Decision must be chosen."),
        ],
    )
    def test_a_mistake(
        self, filled: Office, mia: Visitor, field: str, typed: str, message: str
    ) -> None:
        page = mia.send(TAGS, save="add", **{"word": "lion", field: typed})
        assert (page.status, page.text(".at-alert")) == (422, MEND["save"])
        assert page.error(field) == message
        assert page.fields["word"] == ("" if field == "word" else "lion")
        assert "lion" not in words(filled)


class TestFile:
    def send(self, visitor: Visitor, data: str | bytes, path: str = TAGS) -> Page:
        body = data.encode() if isinstance(data, str) else data
        file: Any = FileStorage(io.BytesIO(body), "words.csv")
        return visitor.send(path, preview="import", file=file)

    def test_export(self, filled: Office, ada: Visitor) -> None:
        response = ada.client.get(FILE, headers={"X-User": "ada"})
        assert response.mimetype == "text/csv"
        assert response.headers["Cache-Control"] == "no-store"
        assert "words.csv" in response.headers["Content-Disposition"]
        assert response.text == (
            '"word","becomes","blocked","listed","threshold"\n'
            '"cat","","","","0.7"\n"Unicorn","","yes","",""\n'
        )
        assert ada.get(SYSTEM_FILE).html.splitlines()[1:] == [
            '"cat","","","yes",""',
            '"puma","cat","","",""',
        ]

    def test_import(self, any_office: Office) -> None:
        mia = any_office.visitor("mia")
        page = self.send(mia, "word,becomes,blocked\nDog,Hound,\nUnicorn,,\ncat,,\n")
        assert page.text("h3") == "Words that would change: 2"
        assert page.texts(".at-changed li") == [
            "Dog becomes Hound",
            "Unicorn no decision any more",
        ]
        assert figures(page) == [3, 3, 3, 3]
        assert set(words(any_office)) == {"cat", "unicorn"}
        saved = mia.send(TAGS, page, save="import")
        assert mia.get(saved.location or "").text(".at-notice") == SAVED
        assert words(any_office) == {
            "dog": WordRule(becomes="Hound"),
            "cat": WordRule(threshold=0.7),
        }
        assert tags(any_office, 0) == ["Hound"]

    def test_what_was_exported_changes_nothing(
        self, filled: Office, ada: Visitor
    ) -> None:
        for path, file in ((TAGS, FILE), (SYSTEM_TAGS, SYSTEM_FILE)):
            page = self.send(ada, f"\ufeff{ada.get(file).html}", path)
            assert page.text("h3") == "Words that would change: 0"
            assert page.soup.select("[value=import]:not([name=preview])") == []

    def test_of_many_the_first_are_told(self, office: Office, mia: Visitor) -> None:
        lines = "".join(f"word {number},yes\n" for number in range(30))
        page = self.send(mia, f"word,listed\n{lines}")
        assert page.text("h3") == "Words that would change: 30"
        assert page.texts(".at-changed li")[19:] == ["word 19 listed", "and 10 more"]
        mia.send(TAGS, page, save="import")
        assert len(words(office)) == 30

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (
                "word,blocked\ndog,perhaps",
                "Line 2 has an invalid value for 'blocked': must be yes",
            ),
            (
                "word,threshold\na,0.5\ndog,7",
                "Line 3 has an invalid value for 'threshold': must be a",
            ),
            (
                "word;blocked\ndog;yes",
                "Line 1 has semicolons between cells: save the file with commas.",
            ),
            (
                "blocked\nyes",
                "Line 1 has no column 'word': the first line names the columns.",
            ),
            (
                "word,becomes\na,b\nb,a",
                "These words would become each other: a becomes",
            ),
            ('word\n"dog', "The file is not CSV: "),
            ("\xe4".encode("latin-1"), "CSV file must be UTF-8: save it as"),
            (b"\x89PNG\r\n\x1a\n", "CSV file must be UTF-8: save it as"),
            ("a" * (2**20 + 1), "CSV file must be at most 1,048,576 bytes long."),
            ("", "CSV file must not be empty."),
        ],
    )
    def test_a_file_that_will_not_do(
        self, filled: Office, mia: Visitor, data: str | bytes, message: str
    ) -> None:
        page = self.send(mia, data)
        assert page.status == 422
        assert page.text(".at-alert") == MEND["preview"]
        assert page.error("file").startswith(message)
        assert set(words(filled)) == {"cat", "unicorn"}

    def test_no_file(self, filled: Office, mia: Visitor) -> None:
        for button in ("save", "preview"):
            page = mia.send(TAGS, **{button: "import"})
            assert page.error("file") == "CSV file must be chosen first."

    def test_formulas_are_text(self, office: Office, mia: Visitor) -> None:
        formula = '=HYPERLINK("http://evil.example","dog")'
        mia.send(TAGS, save="add", word=formula, decision="blocked")
        written = mia.get(FILE).html
        assert "\"'=HYPERLINK(" in written
        assert self.send(mia, written).text("h3") == "Words that would change: 0"

    def test_what_is_hostile_is_text(self, office: Office, mia: Visitor) -> None:
        page = self.send(mia, 'word,becomes\n"<script>","""><script>"\n')
        assert page.texts(".at-changed strong") == ["<script>"]
        assert "<script>" not in page.html


class TestProposals:
    @pytest.fixture(autouse=True)
    def rejected(self, office: Office) -> None:
        autotag = office.host.autotag
        with office.host.app.app_context():
            for number in range(9):
                asset = AssetRef("photo", str(number))
                sure = 0.95 if number > 6 else 0.6
                labels = [("wolf", sure), ("fox", 0.7)]
                store_labels(office.host, asset, labels, "shop")
                for tag in ("wolf", "fox") if number < 6 else ("fox",):
                    autotag.reject_tag(asset, tag, instance="shop", person="sam")

    def test_are_on_the_page_of_settings(self, office: Office, mia: Visitor) -> None:
        page = mia.get(SHOP_URL)
        assert page.texts(".at-offers li") == [
            "fox Avoids 9 of 9 rejections, loses 0 of 0 kept tags. Block it",
            "wolf Avoids 6 of 6 rejections, loses 1 of 3 kept tags. Require 0.61",
        ]
        assert page.one(".at-offers a")["href"] == "/autotag/tag/shop?key=fox"
        assert (
            office.visitor("nils")
            .get("/autotag/instances/news")
            .soup.select(".at-offers")
            == []
        )
        assert "at-offers" not in office.visitor("ada").get("/autotag/system").html

    def test_one_button_does_it(self, office: Office, mia: Visitor) -> None:
        page = mia.get(SHOP_URL)
        for form in page.soup.select(".at-offers form"):
            sent = {
                str(each["name"]): str(each.get("value", ""))
                for each in form.select("[name]")
            }
            done = mia.request("POST", str(form["action"]), data=sent)
            assert done.status == 303
            page = mia.get(done.location or "")
            assert "Existing images are being updated" in page.text(".at-notice")
            assert page.text("h1") == "The shop"
        assert page.soup.select(".at-offers") == []
        assert words(office) == {
            "fox": WordRule(blocked=True),
            "wolf": WordRule(threshold=0.61),
        }
        assert [tags(office, number) for number in (5, 6, 7)] == [[], [], ["wolf"]]

    def test_and_on_that_of_the_tag(self, office: Office, mia: Visitor) -> None:
        path = "/autotag/tag/shop?key=wolf"
        page = mia.get(path)
        assert len(page.texts(".at-offers li")) == 1
        done = mia.request("POST", path, data={"save": "take", "proposed": "0.61"})
        assert done.location == f"{path}&saved=1"
        assert words(office) == {"wolf": WordRule(threshold=0.61)}

    def test_a_wrong_one(self, office: Office, mia: Visitor) -> None:
        data = {"save": "take", "proposed": "much"}
        page = mia.request("POST", "/autotag/tag/shop?key=wolf", data=data)
        assert page.status == 422
        assert page.text(".at-errors") == (
            "The proposal must be a number from 0 to 1, not 'much'."
        )

    def test_who_may_not_change_only_sees_them(self, office: Office) -> None:
        office.host.autotag.authorizer(lambda action, _: action == "view_settings")
        page = office.visitor("ada").get(SHOP_URL)
        assert len(page.texts(".at-offers li")) == 2
        assert page.soup.select(".at-offers button") == []


class TestLimit:
    """The shop has decisions about two words, its maximum."""

    @pytest.fixture
    def full(self, sqlite_url: str) -> Iterator[Office]:
        with open_office(sqlite_url, AUTOTAG_MAX_WORDS=2) as made:
            fill(made)
            yield made

    def test_one_word_more_is_refused_on_the_page(self, full: Office) -> None:
        mia = full.visitor("mia")
        for button in ("preview", "save"):
            page = mia.send(TAGS, **{button: "add"}, word="lion", decision="blocked")
            assert (page.status, page.text(".at-alert")) == (422, MEND[button])
            assert page.error("word") == (
                "The vocabulary would have 3 words; AUTOTAG_MAX_WORDS allows 2."
            )
        assert set(words(full)) == {"cat", "unicorn"}

    def test_a_file_is_refused_whole(self, full: Office) -> None:
        mia = full.visitor("mia")
        body = b"word,blocked\nUnicorn,\nlion,yes\ntiger,yes\n"
        file: Any = FileStorage(io.BytesIO(body), "words.csv")
        page = mia.send(TAGS, preview="import", file=file)
        assert page.status == 422
        assert "would have 3 words; AUTOTAG_MAX_WORDS allows 2." in page.error("file")
        assert set(words(full)) == {"cat", "unicorn"}
