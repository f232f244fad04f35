"""The durations of stages, counted while several threads work."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.errors import ImageMissing
from flask_autotag.jobs.worker import Worker
from flask_autotag.runtime.timings import ASK, BOUNDS, CLASSIFY, LOAD, STORE, Timings

from ..hosts import ESPRESSO, Host
from ..providers.clouds import drain, upload
from ..providers.vendors import Answer, Vendor


@given(st.lists(st.floats(0, 100), min_size=1))
def test_each_bucket_counts_what_took_no_longer(durations: list[float]) -> None:
    timings = Timings()
    for seconds in durations:
        timings.add(LOAD, seconds)
    found = timings.read()[LOAD, ""]
    assert found.count == len(durations)
    assert found.seconds == pytest.approx(sum(durations))
    for bound, number in zip(BOUNDS, found.buckets, strict=False):
        assert number == sum(seconds <= bound for seconds in durations)


def test_threads_lose_nothing() -> None:
    timings = Timings()

    def add(place: int) -> None:
        for _ in range(1000):
            timings.add(ASK, 0.5, f"provider {place % 2}")

    with ThreadPoolExecutor(4) as executor:
        list(executor.map(add, range(4)))
    for name in ("provider 0", "provider 1"):
        found = timings.read()[ASK, name]
        assert (found.count, found.seconds) == (2000, 1000.0)


def test_what_raises_is_counted_too() -> None:
    timings = Timings()
    with pytest.raises(ImageMissing), timings.measuring(LOAD):
        raise ImageMissing("It is gone.")
    assert timings.read()[LOAD, ""].count == 1


def test_a_worker_measures_its_stages(any_host: Host) -> None:
    """The loader sleeps while the child works on the previous image."""

    @any_host.autotag.image_loader
    def load(asset: AssetRef) -> str:
        time.sleep(0.1)
        if asset.id == "2":
            raise LookupError
        return str(ESPRESSO)

    state = any_host.autotag.state_of(any_host.app)
    with any_host.app.app_context():
        for number in range(4):
            image_uploaded.send(any_host.app, asset=AssetRef("photo", str(number)))
    assert state.timings.read() == {}
    start = time.perf_counter()
    Worker(any_host.app, state).drain()
    passed = time.perf_counter() - start
    found = state.timings.read()
    assert {stage: each.count for (stage, _), each in found.items()} == {
        LOAD: 4,
        CLASSIFY: 3,
        STORE: 3,
    }
    assert 0.4 <= found[LOAD, ""].seconds < passed
    assert 0 < found[CLASSIFY, ""].seconds < passed
    assert 0 < found[STORE, ""].seconds < passed
    assert state.outcomes.reasons == {("done", ""): 3, ("failed", "image_missing"): 1}


def test_exchanges_are_measured_by_provider(cloud_host: Host, google: Vendor) -> None:
    state = cloud_host.autotag.state_of(cloud_host.app)
    upload(cloud_host, 1)
    drain(cloud_host)
    google.answer = Answer(400, {"error": {"message": "Bad image data."}})
    upload(cloud_host, 2)
    drain(cloud_host)
    assert state.timings.read()[ASK, "google"].count == 2
    assert state.exchanges.reasons == {
        ("google", ""): 1,
        ("google", "provider_rejected"): 1,
    }


def test_what_is_to_be_tried_again_and_what_is_not_wanted(host: Host) -> None:
    @host.autotag.image_loader
    def load(asset: AssetRef) -> str:
        if asset.id == "1":
            raise OSError
        return str(ESPRESSO)

    state = host.autotag.state_of(host.app)
    with host.app.app_context():
        for number in (1, 2):
            image_uploaded.send(
                host.app,
                asset=AssetRef("photo", str(number)),
                instance=f"instance {number}",
            )
        with state.database.begin() as session:
            session.execute(
                host.models.setting.__table__.insert().values(
                    instance="instance 2", section="", name="enabled", value="false"
                )
            )
    Worker(host.app, state).drain()
    assert state.outcomes.reasons == {
        ("queued", "loader_failed"): 1,
        ("cancelled", "tagging_off"): 1,
    }
