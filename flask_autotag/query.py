"""The tags of assets, as host code reads them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, or_, select
from sqlalchemy.orm import Session

from .assets import AssetRef, ByAsset
from .decisions import PROVIDER, Source
from .models import Models
from .verdicts import APPLIED


@dataclass(frozen=True)
class AppliedTag:
    """A tag of an asset.

    :param name: what people read.
    :param confidence: from 0 to 1, the best that a provider gave; ``None`` if none said
        it.
    :param provider: who was surest of it; ``None`` if none said it.
    :param model: with which model.
    :param source: ``"provider"``, or ``"person"`` if somebody added or accepted it.
    :param created_at: when, in UTC.
    :param providers: all who said so, the surest first.
    :param person: who added or accepted it, if the host said so.
    """

    name: str
    confidence: float | None
    provider: str | None
    model: str | None
    source: Source
    created_at: datetime
    providers: tuple[str, ...] = ()
    person: str | None = None


class Preloaded(ByAsset[Sequence[AppliedTag]]):
    """The tags of several assets, as ``tags_for`` gives them.

    Looked up by a model instance or an :class:`AssetRef`; iterated, it gives the
    latter.
    """


def tags_for(
    session: Session,
    models: Models,
    asset: AssetRef,
    instance: str | None,
    state: str = APPLIED,
) -> list[AppliedTag]:
    """Give the tags of one asset: people's first, then the surest.

    :param state: how they stand; see :data:`.verdicts.APPLIED`.
    """
    host = models.asset
    statement = _tags(models, state, instance).where(
        host.asset_type == asset.type, host.asset_id == asset.id
    )
    return [_as_tag(row) for row in session.execute(statement)]


def preload(
    session: Session, models: Models, assets: Iterable[AssetRef], instance: str | None
) -> Preloaded:
    """Give the tags of several assets, in one query."""
    refs = tuple(dict.fromkeys(assets))
    if not refs:
        return Preloaded({})
    found: dict[AssetRef, list[AppliedTag]] = {ref: [] for ref in refs}
    these = named(models.asset, refs)
    for row in session.execute(_tags(models, APPLIED, instance).where(these)):
        found[AssetRef(row.asset_type, row.asset_id)].append(_as_tag(row))
    return Preloaded(found)


def named(model: Any, refs: Iterable[AssetRef]) -> ColumnElement[bool]:
    """Make the condition that a row is about one of some assets.

    :param model: has the columns ``asset_type`` and ``asset_id``, with an index.
    :param refs: at least one.
    """
    ids = defaultdict[str, list[str]](list)
    for ref in refs:
        ids[ref.type].append(ref.id)
    return or_(
        *(
            and_(model.asset_type == asset_type, model.asset_id.in_(of_type))
            for asset_type, of_type in ids.items()
        )
    )


def as_shown(assigned: Any, key: ColumnElement[str]) -> list[ColumnElement[Any]]:
    """Sort tags as people see them: their own first, then the surest.

    :param assigned: has the columns of an assignment.
    :param key: that of the tag.
    """
    return [
        assigned.source == PROVIDER,
        assigned.confidence.is_not(None),
        assigned.confidence.desc(),
        key,
    ]


def _tags(models: Models, state: str, instance: str | None) -> Select[Any]:
    """Select the tags of assets."""
    host, tag, assigned = models.asset, models.tag, models.assignment
    columns: tuple[Any, ...] = (
        tag.name,
        assigned.confidence,
        assigned.provider,
        assigned.model,
        assigned.source,
        assigned.created_at,
        assigned.providers,
        assigned.decided_by,
        host.asset_type,
        host.asset_id,
    )
    statement = (
        select(*columns)
        .join_from(host, assigned, assigned.asset_id == host.id)
        .join(tag, tag.id == assigned.tag_id)
        .where(assigned.state == state)
        .order_by(*as_shown(assigned, models.tag.__table__.c.key))
    )
    return statement if instance is None else statement.where(host.instance == instance)


def _as_tag(row: Row[Any]) -> AppliedTag:
    return AppliedTag(
        row.name,
        row.confidence,
        row.provider,
        row.model,
        row.source,
        created_at=row.created_at.replace(tzinfo=UTC),
        providers=tuple(row.providers.split(",")) if row.providers else (),
        person=row.decided_by,
    )
