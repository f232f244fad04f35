"""Forms about words, shared by the page of tags and the page of one tag."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from flask import redirect, request
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from ....errors import VocabularyError
from ....settings.checks import CheckError
from ....settings.stored_words import RuleChanges, read_vocabulary
from ....tags.reapply import Preview, applies
from ...access import CHANGE, VIEW
from ...translation import gettext
from ..form import refuse_button
from ..page import FormPage, tags_stay
from ..setting_text import translated
from .changes import preview_changes, save_changes
from .word_form import WordForm

#: The parameter of the page that follows the save of a blocked and listed word.
BOTH = "both"

PageT = TypeVar("PageT", bound="WordPage")


class Refused(Exception):
    """The value of a field is refused.

    :param field: the field's name.
    :param error: the cause, as the rest of a sentence that starts with the label.
    """

    def __init__(self, field: str, error: CheckError) -> None:
        super().__init__(str(error))
        self.field = field
        self.error = error


@dataclass(frozen=True)
class Action(Generic[PageT]):
    """The action of one form of a page.

    :param find: returns the words that the form changes; raises :exc:`Refused`.
    :param field: the field beside which errors about these words are shown.
    """

    find: Callable[[PageT], RuleChanges]
    field: str


@dataclass
class WordPage(FormPage, ABC):
    """A page whose forms decide about words.

    :param form: the fields of its forms; each form sends some of them.
    :param errors: sentences, by the field's name.
    :param preview: the changes that a form would make.
    :param previewed: the form to which the preview belongs.
    """

    form: WordForm = field(kw_only=True)
    errors: dict[str, str] = field(default_factory=dict)
    preview: Preview | None = None
    previewed: str = ""

    @property
    @abstractmethod
    def saved_url(self) -> str:
        """The address to open after a save."""

    def hidden_tag(self, **values: str) -> Markup:
        """Render the hidden fields of one of the forms.

        :param values: the values of its own, by name.
        """
        return type(self.form)(None, data=values).hidden_tag()

    def label(self, name: str) -> str:
        """Return the label of a field."""
        return str(self.form[name].label.text)

    def read(self, name: str) -> Any:
        """Return a field that is valid.

        :raises Refused: if it is not.
        """
        field = self.form[name]
        if not field.validate(self.form):
            raise Refused(name, CheckError("%(error)s", error=field.errors[0]))
        return field

    def add_notices(self) -> None:
        """Add notices about the save that led to this page."""
        if "saved" in request.args:
            self.notices.append(
                gettext("Saved. Existing images are being updated in the background.")
            )
            if not applies(self.state.settings_for(self.scope.instance)):
                self.notices.append(tags_stay())
        if BOTH in request.args:
            self.notices.append(
                gettext("A blocked word is never applied, even if it is listed.")
            )

    def refuse(self, name: str, message: str) -> ResponseReturnValue:
        """Show the page with an error beside its field and an alert at the top."""
        self.errors[name] = message
        self.alerts.append(
            gettext("Nothing was computed. Correct the marked fields, then try again.")
            if self.form.is_preview
            else gettext(
                "Nothing was saved. Correct the marked fields, then save again."
            )
        )
        return self.render(), 422


def answer(page: PageT, actions: Mapping[str, Action[Any]]) -> ResponseReturnValue:
    """Answer a form.

    :param actions: the page's actions, by the value of their button.
    """
    name = page.form.action
    if name not in actions:
        refuse_button()
    refusal = page.refusal(page.form, VIEW if page.form.is_preview else CHANGE)
    if refusal is not None:
        return refusal
    try:
        return _act(page, name, actions[name])
    except Refused as error:
        sentence = f"{page.label(error.field)} {translated(error.error)}."
        return page.refuse(error.field, sentence)
    except VocabularyError as error:
        return page.refuse(actions[name].field, str(error))


def _act(page: PageT, name: str, action: Action[PageT]) -> ResponseReturnValue:
    changes = action.find(page)
    if page.form.is_preview:
        page.previewed = name
        page.preview = preview_changes(page.state, page.scope.instance, changes)
        return page.render()
    save_changes(page.state, page.scope.instance, changes, page.user)
    mark = f"&{BOTH}=1" if _both(page, changes) else ""
    return redirect(f"{page.saved_url}{mark}", 303)


def _both(page: WordPage, changes: RuleChanges) -> bool:
    """Whether the changes listed a blocked word, or blocked a listed one."""
    keys = {
        name.key
        for name, decided in changes.items()
        if (decided.get("listed") or decided.get("blocked"))
        and "dropped_at" not in decided
    }
    if not keys:
        return False
    vocabulary = page.transact(read_vocabulary)
    return any(vocabulary.is_blocked(key) and vocabulary.is_listed(key) for key in keys)
