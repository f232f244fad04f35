"""Measures queries by tags, and compares them with a plain table of names.

Assets have five tags each out of 5,000, distributed by Zipf's law, in three instances.
The plain table is (type, id, name) with an index from both sides. Times are those of
the whole call in milliseconds, including looking up the names and building the
statement: the median and the 99th percentile.

::

    python benchmarks/query.py [--assets 1000000] [--database sqlite]
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hosts import DATABASES, Host, host, machine, measure
from sqlalchemy import String, func, select, text
from sqlalchemy.orm import Mapped, mapped_column

from flask_autotag import AssetRef
from flask_autotag.classification.request import Classified
from flask_autotag.providers.base import Label, Prediction
from flask_autotag.tags.store import Entry, store

INSTANCES = ("one", "two", "three")
TAGS, TAGS_EACH, RUNS = 5_000, 5, 100
#: Images whose tags are counted: the latest of an instance, and many.
LATEST, FACETED = 1_000, 10_000
#: Ranks: on nearly half of the assets, on a tenth, on one of some hundred, and rare.
COMMON, SECOND, MIDDLING, RARE = 0, 3, 40, 3000
MOMENT = "2026-01-01 00:00:00"


def name_of(rank: int) -> str:
    """Return the name of a tag; some begin with the same letters."""
    return f"{'abcdefghij'[rank % 10]}{'klmnopqrst'[rank // 10 % 10]} {rank}"


@dataclass(frozen=True)
class Tables:
    """The host's model, and the plain table."""

    photo: Any
    plain: Any


def add_tables(running: Host) -> Tables:
    """Create the host's table, and the plain table."""

    class Photo(running.db.Model):  # type: ignore[name-defined]
        id: Mapped[int] = mapped_column(primary_key=True)
        instance: Mapped[str] = mapped_column(String(50), index=True)
        path: Mapped[str] = mapped_column(String(100))

    class Plain(running.db.Model):  # type: ignore[name-defined]
        type: Mapped[str] = mapped_column(String(50), primary_key=True)
        asset_id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(100), primary_key=True)
        __table_args__ = (running.db.Index("ix_plain", "name", "type", "asset_id"),)

    running.db.create_all()
    return Tables(Photo, Plain)


def rows(assets: int) -> Iterator[tuple[str, Sequence[str], Iterator[tuple[Any, ...]]]]:
    """Yield the name, the columns and the rows of each table."""
    random_ = random.Random(1)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, TAGS + 1)))
    tags: list[list[int]] = []
    counts: Counter[tuple[int, int]] = Counter()
    for number in range(1, assets + 1):
        chosen: set[int] = set()
        while len(chosen) < TAGS_EACH:
            chosen.update(random_.choices(range(TAGS), cum_weights=weights, k=1))
        tags.append(sorted(chosen))
        counts.update((number % 3, rank) for rank in chosen)
    ids = range(1, assets + 1)
    places = list(itertools.product(range(3), range(TAGS)))
    yield (
        "photo",
        ("id", "instance", "path"),
        ((each, INSTANCES[each % 3], f"{each}.jpg") for each in ids),
    )
    yield (
        "autotag_asset",
        ("id", "instance", "asset_type", "asset_id", "sha256", "tagged_at"),
        (
            (each, INSTANCES[each % 3], "photo", str(each), f"{each:064}", MOMENT)
            for each in ids
        ),
    )
    yield (
        "autotag_tag",
        ("id", "instance", "key", "name"),
        (
            (tag_id(place, rank), INSTANCES[place], name_of(rank), name_of(rank))
            for place, rank in places
        ),
    )
    yield (
        "autotag_counter",
        ("tag_id", "instance", "assets"),
        (
            (tag_id(place, rank), INSTANCES[place], counts[place, rank])
            for place, rank in places
        ),
    )
    yield (
        "autotag_assignment",
        (
            *("asset_id", "tag_id", "state", "source", "provider", "providers"),
            *("model", "confidence", "created_at", "asset_type", "asset_number"),
        ),
        (
            (
                *(each, tag_id(each % 3, rank), "applied", "provider", "tensorflow"),
                *("tensorflow", "model 1", 0.9, MOMENT, "photo", each),
            )
            for each, chosen in zip(ids, tags, strict=True)
            for rank in chosen
        ),
    )
    yield (
        "plain",
        ("type", "asset_id", "name"),
        (
            ("photo", each, name_of(rank))
            for each, chosen in zip(ids, tags, strict=True)
            for rank in chosen
        ),
    )


def tag_id(place: int, rank: int) -> int:
    """Return the key of the row of an instance's tag."""
    return place * TAGS + rank + 1


def fill(running: Host, assets: int) -> None:
    """Load the rows in the fastest way of the database."""
    raw = running.db.engine.raw_connection()
    load = {"sqlite": load_sqlite, "postgresql": load_postgresql}.get(
        running.db.engine.dialect.name, load_mariadb
    )
    try:
        for table, columns, found in rows(assets):
            load(raw, table, columns, found)
        raw.commit()
    finally:
        raw.invalidate()


def load_sqlite(raw: Any, table: str, columns: Sequence[str], found: Any) -> None:
    """Insert many rows in one statement, without waiting for the disk."""
    raw.driver_connection.execute("PRAGMA cache_size = -200000")
    if not raw.driver_connection.in_transaction:
        raw.driver_connection.execute("PRAGMA journal_mode = WAL")
        raw.driver_connection.execute("PRAGMA synchronous = OFF")
    marks = ", ".join("?" * len(columns))
    names = ", ".join(columns)
    raw.driver_connection.executemany(
        f"INSERT INTO {table} ({names}) VALUES ({marks})", found
    )
    raw.driver_connection.commit()


def load_postgresql(raw: Any, table: str, columns: Sequence[str], found: Any) -> None:
    """Use COPY, without checking foreign keys."""
    cursor = raw.driver_connection.cursor()
    cursor.execute("SET session_replication_role = replica")
    with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in found:
            copy.write_row(row)


def load_mariadb(raw: Any, table: str, columns: Sequence[str], found: Any) -> None:
    """INSERT some thousand rows at a time, without checking foreign keys."""
    cursor = raw.driver_connection.cursor()
    cursor.execute("SET foreign_key_checks = 0, unique_checks = 0")
    marks = ", ".join(["%s"] * len(columns))
    names = ", ".join(f"`{column}`" for column in columns)
    statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"
    while portion := list(itertools.islice(found, 5000)):
        cursor.executemany(statement, portion)
    raw.driver_connection.commit()


def questions(
    running: Host, tables: Tables, assets: int
) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Return each query, for the extension and for the plain table."""
    autotag, session = running.autotag, running.db.session
    photo, plain = tables.photo, tables.plain
    random_ = random.Random(2)

    def ids(*ranks: int) -> Any:
        names = [name_of(rank) for rank in ranks]
        return select(plain.asset_id).where(
            plain.type == "photo", plain.name.in_(names)
        )

    def page(**by: list[int]) -> object:
        names = {each: list(map(name_of, ranks)) for each, ranks in by.items()}
        found = autotag.select(photo, instance="one", **names)
        return finish(found)

    def plain_page(all_of: Sequence[int], none_of: Sequence[int] = ()) -> object:
        found = select(photo)
        for rank in all_of:
            found = found.where(photo.id.in_(ids(rank)))
        if none_of:
            found = found.where(photo.id.not_in(ids(*none_of)))
        return finish(found)

    def finish(found: Any) -> object:
        found = found.where(photo.instance == "one")
        return session.scalars(found.order_by(photo.id.desc()).limit(50)).all()

    def some() -> int:
        return random_.randint(1, assets)

    def plain_tags() -> object:
        number = some()
        return session.scalars(
            select(plain.name).where(plain.type == "photo", plain.asset_id == number)
        ).all()

    of_instance = select(photo).where(photo.instance == "one")
    selected = {
        LATEST: of_instance.order_by(photo.id.desc()).limit(LATEST),
        FACETED: of_instance.where(photo.id > assets - 3 * FACETED),
    }

    def plain_counts(*where: Any) -> object:
        return session.execute(
            select(plain.name, func.count())
            .join_from(plain, photo, photo.id == plain.asset_id)
            .where(plain.type == "photo", photo.instance == "one", *where)
            .group_by(plain.name)
            .order_by(func.count().desc())
            .limit(50)
        ).all()

    def plain_facets(latest: Any) -> object:
        chosen = latest.with_only_columns(photo.id).subquery()
        return session.execute(
            select(plain.name, func.count())
            .join_from(chosen, plain, plain.asset_id == chosen.c.id)
            .where(plain.type == "photo")
            .group_by(plain.name)
            .order_by(func.count().desc())
            .limit(50)
        ).all()

    def facets(latest: Any) -> object:
        return autotag.tag_counts("one", 50, latest)

    pages = {
        "a page by a common tag": {"all_of": [COMMON]},
        "… by a middling tag": {"all_of": [MIDDLING]},
        "… by a rare tag": {"all_of": [RARE]},
        "… by two tags": {"all_of": [COMMON, SECOND]},
        "… by a common and a rare tag": {"all_of": [COMMON, RARE]},
        "… by one and without another": {"all_of": [SECOND], "none_of": [COMMON]},
    }
    return {
        "tags of an asset": (
            lambda: autotag.tags_for(AssetRef("photo", str(some())), "one"),
            plain_tags,
        ),
        **{
            title: (partial(page, **by), partial(plain_page, **by))
            for title, by in pages.items()
        },
        **{
            f"facets of {number:,}": (
                partial(facets, found),
                partial(plain_facets, found),
            )
            for number, found in selected.items()
        },
        "counts of an instance": (
            lambda: autotag.tag_counts("one", 50),
            plain_counts,
        ),
        "completion of two letters": (
            lambda: autotag.complete("ak", "one"),
            lambda: plain_counts(plain.name >= "ak", plain.name < "al"),
        ),
        "related tags": (
            lambda: autotag.related_tags([name_of(SECOND)], "one"),
            lambda: None,
        ),
    }


def writes(
    running: Host, tables: Tables, assets: int
) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Return the writes of a worker and of a person, with the commit."""
    autotag = running.autotag
    state = autotag.state_of(running.app)
    random_ = random.Random(3)
    numbers = itertools.count(assets + 1)
    settings = state.settings_for("one")

    def tag_image() -> None:
        ranks = [random_.randint(0, 50) for _ in range(TAGS_EACH)]
        labels = tuple(Label(f"l{rank}", name_of(rank), 0.9) for rank in ranks)
        said = Classified("0" * 64, [Prediction("tensorflow", "model 1", labels)])
        entry = Entry(AssetRef("photo", str(next(numbers))), "one", said, settings)
        state.database.transact(lambda session: store(session, autotag.models, [entry]))

    def add_tag() -> None:
        ref = AssetRef("photo", str(random_.randint(1, assets)))
        autotag.add_tag(ref, name_of(random_.randint(0, 50)), instance="one")

    def plain_write() -> None:
        number = next(numbers)
        running.db.session.execute(
            tables.plain.__table__.insert(),
            [
                {"type": "photo", "asset_id": number, "name": name_of(rank)}
                for rank in random_.sample(range(50), TAGS_EACH)
            ],
        )
        running.db.session.commit()

    return {
        "tags of a new image written": (tag_image, plain_write),
        "a person's tag written": (add_tag, lambda: None),
    }


def run(kind: str, assets: int, runs: int) -> None:
    """Measure on one kind of database."""
    with (
        tempfile.TemporaryDirectory() as folder,
        host(kind, Path(folder)) as running,
        running.app.app_context(),
    ):
        tables = add_tables(running)
        begun = time.perf_counter()
        fill(running, assets)
        session = running.db.session
        if kind == "postgresql":
            for table in ("autotag_asset", "autotag_tag"):
                last = f"SELECT max(id) FROM {table}"
                session.execute(text(f"SELECT setval('{table}_id_seq', ({last}))"))
            session.commit()
            # Autovacuum would do this after a while.
            with running.db.engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.execute(text("VACUUM ANALYZE"))
        print(f"\n{kind}, {assets:,} assets; loaded in", end=" ")
        print(f"{time.perf_counter() - begun:.0f} s", flush=True)
        print(f"{'ms':<32}{'median':>10}{'p99':>10}{'plain way':>12}{'p99':>10}")
        asked = questions(running, tables, assets)
        for title, (ours, plain) in {
            **asked,
            **writes(running, tables, assets),
        }.items():
            session.rollback()
            few = max(5, runs // 10)
            of_plain = measure(plain, few if assets > 100_000 else runs)
            session.rollback()
            print(f"{title:<32} {measure(ours, runs)}  {of_plain}", flush=True)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--assets", type=int, default=1_000_000)
    parser.add_argument("--database", choices=DATABASES, action="append")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    print(machine())
    for kind in options.database or DATABASES:
        run(kind, options.assets, options.runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
