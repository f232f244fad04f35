"""Labels for the tests of applications, without a model or a child process."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from unittest.mock import patch

import pytest
from flask import Flask

from flask_autotag import ConfigurationError, ProviderError, image_uploaded
from flask_autotag.errors import ClassifierError, TaggingOff, UnreadableImage
from flask_autotag.testing import fake_labels

from .hosts import ESPRESSO, ESPRESSO_TAGS, Host, jpeg, make_host
from .providers.clouds import GOOGLE_ON
from .providers.vendors import Answer, Vendor

LABELS = {"dog": 0.9, "grass": 0.4}


@pytest.fixture
def no_child(own_pools: None) -> Iterator[None]:
    with patch.object(subprocess, "Popen", side_effect=AssertionError):
        yield


def names(host: Host, asset: object) -> list[str]:
    return [tag.name for tag in host.autotag.tags_for(asset)]


@pytest.mark.usefixtures("no_child")
class TestNoChild:
    def test_an_upload_has_the_labels_that_reach_the_threshold(
        self, inline_host: Host
    ) -> None:
        with inline_host.app.app_context():
            photo = inline_host.add_photo()
            with fake_labels(inline_host.app, LABELS):
                image_uploaded.send(inline_host.app, asset=photo, image=jpeg())
            [tag] = inline_host.autotag.tags_for(photo)
        assert (tag.name, tag.confidence, tag.provider) == ("dog", 0.9, "tensorflow")
        assert inline_host.failures == []

    def test_the_settings_of_the_host_hold(self, sqlite_url: str) -> None:
        key = "AUTOTAG_TENSORFLOW_CONFIDENCE_THRESHOLD"
        with make_host(sqlite_url, **{key: 0.3}) as host, host.app.app_context():
            photo = host.add_photo()
            with fake_labels(host.app, LABELS):
                tags = host.autotag.tag_now(photo, jpeg())
        assert [tag.name for tag in tags] == ["dog", "grass"]

    def test_a_function_gets_the_file(self, host: Host) -> None:
        red, blue = jpeg(), jpeg("blue")

        def look(data: bytes) -> dict[str, float]:
            return {"rose": 0.8} if data == red else {"sky": 0.7}

        with host.app.app_context(), fake_labels(host.app, look):
            for image, name in ((red, "rose"), (blue, "sky")):
                photo = host.add_photo()
                host.autotag.tag_now(photo, image)
                assert names(host, photo) == [name]

    def test_what_a_function_raises_is_the_images_failure(self, host: Host) -> None:
        def failing(data: bytes) -> dict[str, float]:
            raise ProviderError("It is down.")

        def wrong(data: bytes) -> dict[str, float]:
            return {"dog": 90}

        with host.app.app_context():
            photo = host.add_photo()
            with (
                fake_labels(host.app, failing),
                pytest.raises(ProviderError, match="It is down"),
            ):
                host.autotag.tag_now(photo, jpeg())
            with (
                fake_labels(host.app, wrong),
                pytest.raises(ClassifierError, match="raised ValueError: a confidence"),
            ):
                host.autotag.tag_now(photo, jpeg())

    def test_what_is_no_image_fails_as_ever(self, inline_host: Host) -> None:
        with inline_host.app.app_context():
            photo = inline_host.add_photo()
            with fake_labels(inline_host.app, LABELS):
                image_uploaded.send(inline_host.app, asset=photo, image=b"no image")
                with pytest.raises(UnreadableImage):
                    inline_host.autotag.tag_now(photo, b"no image")
        assert [one["code"] for one in inline_host.failures] == ["image_unreadable"]

    def test_a_provider_that_is_off_says_nothing(self, sqlite_url: str) -> None:
        with (
            make_host(sqlite_url, AUTOTAG_TENSORFLOW_ENABLED=False) as host,
            host.app.app_context(),
        ):
            photo = host.add_photo()
            with fake_labels(host.app, LABELS), pytest.raises(TaggingOff):
                host.autotag.tag_now(photo, jpeg())

    def test_the_inner_one_counts(self, host: Host) -> None:
        with host.app.app_context():
            photo = host.add_photo()
            with fake_labels(host.app, {"outer": 0.9}):
                with fake_labels(host.app, {"inner": 0.9}):
                    host.autotag.tag_now(photo, jpeg())
                    assert names(host, photo) == ["inner"]
                host.autotag.tag_now(photo, jpeg())
                assert names(host, photo) == ["outer"]

    def test_a_provider_elsewhere_is_asked_as_ever(
        self, sqlite_url: str, google: Vendor
    ) -> None:
        google.answer = Answer(
            body={
                "responses": [
                    {"labelAnnotations": [{"description": "Pond", "score": 0.6}]}
                ]
            }
        )
        with (
            make_host(
                sqlite_url,
                AUTOTAG_GOOGLE_ENDPOINT=google.url,
                AUTOTAG_ALLOWED_ORIGINS=[google.url],
                SECRET_KEY="of the host, and long enough for it",
                **GOOGLE_ON,
            ) as host,
            host.app.app_context(),
            fake_labels(host.app, LABELS),
        ):
            photo = host.add_photo()
            host.autotag.tag_now(photo, jpeg())
            assert names(host, photo) == ["dog", "Pond"]


def test_after_the_block_the_model_answers_again(inline_host: Host) -> None:
    with inline_host.app.app_context():
        photo = inline_host.add_photo()
        with (
            pytest.raises(RuntimeError, match="of the test"),
            fake_labels(inline_host.app, LABELS),
        ):
            raise RuntimeError("of the test")
        image_uploaded.send(inline_host.app, asset=photo, image=ESPRESSO)
        assert names(inline_host, photo) == ESPRESSO_TAGS


def test_what_cannot_be_labels_is_told_at_once(host: Host) -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        fake_labels(host.app, {"dog": 90}).__enter__()
    with pytest.raises(ConfigurationError, match="'other'"):
        fake_labels(Flask("other"), LABELS).__enter__()
