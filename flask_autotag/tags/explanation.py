"""Explanations for editors: why each label of an image became a tag, or did not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from ..db.models import Models
from ..host.assets import AssetRef
from ..providers.base import Prediction
from ..settings.resolution import Settings
from .asset_rows import is_of
from .decisions import PERSON, read_decisions
from .rules import Outcome, Verdict, evaluate, is_broader
from .store import read_predictions

#: The reason for a doubtful label that is suggested.
DOUBTFUL_SUGGESTED = (
    "%(confidence)s, but doubtful for this kind of image; suggested for review"
)
#: The reason for each outcome, in English.
REASONS: Mapping[Outcome, str] = {
    Outcome.APPLIED: "%(confidence)s, reaches %(threshold)s",
    Outcome.SUGGESTED: "%(confidence)s, below %(threshold)s; suggested for review",
    Outcome.ELSEWHERE: "%(confidence)s, another label for this tag scores higher",
    Outcome.BELOW: "%(confidence)s, below %(threshold)s",
    Outcome.DOUBTFUL: "%(confidence)s, but doubtful for this kind of image",
    Outcome.OVER: "over the maximum of %(most)s",
    Outcome.NARROWER: "a more specific tag applies",
    Outcome.BLOCKED: "blocked",
    Outcome.UNLISTED: "not a listed word",
    Outcome.ADDED: "added by a person",
    Outcome.REJECTED: "rejected by a person",
    Outcome.BROADER_OFF: "broader tags are off",
    Outcome.OFF: "the provider is off",
    Outcome.NO_TAG: "not a valid tag name",
}
#: Decimal places of a confidence, and their maximum where two values are nearly equal.
_DIGITS, _MOST_DIGITS = 2, 20


def untranslated(message: str, **values: object) -> str:
    """Fill in a message's placeholders without translating it."""
    return message % values


def reason(
    verdict: Verdict,
    settings: Settings,
    translate: Callable[..., str] = untranslated,
) -> str:
    """Return why a label became a tag or did not, such as "0.31, below 0.50".

    :param translate: a ``gettext`` that fills in placeholders.
    """
    confidence, threshold = _figures(verdict.label.confidence, verdict.threshold)
    sentence = REASONS[verdict.outcome]
    if verdict.is_doubted and verdict.outcome is Outcome.SUGGESTED:
        sentence = DOUBTFUL_SUGGESTED
    return translate(
        sentence,
        confidence=confidence,
        threshold=threshold,
        most=settings.max_tags,
    )


def _figures(confidence: float, threshold: float) -> tuple[str, str]:
    """Format both with two decimal places, or with enough to show which is smaller.

    The script of the settings page (``trial.js``) formats them the same way.
    """
    digits = _DIGITS
    while (
        confidence < threshold
        and f"{confidence:.{digits}f}" == f"{threshold:.{digits}f}"
        and digits < _MOST_DIGITS
    ):
        digits += 1
    is_short = round(threshold, _DIGITS) == threshold
    return (
        f"{confidence:.{digits}f}",
        f"{threshold:.{_DIGITS if is_short else digits}f}",
    )


@dataclass(frozen=True)
class ExplainedLabel:
    """A stored label of an image, and why it became a tag or did not.

    :param label: the label's name as the provider returned it.
    :param tag: the tag that the label gives; ``None`` if its name is not a valid tag
        name.
    :param confidence: from 0 to 1.
    :param threshold: the confidence at which the tag is applied, from 0 to 1.
    :param outcome: the value of a :class:`.rules.Outcome`, such as ``"applied"``.
    :param reason: the outcome in words with figures, such as "0.31, below 0.50".
    :param broader: whether the label stands for all classes below it. A class may have
        the same name: a "cup" is also a kind of "cup".
    :param general: whether the label is a general one, such as "sky", which the model
        judges by itself.
    :param detected: whether the detector beside the model found the label.
    """

    provider: str
    model: str
    label: str
    tag: str | None
    confidence: float
    threshold: float
    outcome: str
    reason: str
    broader: bool
    general: bool
    detected: bool

    @property
    def part(self) -> str:
        """The part: ``general``, ``detected``, ``broader``, or empty for a class."""
        parts = ("general", "detected", "broader")
        return next((part for part in parts if getattr(self, part)), "")


@dataclass(frozen=True)
class Decision:
    """A person's decision about a tag of an asset.

    :param state: ``"applied"`` or ``"rejected"``.
    :param person: the user's name; ``None`` if the host named none.
    :param decided_at: in UTC.
    :param provider: the provider that had given the tag before; ``None`` if none had,
        and then *model* and *confidence* are too.
    :param confidence: from 0 to 1.
    """

    tag: str
    state: str
    person: str | None
    decided_at: datetime
    provider: str | None
    model: str | None
    confidence: float | None


@dataclass(frozen=True)
class Explanation:
    """The stored labels of one asset in one instance, and people's decisions.

    :param tagged_at: when the asset was last classified, in UTC; ``None`` if it never
        was.
    :param labels: the stored labels, by provider and then by confidence, highest first.
    :param decisions: people's decisions, oldest first.
    """

    asset: AssetRef
    instance: str
    tagged_at: datetime | None
    labels: tuple[ExplainedLabel, ...]
    decisions: tuple[Decision, ...]


def explain(
    session: Session,
    models: Models,
    asset: AssetRef,
    instance: str,
    settings: Settings,
    translate: Callable[..., str] = untranslated,
) -> Explanation:
    """Explain the tags of an asset by the current settings.

    :return: without labels and decisions if the instance does not know the asset.
    """
    table = models.asset.__table__
    row = session.execute(
        select(table.c.id, table.c.tagged_at).where(is_of(table, asset, instance))
    ).one_or_none()
    if row is None:
        return Explanation(asset, instance, None, (), ())
    connection = session.connection()
    decided = read_decisions(connection, models, {row.id: settings.vocabulary})[row.id]
    predictions = read_predictions(connection, models, [row.id])[row.id]
    verdicts = evaluate(predictions, settings, decided=decided.states)
    return Explanation(
        asset,
        instance,
        row.tagged_at.replace(tzinfo=UTC) if row.tagged_at else None,
        tuple(_label(verdict, settings, translate) for verdict in verdicts),
        tuple(_decisions(decided.rows)),
    )


def explain_labels(
    predictions: Iterable[Prediction], settings: Settings
) -> tuple[ExplainedLabel, ...]:
    """Explain the labels of an image of which nothing is stored.

    :return: in the order of :class:`Explanation`.
    """
    return tuple(
        _label(verdict, settings, untranslated)
        for verdict in evaluate(predictions, settings)
    )


def _label(
    verdict: Verdict, settings: Settings, translate: Callable[..., str]
) -> ExplainedLabel:
    return ExplainedLabel(
        verdict.provider,
        verdict.model,
        verdict.label.name,
        verdict.name.name if verdict.name else None,
        verdict.label.confidence,
        verdict.threshold,
        verdict.outcome.value,
        reason(verdict, settings, translate),
        is_broader(verdict.label),
        verdict.label.is_general,
        verdict.label.is_detected,
    )


def _decisions(rows: Iterable[Row[Any]]) -> Iterator[Decision]:
    """Yield people's decisions, oldest first.

    :param rows: all assignments of an asset, as :class:`.Decisions` has them.
    """
    for row in sorted(rows, key=lambda row: (row.created_at, row.key)):
        if row.source == PERSON:
            yield Decision(
                row.name,
                row.state,
                row.decided_by,
                row.created_at.replace(tzinfo=UTC),
                row.provider,
                row.model,
                row.confidence,
            )
