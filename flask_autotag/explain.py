"""Why each label of an image did or did not become a tag."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from .assets import AssetRef
from .broader import hierarchy
from .decisions import PERSON, read_decisions
from .models import Models
from .providers.base import Prediction
from .settings.resolution import Settings
from .store import read_predictions
from .verdicts import Outcome, Verdict, judge

#: What to say of a label, in English.
REASONS: Mapping[Outcome, str] = {
    Outcome.APPLIED: "%(confidence)s, reaches %(threshold)s",
    Outcome.SUGGESTED: "%(confidence)s, below %(threshold)s; suggested for review",
    Outcome.ELSEWHERE: "%(confidence)s, said more surely by another label",
    Outcome.BELOW: "%(confidence)s, below %(threshold)s",
    Outcome.OVER: "over the maximum of %(most)s",
    Outcome.NARROWER: "a narrower tag says more",
    Outcome.BLOCKED: "blocked",
    Outcome.UNLISTED: "not a listed word",
    Outcome.ADDED: "added by a person",
    Outcome.REJECTED: "rejected by a person",
    Outcome.BROADER_OFF: "broader tags are off",
    Outcome.OFF: "the provider is off",
    Outcome.NO_TAG: "cannot be a tag",
}
#: Digits of a confidence, and the most that are told where two are nearly the same.
_DIGITS, _MOST_DIGITS = 2, 20


def in_english(message: str, **values: object) -> str:
    """Fill the gaps of a message, as a ``gettext`` does; where nobody translates."""
    return message % values


def reason(
    verdict: Verdict,
    settings: Settings,
    translate: Callable[..., str] = in_english,
) -> str:
    """Say why a label did or did not become a tag, such as "0.31, below 0.50".

    :param translate: a ``gettext`` that fills gaps.
    """
    confidence, threshold = _figures(verdict.label.confidence, verdict.threshold)
    return translate(
        REASONS[verdict.outcome],
        confidence=confidence,
        threshold=threshold,
        most=settings.max_tags,
    )


def _figures(confidence: float, threshold: float) -> tuple[str, str]:
    """Write both with two digits, or with as many as tell which is smaller.

    ``trial.js`` does the same.
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
    """A label that a provider gave, and what became of it.

    :param label: its name, as the provider said it.
    :param tag: the tag that it is or would be; ``None`` if it can be none.
    :param confidence: from 0 to 1.
    :param threshold: what it needs to be applied.
    :param outcome: one of :class:`.verdicts.Outcome`, a word such as ``"applied"``.
    :param reason: the same as a sentence's part, with figures.
    :param broader: whether it stands for all classes below it. A class may have the
        same name: a "cup" is also a kind of "cup".
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


@dataclass(frozen=True)
class Decision:
    """What a person decided about a tag of an asset.

    :param state: ``"applied"`` or ``"rejected"``.
    :param person: who, if the host said so.
    :param decided_at: when, in UTC.
    :param provider: who had said it before, if anybody had; and how surely.
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
    """All that is known of the tags of one asset in one instance.

    :param tagged_at: when it was classified last, in UTC; ``None`` if it never was.
    :param labels: all that is stored of what providers said, provider by provider and
        the surest first.
    :param decisions: what people decided.
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
    translate: Callable[..., str] = in_english,
) -> Explanation:
    """Explain the tags of an asset by the settings that hold now."""
    table = models.asset.__table__
    row = session.execute(
        select(table.c.id, table.c.tagged_at).where(
            table.c.instance == instance,
            table.c.asset_type == asset.type,
            table.c.asset_id == asset.id,
        )
    ).one_or_none()
    if row is None:
        return Explanation(asset, instance, None, (), ())
    decided = read_decisions(
        session.connection(), models, {row.id: settings.vocabulary}
    )[row.id]
    predictions = read_predictions(session, models, [row.id])[row.id]
    verdicts = judge(predictions, settings, decided=decided.states)
    return Explanation(
        asset,
        instance,
        row.tagged_at.replace(tzinfo=UTC) if row.tagged_at else None,
        tuple(_label(verdict, settings, translate) for verdict in verdicts),
        tuple(_decisions(session, models, row.id)),
    )


def explain_labels(
    predictions: Iterable[Prediction], settings: Settings
) -> tuple[ExplainedLabel, ...]:
    """Explain what would become of the labels of an image of which nothing is stored.

    :return: provider by provider, as in :class:`Explanation`.
    """
    return tuple(
        _label(verdict, settings, in_english)
        for verdict in judge(predictions, settings)
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
        verdict.label.id in hierarchy(),
    )


def _decisions(session: Session, models: Models, asset_id: int) -> list[Decision]:
    tag, assigned = models.tag, models.assignment
    rows = session.execute(
        select(
            tag.name,
            assigned.state,
            assigned.decided_by,
            assigned.created_at,
            assigned.provider,
            assigned.model,
            assigned.confidence,
        )
        .join_from(assigned, tag, tag.id == assigned.tag_id)
        .where(assigned.asset_id == asset_id, assigned.source == PERSON)
        .order_by(assigned.created_at, tag.key)
    )
    return [
        Decision(
            row.name,
            row.state,
            row.decided_by,
            row.created_at.replace(tzinfo=UTC),
            row.provider,
            row.model,
            row.confidence,
        )
        for row in rows
    ]
