"""The settings that administrators saved, and who changed what, as rows."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from ..assets import SYSTEM
from ..database import insert_or_ignore, lock_writers
from ..models import USER_LENGTH, Models
from ..words import read_words
from .fields import Field, Layer, Path, Section, changed_paths, dotted, paths
from .resolution import Layers, Settings
from .sealing import Sealer
from .secret import Secret

logger = logging.getLogger(__name__)

#: Names the row that counts the changes of an instance.
_VERSION = ("", "")
#: Changes of which a page tells.
_MOST_CHANGES = 200


@dataclass(frozen=True)
class SettingChange:
    """One change that somebody made.

    :param old: the value before; ``None`` if it was inherited.
    :param new: the value after. Of a secret both only say whether it was set.
    :param changed_by: the user, as the host named him.
    :param changed_at: in UTC.
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
    :param sections: all there are.
    :param config: what ``app.config`` sets.
    :param sealer: for the secrets among the values.
    """

    models: Models
    sections: Sequence[Section]
    config: Layer
    sealer: Sealer

    def settings(self, session: Session, instance: str) -> Settings:
        """Find what holds for an instance, or for the system, now."""
        return self.layers(session, instance).resolve()

    def layers(self, session: Session, instance: str) -> Layers:
        """Read what is set where, seen from an instance or the system."""
        return self.layers_of(session, [instance])[instance]

    def layers_of(
        self, session: Session, instances: Iterable[str]
    ) -> dict[str, Layers]:
        """Read the same for several, in one query."""
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
        """Find the instances for which something was saved."""
        table = self.models.setting.__table__
        found = session.scalars(select(table.c.instance).distinct())
        return set(found) - {SYSTEM}

    def version(self, session: Session, instance: str) -> int:
        """Count the changes that were saved for an instance or the system."""
        value = session.scalar(self._select_version(instance))
        return int(value or 0)

    def lock(self, session: Session, instance: str) -> int:
        """Let nobody else change the instance until the transaction ends.

        :return: its version.
        """
        table = self.models.setting.__table__
        section, name = _VERSION
        lock_writers(session, table)
        key = [column.name for column in table.primary_key]
        session.execute(
            insert_or_ignore(table, session.get_bind().dialect.name, key),
            {"instance": instance, "section": section, "name": name, "value": "0"},
        )
        statement = self._select_version(instance).with_for_update()
        return int(session.execute(statement).scalar_one())

    def write(
        self, session: Session, instance: str, old: Layer, new: Layer, who: str | None
    ) -> list[Path]:
        """Store the difference between two layers, and who made it.

        :return: what changed.
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
        """Read who changed what, the latest first."""
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

        :return: how many were, and how many cannot be decrypted.
        """
        table = self.models.setting.__table__
        lock_writers(session, table)
        rotated = failed = 0
        for row in session.execute(select(table).with_for_update()).all():
            field = paths(self.sections).get((row.section, row.name))
            if field is None or not field.is_secret:
                continue
            sealed = self.sealer.rotate(row.value)
            if sealed is None:
                failed += 1
                continue
            rotated += 1
            same = (
                table.c.instance == row.instance,
                table.c.section == row.section,
                table.c.name == row.name,
            )
            session.execute(update(table).where(*same).values(value=sealed))
        return rotated, failed

    def _select_version(self, instance: str) -> Any:
        table = self.models.setting.__table__
        section, name = _VERSION
        return select(table.c.value).where(
            table.c.instance == instance,
            table.c.section == section,
            table.c.name == name,
        )

    def _read(
        self, session: Session, instances: Iterable[str]
    ) -> dict[str, dict[Path, Any]]:
        table = self.models.setting.__table__
        fields = paths(self.sections)
        found: dict[str, dict[Path, Any]] = {}
        rows = session.execute(select(table).where(table.c.instance.in_(instances)))
        for row in rows:
            path = (row.section, row.name)
            # Else it is of a provider that is not installed now.
            if path in fields:
                values = self._read_value(row.instance, path, fields[path], row.value)
                found.setdefault(row.instance, {}).update(values)
        return found

    def _read_value(
        self, instance: str, path: Path, field: Field, stored: str
    ) -> dict[Path, Any]:
        if field.is_secret:
            return {path: self.sealer.open(instance, path, stored)}
        try:
            return {path: field.check(json.loads(stored))}
        except ValueError as error:
            # Saved by another version, which accepted it.
            logger.warning("The stored setting %s %s.", dotted(path), error)
            return {}

    def _write_value(
        self, session: Session, instance: str, path: Path, field: Field, new: Layer
    ) -> None:
        table = self.models.setting.__table__
        key = {"instance": instance, "section": path[0], "name": path[1]}
        same = [table.c[name] == value for name, value in key.items()]
        session.execute(delete(table).where(*same))
        if path not in new:
            return
        if field.is_secret:
            value = self.sealer.seal(instance, path, new[path])
        else:
            value = json.dumps(new[path])
        session.execute(insert(table).values(**key, value=value))

    def _write_changes(
        self,
        session: Session,
        instance: str,
        changed: Sequence[Path],
        old: Layer,
        new: Layer,
        who: str | None,
    ) -> None:
        now = datetime.now(UTC).replace(tzinfo=None)
        rows = [
            {
                "instance": instance,
                "section": path[0],
                "name": path[1],
                "old": _dumps(old, path),
                "new": _dumps(new, path),
                "changed_by": who[:USER_LENGTH] if who else None,
                "changed_at": now,
            }
            for path in changed
        ]
        session.execute(insert(self.models.setting_change.__table__), rows)

    def _count(self, session: Session, instance: str) -> None:
        table = self.models.setting.__table__
        section, name = _VERSION
        session.execute(
            update(table)
            .where(
                table.c.instance == instance,
                table.c.section == section,
                table.c.name == name,
            )
            .values(value=str(self.version(session, instance) + 1))
        )


def _dumps(layer: Mapping[Path, Any], path: Path) -> str | None:
    if path not in layer:
        return None
    value = layer[path]
    return json.dumps(True if isinstance(value, Secret) else value)


def _loads(text: str | None) -> Any:
    return None if text is None else json.loads(text)
