"""The activity of the queue and the providers."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sqlalchemy import insert

from flask_autotag.classification.circuit_breaker import record_failure
from flask_autotag.classification.quota import Calls, count
from flask_autotag.errors import ProviderBusy, ProviderRefused
from flask_autotag.host.assets import SYSTEM
from flask_autotag.monitoring import activity
from flask_autotag.monitoring.activity import Activity, read_activity

from ..hosts import Host


def now() -> float:
    return time.time()


def job(number: int, instance: str, state: str, **values: Any) -> dict[str, Any]:
    live = state in ("queued", "running")
    return {
        "instance": instance,
        "asset_type": "photo",
        "asset_id": str(number),
        "dedupe_key": str(number) if live else None,
        "state": state,
        "priority": 0,
        "run_at": now() - 100 if live else None,
        "error_code": None,
        "error_text": None,
        "lease_owner": "worker 1" if state == "running" else None,
        "created_at": now() - 200,
        "finished_at": None if live else now() - 10,
        **values,
    }


def write(host: Host, *jobs: dict[str, Any]) -> None:
    with host.db.engine.begin() as connection:
        connection.execute(insert(host.models.job.__table__), list(jobs))


def read(host: Host, instance: str = SYSTEM) -> Activity:
    database = host.autotag.state_of(host.app).database
    return database.transact(
        lambda session: read_activity(session, host.models, instance)
    )


GONE = {"error_code": "image_missing", "error_text": "It is gone."}
CRASHED = {"error_code": "classifier_crashed", "error_text": "It crashed."}


@pytest.fixture
def busy(any_host: Host) -> Host:
    """A host with jobs in every state, in two instances."""
    with any_host.app.app_context():
        write(
            any_host,
            job(1, "shop", "queued", run_at=now() - 50),
            job(2, "shop", "queued", run_at=now() + 999, **GONE),
            job(3, "news", "queued", priority=1),
            job(4, "news", "running", run_at=now() + 60),
            job(5, "shop", "done"),
            job(6, "shop", "done", finished_at=now() - 600),
            job(7, "news", "done"),
            job(8, "shop", "failed", **GONE, finished_at=now() - 20),
            job(9, "shop", "failed", **GONE),
            job(10, "news", "failed", **GONE, finished_at=now() - 15),
            job(11, "news", "failed", error_code="loader_failed", error_text="No."),
            job(12, "shop", "quarantined", **CRASHED),
            job(13, "shop", "cancelled"),
        )
    return any_host


def test_the_system(busy: Host) -> None:
    with busy.app.app_context():
        now = read(busy)
    report = now.report
    assert report.states == {"queued": 3, "running": 1, "failed": 4, "quarantined": 1}
    assert (report.bulk, report.workers) == (1, ("worker 1",))
    assert report.oldest == pytest.approx(100, abs=20)
    assert [(one.state, one.code, one.count) for one in report.reasons] == [
        ("failed", "image_missing", 3),
        ("failed", "loader_failed", 1),
        ("quarantined", "classifier_crashed", 1),
    ]
    assert [one.asset.id for one in report.reasons[0].examples] == ["9", "10", "8"]
    assert sum(hour.done for hour in now.hours) == 3
    assert sum(hour.failed for hour in now.hours) == 5


def test_an_instance_is_of_its_own_jobs(busy: Host) -> None:
    with busy.app.app_context():
        shop, news, other = (read(busy, name) for name in ("shop", "news", "tv"))
    assert shop.report.states == {"queued": 2, "failed": 2, "quarantined": 1}
    assert shop.report.oldest == pytest.approx(50, abs=20)
    assert (shop.report.last_minute, shop.report.last_hour) in [(1, 2), (0, 2)]
    assert sum(hour.done for hour in shop.hours) == 2
    assert news.report.states == {"queued": 1, "running": 1, "failed": 2}
    assert [one.code for one in news.report.reasons] == [
        "image_missing",
        "loader_failed",
    ]
    assert other.report.states == {}
    assert (other.report.oldest, other.report.reasons) == (None, ())


def test_counts_stop(busy: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "COUNTED", 1)
    with busy.app.app_context():
        system, shop = read(busy).report, read(busy, "shop").report
    assert system.states["queued"] == shop.states["queued"] == 2
    assert [one.count for one in system.reasons] == [2, 1, 1]


def test_providers(any_host: Host) -> None:
    with any_host.app.app_context():
        database = any_host.autotag.state_of(any_host.app).database
        with database.begin() as session:
            models = any_host.models
            count(session, models, "shop", "google", 7)
            count(session, models, "news", "google", 5)
            refused = ProviderRefused("The key was not accepted.")
            record_failure(session, models, "shop", "google", refused)
            record_failure(session, models, "news", "microsoft", ProviderBusy("", 90.0))
        system, shop, news = (read(any_host, one) for one in (SYSTEM, "shop", "news"))
    assert system.calls == {"google": Calls(12, 12)}
    assert shop.calls == {"google": Calls(7, 12)}
    assert [(one.instance, one.provider) for one in system.closed] == [
        ("news", "microsoft"),
        ("shop", "google"),
    ]
    assert [one.state.paused for one in shop.closed] == ["The key was not accepted."]
    [busy] = news.closed
    assert 80 < busy.state.resting <= 90
    assert news.calls == {"google": Calls(5, 12), "microsoft": Calls()}
