"""What the page of tags and that of one tag have in common: forms about words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from flask import abort, redirect, request
from flask.typing import ResponseReturnValue

from ..checks import CheckError, shown
from ..errors import VocabularyError
from ..reapply import Preview
from ..vocabulary import NAME_LENGTH, TagName, tag_name
from ..words import Changes, read_vocabulary
from .access import CHANGE, VIEW, admit
from .changes import preview_changes, save_changes
from .display import translated
from .form import can_be_trusted, too_old
from .page import FormPage
from .text import gettext

#: The buttons that save, and that only show what would change.
SAVE, PREVIEW = "save", "preview"
#: Marks the address of a page after a word was saved that is blocked and listed.
BOTH = "both"
#: Characters that are shown again of what was typed.
_SHOWN = 500

PageT = TypeVar("PageT", bound="WordPage")


class Refused(Exception):
    """What a field of a form holds cannot be done.

    :param field: its name.
    :param error: why, as the end of a sentence that begins with the field's label.
    """

    def __init__(self, field: str, error: CheckError) -> None:
        super().__init__(str(error))
        self.field = field
        self.error = error


@dataclass(frozen=True)
class Action(Generic[PageT]):
    """What one form of a page does.

    :param find: finds the words that it changes; raises :exc:`Refused`.
    :param field: at which what is wrong with them is told.
    """

    find: Callable[[PageT], Changes]
    field: str


@dataclass
class WordPage(FormPage, ABC):
    """A page with forms of which each decides something about words.

    :param errors: what is wrong, by the field's name, in sentences.
    :param preview: what would change.
    :param asked: the form to which the preview belongs.
    """

    errors: dict[str, str] = field(default_factory=dict)
    preview: Preview | None = None
    asked: str = ""

    @property
    @abstractmethod
    def labels(self) -> Mapping[str, str]:
        """What the fields of the page are called."""

    @property
    @abstractmethod
    def saved_url(self) -> str:
        """Where it goes on when something was saved."""

    @abstractmethod
    def render(self) -> str:
        """Make the HTML."""

    def typed(self, name: str) -> str:
        """Give what was typed in a field, to be shown again."""
        return request.form.get(name, "")[:_SHOWN]

    def read_name(self, name: str) -> TagName:
        """Read the name of a tag from a field.

        :raises Refused: if it can be none.
        """
        text = request.form.get(name, "")
        try:
            return tag_name(text)
        except ValueError:
            error = CheckError(
                "must be a name of 1 to %(most)s characters, not %(value)s",
                most=NAME_LENGTH,
                value=shown(text),
            )
            raise Refused(name, error) from None

    def told(self) -> None:
        """Say what was done before this page was shown."""
        if "saved" in request.args:
            self.notices.append(
                gettext(
                    "Saved. Existing images are being brought up to date in the"
                    " background."
                )
            )
        if BOTH in request.args:
            self.notices.append(
                gettext("A blocked word is never applied, whether it is listed or not.")
            )

    def refuse(self, name: str, message: str) -> ResponseReturnValue:
        """Show an error at its field, and say at the top that there is one."""
        self.errors[name] = message
        self.alerts.append(
            gettext("Nothing was computed. Mend what is marked, then try again.")
            if PREVIEW in request.form
            else gettext("Nothing was saved. Mend what is marked, then save again.")
        )
        return self.render(), 422


def answer(page: PageT, actions: Mapping[str, Action[Any]]) -> ResponseReturnValue:
    """Answer a form that was sent.

    :param actions: by the value of the button that was pressed.
    """
    button = PREVIEW if PREVIEW in request.form else SAVE
    name = request.form.get(button, "")
    if name not in actions:
        abort(400, gettext("The form has a button that does not belong to it."))
    needed = VIEW if button == PREVIEW else CHANGE
    refusal = admit(needed, page.scope.instance)
    if refusal is not None:
        return refusal
    if not can_be_trusted():
        return page.render(), 400
    if not page.token.validate():
        page.alerts.append(translated(too_old()))
        return page.render(), 400
    try:
        return _act(page, name, actions[name], button)
    except Refused as error:
        label = page.labels[error.field]
        return page.refuse(error.field, f"{label} {translated(error.error)}.")
    except VocabularyError as error:
        return page.refuse(actions[name].field, str(error))


def _act(
    page: PageT, name: str, action: Action[PageT], button: str
) -> ResponseReturnValue:
    changes = action.find(page)
    if button == PREVIEW:
        page.asked = name
        page.preview = preview_changes(page.state, page.scope.instance, changes)
        return page.render()
    save_changes(page.state, page.scope.instance, changes, page.user)
    told = f"&{BOTH}=1" if _both(page, changes) else ""
    return redirect(f"{page.saved_url}{told}", 303)


def _both(page: WordPage, changes: Changes) -> bool:
    """Whether a word was listed that is blocked, or the other way round."""
    keys = {
        name.key
        for name, decided in changes.items()
        if (decided.get("listed") or decided.get("blocked"))
        and "dropped_at" not in decided
    }
    if not keys:
        return False
    models, instance = page.state.database.models, page.scope.instance
    vocabulary = page.state.database.transact(
        lambda session: read_vocabulary(session, models, instance)
    )
    return any(vocabulary.is_blocked(key) and vocabulary.is_listed(key) for key in keys)
