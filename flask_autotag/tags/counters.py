"""How many assets have each tag, stored so that no page counts assignments.

Code that changes assignments does so inside :func:`counting`, in the same transaction.
The counters have a table of their own because assignments refer to tags, and MariaDB
and MySQL lock the row that a new assignment refers to: two workers with such locks on a
popular tag could not both increment a counter in the tag's row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select, update
from sqlalchemy.orm import Session

from ..db.database import Database
from ..db.models import Models
from ..db.sql import (
    dialect_of,
    in_batches,
    insert_or_add,
    insert_or_ignore,
    lock_writers,
    see_commits,
)
from .rules import APPLIED

#: Tags in the sample of a quick check.
SAMPLE = 100
#: A quick check skips tags on more assets than this, which take long to count.
SAMPLE_ASSETS = 1000
#: Tags that one transaction checks when all are checked.
_BATCH_SIZE = 100


@contextmanager
def counting(
    connection: Connection, models: Models, asset_ids: Collection[int]
) -> Iterator[None]:
    """Update the counters after the block has changed the tags of some assets.

    Only counters whose number changes are written. They are written last and in the
    order of their keys: a fixed order cannot deadlock, and popular counters are locked
    for a short time.

    :param asset_ids: the assets' rows, which the caller has locked or inserted.
    """
    before = count_applied(read_assignments(connection, models, asset_ids))
    yield
    after = count_applied(read_assignments(connection, models, asset_ids))
    changes = changed_counts(before, after)
    if changes:
        add(connection, models, changes, _instances(connection, models, changes))


def read_assignments(
    connection: Connection, models: Models, asset_ids: Collection[int]
) -> list[Row[Any]]:
    """Read the assignments of some assets: asset, tag, state and source.

    :param asset_ids: the assets' rows, which the caller has locked or inserted.
    """
    table = models.assignment.__table__
    names = ("asset_id", "tag_id", "state", "source")
    found: list[Row[Any]] = []
    for some in in_batches(asset_ids):
        statement = select(*(table.c[name] for name in names)).where(
            table.c.asset_id.in_(some)
        )
        if dialect_of(connection) in ("mysql", "mariadb"):
            # A plain read would see the snapshot of the host's transaction.
            statement = statement.with_for_update()
        found += connection.execute(statement)
    return found


def count_applied(assignments: Iterable[Row[Any]]) -> Counter[int]:
    """Count the assets to which each tag is applied."""
    return Counter(row.tag_id for row in assignments if row.state == APPLIED)


def changed_counts(before: Counter[int], after: Counter[int]) -> dict[int, int]:
    """Return the difference of each tag's count, if it is not 0."""
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

    :param changes: the number to add, by the tag's row.
    :param instances: the instance of each tag, by its row.
    """
    rows = [
        {"tag_id": tag_id, "instance": instances[tag_id], "assets": changes[tag_id]}
        for tag_id in sorted(changes)
    ]
    table = models.counter.__table__
    statement = insert_or_add(table, dialect_of(connection), ["tag_id"], "assets")
    connection.execute(statement, rows)


def _instances(
    connection: Connection, models: Models, tag_ids: Collection[int]
) -> dict[int, str]:
    tag = models.tag.__table__
    columns = select(tag.c.id, tag.c.instance)
    return {
        row.id: row.instance
        for some in in_batches(tag_ids)
        for row in connection.execute(
            see_commits(connection, columns.where(tag.c.id.in_(some)))
        )
    }


@dataclass(frozen=True)
class Drift:
    """The result of a check of counters.

    :param looked_at: number of tags whose assets were counted.
    :param wrong: row keys of the tags whose counter differs from the count.
    """

    looked_at: int
    wrong: Sequence[int]


def check_some(session: Session, models: Models) -> Drift:
    """Compare the counters of a random sample of tags with their assets."""
    tag, counter = models.tag.__table__, models.counter.__table__
    number = func.coalesce(counter.c.assets, 0)
    is_mysql = dialect_of(session) in ("mysql", "mariadb")
    some = (
        select(tag.c.id)
        .outerjoin_from(tag, counter, counter.c.tag_id == tag.c.id)
        .where(number <= SAMPLE_ASSETS)
        .order_by(func.rand() if is_mysql else func.random())
        .limit(SAMPLE)
    )
    return _check(session, models, session.scalars(some).all())


def check_all(database: Database) -> Drift:
    """Compare the counters of all tags with their assets, a batch a transaction."""
    looked_at, wrong = 0, list[int]()
    for ids in _batches_of_tags(database):
        with database.begin() as session:
            found = _check(session, database.models, ids)
        looked_at += found.looked_at
        wrong += found.wrong
    return Drift(looked_at, wrong)


def repair(database: Database, tag_ids: Collection[int]) -> None:
    """Count the assets of some tags again, and correct their counters.

    Others may write at the same time: each counter is locked before its tag is
    counted, in a transaction of its own. A writer that has changed assignments but not
    the counter yet adds its change afterwards.
    """
    for tag_id in sorted(tag_ids):
        database.transact(
            lambda session, tag_id=tag_id: _correct(  # type: ignore[misc]
                session, database.models, tag_id
            )
        )


def _correct(session: Session, models: Models, tag_id: int) -> None:
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
    # One statement: its snapshot is consistent while others write.
    rows = session.execute(
        select(
            tag.c.id,
            func.coalesce(counter.c.assets, 0).label("stored"),
            _count(models, tag.c.id).scalar_subquery().label("counted"),
        )
        .outerjoin_from(tag, counter, counter.c.tag_id == tag.c.id)
        .where(tag.c.id.in_(tag_ids))
    ).all()
    return Drift(len(rows), [row.id for row in rows if row.stored != row.counted])


def _count(models: Models, tag_id: Any) -> Select[Any]:
    table = models.assignment.__table__
    return select(func.count()).where(
        table.c.tag_id == tag_id, table.c.state == APPLIED
    )


def _batches_of_tags(database: Database) -> Iterator[Sequence[int]]:
    tag, last = database.models.tag.__table__, 0
    while True:
        with database.begin() as session:
            ids = session.scalars(
                select(tag.c.id)
                .where(tag.c.id > last)
                .order_by(tag.c.id)
                .limit(_BATCH_SIZE)
            ).all()
        if not ids:
            return
        yield ids
        last = ids[-1]
