"""The names that somebody asks for → the tags that are meant, in each instance."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, or_, select

from . import broader
from .assets import SYSTEM
from .models import Models
from .vocabulary import TagName, Vocabulary, join_words, tag_name
from .words import read_vocabulary, read_words


@dataclass(frozen=True)
class Tag:
    """A tag of an instance.

    :param id: of its row.
    :param assets: how many assets have it.
    """

    id: int
    instance: str
    key: str
    concept: str | None
    assets: int


@dataclass(frozen=True)
class Vocabularies:
    """What holds for the words of one instance, or of all.

    :param own: of the instances that have decided something.
    :param others: of all others.
    """

    own: Mapping[str, Vocabulary]
    others: Vocabulary

    def of(self, instance: str) -> Vocabulary:
        """Find what holds in an instance."""
        return self.own.get(instance, self.others)

    def keys_of(self, name: TagName, instance: str) -> frozenset[str]:
        """Find the keys of all words that are the same tag as a name there."""
        vocabulary = self.of(instance)
        return vocabulary.same_as(vocabulary.called(name).key)

    def all_keys_of(self, name: TagName) -> frozenset[str]:
        """Find them for all instances together."""
        each = (self.keys_of(name, instance) for instance in (*self.own, SYSTEM))
        return frozenset().union(*each)


def read_vocabularies(
    connection: Connection, models: Models, instance: str | None
) -> Vocabularies:
    """Read what was decided about words.

    :param instance: ``None`` for all.
    """
    if instance is not None:
        vocabulary = read_vocabulary(connection, models, instance)
        return Vocabularies({instance: vocabulary}, vocabulary)
    table = models.word.__table__
    instances = set(connection.scalars(select(table.c.instance).distinct()))
    words = read_words(connection, models, {SYSTEM, *instances})
    system = words.pop(SYSTEM)
    own = {name: Vocabulary(join_words(system, of)) for name, of in words.items()}
    return Vocabularies(own, Vocabulary(system))


def find_tags(
    connection: Connection,
    models: Models,
    names: Iterable[str],
    instance: str | None,
    *,
    narrower: bool = False,
) -> dict[str, list[Tag]]:
    """Find the tags that names mean: whatever their case, and aliases too.

    :param names: as people write them.
    :param instance: the tenant; ``None`` for all.
    :param narrower: find the tags below a broader one too: *beagle* for *dog*.
    :return: for the key of each name its tags, none where nobody has used it yet.
    :raises ValueError: if a name can be no tag.
    """
    wanted = {name.key: name for name in map(tag_name, names)}
    if not wanted:
        return {}
    vocabularies = read_vocabularies(connection, models, instance)
    keys = {key: vocabularies.all_keys_of(name) for key, name in wanted.items()}
    every = frozenset().union(*keys.values())
    found = _read(connection, models, every, instance)
    tags = {
        key: [
            tag for tag in found if tag.key in vocabularies.keys_of(name, tag.instance)
        ]
        for key, name in wanted.items()
    }
    if narrower:
        for key in wanted:
            tags[key] += _narrower(connection, models, keys[key], tags[key], instance)
    return tags


def _narrower(
    connection: Connection,
    models: Models,
    keys: Collection[str],
    tags: Sequence[Tag],
    instance: str | None,
) -> list[Tag]:
    """Find the tags below some that are broader tags, or are called like one."""
    known = broader.hierarchy()
    named = {each for each, name in known.names.items() if tag_name(name).key in keys}
    wanted = named | {tag.concept for tag in tags if tag.concept in known}
    if not wanted:
        return []
    below = {each for each in known.names if known.above(each) & wanted}
    names = {tag_name(known.names[each]).key for each in below}
    found = _read(connection, models, names, instance, concepts=True)
    nouns = frozenset(tag.concept for tag in found if tag.concept)
    above = broader.concepts_of(nouns)
    there = {tag.id for tag in tags}
    return [
        tag
        for tag in found
        if tag.id not in there
        and (tag.key in names or above.get(tag.concept or "", frozenset()) & wanted)
    ]


def _read(
    connection: Connection,
    models: Models,
    keys: Collection[str],
    instance: str | None,
    *,
    concepts: bool = False,
) -> list[Tag]:
    """Read the tags of some keys.

    :param concepts: and all those whose concept is known.
    """
    tag, counter = models.tag.__table__, models.counter.__table__
    named: Any = tag.c.key.in_(keys)
    number = func.coalesce(counter.c.assets, 0)
    statement = (
        select(tag.c.id, tag.c.instance, tag.c.key, tag.c.concept, number)
        .outerjoin_from(tag, counter, counter.c.tag_id == tag.c.id)
        .where(or_(named, tag.c.concept.is_not(None)) if concepts else named)
    )
    if instance is not None:
        statement = statement.where(tag.c.instance == instance)
    return [Tag(*row) for row in connection.execute(statement)]
