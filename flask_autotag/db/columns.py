"""The types of columns, the options of tables, and the base class of the mixins."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import DATETIME as GENERIC_DATETIME
from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, String, Table
from sqlalchemy.orm import declared_attr
from sqlalchemy.schema import SchemaItem

from ..host.assets import NAME_LENGTH

#: Case folding turns one character into at most three ("ΐ").
KEY_LENGTH = 3 * NAME_LENGTH
PROVIDER_LENGTH = 64
MODEL_LENGTH = 128
FIELD_LENGTH = 64
USER_LENGTH = 100

#: Bytes of an upload in one row: the most that a BLOB of MySQL and MariaDB holds.
UPLOAD_PART_BYTES = 2**16 - 1

#: The collation compares keys and ids byte by byte, as the other databases do.
_MYSQL = {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_bin"}
TABLE_OPTIONS = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in _MYSQL.items()
}


class DATETIME(GENERIC_DATETIME):
    """``sqlalchemy.dialects.mysql.DATETIME``, without an import of that dialect.

    The import takes as long as all of this package's. MySQL's compiler reads ``fsp``;
    Alembic writes the type into a host's migrations by its ``repr`` and ``__module__``.

    :param fsp: digits of the fraction of a second.
    """

    __module__ = "sqlalchemy.dialects.mysql.types"

    def __init__(self, timezone: bool = False, fsp: int | None = None) -> None:
        super().__init__(timezone)
        self.fsp = fsp


#: A time to the microsecond: MySQL and MariaDB store whole seconds by default. A word
#: may be deleted, and added to an image again, within a second.
Moment = DateTime().with_variant(DATETIME(fsp=6), "mysql", "mariadb")

#: The key of a tag or word. PostgreSQL sorts it byte by byte too, so that an index
#: finds keys by their first characters.
Key = String(KEY_LENGTH).with_variant(String(KEY_LENGTH, collation="C"), "postgresql")

#: A primary key: SQLite numbers rows only in columns of the type INTEGER.
BigKey = BigInteger().with_variant(Integer(), "sqlite")


class _Table(Table):
    """A table that checks its options when they are first read, as for its DDL.

    The check imports the dialects that the options are for.
    """

    inherit_cache = True

    options: Mapping[str, Any] = {}

    @cached_property
    def dialect_options(self) -> Any:
        found = super().dialect_options
        self.dialect_kwargs.update(self.options)
        return found


class TableMixin:
    """The base of all mixins."""

    if TYPE_CHECKING:
        __tablename__: str
        __table__: ClassVar[Table]

        def __init__(self, **values: Any) -> None: ...

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        return (*cls.table_items(), {**TABLE_OPTIONS, **cls.table_options()})

    @classmethod
    def make_table(cls, metadata: MetaData, schema: str | None) -> Table:
        """Make the table of a mixin without mapping a class, which takes longer."""
        columns: list[Column[Any]] = []
        for name, annotation in cls.__annotations__.items():
            column = getattr(cls, name).column._copy()
            column.name = column.key = name
            column.nullable = annotation.endswith("| None]")
            columns.append(column)
        table = _Table(
            cls.__tablename__, metadata, *columns, *cls.table_items(), schema=schema
        )
        table.options = {**TABLE_OPTIONS, **cls.table_options()}
        return table

    @classmethod
    def table_items(cls) -> tuple[SchemaItem, ...]:
        """Return constraints and indexes. A subclass may add its own."""
        return ()

    @classmethod
    def table_options(cls) -> dict[str, Any]:
        """Return options of one database, such as ``sqlite_with_rowid``."""
        return {}


def user_text(name: str | None) -> str | None:
    """Return a user's name as a column stores it; ``None`` for an empty name."""
    return name[:USER_LENGTH] if name else None
