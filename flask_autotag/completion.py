"""How what somebody has typed may go on: as a tag to search by, or one to add."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, exists, select, true

from .facets import TagCount, most_used, read_counts
from .lookup import read_vocabularies
from .models import Models
from .vocabulary import TagName, tag_name
from .words import read_vocabulary

#: Sorts after every character.
_LAST = "\U0010ffff"
#: Aliases that begin with a text and are followed.
_ALIASES = 50


def complete(
    connection: Connection, models: Models, text: str, instance: str | None, limit: int
) -> list[TagCount]:
    """Find tags of assets that begin with a text, or have an alias that does.

    :return: the most used first.
    """
    try:
        start = tag_name(text).key
    except ValueError:
        return []
    begin = _begin(connection, models, start, instance)
    statement = most_used(models, instance).where(begin).limit(limit)
    return read_counts(connection, statement)


def words_to_add(
    connection: Connection, models: Models, instance: str, start: str, limit: int
) -> list[str]:
    """List words for somebody who adds a tag: the most used, then those without use.

    They are given as the vocabulary calls them, and without blocked ones.

    :param start: what they, or their aliases, begin with, in normal form, as keys are;
        ``""`` for any.
    """
    vocabulary = read_vocabulary(connection, models, instance)
    blocked = sum(
        key.startswith(start) and vocabulary.is_blocked(key) for key in vocabulary.words
    )
    begin = _begin(connection, models, start, instance) if start else true()
    found = _tags(connection, models, instance, begin, limit + blocked)
    called = dict.fromkeys(map(vocabulary.called, found))
    names = [name.name for name in called if not vocabulary.is_blocked(name.key)]
    return names[:limit]


def _tags(
    connection: Connection,
    models: Models,
    instance: str,
    condition: ColumnElement[bool],
    limit: int,
) -> list[TagName]:
    """Read tags of an instance: the most used, then in the order of their keys."""
    tag, counter = models.tag.__table__, models.counter.__table__
    used = most_used(models, instance).where(condition).limit(limit)
    found = [TagName(row.key, row.name) for row in connection.execute(used)]
    if len(found) == limit:
        return found
    has_assets = exists().where(counter.c.tag_id == tag.c.id, counter.c.assets > 0)
    # Apart: an index gives the most used ones in their order, and no others.
    unused = (
        select(tag.c.key, tag.c.name)
        .where(tag.c.instance == instance, condition, ~has_assets)
        .order_by(tag.c.key)
        .limit(limit - len(found))
    )
    return found + [TagName(row.key, row.name) for row in connection.execute(unused)]


def _begin(
    connection: Connection, models: Models, start: str, instance: str | None
) -> ColumnElement[bool]:
    """Make the condition that a tag, or an alias of it, begins with a text."""
    key = models.tag.__table__.c.key
    begins = _begins(key, start)
    aliases = _aliases(connection, models, start, instance)
    return begins | key.in_(aliases) if aliases else begins


def _begins(column: ColumnElement[str], start: str) -> ColumnElement[bool]:
    # Not LIKE, for which SQLite asks no index.
    return (column >= start) & (column < start + _LAST)


def _aliases(
    connection: Connection, models: Models, start: str, instance: str | None
) -> set[str]:
    """Find the keys of the tags that words with that beginning have become."""
    word = models.word.__table__
    words = connection.execute(
        select(word.c.key, word.c.name)
        .where(word.c.becomes.is_not(None), _begins(word.c.key, start))
        .limit(_ALIASES)
    ).all()
    if not words:
        return set()
    vocabularies = read_vocabularies(connection, models, instance)
    return {
        key for row in words for key in vocabularies.all_keys_of(tag_name(row.name))
    }
