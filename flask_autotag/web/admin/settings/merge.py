"""Merges a form field by field with settings that another user saved meanwhile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ....settings.checks import CheckError
from ....settings.fields import Layer, Path, dotted
from ....settings.resolution import Layers
from ....settings.secret import Secret
from ..setting_text import plain, write
from ..settings_form import SettingsForm


def write_seen(own: Layer) -> str:
    """Return the values that a form shows, for a hidden field of it; no secrets."""
    return json.dumps(
        {
            dotted(path): plain(value)
            for path, value in own.items()
            if not isinstance(value, Secret)
        }
    )


def read_seen(text: str | None) -> Mapping[str, Any] | None:
    """Read the text of :func:`write_seen`; return ``None`` if it is none."""
    try:
        seen = json.loads(text or "")
    except (RecursionError, ValueError):
        return None
    return seen if isinstance(seen, dict) else None


def merge(form: SettingsForm, layers: Layers) -> dict[Path, CheckError] | None:
    """Replace the fields that the user left alone by the stored values.

    :param form: the form that was sent; it is changed.
    :param layers: the values that are stored now.
    :return: the errors of the fields that both users changed; ``None`` if the form does
        not contain what the user saw, and nothing was replaced.
    """
    seen = read_seen(form.seen.data)
    if seen is None:
        return None
    conflicts = {}
    for field in form.setting_fields:
        if field.is_secret:
            continue
        before = seen.get(field.dotted, "")
        stored = plain(layers.own.get(field.path))
        if field.data == before:
            field.data = stored
        elif stored not in (before, field.data):
            conflicts[field.path] = _conflict(layers.own.get(field.path))
    return conflicts


def _conflict(stored: Any) -> CheckError:
    if stored is None:
        return CheckError("was reset meanwhile: save again to set it all the same")
    return CheckError(
        "was set to %(value)s meanwhile: save again to replace that",
        value=write(stored),
    )
