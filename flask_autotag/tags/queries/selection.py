"""SQL conditions that select the objects of a host's model by their tags."""

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

from ...db.models import Models
from ...db.sql import dialect_of, is_one_of
from ...host.assets import mapper_of
from ...host.images import image_types
from ...host.sql_keys import can_decode, is_number, key_of, keys_in, text_of
from ...settings.tag_names import tag_name
from ..decisions import PERSON, PROVIDER, Source
from ..rules import APPLIED
from .names import Tag, find_tags

#: Typical number of objects on a page of the host.
_PAGE = 50
#: Cost of reading one asset of a tag, whose rows are scattered, in lookups of an
#: object: from one on SQLite to four on PostgreSQL, by ``benchmarks/query.py``.
_READ_COST = 3
#: The same if an index of numbers covers the query.
_READ_COST_BY_NUMBER = 0.3


@dataclass(frozen=True)
class Criteria:
    """The tags by which objects are selected.

    :param all_of: names of tags that an object must have.
    :param any_of: names of tags of which an object must have at least one.
    :param none_of: names of tags that an object must not have.
    :param min_confidence: the minimum confidence of a provider's tag, from 0 to 1; a
        tag from a person always counts.
    :param source: only tags from a ``"provider"`` or a ``"person"``; ``None`` for both.
    :param instance: the tenant; ``None`` for any.
    :param narrower: whether a broader tag includes the tags below it.
    :param name: the image of the row that must have them; ``None`` for any of its
        images.
    :raises TypeError: if *all_of*, *any_of* or *none_of* is a string.
    :raises ValueError: if *min_confidence* or *source* has another value.
    """

    all_of: Iterable[str] = ()
    any_of: Iterable[str] = ()
    none_of: Iterable[str] = ()
    min_confidence: float | None = None
    source: Source | None = None
    instance: str | None = None
    narrower: bool = False
    name: str | None = None

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
    """Return the condition that an object meets the criteria.

    Names are resolved now. The form of the condition depends on the number of assets
    with a tag: few are read from the tag; with many, the database checks one object
    after the other, in the host's order, until a page is full.

    :raises AssetError: if *model* is not mapped, or has no image of that name.
    :raises ValueError: if a name is not a valid tag name.
    """
    return _Question(connection, models, mapper_of(model), criteria).condition()


@dataclass(frozen=True)
class _Question:
    connection: Connection
    models: Models
    mapper: Mapper[Any]
    criteria: Criteria

    def condition(self) -> ColumnElement[bool]:
        """Combine the conditions of all groups of tags."""
        wanted = self._wanted()
        if not all(wanted):
            return false()
        conditions = [self._has(tags) for tags in wanted]
        rarest = min(wanted, key=_number, default=[])
        if rarest and can_decode(self.mapper) and _number(rarest) <= self._few:
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
        """Return the groups of tags; an object must have a tag of each group."""
        groups = [self._either([name]) for name in self.criteria.all_of]
        if self.criteria.any_of:
            groups.append(self._either(self.criteria.any_of))
        return groups

    def _either(self, names: Iterable[str]) -> list[Tag]:
        found = {
            tag for name in names for tag in self._tags_by_name[tag_name(name).key]
        }
        return sorted(found, key=lambda tag: tag.id)

    @cached_property
    def _tags_by_name(self) -> Mapping[str, list[Tag]]:
        """The tags of all names, read at once."""
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
        """The number of assets up to which a tag's assets are read.

        If *n* of *N* objects have a tag, a page takes *N* · page / *n* lookups of
        objects, and reading the tag's assets costs *n* · :data:`_READ_COST` lookups.
        The two are equal at the returned *n*.
        """
        table = self.models.asset.__table__
        last = self.connection.scalar(select(func.max(table.c.id))) or 0
        cost = _READ_COST_BY_NUMBER if self._numbers else _READ_COST
        return math.sqrt(_PAGE * last / cost)

    def _has(self, tags: Sequence[Tag]) -> ColumnElement[bool]:
        """Return a condition that checks each object for one of the tags."""
        found = self._by_number(tags) if self._numbers else self._by_text(tags)
        asset, assigned = self.models.asset.__table__, self.models.assignment.__table__
        found = found.correlate_except(asset, assigned)
        dialect = dialect_of(self.connection)
        if dialect == "postgresql":
            # OFFSET keeps it from joining whole tables when it underestimates a page.
            found = found.offset(0)
        if dialect in ("mysql", "mariadb"):
            # With EXISTS they would read all assets of the tag first.
            one = found.limit(1).scalar_subquery()
            return func.coalesce(one, 0) != 0
        return found.exists()

    def _by_number(self, tags: Sequence[Tag]) -> Select[Any]:
        assigned = self.models.assignment.__table__
        return select(assigned.c.asset_id).where(
            self._is_image(assigned.c.asset_type),
            assigned.c.asset_number == key_of(self.mapper),
            *self._applied(tags),
        )

    def _by_text(self, tags: Sequence[Tag]) -> Select[Any]:
        asset, assigned = self.models.asset.__table__, self.models.assignment.__table__
        return (
            select(asset.c.id)
            .join_from(asset, assigned, assigned.c.asset_id == asset.c.id)
            .where(
                self._is_image(asset.c.asset_type),
                asset.c.asset_id == text_of(self.mapper),
                # Completes the columns of a unique key.
                asset.c.instance.in_(sorted({tag.instance for tag in tags})),
                *self._applied(tags),
            )
        )

    def _is_among(self, tags: Sequence[Tag]) -> ColumnElement[bool]:
        """Return a condition that reads the assets of the tags."""
        asset, assigned = self.models.asset.__table__, self.models.assignment.__table__
        if self._numbers:
            return self._is_among_numbers(tags)
        keys = keys_in(asset.c.asset_id, self.mapper, dialect_of(self.connection))
        found = (
            select(*keys)
            .join_from(assigned, asset, asset.c.id == assigned.c.asset_id)
            .where(self._is_image(asset.c.asset_type), *self._applied(tags))
        )
        return key_of(self.mapper).in_(found)

    def _is_among_numbers(self, tags: Sequence[Tag]) -> ColumnElement[bool]:
        assigned, key = self.models.assignment.__table__, key_of(self.mapper)
        numbers = select(assigned.c.asset_number).where(
            self._is_image(assigned.c.asset_type), *self._applied(tags)
        )
        if dialect_of(self.connection) != "postgresql":
            return key.in_(numbers)
        # It looks up an array in the index, whatever its statistics estimate.
        array = func.array(numbers.scalar_subquery(), type_=ARRAY(BigInteger))
        return key == any_(array)

    def _is_image(self, asset_type: ColumnElement[str]) -> ColumnElement[bool]:
        """Return the condition that an asset is an image that must have tags."""
        return is_one_of(asset_type, image_types(self.mapper, self.criteria.name))

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
    """Return an upper bound of the assets that have one of some tags."""
    return sum(tag.assets for tag in tags)
