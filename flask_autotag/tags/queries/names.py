"""Resolves the names of a query to tags, in one instance or in all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, or_, select

from ...db.models import Models
from ...host.assets import SYSTEM
from ...providers import concept_hierarchy
from ...settings.related_words import read_related
from ...settings.tag_names import TagName, tag_name
from ...settings.vocabulary import Vocabulary, combine_rules


@dataclass(frozen=True)
class Tag:
    """A tag of an instance.

    :param id: key of the tag's row.
    :param concept: the stable id of its concept, if it is known.
    :param assets: number of assets that have it.
    """

    id: int
    instance: str
    key: str
    concept: str | None
    assets: int


@dataclass(frozen=True)
class Vocabularies:
    """The vocabularies of one instance, or of all, as far as some words need them.

    :param own: the vocabularies of the instances with rules of their own.
    :param others: the vocabulary of all other instances.
    """

    own: Mapping[str, Vocabulary]
    others: Vocabulary

    def of(self, instance: str) -> Vocabulary:
        """Return the vocabulary of an instance."""
        return self.own.get(instance, self.others)

    def keys_of(self, name: TagName, instance: str) -> frozenset[str]:
        """Return the keys of all words that are the same tag in an instance."""
        vocabulary = self.of(instance)
        return vocabulary.same_as(vocabulary.called(name).key)

    def all_keys_of(self, name: TagName) -> frozenset[str]:
        """Return the keys of all words that are the same tag in any instance."""
        each = (self.keys_of(name, instance) for instance in (*self.own, SYSTEM))
        return frozenset().union(*each)


def read_vocabularies(
    connection: Connection, models: Models, instance: str | None, keys: Collection[str]
) -> Vocabularies:
    """Read the rules of some words, and of the words related to them.

    :param instance: ``None`` for all.
    :param keys: keys of the words; the vocabularies lack all unrelated words.
    """
    words = read_related(connection, models, keys, instance)
    system = words.get(SYSTEM, {})
    own = {
        name: Vocabulary(combine_rules(system, own_words))
        for name, own_words in words.items()
        if name != SYSTEM
    }
    others = Vocabulary(system)
    if instance is not None:
        vocabulary = own.get(instance, others)
        return Vocabularies({instance: vocabulary}, vocabulary)
    return Vocabularies(own, others)


def find_tags(
    connection: Connection,
    models: Models,
    names: Iterable[str],
    instance: str | None,
    *,
    narrower: bool = False,
) -> dict[str, list[Tag]]:
    """Find tags by their names, in any case, and by their aliases.

    :param names: names as people write them.
    :param instance: the tenant; ``None`` for all.
    :param narrower: also find the tags below a broader tag: *beagle* for *dog*.
    :return: the tags by the key of each name; an empty list if no tag has the name.
    :raises ValueError: if a name is not a valid tag name.
    """
    wanted = {name.key: name for name in map(tag_name, names)}
    if not wanted:
        return {}
    vocabularies = read_vocabularies(connection, models, instance, wanted)
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
    """Find the tags below those that are broader tags or have the name of one."""
    known = concept_hierarchy.hierarchy()
    named = {each for each, name in known.names.items() if tag_name(name).key in keys}
    wanted = named | {tag.concept for tag in tags if tag.concept in known}
    if not wanted:
        return []
    below = {each for each in known.names if known.above(each) & wanted}
    names = {tag_name(known.names[each]).key for each in below}
    found = _read(connection, models, names, instance, concepts=True)
    nouns = frozenset(tag.concept for tag in found if tag.concept)
    above = concept_hierarchy.concepts_of(nouns)
    known_ids = {tag.id for tag in tags}
    return [
        tag
        for tag in found
        if tag.id not in known_ids
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
    """Read tags by their keys.

    :param concepts: also read all tags that have a concept.
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
