"""The pages that only show: which settings there are, and who changed them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flask import render_template
from sqlalchemy.orm import Session

from ..activity import read_summary
from ..assets import SYSTEM
from ..gate import read_paused
from ..jobs.report import Report
from ..settings.fields import paths
from ..settings.resolution import Layers, Settings
from ..settings.stored import SettingChange
from .access import VIEW, current_state, instances
from .display import write
from .headline import Headline, headline
from .page import base_context
from .scope import Scope
from .text import gettext

#: Characters of a value in the history.
_MOST = 80


@dataclass(frozen=True)
class Line:
    """One scope in the overview.

    :param own: how many fields are set for it.
    :param paused: titles of the providers that are paused there.
    :param activity: what goes on there, if that is told here.
    """

    scope: Scope
    title: str
    settings: Settings
    own: int
    paused: Sequence[str]
    activity: Headline | None = None

    @property
    def shows_settings(self) -> bool:
        """Whether the user may know what is set there."""
        return self.scope.may(VIEW)


@dataclass(frozen=True)
class HistoryLine:
    """One change in the history, in words."""

    change: SettingChange
    section: str
    label: str
    old: str
    new: str


def index_page() -> str:
    """List what the user may see."""
    titles = instances()
    scopes = [scope for scope in map(Scope, (SYSTEM, *titles)) if scope.pages]
    layers = _layers([scope.instance for scope in scopes])
    paused = _paused()
    # Of the system, which is all; else of one: a host may have thousands.
    told = [scope for scope in scopes if scope.may(VIEW)][:1]
    lines = [
        Line(
            scope,
            gettext("The whole system") if scope.is_system else titles[scope.instance],
            layers[scope.instance].resolve(),
            len(layers[scope.instance].own),
            paused[scope.instance],
            _activity(scope) if scope in told else None,
        )
        for scope in scopes
    ]
    return render_template("autotag/index.html", autotag_lines=lines, **base_context())


def history_page(scope: Scope) -> str:
    """Show the latest changes."""
    state = current_state()
    fields = paths(state.sections)
    titles = {section.name: section.title for section in state.sections}

    def work(session: Session) -> list[SettingChange]:
        return state.stored_settings().changes(session, scope.instance)

    lines = []
    for change in state.database.transact(work):
        field = fields.get(change.path)
        secret = field is not None and field.is_secret
        lines.append(
            HistoryLine(
                change,
                gettext(titles.get(change.path[0], change.path[0])),
                gettext(field.label) if field else change.path[1],
                *(_secrets(change) if secret else _values(change)),
            )
        )
    return render_template(
        "autotag/history.html",
        autotag_scope=scope,
        autotag_lines=lines,
        **base_context(),
    )


def _values(change: SettingChange) -> Iterator[str]:
    for value in (change.old, change.new):
        text = gettext("inherited") if value is None else write(value)
        yield text if len(text) <= _MOST else f"{text[:_MOST]}…"


def _secrets(change: SettingChange) -> tuple[str, str]:
    before, after = (
        gettext("set") if value else gettext("not set")
        for value in (change.old, change.new)
    )
    return before, gettext("replaced") if change.old and change.new else after


def _activity(scope: Scope) -> Headline:
    """Say in short what goes on; what is paused, the overview says itself."""
    state = current_state()

    def work(session: Session) -> Report:
        return read_summary(session, state.database.models, scope.instance)

    return headline(state.database.transact(work))


def _paused() -> Mapping[str, list[str]]:
    """Give the titles of paused providers by instance."""
    state = current_state()
    titles = {section.name: section.title for section in state.sections}

    def work(session: Session) -> list[tuple[str, str, str]]:
        return read_paused(session, state.database.models)

    paused: dict[str, list[str]] = defaultdict(list)
    for instance, provider, _reason in state.database.transact(work):
        paused[instance].append(gettext(titles.get(provider, provider)))
    return paused


def _layers(names: list[str]) -> dict[str, Layers]:
    state = current_state()
    stored = state.stored_settings()
    return state.database.transact(lambda session: stored.layers_of(session, names))
