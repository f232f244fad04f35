"""The settings that administrators saved, and the log of their changes, as rows."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Session

from ..db.columns import user_text
from ..db.models import Models
from ..db.sql import dialect_of, in_batches, insert_or_ignore, lock_writers, utc_now
from ..host.assets import SYSTEM
from .encryption import Sealer
from .fields import Field, Layer, Path, Section, changed_paths, dotted, paths
from .resolution import Layers, Settings
from .secret import Secret
from .stored_words import read_words

logger = logging.getLogger(__name__)

#: The row that counts the changes of an instance.
_VERSION: Path = ("", "")
#: Changes that a page shows.
_MOST_CHANGES = 200

#: Called in the transaction of a change with the session, the models, the instance and
#: the names of the changed sections.
OnWrite = Callable[[Session, Models, str, Collection[str]], None]


@dataclass(frozen=True)
class SettingChange:
    """One saved change of one setting.

    :param old: the value before; ``None`` if it was inherited. A secret is ``True``.
    :param new: the value after, in the same form.
    :param changed_by: the user, as the host's identifier names them.
    :param changed_at: in UTC, with its time zone.
    """

    path: Path
    old: Any
    new: Any
    changed_by: str | None
    changed_at: datetime


@dataclass(frozen=True)
class StoredSettings:
    """Reads and writes the rows of one application, in the caller's transaction.

    :param models: the mapped classes.
    :param sections: the sections of all installed providers, and the general one.
    :param config: the values in ``app.config``.
    :param sealer: encrypts and decrypts secrets.
    :param on_write: called after a change, in its transaction.
    """

    models: Models
    sections: Sequence[Section]
    config: Layer
    sealer: Sealer
    on_write: OnWrite

    def settings(self, session: Session | Connection, instance: str) -> Settings:
        """Return the present settings of an instance, or of :data:`.SYSTEM`."""
        return self.layers(session, instance).resolve()

    def layers(self, session: Session | Connection, instance: str) -> Layers:
        """Return the values set at each level, for an instance or :data:`.SYSTEM`."""
        return self.layers_of(session, [instance])[instance]

    def layers_of(
        self, session: Session | Connection, instances: Iterable[str]
    ) -> dict[str, Layers]:
        """Return :meth:`layers` of several instances, in few queries."""
        names = set(instances)
        rows = self._read(session, names | {SYSTEM})
        words = read_words(session, self.models, names | {SYSTEM})
        return {
            name: Layers(
                self.sections,
                self.config,
                rows.get(SYSTEM, {}),
                None if name == SYSTEM else rows.get(name, {}),
                words[SYSTEM],
                {} if name == SYSTEM else words[name],
            )
            for name in names
        }

    def instances(self, session: Session) -> set[str]:
        """Return the instances that have saved settings."""
        table = self.models.setting.__table__
        found = session.scalars(select(table.c.instance).distinct())
        return set(found) - {SYSTEM}

    def version(self, session: Session, instance: str) -> int:
        """Return how many changes were saved for an instance or :data:`.SYSTEM`."""
        return int(session.scalar(self._select_version(instance)) or 0)

    def lock(self, session: Session, instance: str) -> int:
        """Make other writers of this instance's settings and words wait.

        The lock ends with the transaction.

        :return: the version of the settings, as :meth:`version` counts it.
        """
        table = self.models.setting.__table__
        lock_writers(session, table)
        key = _key(instance, _VERSION)
        insert = insert_or_ignore(table, dialect_of(session), [*key])
        session.execute(insert, {**key, "value": "0"})
        statement = self._select_version(instance).with_for_update()
        return int(session.execute(statement).scalar_one())

    def write(
        self, session: Session, instance: str, old: Layer, new: Layer, who: str | None
    ) -> list[Path]:
        """Store the differences between two layers, and log them.

        :param who: the user's name.
        :return: the changed fields.
        """
        fields = paths(self.sections)
        different = changed_paths(old, new)
        changed = [path for path in fields if path in different]
        for path in changed:
            self._write_value(session, instance, path, fields[path], new)
        if changed:
            self._write_changes(session, instance, changed, old, new, who)
            self._count(session, instance)
        return changed

    def changes(
        self, session: Session, instance: str, limit: int = _MOST_CHANGES
    ) -> list[SettingChange]:
        """Return the log of changes, latest first."""
        table = self.models.setting_change.__table__
        rows = session.execute(
            select(table)
            .where(table.c.instance == instance)
            .order_by(table.c.id.desc())
            .limit(limit)
        )
        return [
            SettingChange(
                (row.section, row.name),
                _loads(row.old),
                _loads(row.new),
                row.changed_by,
                row.changed_at.replace(tzinfo=UTC),
            )
            for row in rows
        ]

    def rotate(self, session: Session) -> tuple[int, int]:
        """Encrypt every stored secret again, with the newest key.

        :return: how many secrets were encrypted, and how many cannot be decrypted.
        """
        table = self.models.setting.__table__
        lock_writers(session, table)
        fields = paths(self.sections)
        rotated = failed = 0
        for row in session.execute(select(table).with_for_update()).all():
            path = (row.section, row.name)
            field = fields.get(path)
            if field is None or not field.is_secret:
                continue
            sealed = self.sealer.rotate(row.value)
            if sealed is None:
                failed += 1
                continue
            rotated += 1
            this = self._is(row.instance, path)
            session.execute(update(table).where(this).values(value=sealed))
        return rotated, failed

    def _is(self, instance: str, path: Path) -> ColumnElement[bool]:
        table = self.models.setting.__table__
        key = _key(instance, path)
        return and_(*(table.c[column] == value for column, value in key.items()))

    def _select_version(self, instance: str) -> Select[Any]:
        table = self.models.setting.__table__
        return select(table.c.value).where(self._is(instance, _VERSION))

    def _read(
        self, session: Session | Connection, instances: Iterable[str]
    ) -> dict[str, dict[Path, Any]]:
        table = self.models.setting.__table__
        fields = paths(self.sections)
        found: dict[str, dict[Path, Any]] = {}
        for names in in_batches(instances):
            for row in session.execute(
                select(table).where(table.c.instance.in_(names))
            ):
                path = (row.section, row.name)
                # Values of a provider that is no longer installed stay in the table.
                if path in fields:
                    value = self._read_value(
                        row.instance, path, fields[path], row.value
                    )
                    found.setdefault(row.instance, {}).update(value)
        return found

    def _read_value(
        self, instance: str, path: Path, field: Field, stored: str
    ) -> dict[Path, Any]:
        if field.is_secret:
            return {path: self.sealer.open(instance, path, stored)}
        try:
            return {path: field.check(json.loads(stored))}
        except ValueError as error:
            # Another version, which accepted the value, saved it.
            logger.warning("The stored setting %s %s.", dotted(path), error)
            return {}

    def _write_value(
        self, session: Session, instance: str, path: Path, field: Field, new: Layer
    ) -> None:
        table = self.models.setting.__table__
        session.execute(delete(table).where(self._is(instance, path)))
        if path not in new:
            return
        if field.is_secret:
            value = self.sealer.seal(instance, path, new[path])
        else:
            value = json.dumps(new[path])
        row = {**_key(instance, path), "value": value}
        session.execute(insert(table).values(row))

    def _write_changes(
        self,
        session: Session,
        instance: str,
        changed: Sequence[Path],
        old: Layer,
        new: Layer,
        who: str | None,
    ) -> None:
        now = utc_now()
        rows = [
            {
                **_key(instance, path),
                "old": _dumps(old, path),
                "new": _dumps(new, path),
                "changed_by": user_text(who),
                "changed_at": now,
            }
            for path in changed
        ]
        session.execute(insert(self.models.setting_change.__table__), rows)

    def _count(self, session: Session, instance: str) -> None:
        table = self.models.setting.__table__
        version = self.version(session, instance) + 1
        statement = update(table).where(self._is(instance, _VERSION))
        session.execute(statement.values(value=str(version)))


def _key(instance: str, path: Path) -> dict[str, str]:
    return {"instance": instance, "section": path[0], "name": path[1]}


def _dumps(layer: Mapping[Path, Any], path: Path) -> str | None:
    if path not in layer:
        return None
    value = layer[path]
    return json.dumps(True if isinstance(value, Secret) else value)


def _loads(text: str | None) -> Any:
    return None if text is None else json.loads(text)
