"""Ended jobs by hour."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from flask_autotag.db.job_states import DONE, FAILED, QUARANTINED
from flask_autotag.monitoring import hourly
from flask_autotag.monitoring.hourly import HOURS, last_day

from ..hosts import Host
from ..jobs.queues import database

HOUR = 3600.0
#: Age in seconds, and the state of the job; some are older than a day.
ENDS = st.lists(
    st.tuples(
        st.floats(0, 26 * HOUR),
        st.sampled_from([DONE, FAILED, QUARANTINED]),
        st.sampled_from(["shop", "news"]),
    ),
    max_size=40,
)


def write(host: Host, *ended: tuple[float, str, str]) -> None:
    """Replace all jobs by these."""
    table = host.models.job.__table__
    rows: list[dict[str, Any]] = [
        {
            "instance": instance,
            "asset_type": "photo",
            "asset_id": str(number),
            "state": state,
            "error_code": None if state == DONE else f"code_{number % 3}",
            "created_at": 1.0,
            "finished_at": moment,
        }
        for number, (moment, state, instance) in enumerate(ended)
    ]
    with database(host).begin() as session:
        session.execute(delete(table))
        if rows:
            session.execute(insert(table), rows)


def read(host: Host, instance: str | None = None) -> list[hourly.Hour]:
    with database(host).begin() as session:
        return list(last_day(session, host.models, instance))


@pytest.mark.parametrize("few", [0, 10, 1000])
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ended=ENDS)
def test_every_job_is_in_one_hour(
    host: Host, few: int, ended: list[tuple[float, str, str]]
) -> None:
    """For any number of jobs, the hours add up to all jobs of the day."""
    now = time.time()
    moments = [(now - ago, state, instance) for ago, state, instance in ended]
    with host.app.app_context(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(hourly, "_FEW", few)
        write(host, *moments)
        for instance in (None, "shop"):
            hours = read(host, instance)
            counted = [
                (moment, state)
                for moment, state, of in moments
                if moment >= hours[0].start and instance in (None, of)
            ]
            assert sum(hour.done for hour in hours) == sum(
                state == DONE for _, state in counted
            )
            assert sum(hour.failed for hour in hours) == sum(
                state != DONE for _, state in counted
            )


@pytest.mark.parametrize("few", [0, 1000])
def test_hours_are_full_ones(
    any_host: Host, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hourly, "_FEW", few)
    with any_host.app.app_context():
        present = read(any_host)[-1].start
        write(
            any_host,
            (present, DONE, "shop"),
            (present - 0.5, DONE, "shop"),
            (present - HOUR, FAILED, "shop"),
            (present - HOUR * 1.5, QUARANTINED, "news"),
            # The clock of another server is ahead.
            (present + 2 * HOUR, DONE, "news"),
        )
        hours = read(any_host)
        shop = read(any_host, "shop")
    assert len(hours) == HOURS
    assert [hour.start for hour in hours][-2:] == [present - 3600, present]
    assert [(hour.done, hour.failed) for hour in hours][-3:] == [(0, 1), (1, 1), (2, 0)]
    assert [(hour.done, hour.failed) for hour in shop][-3:] == [(0, 0), (1, 1), (1, 0)]
