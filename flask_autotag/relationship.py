"""``photo.tags``: the tags of an asset as a relationship of the host's own model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from sqlalchemy import ColumnElement, MetaData, Table, and_, event, select
from sqlalchemy.orm import (
    Mapped,
    Mapper,
    Relationship,
    column_property,
    declared_attr,
    foreign,
    registry,
    relationship,
    validates,
)

from .assets import mapper_of, type_of
from .host_keys import text_of
from .models import Models, models_of
from .query import as_shown
from .verdicts import APPLIED

_INFO = "flask_autotag.asset_tag"
_READ_ONLY = (
    "The tags of an asset are only read here. Call autotag.add_tag(asset, name) or"
    " autotag.remove_tag(asset, name)."
)


class AssetTag:
    """A tag of an asset, as :attr:`TaggedMixin.tags` gives it; to be read only.

    It has what an :class:`AppliedTag` has, and the tenant.
    """

    #: What people read.
    name: Mapped[str]
    #: From 0 to 1, the best that a provider gave; ``None`` if none said it.
    confidence: Mapped[float | None]
    #: Who was surest of it; ``None`` if none said it.
    provider: Mapped[str | None]
    #: With which model.
    model: Mapped[str | None]
    #: ``"provider"``, or ``"person"`` if somebody added or accepted it.
    source: Mapped[str]
    #: Who added or accepted it, if the host said so.
    person: Mapped[str | None]
    #: The tenant whose tag it is.
    instance: Mapped[str]
    _created_at: Mapped[datetime]
    _providers: Mapped[str | None]

    @property
    def created_at(self) -> datetime:
        """When, in UTC."""
        return self._created_at.replace(tzinfo=UTC)

    @property
    def providers(self) -> tuple[str, ...]:
        """All who said so, the surest first."""
        return tuple(self._providers.split(",")) if self._providers else ()

    def __repr__(self) -> str:
        return f"<AssetTag {self.name!r}>"


class TaggedMixin:
    """Gives a model of the host the attribute ``tags``.

    ::

        class Photo(TaggedMixin, db.Model):
            id: Mapped[int] = mapped_column(primary_key=True)

    They are the applied tags of all tenants, as ``tags_for(photo)`` gives them:
    :class:`AssetTag` objects. The relationship is loaded as any other, best by
    ``selectinload``; writing to it raises ``AttributeError``.

    The extension's tables have to be on the same metadata as the model's, as they are
    unless the host has put them elsewhere.
    """

    if TYPE_CHECKING:
        tags: Mapped[list[AssetTag]]
    else:
        # Not annotated, or it would be a field of a model that is a dataclass.
        @declared_attr
        def tags(cls):
            """Give the applied tags: people's first, then the surest."""
            return _tags_of(cls)

    @validates("tags", include_removes=True)
    def _refuse_tags(self, _key: str, _tag: object, _is_remove: bool) -> NoReturn:
        raise AttributeError(_READ_ONLY)


def _tags_of(model: Any) -> Relationship[list[AssetTag]]:
    # What it refers to may be made after the host's model: it is asked for when
    # SQLAlchemy configures the mappers.
    return relationship(
        lambda: _asset_tag(_metadata(model)),
        secondary=lambda: _models(model).asset.__table__,
        primaryjoin=lambda: _names(_models(model), mapper_of(model)),
        secondaryjoin=lambda: _is_applied(_models(model)),
        order_by=lambda: _order(_models(model)),
        viewonly=True,
    )


def _asset_tag(metadata: MetaData) -> type[AssetTag]:
    """Give the mapped class of *metadata*, made on the first call."""
    made: type[AssetTag] | None = metadata.info.get(_INFO)
    if made is None:
        made = metadata.info[_INFO] = _map(models_of(metadata))
    return made


def _map(models: Models) -> type[AssetTag]:
    """Map the table of assignments, which alone says which engine is asked.

    What a tag is called is read for each: a join would be one inside an outer join
    where somebody loads by ``joinedload``.
    """
    table, tag = models.assignment.__table__, models.tag.__table__
    mapped: type[AssetTag] = type("AutotagAssetTag", (AssetTag,), {})
    registry(metadata=models.metadata).map_imperatively(
        mapped,
        table,
        properties={
            "_asset_row": table.c.asset_id,
            "_tag_row": table.c.tag_id,
            "_created_at": table.c.created_at,
            "_providers": table.c.providers,
            "person": table.c.decided_by,
            "name": column_property(_of_tag(table, tag, "name")),
            "instance": column_property(_of_tag(table, tag, "instance")),
        },
        exclude_properties=["state"],
    )
    for change in ("before_insert", "before_update", "before_delete"):
        event.listen(mapped, change, _refuse)
    return mapped


def _of_tag(assigned: Table, tag: Table, column: str) -> ColumnElement[Any]:
    found = select(tag.c[column]).where(tag.c.id == assigned.c.tag_id)
    return found.correlate(assigned).scalar_subquery()


def _names(models: Models, mapper: Mapper[Any]) -> ColumnElement[bool]:
    """Whether a row names an object, which the index of such rows finds."""
    asset = models.asset.__table__
    return and_(
        asset.c.asset_type == type_of(mapper),
        foreign(asset.c.asset_id) == text_of(mapper),
    )


def _is_applied(models: Models) -> ColumnElement[bool]:
    asset, assigned = models.asset.__table__, models.assignment.__table__
    return and_(foreign(assigned.c.asset_id) == asset.c.id, assigned.c.state == APPLIED)


def _order(models: Models) -> list[ColumnElement[Any]]:
    table, tag = models.assignment.__table__, models.tag.__table__
    return as_shown(table.c, _of_tag(table, tag, "key"))


def _models(model: type[Any]) -> Models:
    return models_of(_metadata(model))


def _metadata(model: type[Any]) -> MetaData:
    table: Any = mapper_of(model).base_mapper.local_table
    metadata: MetaData = table.metadata
    return metadata


def _refuse(_mapper: object, _connection: object, _target: object) -> NoReturn:
    raise AttributeError(_READ_ONLY)
