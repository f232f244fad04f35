"""The circuit breaker of a remote provider."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from flask_autotag.classification import circuit_breaker, quota
from flask_autotag.errors import (
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    TaggingError,
)

from ..hosts import Host
from ..providers.clouds import let_it_in, provider_state

T = TypeVar("T")


def transact(host: Host, work: Callable[..., T], *arguments: Any) -> T:
    """Call a function of the circuit breaker for one provider, in a transaction."""
    state = host.autotag.state_of(host.app)
    with host.app.app_context():
        return state.database.transact(
            lambda session: work(
                session, state.database.models, "shop", "google", *arguments
            )
        )


def note_failure(host: Host, error: TaggingError) -> None:
    transact(host, circuit_breaker.record_failure, error)


def note_success(host: Host) -> None:
    transact(host, circuit_breaker.record_success)


def admit(host: Host, limits: quota.Limits = quota.NO_LIMITS) -> int:
    """Return how many images a worker may send now if it wants to send one."""
    return transact(host, circuit_breaker.reserve_calls, 1, limits)


def admitted(host: Host, limits: quota.Limits = quota.NO_LIMITS) -> bool:
    try:
        return admit(host, limits) == 1
    except ProviderBusy:
        return False


def test_it_opens_after_failures_and_closes_after_a_success(cloud_host: Host) -> None:
    for _ in range(circuit_breaker.FAILURES - 1):
        note_failure(cloud_host, ProviderError("x"))
        assert admit(cloud_host) == 1
    note_failure(cloud_host, ProviderError("x"))
    with pytest.raises(ProviderBusy) as caught:
        admit(cloud_host)
    assert caught.value.seconds <= circuit_breaker.FIRST_REST
    note_failure(cloud_host, ProviderError("x"))
    assert provider_state(cloud_host).resting > circuit_breaker.FIRST_REST
    note_success(cloud_host)
    assert admit(cloud_host) == 1
    note_failure(cloud_host, ProviderRefused("no key"))
    with pytest.raises(ProviderRefused, match="It is paused: no key"):
        admit(cloud_host)


@given(st.integers(circuit_breaker.FAILURES, 10**9))
def test_a_rest_doubles_up_to_an_hour_after_any_number_of_failures(
    failures: int,
) -> None:
    rest = circuit_breaker.rest_after(failures)
    assert circuit_breaker.FIRST_REST <= rest <= circuit_breaker.MAX_REST
    assert circuit_breaker.rest_after(failures + 1) == min(
        circuit_breaker.MAX_REST, 2 * rest
    )


def test_the_breaker_outlives_thousands_of_failures(cloud_host: Host) -> None:
    note_failure(cloud_host, ProviderError("x"))
    with cloud_host.app.app_context(), cloud_host.db.engine.begin() as connection:
        table = cloud_host.models.provider_state.__table__
        connection.execute(update(table).values(failures=5000))
    note_failure(cloud_host, ProviderError("x"))
    resting = provider_state(cloud_host).resting
    assert circuit_breaker.MAX_REST - 20 < resting <= circuit_breaker.MAX_REST


@pytest.mark.parametrize(
    "error", [ProviderError("x"), ProviderBusy("Wait.", 60)], ids=["failed", "busy"]
)
def test_one_of_many_is_let_through_after_a_rest(
    cloud_host: Host, error: TaggingError
) -> None:
    for _ in range(circuit_breaker.FAILURES):
        note_failure(cloud_host, error)
    assert not admitted(cloud_host)
    for _ in range(2):
        let_it_in(cloud_host)
        # The second time, the worker of the first probe has died.
        with ThreadPoolExecutor(8) as executor:
            assert sum(executor.map(lambda _: admitted(cloud_host), range(16))) == 1
    assert 0 < provider_state(cloud_host).resting <= circuit_breaker.PROBE
    assert provider_state(cloud_host).calls.own == 2
    note_success(cloud_host)
    assert all(admitted(cloud_host) for _ in range(3))


def test_a_failed_probe_lengthens_the_rest(cloud_host: Host) -> None:
    for _ in range(circuit_breaker.FAILURES):
        note_failure(cloud_host, ProviderError("x"))
    let_it_in(cloud_host)
    assert admitted(cloud_host)
    note_failure(cloud_host, ProviderError("x"))
    assert provider_state(cloud_host).resting > circuit_breaker.FIRST_REST
    assert not admitted(cloud_host)


def test_who_may_send_nothing_is_no_probe(cloud_host: Host) -> None:
    for _ in range(circuit_breaker.FAILURES):
        note_failure(cloud_host, ProviderError("x"))
    transact(cloud_host, quota.count, 1)
    let_it_in(cloud_host)
    assert not admitted(cloud_host, quota.Limits(own=1))
    assert admitted(cloud_host)
