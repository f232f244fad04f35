"""The mapped classes of one metadata, and the tables behind them.

The tables are on the host's metadata, so that ``create_all`` and Alembic find them. To
add columns or to choose another table name, subclass a mixin of :mod:`.tables` and pass
the class to :func:`create_models`. It makes the other classes, and the foreign keys.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from sqlalchemy import (
    Connection,
    ForeignKeyConstraint,
    MetaData,
    Select,
    Table,
    delete,
    event,
    insert,
    inspect,
    select,
)
from sqlalchemy.orm import DeclarativeBase

from ..errors import ConfigurationError
from .columns import TableMixin
from .revisions import newest_revision
from .tables import (
    AssetMixin,
    AssignmentMixin,
    BulkActionMixin,
    BulkItemMixin,
    CounterMixin,
    InquiryMixin,
    JobMixin,
    PredictionMixin,
    ProviderStateMixin,
    RevisionMixin,
    SettingChangeMixin,
    SettingMixin,
    TagMixin,
    UploadMixin,
    UsageMixin,
    WordMixin,
)


class Models:
    """The mapped classes of one metadata.

    The tables are there from the start; each class is mapped when it is first used.
    """

    asset: type[AssetMixin]
    tag: type[TagMixin]
    word: type[WordMixin]
    assignment: type[AssignmentMixin]
    counter: type[CounterMixin]
    prediction: type[PredictionMixin]
    job: type[JobMixin]
    upload: type[UploadMixin]
    setting: type[SettingMixin]
    setting_change: type[SettingChangeMixin]
    provider_state: type[ProviderStateMixin]
    usage: type[UsageMixin]
    inquiry: type[InquiryMixin]
    bulk_action: type[BulkActionMixin]
    bulk_item: type[BulkItemMixin]
    revision: type[RevisionMixin]

    def __init__(
        self, metadata: MetaData, schema: str | None, own: Mapping[str, type[Any]]
    ) -> None:
        self.metadata = metadata
        self._tables = {
            name: own[name].__table__
            if name in own
            else mixin.make_table(metadata, schema)
            for name, mixin in _MIXINS.items()
        }
        self._base = type("AutotagBase", (DeclarativeBase,), {"metadata": metadata})
        self._statements: dict[Callable[[Models], Select[Any]], Select[Any]] = {}
        self._lock = threading.RLock()
        self.__dict__.update(own)

    def __getattr__(self, name: str) -> Any:
        """Map a class at its first use."""
        if name not in _MIXINS:
            raise AttributeError(f"Models has no table {name!r}.")
        with self._lock:
            if name not in self.__dict__:
                self.__dict__[name] = type(
                    f"Autotag{name.title().replace('_', '')}",
                    (_MIXINS[name], self._base),
                    {"__table__": self._tables[name], "__module__": __name__},
                )
        return self.__dict__[name]

    @property
    def tables(self) -> list[Table]:
        """The tables, each after the tables that it refers to."""
        return [*self._tables.values()]

    def table(self, name: str) -> Table:
        """Return a table without mapping its class.

        :param name: of the attribute.
        """
        return self._tables[name]

    def statement(self, build: Callable[[Models], Select[Any]]) -> Select[Any]:
        """Return a statement with parameters that is built at its first use.

        SQLAlchemy needs longer to build a statement than to execute it.
        """
        if build not in self._statements:
            self._statements[build] = build(self)
        return self._statements[build]


_MIXINS: dict[str, type[TableMixin]] = {
    "asset": AssetMixin,
    "tag": TagMixin,
    "word": WordMixin,
    "assignment": AssignmentMixin,
    "counter": CounterMixin,
    "prediction": PredictionMixin,
    "job": JobMixin,
    "upload": UploadMixin,
    "setting": SettingMixin,
    "setting_change": SettingChangeMixin,
    "provider_state": ProviderStateMixin,
    "usage": UsageMixin,
    "inquiry": InquiryMixin,
    "bulk_action": BulkActionMixin,
    "bulk_item": BulkItemMixin,
    "revision": RevisionMixin,
}

#: Table, column and the table that it refers to, with ``ON DELETE CASCADE``.
_REFERENCES = (
    ("assignment", "asset_id", "asset"),
    ("assignment", "tag_id", "tag"),
    ("counter", "tag_id", "tag"),
    ("prediction", "asset_id", "asset"),
    ("upload", "job_id", "job"),
    ("bulk_item", "action_id", "bulk_action"),
    ("bulk_item", "asset_id", "asset"),
)

_INFO = "flask_autotag.db.models"


def create_models(
    metadata: MetaData, *, schema: str | None = None, **own: type[TableMixin]
) -> Models:
    """Create the tables and mapped classes on *metadata*.

    Call it once for each metadata, before :meth:`.AutoTag.init_app`, and pass the
    result as ``AutoTag(models=...)``. If you do not, ``init_app`` calls it without
    further arguments.

    :param metadata: the host's ``db.metadata`` or ``Base.metadata``.
    :param schema: the database schema of the tables; by default that of the metadata.
    :param own: the host's own classes, by the names of :class:`Models`, such as
        ``tag=PhotoTag``. Each is a mapped subclass of the mixin of that name.
    :raises ConfigurationError: if the metadata has the models already, or if *own* has
        an unknown name or a class without the mixin.
    """
    if has_models(metadata):
        raise ConfigurationError(
            "The models exist already on this metadata. Call create_models once,"
            " before AutoTag.init_app, and pass the result as AutoTag(models=...)."
        )
    _check_own(own)
    models = Models(metadata, schema, own)
    _add_foreign_keys(models)
    event.listen(metadata, "after_create", partial(_note_revision, models))
    metadata.info[_INFO] = models
    return models


def models_of(metadata: MetaData) -> Models:
    """Return the models of *metadata*; the first call creates them."""
    made: Models | None = metadata.info.get(_INFO)
    return made or create_models(metadata)


def has_models(metadata: MetaData) -> bool:
    """Return whether *metadata* has the models already."""
    return _INFO in metadata.info


def stored_revision(connection: Connection, models: Models) -> str | None:
    """Return the revision that the database stores for the tables, if any."""
    table = models.table("revision")
    if not inspect(connection).has_table(table.name, schema=table.schema):
        return None
    return connection.scalar(select(table.c.version_num))


def _check_own(own: dict[str, type[TableMixin]]) -> None:
    for name, model in own.items():
        if name not in _MIXINS:
            raise ConfigurationError(
                f"create_models has no table {name!r}; the tables are"
                f" {', '.join(_MIXINS)}."
            )
        if not issubclass(model, _MIXINS[name]):
            raise ConfigurationError(
                f"create_models({name}=...) needs a subclass of"
                f" {_MIXINS[name].__name__}, not {model.__name__}."
            )


def _note_revision(
    models: Models,
    _metadata: MetaData,
    connection: Connection,
    *,
    tables: Collection[Table],
    **_other: Any,
) -> None:
    """Store the newest revision after ``create_all`` has created all tables.

    If some tables existed before, ``upgrade-db`` finds their revision.
    """
    table = models.table("revision")
    if {*models.tables} - {table} <= {*tables}:
        connection.execute(delete(table))
        connection.execute(insert(table).values(version_num=newest_revision()))


def _add_foreign_keys(models: Models) -> None:
    for child, column, parent in _REFERENCES:
        table = models.table(child)
        target = models.table(parent).c.id
        table.append_constraint(
            ForeignKeyConstraint(
                [column],
                [target],
                name=f"fk_{table.name}_{parent}",
                ondelete="CASCADE",
            )
        )
