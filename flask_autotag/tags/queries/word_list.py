"""The words of an instance for the pages of administrators: a list, or one word."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    exists,
    func,
    select,
    union,
)
from sqlalchemy.orm import Session

from ...db.models import Models
from ...host.assets import SYSTEM, AssetRef
from ...settings.tag_names import TagName
from ..decisions import PERSON
from ..rules import APPLIED, REJECTED, SUGGESTED

#: Words on one page.
PAGE = 50


class Filter(StrEnum):
    """The words to list."""

    ALL = "all"
    #: Words with a rule.
    DECIDED = "decided"
    #: Words that no image has.
    UNUSED = "unused"


class Order(StrEnum):
    """The order of the list."""

    NAME = "name"
    #: The most used first.
    USE = "use"


@dataclass(frozen=True)
class Uses:
    """The number of images with a tag, by state.

    :param decisions: number of images on which a person decided.
    """

    applied: int = 0
    suggested: int = 0
    rejected: int = 0
    decisions: int = 0


@dataclass(frozen=True)
class WordChange:
    """The last change of a word's rule, for an instance or the system.

    :param who: the user; ``None`` if the host named none.
    :param at: in UTC.
    """

    name: str
    who: str | None
    at: datetime


@dataclass(frozen=True)
class WordList:
    """One page of words.

    :param names: in the requested order.
    :param uses: for the words that are tags, by key.
    :param total: number of words on all pages.
    """

    names: Sequence[TagName] = ()
    uses: Mapping[str, Uses] = field(default_factory=dict)
    total: int = 0


def list_words(
    session: Session,
    models: Models,
    instance: str,
    *,
    search: str = "",
    shown: Filter = Filter.ALL,
    order: Order = Order.NAME,
    page: int = 1,
) -> WordList:
    """List the tags of an instance, and the words that have a rule.

    Applied tags come from the counters. Only suggestions and rejections are counted,
    for the listed words alone.

    :param instance: an instance, or :data:`.SYSTEM`, which has words but no tags.
    :param search: a part of the key; ``""`` for any.
    :param page: from 1.
    """
    words = _keys(models, instance, decided=shown is Filter.DECIDED)
    found = select(words.c.key)
    if search:
        found = found.where(words.c.key.contains(search, autoescape=True))
    if shown is Filter.UNUSED:
        found = found.where(~_is_used(models, instance, words.c.key))
    total = session.scalar(select(func.count()).select_from(found.subquery())) or 0
    if order is Order.USE:
        found = _by_use(models, instance, words, found)
    found = found.order_by(words.c.key).limit(PAGE).offset((page - 1) * PAGE)
    keys = list(session.scalars(found))
    names = read_names(session, models, instance, keys)
    return WordList(
        [names[key] for key in keys if key in names],
        count_uses(session, models, instance, keys),
        total,
    )


def read_names(
    session: Session, models: Models, instance: str, keys: Collection[str]
) -> dict[str, TagName]:
    """Return the spelling of words: that of their tag, or else of their rule."""
    word, tag = models.word, models.tag
    written = dict(_names(session, word, SYSTEM, keys))
    if instance != SYSTEM:
        written |= _names(session, word, instance, keys)
        written |= _names(session, tag, instance, keys)
    return {key: TagName(key, name) for key, name in written.items()}


def count_uses(
    session: Session, models: Models, instance: str, keys: Collection[str]
) -> dict[str, Uses]:
    """Count the images of tags, by key, without people's decisions."""
    tag, assigned, counter = models.tag, models.assignment, models.counter
    these = (tag.instance == instance, tag.key.in_(keys))
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for key, images in session.execute(
        select(tag.key, counter.assets)
        .join_from(tag, counter, counter.tag_id == tag.id)
        .where(*these)
    ):
        found[key][APPLIED] = images
    for key, state, images in session.execute(
        select(tag.key, assigned.state, func.count())
        .join_from(tag, assigned, assigned.tag_id == tag.id)
        .where(*these, assigned.state.in_([SUGGESTED, REJECTED]))
        .group_by(tag.key, assigned.state)
    ):
        found[key][state] = images
    return {key: Uses(**states) for key, states in found.items()}


def count_one(session: Session, models: Models, instance: str, key: str) -> Uses:
    """Count the images of one tag, with people's decisions."""
    tag, assigned = models.tag, models.assignment
    rows = session.execute(
        select(assigned.state, assigned.source, func.count())
        .join_from(tag, assigned, assigned.tag_id == tag.id)
        .where(tag.instance == instance, tag.key == key)
        .group_by(assigned.state, assigned.source)
    )
    states, decisions = Counter[str](), 0
    for state, source, images in rows:
        states[state] += images
        decisions += images if source == PERSON else 0
    return Uses(states[APPLIED], states[SUGGESTED], states[REJECTED], decisions)


def latest_images(
    session: Session, models: Models, instance: str, key: str, most: int
) -> list[AssetRef]:
    """Find the latest images that have a tag."""
    host, tag, assigned = models.asset, models.tag, models.assignment
    rows = session.execute(
        select(host.asset_type, host.asset_id)
        .join_from(tag, assigned, assigned.tag_id == tag.id)
        .join(host, host.id == assigned.asset_id)
        .where(tag.instance == instance, tag.key == key, assigned.state == APPLIED)
        .order_by(assigned.asset_id.desc())
        .limit(most)
    )
    return [AssetRef(*row) for row in rows]


def read_last_changes(
    session: Session, models: Models, instance: str, keys: Collection[str]
) -> dict[tuple[str, str], WordChange]:
    """Read who last changed words, by instance (or :data:`.SYSTEM`) and key."""
    word = models.word
    rows = session.execute(
        select(
            word.instance, word.key, word.name, word.changed_by, word.changed_at
        ).where(word.instance.in_({instance, SYSTEM}), word.key.in_(keys))
    )
    return {
        (row.instance, row.key): WordChange(
            row.name, row.changed_by, row.changed_at.replace(tzinfo=UTC)
        )
        for row in rows
    }


def list_names(session: Session, models: Models, instance: str, most: int) -> list[str]:
    """List the names of an instance's tags, or of the system's words."""
    table: Any = models.word if instance == SYSTEM else models.tag
    names = select(table.name).where(table.instance == instance).order_by(table.key)
    return list(session.scalars(names.limit(most)))


def _keys(models: Models, instance: str, *, decided: bool) -> Subquery:
    """Select the keys of words and tags without duplicates."""
    word, tag = models.word, models.tag
    words = select(word.key).where(word.instance.in_({SYSTEM, instance}))
    if decided or instance == SYSTEM:
        return words.distinct().subquery()
    return union(words, select(tag.key).where(tag.instance == instance)).subquery()


def _is_used(models: Models, instance: str, key: ColumnElement[str]) -> Any:
    tag, counter = models.tag, models.counter
    used = exists().where(
        tag.instance == instance,
        tag.key == key,
        counter.tag_id == tag.id,
        counter.assets > 0,
    )
    # The outer statement has both tables too when it sorts by use.
    return used.correlate_except(tag, counter)


def _by_use(
    models: Models, instance: str, words: Subquery, found: Select[Any]
) -> Select[Any]:
    tag, counter = models.tag, models.counter
    return (
        found.outerjoin(tag, and_(tag.instance == instance, tag.key == words.c.key))
        .outerjoin(counter, counter.tag_id == tag.id)
        .order_by(func.coalesce(counter.assets, 0).desc())
    )


def _names(
    session: Session, table: Any, instance: str, keys: Collection[str]
) -> dict[str, str]:
    rows = session.execute(
        select(table.key, table.name).where(
            table.instance == instance, table.key.in_(keys)
        )
    )
    return {row.key: row.name for row in rows}
