"""One image, classified for somebody who looks: what every provider says of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Select, select

from .. import remote
from ..assets import SYSTEM, AssetRef
from ..broader import hierarchy
from ..errors import TaggingError
from ..explain import REASONS, reason
from ..jobs.again import last_path
from ..jobs.loading import load_asset
from ..models import Models
from ..settings.fields import GENERAL
from ..settings.resolution import Settings
from ..sources import read
from ..state import State
from ..tagging import Classified
from ..verdicts import Outcome, Verdict, by_rank, judge
from ..vocabulary import Vocabulary, tag_name
from .text import gettext

if TYPE_CHECKING:
    from flask import Flask

#: Images that are offered, the latest ones.
_RECENT = 12
#: Labels of one provider that are shown at once, the surest ones.
_LABELS = 15
#: What thresholds and the other labels decide; anything else a script leaves as it is.
_MOVING = {
    Outcome.APPLIED,
    Outcome.SUGGESTED,
    Outcome.ELSEWHERE,
    Outcome.BELOW,
    Outcome.NARROWER,
    Outcome.OVER,
}


@dataclass(frozen=True)
class RecentImage:
    """An image that can be tried.

    :param key: of its row.
    :param url: of a small picture of it, if the host knows one.
    """

    key: int
    name: str
    url: str | None


@dataclass(frozen=True)
class TriedLabel:
    """What a provider said, and what becomes of it by the typed settings.

    :param sentence: why, in words.
    :param own_threshold: what its word needs, if that was decided; else its provider's
        threshold holds.
    """

    verdict: Verdict
    sentence: str
    own_threshold: float | None

    @property
    def name(self) -> str:
        """The label's own name."""
        return self.verdict.label.name

    @property
    def tag(self) -> str | None:
        """The tag that it is or would be, if it can be one."""
        return self.verdict.name.name if self.verdict.name else None

    @property
    def key(self) -> str:
        """The normal form of that."""
        return self.verdict.name.key if self.verdict.name else ""

    @property
    def applied(self) -> bool:
        """Whether the image would get the tag from this label."""
        return self.verdict.outcome is Outcome.APPLIED

    @property
    def is_fixed(self) -> bool:
        """Whether no threshold changes what becomes of it."""
        return self.verdict.outcome not in _MOVING

    @property
    def concept(self) -> str | None:
        """The id of the broader concept that it is, if it is one."""
        return self.verdict.label.id if self.verdict.label.id in hierarchy() else None

    @property
    def above(self) -> str:
        """The ids of the broader concepts above that, with blanks."""
        return " ".join(sorted(hierarchy().above(self.verdict.label.id)))


@dataclass(frozen=True)
class TriedProvider:
    """What one provider said."""

    name: str
    title: str
    model: str
    threshold: float
    labels: tuple[TriedLabel, ...]

    @property
    def parts(self) -> tuple[tuple[TriedLabel, ...], tuple[TriedLabel, ...]]:
        """The surest labels, and the others."""
        return self.labels[:_LABELS], self.labels[_LABELS:]


@dataclass(frozen=True)
class Trial:
    """What came of one image.

    :param subject: which image.
    :param error: why it could not be classified.
    :param max_tags: how many tags it may have, 0 for no limit.
    :param failures: titles of providers that failed, and why.
    """

    subject: str
    providers: tuple[TriedProvider, ...] = ()
    error: str | None = None
    max_tags: int = 0
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def applied(self) -> list[str]:
        """The tags that the image would get, the surest first."""
        return self._tags(Outcome.APPLIED)

    @property
    def suggested(self) -> list[str]:
        """The tags that would be suggested for it."""
        return self._tags(Outcome.SUGGESTED)

    @property
    def reasons(self) -> dict[str, str]:
        """What to say of labels, with gaps, by outcome; for scripts."""
        return {outcome.value: gettext(REASONS[outcome]) for outcome in _MOVING}

    def _tags(self, outcome: Outcome) -> list[str]:
        verdicts = [
            label.verdict for provider in self.providers for label in provider.labels
        ]
        return [
            verdict.name.name
            for verdict in sorted(verdicts, key=by_rank)
            if verdict.outcome is outcome and verdict.name is not None
        ]


def try_bytes(
    app: Flask,
    state: State,
    data: bytes,
    subject: str,
    instance: str,
    settings: Settings,
) -> Trial:
    """Classify an image; tagging need not be on.

    :param subject: what to call it.
    :param instance: who pays for it.
    """
    if len(data) > state.config.max_image_bytes:
        return Trial(subject, error=gettext("The file is too large."))
    general = {**settings[GENERAL.name], "enabled": True}
    settings = replace(
        settings, values=MappingProxyType({**settings.values, GENERAL.name: general})
    )
    try:
        found = remote.classify(app, state, instance, data, settings)
    except TaggingError as error:
        return Trial(subject, error=str(error))
    return _judge(state, subject, found, settings)


def try_recent(
    app: Flask, state: State, key: int, instance: str, settings: Settings
) -> Trial:
    """Classify an image that was tagged before."""
    models = state.database.models
    table = models.asset.__table__
    with state.database.begin() as session:
        row = session.execute(
            _of(models, instance).where(table.c.id == key)
        ).one_or_none()
        path = None if row is None else last_path(session, models, _ref(row))
    if row is None:
        return Trial("", error=gettext("This image is not there any more."))
    asset = _ref(row)
    try:
        if state.hooks.can_load(asset.type) or path is None:
            data = load_asset(state, asset)
        else:
            data = read(path, state.config.max_image_bytes)
    except TaggingError as error:
        return Trial(str(asset), error=str(error))
    return try_bytes(app, state, data, str(asset), instance, settings)


def recent_images(state: State, instance: str) -> list[RecentImage]:
    """Find the latest images that can be read again."""
    models, find_url = state.database.models, state.hooks.image_url
    table = models.asset.__table__
    with state.database.begin() as session:
        rows = session.execute(
            _of(models, instance).order_by(table.c.id.desc()).limit(_RECENT)
        ).all()
        readable = [
            row
            for row in rows
            if state.hooks.can_load(row.asset_type)
            or last_path(session, models, _ref(row)) is not None
        ]
    return [
        RecentImage(row.id, str(_ref(row)), find_url(_ref(row)) if find_url else None)
        for row in readable
    ]


def _of(models: Models, instance: str) -> Select[Any]:
    table = models.asset.__table__
    found = select(table.c.id, table.c.asset_type, table.c.asset_id)
    return found if instance == SYSTEM else found.where(table.c.instance == instance)


def _ref(row: Row[Any]) -> AssetRef:
    return AssetRef(row.asset_type, row.asset_id)


def _judge(state: State, subject: str, found: Classified, settings: Settings) -> Trial:
    verdicts = judge(found.predictions, settings)
    titles = {section.name: section.title for section in state.sections}
    return Trial(
        subject,
        tuple(
            TriedProvider(
                one.provider,
                gettext(titles[one.provider]),
                one.model,
                settings[one.provider]["confidence_threshold"],
                tuple(
                    _labels(
                        (each for each in verdicts if each.provider == one.provider),
                        settings,
                    )
                ),
            )
            for one in found.predictions
        ),
        max_tags=settings.max_tags,
        failures=tuple(
            (gettext(titles[name]), str(error))
            for name, error in found.failures.items()
        ),
    )


def _labels(verdicts: Iterable[Verdict], settings: Settings) -> list[TriedLabel]:
    return [
        TriedLabel(
            verdict,
            reason(verdict, settings, gettext),
            _own_threshold(verdict, settings.vocabulary),
        )
        for verdict in verdicts
    ]


def _own_threshold(verdict: Verdict, vocabulary: Vocabulary) -> float | None:
    """Find the threshold of a label's word, or else of the tag that it is called."""
    if verdict.name is None:
        return None
    own = vocabulary.threshold(tag_name(verdict.label.name).key)
    return vocabulary.threshold(verdict.name.key) if own is None else own
