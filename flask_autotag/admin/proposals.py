"""What people's rejections teach, offered on pages with a button that does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ..state import State
from ..teaching import Proposal, propose
from .scope import Scope
from .text import gettext

#: Says in a form that a word is to be blocked, where a threshold would stand.
BLOCK = "block"
#: Proposals that the page of settings shows.
_OFFERED = 10


@dataclass(frozen=True)
class Offer:
    """One proposal, as a page shows it.

    :param url: the address of the tag's page, which also does it.
    """

    proposal: Proposal
    url: str

    @property
    def name(self) -> str:
        """The tag."""
        return self.proposal.name.name

    @property
    def value(self) -> str:
        """What the form sends."""
        threshold = self.proposal.cut.threshold
        return BLOCK if threshold is None else f"{threshold:.2f}"

    @property
    def button(self) -> str:
        """What the button says."""
        if self.value == BLOCK:
            return gettext("Block it")
        return gettext("Apply it from %(threshold)s", threshold=self.value)

    @property
    def figures(self) -> str:
        """What of the past it would have changed."""
        proposal = self.proposal
        return gettext(
            "%(avoided)s of %(rejected)s rejections avoided, %(lost)s of %(kept)s kept"
            " tags lost.",
            avoided=f"{proposal.cut.avoided:,}",
            rejected=f"{proposal.rejected:,}",
            lost=f"{proposal.cut.lost:,}",
            kept=f"{proposal.kept:,}",
        )


def offers(state: State, scope: Scope) -> Sequence[Offer]:
    """Find what is to be offered for an instance, the best first."""
    return _find(state, scope)[:_OFFERED]


def offers_of(state: State, scope: Scope, key: str) -> Sequence[Offer]:
    """Find what is to be offered for one of its tags."""
    return [offer for offer in _find(state, scope) if offer.proposal.name.key == key]


def _find(state: State, scope: Scope) -> list[Offer]:
    if scope.is_system:
        # It has no images on which anybody rejects anything.
        return []
    models, stored = state.database.models, state.stored_settings()

    def work(session: Session) -> list[Proposal]:
        settings = stored.settings(session, scope.instance)
        return propose(session, models, scope.instance, settings)

    return [
        Offer(proposal, scope.tag_url(proposal.name.key))
        for proposal in state.database.transact(work)
    ]
