"""Invisible characters in a name lead to the same tag in every interface."""

from __future__ import annotations

import pytest

from flask_autotag import AssetRef, VocabularyError
from flask_autotag.providers.base import clean_label
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.words_csv import read_csv

from ..hosts import Host, store_labels
from ..web.rest.conftest import Program, ada, service

__all__ = ["ada", "service"]

#: A name, and two other texts that look like it.
NAMES = {
    "Persian": ("می\u200cرویم", "میرویم", "می\u200cرویم\u200d"),
    "Hindi": ("क्\u200dष", "क्ष", "क्\u200dष\u00ad"),
    "family": ("👨\u200d👩\u200d👧", "👨👩👧", "👨\u200d👩\u200d👧\ufe0f"),
    "Scotland": (
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "🏴\ufe0f\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f\u3164",
    ),
    "Latin": ("dog", "DOG\u200b", "\u2800d\u034fog\u3164"),
}


@pytest.fixture(params=NAMES.values(), ids=list(NAMES))
def names(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    written: tuple[str, str, str] = request.param
    return written


def test_what_people_add_and_reject(host: Host, names: tuple[str, str, str]) -> None:
    asset = AssetRef("photo", "1")
    with host.app.app_context():
        for name in names:
            host.autotag.add_tag(asset, name)
        assert [tag.name for tag in host.autotag.tags_for(asset)] == [names[0]]
        host.autotag.reject_tag(asset, names[1])
        assert host.autotag.tags_for(asset) == []


def test_searches_and_completion(host: Host, names: tuple[str, str, str]) -> None:
    with host.app.app_context():
        photo = host.add_photo("a")
        store_labels(host, AssetRef("photo", str(photo.id)), [(names[0], 0.9)])
        host.db.session.rollback()
        for name in names:
            found = host.autotag.select(host.Photo, all_of=[name])
            assert len(host.db.session.scalars(found).all()) == 1
            [offered] = host.autotag.complete(name)
            assert offered.name == names[0]
        # Typed as far as the first joiner.
        first = names[0][: max(1, names[0].find("\u200d") + 1)]
        assert host.autotag.complete(first)[0].name == names[0]


def test_labels_of_providers(host: Host, names: tuple[str, str, str]) -> None:
    asset = AssetRef("photo", "1")
    with host.app.app_context():
        labels = [clean_label("1", name, 0.9).name for name in names]
        assert labels[0] == names[0]
        store_labels(host, asset, [(label, 0.9) for label in labels])
        assert [tag.name for tag in host.autotag.tags_for(asset)] == [names[0]]


def test_imported_words(host: Host, names: tuple[str, str, str]) -> None:
    asset = AssetRef("photo", "1")
    state = host.autotag.state_of(host.app)
    with host.app.app_context():
        for name in names:
            changes = read_csv(["word,becomes\n", f"{name},Rex\n"])
            with state.database.begin() as session:
                change_words(session, host.models, "default", changes, None)
        host.autotag.add_tag(asset, names[0])
        assert [tag.name for tag in host.autotag.tags_for(asset)] == ["Rex"]
    with pytest.raises(VocabularyError, match="Line 3 repeats the word"):
        read_csv(["word\n", f"{names[0]}\n", f"{names[1]}\n"])


def test_the_json_api(ada: Program, names: tuple[str, str, str]) -> None:
    for name in names:
        assert ada.decide("add", name).status_code == 200
    assert len({"dog", "wolf", *ada.tags(), names[0]}) == len(ada.tags())
