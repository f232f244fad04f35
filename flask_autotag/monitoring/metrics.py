"""Metrics for Prometheus, collected at each scrape.

Metrics that are read from the database are the same in all processes. Durations of
stages and outcomes of jobs are those of this process.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sqlalchemy.orm import Session

from ..classification.quota import Calls
from ..db.job_states import QUEUED
from ..host.assets import SYSTEM
from ..providers import pricing
from ..providers.registry import remote_providers
from ..runtime.state import State
from ..runtime.timings import BOUNDS
from ..settings.resolution import Settings
from .activity import COUNTED, COUNTED_STATES, Closed, read_providers, read_summary
from .queue_report import Report

try:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ImportError:
    raise ImportError(
        "Metrics need prometheus-client: pip install 'flask-autotag[metrics]'."
    ) from None

if TYPE_CHECKING:
    from flask import Flask


logger = logging.getLogger(__name__)

#: Upper bounds of the buckets, as Prometheus writes them.
_ENDS = (*map(str, BOUNDS), "+Inf")
#: Part of the help of each count that is read from the database.
_LIMIT = f"a count stops at {COUNTED + 1}."


class Extension(Protocol):
    """The part of :class:`~flask_autotag.AutoTag` that the collector uses."""

    def state_of(self, app: Flask) -> State:
        """Return the extension's state for an application."""


class AutoTagCollector(Collector):
    """A collector for a registry of ``prometheus_client``.

    Registering it does not read the database. If the database cannot be read during a
    scrape, ``autotag_up`` is 0, the metrics from the database are left out, and all
    other metrics of the registry are served.

    :param autotag: the extension.
    :param app: an application for which :meth:`~flask_autotag.AutoTag.init_app` was
        called.
    :param instances: instances with metrics of their own, by default none. Each costs
        some queries and some time series.
    :param process: whether to include the metrics of this process, by default yes.
        Exclude them if several processes answer at one address: each scrape would show
        another process.
    """

    def __init__(
        self,
        autotag: Extension,
        app: Flask,
        *,
        instances: Collection[str] = (),
        process: bool = True,
    ) -> None:
        self._app = app
        self._state = autotag.state_of(app)
        self._instances = tuple(instances)
        self._process = process

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without values."""
        yield from _Shared().all
        if self._process:
            yield from _Own().all

    def collect(self) -> Iterable[Metric]:
        """Return the metrics with their current values."""
        shared = _Shared()
        reading = self._read()
        shared.up.add_metric([], float(reading is not None))
        if reading is not None:
            shared.fill(reading)
        yield from shared.all
        if self._process:
            yield from _Own(self._state).all

    def _read(self) -> _Reading | None:
        try:
            with self._app.app_context():
                return _read(self._state, self._instances)
        except Exception as error:
            # The error's text may contain data of the host.
            logger.warning(
                "The database cannot be read for metrics (%s).", type(error).__name__
            )
            return None


@dataclass(frozen=True)
class _Part:
    """The queue and the monthly calls of the system or one instance."""

    report: Report
    calls: Mapping[str, Calls]


@dataclass(frozen=True)
class _Reading:
    """The data of one scrape.

    :param closed: providers that are not asked at present.
    :param instances: the instances with metrics of their own.
    """

    system: _Part
    closed: Sequence[Closed]
    settings: Settings
    instances: Mapping[str, _Part]


def _read(state: State, instances: Sequence[str]) -> _Reading:
    """Read all data in one transaction, without waiting for an unreachable database."""
    models, stored = state.database.models, state.stored_settings()

    def part(session: Session, instance: str) -> tuple[_Part, list[Closed]]:
        closed, calls = read_providers(session, models, instance)
        return _Part(read_summary(session, models, instance), calls), closed

    def work(session: Session) -> _Reading:
        system, closed = part(session, SYSTEM)
        settings = stored.settings(session, SYSTEM)
        each = {name: part(session, name)[0] for name in instances}
        return _Reading(system, closed, settings, each)

    return state.database.transact(work, patience=0.0)


class _Shared:
    """The metrics that are the same in all processes."""

    def __init__(self) -> None:
        self.up = GaugeMetricFamily(
            "autotag_up", "Whether the database could be read: 1 or 0."
        )
        self.jobs = GaugeMetricFamily(
            "autotag_jobs",
            f"Jobs by state; {_LIMIT}",
            labels=["state"],
        )
        self.failed = GaugeMetricFamily(
            "autotag_failed_jobs",
            f"Failed and quarantined jobs by error code; {_LIMIT}",
            labels=["state", "reason"],
        )
        self.oldest = GaugeMetricFamily(
            "autotag_oldest_due_job_seconds",
            "Waiting time of the oldest due job; 0 if there is none.",
        )
        self.workers = GaugeMetricFamily(
            "autotag_busy_workers", "Processes that are running jobs."
        )
        self.images = GaugeMetricFamily(
            "autotag_provider_month_images",
            "Images sent to a provider this month (UTC).",
            labels=["provider"],
        )
        self.cost = GaugeMetricFamily(
            "autotag_provider_month_cost",
            "Approximate cost of this month's images at the system's list price.",
            labels=["provider", "currency"],
        )
        self.paused = GaugeMetricFamily(
            "autotag_provider_paused_instances",
            "Instances in which a provider is paused because it rejected its key.",
            labels=["provider"],
        )
        self.resting = GaugeMetricFamily(
            "autotag_provider_resting_instances",
            "Instances in which a provider is not asked for a while, because it failed"
            " or requested a delay.",
            labels=["provider"],
        )
        self.instance_jobs = GaugeMetricFamily(
            "autotag_instance_jobs",
            f"Jobs of an instance by state; {_LIMIT}",
            labels=["instance", "state"],
        )
        self.instance_oldest = GaugeMetricFamily(
            "autotag_instance_oldest_due_job_seconds",
            "Waiting time of an instance's oldest due job; 0 if there is none.",
            labels=["instance"],
        )
        self.instance_images = GaugeMetricFamily(
            "autotag_instance_provider_month_images",
            "Images of an instance sent to a provider this month (UTC).",
            labels=["instance", "provider"],
        )

    @property
    def all(self) -> Iterator[Metric]:
        """All of these metrics."""
        yield from vars(self).values()

    def fill(self, reading: _Reading) -> None:
        """Set the values."""
        report = reading.system.report
        for state in COUNTED_STATES:
            self.jobs.add_metric([state], report.states.get(state, 0))
        for reason in report.reasons:
            self.failed.add_metric([reason.state, reason.code], reason.count)
        self.oldest.add_metric([], report.oldest or 0.0)
        self.workers.add_metric([], len(report.workers))
        self._fill_providers(reading)
        for name, part in reading.instances.items():
            self._fill_instance(name, part)

    def _fill_providers(self, reading: _Reading) -> None:
        closed = Counter(
            (each.provider, each.state.paused is not None) for each in reading.closed
        )
        for name in _names(reading):
            images = reading.system.calls.get(name, Calls()).own
            self.images.add_metric([name], images)
            self.paused.add_metric([name], closed[name, True])
            self.resting.add_metric([name], closed[name, False])
            price = reading.settings.values.get(name, {}).get("price")
            if price is not None:
                cost = pricing.total(images, price)
                self.cost.add_metric([name, cost.currency], float(cost.amount))

    def _fill_instance(self, name: str, part: _Part) -> None:
        for state in COUNTED_STATES:
            number = part.report.states.get(state, 0)
            self.instance_jobs.add_metric([name, state], number)
        self.instance_oldest.add_metric([name], part.report.oldest or 0.0)
        for provider, calls in part.calls.items():
            self.instance_images.add_metric([name, provider], calls.own)


def _names(reading: _Reading) -> Sequence[str]:
    """Return the names of remote providers, including uninstalled ones with data."""
    installed = [provider.name for provider in remote_providers()]
    closed = [each.provider for each in reading.closed]
    return list(dict.fromkeys([*installed, *reading.system.calls, *closed]))


class _Own:
    """The metrics of this process.

    :param state: the state with the counts; without it the metrics have no values.
    """

    def __init__(self, state: State | None = None) -> None:
        self.stages = HistogramMetricFamily(
            "autotag_stage_seconds",
            "Duration of a stage: to load or classify an image, send one request to a"
            " remote provider, or store a batch.",
            labels=["stage", "provider"],
        )
        self.ended = CounterMetricFamily(
            "autotag_jobs_ended",
            "Jobs that this process ended, by state and error code.",
            labels=["state", "reason"],
        )
        self.retries = CounterMetricFamily(
            "autotag_job_retries",
            "Jobs that this process queued for another attempt, by error code.",
            labels=["reason"],
        )
        self.requests = CounterMetricFamily(
            "autotag_provider_requests",
            "Requests to a remote provider, by error code.",
            labels=["provider", "reason"],
        )
        if state is not None:
            self._fill(state)

    @property
    def all(self) -> Iterator[Metric]:
        """All of these metrics."""
        yield from vars(self).values()

    def _fill(self, state: State) -> None:
        for labels, durations in state.timings.read().items():
            buckets = list(zip(_ENDS, durations.buckets, strict=True))
            self.stages.add_metric(labels, buckets, durations.seconds)
        for (kind, reason), number in state.outcomes.reasons.items():
            if kind == QUEUED:
                self.retries.add_metric([reason], number)
            else:
                self.ended.add_metric([kind, reason], number)
        for labels, number in state.exchanges.reasons.items():
            self.requests.add_metric(labels, number)
