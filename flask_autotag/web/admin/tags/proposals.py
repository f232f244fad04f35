"""Proposals from people's rejections, each with a button that carries it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ....runtime.state import State
from ....tags.threshold_proposals import ThresholdProposal, propose_thresholds
from ..scope import Scope
from .word_form import TagForm

#: The value of a form that proposes to block a word, instead of a threshold.
BLOCK = "block"
#: The most proposals on the page of settings.
_OFFERED = 10


@dataclass(frozen=True)
class Offer:
    """One proposal on a page.

    :param url: the address of the tag's page, which takes the form.
    """

    proposal: ThresholdProposal
    url: str

    @property
    def value(self) -> str:
        """The value that the form sends."""
        threshold = self.proposal.cut.threshold
        return BLOCK if threshold is None else f"{threshold:.2f}"

    def form(self, from_settings: str | None) -> TagForm:
        """Return its form.

        :param from_settings: ``"1"`` to return to the page of settings.
        """
        data = {"proposed": self.value, "from_settings": from_settings}
        return TagForm(None, data=data)


def offers(state: State, scope: Scope) -> Sequence[Offer]:
    """Return the best proposals for an instance, the best first."""
    return _find(state, scope)[:_OFFERED]


def offers_of(state: State, scope: Scope, key: str) -> Sequence[Offer]:
    """Return the proposals for one of its tags."""
    return [offer for offer in _find(state, scope) if offer.proposal.name.key == key]


def _find(state: State, scope: Scope) -> list[Offer]:
    if scope.is_system:
        # Rejections belong to instances.
        return []
    models, stored = state.database.models, state.stored_settings()

    def work(session: Session) -> list[ThresholdProposal]:
        settings = stored.settings(session, scope.instance)
        return propose_thresholds(session, models, scope.instance, settings)

    return [
        Offer(proposal, scope.url_for("tag", key=proposal.name.key))
        for proposal in state.database.transact(work)
    ]
