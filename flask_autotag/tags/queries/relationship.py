"""``photo.tags``: the tags of an asset as a relationship of the host's model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    MetaData,
    Table,
    and_,
    bindparam,
    event,
    select,
)
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

from ...db.models import Models, has_models, models_of
from ...errors import ConfigurationError
from ...host.assets import bind_key, mapper_of, metadata_text
from ...host.images import image_types
from ...host.keys import root_of
from ...host.sql_keys import text_of
from ..rules import APPLIED
from .applied_tags import display_order

_INFO = "flask_autotag.asset_tag"
_READ_ONLY = (
    "The relationship tags is read-only. Call autotag.add_tag(asset, tag) or"
    " autotag.remove_tag(asset, tag)."
)


class AssetTag:
    """A read-only tag of an asset in :attr:`TaggedMixin.tags`.

    It has the attributes of an :class:`AppliedTag`, and the instance.
    """

    #: The name that people read.
    name: Mapped[str]
    #: The highest of any provider, from 0 to 1; ``None`` if no provider gave the tag.
    confidence: Mapped[float | None]
    #: The provider with that confidence; ``None`` if no provider gave the tag.
    provider: Mapped[str | None]
    #: That provider's model.
    model: Mapped[str | None]
    #: ``"provider"``, or ``"person"`` if somebody added or accepted it.
    source: Mapped[str]
    #: The user who added or accepted it; ``None`` if the host named none.
    person: Mapped[str | None]
    #: The instance (tenant) that the tag belongs to.
    instance: Mapped[str]
    _created_at: Mapped[datetime]
    _providers: Mapped[str | None]
    _position: Mapped[int | None]

    @property
    def created_at(self) -> datetime:
        """When the tag was applied, in UTC."""
        return self._created_at.replace(tzinfo=UTC)

    @property
    def providers(self) -> tuple[str, ...]:
        """All providers that gave the tag, by confidence, highest first."""
        return tuple(self._providers.split(",")) if self._providers else ()

    @property
    def pinned(self) -> bool:
        """Whether a person pinned the tag to the front."""
        return self._position is not None

    def __repr__(self) -> str:
        return f"<AssetTag {self.name!r}>"


class TaggedMixin:
    """Adds the attribute ``tags`` to a model of the host.

    ::

        class Photo(TaggedMixin, db.Model):
            id: Mapped[int] = mapped_column(primary_key=True)

    These are the applied tags of all instances, :class:`AssetTag` objects in the order
    of ``tags_for(photo)``. If the row has several images, a tag is there once for each
    image that has it. The relationship is loaded like any other, best with
    ``selectinload``. To write to it raises ``AttributeError``.

    The extension's tables must be on the metadata of the model, which is the default.
    For a model with a bind key, pass ``models=create_models(db.metadatas[key])``.
    """

    if TYPE_CHECKING:
        tags: Mapped[list[AssetTag]]
    else:
        # An annotation would make it a field if the model is a dataclass.
        @declared_attr
        def tags(cls):
            """Return the applied tags: pinned, from people, then by confidence."""
            return _tags_of(cls)

    @validates("tags", include_removes=True)
    def _refuse_tags(self, _key: str, _tag: object, _is_remove: bool) -> NoReturn:
        raise AttributeError(_READ_ONLY)


def _tags_of(model: Any) -> Relationship[list[AssetTag]]:
    # The tables may be created after the host's model: the functions are called when
    # SQLAlchemy configures the mappers.
    return relationship(
        lambda: _asset_tag(_metadata(model)),
        secondary=lambda: _models(model).asset.__table__,
        primaryjoin=lambda: _is_asset_of(_models(model), mapper_of(model)),
        secondaryjoin=lambda: _is_applied(_models(model)),
        order_by=lambda: _order(_models(model)),
        viewonly=True,
    )


def _asset_tag(metadata: MetaData) -> type[AssetTag]:
    """Return the mapped class of *metadata*, which the first call creates."""
    mapped: type[AssetTag] | None = metadata.info.get(_INFO)
    if mapped is None:
        mapped = metadata.info[_INFO] = _map(models_of(metadata))
    return mapped


def _map(models: Models) -> type[AssetTag]:
    """Map the table of assignments alone, so that it determines the engine.

    A subquery reads the name of each tag. A join would be nested in an outer join if
    the host loads with ``joinedload``.
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
            "_position": table.c.position,
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


def _is_asset_of(models: Models, mapper: Mapper[Any]) -> ColumnElement[bool]:
    """Return the condition that an asset is the object; an index serves it."""
    asset = models.asset.__table__
    # Models may be mapped before their images are named.
    types: BindParameter[Any] = bindparam(
        None, callable_=lambda: image_types(mapper), expanding=True
    )
    return and_(
        asset.c.asset_type.in_(types),
        foreign(asset.c.asset_id) == text_of(mapper),
    )


def _is_applied(models: Models) -> ColumnElement[bool]:
    asset, assigned = models.asset.__table__, models.assignment.__table__
    return and_(foreign(assigned.c.asset_id) == asset.c.id, assigned.c.state == APPLIED)


def _order(models: Models) -> list[ColumnElement[Any]]:
    table, tag = models.assignment.__table__, models.tag.__table__
    return display_order(table.c, _of_tag(table, tag, "key"))


def _models(model: type[Any]) -> Models:
    return models_of(_metadata(model))


def _metadata(model: type[Any]) -> MetaData:
    """Return the metadata of a model.

    :raises ConfigurationError: if the tables of the extension are in another database:
        the attribute would always be empty.
    """
    mapper = mapper_of(model)
    table: Any = root_of(mapper).local_table
    metadata: MetaData = table.metadata
    if bind_key(mapper) is not None and not has_models(metadata):
        raise ConfigurationError(
            f"{model.__name__}.tags needs the tables of the extension in the database"
            f" of {model.__name__}: call create_models({metadata_text(mapper)}) before"
            " the models are used, and pass the result as AutoTag(models=...)."
        )
    return metadata


def _refuse(_mapper: object, _connection: object, _target: object) -> NoReturn:
    raise AttributeError(_READ_ONLY)
