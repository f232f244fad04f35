"""The metrics match the real jobs and calls."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics import parser as strict_parser
from prometheus_client.parser import text_string_to_metric_families

from flask_autotag import AssetRef, AutoTag, image_uploaded
from flask_autotag.classification.circuit_breaker import record_failure
from flask_autotag.classification.quota import count
from flask_autotag.errors import ProviderBusy, ProviderRefused
from flask_autotag.monitoring.metrics import AutoTagCollector

from ..hosts import ESPRESSO, Host, make_host
from ..providers.clouds import GOOGLE_ON, drain, upload
from ..providers.vendors import Answer, Vendor
from ..services import on_sqlite
from .test_activity import CRASHED, GONE, job, now, write

#: The values of metrics, by name and labels.
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def registry_of(host: Host, **options: Any) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(AutoTagCollector(host.autotag, host.app, **options))
    return registry


def values_in(families: Iterable[Any]) -> Values:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def scrape(host: Host, **options: Any) -> Values:
    text = generate_latest(registry_of(host, **options)).decode()
    return values_in(text_string_to_metric_families(text))


def value(values: Values, name: str, **labels: str) -> float | None:
    return values.get((f"autotag_{name}", frozenset(labels.items())))


def names(values: Values) -> set[str]:
    return {name for name, _ in values}


@pytest.fixture
def busy(host: Host) -> Host:
    """A host with jobs in every state, in two instances."""
    with host.app.app_context():
        write(
            host,
            job(1, "shop", "queued", run_at=now() - 500),
            job(2, "shop", "queued", run_at=now() + 999, **GONE),
            job(3, "news", "queued", priority=1),
            job(4, "news", "running", run_at=now() + 60),
            job(5, "shop", "done"),
            job(6, "shop", "failed", **GONE),
            job(7, "news", "failed", **GONE),
            job(8, "news", "failed", error_code="loader_failed", error_text="No."),
            job(9, "shop", "quarantined", **CRASHED),
        )
    return host


def test_the_queue_of_all_processes(busy: Host) -> None:
    found = scrape(busy)
    assert value(found, "up") == 1
    states = ("queued", "running", "failed", "quarantined", "done")
    assert [value(found, "jobs", state=each) for each in states] == [3, 1, 3, 1, None]
    assert {
        (reason, state): value(found, "failed_jobs", state=state, reason=reason)
        for state, reason in [
            ("failed", "image_missing"),
            ("failed", "loader_failed"),
            ("quarantined", "classifier_crashed"),
        ]
    } == {
        ("image_missing", "failed"): 2,
        ("loader_failed", "failed"): 1,
        ("classifier_crashed", "quarantined"): 1,
    }
    oldest = value(found, "oldest_due_job_seconds")
    assert oldest is not None
    assert 500 <= oldest < 800
    assert value(found, "busy_workers") == 1


def test_a_queue_with_nothing_in_it(any_host: Host) -> None:
    found = scrape(any_host)
    assert value(found, "up") == 1
    assert value(found, "jobs", state="queued") == 0
    assert value(found, "oldest_due_job_seconds") == 0
    assert value(found, "busy_workers") == 0
    assert value(found, "provider_month_images", provider="google") == 0
    assert not {name for name in names(found) if name.startswith("autotag_instance")}


def test_a_count_stops_at_a_number(busy: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_autotag.monitoring.activity.COUNTED", 1)
    found = scrape(busy)
    assert value(found, "jobs", state="queued") == 2


def test_instances_that_were_named(busy: Host) -> None:
    database = busy.autotag.state_of(busy.app).database
    with busy.app.app_context(), database.begin() as session:
        count(session, busy.models, "shop", "google", 7)
        count(session, busy.models, "news", "google", 1)
    found = scrape(busy, instances=["shop"])
    assert value(found, "instance_jobs", instance="shop", state="queued") == 2
    assert value(found, "instance_jobs", instance="shop", state="failed") == 1
    oldest = value(found, "instance_oldest_due_job_seconds", instance="shop")
    assert oldest is not None
    assert oldest >= 500
    shop = {"instance": "shop", "provider": "google"}
    assert value(found, "instance_provider_month_images", **shop) == 7
    assert value(found, "provider_month_images", provider="google") == 8
    assert not [labels for _, labels in found if ("instance", "news") in labels]


def test_providers_that_are_not_asked_and_what_they_cost(sqlite_url: str) -> None:
    price = {"AUTOTAG_GOOGLE_PRICE": "$1.50", "AUTOTAG_MICROSOFT_PRICE": "1 eur"}
    with make_host(sqlite_url, **price) as host, host.app.app_context():
        models, state = host.models, host.autotag.state_of(host.app)
        with state.database.begin() as session:
            count(session, models, "shop", "google", 12_000)
            count(session, models, "news", "google", 400)
            for instance in ("shop", "news", "blog"):
                error = ProviderRefused("No.")
                record_failure(session, models, instance, "google", error)
            busy = ProviderBusy("Wait.", 600)
            record_failure(session, models, "shop", "microsoft", busy)
            record_failure(session, models, "shop", "retired", ProviderRefused("No."))
        found = scrape(host)

    def of(metric: str, provider: str, **labels: str) -> float | None:
        return value(found, f"provider_{metric}", provider=provider, **labels)

    assert of("month_images", "google") == 12_400
    assert of("month_cost", "google", currency="$") == 18.6
    assert of("month_cost", "microsoft", currency="EUR") == 0
    assert (of("paused_instances", "google"), of("resting_instances", "google")) == (
        3,
        0,
    )
    assert of("paused_instances", "microsoft") == 0
    assert of("resting_instances", "microsoft") == 1
    # A provider that is no longer installed.
    assert of("paused_instances", "retired") == 1


def test_without_a_price_there_is_no_cost(host: Host) -> None:
    assert "autotag_provider_month_cost" not in names(scrape(host))


@on_sqlite
def test_what_this_process_did(cloud_host: Host, google: Vendor) -> None:
    upload(cloud_host, 1, 2)
    drain(cloud_host)
    with cloud_host.app.app_context():
        for name, image in {"3": b"no image", "4": "gone.jpg"}.items():
            asset = AssetRef("photo", name)
            image_uploaded.send(cloud_host.app, asset=asset, image=image)
    google.answer = Answer(500)
    upload(cloud_host, 5)
    drain(cloud_host)
    found = scrape(cloud_host)

    def count_of(stage: str, provider: str = "") -> float | None:
        return value(found, "stage_seconds_count", stage=stage, provider=provider)

    assert (count_of("load"), count_of("classify")) == (4, 3)
    assert (count_of("ask", "google"), count_of("store")) == (3, 3)
    for end in ("0.001", "60.0", "+Inf"):
        labels = {"stage": "classify", "provider": "", "le": end}
        number = value(found, "stage_seconds_bucket", **labels)
        assert number is not None
        assert number <= 3
    assert value(found, "jobs_ended_total", state="done", reason="") == 2
    failed = {"state": "failed", "reason": "image_unreadable"}
    assert value(found, "jobs_ended_total", **failed) == 1
    assert value(found, "job_retries_total", reason="provider_failed") == 1
    asked = {"provider": "google", "reason": ""}
    assert value(found, "provider_requests_total", **asked) == 2
    asked["reason"] = "provider_failed"
    assert value(found, "provider_requests_total", **asked) == 1
    assert value(found, "provider_month_images", provider="google") == 3


def test_it_can_be_left_to_another_process(inline_host: Host) -> None:
    with inline_host.app.app_context():
        image_uploaded.send(
            inline_host.app, asset=AssetRef("photo", "1"), image=ESPRESSO
        )
    assert "autotag_jobs_ended_total" in names(scrape(inline_host))
    shared = names(scrape(inline_host, process=False))
    assert "autotag_jobs" in shared
    assert not [name for name in shared if "stage" in name or name.endswith("_total")]


@on_sqlite
def test_names_and_units_follow_the_conventions(cloud_host: Host) -> None:
    """The OpenMetrics parser rejects invalid output."""
    upload(cloud_host, 1)
    drain(cloud_host)
    registry = registry_of(cloud_host, instances=["shop"])
    text = openmetrics.generate_latest(registry).decode()
    families = list(strict_parser.text_string_to_metric_families(text))
    assert len(families) == 16
    for family in families:
        assert family.name.startswith("autotag_")
        assert family.documentation.endswith(".")
        if "seconds" in family.name:
            assert family.name.endswith("_seconds")


@on_sqlite
def test_no_key_image_or_sentence_is_told(cloud_host: Host, google: Vendor) -> None:
    google.answer = Answer(403, {"error": {"message": "No AIza-secret-0123!"}})
    with cloud_host.app.app_context():
        for image in (str(ESPRESSO), "secret/path.jpg"):
            asset = AssetRef("private", image)
            image_uploaded.send(
                cloud_host.app, asset=asset, image=image, instance="acme"
            )
    drain(cloud_host)
    text = generate_latest(registry_of(cloud_host)).decode()
    assert 'autotag_provider_paused_instances{provider="google"} 1.0' in text
    for secret in (
        *GOOGLE_ON.values(),
        "AIza",
        "secret",
        "espresso",
        "private",
        "acme",
        google.url,
    ):
        assert str(secret) not in text


@pytest.mark.parametrize("kind", ["no tables", "no server"])
def test_a_database_that_is_down_costs_the_other_metrics_nothing(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = Flask("host")
    app.config["SQLALCHEMY_DATABASE_URI"] = (
        f"sqlite:///{tmp_path / 'empty.sqlite'}"
        if kind == "no tables"
        else "postgresql+psycopg://nobody:secret@127.0.0.1:1/nothing"
    )
    db = SQLAlchemy(app)
    autotag = AutoTag(app)
    autotag.state_of(app).outcomes.add("done")
    registry = CollectorRegistry(auto_describe=True)
    with caplog.at_level(logging.WARNING, "flask_autotag"):
        registry.register(AutoTagCollector(autotag, app))
        assert not caplog.messages
        Gauge("host_visitors", "Of the host.", registry=registry).set(7)
        text = generate_latest(registry).decode()
    found = values_in(text_string_to_metric_families(text))
    assert value(found, "up") == 0
    assert value(found, "jobs_ended_total", state="done", reason="") == 1
    assert found["host_visitors", frozenset()] == 7
    assert names(found) == {"autotag_up", "autotag_jobs_ended_total", "host_visitors"}
    assert caplog.messages == [
        "The database cannot be read for metrics (OperationalError)."
    ]
    with app.app_context():
        db.engine.dispose()
