"""An unchanged third-party wiki, which the plug-in extends with its hooks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..hosts import ESPRESSO, ESPRESSO_TAGS, jpeg
from .otter_wiki import OLD, Wiki, environment, running_wiki

SYSTEM_URL = "/-/autotag/system"
PHOTO = ESPRESSO.read_bytes()


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.getbasetemp()
    return environment(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)


@pytest.fixture(scope="module")
def wiki(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wiki]:
    with running_wiki(python, tmp_path_factory.mktemp("wiki")) as running:
        yield running


class TestAttachments:
    def test_an_image_is_tagged_and_its_page_says_so(self, wiki: Wiki) -> None:
        wiki.ada.write("coffee", "# Coffee\n\n![A cup](./cup.jpg)")
        wiki.ada.upload("coffee", "cup.jpg", PHOTO)
        wiki.wait_for("coffee/cup.jpg", ESPRESSO_TAGS)
        page = wiki.nobody.get("/coffee")
        assert page.text(".autotag-tags") == "cup.jpg drink, espresso, food"
        assert page.text("article h1") == "Coffee"

    def test_another_image_of_the_same_name_gets_tags_of_its_own(
        self, wiki: Wiki
    ) -> None:
        wiki.ada.upload("replaced", "cup.jpg", PHOTO)
        wiki.wait_for("replaced/cup.jpg", ESPRESSO_TAGS)
        wiki.ada.upload("replaced", "cup.jpg", jpeg("white", (400, 300)))
        wiki.wait_for("replaced/cup.jpg", [])

    def test_a_deleted_image_is_forgotten(self, wiki: Wiki) -> None:
        wiki.ada.upload("deleted", "cup.jpg", PHOTO)
        wiki.wait_for("deleted/cup.jpg", ESPRESSO_TAGS)
        wiki.ada.send("/deleted/attachment/cup.jpg", delete="Delete")
        assert wiki.tags("deleted/cup.jpg") == []

    def test_a_renamed_image_takes_its_tags_along(self, wiki: Wiki) -> None:
        wiki.ada.upload("renamed", "cup.jpg", PHOTO)
        wiki.wait_for("renamed/cup.jpg", ESPRESSO_TAGS)
        wiki.ada.reject("renamed/cup.jpg", "drink")
        wiki.ada.send("/renamed/attachment/cup.jpg", new_filename="mug.jpg")
        assert wiki.tags("renamed/cup.jpg") == []
        # It is classified again, and the rejected tag does not come back.
        wiki.ada.upload("renamed", "other.jpg", PHOTO)
        wiki.wait_for("renamed/other.jpg", ESPRESSO_TAGS)
        assert wiki.tags("renamed/mug.jpg") == ["espresso", "food"]

    def test_the_images_of_a_page_that_is_renamed_and_deleted(self, wiki: Wiki) -> None:
        wiki.ada.write("first", "# First")
        wiki.ada.upload("first", "cup.jpg", PHOTO)
        wiki.wait_for("first/cup.jpg", ESPRESSO_TAGS)
        wiki.ada.reject("first/cup.jpg", "drink")
        done = wiki.ada.send("/first/rename", new_pagename="second")
        assert done.location == "/second"
        wiki.wait_for("second/cup.jpg", ["espresso", "food"])
        assert wiki.tags("first/cup.jpg") == []
        done = wiki.ada.send("/second/delete", recursive="recursive")
        assert done.location == "/-/changelog"
        assert wiki.tags("second/cup.jpg") == []

    def test_an_image_is_pushed(self, wiki: Wiki, tmp_path: Path) -> None:
        wiki.push("pushed/cup.jpg", PHOTO, tmp_path / "clone")
        wiki.wait_for("pushed/cup.jpg", ESPRESSO_TAGS)

    def test_a_path_that_is_too_long_for_a_key(self, wiki: Wiki) -> None:
        wiki.ada.write("long", "# Long")
        wiki.ada.upload("long", f"{'x' * 250}.jpg", PHOTO)
        wiki.ada.upload("long", "cup.jpg", PHOTO)
        wiki.wait_for("long/cup.jpg", ESPRESSO_TAGS)
        assert wiki.nobody.get("/long").text(".autotag-tags").startswith("cup.jpg")

    def test_what_is_no_image_is_left_alone(self, wiki: Wiki) -> None:
        wiki.ada.write("notes", "# Notes")
        wiki.ada.upload("notes", "list.txt", b"milk")
        assert wiki.ada.get("/notes/list.txt").html == "milk"
        wiki.ada.upload("notes", "cup.jpg", PHOTO)
        wiki.wait_for("notes/cup.jpg", ESPRESSO_TAGS)
        # Successful jobs are deleted; failed ones, such as that of a non-image, stay.
        assert not {"notes.md", "notes/list.txt"} & wiki.jobs()

    def test_images_that_were_there_before(self, wiki: Wiki) -> None:
        wiki.command("tag-untagged", "--yes")
        wiki.wait_for(OLD, ESPRESSO_TAGS)


class TestSettings:
    def test_they_are_inside_the_wikis_layout(self, wiki: Wiki) -> None:
        page = wiki.ada.get(SYSTEM_URL)
        assert page.status == 200
        title = "System settings \u2013 Auto tagging \u2013 An Otter Wiki"
        assert page.text("title") == title
        assert page.text(".navbar-brand") == "An Otter Wiki"
        assert "User Management" in page.text(".sidebar")
        assert page.text("#column-main .autotag h1") == "System settings"
        for path in ("/-/autotag/", "/-/autotag/tags/default", "/-/settings"):
            assert wiki.ada.get(path).status == 200

    def test_its_administrator_is_led_there(self, wiki: Wiki) -> None:
        wiki.ada.write("links", "# Links")
        for visitor, links in ((wiki.ada, 1), (wiki.bob, 0), (wiki.nobody, 0)):
            page = visitor.get("/links")
            assert page.status == 200
            assert len(page.soup.select(".sidebar a[href='/-/autotag/']")) == links

    def test_nobody_else_gets_in(self, wiki: Wiki) -> None:
        for path in ("/-/autotag/", SYSTEM_URL, "/-/autotag/instances/default"):
            assert wiki.bob.get(path).status == 403
            turned = wiki.nobody.get(path)
            assert turned.status == 302
            assert turned.location is not None
            assert turned.location.startswith("/-/login?next=")

    def test_a_change_is_saved_under_the_wikis_token(self, wiki: Wiki) -> None:
        form = {"setting.max_tags": "7", "command": "save"}
        refused = wiki.ada.send(SYSTEM_URL, **form, csrf_token="forged")
        assert refused.status == 400
        saved = wiki.ada.send(SYSTEM_URL, **form)
        assert saved.status == 303
        page = wiki.ada.get(SYSTEM_URL)
        [field] = page.soup.select("[name='setting.max_tags']")
        assert field["value"] == "7"
        assert "Last changed by Ada" in page.text(".autotag .at-last")
