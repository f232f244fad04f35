"""The estimate that a bulk command prints before it sends images."""

from __future__ import annotations

from typing import Any

import pytest

from flask_autotag.classification.estimates import Estimate, estimates

from ..hosts import Host, make_host
from ..providers.clouds import GOOGLE_ON, drain, upload
from ..settings.desk import Desk


def lines(host: Host, images: int, instance: str = "shop") -> list[str]:
    state = host.autotag.state_of(host.app)
    with host.app.app_context(), state.database.begin() as session:
        settings = state.settings_for(instance)
        found = estimates(session, state.database.models, settings, instance, images)
    return [one.sentence for one in found]


def test_one_line_for_each_provider_that_charges(sqlite_url: str) -> None:
    config: dict[str, Any] = {
        **GOOGLE_ON,
        "AUTOTAG_GOOGLE_PRICE": 2,
        "AUTOTAG_MICROSOFT_ENABLED": True,
    }
    with make_host(sqlite_url, **config) as host:
        assert lines(host, 12_400) == [
            "Google Cloud Vision: 12,400 images, about 24.80 at the list price"
            " entered.",
            "Microsoft Cognitive Services: 12,400 images, no list price entered.",
        ]


def test_none_where_nobody_charges(host: Host) -> None:
    assert lines(host, 12_400) == []


def test_what_the_month_still_allows(cloud_host: Host) -> None:
    desk = Desk(cloud_host)
    desk.save({("google", "price"): "$1.50"})
    upload(cloud_host, 1, 2)
    drain(cloud_host)
    assert lines(cloud_host, 12_400) == [
        "Google Cloud Vision: 12,400 images, about $18.60 at the list price entered."
    ]
    desk.save({("google", "monthly_limit"): 5_002})
    assert lines(cloud_host, 12_400) == [
        "Google Cloud Vision: 12,400 images, about $18.60 at the list price entered;"
        " 5,000 are left of this month's limit."
    ]
    desk.save({("google", "total_limit"): 3_002})
    assert lines(cloud_host, 12_400, "news") == [
        "Google Cloud Vision: 12,400 images, about $18.60 at the list price entered;"
        " 3,000 are left of this month's limit."
    ]
    desk.save({("google", "total_limit"): None})
    assert lines(cloud_host, 1, "news") == [
        "Google Cloud Vision: 1 image, less than $0.01 at the list price entered;"
        " 5,002 are left of this month's limit."
    ]


@pytest.mark.parametrize(("allowed", "words"), [(0, "0 are left"), (1, "1 is left")])
def test_few_are_left(allowed: int, words: str) -> None:
    assert words in Estimate("Google", 5, allowed, None).sentence
