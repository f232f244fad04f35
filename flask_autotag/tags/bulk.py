"""Remove the tags of providers from many images, or turn them into people's decisions.

Both work through the assets in batches, each in its own transaction. After an
interruption they can be run again and process the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update
from sqlalchemy.orm import Session

from ..db.models import Models
from ..db.sql import utc_now
from ..runtime.state import State
from .batches import Advance, AssetFilter, read_batch
from .decisions import PERSON, PROVIDER
from .rules import APPLIED, SUGGESTED
from .store import delete_predictions


@dataclass(frozen=True)
class ProviderTotals:
    """Totals of the stored results of providers.

    :param images: number of classified images.
    :param tags: number of tags that providers applied.
    :param suggestions: number of suggestions.
    """

    images: int
    tags: int
    suggestions: int


def count_provider_results(
    session: Session, models: Models, scope: AssetFilter
) -> ProviderTotals:
    """Count the results that :func:`untag` would delete."""
    asset, assigned = models.asset.__table__, models.assignment.__table__
    images = session.execute(
        select(func.count())
        .select_from(asset)
        .where(asset.c.tagged_at.is_not(None), *scope.where(models))
    ).scalar_one()
    rows = session.execute(
        select(assigned.c.state, func.count().label("number"))
        .join_from(assigned, asset, asset.c.id == assigned.c.asset_id)
        .where(assigned.c.source == PROVIDER, *scope.where(models))
        .group_by(assigned.c.state)
    )
    states = {row.state: row.number for row in rows}
    return ProviderTotals(images, states.get(APPLIED, 0), states.get(SUGGESTED, 0))


def untag(state: State, scope: AssetFilter, advance: Advance) -> None:
    """Delete the predictions of providers, with their tags and suggestions.

    People's decisions stay. The assets count as untagged afterwards.
    """
    models = state.database.models
    _for_each_batch(
        state, scope, lambda own, ids: delete_predictions(own, models, ids), advance
    )


def commit(state: State, scope: AssetFilter, who: str, advance: Advance) -> None:
    """Turn the tags that providers applied into decisions, which no provider undoes.

    The provider, model and confidence stay beside the decision. Suggestions stay
    suggestions.

    :param who: the user who decides.
    """
    table = state.database.models.assignment.__table__

    def decide(own: Connection, ids: Sequence[int]) -> None:
        own.execute(
            update(table)
            .where(
                table.c.asset_id.in_(ids),
                table.c.source == PROVIDER,
                table.c.state == APPLIED,
            )
            .values(source=PERSON, decided_by=who, created_at=utc_now())
        )

    _for_each_batch(state, scope, decide, advance)


def _for_each_batch(
    state: State,
    scope: AssetFilter,
    work: Callable[[Connection, Sequence[int]], None],
    advance: Advance,
) -> None:
    """Apply *work* to all assets of a scope, each batch in its own transaction."""
    after = 0

    def step(session: Session) -> Sequence[int]:
        rows = read_batch(session, state.database.models, scope, after, lock=True)
        ids = [row.id for row in rows]
        if ids:
            work(session.connection(), ids)
        return ids

    while ids := state.database.transact(step):
        after = ids[-1]
        advance(len(ids))
