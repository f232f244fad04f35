"""The activity of the queue, bulk work and providers, read together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ..classification import circuit_breaker, quota
from ..classification.circuit_breaker import ProviderState
from ..classification.quota import Calls
from ..db.job_states import FAILED, QUARANTINED, QUEUED, RUNNING
from ..db.models import Models
from ..host.assets import SYSTEM
from .hourly import Hour, last_day
from .queue_report import Report, read_report
from .reapply_progress import Applying, applying

#: Counts stop above this number, so that pages stay quick.
COUNTED = 100_000
#: States that are counted. Counts of finished jobs tell administrators nothing.
COUNTED_STATES = (QUEUED, RUNNING, FAILED, QUARANTINED)
#: Jobs that a reason names. Quarantined images are examined one by one.
_EXAMPLES: Mapping[str, int] = {FAILED: 3, QUARANTINED: 20}
_NONE: Mapping[str, int] = {}
#: Jobs that apply settings, listed at most.
_APPLYING = 20


@dataclass(frozen=True)
class Closed:
    """A provider that is not asked at present: it is paused or its breaker is open.

    :param provider: name of the provider.
    """

    instance: str
    provider: str
    state: ProviderState


@dataclass(frozen=True)
class Activity:
    """The activity of the system or one instance.

    :param report: the queue; its counts stop above :data:`COUNTED`.
    :param hours: the last 24 hours; the current hour comes last.
    :param applying: jobs that apply settings to existing images.
    :param closed: providers that are not asked at present.
    :param calls: number of images sent this month, by provider.
    """

    report: Report
    hours: Sequence[Hour]
    applying: Sequence[Applying]
    closed: Sequence[Closed]
    calls: Mapping[str, Calls]


def read_activity(session: Session, models: Models, instance: str) -> Activity:
    """Read the activity of an instance, or of all for :data:`.SYSTEM`."""
    tenant = None if instance == SYSTEM else instance
    closed, calls = read_providers(session, models, instance)
    return Activity(
        read_summary(session, models, instance, _EXAMPLES),
        last_day(session, models, tenant),
        applying(session, models, tenant, _APPLYING),
        closed,
        calls,
    )


def read_summary(
    session: Session,
    models: Models,
    instance: str,
    examples: Mapping[str, int] = _NONE,
) -> Report:
    """Read the report of the queue alone.

    :param instance: an instance, or :data:`.SYSTEM` for all.
    :param examples: number of jobs that a reason names, by state.
    """
    tenant = None if instance == SYSTEM else instance
    return read_report(session, models, tenant, COUNTED_STATES, COUNTED, examples)


def read_providers(
    session: Session, models: Models, instance: str
) -> tuple[list[Closed], dict[str, Calls]]:
    """Read the state of the providers alone.

    :param instance: an instance, or :data:`.SYSTEM` for all.
    :return: the providers that are not asked at present, and the number of images sent
        this month, by provider.
    """
    if instance == SYSTEM:
        closed = circuit_breaker.read_closed(session, models)
        calls = quota.read_calls(session, models, SYSTEM)
        return [Closed(*each) for each in closed], calls
    states = circuit_breaker.read_states(session, models, instance)
    return (
        [
            Closed(instance, name, state)
            for name, state in states.items()
            if state.is_closed
        ],
        {name: state.calls for name, state in states.items()},
    )
