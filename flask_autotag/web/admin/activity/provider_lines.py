"""The state of the providers in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ....classification.quota import Calls
from ....monitoring.activity import Activity, Closed
from ....providers.registry import is_enabled
from ....runtime.state import State
from ...access import instances
from ...translation import gettext
from ..filters import section_title, utc
from ..scope import Scope
from ..settings.connection_test import find
from ..settings.usage import usage_sentence

#: The most instances in which a provider is reported as paused or resting.
_CLOSED = 20


@dataclass(frozen=True)
class ProviderLine:
    """One provider.

    :param troubles: why it gets no images now, and for how long.
    :param usage: the number of images that it got, and their approximate price.
    """

    title: str
    troubles: Sequence[str]
    usage: str


def provider_lines(
    state: State, scope: Scope, activity: Activity
) -> Sequence[ProviderLine]:
    """Return the providers that are on, paused, resting or used this month."""
    settings = state.settings_for(scope.instance)
    lines = []
    for section in state.sections:
        name = section.name
        closed = [each for each in activity.closed if each.provider == name]
        calls = activity.calls.get(name, Calls())
        if not name or not (is_enabled(settings, name) or closed or calls.own):
            continue
        now = activity.report.now
        lines.append(
            ProviderLine(
                section_title(name),
                [_trouble(scope, each, now) for each in closed[:_CLOSED]],
                _usage(scope, name, calls, settings.values.get(name, {})),
            )
        )
    return lines


def _usage(scope: Scope, name: str, calls: Calls, values: Mapping[str, Any]) -> str:
    if find(name) is None:
        return gettext("It runs on this machine.")
    return usage_sentence(scope.instance, calls, values)


def _trouble(scope: Scope, closed: Closed, now: float) -> str:
    state = closed.state
    if state.paused is not None:
        since = state.paused_at.strftime("%Y-%m-%d %H:%M") if state.paused_at else "?"
        sentence = gettext(
            "Paused since %(time)s UTC: %(reason)s", time=since, reason=state.paused
        )
    else:
        sentence = gettext(
            "It failed or asked to wait. The next attempt is at %(time)s UTC.",
            time=utc(now + state.resting).strftime("%H:%M:%S"),
        )
    if not scope.is_system:
        return sentence
    title = instances().get(closed.instance, closed.instance)
    return f"{title}: {sentence}"
