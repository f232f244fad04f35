"""How the providers fare, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..activity import Activity, Closed
from ..gate import Calls
from ..providers.registry import is_enabled
from ..state import State
from .access import instances
from .connection import find
from .scope import Scope
from .text import gettext
from .usage import usage_sentence

#: Instances of which is told that a provider is not asked there.
_CLOSED = 20


@dataclass(frozen=True)
class ProviderLine:
    """One provider.

    :param troubles: why it is not asked now, and for how long.
    :param usage: what it was sent, and about what that cost.
    """

    title: str
    troubles: Sequence[str]
    usage: str


def provider_lines(
    state: State, scope: Scope, activity: Activity
) -> Sequence[ProviderLine]:
    """List the providers that are on, or that there is something to tell of."""
    settings = state.settings_for(scope.instance)
    lines = []
    for section in state.sections:
        name = section.name
        closed = [one for one in activity.closed if one.provider == name]
        calls = activity.calls.get(name, Calls())
        if not name or not (is_enabled(settings, name) or closed or calls.own):
            continue
        now = activity.report.now
        lines.append(
            ProviderLine(
                gettext(section.title),
                [_trouble(scope, one, now) for one in closed[:_CLOSED]],
                _usage(scope, name, calls, settings.values.get(name, {})),
            )
        )
    return lines


def _usage(scope: Scope, name: str, calls: Calls, values: Mapping[str, Any]) -> str:
    if find(name) is None:
        return gettext("It works on this machine.")
    return usage_sentence(scope.instance, calls, values)


def _trouble(scope: Scope, closed: Closed, now: float) -> str:
    state = closed.state
    if state.paused is not None:
        since = state.paused_at.strftime("%Y-%m-%d %H:%M") if state.paused_at else "?"
        sentence = gettext(
            "Paused since %(time)s UTC: %(reason)s", time=since, reason=state.paused
        )
    else:
        until = datetime.fromtimestamp(now + state.resting, UTC)
        sentence = gettext(
            "It failed, or asked to wait; it is left alone until %(time)s UTC.",
            time=until.strftime("%H:%M:%S"),
        )
    if not scope.is_system:
        return sentence
    title = instances().get(closed.instance, closed.instance)
    return f"{title}: {sentence}"
