"""Previews and saves decisions about words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from ....host.application import current_application
from ....host.assets import SYSTEM
from ....jobs.reapply_job import affected, enqueue_for
from ....runtime.state import State
from ....settings.resolution import Settings
from ....settings.stored_words import (
    RuleChanges,
    change_words,
    read_words,
    with_changes,
)
from ....tags.reapply import Preview, preview
from ..page import PREVIEWED


def preview_changes(state: State, instance: str, changes: RuleChanges) -> Preview:
    """Count the changes that new decisions would make to existing images.

    :param instance: or :data:`.SYSTEM`, whose words apply to all instances.
    :raises VocabularyError: if the decisions cannot be saved.
    """

    def work(session: Session) -> Preview:
        present, new = _proposed(session, state, instance, changes)
        return preview(session, state.database.models, new, PREVIEWED, present)

    return state.database.transact(work)


def save_changes(
    state: State, instance: str, changes: RuleChanges, who: str | None
) -> None:
    """Store decisions, and queue the jobs that apply them to existing images.

    :param who: the user's name.
    :raises VocabularyError: if the decisions cannot be saved.
    """

    def work(session: Session) -> Sequence[int]:
        state.stored_settings().lock(session, instance)
        change_words(
            session,
            state.database.models,
            instance,
            changes,
            who,
            state.config.max_words,
        )
        return enqueue_for(session, state, instance).jobs

    jobs = state.database.transact(work)
    app = current_application()
    state.runner.wake(app, state, jobs)


def _proposed(
    session: Session, state: State, instance: str, changes: RuleChanges
) -> tuple[dict[str, Settings], dict[str, Settings]]:
    """Return the current and the proposed settings of each affected instance."""
    stored = read_words(session, state.database.models, [instance])[instance]
    words = with_changes(stored, changes, state.config.max_words)
    names = affected(session, state, instance)
    changed = "own_words" if instance != SYSTEM else "system_words"
    layers = state.stored_settings().layers_of(session, names)
    present = {name: layers[name].resolve() for name in names}
    new = {
        name: replace(layers[name], **{changed: words}).resolve()  # type: ignore[arg-type]
        for name in names
    }
    return present, new
