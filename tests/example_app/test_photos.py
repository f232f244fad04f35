"""Uploading, viewing, filtering and deleting photos."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.datastructures import FileStorage

from example_app.models import Photo, db
from example_app.tagging import autotag
from example_app.uploads import title_of_upload
from flask_autotag import AutoTag, Progress, image_uploaded
from flask_autotag.jobs.worker import Worker

from .conftest import (
    EXAMPLE_PHOTOS,
    Browser,
    MakeApp,
    SignIn,
    espresso,
    photos_of,
    titles_in,
)

JSON = {"Accept": "application/json"}


def example(name: str) -> tuple[bytes, str]:
    return (EXAMPLE_PHOTOS / f"{name}.jpg").read_bytes(), f"{name}.jpg"


def progress(app: Flask, photo: Photo) -> Progress:
    with app.app_context():
        return autotag.progress([photo])[photo]


def test_an_upload_is_tagged(app: Flask, nora: Browser) -> None:
    response = nora.upload(example("espresso"))
    assert response.location == "/news/"
    (photo,) = photos_of(app)
    assert (photo.title, photo.instance) == ("espresso.jpg", "news")
    assert progress(app, photo) == Progress("tagged")
    page = nora.page("/news/")
    assert "1 photo was uploaded." in page
    assert "with a confidence of" in page
    assert 'href="/news/?tag=espresso"' in page
    page = nora.page(f"/news/photos/{photo.id}")
    assert 'aria-label="Remove espresso"' in page
    assert "Uploaded by Nora" in page
    why = re.search(r'href="([^"]+)">Why these tags', page)
    assert why is not None
    page = nora.page(why[1].replace("&amp;", "&"))
    assert "TensorFlow Image Auto Tagging (efficientnet-lite0" in page


def test_one_bad_file_does_not_cost_the_others(
    app: Flask, nora: Browser, tmp_path: Path
) -> None:
    response = nora.upload(
        example("espresso"),
        (b"#!/bin/sh", "run.sh"),
        (b"", "empty.png"),
        (b"<svg onload='alert(1)'/>", "drawing.svg"),
        example("castle"),
    )
    assert response.status_code == 200
    assert "This kind of file is not accepted." in response.text
    assert "The file is empty." in response.text
    assert "2 photos were uploaded." in response.text
    assert [photo.title for photo in photos_of(app)] == ["espresso.jpg", "castle.jpg"]
    assert len(list((tmp_path / "uploads").iterdir())) == 2


def test_only_bad_files(app: Flask, nora: Browser) -> None:
    response = nora.upload((b"x", "notes.txt"))
    assert response.status_code == 400
    assert "notes.txt" in response.text
    assert nora.post("/news/upload").status_code == 400
    assert "Choose at least one photo." in nora.post("/news/upload").text
    assert photos_of(app) == []


def test_scripts_get_answers_as_data(nora: Browser) -> None:
    def send(data: bytes, name: str) -> dict[str, list[dict[str, str]]]:
        files = {"photos": [(BytesIO(data), name)]}
        response = nora.post("/news/upload", data=files, headers=JSON)
        assert response.status_code == 200
        return response.json

    (photo,) = send(*example("espresso"))["photos"]
    assert photo["title"] == "espresso.jpg"
    assert "espresso" in photo["html"]
    answer = send(b"x", "notes.txt")
    assert answer["photos"] == []
    assert answer["refused"][0]["name"] == "notes.txt"


def test_too_large_a_photo(make_app: MakeApp, sign_in: SignIn) -> None:
    app = make_app(MAX_PHOTO_BYTES=2**20, MAX_CONTENT_LENGTH=3 * 2**20)
    nora = sign_in("nora", app)
    assert "larger than 1 MB" in nora.upload((b"x" * (2**20 + 1), "big.jpg")).text
    response = nora.upload((b"x" * 3 * 2**20, "bigger.jpg"))
    assert response.status_code == 413
    assert "Upload fewer or smaller photos." in response.text
    assert photos_of(app) == []


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("<script>alert(1)</script>.jpg", "script&gt;.jpg"),
        ("<b>bold</b>.jpg", "b&gt;.jpg"),
        ("' onerror=alert(1).jpg", "&#39; onerror=alert(1).jpg"),
        ("../../etc/cup.jpg", "cup.jpg"),
        ("Tasse\u202e mit\x00 Blick.jpg", "Tasse mit Blick.jpg"),
    ],
)
def test_names_of_files_are_only_text(
    app: Flask, nora: Browser, tmp_path: Path, name: str, title: str
) -> None:
    nora.upload((espresso(), name))
    (photo,) = photos_of(app)
    assert titles_in(nora.page("/news/")) == [title]
    for page in ("/news/", f"/news/photos/{photo.id}"):
        assert "<script>alert" not in nora.page(page)
        assert "<b>" not in nora.page(page)
    (file,) = (tmp_path / "uploads").iterdir()
    assert file.name == photo.filename
    assert len(file.stem) == 32


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("C:\\fotos\\cup.JPG", "cup.JPG"),
        ('"quoted".png', '"quoted".png'),
        (None, "Untitled"),
        ("\x07", "Untitled"),
    ],
)
def test_titles(name: str | None, title: str) -> None:
    assert title_of_upload(FileStorage(filename=name)) == title


def test_long_names_keep_their_ending(app: Flask, nora: Browser) -> None:
    nora.upload((espresso(), "x" * 500 + ".jpg"))
    (photo,) = photos_of(app)
    assert len(photo.title) == 200
    assert photo.title.endswith("….jpg")


def test_what_is_no_image_says_so(app: Flask, nora: Browser) -> None:
    nora.upload((b"<html><script>alert(1)</script>", "page.jpg"))
    (photo,) = photos_of(app)
    assert progress(app, photo).state == "failed"
    page = nora.page("/news/")
    assert "Could not be tagged: The file is not an image" in page
    file = nora.get(f"/news/files/{photo.filename}")
    assert file.mimetype == "image/jpeg"
    assert file.headers["X-Content-Type-Options"] == "nosniff"


def test_tagging_after_a_failure_clears_it(app: Flask, nora: Browser) -> None:
    nora.upload((b"torn", "photo.jpg"))
    with app.app_context():
        photo = db.session.scalars(select(Photo)).one()
        photo.path.write_bytes(espresso())
        image_uploaded.send(app, asset=photo, image=photo.path, instance="news")
    (photo,) = photos_of(app)
    assert progress(app, photo) == Progress("tagged")


def test_an_upload_that_cannot_be_queued_is_kept_and_says_so(
    app: Flask, nora: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced = "example_app.models.Photo.path"
    monkeypatch.setattr(announced, property(lambda photo: Path("/nowhere/at-all.jpg")))
    nora.upload((espresso(), "espresso.jpg"))
    (photo,) = photos_of(app)
    assert progress(app, photo) == Progress("untagged")
    page = nora.page("/news/")
    assert "A photo could not be tagged: There is no readable file" in page
    assert "Not tagged." in page


def test_files_are_served_by_their_ending(app: Flask, nora: Browser) -> None:
    nora.upload(*[(espresso(), f"cup.{ending}") for ending in ("JPEG", "png", "tif")])
    for photo, mimetype in zip(
        photos_of(app), ("image/jpeg", "image/png", "image/tiff"), strict=True
    ):
        response = nora.get(f"/news/files/{photo.filename}")
        assert response.mimetype == mimetype
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.cache_control.private
        download = response.headers.get("Content-Disposition", "")
        assert download.startswith("attachment") is (mimetype == "image/tiff")
        assert response.data == espresso()
    assert nora.page("/news/").count("Browsers cannot show this kind") == 1
    assert nora.get("/news/files/../example.sqlite").status_code == 404


def test_filtering(nora: Browser, sam: Browser) -> None:
    nora.upload(example("espresso"), example("castle"), example("espresso"))
    sam.upload(example("espresso"), instance="shop")
    assert len(titles_in(nora.page("/news/"))) == 3
    page = nora.page("/news/?tag=espresso")
    assert titles_in(page) == ["espresso.jpg"] * 2
    assert "Remove the filter" in page
    assert 'href="/news/">Clear the filter</a>' in page
    # Only filters with results are offered.
    assert 'href="/news/?tag=espresso&amp;tag=drink"' in page
    assert 'href="/news/?tag=espresso&amp;tag=castle"' not in page
    # Case makes no difference, and a tag counts once.
    assert len(titles_in(nora.page("/news/?tag=ESPRESSO&tag=espresso"))) == 2
    page = nora.page("/news/?tag=espresso&tag=castle")
    assert titles_in(page) == []
    assert "No photo has all of these tags." in page
    assert "Show all photos" in page


@pytest.mark.parametrize(
    "query", ["tag=", "tag=%00", "tag=%e2%80%8b", f"tag={'x' * 300}", "tag=' OR 1=1"]
)
def test_strange_tags_are_harmless(nora: Browser, query: str) -> None:
    nora.upload(example("espresso"))
    assert nora.get(f"/news/?{query}").status_code == 200
    assert nora.get(f"/news/photos/tags?ids=1&{query}").status_code == 200
    assert nora.get(f"/news/photos/1?{query}").status_code == 200


def test_pages(make_app: MakeApp, sign_in: SignIn) -> None:
    nora = sign_in("nora", make_app(PHOTOS_PER_PAGE=2, AUTOTAG_RUNNER="none"))
    nora.upload(*[(espresso(), f"{number}.jpg") for number in range(5)])
    assert titles_in(nora.page("/news/")) == ["4.jpg", "3.jpg"]
    page = nora.page("/news/?page=2")
    assert titles_in(page) == ["2.jpg", "1.jpg"]
    assert 'rel="prev"' in page
    assert 'rel="next"' in page
    assert titles_in(nora.page("/news/?page=3")) == ["0.jpg"]
    assert nora.get("/news/?page=4").status_code == 404
    assert titles_in(nora.page("/news/?per_page=100")) == ["4.jpg", "3.jpg"]


def test_neighbours_stay_inside_the_filter(app: Flask, nora: Browser) -> None:
    nora.upload(example("espresso"), example("castle"), example("espresso"))
    first, castle, last = photos_of(app)
    page = nora.page(f"/news/photos/{castle.id}")
    assert f'href="/news/photos/{last.id}"' in page
    assert f'href="/news/photos/{first.id}"' in page
    page = nora.page(f"/news/photos/{last.id}?tag=espresso")
    assert f'href="/news/photos/{first.id}?tag=espresso"' in page
    assert f"/news/photos/{castle.id}" not in page


def test_deleting(app: Flask, nora: Browser, tmp_path: Path) -> None:
    nora.upload(example("espresso"), example("castle"))
    photo = photos_of(app)[0]
    page = nora.page(f"/news/photos/{photo.id}/delete")
    assert "will be deleted permanently" in page
    assert len(photos_of(app)) == 2
    response = nora.post(f"/news/photos/{photo.id}/delete")
    assert response.location == "/news/"
    assert "“espresso.jpg” was deleted." in nora.page("/news/")
    assert [left.title for left in photos_of(app)] == ["castle.jpg"]
    assert not (tmp_path / "uploads" / photo.filename).exists()
    with app.app_context():
        assert [tag.name for tag in autotag.tag_counts("news")] == [
            "building",
            "castle",
            "landscape",
            "sky",
            "water",
        ]
        assert autotag.tags_for(photo) == []
        jobs = db.session.scalars(select(autotag.models.job)).all()
        assert len(jobs) == 1
    assert nora.get(f"/news/photos/{photo.id}").status_code == 404
    assert nora.post(f"/news/photos/{photo.id}/delete").status_code == 404


def test_scripts_ask_how_far_it_is(make_app: MakeApp, sign_in: SignIn) -> None:
    app = make_app(AUTOTAG_RUNNER="none")
    nora = sign_in("nora", app)
    nora.upload(example("espresso"))
    assert "tagging…" in nora.page("/news/")
    answer = nora.get("/news/photos/tags?ids=1,x,,99,-1,99999999999999999999").json
    assert [photo["id"] for photo in answer["photos"]] == [1]
    assert answer["photos"][0]["pending"] is True
    assert "Tags appear here" in answer["filters"]
    # Another process tags.
    result = app.test_cli_runner().invoke(args=["autotag", "worker", "--drain"])
    assert result.exit_code == 0, result.output
    answer = nora.get("/news/photos/tags?ids=1&field=1").json
    assert answer["photos"][0]["pending"] is False
    assert answer["photos"][0]["words"] == "espresso.jpg: drink, espresso, food."
    assert "Remove espresso" in answer["photos"][0]["html"]
    assert "espresso" in answer["filters"]
    assert nora.get("/news/photos/tags").json["photos"] == []


def test_an_empty_gallery_says_what_to_do(nora: Browser) -> None:
    page = nora.page("/news/")
    assert "No photos yet." in page
    assert 'href="/news/upload"' in page


def test_a_failed_upload_leaves_nothing(
    app: Flask, nora: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_photo: Photo) -> None:
        raise OSError("no space")

    monkeypatch.setattr("example_app.tagging.announce", fail)
    with pytest.raises(OSError, match="no space"):
        nora.upload(example("espresso"))
    assert photos_of(app) == []
    assert list((tmp_path / "uploads").iterdir()) == []


def test_an_editor_changes_the_tags_of_a_photo(app: Flask, nora: Browser) -> None:
    nora.upload(example("wall-clock"))
    (photo,) = photos_of(app)
    page = nora.page(f"/news/photos/{photo.id}")
    signed = re.search(r'name="image"[^>]* value="([^"]+)"', page)
    assert signed is not None
    data = {"image": signed[1], "next": f"/news/photos/{photo.id}"}
    response = nora.post("/autotag/edit/news", data={**data, "add": "Kitchen"})
    assert response.location == f"/news/photos/{photo.id}"
    assert 'href="/news/?tag=Kitchen"' in nora.page("/news/")
    assert nora.post("/autotag/edit/shop", data=data).status_code == 403


def test_the_header_leads_editors_to_review(nora: Browser) -> None:
    assert 'href="/autotag/review/news">Review' in nora.page("/news/")
    assert "Auto tagging</a>" not in nora.page("/news/")
    assert nora.page("/autotag/review/news")
    assert nora.get("/autotag/review/shop").status_code == 403
    assert nora.get("/autotag/instances/news").status_code == 403


def test_a_photo_that_is_tagged_while_its_page_is_read_is_asked_for_again(
    make_app: MakeApp, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(AUTOTAG_RUNNER="none")
    nora = sign_in("nora", app)
    nora.upload(example("wall-clock"))
    (photo,) = photos_of(app)

    def tag_after(read: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            found = read(*arguments)
            Worker(app, autotag.state_of(app)).drain()
            return found

        return wrapped

    for name in ("preload", "progress"):
        read = tag_after(getattr(AutoTag, name))
        monkeypatch.setattr(AutoTag, name, read)
    [told] = nora.get(f"/news/photos/tags?ids={photo.id}").json["photos"]
    assert told["pending"] or "clock" in told["html"]
