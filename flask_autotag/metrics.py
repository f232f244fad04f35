"""Metrics for Prometheus, collected when somebody asks for them.

What is in the database is true of all processes. How long stages take, and what came of
jobs, is told of this process.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from . import costs
from .activity import COUNTED, STATES, Closed, read_providers, read_summary
from .assets import SYSTEM
from .gate import Calls
from .jobs.queue import QUEUED
from .jobs.report import Report
from .providers.registry import elsewhere
from .settings.resolution import Settings
from .state import State
from .timings import BOUNDS

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

    from .extension import AutoTag

logger = logging.getLogger(__name__)

#: The upper ends of buckets, as Prometheus writes them.
_ENDS = (*map(str, BOUNDS), "+Inf")
#: Told of every count that is read from the database.
_MOST = f"a count stops at {COUNTED + 1}."


class AutoTagCollector(Collector):
    """Tells a registry of ``prometheus_client`` what goes on.

    Registering it reads nothing. If the database cannot be read, ``autotag_up`` is 0,
    what would be read from it is left out, and the registry's other metrics stay.

    :param autotag: the extension.
    :param app: the application; :meth:`~flask_autotag.AutoTag.init_app` was called for
        it.
    :param instances: those that are told of one by one too, each at the price of some
        questions to the database and some series.
    :param process: whether to tell of this process too. Where several processes answer
        at one address, these metrics are of another one each time: leave them out.
    """

    def __init__(
        self,
        autotag: AutoTag,
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
        """Give the metrics without any value."""
        yield from _Shared().all
        if self._process:
            yield from _Own().all

    def collect(self) -> Iterable[Metric]:
        """Give the metrics as they are now."""
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
            # Its text may tell of the host's data.
            logger.warning(
                "The queue cannot be read for metrics (%s).", type(error).__name__
            )
            return None


@dataclass(frozen=True)
class _Part:
    """How the queue stands, and the images that providers were sent this month."""

    report: Report
    calls: Mapping[str, Calls]


@dataclass(frozen=True)
class _Reading:
    """What the database says.

    :param closed: providers that are not asked now.
    :param instances: how those stand that are told of one by one.
    """

    system: _Part
    closed: Sequence[Closed]
    settings: Settings
    instances: Mapping[str, _Part]


def _read(state: State, instances: Sequence[str]) -> _Reading:
    """Read everything in one transaction; nobody waits for a database that is gone."""
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
    """The metrics that are the same whichever process tells them."""

    def __init__(self) -> None:
        self.up = GaugeMetricFamily(
            "autotag_up", "Whether the database could be read: 1 or 0."
        )
        self.jobs = GaugeMetricFamily(
            "autotag_jobs",
            f"Jobs in a state; {_MOST}",
            labels=["state"],
        )
        self.failed = GaugeMetricFamily(
            "autotag_failed_jobs",
            f"Failed and quarantined jobs by the code of their failure; {_MOST}",
            labels=["state", "reason"],
        )
        self.oldest = GaugeMetricFamily(
            "autotag_oldest_due_job_seconds",
            "For how long the oldest due job waits; 0 without one.",
        )
        self.workers = GaugeMetricFamily(
            "autotag_busy_workers", "Processes that work on jobs now."
        )
        self.images = GaugeMetricFamily(
            "autotag_provider_month_images",
            "Images that a provider was sent this month (UTC).",
            labels=["provider"],
        )
        self.cost = GaugeMetricFamily(
            "autotag_provider_month_cost",
            "About what the images of this month cost at the system's list price.",
            labels=["provider", "currency"],
        )
        self.paused = GaugeMetricFamily(
            "autotag_provider_paused_instances",
            "Instances in which a provider is paused: it did not accept its key.",
            labels=["provider"],
        )
        self.resting = GaugeMetricFamily(
            "autotag_provider_resting_instances",
            "Instances in which a provider is left alone for a while: it failed, or"
            " asked to wait.",
            labels=["provider"],
        )
        self.instance_jobs = GaugeMetricFamily(
            "autotag_instance_jobs",
            f"Jobs of an instance in a state; {_MOST}",
            labels=["instance", "state"],
        )
        self.instance_oldest = GaugeMetricFamily(
            "autotag_instance_oldest_due_job_seconds",
            "For how long the oldest due job of an instance waits; 0 without one.",
            labels=["instance"],
        )
        self.instance_images = GaugeMetricFamily(
            "autotag_instance_provider_month_images",
            "Images of an instance that a provider was sent this month (UTC).",
            labels=["instance", "provider"],
        )

    @property
    def all(self) -> Iterator[Metric]:
        """Give each of them."""
        yield from vars(self).values()

    def fill(self, reading: _Reading) -> None:
        """Put the values in."""
        report = reading.system.report
        for state in STATES:
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
            (one.provider, one.state.paused is not None) for one in reading.closed
        )
        for name in _names(reading):
            images = reading.system.calls.get(name, Calls()).own
            self.images.add_metric([name], images)
            self.paused.add_metric([name], closed[name, True])
            self.resting.add_metric([name], closed[name, False])
            price = reading.settings.values.get(name, {}).get("price")
            if price is not None:
                cost = costs.total(images, price)
                self.cost.add_metric([name, cost.currency], float(cost.amount))

    def _fill_instance(self, name: str, part: _Part) -> None:
        for state in STATES:
            number = part.report.states.get(state, 0)
            self.instance_jobs.add_metric([name, state], number)
        self.instance_oldest.add_metric([name], part.report.oldest or 0.0)
        for provider, calls in part.calls.items():
            self.instance_images.add_metric([name, provider], calls.own)


def _names(reading: _Reading) -> Sequence[str]:
    """Name the providers elsewhere; also those that are no longer installed."""
    installed = [provider.name for provider in elsewhere()]
    closed = [one.provider for one in reading.closed]
    return list(dict.fromkeys([*installed, *reading.system.calls, *closed]))


class _Own:
    """The metrics of this process.

    :param state: with what was counted; without it they have no values.
    """

    def __init__(self, state: State | None = None) -> None:
        self.stages = HistogramMetricFamily(
            "autotag_stage_seconds",
            "How long a stage takes: load and classify an image, ask a provider"
            " elsewhere once, store a batch.",
            labels=["stage", "provider"],
        )
        self.ended = CounterMetricFamily(
            "autotag_jobs_ended",
            "Jobs that this process ended, and the code of the failure.",
            labels=["state", "reason"],
        )
        self.retries = CounterMetricFamily(
            "autotag_job_retries",
            "Jobs that this process left to be tried again, and why.",
            labels=["reason"],
        )
        self.requests = CounterMetricFamily(
            "autotag_provider_requests",
            "Exchanges with a provider elsewhere, and the code of the failure.",
            labels=["provider", "reason"],
        )
        if state is not None:
            self._fill(state)

    @property
    def all(self) -> Iterator[Metric]:
        """Give each of them."""
        yield from vars(self).values()

    def _fill(self, state: State) -> None:
        for labels, durations in state.timings.read().items():
            buckets = list(zip(_ENDS, durations.buckets, strict=True))
            self.stages.add_metric(labels, buckets, durations.seconds)
        for (kind, reason), number in state.ends.reasons.items():
            if kind == QUEUED:
                self.retries.add_metric([reason], number)
            else:
                self.ended.add_metric([kind, reason], number)
        for labels, number in state.exchanges.reasons.items():
            self.requests.add_metric(labels, number)
