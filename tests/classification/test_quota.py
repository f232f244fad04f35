"""The monthly quota of images that are sent to a provider."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import update

from flask_autotag.classification import circuit_breaker, quota

from ..hosts import Host, make_host
from ..providers.clouds import (
    GOOGLE_ON,
    be_due,
    drain,
    images_sent,
    provider_state,
    tags,
    upload,
)
from ..providers.vendors import Vendor
from ..servers import free_port
from ..settings.desk import Desk

MAXIMUM, TOGETHER = ("google", "monthly_limit"), ("google", "total_limit")


def test_what_is_over_it_goes_without(cloud_host: Host, google: Vendor) -> None:
    Desk(cloud_host).save({MAXIMUM: 2}, "shop")
    upload(cloud_host, 1, 2, 3)
    drain(cloud_host)
    assert images_sent(google) == 2
    assert [job.state for job in cloud_host.jobs()] == ["done"] * 3
    assert sum("Cup" in tags(cloud_host, number) for number in (1, 2, 3)) == 2
    upload(cloud_host, 4, instance="news")
    drain(cloud_host)
    assert images_sent(google) == 3


def test_all_instances_together_have_one_too(cloud_host: Host, google: Vendor) -> None:
    desk = Desk(cloud_host)
    desk.save({TOGETHER: 2})
    for number, instance in enumerate(("shop", "news", "blog"), 1):
        upload(cloud_host, number, instance=instance)
        drain(cloud_host)
    assert images_sent(google) == 2
    assert [job.state for job in cloud_host.jobs()] == ["done"] * 3
    assert provider_state(cloud_host, "shop").calls == quota.Calls(1, 2)
    assert provider_state(cloud_host, "blog").calls == quota.Calls(0, 2)
    assert "Cup" not in tags(cloud_host, 3, "blog")
    # The instance's own limit still applies.
    desk.save({TOGETHER: 10, MAXIMUM: 1})
    upload(cloud_host, 4, instance="shop")
    drain(cloud_host)
    assert images_sent(google) == 2


def test_what_was_not_sent_does_not_count(host_database_url: str) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with make_host(
        host_database_url,
        AUTOTAG_GOOGLE_ENDPOINT=nobody,
        AUTOTAG_GOOGLE_MONTHLY_LIMIT=1,
        AUTOTAG_ALLOWED_ORIGINS=[nobody],
        **GOOGLE_ON,
    ) as host:
        upload(host, 1)
        for _ in range(3):
            drain(host)
            be_due(host)
        assert provider_state(host).calls == quota.Calls()
        [job] = host.jobs()
        assert job.failures == 3
        assert job.error_code == "provider_unreachable"


def test_or_waits(cloud_host: Host, google: Vendor) -> None:
    Desk(cloud_host).save({MAXIMUM: 1, ("google", "over_limit"): "wait"})
    upload(cloud_host, 1, 2)
    drain(cloud_host)
    assert images_sent(google) == 1
    states = sorted(job.state for job in cloud_host.jobs())
    assert states == ["done", "queued"]
    assert "espresso" in tags(cloud_host, 2)
    table = cloud_host.autotag.state_of(cloud_host.app).database.models.usage
    with cloud_host.app.app_context(), cloud_host.db.engine.begin() as connection:
        connection.execute(update(table.__table__).values(month="2000-01"))
    be_due(cloud_host)
    drain(cloud_host)
    assert images_sent(google) == 2
    assert provider_state(cloud_host).calls.own == 1


@pytest.mark.parametrize(
    ("limits", "instances"),
    [
        (quota.Limits(own=100), ["shop"]),
        (quota.Limits(own=90, total=100), ["shop", "news", "blog"]),
    ],
)
def test_fifty_workers_make_exactly_a_hundred_calls(
    cloud_host: Host, limits: quota.Limits, instances: list[str]
) -> None:
    state = cloud_host.autotag.state_of(cloud_host.app)
    granted: list[int] = []
    ready = threading.Barrier(50)

    def work(instance: str) -> None:
        ready.wait()
        with cloud_host.app.app_context():
            for wanted in (1, 3, 2):
                granted.append(
                    state.database.transact(
                        lambda session, wanted=wanted: circuit_breaker.reserve_calls(  # type: ignore[misc]
                            session, models, instance, "google", wanted, limits
                        )
                    )
                )

    models = state.database.models
    threads = [
        threading.Thread(target=work, args=(instances[number % len(instances)],))
        for number in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 150
    assert sum(granted) == 100
    calls = [provider_state(cloud_host, one).calls for one in instances]
    assert sum(one.own for one in calls) == 100
    assert {one.total for one in calls} == {100}


def test_what_was_counted_in_another_month_is_not_given_back(cloud_host: Host) -> None:
    state = cloud_host.autotag.state_of(cloud_host.app)
    models = state.database.models
    with cloud_host.app.app_context(), state.database.begin() as session:
        quota.count(session, models, "news", "google", 5)
        # A new month has begun, in which only other instances sent images.
        quota.refund(session, models, "shop", "google", 3)
    assert provider_state(cloud_host, "news").calls == quota.Calls(5, 5)
    with cloud_host.app.app_context(), state.database.begin() as session:
        quota.refund(session, models, "news", "google", 3)
    assert provider_state(cloud_host, "news").calls == quota.Calls(2, 2)
