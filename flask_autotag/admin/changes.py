"""Decisions about words: what they would do to images, and done to them at once."""

from __future__ import annotations

from dataclasses import replace

from flask import current_app
from sqlalchemy.orm import Session

from ..assets import SYSTEM
from ..jobs.rules import affected, enqueue_for
from ..reapply import Preview, preview
from ..settings.resolution import Settings
from ..state import State
from ..words import Changes, change_words, read_words, with_changes
from .page import PREVIEWED


def preview_changes(state: State, instance: str, changes: Changes) -> Preview:
    """Count what changed words would do to existing images.

    :param instance: or :data:`.SYSTEM`, whose words hold for all.
    :raises VocabularyError: if they cannot be saved.
    """

    def work(session: Session) -> Preview:
        present, new = _proposed(session, state, instance, changes)
        return preview(session, state.database.models, new, PREVIEWED, present)

    return state.database.transact(work)


def save_changes(
    state: State, instance: str, changes: Changes, who: str | None
) -> None:
    """Store changed words, and queue what brings the images up to date.

    :param who: the user's name.
    :raises VocabularyError: if they cannot be saved.
    """

    def work(session: Session) -> list[int]:
        change_words(session, state.database.models, instance, changes, who)
        return enqueue_for(session, state, instance)

    jobs = state.database.transact(work)
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    state.runner.wake(app, state, jobs)


def _proposed(
    session: Session, state: State, instance: str, changes: Changes
) -> tuple[dict[str, Settings], dict[str, Settings]]:
    """Find what holds, and what would, for each instance that is concerned."""
    stored = read_words(session, state.database.models, [instance])[instance]
    words = with_changes(stored, changes)
    names = affected(session, state, instance)
    changed = "own_words" if instance != SYSTEM else "system_words"
    layers = state.stored_settings().layers_of(session, names)
    present = {name: layers[name].resolve() for name in names}
    new = {
        name: replace(layers[name], **{changed: words}).resolve()  # type: ignore[arg-type]
        for name in names
    }
    return present, new
