"""Read the rules for some words and for related words, not whole vocabularies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from ..db.models import Models
from ..db.sql import in_batches
from ..host.assets import SYSTEM
from .stored_words import word_of
from .vocabulary import WordRule


def read_related(
    connection: Connection, models: Models, keys: Collection[str], instance: str | None
) -> Mapping[str, Mapping[str, WordRule]]:
    """Read the rules for some words and for all words related to them.

    Two words are related if one becomes the other, directly or by way of further words,
    under the rules of one instance and of the system. The cost does not grow with the
    rules for other words.

    :param instance: the tenant, whose rules are read with the system's; ``None`` for
        all tenants.
    :return: instance, or :data:`.SYSTEM` → key → rule.
    """
    search = _Search(connection, models, instance)
    search.run(keys)
    return search.words


class _Search:
    """Follows rules from word to word until it finds no new word.

    :ivar words: the rules found so far.
    """

    def __init__(
        self, connection: Connection, models: Models, instance: str | None
    ) -> None:
        self.words: dict[str, dict[str, WordRule]] = defaultdict(dict)
        self._connection = connection
        self._table = models.word.__table__
        self._instance = instance
        #: Keys to follow in all instances, and further keys of single instances.
        self._everywhere: set[str] = set()
        self._own: dict[str, set[str]] = defaultdict(set)

    def run(self, keys: Collection[str]) -> None:
        """Read in each round the rows with the keys that the last round found."""
        everywhere, own = set(keys), dict[str, set[str]]()
        while everywhere or own:
            self._everywhere |= everywhere
            for name, new in own.items():
                self._own[name] |= new
            rows = [*self._rows(everywhere), *self._rows_of(own)]
            everywhere = self._follow_system(rows)
            own = self._follow_instances(rows, everywhere)

    def _follow_system(self, rows: Collection[Row[Any]]) -> set[str]:
        """Return new keys to follow in all instances, by the rules of the system."""
        found = set(self._everywhere)
        for row in rows:
            if row.instance == SYSTEM and _keys(row) & self._everywhere:
                self.words[SYSTEM][row.key] = word_of(row)
                found |= _keys(row)
        return found - self._everywhere

    def _follow_instances(
        self, rows: Collection[Row[Any]], everywhere: set[str]
    ) -> dict[str, set[str]]:
        """Return new keys to follow in single instances, by their own rules too."""
        found: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            names = self._own if row.instance == SYSTEM else [row.instance]
            for name in list(names):
                known = self._own.get(name, set())
                if row.instance != SYSTEM:
                    known = known | self._everywhere
                if _keys(row) & known:
                    self.words[row.instance][row.key] = word_of(row)
                    found[name] |= _keys(row) - known - self._everywhere - everywhere
        return {name: new for name, new in found.items() if new}

    def _rows(self, keys: set[str]) -> Iterator[Row[Any]]:
        """Read the rows with some keys in the instances searched."""
        if self._instance is None:
            return self._read(keys, None)
        return self._read(keys, {SYSTEM, self._instance})

    def _rows_of(self, own: Mapping[str, set[str]]) -> Iterator[Row[Any]]:
        """Read the rows with the new keys of single instances."""
        for batch in in_batches(own.items()):
            keys = set[str]().union(*(new for _, new in batch))
            yield from self._read(keys, {SYSTEM, *(name for name, _ in batch)})

    def _read(self, keys: set[str], instances: set[str] | None) -> Iterator[Row[Any]]:
        table = self._table
        for batch in in_batches(keys):
            rows = select(table).where(
                or_(table.c.key.in_(batch), table.c.becomes_key.in_(batch))
            )
            if instances is not None:
                rows = rows.where(table.c.instance.in_(instances))
            yield from self._connection.execute(rows)


def _keys(row: Row[Any]) -> set[str]:
    return {row.key, row.becomes_key} - {None}
