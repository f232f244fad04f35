"""Suggestions that wait for people: listed by tag, decided about, and put back.

What is listed is found in the index of a tag's assignments, page by page.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Table,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from . import decisions
from .assets import AssetRef
from .counters import counting
from .database import lock_writers, rows_changed
from .decisions import PERSON, PROVIDER
from .models import USER_LENGTH, Models
from .verdicts import APPLIED, REJECTED, SUGGESTED
from .vocabulary import TagName
from .words import read_vocabulary


@dataclass(frozen=True)
class SuggestedTag:
    """A tag that is suggested for images of an instance.

    :param images: for how many.
    """

    name: TagName
    images: int


@dataclass(frozen=True)
class Suggestion:
    """An image for which a tag is suggested.

    :param row: key of the asset's row.
    :param confidence: from 0 to 1, of who was surest.
    :param provider: who that was.
    """

    row: int
    asset: AssetRef
    confidence: float
    provider: str
    model: str


@dataclass(frozen=True)
class Decided:
    """What was decided at once about one tag, and can be put back.

    :param tag: its key.
    :param accepted: rows of the assets on which it was.
    :param rejected: likewise.
    :param since: the time of the first decision as the database stored it, in UTC
        without a zone; ``None`` if there is nothing to put back.
    :param until: of the last one.
    """

    tag: str
    accepted: Sequence[int] = ()
    rejected: Sequence[int] = ()
    since: datetime | None = None
    until: datetime | None = None


def suggested_tags(
    session: Session, models: Models, instance: str, limit: int, offset: int = 0
) -> list[SuggestedTag]:
    """List the tags that are suggested in an instance, those of most images first."""
    tag, assigned = models.tag, models.assignment
    count = func.count().label("images")
    statement = (
        select(tag.key, tag.name, count)
        .join_from(tag, assigned, assigned.tag_id == tag.id)
        .where(tag.instance == instance, assigned.state == SUGGESTED)
        .group_by(tag.id, tag.key, tag.name)
        .order_by(count.desc(), tag.key)
        .limit(limit)
        .offset(offset)
    )
    return [
        SuggestedTag(TagName(row.key, row.name), row.images)
        for row in session.execute(statement)
    ]


def suggested_tag(
    session: Session, models: Models, instance: str, key: str
) -> SuggestedTag | None:
    """Find a tag of an instance, and for how many images it is suggested.

    :return: ``None`` if there is no such tag.
    """
    tag, assigned = models.tag, models.assignment
    row = session.execute(
        select(tag.id, tag.name).where(tag.instance == instance, tag.key == key)
    ).one_or_none()
    if row is None:
        return None
    images = session.scalar(
        select(func.count()).where(
            assigned.tag_id == row.id, assigned.state == SUGGESTED
        )
    )
    return SuggestedTag(TagName(key, row.name), images or 0)


def suggestions(
    session: Session,
    models: Models,
    instance: str,
    key: str,
    limit: int,
    before: int | None = None,
) -> list[Suggestion]:
    """List the images for which a tag is suggested, the latest first.

    :param key: of the tag.
    :param before: row of the asset after which the list goes on; ``None`` to begin.
    """
    host, assigned = models.asset.__table__.c, models.assignment.__table__.c
    statement = (
        select(
            host.id,
            host.asset_type,
            host.asset_id,
            assigned.confidence,
            assigned.provider,
            assigned.model,
        )
        .where(
            host.id == assigned.asset_id,
            assigned.tag_id == _tag_id(models, instance, key),
            assigned.state == SUGGESTED,
        )
        .order_by(assigned.asset_id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(assigned.asset_id < before)
    return [
        Suggestion(row.id, AssetRef(row.asset_type, row.asset_id), *row[3:])
        for row in session.execute(statement)
    ]


def row_of(
    session: Session, models: Models, asset: AssetRef, instance: str
) -> int | None:
    """Find the row of an asset; ``None`` if nothing is known of it there."""
    table = models.asset.__table__
    return session.scalar(
        select(table.c.id).where(
            table.c.asset_type == asset.type,
            table.c.asset_id == asset.id,
            table.c.instance == instance,
        )
    )


def decide_as_seen(
    session: Session,
    models: Models,
    instance: str,
    name: TagName,
    wanted: Mapping[int, str],
    who: str | None,
    standing: str = SUGGESTED,
) -> Decided:
    """Decide about one tag on several images, where it still stands as it was seen.

    What others have decided or taken back meanwhile is left as it is.

    :param wanted: :data:`.verdicts.APPLIED` or :data:`.verdicts.REJECTED`, by the
        asset's row.
    :param who: the user's name.
    :param standing: how the tag was seen to stand.
    """
    assigned = models.assignment.__table__
    assets = _lock_assets(session, models, instance, wanted)
    of_tag = assigned.c.tag_id == _tag_id(models, instance, name.key)
    rows = sorted(
        session.scalars(
            select(assigned.c.asset_id).where(
                of_tag,
                assigned.c.state == standing,
                assigned.c.asset_id.in_(list(assets)),
            )
        )
    )
    on_these = (of_tag, assigned.c.asset_id.in_(rows))
    connection = session.connection()
    if read_vocabulary(connection, models, instance).called(name).key != name.key:
        # The decision will be on the name that the word has now.
        with counting(connection, models, rows):
            session.execute(delete(assigned).where(*on_these))
    for row in rows:
        decisions.decide(
            connection, models, assets[row], instance, name, wanted[row], who
        )
    time = assigned.c.created_at
    stored = select(func.min(time), func.max(time)).where(*on_these)
    return Decided(
        name.key,
        [row for row in rows if wanted[row] == APPLIED],
        [row for row in rows if wanted[row] == REJECTED],
        *session.execute(stored).one(),
    )


def put_back(
    session: Session, models: Models, instance: str, decided: Decided, who: str | None
) -> int:
    """Make suggestions of decisions again, as if nobody had decided.

    What somebody has decided anew since then stays.

    :param who: whose decisions they are.
    :return: how many suggestions are back.
    """
    assigned = models.assignment.__table__
    both = [*decided.accepted, *decided.rejected]
    _lock_assets(session, models, instance, both)
    name = who[:USER_LENGTH] if who else None
    statement = (
        update(assigned)
        .where(
            assigned.c.tag_id == _tag_id(models, instance, decided.tag),
            or_(
                _decided_on(assigned, decided.accepted, APPLIED),
                _decided_on(assigned, decided.rejected, REJECTED),
            ),
            assigned.c.source == PERSON,
            assigned.c.provider.is_not(None),
            assigned.c.decided_by.is_(None)
            if name is None
            else assigned.c.decided_by == name,
            assigned.c.created_at.between(decided.since, decided.until),
        )
        .values(
            state=SUGGESTED,
            source=PROVIDER,
            decided_by=None,
            created_at=datetime.now(UTC).replace(tzinfo=None),
        )
    )
    with counting(session.connection(), models, both):
        return rows_changed(session, statement)


def _lock_assets(
    session: Session, models: Models, instance: str, rows: Collection[int]
) -> dict[int, AssetRef]:
    """Give some assets by their rows; nobody else changes their tags meanwhile."""
    table = models.asset.__table__
    lock_writers(session, table)
    found = session.execute(
        select(table.c.id, table.c.asset_type, table.c.asset_id)
        .where(table.c.id.in_(sorted(rows)), table.c.instance == instance)
        .order_by(table.c.id)
        .with_for_update()
    )
    return {row.id: AssetRef(row.asset_type, row.asset_id) for row in found}


def _tag_id(models: Models, instance: str, key: str) -> ScalarSelect[int]:
    tag = models.tag
    found = select(tag.id).where(tag.instance == instance, tag.key == key)
    return found.scalar_subquery()


def _decided_on(table: Table, rows: Sequence[int], state: str) -> ColumnElement[bool]:
    return and_(table.c.asset_id.in_(rows), table.c.state == state)
