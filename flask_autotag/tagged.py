"""Which objects of a host's model have which tags, as conditions in SQL."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    any_,
    false,
    func,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.orm import Mapper

from .assets import mapper_of, type_of
from .database import dialect_of
from .decisions import PERSON, PROVIDER, Source
from .host_keys import is_number, key_of, keys_in, text_of
from .lookup import Tag, find_tags
from .models import Models
from .verdicts import APPLIED
from .vocabulary import tag_name

#: Objects that a page shows, more or less: as many are looked for among the latest.
_PAGE = 50
#: Looks at an object that take as long as to read one asset of a tag, whose rows lie
#: apart: from one on SQLite to four on PostgreSQL, by ``benchmarks/query.py``.
_LOOKS = 3
#: The same where an index of numbers has all that is read, side by side.
_LOOKS_AT_NUMBERS = 0.3


@dataclass(frozen=True)
class Criteria:
    """The tags that are asked for.

    :param all_of: names of tags that an object must have.
    :param any_of: of which it must have one.
    :param none_of: that it must not have.
    :param min_confidence: from 0 to 1, what a provider must have said at least; what a
        person decided counts as sure.
    :param source: ``"provider"`` or ``"person"``: who applied them; ``None`` for both.
    :param instance: the tenant; ``None`` for any.
    :param narrower: whether a broader tag stands for those below it too.
    :raises TypeError: if a text stands where several tags belong.
    :raises ValueError: if *min_confidence* or *source* is none of these.
    """

    all_of: Iterable[str] = ()
    any_of: Iterable[str] = ()
    none_of: Iterable[str] = ()
    min_confidence: float | None = None
    source: Source | None = None
    instance: str | None = None
    narrower: bool = False

    def __post_init__(self) -> None:
        for argument in ("all_of", "any_of", "none_of"):
            names = getattr(self, argument)
            if isinstance(names, str):
                raise TypeError(
                    f"{argument} takes several tags: {argument}=[{names!r}]."
                )
            object.__setattr__(self, argument, tuple(names))
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            raise ValueError(
                f"min_confidence is a number from 0 to 1, not {self.min_confidence!r}."
            )
        if self.source not in (None, PROVIDER, PERSON):
            raise ValueError(
                f"source is {PROVIDER!r} or {PERSON!r}, not {self.source!r:.80}."
            )


def condition(
    connection: Connection, models: Models, model: type[Any], criteria: Criteria
) -> ColumnElement[bool]:
    """Make the condition that an object has the tags.

    The names are looked up now; how the tags are found depends on how many assets
    have them. A tag on few is found by its assets. One on many is looked for on one
    object after the other, in the host's order, until a page is full.

    :raises AssetError: if *model* is not mapped.
    :raises ValueError: if a name can be no tag.
    """
    return _Question(connection, models, mapper_of(model), criteria).condition()


@dataclass(frozen=True)
class _Question:
    connection: Connection
    models: Models
    mapper: Mapper[Any]
    criteria: Criteria

    def condition(self) -> ColumnElement[bool]:
        """Join the conditions of all groups of tags."""
        wanted = self._wanted()
        if not all(wanted):
            return false()
        conditions = [self._has(tags) for tags in wanted]
        rarest = min(wanted, key=_number, default=[])
        if rarest and _number(rarest) <= self._few:
            conditions[wanted.index(rarest)] = self._is_among(rarest)
        unwanted = self._either(self.criteria.none_of)
        if unwanted:
            conditions.append(not_(self._has(unwanted)))
        return and_(true(), *conditions)

    @cached_property
    def _numbers(self) -> bool:
        """Whether an index leads from tags to the host's keys."""
        return is_number(self.mapper)

    def _wanted(self) -> list[list[Tag]]:
        """Find the groups of which an object must have a tag each."""
        groups = [self._either([name]) for name in self.criteria.all_of]
        if self.criteria.any_of:
            groups.append(self._either(self.criteria.any_of))
        return groups

    def _either(self, names: Iterable[str]) -> list[Tag]:
        found = {tag for name in names for tag in self._meant[tag_name(name).key]}
        return sorted(found, key=lambda tag: tag.id)

    @cached_property
    def _meant(self) -> Mapping[str, list[Tag]]:
        """Look up all names at once."""
        criteria = self.criteria
        names = (*criteria.all_of, *criteria.any_of, *criteria.none_of)
        return find_tags(
            self.connection,
            self.models,
            names,
            criteria.instance,
            narrower=criteria.narrower,
        )

    @cached_property
    def _few(self) -> float:
        """On how many assets a tag is that is found by them.

        To find a page among *N* objects of which *n* have it takes a look at
        *N* · page / *n*, and each of the *n* costs as much as some looks.
        """
        table = self.models.asset.__table__
        last = self.connection.scalar(select(func.max(table.c.id))) or 0
        looks = _LOOKS_AT_NUMBERS if self._numbers else _LOOKS
        return math.sqrt(_PAGE * last / looks)

    def _has(self, tags: Sequence[Tag]) -> ColumnElement[bool]:
        """Look for the tags on an object."""
        found = self._by_number(tags) if self._numbers else self._by_text(tags)
        asset, assigned = self.models.asset.__table__, self.models.assignment.__table__
        found = found.correlate_except(asset, assigned)
        dialect = dialect_of(self.connection)
        if dialect == "postgresql":
            # Else it joins whole tables where it underestimates what a page needs.
            found = found.offset(0)
        if dialect in ("mysql", "mariadb"):
            # Else they read all assets of the tag first, to look each object up.
            one = found.limit(1).scalar_subquery()
            return func.coalesce(one, 0) != 0
        return found.exists()

    def _by_number(self, tags: Sequence[Tag]) -> Select[Any]:
        assigned = self.models.assignment.__table__
        return select(assigned.c.asset_id).where(
            assigned.c.asset_type == type_of(self.mapper),
            assigned.c.asset_number == key_of(self.mapper),
            *self._applied(tags),
        )

    def _by_text(self, tags: Sequence[Tag]) -> Select[Any]:
        asset, assigned = self.models.asset.__table__, self.models.assignment.__table__
        return (
            select(asset.c.id)
            .join_from(asset, assigned, assigned.c.asset_id == asset.c.id)
            .where(
                asset.c.asset_type == type_of(self.mapper),
                asset.c.asset_id == text_of(self.mapper),
                # With it the row is found by a unique key.
                asset.c.instance.in_(sorted({tag.instance for tag in tags})),
                *self._applied(tags),
            )
        )

    def _is_among(self, tags: Sequence[Tag]) -> ColumnElement[bool]:
        """Look for an object among those that have the tags."""
        asset, assigned = self.models.asset.__table__, self.models.assignment.__table__
        if self._numbers:
            return self._is_among_numbers(tags)
        keys = keys_in(asset.c.asset_id, self.mapper, dialect_of(self.connection))
        found = (
            select(*keys)
            .join_from(assigned, asset, asset.c.id == assigned.c.asset_id)
            .where(asset.c.asset_type == type_of(self.mapper), *self._applied(tags))
        )
        return key_of(self.mapper).in_(found)

    def _is_among_numbers(self, tags: Sequence[Tag]) -> ColumnElement[bool]:
        assigned, key = self.models.assignment.__table__, key_of(self.mapper)
        numbers = select(assigned.c.asset_number).where(
            assigned.c.asset_type == type_of(self.mapper), *self._applied(tags)
        )
        if dialect_of(self.connection) != "postgresql":
            return key.in_(numbers)
        # An array is read by the index, however few rows the statistics promise.
        array = func.array(numbers.scalar_subquery(), type_=ARRAY(BigInteger))
        return key == any_(array)

    def _applied(self, tags: Sequence[Tag]) -> list[ColumnElement[bool]]:
        table, criteria = self.models.assignment.__table__, self.criteria
        conditions = [
            table.c.tag_id.in_([tag.id for tag in tags]),
            table.c.state == APPLIED,
        ]
        if criteria.source is not None:
            conditions.append(table.c.source == criteria.source)
        if criteria.min_confidence is not None:
            sure = table.c.confidence >= criteria.min_confidence
            conditions.append(or_(table.c.source == PERSON, sure))
        return conditions


def _number(tags: Sequence[Tag]) -> int:
    """Give a number of assets that no fewer have, all tags together."""
    return sum(tag.assets for tag in tags)
