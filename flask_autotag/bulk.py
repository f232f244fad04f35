"""What providers said of many images: taken away, or made people's own.

Both go over the assets some hundred in a transaction. Killed in between, they are run
again and find what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from .decisions import PERSON, PROVIDER
from .models import Models
from .portions import Advance, Scope, read_portion
from .state import State
from .store import forget_providers
from .verdicts import APPLIED, SUGGESTED


@dataclass(frozen=True)
class Automatic:
    """What providers have said of some images.

    :param images: how many they have classified.
    :param tags: how many tags they apply there.
    :param suggestions: how many they suggest.
    """

    images: int
    tags: int
    suggestions: int


def count_automatic(session: Session, models: Models, scope: Scope) -> Automatic:
    """Count what :func:`untag` would take away."""
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
    return Automatic(images, states.get(APPLIED, 0), states.get(SUGGESTED, 0))


def untag(state: State, scope: Scope, advance: Advance) -> None:
    """Forget what providers said, and the tags and suggestions that came of it.

    What people decided stays. The assets count as untagged then.
    """
    models = state.database.models

    def forget(session: Session, ids: Sequence[int]) -> None:
        forget_providers(session.connection(), models, ids)

    _each_portion(state, scope, forget, advance)


def commit(state: State, scope: Scope, who: str, advance: Advance) -> None:
    """Let the tags that providers applied be people's: no provider takes them away.

    Who said them, with which model and confidence, stays beside the decision;
    suggestions stay suggestions.

    :param who: decides that.
    """
    table = state.database.models.assignment.__table__

    def decide(session: Session, ids: Sequence[int]) -> None:
        session.execute(
            update(table)
            .where(
                table.c.asset_id.in_(ids),
                table.c.source == PROVIDER,
                table.c.state == APPLIED,
            )
            .values(
                source=PERSON,
                decided_by=who,
                created_at=datetime.now(UTC).replace(tzinfo=None),
            )
        )

    _each_portion(state, scope, decide, advance)


def _each_portion(
    state: State,
    scope: Scope,
    work: Callable[[Session, Sequence[int]], None],
    advance: Advance,
) -> None:
    """Do something to all assets of a scope, each portion in its own transaction."""
    after = 0

    def step(session: Session) -> Sequence[int]:
        rows = read_portion(session, state.database.models, scope, after, lock=True)
        ids = [row.id for row in rows]
        if ids:
            work(session, ids)
        return ids

    while ids := state.database.transact(step):
        after = ids[-1]
        advance(len(ids))
