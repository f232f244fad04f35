"""What goes on: the queue, the last day, bulk work and providers, read together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from . import gate
from .assets import SYSTEM
from .gate import Calls, ProviderState
from .jobs.day import Hour, last_day
from .jobs.outlook import Applying, applying
from .jobs.queue import FAILED, QUARANTINED, QUEUED, RUNNING
from .jobs.report import Report, read_report
from .models import Models

#: Where counts stop while somebody waits for them.
COUNTED = 100_000
#: States that an administrator looks for; how much was ever done says nothing.
STATES = (QUEUED, RUNNING, FAILED, QUARANTINED)
#: Jobs that a reason names; those in quarantine are looked at one by one.
_EXAMPLES: Mapping[str, int] = {FAILED: 3, QUARANTINED: 20}
_NONE: Mapping[str, int] = {}
#: Jobs that apply settings.
_APPLYING = 20


@dataclass(frozen=True)
class Closed:
    """A provider that is not asked now.

    :param instance: of which.
    :param provider: its name.
    """

    instance: str
    provider: str
    state: ProviderState


@dataclass(frozen=True)
class Activity:
    """What goes on in the system, or in one instance.

    :param report: the queue. Its counts stop above :data:`COUNTED`.
    :param hours: the last day, the present hour last.
    :param applying: jobs that apply settings to existing images.
    :param closed: providers that are not asked now.
    :param calls: what each provider was sent this month, by name.
    """

    report: Report
    hours: Sequence[Hour]
    applying: Sequence[Applying]
    closed: Sequence[Closed]
    calls: Mapping[str, Calls]


def read_activity(session: Session, models: Models, instance: str) -> Activity:
    """Read what goes on.

    :param instance: or :data:`.SYSTEM`, for all instances.
    """
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
    """Read only how the queue stands.

    :param instance: or :data:`.SYSTEM`, for all instances.
    :param examples: how many jobs a reason names, by the state of these.
    """
    tenant = None if instance == SYSTEM else instance
    return read_report(session, models, tenant, STATES, COUNTED, examples)


def read_providers(
    session: Session, models: Models, instance: str
) -> tuple[list[Closed], dict[str, Calls]]:
    """Read only how the providers fare.

    :param instance: or :data:`.SYSTEM`, for all instances.
    :return: those that are not asked now, and what each was sent this month, by name.
    """
    if instance == SYSTEM:
        found = gate.read_closed(session, models)
        return [Closed(*one) for one in found], gate.read_calls(session, models, SYSTEM)
    states = gate.read_states(session, models, instance)
    return (
        [
            Closed(instance, name, state)
            for name, state in states.items()
            if state.is_closed
        ],
        {name: state.calls for name, state in states.items()},
    )
