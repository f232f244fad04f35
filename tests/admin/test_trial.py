"""Trying an image, with the real model."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from werkzeug.datastructures import FileStorage

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.jobs.worker import Worker

from ..hosts import ESPRESSO
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
    assert page.text("[data-trial-summary]") == "Would apply: drink, espresso"
    found = outcomes(page)
    assert found["espresso"] == "applies"
    assert set(found.values()) == {"applies", "below the threshold"}
    assert office.host.jobs() == []


def test_it_is_judged_by_what_is_typed(ada: Visitor) -> None:
    page = try_file(ada, ESPRESSO.read_bytes(), **{THRESHOLD: "0.01"})
    # Cups are a class of the model, and all its kinds of cups.
    assert set(outcomes(page).values()) == {"applies", "applies, surer elsewhere"}
    page = try_file(
        ada, ESPRESSO.read_bytes(), **{THRESHOLD: "0.01", "setting.max_tags": "1"}
    )
    assert sorted(set(outcomes(page).values())) == ["applies", "over the maximum"]
    page = try_file(ada, ESPRESSO.read_bytes(), **{THRESHOLD: "1"})
    assert page.text("[data-trial-summary]") == "No tag would apply."
    assert page.fields[THRESHOLD] == "1"


def test_tagging_need_not_be_on(ada: Visitor) -> None:
    page = try_file(ada, ESPRESSO.read_bytes(), **{"setting.enabled": "off"})
    assert page.text("[data-trial-summary]") == "Would apply: drink, espresso"


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
        assert page.text("[data-trial-summary]") == "Would apply: drink, espresso"
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
        assert page.text("[data-trial-summary]") == "Would apply: drink, espresso"

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
