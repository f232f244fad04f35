"""A form of settings that somebody else was faster to save: merged field by field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..checks import CheckError
from ..settings.fields import Layer, Path, dotted, paths
from ..settings.resolution import Layers
from ..settings.secret import Secret
from .display import plain, write
from .form import Sent


def write_seen(own: Layer) -> str:
    """Write what the fields of a form hold, for a hidden field of it; no secrets."""
    return json.dumps(
        {
            dotted(path): plain(value)
            for path, value in own.items()
            if not isinstance(value, Secret)
        }
    )


def read_seen(text: str) -> Mapping[str, Any] | None:
    """Read what :func:`write_seen` wrote; ``None`` if it did not."""
    try:
        seen = json.loads(text)
    except (RecursionError, ValueError):
        return None
    return seen if isinstance(seen, dict) else None


def merge(sent: Sent, layers: Layers) -> dict[Path, CheckError] | None:
    """Take what is stored where the user changed nothing.

    :param sent: the form, which is changed.
    :param layers: what is stored now.
    :return: what to say of the fields that both have changed; ``None`` if the form does
        not tell what the user saw.
    """
    seen = read_seen(sent.seen)
    if seen is None:
        return None
    conflicts = {}
    for path, field in paths(layers.sections).items():
        if field.is_secret:
            continue
        before, typed = seen.get(dotted(path), ""), sent.typed.get(path) or ""
        stored = plain(layers.own.get(path))
        if typed == before:
            sent.typed[path] = stored or None
        elif stored not in (before, typed):
            conflicts[path] = _conflict(layers.own.get(path))
    return conflicts


def _conflict(stored: Any) -> CheckError:
    if stored is None:
        return CheckError("was reset meanwhile: save again to set it all the same")
    return CheckError(
        "was set to %(value)s meanwhile: save again to replace that",
        value=write(stored),
    )
