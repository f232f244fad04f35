"""Which tables, columns and keys each revision leaves behind, by their names.

So the revision of tables is found that nobody noted. What a host added has names that
no revision knows, and does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, Inspector, MetaData, create_engine, inspect
from sqlalchemy.schema import CreateTable

from ..database import lock_writers
from ..models import create_models
from .installed import Installed, InstalledTable, installed
from .running import BASE, History

_TABLE, _COLUMN, _KEY = "table", "column", "key"


class Part(NamedTuple):
    """A table, a column, or a key: an index or a unique constraint.

    :param model: the table's name in :class:`.Models`.
    :param name: empty for a table.
    """

    kind: str
    model: str
    name: str = ""


Shape = frozenset[Part]


def read_shape(connection: Connection, tables: Installed) -> Shape:
    """Look what a database has of our tables; the one of the revision apart."""
    inspector = inspect(connection)
    return frozenset(
        part
        for model, it in tables.items()
        if model != "revision" and inspector.has_table(it.name, schema=it.schema)
        for part in _parts(inspector, model, it)
    )


def shapes_of(history: History) -> dict[str, Shape]:
    """Run all revisions on a database in memory, and look what each leaves behind."""
    models = create_models(MetaData())
    tables, revision = installed(models), models.revision.__table__
    engine = create_engine("sqlite://")
    shapes = {}
    with engine.connect() as connection:
        connection.execute(CreateTable(revision))
        # Alembic leaves a transaction alone that it finds.
        lock_writers(connection, revision)
        for each in history.revisions():
            history.upgrade(connection, tables, each.id)
            shapes[each.id] = read_shape(connection, tables)
    engine.dispose()
    return shapes


def recognise(there: Shape, shapes: Mapping[str, Shape]) -> str | None:
    """Find the oldest revision that leaves such tables; ``None`` if none does.

    It is ``"base"`` for tables that somebody was killed while making: whole tables or
    keys of a revision are missing. The steps of all revisions are repeated then.
    """
    known = there & frozenset[Part]().union(*shapes.values())
    for revision, shape in shapes.items():
        if known == shape:
            return revision
    for shape in shapes.values():
        if known < shape and not _lacks_columns(known, shape):
            return BASE
    return None


def differences(
    there: Shape, shapes: Mapping[str, Shape], tables: Installed
) -> tuple[str, str]:
    """Name the revision that comes closest, and what is missing or too much for it."""
    known = there & frozenset[Part]().union(*shapes.values())
    nearest = min(shapes, key=lambda revision: len(known ^ shapes[revision]))
    missing, extra = shapes[nearest] - known, known - shapes[nearest]
    found = []
    if missing:
        found.append(f"missing are {names(missing, tables)}")
    if extra:
        found.append(f"too much are {names(extra, tables)}")
    return nearest, "; ".join(found)


def names(parts: Iterable[Part], tables: Installed) -> str:
    """Name parts as the database does: ``autotag_tag``, ``autotag_tag.name``."""
    parts = frozenset(parts)
    whole = {part.model for part in parts if part.kind == _TABLE}
    return ", ".join(
        sorted(
            {
                tables[part.model].full_name + (part.name and f".{part.name}")
                for part in parts
                if part.kind == _TABLE or part.model not in whole
            }
        )
    )


def _lacks_columns(known: Shape, shape: Shape) -> bool:
    there = {part.model for part in known if part.kind == _TABLE}
    return any(part.kind == _COLUMN and part.model in there for part in shape - known)


def _parts(inspector: Inspector, model: str, it: InstalledTable) -> Iterator[Part]:
    yield Part(_TABLE, model)
    for column in inspector.get_columns(it.name, schema=it.schema):
        yield Part(_COLUMN, model, column["name"])
    for key in (
        *inspector.get_indexes(it.name, schema=it.schema),
        *inspector.get_unique_constraints(it.name, schema=it.schema),
    ):
        if key["name"] is not None:
            yield Part(_KEY, model, key["name"])
