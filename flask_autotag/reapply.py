"""New settings on stored predictions: what they would change, and the change itself.

Nothing is classified again: predictions are kept with their thresholds not applied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from .assets import AssetRef
from .database import lock_writers
from .decisions import PROVIDER, settle
from .models import Models
from .settings.resolution import Settings
from .store import Decided, Entry, assign, decide, read_predictions
from .tagging import Choice, Classified
from .verdicts import APPLIED

#: Assets that one transaction changes: others must not wait for long.
CHUNK = 500
#: Tags that a preview names.
_NAMED = 8


@dataclass(frozen=True)
class Difference:
    """What new settings change on one asset.

    :param added: keys of the tags that it gains.
    :param removed: keys of those that it loses.
    :param kept: keys of those of providers that it keeps.
    """

    asset: AssetRef
    instance: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def is_change(self) -> bool:
        """Whether any tag comes or goes."""
        return bool(self.added or self.removed)


@dataclass(frozen=True)
class Chunk:
    """Some assets of an instance, in the order of their keys.

    :param last: key of the last one; ``None`` if there was none left.
    :param entries: the stored predictions, by the asset's key.
    :param decided: the tags that the new settings make of them, and people's.
    :param differences: what changes on each asset, if anything.
    :param stale: keys of those whose stored tags differ in any way, such as in
        the provider that is named.
    :param applies: whether the new settings say anything of the tags of providers.
    """

    last: int | None
    entries: Mapping[int, Entry]
    decided: Decided
    differences: tuple[Difference, ...]
    stale: frozenset[int]
    applies: bool


@dataclass
class Preview:
    """What new settings would do to the images of one or several instances.

    :ivar images: how many were looked at.
    :ivar complete: whether these were all.
    :ivar gaining: images that would gain tags.
    :ivar losing: images that would lose tags.
    :ivar added: how many images would gain each tag.
    :ivar removed: how many images would lose each tag.
    :ivar tags_kept: how many tags of providers would stay.
    :ivar pending: images that would change without the new settings, too, because
        those that hold were saved but not applied to them.
    """

    images: int = 0
    complete: bool = True
    gaining: int = 0
    losing: int = 0
    added: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    tags_kept: int = 0
    pending: int = 0

    @property
    def tags_added(self) -> int:
        """How many tags would come."""
        return self.added.total()

    @property
    def tags_removed(self) -> int:
        """How many tags would go."""
        return self.removed.total()

    @property
    def most_added(self) -> list[tuple[str, int]]:
        """The tags that most images would gain."""
        return self.added.most_common(_NAMED)

    @property
    def most_removed(self) -> list[tuple[str, int]]:
        """The tags that most images would lose."""
        return self.removed.most_common(_NAMED)

    def count(self, difference: Difference) -> None:
        """Add what would change on one image."""
        self.images += 1
        self.gaining += bool(difference.added)
        self.losing += bool(difference.removed)
        self.added.update(difference.added)
        self.removed.update(difference.removed)
        self.tags_kept += len(difference.kept)


def applies(settings: Settings) -> bool:
    """Whether the settings say anything of existing images.

    Where tagging is off, no image is touched; the tags that are there stay.
    """
    return settings.enabled and any(
        values.get("enabled") for name, values in settings.values.items() if name
    )


def instances_with_images(session: Session, models: Models) -> set[str]:
    """Find the instances of which something was tagged."""
    return set(session.scalars(select(models.asset.instance).distinct()))


def preview(
    session: Session,
    models: Models,
    settings: Mapping[str, Settings],
    most: int,
    present: Mapping[str, Settings] | None = None,
) -> Preview:
    """Compare what is stored with what new settings would make of it.

    :param settings: the new ones of each instance that they are for.
    :param most: images that are looked at; of more, the oldest of the first instances.
    :param present: those that hold, to count what is pending of them.
    """
    seen = Preview()
    for instance, new in settings.items():
        if not applies(new):
            continue
        for chunk in _chunks(session, models, instance, new):
            if seen.images >= most:
                seen.complete = False
                return seen
            for difference in chunk.differences:
                seen.count(difference)
            if present is not None:
                seen.pending += _pending(session, models, chunk, present[instance])
    return seen


def _pending(session: Session, models: Models, chunk: Chunk, present: Settings) -> int:
    """Count the images that the settings which hold would change."""
    entries = {
        asset_id: replace(entry, settings=present)
        for asset_id, entry in chunk.entries.items()
    }
    return sum(each.is_change for each in compare(session, models, entries))


def read_chunk(
    session: Session,
    models: Models,
    instance: str,
    settings: Settings,
    after: int | None,
    *,
    lock: bool = False,
) -> Chunk:
    """Read the next assets of an instance, and what the settings make of them.

    :param after: key of the last asset before; ``None`` to begin.
    :param lock: let nobody else change them until the transaction ends.
    """
    table = models.asset.__table__
    statement = (
        select(table.c.id, table.c.asset_type, table.c.asset_id, table.c.sha256)
        .where(table.c.instance == instance, table.c.id > (after or 0))
        .order_by(table.c.id)
        .limit(CHUNK)
    )
    if lock:
        lock_writers(session, table)
        statement = statement.with_for_update()
    rows = session.execute(statement).all()
    predictions = read_predictions(session, models, [row.id for row in rows])
    entries = {
        row.id: Entry(
            AssetRef(row.asset_type, row.asset_id),
            instance,
            Classified(row.sha256 or "", predictions[row.id]),
            settings,
        )
        for row in rows
    }
    decided = decide(session, models, entries)
    stored = _stored(decided)
    return Chunk(
        rows[-1].id if rows else None,
        entries,
        decided,
        tuple(_differences(entries, decided.choices, stored))
        if applies(settings)
        else (),
        frozenset(
            asset_id
            for asset_id, choices in decided.choices.items()
            if stored[asset_id] != {_essence(choice) for choice in choices}
            or decided.people[asset_id].moved
        ),
        applies(settings),
    )


def compare(
    session: Session, models: Models, entries: Mapping[int, Entry]
) -> list[Difference]:
    """Compare the stored tags of some assets, by their rows, with what is said now.

    :param entries: the predictions, stored or not, and the settings to judge them by.
    """
    decided = decide(session, models, entries)
    stored = _stored(decided)
    return list(_differences(entries, decided.choices, stored))


def apply(session: Session, models: Models, chunk: Chunk) -> None:
    """Write the tags of a chunk that was read with ``lock=True``.

    Where tagging is off, the tags of providers stay as they are; what people decided
    follows the vocabulary all the same.
    """
    now = datetime.now(UTC).replace(tzinfo=None)
    stale = {asset_id: chunk.entries[asset_id] for asset_id in sorted(chunk.stale)}
    if stale and chunk.applies:
        assign(session, models, stale, chunk.decided.only(stale), now)
    elif stale:
        settle(
            session.connection(),
            models,
            {asset_id: entry.instance for asset_id, entry in stale.items()},
            chunk.decided.only(stale).people,
        )


def _chunks(
    session: Session, models: Models, instance: str, settings: Settings
) -> Iterator[Chunk]:
    after: int | None = None
    while True:
        chunk = read_chunk(session, models, instance, settings, after)
        if chunk.last is None:
            return
        yield chunk
        after = chunk.last


#: State, key, providers, model and confidence of a tag that providers gave.
_Essence = tuple[str, str, str | None, str | None, float | None]


def _stored(decided: Decided) -> dict[int, set[_Essence]]:
    """Give the tags that providers applied or suggested, by the assets' rows."""
    return {
        asset_id: {
            (row.state, row.key, row.providers, row.model, row.confidence)
            for row in people.rows
            if row.source == PROVIDER
        }
        for asset_id, people in decided.people.items()
    }


def _essence(choice: Choice) -> _Essence:
    return (
        choice.state,
        choice.key,
        ",".join(choice.providers),
        choice.model,
        choice.confidence,
    )


def _applied(essences: Iterable[_Essence]) -> set[str]:
    return {key for state, key, *_ in essences if state == APPLIED}


def _differences(
    entries: Mapping[int, Entry],
    choices: Mapping[int, list[Choice]],
    stored: Mapping[int, set[_Essence]],
) -> Iterator[Difference]:
    for asset_id, entry in entries.items():
        new = _applied(map(_essence, choices[asset_id]))
        old = _applied(stored[asset_id])
        yield Difference(
            entry.asset,
            entry.instance,
            added=tuple(sorted(new - old)),
            removed=tuple(sorted(old - new)),
            kept=tuple(sorted(new & old)),
        )
