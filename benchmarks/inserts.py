"""Measures what the look-up of a former image adds to the insert of a watched row.

Rows are inserted and committed one by one: into a table that is not watched, into a
watched one, and into a watched one without the look-up of a former image, in turn in
one run. A bare ``SELECT 1`` shows the time of a round trip. A part of the keys then
belongs to former images, which are forgotten.

::

    python benchmarks/inserts.py [--database sqlite]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from hosts import DATABASES, database, machine
from sqlalchemy import delete

from flask_autotag import AssetRef, AutoTag
from flask_autotag.jobs import forgetting

INSERTS, FORMER = 1000, 200


def show_inserts(kind: str, folder: Path) -> None:
    """Print the median time of an insert of each sort."""
    with database(kind, folder) as url:
        app = Flask("host")
        app.config.update(SQLALCHEMY_DATABASE_URI=url, AUTOTAG_RUNNER="none")
        db = SQLAlchemy(app)
        autotag = AutoTag(app)

        class Plain(db.Model):  # type: ignore[name-defined]
            id = db.Column(db.Integer, primary_key=True)

        class Photo(db.Model):  # type: ignore[name-defined]
            id = db.Column(db.Integer, primary_key=True)

        autotag.watch(Photo, lambda photo: b"")

        def insert(model: type[Any], **values: int) -> None:
            db.session.add(model(**values))
            db.session.commit()

        def insert_blindly() -> None:
            with patch.object(forgetting, "forget_former", lambda *_: None):
                insert(Photo)

        with app.app_context():
            db.create_all()
            with db.engine.connect() as connection:
                bare, plain, blind, watched = interleave(
                    lambda: connection.exec_driver_sql("SELECT 1").one(),
                    lambda: insert(Plain),
                    insert_blindly,
                    lambda: insert(Photo),
                )
            db.session.execute(delete(Photo))
            db.session.commit()
            keys = itertools.count(10_000_000)
            tagged = [next(keys) for _ in range(FORMER)]
            for key in tagged:
                autotag.add_tag(AssetRef("photo", str(key)), "Rex")
            db.session.remove()
            left = iter(tagged)
            [former] = interleave(lambda: insert(Photo, id=next(left)), number=FORMER)
            db.session.remove()
            db.engine.dispose()
    added = [long - short for long, short in zip(watched, blind, strict=True)]
    medians = [*map(statistics.median, (plain, watched, added, bare, former))]
    print(
        "{}: insert {:.2f} ms; watched {:.2f} ms, of which the look-up {:.2f} ms; a"
        " bare SELECT {:.2f} ms; with a former image {:.2f} ms".format(kind, *medians)
    )


def interleave(*acts: Callable[[], object], number: int = INSERTS) -> list[list[float]]:
    """Time each of *acts* in turn, in milliseconds."""
    times: list[list[float]] = [[] for _ in acts]
    warm_up = number // 20
    for place, (act, found) in itertools.product(
        range(number), zip(acts, times, strict=True)
    ):
        start = time.perf_counter()
        act()
        if place >= warm_up:
            found.append((time.perf_counter() - start) * 1e3)
    return times


def main() -> None:
    """Measure on the chosen databases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=DATABASES, action="append")
    options = parser.parse_args()
    print(machine())
    for kind in options.database or DATABASES:
        with tempfile.TemporaryDirectory() as folder:
            show_inserts(kind, Path(folder))


if __name__ == "__main__":
    main()
