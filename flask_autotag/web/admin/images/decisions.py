"""Carries out bulk actions of the pages, in the request or as a job."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from ....db.sql import lock_writers
from ....host.application import current_application
from ....jobs.bulk_action_job import enqueue_action
from ....runtime.state import State
from ....settings.tag_names import TagName
from ....tags import bulk_actions, bulk_decisions
from ....tags.asset_rows import lock_assets
from ....tags.bulk_actions import UNDOING, BulkAction
from ....tags.queries import image_list
from ....tags.queries.image_list import ImageFilter
from ..review.choice import ReviewAction

#: The most images that one request decides about; a job decides about more.
MOST_AT_ONCE = 1000


@dataclass(frozen=True)
class Decision:
    """A decision of a user about one tag."""

    instance: str
    tag: TagName
    choice: ReviewAction
    who: str | None


@dataclass(frozen=True)
class Done:
    """The effect of a decision.

    :param action: the key of the action; ``None`` if none of the images exists.
    :param missing: the number of images that no longer exist.
    """

    action: int | None
    missing: int = 0


def decide_on_rows(state: State, decision: Decision, rows: Collection[int]) -> Done:
    """Decide on images by their rows, in one transaction."""
    return state.database.transact(
        lambda session: _decide_now(session, state, decision, rows)
    )


def decide_on_matching(
    state: State, decision: Decision, wanted: ImageFilter, newest: int
) -> Done:
    """Decide on the images that meet a filter: at once, or by a job if they are many.

    :param newest: the row of the last image; images that were added later are left out.
    """
    models = state.database.models

    def work(session: Session) -> tuple[Done, list[int]]:
        connection = session.connection()
        table = models.asset.__table__
        lock_writers(session, table)
        found = image_list.matching(
            connection, models, decision.instance, wanted
        ).where(table.c.id <= newest)
        rows = connection.scalars(found.limit(MOST_AT_ONCE + 1)).all()
        if len(rows) <= MOST_AT_ONCE:
            return _decide_now(session, state, decision, rows), []
        action = _begin(session, state, decision)
        bulk_actions.add_items(connection, models, action, found)
        return Done(action.id), [enqueue_action(session, models, action)]

    done, jobs = state.database.transact(work)
    _wake(state, jobs)
    return done


def undo(state: State, instance: str, action_id: int, who: str | None) -> bool:
    """Undo an action: at once, or by a job if it has many images.

    :return: ``False`` if it is not done yet, undone already, or unknown.
    """
    models = state.database.models

    def work(session: Session) -> tuple[bool, list[int]]:
        connection = session.connection()
        lock_writers(session, models.asset.__table__)
        action = bulk_actions.read(connection, models, action_id, instance, lock=True)
        if action is None or not bulk_actions.begin_undo(
            connection, models, action, who
        ):
            return False, []
        action = replace(action, phase=UNDOING)
        if action.images > MOST_AT_ONCE:
            return True, [enqueue_action(session, models, action)]
        _undo_now(session, state, action)
        return True, []

    is_undone, jobs = state.database.transact(work)
    _wake(state, jobs)
    return is_undone


def _begin(session: Session, state: State, decision: Decision) -> BulkAction:
    return bulk_actions.begin(
        session.connection(),
        state.stored_settings(),
        decision.instance,
        decision.tag,
        decision.choice.state,
        decision.choice.standing,
        decision.who,
    )


def _decide_now(
    session: Session, state: State, decision: Decision, rows: Collection[int]
) -> Done:
    models, connection = state.database.models, session.connection()
    assets = lock_assets(session, models, decision.instance, rows)
    missing = len(rows) - len(assets)
    if not assets:
        return Done(None, missing)
    stored, action = state.stored_settings(), _begin(session, state, decision)
    bulk_decisions.decide_all(connection, stored, action, assets)
    return Done(action.id, missing)


def _undo_now(session: Session, state: State, action: BulkAction) -> None:
    models, connection = state.database.models, session.connection()
    stored, last = state.stored_settings(), 0
    while rows := bulk_actions.next_items(connection, models, action, last):
        assets = lock_assets(session, models, action.instance, rows)
        outcomes = bulk_decisions.undo(connection, stored, action, assets)
        bulk_actions.count(connection, models, action, outcomes.values())
        last = rows[-1]
    bulk_actions.finish(connection, models, action)


def _wake(state: State, jobs: list[int]) -> None:
    if jobs:
        state.runner.wake(current_application(), state, jobs)
