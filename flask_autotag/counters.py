"""How many assets have each tag, kept beside the tags so that nobody has to count.

Whatever changes assignments does so inside :func:`counting`, in the transaction that it
belongs to. The numbers are in a table of their own: rows of assignments refer to those
of tags, and MariaDB and MySQL lock what is referred to; two workers that hold such
locks on a popular tag could not both count it up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select, update
from sqlalchemy.orm import Session

from .database import (
    Database,
    dialect_of,
    insert_or_add,
    insert_or_ignore,
    lock_writers,
)
from .models import Models
from .verdicts import APPLIED

#: Tags of which a check that is to be short counts the assets …
SAMPLE = 100
#: … if they are on no more than these: to count more takes long.
SAMPLE_ASSETS = 1000
#: Tags that one transaction looks at when all are counted.
_PORTION = 100


@contextmanager
def counting(
    connection: Connection, models: Models, asset_ids: Collection[int]
) -> Iterator[None]:
    """Let the counters follow what the block does to the tags of some assets.

    Only the counters of tags whose number changes are written, in the order of their
    keys and after all else, so that two writers never wait for them in a ring and
    popular ones are locked for a short time.

    :param asset_ids: the assets' rows, which the caller has locked or made.
    """
    before = applied(read_standing(connection, models, asset_ids))
    yield
    after = applied(read_standing(connection, models, asset_ids))
    changes = changed(before, after)
    if changes:
        add(connection, models, changes, _instances(connection, models, changes))


def read_standing(
    connection: Connection, models: Models, asset_ids: Collection[int]
) -> Sequence[Row[Any]]:
    """Read which tags some assets have, and how they stand, whoever says so.

    :param asset_ids: the assets' rows, which the caller has locked or made.
    """
    table = models.assignment.__table__
    names = ("asset_id", "tag_id", "state", "source")
    columns = [table.c[name] for name in names]
    statement = select(*columns).where(table.c.asset_id.in_(asset_ids))
    if connection.dialect.name in ("mysql", "mariadb"):
        # Else a host's transaction goes on seeing what it saw first.
        statement = statement.with_for_update()
    return connection.execute(statement).all()


def applied(standing: Iterable[Row[Any]]) -> Counter[int]:
    """Count on how many assets each tag is."""
    return Counter(row.tag_id for row in standing if row.state == APPLIED)


def changed(before: Counter[int], after: Counter[int]) -> dict[int, int]:
    """Say by how much the number of each tag changes, if it does."""
    changes = after.copy()
    changes.subtract(before)
    return {tag_id: number for tag_id, number in changes.items() if number}


def add(
    connection: Connection,
    models: Models,
    changes: Mapping[int, int],
    instances: Mapping[int, str],
) -> None:
    """Add to the counters of some tags, in the order of their keys.

    :param instances: of each tag.
    """
    rows = [
        {"tag_id": tag_id, "instance": instances[tag_id], "assets": changes[tag_id]}
        for tag_id in sorted(changes)
    ]
    table = models.counter.__table__
    statement = insert_or_add(table, connection.dialect.name, ["tag_id"], "assets")
    connection.execute(statement, rows)


def _instances(
    connection: Connection, models: Models, tag_ids: Collection[int]
) -> dict[int, str]:
    tag = models.tag.__table__
    named = select(tag.c.id, tag.c.instance).where(tag.c.id.in_(tag_ids))
    return {row.id: row.instance for row in connection.execute(named)}


@dataclass(frozen=True)
class Drift:
    """What a look at counters found.

    :param looked_at: how many tags' assets were counted.
    :param wrong: keys of the rows of the tags whose counter says something else.
    """

    looked_at: int
    wrong: Sequence[int]


def check_some(session: Session, models: Models) -> Drift:
    """Count the assets of some tags, other ones each time."""
    tag, counter = models.tag.__table__, models.counter.__table__
    number = func.coalesce(counter.c.assets, 0)
    some = (
        select(tag.c.id)
        .outerjoin_from(tag, counter, counter.c.tag_id == tag.c.id)
        .where(number <= SAMPLE_ASSETS)
        .order_by(func.rand() if _is_mysql(session) else func.random())
        .limit(SAMPLE)
    )
    return _check(session, models, session.scalars(some).all())


def check_all(database: Database) -> Drift:
    """Count the assets of all tags, some in a transaction."""
    looked_at, wrong = 0, list[int]()
    for ids in _portions(database):
        with database.begin() as session:
            found = _check(session, database.models, ids)
        looked_at += found.looked_at
        wrong += found.wrong
    return Drift(looked_at, wrong)


def repair(database: Database, tag_ids: Collection[int]) -> None:
    """Count the assets of some tags, and set their counters to that.

    While others write: each counter is locked before its tag is counted. Who has
    changed the tag's assets and not counted yet, does so afterwards.
    """
    for tag_id in sorted(tag_ids):
        database.transact(
            lambda session, tag_id=tag_id: _set(  # type: ignore[misc]
                session, database.models, tag_id
            )
        )


def _set(session: Session, models: Models, tag_id: int) -> None:
    tag, counter = models.tag.__table__, models.counter.__table__
    lock_writers(session, counter)
    instance = session.scalar(select(tag.c.instance).where(tag.c.id == tag_id))
    dialect = dialect_of(session)
    session.execute(
        insert_or_ignore(counter, dialect, ["tag_id"]),
        [{"tag_id": tag_id, "instance": instance, "assets": 0}],
    )
    session.execute(
        select(counter.c.assets).where(counter.c.tag_id == tag_id).with_for_update()
    )
    number = session.scalar(_count(models, tag_id))
    session.execute(
        update(counter).where(counter.c.tag_id == tag_id).values(assets=number)
    )


def _check(session: Session, models: Models, tag_ids: Sequence[int]) -> Drift:
    tag, counter = models.tag.__table__, models.counter.__table__
    # In one statement, which sees one moment whatever others write.
    rows = session.execute(
        select(
            tag.c.id,
            func.coalesce(counter.c.assets, 0).label("said"),
            _count(models, tag.c.id).scalar_subquery().label("real"),
        )
        .outerjoin_from(tag, counter, counter.c.tag_id == tag.c.id)
        .where(tag.c.id.in_(tag_ids))
    ).all()
    return Drift(len(rows), [row.id for row in rows if row.said != row.real])


def _count(models: Models, tag_id: Any) -> Select[Any]:
    table = models.assignment.__table__
    return select(func.count()).where(
        table.c.tag_id == tag_id, table.c.state == APPLIED
    )


def _portions(database: Database) -> Iterator[Sequence[int]]:
    tag, last = database.models.tag.__table__, 0
    while True:
        with database.begin() as session:
            ids = session.scalars(
                select(tag.c.id)
                .where(tag.c.id > last)
                .order_by(tag.c.id)
                .limit(_PORTION)
            ).all()
        if not ids:
            return
        yield ids
        last = ids[-1]


def _is_mysql(session: Session) -> bool:
    return dialect_of(session) in ("mysql", "mariadb")
