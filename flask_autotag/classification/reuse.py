"""Reuses the answers of remote providers for the same bytes, so that they cost once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, select, union_all
from sqlalchemy.orm import Session

from ..host.assets import SYSTEM
from ..providers.base import Label, Prediction, RemoteProvider
from ..providers.limits import limit_fields
from ..runtime.state import State
from ..settings.resolution import Settings
from .in_flight import Inquiry

#: Fields that do not influence a provider's answers.
_FIELDS_WITHOUT_INFLUENCE = {
    "enabled",
    "confidence_threshold",
    *(each.name for each in limit_fields()),
}


def shared_settings(state: State) -> Settings | None:
    """Return the settings under which answers are shared; ``None`` if they are not."""
    return state.settings_for(SYSTEM) if state.config.reuse_across_instances else None


def is_shared(
    provider: type[RemoteProvider], settings: Settings, shared: Settings | None
) -> bool:
    """Return whether other instances may use the answers that an instance gets.

    Another endpoint or key may lead to other answers, which belong to its owner.

    :param settings: the settings of the instance.
    :param shared: the result of :func:`shared_settings`.
    """
    if shared is None:
        return False
    own, system = (
        {
            name: value
            for name, value in each[provider.name].items()
            if name not in _FIELDS_WITHOUT_INFLUENCE
        }
        for each in (settings, shared)
    )
    return own == system


def stored_predictions(
    state: State, instance: str, inquiry: Inquiry, contents: list[str]
) -> dict[str, Prediction]:
    """Return stored predictions for the same files, by SHA-256.

    :param inquiry: its scope decides whether answers of other instances are used.
    """

    def work(session: Session) -> dict[str, Prediction]:
        found = {
            content: _prediction(inquiry, labels, inquiry.scope == SYSTEM)
            for content, labels in inquiry.answers(session, contents).items()
        }
        queries = (_select_labels(inquiry, instance, content) for content in contents)
        for row in session.execute(union_all(*queries)):
            labels = tuple(Label(*label) for label in row.labels)
            found[row.sha256] = _prediction(inquiry, labels, row.shared)
        return found

    return state.database.transact(work)


def _prediction(
    inquiry: Inquiry, labels: tuple[Label, ...], shared: bool
) -> Prediction:
    return Prediction(inquiry.provider, inquiry.model, labels, shared)


def _select_labels(inquiry: Inquiry, instance: str, content: str) -> Select[Any]:
    """Select the labels of one image: thousands may have these bytes and labels."""
    asset = inquiry.models.asset.__table__
    prediction = inquiry.models.prediction.__table__
    usable: ColumnElement[bool] = asset.c.instance == instance
    if inquiry.scope == SYSTEM:
        usable = usable | prediction.c.shared
    stored = (
        select(asset.c.sha256, prediction.c.labels, prediction.c.shared)
        .join_from(asset, prediction, prediction.c.asset_id == asset.c.id)
        .where(
            usable,
            asset.c.sha256 == content,
            prediction.c.provider == inquiry.provider,
            prediction.c.model == inquiry.model,
        )
        .limit(1)
    )
    return select(stored.subquery())
