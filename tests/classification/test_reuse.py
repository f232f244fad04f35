"""Answers of remote providers are reused for the same bytes."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, select

from flask_autotag.classification import reuse
from flask_autotag.providers.base import Label

from ..hosts import Host, make_host
from ..providers.clouds import (
    GOOGLE_ON,
    answer_each,
    drain,
    images_sent,
    tags,
    upload,
)
from ..providers.vendors import Vendor, vendor
from ..settings.desk import Desk


def test_the_same_bytes_are_not_paid_twice(cloud_host: Host, google: Vendor) -> None:
    upload(cloud_host, 1, 2, same=True)
    drain(cloud_host)
    upload(cloud_host, 3, same=True)
    drain(cloud_host)
    assert images_sent(google) == 1
    assert [tags(cloud_host, number)["Cup"] for number in (1, 2, 3)] == ["google"] * 3
    upload(cloud_host, 4, same=True, instance="news")
    drain(cloud_host)
    assert images_sent(google) == 2


def test_one_label_list_is_read_however_many_images_have_the_bytes(
    cloud_host: Host, google: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(cloud_host, *range(1, 8), same=True)
    drain(cloud_host)
    made: list[Label] = []

    def make(*values: Any) -> Label:
        made.append(Label(*values))
        return made[-1]

    # Answers are kept beside the predictions for an hour.
    with cloud_host.app.app_context(), cloud_host.db.engine.begin() as connection:
        connection.execute(delete(cloud_host.models.inquiry.__table__))
    monkeypatch.setattr(reuse, "Label", make)
    upload(cloud_host, 8, same=True)
    drain(cloud_host)
    assert images_sent(google) == 1
    assert made
    assert len(made) == len({label.id for label in made})


def test_across_instances_only_if_configured(sqlite_url: str, google: Vendor) -> None:
    with make_host(
        sqlite_url,
        AUTOTAG_GOOGLE_ENDPOINT=google.url,
        AUTOTAG_ALLOWED_ORIGINS=[google.url],
        AUTOTAG_REUSE_ACROSS_INSTANCES=True,
        **GOOGLE_ON,
    ) as host:
        upload(host, 1, same=True)
        drain(host)
        upload(host, 2, same=True, instance="news")
        drain(host)
        assert images_sent(google) == 1
        assert tags(host, 2, "news")["Cup"] == "google"


@pytest.mark.parametrize("first", ["shop", "news"])
@pytest.mark.parametrize(
    "changed",
    ["endpoint", "api_key", "confidence_threshold", "monthly_limit"],
)
def test_what_an_instance_is_told_under_its_own_settings_stays_its_own(
    sqlite_url: str, google: Vendor, first: str, changed: str
) -> None:
    with vendor() as own:
        own.answer = answer_each
        values = {
            "endpoint": own.url,
            "api_key": "AIza-another-4567",
            "confidence_threshold": 0.7,
            "monthly_limit": 100,
        }
        with make_host(
            sqlite_url,
            AUTOTAG_GOOGLE_ENDPOINT=google.url,
            AUTOTAG_ALLOWED_ORIGINS=[google.url, own.url],
            AUTOTAG_REUSE_ACROSS_INSTANCES=True,
            **GOOGLE_ON,
        ) as host:
            change: dict[tuple[str, str], Any] = {("google", changed): values[changed]}
            if changed == "endpoint":
                # Without a key of its own: the system's key is not sent there.
                change["google", "api_key"] = "AIza-another-4567"
            Desk(host).save(change, "shop")
            then = "news" if first == "shop" else "shop"
            for number, instance in enumerate((first, then, "third")):
                upload(host, number, same=True, instance=instance)
                drain(host)
                assert "Cup" in tags(host, number, instance)
            sent = images_sent(google) + images_sent(own)
            # Limits and thresholds do not change answers.
            alike = changed in ("confidence_threshold", "monthly_limit")
            assert sent == (1 if alike else 2)
            # The answer is not shared later either, when the settings are equal again.
            Desk(host).save(dict.fromkeys(change), "shop")
            upload(host, 9, same=True, instance="shop")
            drain(host)
            with host.app.app_context(), host.db.engine.connect() as connection:
                prediction = host.models.prediction.__table__
                shared = connection.scalars(
                    select(prediction.c.shared).where(prediction.c.provider == "google")
                ).all()
            assert sorted(shared) == ([True] * 4 if alike else [False, *[True] * 3])
