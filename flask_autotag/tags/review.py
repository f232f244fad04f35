"""Suggestions that await review: listed by tag, decided in bulk, and undone.

Lists are read page by page from the index of a tag's assignments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ScalarSelect, delete, func, select, update
from sqlalchemy.orm import Session

from ..db.columns import user_text
from ..db.models import Models
from ..db.sql import in_batches, rows_changed, utc_now
from ..host.assets import AssetRef
from ..settings.stored import StoredSettings
from ..settings.tag_names import TagName
from .asset_rows import lock_assets
from .deciding import decide_on_rows, rejudging
from .decisions import PERSON, PROVIDER
from .rules import APPLIED, REJECTED, SUGGESTED


@dataclass(frozen=True)
class SuggestedTag:
    """A tag that is suggested for images of an instance.

    :param images: number of images.
    """

    name: TagName
    images: int


@dataclass(frozen=True)
class Suggestion:
    """An image for which a tag is suggested.

    :param row: key of the asset's row.
    :param confidence: the highest of any provider, from 0 to 1.
    :param provider: the provider with that confidence.
    """

    row: int
    asset: AssetRef
    confidence: float
    provider: str
    model: str


@dataclass(frozen=True)
class BulkDecision:
    """Decisions about one tag on several images, which :func:`undo` undoes.

    :param tag: the tag's key.
    :param accepted: rows of the assets on which the tag was accepted.
    :param rejected: rows of the assets on which it was rejected.
    :param since: the time of the first decision as the database stored it, in UTC
        without a zone; ``None`` if there is nothing to undo.
    :param until: the time of the last decision.
    """

    tag: str
    accepted: Sequence[int] = ()
    rejected: Sequence[int] = ()
    since: datetime | None = None
    until: datetime | None = None


def suggested_tags(
    session: Session, models: Models, instance: str, limit: int, offset: int = 0
) -> list[SuggestedTag]:
    """List the suggested tags of an instance, the most suggested first."""
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
    """Find a tag of an instance, and count the images for which it is suggested.

    :return: ``None`` if the instance has no such tag.
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

    :param key: the tag's key.
    :param before: row of the last asset on the previous page; ``None`` for the first
        page.
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


def decide_if_unchanged(
    session: Session,
    stored: StoredSettings,
    instance: str,
    name: TagName,
    wanted: Mapping[int, str],
    who: str | None,
    expected: str = SUGGESTED,
) -> BulkDecision:
    """Decide about one tag on several images whose tag still has the expected state.

    Images on which others have changed the tag's state meanwhile are left as they are.

    :param stored: reads the settings of the instance.
    :param wanted: :data:`.rules.APPLIED` or :data:`.rules.REJECTED`, by the asset's
        row.
    :param who: the user's name.
    :param expected: the state that the user saw.
    """
    models, connection = stored.models, session.connection()
    assigned = models.assignment.__table__
    assets = lock_assets(session, models, instance, wanted)
    of_tag = assigned.c.tag_id == _tag_id(models, instance, name.key)
    expected_on = select(assigned.c.asset_id).where(
        of_tag, assigned.c.state == expected
    )
    rows = [
        row
        for some in in_batches(assets)
        for row in session.scalars(
            expected_on.where(assigned.c.asset_id.in_(some)).order_by(
                assigned.c.asset_id
            )
        )
    ]
    if not rows:
        return BulkDecision(name.key, [], [])
    settings = stored.settings(connection, instance)
    is_renamed = settings.vocabulary.called(name).key != name.key
    if expected == REJECTED and is_renamed:
        # The decision is stored under the new name; this rejection would contradict it.
        for some in in_batches(rows):
            session.execute(
                delete(assigned).where(of_tag, assigned.c.asset_id.in_(some))
            )
    decided = {row: (assets[row], wanted[row]) for row in rows}
    decide_on_rows(connection, models, settings, instance, name, decided, who)
    times = {
        time
        for some in in_batches(rows)
        for time in session.scalars(
            select(assigned.c.created_at)
            .where(of_tag, assigned.c.asset_id.in_(some))
            .distinct()
        )
    }
    return BulkDecision(
        name.key,
        [row for row in rows if wanted[row] == APPLIED],
        [row for row in rows if wanted[row] == REJECTED],
        min(times, default=None),
        max(times, default=None),
    )


def undo(
    session: Session,
    stored: StoredSettings,
    instance: str,
    decided: BulkDecision,
    who: str | None,
) -> int:
    """Undo a bulk decision: make its tags suggestions again.

    Tags that were decided on again since then stay as they are. Then the rules apply to
    the images: by new settings, a restored tag may be applied, or disappear.

    :param stored: reads the settings of the instance.
    :param who: the user who decided; decisions of other users are not undone.
    :return: number of restored suggestions.
    """
    models, connection = stored.models, session.connection()
    assigned = models.assignment.__table__
    assets = lock_assets(
        session, models, instance, [*decided.accepted, *decided.rejected]
    )
    settings = stored.settings(connection, instance)
    name = user_text(who)
    statement = (
        update(assigned)
        .where(
            assigned.c.tag_id == _tag_id(models, instance, decided.tag),
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
            created_at=utc_now(),
        )
    )
    with rejudging(connection, models, settings, instance, assets):
        return sum(
            rows_changed(
                session,
                statement.where(
                    assigned.c.state == state, assigned.c.asset_id.in_(some)
                ),
            )
            for state, rows in (
                (APPLIED, decided.accepted),
                (REJECTED, decided.rejected),
            )
            for some in in_batches(row for row in rows if row in assets)
        )


def _tag_id(models: Models, instance: str, key: str) -> ScalarSelect[int]:
    tag = models.tag
    found = select(tag.id).where(tag.instance == instance, tag.key == key)
    return found.scalar_subquery()
