"""The list of an instance's bulk actions, with a button that undoes each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flask import request
from sqlalchemy.orm import Session

from ....db.models import Models
from ....runtime.state import State
from ....tags import bulk_actions
from ....tags.bulk_actions import DONE, UNDONE, BulkAction
from ....tags.queries.bulk_outcomes import with_images
from ...access import REVIEW
from ...translation import gettext
from ..form import can_be_trusted, whole_number
from ..scope import Scope
from .bulk_form import BulkForm
from .outcome import Outcome, changed_sentence, counted_images, progress, read_outcome

#: The actions of a page.
_PAGE = 20


@dataclass(frozen=True)
class ActionLine:
    """One action in the list.

    :param can_be_undone: whether the user may undo it, and its images exist.
    """

    action: BulkAction
    can_be_undone: bool

    @property
    def sentence(self) -> str:
        """What the action has done."""
        if self.action.phase in (DONE, UNDONE):
            return changed_sentence(self.action)
        return progress(self.action)

    @property
    def images(self) -> str:
        """The number of images that the action is about."""
        return counted_images(self.action.images)

    @property
    def undone(self) -> str | None:
        """The person who undid it."""
        if self.action.phase != UNDONE:
            return None
        return gettext(
            "Undone by %(who)s.", who=self.action.undone_by or gettext("unknown")
        )


@dataclass(frozen=True)
class ActionList:
    """A page of an instance's actions, the latest first.

    :param next_before: the key that begins the next page, if there is one.
    :param outcome: the outcome of the last undo.
    """

    scope: Scope
    lines: Sequence[ActionLine] = ()
    next_before: int | None = None
    outcome: Outcome | None = field(default=None)

    @property
    def url(self) -> str:
        """The address to which the forms are sent."""
        return self.scope.url_for("images")

    @property
    def here(self) -> str:
        """The address of the page."""
        return self.scope.url_for("history")

    def form(self, action: BulkAction) -> BulkForm:
        """Return the form that undoes an action."""
        return BulkForm(None, data={"action": action.id, "next": self.here})


def read_actions(state: State, scope: Scope) -> ActionList:
    """Read the requested page of an instance's actions; the system has none."""
    if scope.is_system:
        return ActionList(scope)
    may_undo = scope.may(REVIEW) and can_be_trusted()
    before = request.args.get("before", type=whole_number)

    def work(session: Session) -> ActionList:
        return _read(session, state.database.models, scope, before, may_undo=may_undo)

    listed = state.database.transact(work)
    outcome = read_outcome(state, scope.instance) if may_undo else None
    return ActionList(scope, listed.lines, listed.next_before, outcome)


def _read(
    session: Session,
    models: Models,
    scope: Scope,
    before: int | None,
    *,
    may_undo: bool,
) -> ActionList:
    connection = session.connection()
    found = bulk_actions.latest(connection, models, scope.instance, _PAGE + 1, before)
    done = [action.id for action in found if action.phase == DONE]
    can_be_undone = with_images(connection, models, done) if may_undo else set()
    lines = [ActionLine(each, each.id in can_be_undone) for each in found[:_PAGE]]
    return ActionList(scope, lines, found[_PAGE - 1].id if len(found) > _PAGE else None)
