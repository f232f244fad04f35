"""The variables that embed every page in the host's layout."""

from __future__ import annotations

from typing import Any

from flask import current_app

from .access import current_state
from .translation import gettext

#: The template that fills the blocks ``title`` and ``content`` of a host's layout.
_ADAPTER = "autotag/_layout.html"
#: The block by which a host's template places the pages itself.
_CONTENT = "autotag_content"


def base_context() -> dict[str, Any]:
    """Return the variables that every page's template needs."""
    layout = current_state().config.base_template
    has_blocks = _CONTENT in current_app.jinja_env.get_template(layout).blocks
    return {
        "autotag_base": layout if has_blocks else _ADAPTER,
        "autotag_layout": layout,
        "autotag_text": gettext,
    }
