"""The job that works through the assets of a large bulk action, portion by portion."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.orm import Session

from ..db.job_states import BULK_ACTION, BULK_ACTION_TYPE, DONE, FRESH, RUNNING
from ..db.models import Models
from ..db.sql import lock_writers
from ..host.assets import AssetRef
from ..host.image_source import Captured
from ..runtime.state import State
from ..tags import bulk_actions, bulk_decisions
from ..tags.asset_rows import lock_assets
from ..tags.bulk_actions import UNDOING, BulkAction
from . import outcomes
from .queue import Intent, Job, enqueue


def enqueue_action(session: Session, models: Models, action: BulkAction) -> int:
    """Queue the job that decides on an action's items, or undoes it.

    It has the priority of fresh uploads, because a person waits for it.

    :return: the id of the job.
    """
    asset = AssetRef(BULK_ACTION_TYPE, str(action.id))
    intent = Intent(asset, action.instance, Captured(content=BULK_ACTION))
    return enqueue(session.connection(), models, intent, FRESH, BULK_ACTION)


def step(state: State, job: Job, lease: float) -> tuple[Job, str | None]:
    """Work through the next portion of a claimed job's action, in one transaction.

    :param lease: seconds from now until the job's lease expires.
    :return: as :func:`.reapply_job.step` does.
    """
    models = state.database.models

    def work(session: Session) -> tuple[int | None, bool]:
        last = next_portion(
            session, state, job.instance, int(job.asset.id), job.done_to or 0
        )
        if last is None:
            ours = outcomes.finish(session, models, [job])
        else:
            ours = outcomes.save_progress(session, models, job, last, lease)
        if not ours:
            session.rollback()
        return last, ours

    last, ours = state.database.transact(work)
    if not ours:
        return job, None
    return replace(job, done_to=last), DONE if last is None else RUNNING


def next_portion(
    session: Session, state: State, instance: str, action_id: int, after: int
) -> int | None:
    """Decide on the next items of an action, or undo them.

    :param after: the row of the last item of the portion before; 0 for the first.
    :return: the row of the last one; ``None`` if there was none, or no action.
    """
    models, stored = state.database.models, state.stored_settings()
    lock_writers(session, models.asset.__table__)
    connection = session.connection()
    action = bulk_actions.read(connection, models, action_id, instance, lock=True)
    if action is None:
        return None
    rows = bulk_actions.next_items(connection, models, action, after)
    if not rows:
        bulk_actions.finish(connection, models, action)
        return None
    assets = lock_assets(session, models, instance, rows)
    work = bulk_decisions.undo if action.phase == UNDOING else bulk_decisions.decide
    outcome = work(connection, stored, action, assets)
    bulk_actions.count(connection, models, action, outcome.values())
    return rows[-1]
