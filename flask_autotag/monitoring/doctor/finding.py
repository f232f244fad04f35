"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    :param level: ``"ok"``, ``"warning"`` or ``"error"``.
    :param subject: the checked part of the installation.
    :param message: the result, without secrets.
    :param fix: how to fix the problem; ``None`` if there is none.
    """

    level: str
    subject: str
    message: str
    fix: str | None = None
