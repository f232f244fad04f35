"""The overview of all scopes, and the history of a scope."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flask import render_template
from sqlalchemy.orm import Session

from ...classification.circuit_breaker import read_paused
from ...host.assets import SYSTEM
from ...monitoring.activity import read_summary
from ...monitoring.queue_report import Report
from ...settings.fields import paths
from ...settings.resolution import Layers, Settings
from ...settings.stored import SettingChange
from ..access import VIEW, current_state, instances
from ..layout import base_context
from ..translation import gettext
from .activity.headline import Headline, headline
from .filters import section_title
from .images.action_list import read_actions
from .scope import Scope
from .setting_text import write

#: The most characters of a value in the history.
_MOST = 80


@dataclass(frozen=True)
class OverviewRow:
    """One scope in the overview.

    :param own: the number of fields that are set for it.
    :param paused: the titles of its paused providers.
    :param activity: its queue in short, where the overview shows it.
    """

    scope: Scope
    title: str
    settings: Settings
    own: int
    paused: Sequence[str]
    activity: Headline | None = None

    @property
    def shows_settings(self) -> bool:
        """Whether the user may see the settings of the scope."""
        return self.scope.may(VIEW)


@dataclass(frozen=True)
class HistoryLine:
    """One change in the history, as texts."""

    change: SettingChange
    section: str
    label: str
    old: str
    new: str


def index_page() -> str:
    """Return the page with the scopes that the user may open."""
    titles = instances()
    scopes = [scope for scope in map(Scope, (SYSTEM, *titles)) if scope.pages]
    layers = _layers([scope.instance for scope in scopes])
    paused = _paused()
    # Only the first scope has its activity: a host may have thousands of instances, and
    # the system, if the user may see it, includes them all.
    with_activity = [scope for scope in scopes if scope.may(VIEW)][:1]
    lines = [
        OverviewRow(
            scope,
            gettext("The whole system") if scope.is_system else titles[scope.instance],
            layers[scope.instance].resolve(),
            len(layers[scope.instance].own),
            paused[scope.instance],
            _activity(scope) if scope in with_activity else None,
        )
        for scope in scopes
    ]
    return render_template("autotag/index.html", autotag_lines=lines, **base_context())


def history_page(scope: Scope) -> str:
    """Return the page with the latest changes of a scope's settings and its actions."""
    state = current_state()
    fields = paths(state.sections)

    def work(session: Session) -> list[SettingChange]:
        return state.stored_settings().changes(session, scope.instance)

    lines = []
    for change in state.database.transact(work):
        field = fields.get(change.path)
        secret = field is not None and field.is_secret
        lines.append(
            HistoryLine(
                change,
                section_title(change.path[0]),
                gettext(field.label) if field else change.path[1],
                *(_secrets(change) if secret else _values(change)),
            )
        )
    return render_template(
        "autotag/history.html",
        autotag_scope=scope,
        autotag_lines=lines,
        autotag_actions=read_actions(state, scope),
        **base_context(),
    )


def _values(change: SettingChange) -> Iterator[str]:
    for value in (change.old, change.new):
        text = gettext("inherited") if value is None else write(value)
        yield text if len(text) <= _MOST else f"{text[:_MOST]}…"


def _secrets(change: SettingChange) -> tuple[str, str]:
    old, new = (
        gettext("set") if value else gettext("not set")
        for value in (change.old, change.new)
    )
    return old, gettext("replaced") if change.old and change.new else new


def _activity(scope: Scope) -> Headline:
    """Return the queue in short, without the paused providers: each row lists those."""
    state = current_state()

    def work(session: Session) -> Report:
        return read_summary(session, state.database.models, scope.instance)

    return headline(state.database.transact(work))


def _paused() -> Mapping[str, list[str]]:
    """Return the titles of paused providers, by instance."""
    state = current_state()

    def work(session: Session) -> list[tuple[str, str, str]]:
        return read_paused(session, state.database.models)

    paused: dict[str, list[str]] = defaultdict(list)
    for instance, provider, _reason in state.database.transact(work):
        paused[instance].append(section_title(provider))
    return paused


def _layers(names: list[str]) -> dict[str, Layers]:
    state = current_state()
    stored = state.stored_settings()
    return state.database.transact(lambda session: stored.layers_of(session, names))
