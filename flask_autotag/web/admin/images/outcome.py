"""The outcome of a bulk action in sentences, which the page after it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flask import request
from sqlalchemy.orm import Session

from ....db.models import Models
from ....host.assets import AssetRef
from ....runtime.state import State
from ....tags import bulk_actions
from ....tags.bulk_actions import (
    DECIDED,
    DONE,
    UNDOING,
    UNDONE,
    BulkAction,
    ItemOutcome,
)
from ....tags.queries.bulk_outcomes import count_outcomes, images_with
from ....tags.rules import APPLIED, REJECTED, SUGGESTED
from ...translation import gettext, translatable
from ..form import whole_number
from .decisions import Done

#: The parameters of an address that carry the outcome: the key of the action, and the
#: numbers of images that do not exist and that are invalid.
_ACTION, _MISSING, _INVALID = "autotag_action", "autotag_missing", "autotag_invalid"
_MARKS = (_ACTION, _MISSING, _INVALID)
#: The most images that are listed by name.
_LISTED = 20

#: A sentence about one image, and about another number of them.
_Sentences = tuple[str, str]

_IMAGES: _Sentences = (translatable("1 image"), translatable("%(number)s images"))
_REJECTED: _Sentences = (
    translatable("“%(tag)s” was rejected for 1 image."),
    translatable("“%(tag)s” was rejected for %(number)s images."),
)
#: By the new state and the expected one.
_CHANGED: Mapping[tuple[str, str | None], _Sentences] = {
    (APPLIED, None): (
        translatable("“%(tag)s” was added to 1 image."),
        translatable("“%(tag)s” was added to %(number)s images."),
    ),
    (APPLIED, SUGGESTED): (
        translatable("“%(tag)s” was accepted for 1 image."),
        translatable("“%(tag)s” was accepted for %(number)s images."),
    ),
    (REJECTED, APPLIED): (
        translatable("“%(tag)s” was removed from 1 image."),
        translatable("“%(tag)s” was removed from %(number)s images."),
    ),
    (REJECTED, SUGGESTED): _REJECTED,
    (REJECTED, None): _REJECTED,
}
_UNCHANGED: Mapping[str, _Sentences] = {
    APPLIED: (
        translatable("1 image had it already."),
        translatable("%(number)s images had it already."),
    ),
    REJECTED: (
        translatable("For 1 image, it had been rejected before."),
        translatable("For %(number)s images, it had been rejected before."),
    ),
}
_UNEXPECTED: Mapping[str | None, _Sentences] = {
    APPLIED: (
        translatable("1 image did not have it."),
        translatable("%(number)s images did not have it."),
    ),
    SUGGESTED: (
        translatable("It was not suggested for 1 image."),
        translatable("It was not suggested for %(number)s images."),
    ),
}
_UNDONE: _Sentences = (
    translatable("That was undone for 1 image."),
    translatable("That was undone for %(number)s images."),
)
_KEPT: _Sentences = (
    translatable("1 image was left unchanged: somebody decided about it again."),
    translatable(
        "%(number)s images were left unchanged: somebody decided about them again."
    ),
)
_GONE: _Sentences = (
    translatable("1 image no longer exists."),
    translatable("%(number)s images no longer exist."),
)
_REFUSED: _Sentences = (
    translatable("1 image was left out: the form did not allow you to change it."),
    translatable(
        "%(number)s images were left out: the form did not allow you to change them."
    ),
)


@dataclass(frozen=True)
class Outcome:
    """The outcome of an action, and of the form that began it.

    :param action: ``None`` if none of the form's images exists.
    :param counts: the numbers of images by outcome, ``None`` for those that wait.
    :param unexpected: images whose tag was in another state, up to a limit.
    :param missing: the number of images that did not exist.
    :param invalid: the number of images that were not signed for the user.
    """

    action: BulkAction | None
    counts: Mapping[ItemOutcome | None, int] = field(default_factory=dict)
    unexpected: Sequence[AssetRef] = ()
    missing: int = 0
    invalid: int = 0

    @property
    def is_running(self) -> bool:
        """Whether a job works on the action."""
        return self.action is not None and self.action.phase not in (DONE, UNDONE)

    @property
    def total(self) -> int:
        """The number of images that the action is about."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """The number of images that a running job has worked through."""
        is_undoing = self.action is not None and self.action.phase == UNDOING
        waiting = DECIDED if is_undoing else (None,)
        return self.total - sum(self.counts.get(each, 0) for each in waiting)

    @property
    def can_be_undone(self) -> bool:
        """Whether the action is done, and images on which it decided exist."""
        if self.action is None or self.action.phase != DONE:
            return False
        return any(self.counts.get(each) for each in DECIDED)

    @property
    def sentences(self) -> list[str]:
        """The outcome in sentences."""
        return [
            *self._of_action(),
            *_some(_GONE, self.missing),
            *_some(_REFUSED, self.invalid),
        ]

    def _of_action(self) -> list[str]:
        action = self.action
        if action is None:
            return []
        if self.is_running:
            return [progress(action)]
        if action.phase == UNDONE:
            return [
                counted(_UNDONE, action.restored),
                *_some(_KEPT, self.counts.get(ItemOutcome.KEPT, 0)),
            ]
        unexpected = _UNEXPECTED.get(action.expected, _KEPT)
        return [
            changed_sentence(action),
            *_some(_UNCHANGED[action.state], self._number(ItemOutcome.UNCHANGED)),
            *_some(unexpected, self._number(ItemOutcome.UNEXPECTED)),
        ]

    def _number(self, outcome: ItemOutcome) -> int:
        return self.counts.get(outcome, 0)


def counted(sentences: _Sentences, number: int, **values: str) -> str:
    """Return the sentence about a number of images."""
    one, many = sentences
    return gettext(one if number == 1 else many, number=f"{number:,}", **values)


def changed_sentence(action: BulkAction) -> str:
    """Return the sentence about the images whose tag an action has changed."""
    sentences = _CHANGED[action.state, action.expected]
    return counted(sentences, action.changed, tag=action.tag.name)


def counted_images(number: int) -> str:
    """Write a number of images."""
    return counted(_IMAGES, number)


def read_outcome(state: State, instance: str) -> Outcome | None:
    """Read the outcome that the requested address carries, if there is one."""
    action_id, missing, invalid = (
        request.args.get(name, type=whole_number) for name in _MARKS
    )
    if action_id is None:
        is_empty = not (missing or invalid)
        return None if is_empty else Outcome(None, {}, (), missing or 0, invalid or 0)
    return state.database.transact(
        lambda session: _read(
            session,
            state.database.models,
            instance,
            action_id,
            missing or 0,
            invalid or 0,
        )
    )


def with_outcome(path: str, done: Done, invalid: int = 0) -> str:
    """Add the outcome to the address of the page that is shown next."""
    parts = urlsplit(path)
    query = [
        (name, text)
        for name, text in parse_qsl(parts.query, keep_blank_values=True)
        if name not in _MARKS
    ]
    marks = {_ACTION: done.action, _MISSING: done.missing, _INVALID: invalid}
    query += [(name, str(number)) for name, number in marks.items() if number]
    return urlunsplit(parts._replace(query=urlencode(query)))


def _read(
    session: Session,
    models: Models,
    instance: str,
    action_id: int,
    missing: int,
    invalid: int,
) -> Outcome | None:
    connection = session.connection()
    action = bulk_actions.read(connection, models, action_id, instance)
    if action is None:
        return None
    return Outcome(
        action,
        count_outcomes(connection, models, action_id),
        images_with(connection, models, action, ItemOutcome.UNEXPECTED, _LISTED),
        missing,
        invalid,
    )


def progress(action: BulkAction) -> str:
    """Return the sentence about an action on which a job works."""
    if action.phase == UNDOING:
        return gettext(
            "The decision about “%(tag)s” is being undone.", tag=action.tag.name
        )
    return gettext("“%(tag)s” is being decided about.", tag=action.tag.name)


def _some(sentences: _Sentences, number: int) -> list[str]:
    return [counted(sentences, number)] if number else []
