"""What all pages with a form have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from flask import current_app

from ..settings.stored import StoredSettings
from ..state import State
from .access import CHANGE, current_state
from .form import TokenForm, can_be_trusted
from .scope import Scope
from .text import gettext

#: Images that a preview looks at: as many as there is patience for, in a request.
PREVIEWED = 20_000

#: Fills the blocks ``title`` and ``content`` of a host's layout.
_ADAPTER = "autotag/_layout.html"
#: A host's template that has this block says itself where the pages go.
_CONTENT = "autotag_content"


@dataclass
class FormPage:
    """One page with a form, while it is made.

    :param scope: whose page.
    :param alerts: what went wrong, in sentences.
    :param notices: what went well.
    """

    scope: Scope
    token: TokenForm
    alerts: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @cached_property
    def state(self) -> State:
        """What the extension keeps."""
        return current_state()

    @cached_property
    def stored(self) -> StoredSettings:
        """The stored settings."""
        return self.state.stored_settings()

    @cached_property
    def may_change(self) -> bool:
        """Whether to offer to save."""
        return can_be_trusted() and self.scope.may(CHANGE)

    @property
    def hidden_fields(self) -> Mapping[str, str]:
        """What the host adds to every form."""
        return self.state.hooks.form_fields()

    @property
    def user(self) -> str | None:
        """Who changes something, if the host says so."""
        return self.state.hooks.user_name()

    def warn_without_key(self) -> None:
        """Say so where forms cannot be protected."""
        if not can_be_trusted():
            self.alerts.append(without_key())


def base_context() -> dict[str, Any]:
    """Give what the template of every page gets."""
    layout = current_state().config.base_template
    has_blocks = _CONTENT in current_app.jinja_env.get_template(layout).blocks
    return {
        "autotag_base": layout if has_blocks else _ADAPTER,
        "autotag_layout": layout,
        "autotag_text": gettext,
    }


def without_key() -> str:
    """Say that forms cannot be protected."""
    return gettext(
        "Nothing can be changed here: the application has no SECRET_KEY, with which"
        " forms are protected."
    )
