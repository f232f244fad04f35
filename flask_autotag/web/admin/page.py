"""The base of all pages with a form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Concatenate, ParamSpec, TypeVar

from flask import render_template
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from ...db.models import Models
from ...runtime.state import State
from ...settings.stored import StoredSettings
from ..access import CHANGE, check_access, current_state
from ..layout import base_context
from ..translation import gettext
from .form import PageForm, can_be_trusted, too_old
from .scope import Scope
from .setting_text import translated

#: Images that a preview reads at most: more would take too long for a request.
PREVIEWED = 20_000

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class FormPage:
    """A page with a form, while a request is answered.

    :cvar template: the name of its template, which gets the page as ``autotag_page``.
    :param scope: the system or the instance to which the page belongs.
    :param alerts: sentences about errors.
    :param notices: sentences about what was done.
    """

    template: ClassVar[str]

    scope: Scope
    alerts: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @cached_property
    def state(self) -> State:
        """The state of the extension."""
        return current_state()

    @cached_property
    def stored(self) -> StoredSettings:
        """The stored settings."""
        return self.state.stored_settings()

    @cached_property
    def may_change(self) -> bool:
        """Whether the user may save."""
        return can_be_trusted() and self.scope.may(CHANGE)

    @property
    def user(self) -> str | None:
        """The name of the user, if the host knows it."""
        return self.state.hooks.user_name()

    def transact(
        self,
        work: Callable[Concatenate[Session, Models, str, P], T],
        *arguments: P.args,
        **options: P.kwargs,
    ) -> T:
        """Call a function for the scope in a transaction.

        :param work: takes the session, the models, the instance and the further
            arguments.
        """
        models, instance = self.state.database.models, self.scope.instance
        return self.state.database.transact(
            lambda session: work(session, models, instance, *arguments, **options)
        )

    def warn_without_key(self) -> None:
        """Show an alert where forms cannot be protected."""
        if not can_be_trusted():
            self.alerts.append(
                gettext(
                    "Nothing can be changed here: the application has no SECRET_KEY,"
                    " with which forms are protected."
                )
            )

    def refusal(self, form: PageForm, action: str) -> ResponseReturnValue | None:
        """Return the response that refuses a form, or ``None`` if it may be used.

        :param action: the action that the user needs.
        """
        refusal = check_access(action, self.scope.instance)
        if refusal is not None or form.has_valid_token:
            return refusal
        return self.refuse_token()

    def refuse_token(self) -> ResponseReturnValue:
        """Show the page again, because a form has no valid token."""
        if can_be_trusted():
            self.alerts.append(translated(too_old()))
        return self.render(), 400

    def render(self) -> str:
        """Return the page's HTML."""
        return render_template(self.template, autotag_page=self, **base_context())


def tags_stay() -> str:
    """Return the sentence that existing tags stay where no provider is on."""
    return gettext(
        "Where auto tagging or every provider is off, existing images keep the tags of"
        " providers."
    )
