"""Remote providers: quota, pauses, and independence of each other's failures."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import select

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.classification import circuit_breaker
from flask_autotag.errors import (
    ProviderRefused,
)
from flask_autotag.jobs.worker import Worker
from flask_autotag.providers.google_vision import GoogleVisionProvider

from ..hosts import ESPRESSO, Host, make_host
from ..providers.clouds import (
    GOOGLE_ON,
    LOCAL,
    answer_each,
    be_due,
    drain,
    let_it_in,
    photo,
    provider_state,
    tags,
    upload,
)
from ..providers.vendors import Answer, Vendor
from ..settings.desk import Desk

MAXIMUM, TOGETHER = ("google", "monthly_limit"), ("google", "total_limit")


def test_both_say_what_they_know(cloud_host: Host, google: Vendor) -> None:
    upload(cloud_host, 1)
    drain(cloud_host)
    assert tags(cloud_host, 1) == {**LOCAL, "Cup": "google"}
    google.answer = Answer(
        body={
            "responses": [
                {"labelAnnotations": [{"description": "Espresso", "score": 0.6}]}
            ]
        }
    )
    upload(cloud_host, 2)
    drain(cloud_host)
    with cloud_host.app.app_context():
        found = cloud_host.autotag.tags_for(AssetRef("photo", "2"))
    [tag] = [tag for tag in found if tag.name == "espresso"]
    assert (tag.provider, tag.providers) == ("tensorflow", ("tensorflow", "google"))
    assert [job.state for job in cloud_host.jobs()] == ["done"] * 2
    assert provider_state(cloud_host).calls.own == 2


def test_what_is_sent_is_small_and_without_metadata(
    cloud_host: Host, google: Vendor
) -> None:
    import base64

    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    with Image.open(ESPRESSO) as image:
        large = image.resize((3000, 1500))
        large.info["comment"] = b"a secret comment"
        large.save(file, "JPEG", exif=exif, comment=b"a secret comment")
    image_uploaded.send(
        cloud_host.app, asset=AssetRef("photo", "1"), image=file.getvalue()
    )
    drain(cloud_host)
    [request] = google.requests
    sent = base64.b64decode(request.json["requests"][0]["image"]["content"])
    with Image.open(io.BytesIO(sent)) as image:
        assert image.size == (1024, 512)
        assert not image.getexif()
        assert "comment" not in image.info
    assert b"secret comment" not in sent
    assert b"at home" not in sent


def test_many_images_go_together(
    sqlite_url: str, google: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_autotag.jobs.worker.BATCH", 32)
    with make_host(
        sqlite_url,
        AUTOTAG_GOOGLE_ENDPOINT=google.url,
        AUTOTAG_ALLOWED_ORIGINS=[google.url],
        **GOOGLE_ON,
    ) as host:
        upload(host, *range(20))
        state = host.autotag.state_of(host.app)
        worker = Worker(host.app, state)
        worker._size = 32
        worker.drain()
        assert all("Cup" in tags(host, number) for number in range(20))
    sizes = sorted(len(recorded.json["requests"]) for recorded in google.requests)
    assert sizes == [4, 16]


class TestFailures:
    def test_one_that_fails_costs_the_other_nothing(
        self, cloud_host: Host, google: Vendor
    ) -> None:
        google.answer = Answer(500)
        upload(cloud_host, 1)
        drain(cloud_host)
        assert tags(cloud_host, 1) == LOCAL
        [job] = cloud_host.jobs()
        assert (job.state, job.failures, job.error_code) == (
            "queued",
            1,
            "provider_failed",
        )
        google.answer = answer_each
        be_due(cloud_host)
        drain(cloud_host)
        assert tags(cloud_host, 1) == {**LOCAL, "Cup": "google"}
        [job] = cloud_host.jobs()
        assert job.state == "done"

    def test_after_six_tries_the_job_ends_and_the_tags_stay(
        self, cloud_host: Host, google: Vendor
    ) -> None:
        google.answer = Answer(500)
        upload(cloud_host, 1)
        for _ in range(6):
            be_due(cloud_host)
            let_it_in(cloud_host)
            drain(cloud_host)
        [job] = cloud_host.jobs()
        assert (job.state, job.error_code) == ("failed", "provider_failed")
        [failure] = cloud_host.failures
        assert failure["code"] == "provider_failed"
        assert tags(cloud_host, 1) == LOCAL

    def test_what_it_said_of_an_image_that_was_replaced_is_forgotten_when_it_fails(
        self, cloud_host: Host, google: Vendor
    ) -> None:
        upload(cloud_host, 1)
        drain(cloud_host)
        google.answer = Answer(500)
        asset = AssetRef("photo", "1")
        image_uploaded.send(
            cloud_host.app, asset=asset, image=photo(2), instance="shop"
        )
        drain(cloud_host)
        assert tags(cloud_host, 1) == LOCAL

    def test_a_provider_that_asks_to_wait(
        self, cloud_host: Host, google: Vendor
    ) -> None:
        google.answer = Answer(429, {}, {"Retry-After": "86400"})
        upload(cloud_host, 1, 2)
        drain(cloud_host)
        assert len(google.requests) == 1
        for job in cloud_host.jobs():
            assert (job.state, job.failures) == ("queued", 0)
            assert 3000 < job.run_at - job.created_at < 3700
        assert 3000 < provider_state(cloud_host).resting <= 3600
        assert tags(cloud_host, 2) == LOCAL

    def test_an_image_that_it_does_not_take(
        self, cloud_host: Host, google: Vendor
    ) -> None:
        google.answer = Answer(400, {"error": {"message": "Bad image data."}})
        upload(cloud_host, 1)
        drain(cloud_host)
        [job] = cloud_host.jobs()
        assert job.state == "done"
        assert tags(cloud_host, 1) == LOCAL
        assert provider_state(cloud_host).paused is None

    def test_alone_its_failure_is_the_jobs(
        self, cloud_host: Host, google: Vendor
    ) -> None:
        Desk(cloud_host).save({("tensorflow", "enabled"): False})
        google.answer = Answer(400, {"error": {"message": "Bad image data."}})
        upload(cloud_host, 1)
        drain(cloud_host)
        [job] = cloud_host.jobs()
        assert (job.state, job.error_code) == ("failed", "provider_rejected")
        [failure] = cloud_host.failures
        assert failure["message"] == "Google Cloud Vision answered 400: Bad image data."

    def test_after_failures_in_a_row_it_is_left_alone(
        self, cloud_host: Host, google: Vendor
    ) -> None:
        google.answer = Answer(500)
        upload(cloud_host, *range(8))
        drain(cloud_host)
        assert len(google.requests) == circuit_breaker.FAILURES
        assert 20 < provider_state(cloud_host).resting <= circuit_breaker.FIRST_REST
        let_it_in(cloud_host)
        google.answer = answer_each
        be_due(cloud_host)
        drain(cloud_host)
        assert provider_state(cloud_host).resting == 0
        assert all("Cup" in tags(cloud_host, number) for number in range(8))

    def test_a_provider_of_others_that_raises(
        self,
        cloud_host: Host,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        from flask_autotag.providers.google_vision import GoogleVisionProvider

        secret = "AIza-secret-" + "0123"

        def broken(*_: Any) -> Any:
            raise KeyError(secret)

        monkeypatch.setattr(GoogleVisionProvider, "classify", broken)
        upload(cloud_host, 1)
        drain(cloud_host)
        [job] = cloud_host.jobs()
        assert job.error_text == "Google Cloud Vision raised KeyError."
        # The log holds the lines of the error, but not its message.
        assert "Google Cloud Vision raised KeyError in" in caplog.text
        assert "in broken\n" in caplog.text
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("status", "headers", "state", "code", "seconds"),
    [
        (400, {}, "done", None, None),
        (401, {}, "done", None, None),
        (403, {}, "done", None, None),
        (404, {}, "done", None, None),
        (413, {}, "done", None, None),
        (415, {}, "done", None, None),
        (302, {"Location": "http://169.254.169.254/"}, "done", None, None),
        (429, {}, "queued", "provider_busy", 60),
        (429, {"Retry-After": "120"}, "queued", "provider_busy", 120),
        (429, {"Retry-After": "86400"}, "queued", "provider_busy", 3600),
        (503, {"Retry-After": "120"}, "queued", "provider_busy", 120),
        (500, {}, "queued", "provider_failed", 10),
        (503, {}, "queued", "provider_failed", 10),
    ],
)
def test_what_becomes_of_the_job(
    sqlite_url: str,
    google: Vendor,
    status: int,
    headers: dict[str, str],
    state: str,
    code: str | None,
    seconds: float | None,
) -> None:
    google.answer = Answer(status, {}, headers)
    with make_host(
        sqlite_url,
        AUTOTAG_GOOGLE_ENDPOINT=google.url,
        AUTOTAG_ALLOWED_ORIGINS=[google.url],
        **GOOGLE_ON,
    ) as host:
        upload(host, 1)
        drain(host)
        [job] = host.jobs()
        assert (job.state, job.error_code) == (state, code)
        # A request to wait does not count as a try.
        assert job.failures == (1 if code == "provider_failed" else 0)
        if seconds is not None:
            assert seconds / 2 <= job.run_at - job.created_at < seconds + 60
        paused = provider_state(host).paused is not None
        assert paused == (status in (302, 401, 403, 404))
        assert tags(host, 1) == LOCAL


class TestPause:
    @pytest.fixture(autouse=True)
    def refused(self, cloud_host: Host, google: Vendor) -> None:
        google.answer = Answer(403, {"error": {"message": "No AIza-secret-0123!"}})
        upload(cloud_host, 1)
        drain(cloud_host)

    def test_a_key_that_is_not_accepted_pauses_it(
        self, cloud_host: Host, google: Vendor
    ) -> None:
        [job] = cloud_host.jobs()
        assert job.state == "done"
        [failure] = cloud_host.failures
        assert (failure["code"], failure["message"]) == (
            "provider_refused",
            "Google Cloud Vision answered 403: No …!",
        )
        assert provider_state(cloud_host).paused == failure["message"]
        upload(cloud_host, 2)
        drain(cloud_host)
        assert len(google.requests) == 1
        assert len(cloud_host.failures) == 1
        assert tags(cloud_host, 2) == LOCAL

    def test_other_instances_go_on(self, cloud_host: Host, google: Vendor) -> None:
        upload(cloud_host, 2, instance="news")
        drain(cloud_host)
        assert len(google.requests) == 2

    @pytest.mark.parametrize("instance", ["shop", ""])
    def test_it_ends_with_a_change(
        self, cloud_host: Host, google: Vendor, instance: str
    ) -> None:
        google.answer = answer_each
        desk = Desk(cloud_host)
        desk.save({("tensorflow", "confidence_threshold"): 0.4}, instance)
        assert provider_state(cloud_host).paused is not None
        desk.save({("google", "api_key"): "another"}, instance)
        upload(cloud_host, 2)
        drain(cloud_host)
        assert tags(cloud_host, 2)["Cup"] == "google"
        assert google.requests[-1].headers["x-goog-api-key"] == "another"

    def test_no_key_is_anywhere(
        self, cloud_host: Host, caplog: pytest.LogCaptureFixture
    ) -> None:
        models = cloud_host.autotag.state_of(cloud_host.app).database.models
        with cloud_host.app.app_context():
            for table in models.tables:
                for row in cloud_host.db.session.execute(select(table)):
                    assert "AIza" not in repr(tuple(row))
        assert "AIza" not in caplog.text + repr(cloud_host.failures)


def test_without_a_key_nothing_is_sent(sqlite_url: str) -> None:
    with make_host(sqlite_url, AUTOTAG_GOOGLE_ENABLED=True) as host:
        upload(host, 1)
        drain(host)
        assert tags(host, 1) == LOCAL
        with host.app.app_context():
            Desk(host).execute(
                host.models.setting.__table__.insert().values(
                    instance="",
                    section="tensorflow",
                    name="enabled",
                    value="false",
                )
            )
        upload(host, 2)
        drain(host)
        assert [job.error_text for job in host.jobs()] == [
            None,
            "It is paused: API key not set.",
        ]


def test_one_whose_model_cannot_be_told(
    cloud_host: Host, google: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_settings: object) -> str:
        raise RuntimeError("of its author")

    monkeypatch.setattr(GoogleVisionProvider, "model", fail)
    upload(cloud_host, 1)
    drain(cloud_host)
    assert tags(cloud_host, 1) == LOCAL
    [job] = cloud_host.jobs()
    assert (job.state, job.failures) == ("queued", 1)
    assert job.error_text == "Google Cloud Vision raised RuntimeError."
    assert google.requests == []


def test_tag_now_asks_all_and_says_what_is_wrong(
    cloud_host: Host, google: Vendor
) -> None:
    with cloud_host.app.app_context():
        found = cloud_host.autotag.tag_now(AssetRef("photo", "1"), ESPRESSO, "shop")
        assert {tag.name for tag in found} == {*LOCAL, "Cup"}
        Desk(cloud_host).save({("tensorflow", "enabled"): False})
        google.answer = Answer(403, {})
        with pytest.raises(ProviderRefused):
            cloud_host.autotag.tag_now(AssetRef("photo", "2"), photo(2), "shop")
