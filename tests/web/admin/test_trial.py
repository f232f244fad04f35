"""Trying an image, with the real model."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.datastructures import FileStorage

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.jobs.worker import Worker
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import TagName, tag_name

from ...hosts import ESPRESSO, ESPRESSO_TAGS, store_labels
from ...providers.tensorflow.models import make_detector
from ...providers.vendors import Answer, vendor
from .conftest import SHOP_URL, SYSTEM_URL, Office, Page, Visitor, open_office

THRESHOLD = "setting.tensorflow.confidence_threshold"


def try_file(visitor: Visitor, data: bytes, path: str = SHOP_URL, **typed: Any) -> Page:
    image = FileStorage(io.BytesIO(data), "cup.jpg")
    return visitor.send(path, command="try", image=image, **typed)


def outcomes(page: Page) -> dict[str, str]:
    return {
        str(row["data-label"]): row.select("td")[-1].get_text()
        for row in page.soup.select("tr[data-label]")
    }


@pytest.mark.parametrize("path", [SHOP_URL, SYSTEM_URL])
def test_an_image_of_ones_own(office: Office, ada: Visitor, path: str) -> None:
    page = try_file(ada, ESPRESSO.read_bytes(), path)
    assert page.status == 200
    assert page.text("[data-trial] h3") == "cup.jpg"
    assert page.text("[data-trial-summary]") == "Would apply: drink, espresso, food"
    found = outcomes(page)
    for name in ESPRESSO_TAGS:
        assert re.fullmatch(r"\d\.\d\d, reaches 0\.50", found.pop(name))
    assert all(re.fullmatch(r"0\.\d\d, below 0\.50", one) for one in found.values())
    assert office.host.jobs() == []


def test_it_is_judged_by_what_is_typed(ada: Visitor) -> None:
    page = try_file(ada, ESPRESSO.read_bytes(), **{THRESHOLD: "0.01"})
    # Narrower labels say more; for cups there are the class and all their kinds.
    ends = (
        "reaches 0.01",
        "a more specific tag applies",
        "label for this tag scores higher",
    )
    assert all(one.endswith(ends) for one in outcomes(page).values())
    page = try_file(
        ada, ESPRESSO.read_bytes(), **{THRESHOLD: "0.01", "setting.max_tags": "1"}
    )
    found = list(outcomes(page).values())
    assert sum(one.endswith("reaches 0.01") for one in found) == 1
    assert "over the maximum of 1" in found
    page = try_file(ada, ESPRESSO.read_bytes(), **{THRESHOLD: "1"})
    assert page.text("[data-trial-summary]") == "No tag would apply."
    assert page.fields[THRESHOLD] == "1"


def test_what_would_be_suggested(ada: Visitor) -> None:
    typed = {THRESHOLD: "1", "setting.suggestion_threshold": "0.9"}
    page = try_file(ada, ESPRESSO.read_bytes(), **typed)
    assert page.text("[data-trial-suggested]") == "Would be suggested: drink, espresso"
    assert outcomes(page)["espresso"].endswith("below 1.00; suggested for review")


class TestWords:
    """Labels are judged by the vocabulary, and by their breadth."""

    SAID = (
        ("n02084071", "dog", 0.9),
        ("n00015388", "animal", 0.95),
        ("/m/1", "wolf", 0.4),
        ("/m/2", "grass", 0.7),
        ("/m/3", "hound", 0.6),
        ("/m/4", "x" * 101, 0.8),
        *((f"/m/1{number}", f"thing {number}", 0.1) for number in range(12)),
    )

    @pytest.fixture
    def office(self, sqlite_url: str) -> Iterator[Office]:
        labels = [
            {"mid": mid, "description": name, "score": score}
            for mid, name, score in self.SAID
        ]
        answer = Answer(body={"responses": [{"labelAnnotations": labels}]})
        with (
            vendor() as google,
            open_office(
                sqlite_url,
                AUTOTAG_ALLOWED_ORIGINS=[google.url],
                AUTOTAG_GOOGLE_ENABLED=True,
                AUTOTAG_GOOGLE_ENDPOINT=google.url,
                AUTOTAG_GOOGLE_API_KEY="AIza-secret-0123",
                AUTOTAG_TENSORFLOW_ENABLED=False,
            ) as office,
        ):
            google.answer = answer
            words: dict[TagName, dict[str, Any]] = {
                tag_name("grass"): {"blocked": True},
                tag_name("wolf"): {"threshold": 0.3},
                tag_name("hound"): {"becomes": "Dog"},
            }
            database = office.desk.state.database
            with office.host.app.app_context(), database.begin() as session:
                change_words(session, office.host.models, "shop", words, "ada")
            yield office

    def test_each_says_why(self, office: Office) -> None:
        page = try_file(office.visitor("ada"), ESPRESSO.read_bytes())
        found = outcomes(page)
        assert found["dog"] == "0.90, reaches 0.50"
        assert found["animal"] == "a more specific tag applies"
        assert found["wolf"] == "0.40, reaches 0.30"
        assert found["grass"] == "blocked"
        assert found["hound"] == "0.60, another label for this tag scores higher"
        assert found["x" * 101] == "not a valid tag name"
        assert page.text("[data-trial-summary]") == "Would apply: dog, wolf"
        assert "hound called Dog" in page.texts("tbody th")

    def test_listed_words_only_and_no_broader_ones(self, office: Office) -> None:
        typed = {"setting.vocabulary": "listed", "setting.broader_tags": "off"}
        page = try_file(office.visitor("ada"), ESPRESSO.read_bytes(), **typed)
        assert outcomes(page)["animal"] == "broader tags are off"
        assert outcomes(page)["wolf"] == "not a listed word"

    def test_what_is_least_sure_is_folded_away(self, office: Office) -> None:
        page = try_file(office.visitor("ada"), ESPRESSO.read_bytes())
        assert len(page.soup.select("[data-trial] > .at-scroll > table tbody tr")) == 15
        assert page.text("summary") == "3 labels with less confidence"
        assert len(outcomes(page)) == len(self.SAID)


def test_tagging_need_not_be_on(ada: Visitor) -> None:
    page = try_file(ada, ESPRESSO.read_bytes(), **{"setting.enabled": "off"})
    assert page.text("[data-trial-summary]") == "Would apply: drink, espresso, food"


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"<svg/>", "The file is not an image"), (b"", "The file is empty.")],
)
def test_what_is_no_image(ada: Visitor, data: bytes, message: str) -> None:
    assert try_file(ada, data).text("[data-trial] .at-error").startswith(message)


def test_what_is_too_large(sqlite_url: str) -> None:
    with open_office(sqlite_url, AUTOTAG_MAX_IMAGE_BYTES=1000) as office:
        page = try_file(office.visitor("ada"), ESPRESSO.read_bytes())
    assert page.text("[data-trial] .at-error") == "The file is too large."


def test_every_provider_is_off(ada: Visitor) -> None:
    page = try_file(ada, b"x", **{"setting.tensorflow.enabled": "off"})
    assert page.text("[data-trial] .at-error") == "Auto tagging is turned off."


def test_nothing_was_chosen(ada: Visitor) -> None:
    for recent in (None, "", "x", "9" * 30):
        page = ada.send(SHOP_URL, command="try", recent=recent)
        assert page.text("[data-trial] .at-error") == "Choose an image first."
    page = ada.send(SHOP_URL, command="try", recent="77")
    assert page.text("[data-trial] .at-error") == "This image is not there any more."


class TestRecent:
    @pytest.fixture
    def uploaded(self, office: Office, tmp_path: Path) -> Path:
        """One image that came as a file, and one as bytes."""
        photo = tmp_path / "photo.jpg"
        photo.write_bytes(ESPRESSO.read_bytes())
        for number, image in ((1, photo), (2, photo.read_bytes())):
            image_uploaded.send(
                office.host.app,
                asset=AssetRef("photo", str(number)),
                image=image,
                instance="shop",
            )
        state = office.host.autotag.state_of(office.host.app)
        Worker(office.host.app, state).drain()
        return photo

    def offered(self, visitor: Visitor, path: str = SHOP_URL) -> list[str]:
        return visitor.get(path).texts(".at-pick")

    def test_a_file_can_be_tried_again(
        self, office: Office, mia: Visitor, uploaded: Path
    ) -> None:
        assert self.offered(mia) == ["photo 1"]
        key = str(mia.get(SHOP_URL).one("[name=recent]")["value"])
        page = mia.send(SHOP_URL, command="try", recent=key)
        assert page.text("[data-trial-summary]") == "Would apply: drink, espresso, food"
        assert page.text("[data-trial] h3") == "photo 1"
        uploaded.unlink()
        assert self.offered(mia) == []

    def test_with_a_loader_all_can(
        self, office: Office, mia: Visitor, uploaded: Path
    ) -> None:
        office.host.autotag.image_loader(lambda _asset: ESPRESSO)
        office.host.autotag.image_url(lambda asset: f"/pictures/{asset.id}?a=1&b=2")
        page = mia.get(SHOP_URL)
        pictures = page.soup.select(".at-pick img")
        assert [(one["src"], one["alt"]) for one in pictures] == [
            ("/pictures/2?a=1&b=2", "photo 2"),
            ("/pictures/1?a=1&b=2", "photo 1"),
        ]
        key = str(page.one("[name=recent]")["value"])
        page = mia.send(SHOP_URL, command="try", recent=key)
        assert page.text("[data-trial-summary]") == "Would apply: drink, espresso, food"

    def test_a_named_image_of_a_row_can(self, office: Office, mia: Visitor) -> None:
        host = office.host
        host.autotag.watch(host.Photo, lambda _: ESPRESSO, "shop", name="cover")
        host.autotag.image_url(lambda asset: f"/pictures/{asset.id}/{asset.name}")
        with host.app.app_context():
            cover = AssetRef("photo#cover", str(host.add_photo().id))
            store_labels(host, cover, [("dog", 0.9)], "shop")
        page = mia.get(SHOP_URL)
        [picture] = page.soup.select(".at-pick img")
        assert picture["src"] == f"/pictures/{cover.id}/cover"
        assert picture["alt"] == f"photo#cover {cover.id}"
        key = str(page.one("[name=recent]")["value"])
        page = mia.send(SHOP_URL, command="try", recent=key)
        assert page.text("[data-trial-summary]") == "Would apply: drink, espresso, food"

    def test_an_image_of_another_instance_cannot(
        self, office: Office, mia: Visitor, uploaded: Path
    ) -> None:
        key = str(mia.get(SHOP_URL).one("[name=recent]")["value"])
        nils = office.visitor("nils")
        page = nils.send("/autotag/instances/news", command="try", recent=key)
        assert page.text("[data-trial] .at-error") == (
            "This image is not there any more."
        )
        assert self.offered(office.visitor("ada"), SYSTEM_URL) == ["photo 1"]

    @pytest.mark.parametrize("path", [SHOP_URL, SYSTEM_URL])
    def test_the_file_of_another_instance_is_not_read(
        self, office: Office, ada: Visitor, uploaded: Path, tmp_path: Path, path: str
    ) -> None:
        """Two tenants name a file alike; the other one has uploaded it last."""
        theirs = tmp_path / "theirs.jpg"
        theirs.write_bytes(b"no image at all")
        with office.host.app.app_context():
            image_uploaded.send(
                office.host.app,
                asset=AssetRef("photo", "1"),
                image=theirs,
                instance="news",
            )
        key = str(ada.get(path).one("[name=recent]")["value"])
        page = ada.send(path, command="try", recent=key)
        assert page.text("[data-trial-summary]") == "Would apply: drink, espresso, food"
        uploaded.unlink()
        assert ada.get(path).soup.select("[name=recent]") == []

    def test_a_loader_that_fails(
        self, office: Office, mia: Visitor, uploaded: Path
    ) -> None:
        @office.host.autotag.image_loader
        def load(_asset: AssetRef) -> bytes:
            raise ConnectionError("secret address")

        key = str(mia.get(SHOP_URL).one("[name=recent]")["value"])
        page = mia.send(SHOP_URL, command="try", recent=key)
        assert page.text("[data-trial] .at-error") == (
            "The application's image loader raised ConnectionError."
        )


def test_a_detector_beside_the_model(sqlite_url: str, tmp_path: Path) -> None:
    make_detector(tmp_path)
    with open_office(sqlite_url, AUTOTAG_MODEL_DIR=str(tmp_path)) as office:
        ada = office.visitor("ada")
        data = ESPRESSO.read_bytes()
        page = try_file(ada, data, **{"setting.tensorflow.detector": "seer"})
    assert "efficientnet-lite0 2 + seer 2" in page.text("[data-trial]")
    [row] = page.soup.select('tr[data-part="detected"]')
    assert (row["data-label"], row.select("th")[0].get_text()) == (
        "espresso",
        "espresso detected",
    )
