"""Apply new settings to stored predictions, or preview the changes.

No image is classified again: stored predictions have no threshold applied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from ..classification.request import Classified
from ..db.models import Models
from ..db.sql import utc_now
from ..host.assets import AssetRef
from ..providers.base import Prediction
from ..settings.resolution import Settings
from .batches import AssetFilter, read_batch
from .choices import ChosenTag
from .counters import counting
from .decisions import PROVIDER, update_outdated
from .rules import APPLIED
from .store import (
    Entry,
    WantedTags,
    apply_rules,
    assign,
    read_predictions,
    replace_tags,
)

#: Maximum number of tags that a preview names.
_NAMED = 8


@dataclass(frozen=True)
class Difference:
    """The changes that new settings make to one asset.

    :param added: keys of the tags that it gains.
    :param removed: keys of the tags that it loses.
    :param kept: keys of the tags of providers that it keeps.
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

    :param last: key of the last asset; ``None`` if no asset was left.
    :param entries: the stored predictions, by the asset's row.
    :param decided: the tags by the new settings, and people's decisions.
    :param differences: one for each asset; empty if the settings do not apply.
    :param stale: rows of the assets whose stored tags differ in any way, for example
        in the provider.
    :param applies: whether the new settings change tags of providers at all.
    """

    last: int | None
    entries: Mapping[int, Entry]
    decided: WantedTags
    differences: tuple[Difference, ...]
    stale: frozenset[int]
    applies: bool


@dataclass
class Preview:
    """The changes that new settings would make in one or several instances.

    :ivar images: number of images that were checked.
    :ivar complete: whether all images were checked.
    :ivar gaining: number of images that would gain tags.
    :ivar losing: number of images that would lose tags.
    :ivar added: number of images that would gain each tag.
    :ivar removed: number of images that would lose each tag.
    :ivar tags_kept: number of tags of providers that would stay.
    :ivar pending: number of images that the current settings would change too, because
        they were saved but have not been applied yet.
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
        """The number of tags that images would gain."""
        return self.added.total()

    @property
    def tags_removed(self) -> int:
        """The number of tags that images would lose."""
        return self.removed.total()

    @property
    def most_added(self) -> list[tuple[str, int]]:
        """The tags that most images would gain, with the number of images."""
        return self.added.most_common(_NAMED)

    @property
    def most_removed(self) -> list[tuple[str, int]]:
        """The tags that most images would lose, with the number of images."""
        return self.removed.most_common(_NAMED)

    def count(self, difference: Difference) -> None:
        """Add the changes to one image."""
        self.images += 1
        self.gaining += bool(difference.added)
        self.losing += bool(difference.removed)
        self.added.update(difference.added)
        self.removed.update(difference.removed)
        self.tags_kept += len(difference.kept)


def applies(settings: Settings) -> bool:
    """Whether the settings apply to existing images.

    If tagging is off, no image is changed and existing tags stay.
    """
    return settings.enabled and any(
        values.get("enabled") for name, values in settings.values.items() if name
    )


def instances_with_images(session: Session, models: Models) -> set[str]:
    """Return the instances that have assets."""
    return set(session.scalars(select(models.asset.instance).distinct()))


def preview(
    session: Session,
    models: Models,
    settings: Mapping[str, Settings],
    most: int,
    present: Mapping[str, Settings] | None = None,
) -> Preview:
    """Preview the changes that new settings would make to stored tags.

    :param settings: the new settings, by instance.
    :param most: maximum number of images to check, about: the oldest images of the
        first instances. Chunks are checked whole.
    :param present: the current settings, by instance, to count pending changes.
    """
    found = Preview()
    for instance, new in settings.items():
        if not applies(new):
            continue
        for chunk in chunks(partial(read_chunk, session, models, instance, new)):
            if found.images >= most:
                found.complete = False
                return found
            for difference in chunk.differences:
                found.count(difference)
            if present is not None:
                found.pending += _pending(session, models, chunk, present[instance])
    return found


def _pending(session: Session, models: Models, chunk: Chunk, present: Settings) -> int:
    """Count the images that the current settings would change."""
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
    after: int,
    *,
    lock: bool = False,
) -> Chunk:
    """Read the next assets of an instance, and apply the settings to them.

    Nothing is written; see :func:`apply`.

    :param after: key of the last asset of the previous chunk; 0 for the first.
    :param lock: lock the assets until the transaction ends.
    """
    rows = read_batch(session, models, AssetFilter(instance), after, lock=lock)
    assets = {row.id: AssetRef(row.asset_type, row.asset_id) for row in rows}
    connection = session.connection()
    predictions = read_predictions(connection, models, assets)
    entries = _entries(instance, settings, assets, predictions)
    decided = apply_rules(connection, models, entries)
    return Chunk(
        rows[-1].id if rows else None,
        entries,
        decided,
        tuple(_differences(entries, decided)) if applies(settings) else (),
        _stale(decided),
        applies(settings),
    )


def rejudge(
    connection: Connection,
    models: Models,
    instance: str,
    settings: Settings,
    assets: Mapping[int, AssetRef],
) -> None:
    """Apply the settings to some assets whose decisions changed in this transaction.

    If tagging is off, nothing changes. The caller updates the counters.

    :param assets: the assets by their rows, which the caller has locked.
    """
    if not applies(settings):
        return
    predictions = read_predictions(connection, models, assets, newest=True)
    entries = _entries(instance, settings, assets, predictions)
    decided = apply_rules(connection, models, entries, newest=True)
    stale = {asset_id: entries[asset_id] for asset_id in sorted(_stale(decided))}
    if stale:
        replace_tags(connection, models, stale, decided.only(stale), utc_now())


def _entries(
    instance: str,
    settings: Settings,
    assets: Mapping[int, AssetRef],
    predictions: Mapping[int, Sequence[Prediction]],
) -> dict[int, Entry]:
    """Return an entry for each asset, for the rules alone: without a digest."""
    return {
        asset_id: Entry(
            asset, instance, Classified("", predictions[asset_id]), settings
        )
        for asset_id, asset in assets.items()
    }


def compare(
    session: Session, models: Models, entries: Mapping[int, Entry]
) -> list[Difference]:
    """Compare the stored tags of some assets with the tags by an entry's settings.

    :param entries: the predictions, stored or not, and the settings, by the asset's
        row.
    """
    decided = apply_rules(session.connection(), models, entries)
    return list(_differences(entries, decided))


def apply(session: Session, models: Models, chunk: Chunk) -> None:
    """Write the tags of a chunk that was read with ``lock=True``.

    If tagging is off, the tags of providers stay as they are, but people's decisions
    still move to the current names of their words.
    """
    now = utc_now()
    stale = {asset_id: chunk.entries[asset_id] for asset_id in sorted(chunk.stale)}
    decided, connection = chunk.decided.only(stale), session.connection()
    if stale and chunk.applies:
        assign(connection, models, stale, decided, now)
    elif decided.is_outdated:
        instances = {asset_id: entry.instance for asset_id, entry in stale.items()}
        with counting(connection, models, stale):
            update_outdated(connection, models, instances, decided.people)


def chunks(read: Callable[[int], Chunk]) -> Iterator[Chunk]:
    """Read one chunk after the other, until no asset is left.

    :param read: reads the assets after a key, as :func:`read_chunk` does.
    """
    after = 0
    while (chunk := read(after)).last is not None:
        yield chunk
        after = chunk.last


#: State, key, providers, model and confidence of a tag from providers.
_ProviderTag = tuple[str, str, str | None, str | None, float | None]


def _stored(decided: WantedTags) -> dict[int, set[_ProviderTag]]:
    """Return the stored tags and suggestions of providers, by the asset's row."""
    return {
        asset_id: {
            (row.state, row.key, row.providers, row.model, row.confidence)
            for row in people.rows
            if row.source == PROVIDER
        }
        for asset_id, people in decided.people.items()
    }


def _provider_tag(choice: ChosenTag) -> _ProviderTag:
    return (
        choice.state,
        choice.key,
        ",".join(choice.providers),
        choice.model,
        choice.confidence,
    )


def _applied(tags: Iterable[_ProviderTag]) -> set[str]:
    return {key for state, key, *_ in tags if state == APPLIED}


def _stale(decided: WantedTags) -> frozenset[int]:
    """Return the rows of the assets whose stored tags are not the wanted ones."""
    stored = _stored(decided)
    return frozenset(
        asset_id
        for asset_id, choices in decided.choices.items()
        if stored[asset_id] != {_provider_tag(choice) for choice in choices}
        or decided.people[asset_id].outdated
    )


def _differences(
    entries: Mapping[int, Entry], decided: WantedTags
) -> Iterator[Difference]:
    stored = _stored(decided)
    for asset_id, entry in entries.items():
        new = _applied(map(_provider_tag, decided.choices[asset_id]))
        old = _applied(stored[asset_id])
        yield Difference(
            entry.asset,
            entry.instance,
            added=tuple(sorted(new - old)),
            removed=tuple(sorted(old - new)),
            kept=tuple(sorted(new & old)),
        )
