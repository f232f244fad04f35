"""Classifies one image to show what every provider predicts for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Select, select

from ....classification import remote
from ....classification.request import Classified
from ....db.models import Models
from ....errors import ClassifierBusy, TaggingError
from ....host.assets import SYSTEM, AssetRef
from ....host.image_source import read
from ....jobs.image_loading import load_asset
from ....jobs.reclassify import last_path, source_paths
from ....providers.concept_hierarchy import hierarchy
from ....providers.registry import remote_providers
from ....runtime.state import State
from ....settings.fields import GENERAL
from ....settings.resolution import Settings
from ....settings.tag_names import tag_name
from ....settings.vocabulary import Vocabulary
from ....tags.explanation import DOUBTFUL_SUGGESTED, REASONS, reason
from ....tags.rules import Outcome, Verdict, by_confidence, evaluate, is_broader
from ...translation import gettext
from ..filters import section_title

if TYPE_CHECKING:
    from flask import Flask

#: The latest images that are offered.
_RECENT = 12
#: The surest labels of one provider, which are shown at once.
_LABELS = 15
#: The field of a provider that only :func:`.judge` reads.
_THRESHOLD = "confidence_threshold"
#: Outcomes that depend on thresholds and other labels; scripts leave all others alone.
_MOVING = {
    Outcome.APPLIED,
    Outcome.SUGGESTED,
    Outcome.ELSEWHERE,
    Outcome.BELOW,
    Outcome.DOUBTFUL,
    Outcome.NARROWER,
    Outcome.OVER,
}


@dataclass(frozen=True)
class RecentImage:
    """An image that can be tried.

    :param key: the primary key of its row.
    :param url: the address of a small picture, if the host has one.
    """

    key: int
    name: str
    url: str | None


@dataclass(frozen=True)
class TriedLabel:
    """A predicted label, and its outcome under the typed settings.

    :param sentence: the reason for the outcome.
    :param own_threshold: the threshold of its word; ``None`` if the provider's applies.
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
        """The tag that the label makes, if it can make one."""
        return self.verdict.name.name if self.verdict.name else None

    @property
    def key(self) -> str:
        """The key of that tag."""
        return self.verdict.name.key if self.verdict.name else ""

    @property
    def applied(self) -> bool:
        """Whether the image would get the tag."""
        return self.verdict.outcome is Outcome.APPLIED

    @property
    def is_fixed(self) -> bool:
        """Whether the outcome is the same at any threshold."""
        return self.verdict.outcome not in _MOVING

    @property
    def part(self) -> str:
        """The part: ``general``, ``detected``, ``broader``, or empty for a class."""
        label = self.verdict.label
        if label.is_judged_alone:
            return label.part
        return "broader" if is_broader(label) else ""

    @property
    def concept(self) -> str | None:
        """The id of the concept, if the label is a broader or general one."""
        return self.verdict.label.id if self.verdict.label.id in hierarchy() else None

    @property
    def hides(self) -> str:
        """The ids of the concepts whose tags it hides, separated by blanks."""
        return " ".join(sorted(hierarchy().hidden_by(self.verdict.label.id)))


@dataclass(frozen=True)
class TriedProvider:
    """The labels of one provider."""

    name: str
    title: str
    model: str
    threshold: float
    labels: tuple[TriedLabel, ...]

    @property
    def parts(self) -> tuple[tuple[TriedLabel, ...], tuple[TriedLabel, ...]]:
        """The surest labels, and all others."""
        return self.labels[:_LABELS], self.labels[_LABELS:]


@dataclass(frozen=True)
class Trial:
    """The result for one image.

    :param subject: the name of the image.
    :param error: the reason why it could not be classified.
    :param max_tags: the most tags that it may have, 0 for no limit.
    :param failures: titles of providers that failed, each with the reason.
    """

    subject: str
    providers: tuple[TriedProvider, ...] = ()
    error: str | None = None
    max_tags: int = 0
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def applied(self) -> list[str]:
        """The tags that the image would get, surest first."""
        return self._tags(Outcome.APPLIED)

    @property
    def suggested(self) -> list[str]:
        """The tags that would be suggested, surest first."""
        return self._tags(Outcome.SUGGESTED)

    @property
    def reasons(self) -> dict[str, str]:
        """The sentences for labels, with gaps, by outcome; for scripts."""
        reasons = {outcome.value: gettext(REASONS[outcome]) for outcome in _MOVING}
        return {**reasons, "doubtful suggested": gettext(DOUBTFUL_SUGGESTED)}

    def _tags(self, outcome: Outcome) -> list[str]:
        verdicts = [
            label.verdict for provider in self.providers for label in provider.labels
        ]
        return [
            verdict.name.name
            for verdict in sorted(verdicts, key=by_confidence)
            if verdict.outcome is outcome and verdict.name is not None
        ]


def combined(saved: Settings, typed: Settings) -> Settings:
    """Return the settings with which an image may be tried.

    Remote providers cost money and have keys: they get the saved settings, and their
    saved limits apply. Only their thresholds are the typed ones.
    """
    sections = {
        provider.name: MappingProxyType(
            {**saved[provider.name], _THRESHOLD: typed[provider.name][_THRESHOLD]}
        )
        for provider in remote_providers()
    }
    return replace(typed, values=MappingProxyType({**typed.values, **sections}))


def try_bytes(
    app: Flask,
    state: State,
    data: bytes,
    subject: str,
    instance: str,
    settings: Settings,
) -> Trial:
    """Classify an image, even where tagging is off.

    :param subject: the name of the image.
    :param instance: the instance whose limits apply.
    :raises ClassifierBusy: if no child process is free in time.
    """
    if len(data) > state.config.max_image_bytes:
        return Trial(subject, error=gettext("The file is too large."))
    general = {**settings[GENERAL.name], "enabled": True}
    settings = replace(
        settings, values=MappingProxyType({**settings.values, GENERAL.name: general})
    )
    try:
        found = remote.classify(app, state, instance, data, settings, remote.TRIAL)
    except ClassifierBusy:
        raise
    except TaggingError as error:
        return Trial(subject, error=str(error))
    return _judge(subject, found, settings)


def try_recent(
    app: Flask, state: State, key: int, instance: str, settings: Settings
) -> Trial:
    """Classify an image that was tagged before.

    :raises ClassifierBusy: if no child process is free in time.
    """
    models = state.database.models
    table = models.asset.__table__
    with state.database.begin() as session:
        row = session.execute(
            _of(models, instance).where(table.c.id == key)
        ).one_or_none()
        path = (
            None if row is None else last_path(session, models, _ref(row), row.instance)
        )
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
    """Return the latest images that can be read again."""
    models, find_url = state.database.models, state.hooks.image_url
    table = models.asset.__table__
    with state.database.begin() as session:
        rows = session.execute(
            _of(models, instance).order_by(table.c.id.desc()).limit(_RECENT)
        ).all()
        paths = source_paths(
            session, state, [(row.instance, _ref(row)) for row in rows]
        )
    # Not in SQL: the newest thousands of rows may be files that are no images.
    readable = [
        row for row in rows if not row.no_image and (row.instance, _ref(row)) in paths
    ]
    return [
        RecentImage(row.id, str(_ref(row)), find_url(_ref(row)) if find_url else None)
        for row in readable
    ]


def _of(models: Models, instance: str) -> Select[Any]:
    table = models.asset.__table__
    columns = ("id", "instance", "asset_type", "asset_id", "no_image")
    found = select(*(table.c[name] for name in columns))
    return found if instance == SYSTEM else found.where(table.c.instance == instance)


def _ref(row: Row[Any]) -> AssetRef:
    return AssetRef(row.asset_type, row.asset_id)


def _judge(subject: str, found: Classified, settings: Settings) -> Trial:
    verdicts = evaluate(found.predictions, settings)
    return Trial(
        subject,
        tuple(
            TriedProvider(
                one.provider,
                section_title(one.provider),
                one.model,
                settings[one.provider]["confidence_threshold"],
                tuple(
                    TriedLabel(
                        verdict,
                        reason(verdict, settings, gettext),
                        _own_threshold(verdict, settings.vocabulary),
                    )
                    for verdict in verdicts
                    if verdict.provider == one.provider
                ),
            )
            for one in found.predictions
        ),
        max_tags=settings.max_tags,
        failures=tuple(
            (section_title(name), str(error)) for name, error in found.failures.items()
        ),
    )


def _own_threshold(verdict: Verdict, vocabulary: Vocabulary) -> float | None:
    """Return the threshold of a label's word, or that of its tag if it has none."""
    if verdict.name is None:
        return None
    own = vocabulary.threshold(tag_name(verdict.label.name).key)
    return vocabulary.threshold(verdict.name.key) if own is None else own
