"""Decides on one tag of many images for a command, in transactions of its own.

The command's bulk action is stored before its images. After an interruption, the same
command finds that action again and continues it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ...db.sql import in_batches, lock_writers
from ...host.assets import AssetRef
from ...runtime.state import State
from ...settings.tag_names import TagName
from ...tags import bulk_actions
from ...tags.asset_rows import ensure_assets
from ...tags.batches import BATCH_SIZE, Advance
from ...tags.bulk_actions import BulkAction, Request
from ...tags.queries.image_list import ImageFilter, matching
from ...tags.queries.instances import known_in
from ..bulk_action_job import next_portion
from .skipped import Skipped


@dataclass(frozen=True)
class Tagging:
    """A decision on one tag of many images of an instance.

    :param decision: the state that the tag gets.
    :param source: names what selects the images, such as a file.
    :param who: the user who decides.
    """

    instance: str
    tag: TagName
    decision: str
    source: str
    who: str

    @property
    def request(self) -> Request:
        """The request that a repeated command has too.

        Its key has a space, which no key of the JSON API has.
        """
        content = json.dumps([self.tag.key, self.decision, self.source])
        digest = hashlib.sha256(content.encode(errors="replace")).hexdigest()
        return Request(f"command {digest[:48]}", digest)


def count_listed(
    state: State, instance: str, assets: Iterable[AssetRef], skipped: Skipped
) -> int:
    """Count the assets that an instance knows, and note the others."""
    models, number = state.database.models, 0
    for some in in_batches(assets):
        with state.database.reading() as session:
            known = known_in(session.connection(), models, some, instance)
        _note_unknown(skipped, instance, some, known)
        number += len(known)
    return number


def begin_listed(
    state: State, tagging: Tagging, assets: Iterable[AssetRef], skipped: Skipped
) -> BulkAction:
    """Begin an action on assets, or continue the one of an interrupted command.

    Assets that the instance does not know are noted and left out.
    """
    models = state.database.models
    action = _begin(state, tagging, None)
    for some in in_batches(assets):
        known = state.database.transact(_adding(state, action, some))
        _note_unknown(skipped, tagging.instance, some, known)

    def count(session: Session) -> int:
        return bulk_actions.count_items(session.connection(), models, action)

    return replace(action, images=state.database.transact(count))


def begin_matching(state: State, tagging: Tagging, wanted: ImageFilter) -> BulkAction:
    """Begin an action on the images of a filter, or continue an interrupted one.

    A continued action is about the images that the filter found when it began.
    """
    return _begin(state, tagging, wanted)


def finish(state: State, action: BulkAction, advance: Advance) -> BulkAction:
    """Decide on those images of an action on which it has not decided yet.

    :return: the action with its numbers.
    """
    models, database = state.database.models, state.database

    def work(session: Session) -> int | None:
        last = next_portion(session, state, action.instance, action.id, after)
        if last is None:
            bulk_actions.forget_request(session.connection(), models, action)
        return last

    last: int | None = 0
    while last is not None:
        after = last
        last = database.transact(work)
        if last is not None:
            advance(BATCH_SIZE)
    found = database.transact(
        lambda session: bulk_actions.read(
            session.connection(), models, action.id, action.instance
        )
    )
    return found or action


def count_waiting(state: State, action: BulkAction) -> int:
    """Count the images on which an action has not decided yet."""
    models = state.database.models
    with state.database.reading() as session:
        return bulk_actions.count_waiting(session.connection(), models, action)


def _begin(state: State, tagging: Tagging, wanted: ImageFilter | None) -> BulkAction:
    """Find the action of an interrupted command, or store a new one.

    :param wanted: adds the images of this filter to a new action.
    """
    models, stored, request = (
        state.database.models,
        state.stored_settings(),
        tagging.request,
    )

    def work(session: Session) -> BulkAction:
        lock_writers(session, models.asset.__table__)
        connection, instance = session.connection(), tagging.instance
        former = bulk_actions.read_by_request(connection, models, instance, request.key)
        if former is not None:
            return former
        action = bulk_actions.begin(
            connection,
            stored,
            instance,
            tagging.tag,
            tagging.decision,
            None,
            tagging.who,
            request,
        )
        if wanted is not None:
            rows = matching(connection, models, instance, wanted)
            number = bulk_actions.add_items(connection, models, action, rows)
            return replace(action, images=number)
        return action

    try:
        return state.database.transact(work)
    except IntegrityError:
        # The same command runs elsewhere; both work on its action.
        return state.database.transact(work)


def _adding(
    state: State, action: BulkAction, assets: Collection[AssetRef]
) -> Callable[[Session], list[AssetRef]]:
    """Return the work that adds the known ones of some assets to an action."""
    models, instance = state.database.models, action.instance

    def work(session: Session) -> list[AssetRef]:
        lock_writers(session, models.asset.__table__)
        connection = session.connection()
        known = known_in(connection, models, assets, instance)
        if known:
            rows = ensure_assets(connection, models, instance, known)
            bulk_actions.add_rows(connection, models, action, rows)
        return known

    return work


def _note_unknown(
    skipped: Skipped,
    instance: str,
    assets: Iterable[AssetRef],
    known: Collection[AssetRef],
) -> None:
    for asset in sorted({*assets} - {*known}, key=str):
        skipped.note(f"{asset}: the instance {instance} does not know it")
