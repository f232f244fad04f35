"""Completions of a typed text: tags to search for, and words to add."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, exists, func, select, true

from ...db.models import Models
from ...host.assets import SYSTEM
from ...settings.tag_names import TagName, tag_name
from .names import read_vocabularies
from .tag_counts import TagCount, most_used, read_counts

#: Sorts after every character.
_LAST = "\U0010ffff"
#: Maximum number of aliases that are resolved.
_ALIASES = 50
#: Maximum number of words that are searched for aliases in all instances.
_ALIAS_CANDIDATES = 1000


def complete(
    connection: Connection, models: Models, text: str, instance: str | None, limit: int
) -> list[TagCount]:
    """Find the used tags that begin with a text, or have an alias that does.

    :return: the tags and their counts, the most used first; empty if *text* is not a
        valid tag name.
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
    """List words for somebody who adds a tag: the most used, then the unused.

    Words have the names that the vocabulary gives them. Blocked words are left out.

    :param start: the beginning of a word or of an alias, in the normal form of keys;
        ``""`` for any.
    """
    blocked = _count_blocked(connection, models, instance, start)
    begin = _begin(connection, models, start, instance) if start else true()
    found = _tags(connection, models, instance, begin, limit + blocked)
    keys = [name.key for name in found]
    vocabulary = read_vocabularies(connection, models, instance, keys).of(instance)
    called = dict.fromkeys(map(vocabulary.called, found))
    names = [name.name for name in called if not vocabulary.is_blocked(name.key)]
    return names[:limit]


def _count_blocked(
    connection: Connection, models: Models, instance: str, start: str
) -> int:
    """Count the blocked words of an instance and of the system that begin so.

    Words that the instance unblocks are counted too: it is an upper bound.
    """
    word = models.word.__table__
    blocked = select(func.count()).where(
        word.c.instance.in_({SYSTEM, instance}),
        word.c.blocked.is_(True),
        _begins(word.c.key, start),
    )
    return connection.scalar(blocked) or 0


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
    # A query of its own: the index of counters has only used tags in their order.
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
    """Return the condition that a tag, or an alias of it, begins with a text."""
    key = models.tag.__table__.c.key
    begins = _begins(key, start)
    aliases = _aliases(connection, models, start, instance)
    return begins | key.in_(aliases) if aliases else begins


def _begins(column: ColumnElement[str], start: str) -> ColumnElement[bool]:
    # SQLite uses no index for LIKE.
    return (column >= start) & (column < start + _LAST)


def _aliases(
    connection: Connection, models: Models, start: str, instance: str | None
) -> set[str]:
    """Return the keys of the tags whose aliases begin with a text."""
    word = models.word.__table__
    words = select(word.c.key, word.c.name, word.c.becomes_key).where(
        _begins(word.c.key, start)
    )
    if instance is not None:
        words = words.where(word.c.instance.in_({SYSTEM, instance}))
    else:
        # Many instances may have many words that begin so: read some.
        words = words.order_by(word.c.key).limit(_ALIAS_CANDIDATES)
    candidates = words.subquery()
    aliases = connection.execute(
        select(candidates.c.key, candidates.c.name)
        .where(candidates.c.becomes_key.is_not(None))
        .limit(_ALIASES)
    ).all()
    if not aliases:
        return set()
    keys = {row.key for row in aliases}
    vocabularies = read_vocabularies(connection, models, instance, keys)
    return {
        key for row in aliases for key in vocabularies.all_keys_of(tag_name(row.name))
    }
