"""What an examination finds, and how bad it is."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True)
class Finding:
    """What one check found.

    :param level: ``"ok"``, ``"warning"`` or ``"error"``.
    :param subject: what was examined.
    :param message: what was found; free of secrets.
    :param fix: what to do about it.
    """

    level: str
    subject: str
    message: str
    fix: str | None = None
