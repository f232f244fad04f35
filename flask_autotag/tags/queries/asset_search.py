"""Queries of the JSON API alone; the result of each is bounded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Executable, Row, exists, select
from sqlalchemy.orm import Session, aliased

from ...db.models import Models
from ...host.assets import AssetRef
from ...settings.stored_words import read_vocabulary
from ...settings.tag_names import TagName
from ..rules import APPLIED


@dataclass(frozen=True)
class Search:
    """The criteria of a search for assets.

    :param all_of: tags that an asset must have.
    :param any_of: tags of which an asset must have at least one.
    :param none_of: tags that an asset must not have.
    :param asset_type: ``None`` for any.
    :param before: row of the last asset on the previous page; ``None`` for the first
        page.
    :param limit: maximum number of assets on a page.
    """

    all_of: Sequence[TagName]
    any_of: Sequence[TagName]
    none_of: Sequence[TagName]
    asset_type: str | None
    before: int | None
    limit: int


@dataclass(frozen=True)
class AssetPage:
    """One page of assets.

    :param following: :attr:`Search.before` of the next page; ``None`` on the last page.
    """

    assets: Sequence[AssetRef]
    following: int | None


def find_assets(
    session: Session, models: Models, instance: str, search: Search
) -> AssetPage:
    """Find a page of assets by their tags, the latest first.

    A page begins after a row, not after a number of rows, so that assets tagged
    meanwhile do not shift the pages.

    :param search: has a tag in ``all_of`` or in ``any_of``.
    """
    wanted, either, unwanted = (
        _tag_ids(session, models, instance, names)
        for names in (search.all_of, search.any_of, search.none_of)
    )
    if None in wanted or (either and not any(either)):
        return AssetPage((), None)
    if len(wanted) > 1:
        wanted = _rarest_first(session, models, wanted)
    others = [_has(models, [tag_id]) for tag_id in wanted[1:]]
    if wanted and either:
        others.append(_has(models, either))
    if unwanted:
        others.append(~_has(models, unwanted))
    # One query for each tag stops at the limit, because the index has its assets in
    # order. A single query for all of them would sort all their assets first.
    found = {
        row.id: row
        for tag_id in wanted[:1] or either
        if tag_id is not None
        for row in session.execute(_having(models, tag_id, others, search))
    }
    rows = [found[key] for key in sorted(found, reverse=True)][: search.limit + 1]
    page = rows[: search.limit]
    assets = [AssetRef(row.asset_type, row.asset_id) for row in page]
    return AssetPage(assets, page[-1].id if len(rows) > len(page) else None)


def read_job(
    session: Session, models: Models, job_id: int, instance: str
) -> Row[Any] | None:
    """Read a job of an instance; ``None`` if the instance has no such job."""
    table = models.job.__table__
    return session.execute(
        select(table).where(table.c.id == job_id, table.c.instance == instance)
    ).first()


def _tag_ids(
    session: Session, models: Models, instance: str, names: Iterable[TagName]
) -> list[int | None]:
    """Return the row of each tag, or ``None``, by the current names of the words."""
    names = list(names)
    if not names:
        return []
    vocabulary = read_vocabulary(session.connection(), models, instance)
    keys = [vocabulary.called(name).key for name in names]
    tag = models.tag
    rows = session.execute(
        select(tag.key, tag.id).where(tag.instance == instance, tag.key.in_(keys))
    )
    ids = {row.key: row.id for row in rows}
    return [ids.get(key) for key in dict.fromkeys(keys)]


def _rarest_first(
    session: Session, models: Models, tag_ids: Sequence[int | None]
) -> list[int | None]:
    """Sort tags by their number of assets; a tag without a counter has none."""
    counter = models.counter
    rows = session.execute(
        select(counter.tag_id, counter.assets).where(counter.tag_id.in_(tag_ids))
    )
    assets = {row.tag_id: row.assets for row in rows}
    return sorted(tag_ids, key=lambda tag_id: assets.get(tag_id, 0))


def _having(
    models: Models,
    tag_id: int,
    others: Sequence[ColumnElement[bool]],
    search: Search,
) -> Executable:
    """Select the assets of one tag in the order of its index."""
    host, assigned = models.asset, models.assignment
    statement = (
        select(host.id, host.asset_type, host.asset_id)
        .join_from(assigned, host, host.id == assigned.asset_id)
        .where(assigned.tag_id == tag_id, assigned.state == APPLIED, *others)
        .order_by(assigned.asset_id.desc())
        .limit(search.limit + 1)
    )
    if search.asset_type is not None:
        statement = statement.where(host.asset_type == search.asset_type)
    if search.before is not None:
        statement = statement.where(assigned.asset_id < search.before)
    return statement


def _has(models: Models, tag_ids: Sequence[int | None]) -> ColumnElement[bool]:
    """Return the condition that the row's asset has one of some tags."""
    other = aliased(models.assignment)
    return exists().where(
        other.asset_id == models.assignment.asset_id,
        other.tag_id.in_([tag_id for tag_id in tag_ids if tag_id is not None]),
        other.state == APPLIED,
    )
